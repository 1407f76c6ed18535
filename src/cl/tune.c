/* The rows of a context: those that are for its device and fit it, in the order of the search. */
#include "cl/tune.h"

#include <string.h>

#include "cl/device.h"
#include "cl/tune_fields.h"
#include "clattn/tune.h"

/* A row for this device. */
typedef struct entry {
    const char *kernel;
    int32_t type;
    clattn__tune_values values;
    bool loaded;
    int rank; /* how closely it is for this device and type */
} entry;

struct clattn__tuning {
    size_t count;
    entry entries[];
};

/* 0 where the row is for another device; else the higher, the more it says of this one. */
static int rank_of(const clattn_device *device, const clattn__tune_row *row)
{
    const char *const own[CLATTN__TUNE_MATCHES] = {device->vendor, device->architecture,
                                                   device->name};
    int rank = 0;
    for (size_t m = 0; m < CLATTN__TUNE_MATCHES; m++) {
        const char *const wanted = (const char *)row + clattn__tune_matches[m].offset;
        if (wanted[0] == '\0')
            continue;
        if (strcmp(wanted, own[m]) != 0)
            return 0;
        rank = (int)m + 1;
    }
    return 1 + 2 * rank + (row->type != CLATTN__TUNE_ANY_TYPE);
}

/* Puts an entry behind those that come before it in the search. */
static void insert(struct clattn__tuning *tuning, const entry *fresh)
{
    size_t at = tuning->count++;
    for (; at > 0 && !tuning->entries[at - 1].loaded == !fresh->loaded &&
           tuning->entries[at - 1].rank < fresh->rank;
         at--)
        tuning->entries[at] = tuning->entries[at - 1];
    tuning->entries[at] = *fresh;
}

static void add(const clattn_context *ctx, struct clattn__tuning *tuning,
                const clattn__tune_row *rows, size_t count, bool loaded)
{
    char why[160];
    for (size_t i = 0; i < count; i++) {
        const clattn__tune_row *const row = &rows[i];
        const int rank = rank_of(&ctx->device, row);
        if (rank == 0)
            continue;
        if (!clattn__tune_fits(ctx, row, why, sizeof why)) {
            clattn__log(&ctx->log, CLATTN_LOG_WARN,
                        "the %s tuning row of line %d is left out on %s: %s",
                        loaded ? "loaded" : "built-in", (int)row->line, ctx->device.name, why);
            continue;
        }
        insert(tuning, &(entry){.kernel = row->kernel,
                                .type = row->type,
                                .values = row->values,
                                .loaded = loaded,
                                .rank = rank});
    }
}

/* Replaces the context's rows: `text` before the library's own, if those are wanted. */
static clattn_status replace(clattn_context *ctx, const char *text, size_t size, bool builtin)
{
    clattn_status status = CLATTN_OK;
    struct clattn__tuning *tuning = NULL;
    clattn__tune_row *rows = NULL, *own = NULL;
    size_t count = 0, own_count = 0;

    CLATTN_TRY(clattn__tune_read(&ctx->log, text, size, &rows, &count));
    if (ctx->cl == NULL)
        goto out;
    if (builtin)
        CLATTN_TRY(clattn__tune_read(&ctx->log, clattn__tune_builtin, clattn__tune_builtin_bytes,
                                     &own, &own_count));
    tuning = clattn__alloc(sizeof *tuning + (count + own_count) * sizeof tuning->entries[0]);
    CLATTN_CHECK(&ctx->log, tuning != NULL, CLATTN_E_NOMEM,
                 "out of host memory for rows of tuning");
    add(ctx, tuning, rows, count, true);
    add(ctx, tuning, own, own_count, false);
    clattn__free(ctx->cl->tuning);
    ctx->cl->tuning = tuning;
out:
    clattn__free(own);
    clattn__free(rows);
    return status;
}

clattn_status clattn__tune_create(clattn_context *ctx)
{
    ctx->cl->builtin_rows = true;
    return replace(ctx, NULL, 0, true);
}

void clattn__tune_destroy(clattn_context *ctx)
{
    clattn__free(ctx->cl->tuning);
    ctx->cl->tuning = NULL;
}

clattn_status clattn_tune_load(clattn_context *ctx, const char *text, size_t size)
{
    clattn_status status = CLATTN_OK;
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    CLATTN_CHECK(&ctx->log, text != NULL || size == 0, CLATTN_E_ARG,
                 "text of the tuning rows is NULL, but size is %zu", size);
    status = replace(ctx, text, size, ctx->cl != NULL && ctx->cl->builtin_rows);
out:
    return status;
}

clattn_status clattn_tune_reset(clattn_context *ctx, clattn_tuning rows)
{
    clattn_status status = CLATTN_OK;
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    CLATTN_CHECK(&ctx->log, rows == CLATTN_TUNING_BUILTIN || rows == CLATTN_TUNING_DEFAULT,
                 CLATTN_E_ARG, "rows is %d; it must be 0 (built-in) or 1 (default)", (int)rows);
    if (ctx->cl == NULL)
        return CLATTN_OK;
    CLATTN_TRY(replace(ctx, NULL, 0, rows == CLATTN_TUNING_BUILTIN));
    ctx->cl->builtin_rows = rows == CLATTN_TUNING_BUILTIN;
out:
    return status;
}

/* Takes over what the row sets. */
static void overlay(clattn__tune_values *values, clattn__tune_values row)
{
    for (size_t v = 0; v < CLATTN__TUNE_VALUES; v++)
        if (*clattn__tune_value(&row, v) != 0)
            *clattn__tune_value(values, v) = *clattn__tune_value(&row, v);
}

clattn__tuned clattn__tune_find(const clattn_context *ctx, const char *kernel, clattn_type type,
                                clattn__tune_values defaults)
{
    clattn__tuned tuned = {.kernel = clattn__tune_kernel(kernel, strlen(kernel)),
                           .type = type,
                           .values = defaults,
                           .source = "default"};
    if (ctx->cl == NULL)
        return tuned;
    const struct clattn__tuning *const tuning = clattn__context_owner(ctx)->cl->tuning;
    for (size_t i = 0; i < tuning->count; i++) {
        const entry *const e = &tuning->entries[i];
        if (e->kernel == tuned.kernel && e->values.work_group == defaults.work_group &&
            (e->type == CLATTN__TUNE_ANY_TYPE || e->type == (int32_t)type)) {
            overlay(&tuned.values, e->values);
            tuned.source = e->loaded ? "loaded" : "built-in";
            break;
        }
    }
    return tuned;
}
