/* The verdicts of a context: one list, in the order in which they were made. */
#include "cl/selftest.h"

#include <stdio.h>
#include <string.h>

#include "cl/device.h"
#include "cl/stored.h"

/* A verdict with room for whatever a reason is: longer texts of a cache are not believed. */
#define MAX_TEXT 512

typedef struct entry {
    struct entry *next;
    clattn__kernel_spec spec;
    clattn_verdict verdict;
    bool stored; /* it came from the caller's cache, or was offered to it */
} entry;

struct clattn__verdicts {
    clattn__mutex lock;
    entry *first;
    size_t count;
};

static struct clattn__verdicts *verdicts_of(const clattn_context *ctx)
{
    return clattn__context_owner(ctx)->cl->verdicts;
}

clattn_status clattn__verdicts_create(clattn_context *ctx)
{
    struct clattn__verdicts *verdicts = clattn__alloc(sizeof *verdicts);
    if (!verdicts || !clattn__mutex_init(&verdicts->lock)) {
        clattn__free(verdicts);
        clattn__log(&ctx->log, CLATTN_LOG_ERROR, "out of host memory for verdicts");
        return CLATTN_E_NOMEM;
    }
    ctx->cl->verdicts = verdicts;
    return CLATTN_OK;
}

void clattn__verdicts_destroy(clattn_context *ctx)
{
    struct clattn__verdicts *verdicts = ctx->cl->verdicts;
    if (!verdicts)
        return;
    for (entry *e = verdicts->first, *next; e; e = next) {
        next = e->next;
        clattn__free(e);
    }
    clattn__mutex_destroy(&verdicts->lock);
    clattn__free(verdicts);
    ctx->cl->verdicts = NULL;
}

/* One variant: the same program, kernel and work-group. Where it is launched larger, PoCL compiles it once more; the verdict is one. */
static bool same_variant(const clattn__kernel_spec *a, const clattn__kernel_spec *b)
{
    return strcmp(a->file, b->file) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->options, b->options) == 0 && memcmp(a->local, b->local, sizeof a->local) == 0;
}

/* NULL where there is none. Call with the lock held. */
static entry *find(struct clattn__verdicts *verdicts, const clattn__kernel_spec *spec)
{
    entry *e = verdicts->first;
    while (e && !same_variant(&e->spec, spec))
        e = e->next;
    return e;
}

/* Puts a verdict at the end of the list, or in place of what was there. */
static void keep(clattn_context *ctx, const clattn__kernel_spec *spec,
                 const clattn_verdict *verdict, bool stored)
{
    struct clattn__verdicts *verdicts = verdicts_of(ctx);
    clattn__mutex_lock(&verdicts->lock);
    entry *e = find(verdicts, spec);
    if (!e) {
        e = clattn__alloc(sizeof *e);
        entry **end = &verdicts->first;
        while (*end)
            end = &(*end)->next;
        *end = e;
        verdicts->count += e != NULL;
    }
    if (e) {
        e->spec = *spec;
        e->verdict = *verdict;
        e->stored = stored;
    }
    clattn__mutex_unlock(&verdicts->lock);
}

void clattn__verdict_keep(clattn_context *ctx, const clattn__kernel_spec *spec,
                          const clattn_verdict *verdict)
{
    keep(ctx, spec, verdict, false);
}

void clattn__verdict_step(clattn_context *ctx, const clattn__kernel_spec *spec,
                          clattn_verdict_step step)
{
    struct clattn__verdicts *verdicts = verdicts_of(ctx);
    clattn__mutex_lock(&verdicts->lock);
    entry *e = find(verdicts, spec);
    if (e && !clattn__verdict_allows(&e->verdict))
        e->verdict.step = step;
    clattn__mutex_unlock(&verdicts->lock);
}

/* "CODE ERROR REASON", as the caller's cache holds it. */
static void write_text(const clattn_verdict *v, char text[MAX_TEXT])
{
    snprintf(text, MAX_TEXT, "%d %.6g %s", (int)v->code, (double)v->error, v->reason);
}

static bool read_text(const char *text, clattn_verdict *v)
{
    int code = -1, length = 0;
    float error = 0.0f;
    if (sscanf(text, "%d %f %n", &code, &error, &length) != 2 || length == 0 || code < 0 ||
        code >= CLATTN_VERDICT_UNTESTED)
        return false;
    v->code = (clattn_verdict_code)code;
    v->error = error;
    v->from_cache = 1;
    snprintf(v->reason, sizeof v->reason, "%s", text + length);
    return true;
}

/* The verdict of another process. */
static bool load(clattn_context *ctx, const clattn__kernel_spec *spec, clattn_verdict *verdict)
{
    char text[MAX_TEXT];
    clattn__recipe recipe;
    *verdict = (clattn_verdict){.work_group =
                                    (uint32_t)(spec->local[0] * spec->local[1] * spec->local[2])};
    snprintf(verdict->kernel, sizeof verdict->kernel, "%s", spec->name);
    snprintf(verdict->options, sizeof verdict->options, "%s", spec->options);
    return clattn__program_recipe(spec, &recipe) &&
           clattn__stored_verdict_load(ctx, &recipe, text, sizeof text) && read_text(text, verdict);
}

bool clattn__verdict_find(clattn_context *ctx, const clattn__kernel_spec *spec,
                          clattn_verdict *verdict)
{
    struct clattn__verdicts *verdicts = verdicts_of(ctx);
    clattn__mutex_lock(&verdicts->lock);
    const entry *e = find(verdicts, spec);
    const bool known = e != NULL;
    if (known)
        *verdict = e->verdict;
    clattn__mutex_unlock(&verdicts->lock);
    if (known || ctx->params.selftest == CLATTN_SELFTEST_FORCE || !load(ctx, spec, verdict))
        return known;
    keep(ctx, spec, verdict, true);
    return true;
}

void clattn__verdicts_store(clattn_context *ctx)
{
    struct clattn__verdicts *verdicts = ctx->cl->verdicts;
    char text[MAX_TEXT];
    clattn__recipe recipe;
    if (!verdicts || !ctx->params.cache.put)
        return;
    clattn__mutex_lock(&verdicts->lock);
    for (entry *e = verdicts->first; e; e = e->next) {
        if (e->stored || e->verdict.code == CLATTN_VERDICT_UNTESTED ||
            !clattn__program_recipe(&e->spec, &recipe))
            continue;
        write_text(&e->verdict, text);
        clattn__stored_verdict_save(ctx, &recipe, text);
        e->stored = true;
    }
    clattn__mutex_unlock(&verdicts->lock);
}

size_t clattn_device_verdict(const clattn_context *ctx, size_t index, clattn_verdict *verdict)
{
    if (!clattn__context_valid(ctx) || !ctx->cl)
        return 0;
    struct clattn__verdicts *verdicts = verdicts_of(ctx);
    clattn__mutex_lock(&verdicts->lock);
    const size_t count = verdicts->count;
    const entry *e = verdicts->first;
    for (size_t i = 0; e && i < index; i++)
        e = e->next;
    if (e && verdict)
        *verdict = e->verdict;
    clattn__mutex_unlock(&verdicts->lock);
    return count;
}
