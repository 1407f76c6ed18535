/* Which rows of tuning a device can run. */
#include <stdarg.h>
#include <stdio.h>

#include "cl/tune.h"
#include "cl/tune_rows.h"

/* Ranges of macros (kernels/wide*.clh, kernels/dwc.cl) and of what the host makes of them. */
#define MOST_ROWS        12
#define MOST_VECTORS     2
#define MOST_AGENTS      64
#define QUERY_BLOCK_UNIT 32
#define MOST_QUERIES     4096
#define MOST_CHUNK       64
#define MOST_CHANNELS    16
#define MOST_TOKENS      16
#define MOST_ITEMS       1024

/* Where the reason goes. */
typedef struct reason {
    char *text;
    size_t size;
} reason;

CLATTN__PRINTF(2, 3)
static bool refuse(const reason *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text, why->size, format, arguments);
    va_end(arguments);
    return false;
}

/* A value that is set must lie in [least, most] and be a multiple of `unit`. */
static bool in_range(const reason *why, const char *name, int32_t value, int32_t least,
                     int32_t most, int32_t unit)
{
    if (value == 0 || (value >= least && value <= most && value % unit == 0))
        return true;
    if (unit == 1)
        return refuse(why, "%s is %d; it must be from %d to %d", name, (int)value, (int)least,
                      (int)most);
    return refuse(why, "%s is %d; it must be a multiple of %d from %d to %d", name, (int)value,
                  (int)unit, (int)least, (int)most);
}

static bool fits_wide(const reason *why, const clattn__tune_values *v)
{
    return in_range(why, "rows", v->rows, 1, MOST_ROWS, 1) &&
           in_range(why, "vectors", v->vectors, 1, MOST_VECTORS, 1) &&
           in_range(why, "agents", v->agents, 1, MOST_AGENTS, 1) &&
           in_range(why, "query_block", v->query_block, QUERY_BLOCK_UNIT, MOST_QUERIES,
                    QUERY_BLOCK_UNIT);
}

static bool fits_items(const clattn_context *ctx, const reason *why, const char *name,
                       int32_t items)
{
    if ((uint32_t)items <= ctx->params.max_work_group)
        return true;
    return refuse(why, "%s is %d; this device's work-groups have at most %u items", name,
                  (int)items, (unsigned)ctx->params.max_work_group);
}

static bool fits_tile(const clattn_context *ctx, const reason *why, const clattn__tune_values *v)
{
    const clattn__tile_row *const tile = clattn__tile_row_find(v->work_group);
    if (tile == NULL)
        return refuse(why, "work_group is %d; it must be 16, 32, 64, 128 or 256",
                      (int)v->work_group);
    /* Less than tile_k would share the keys among more items, which add them in another order. */
    if (!in_range(why, "chunk_d", v->chunk_d, 4, MOST_CHUNK, 4) ||
        !in_range(why, "block_dv", v->block_dv, tile->tile_k, 2 * tile->tile_k, 4) ||
        !fits_items(ctx, why, "work_group", v->work_group))
        return false;
    clattn__tile_row set = *tile;
    set.chunk_d = v->chunk_d != 0 ? v->chunk_d : set.chunk_d;
    set.block_dv = v->block_dv != 0 ? v->block_dv : set.block_dv;
    const uint64_t bytes = clattn__tile_row_local_bytes(&set);
    if (bytes <= ctx->params.max_local_bytes)
        return true;
    return refuse(why, "it needs %llu bytes of local memory; this device has %u",
                  (unsigned long long)bytes, (unsigned)ctx->params.max_local_bytes);
}

bool clattn__tune_fits(const clattn_context *ctx, const clattn__tune_row *row, char *why,
                       size_t size)
{
    const reason reason = {why, size};
    const clattn__tune_values *const v = &row->values;
    if (v->work_group != 0)
        return fits_tile(ctx, &reason, v);
    if ((v->channels & (v->channels - 1)) != 0)
        return refuse(&reason, "channels is %d; it must be 1, 2, 4, 8 or 16", (int)v->channels);
    return fits_wide(&reason, v) &&
           in_range(&reason, "channels", v->channels, 1, MOST_CHANNELS, 1) &&
           in_range(&reason, "tokens", v->tokens, 1, MOST_TOKENS, 1) &&
           in_range(&reason, "items", v->items, 1, MOST_ITEMS, 1) &&
           fits_items(ctx, &reason, "items", v->items);
}
