#include "ops/bind.h"

#include <inttypes.h>

#include "ops/shape.h"

typedef struct axis {
    int64_t extent, stride;
} axis;

/* The axes of a tensor other than channels: batch, heads, then tokens, or class tokens and rows of a map. */
#define AXES 4

static clattn_status check_pointer(clattn_context *ctx, const char *name, const void *pointer)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(&ctx->log, pointer != NULL, CLATTN_E_ARG, "%s is NULL; the descriptor asks for it",
                 name);
out:
    return status;
}

static clattn_status check_shape(clattn_context *ctx, const clattn_tensor *t, const clattn__want *w)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(&ctx->log, t->type == w->type, CLATTN_E_TYPE,
                 "%s has type %d; the plan needs %s (%d)", w->name, (int)t->type,
                 w->type == CLATTN_F16 ? "CLATTN_F16" : "CLATTN_F32", (int)w->type);
    CLATTN_CHECK(
        &ctx->log,
        t->batch == w->batch && t->tokens == w->tokens && t->heads == w->heads && t->dim == w->dim,
        CLATTN_E_SHAPE,
        "%s has shape (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
        "); the plan needs (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ")",
        w->name, t->batch, t->tokens, t->heads, t->dim, w->batch, w->tokens, w->heads, w->dim);
    CLATTN_CHECK(&ctx->log,
                 t->offset >= 0 && t->batch_stride >= 0 && t->head_stride >= 0 &&
                     t->token_stride >= 0 && t->row_stride >= 0,
                 CLATTN_E_SHAPE,
                 "%s has offset %" PRId64 " and strides %" PRId64 ", %" PRId64 ", %" PRId64
                 ", %" PRId64 "; none may be negative",
                 w->name, t->offset, t->batch_stride, t->row_stride, t->token_stride,
                 t->head_stride);
out:
    return status;
}

/* Host memory of elements of `size` bytes; OpenCL buffers are aligned to all types. */
static clattn_status check_alignment(clattn_context *ctx, const char *name,
                                     const clattn_memory *memory, uint64_t size)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(&ctx->log, (uintptr_t)memory->host % size == 0, CLATTN_E_ARG,
                 "%s lies at an address that is no multiple of %" PRIu64, name, size);
out:
    return status;
}

/* *end = *end + (extent - 1) * stride, or a refusal where that overflows. */
static bool extend(int64_t extent, int64_t stride, int64_t *end)
{
    int64_t span;
    return clattn__mul(extent - 1, stride, &span) && clattn__add(*end, span, end);
}

/*
 * An output is written once per element: sorted by stride, each axis must step over everything the smaller ones reach.
 * (Enough for any sensible layout; cleverly interleaved ones are refused.)
 */
static bool elements_distinct(const clattn_tensor *t, axis axes[AXES])
{
    for (int i = 1; i < AXES; i++)
        for (int j = i; j > 0 && axes[j].stride < axes[j - 1].stride; j--) {
            const axis swap = axes[j];
            axes[j] = axes[j - 1];
            axes[j - 1] = swap;
        }
    int64_t reach = t->dim;
    for (int i = 0; i < AXES; i++) {
        if (axes[i].extent == 1)
            continue;
        if (axes[i].stride < reach || !extend(axes[i].extent, axes[i].stride, &reach))
            return false;
    }
    return true;
}

/* The last element a tensor touches, plus one; tokens of a map lie in rows behind the class tokens. */
static bool tensor_end(const clattn_tensor *t, const Grid *grid, int64_t row, int64_t *end)
{
    *end = 1;
    bool fits = clattn__add(t->offset, t->dim, end) && extend(t->batch, t->batch_stride, end) &&
                extend(t->heads, t->head_stride, end);
    if (grid == NULL)
        return fits && extend(t->tokens, t->token_stride, end);
    return fits && extend(grid->class_tokens + (int64_t)1, t->token_stride, end) &&
           extend(grid->width, t->token_stride, end) && extend(grid->height, row, end);
}

clattn_status clattn__bind(clattn_context *ctx, const clattn_tensor *t, const clattn__want *w,
                           clattn__bound *bound)
{
    clattn_status status = CLATTN_OK;
    const Grid *grid = w->grid;
    const int64_t per_picture = w->windows > 1 ? w->windows : 1;
    const uint64_t size = (uint64_t)clattn__type_bytes(w->type);
    int64_t row = 0;
    int64_t end = 0;

    CLATTN_TRY(check_pointer(ctx, w->name, t));
    CLATTN_TRY(check_shape(ctx, t, w));
    clattn_memory memory = t->memory;
    CLATTN_TRY(ctx->backend->check_memory(ctx, w->name, &memory));
    CLATTN_TRY(check_alignment(ctx, w->name, &memory, size));

    bool linear = true;
    if (grid != NULL) {
        CLATTN_CHECK(&ctx->log, clattn__mul(grid->width, t->token_stride, &row), CLATTN_E_SHAPE,
                     "%s has token stride %" PRId64 "; a row of %d tokens does not fit 64 bits",
                     w->name, t->token_stride, (int)grid->width);
        linear = t->row_stride == 0 || t->row_stride == row;
        row = t->row_stride != 0 ? t->row_stride : row;
    }
    CLATTN_CHECK(&ctx->log, tensor_end(t, grid, row, &end), CLATTN_E_SHAPE,
                 "%s has offset %" PRId64 " and strides that lead beyond 64 bits", w->name,
                 t->offset);
    CLATTN_CHECK(&ctx->log, (uint64_t)end <= memory.bytes / size, CLATTN_E_SHAPE,
                 "%s reaches to element %" PRId64 "; its memory has %" PRIu64 " (%" PRIu64
                 " bytes)",
                 w->name, end, memory.bytes / size, memory.bytes);
    if (w->write) {
        axis axes[AXES] = {{t->batch, t->batch_stride}, {t->heads, t->head_stride}};
        if (grid == NULL || linear) {
            axes[2] = (axis){t->tokens, t->token_stride};
            axes[3] = (axis){1, 0};
        } else {
            axes[2] = (axis){grid->width, t->token_stride};
            axes[3] = (axis){grid->height, row};
        }
        CLATTN_CHECK(&ctx->log, elements_distinct(t, axes), CLATTN_E_SHAPE,
                     "%s is written, but its strides %" PRId64 ", %" PRId64 ", %" PRId64
                     ", %" PRId64 " put several elements in one place",
                     w->name, t->batch_stride, t->row_stride, t->token_stride, t->head_stride);
    }

    *bound = (clattn__bound){.name = w->name,
                             .view = {.offset = t->offset,
                                      .batch = t->batch_stride * per_picture,
                                      .window = w->windows > 0 ? t->batch_stride : 0,
                                      .head = t->head_stride,
                                      .row = row,
                                      .token = t->token_stride},
                             .memory = memory,
                             .first = (uint64_t)t->offset * size,
                             .end = (uint64_t)end * size,
                             .linear = linear,
                             .write = w->write};
out:
    return status;
}

clattn_status clattn__bind_array(clattn_context *ctx, const char *name, const clattn_array *array,
                                 int64_t count, clattn__bound *bound)
{
    clattn_status status = CLATTN_OK;

    CLATTN_TRY(check_pointer(ctx, name, array));
    CLATTN_CHECK(&ctx->log, array->count == count, CLATTN_E_SHAPE,
                 "%s has %" PRId64 " elements; the plan needs %" PRId64, name, array->count, count);
    CLATTN_CHECK(&ctx->log, array->offset >= 0, CLATTN_E_SHAPE,
                 "%s has offset %" PRId64 "; it may not be negative", name, array->offset);
    clattn_memory memory = array->memory;
    CLATTN_TRY(ctx->backend->check_memory(ctx, name, &memory));
    CLATTN_TRY(check_alignment(ctx, name, &memory, sizeof(float)));
    const uint64_t elements = memory.bytes / sizeof(float);
    CLATTN_CHECK(&ctx->log,
                 (uint64_t)array->offset <= elements &&
                     (uint64_t)count <= elements - (uint64_t)array->offset,
                 CLATTN_E_SHAPE,
                 "%s has %" PRId64 " elements from %" PRId64 "; its memory has %" PRIu64, name,
                 count, array->offset, elements);
    *bound = (clattn__bound){.name = name,
                             .view = {.offset = array->offset},
                             .memory = memory,
                             .first = (uint64_t)array->offset * sizeof(float),
                             .end = (uint64_t)(array->offset + count) * sizeof(float),
                             .linear = true};
out:
    return status;
}

clattn_status clattn__bind_none(clattn_context *ctx, const char *name, const void *given,
                                const char *flag)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(&ctx->log, given == NULL, CLATTN_E_ARG,
                 "%s is given, but the plan was made with %s", name, flag);
out:
    return status;
}

static bool share_bytes(const clattn__bound *a, const clattn__bound *b)
{
    if (a->memory.mem != NULL)
        return a->memory.mem == b->memory.mem && a->first < b->end && b->first < a->end;
    if (a->memory.host == NULL || b->memory.host == NULL)
        return false;
    const uintptr_t x = (uintptr_t)a->memory.host;
    const uintptr_t y = (uintptr_t)b->memory.host;
    return x + a->first < y + b->end && y + b->first < x + a->end;
}

clattn_status clattn__bind_disjoint(clattn_context *ctx, const clattn__bound *bounds, int count)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            CLATTN_CHECK(&ctx->log,
                         i == j || !bounds[i].write || !share_bytes(&bounds[i], &bounds[j]),
                         CLATTN_E_ARG,
                         "%s overlaps %s: bytes %" PRIu64 " to %" PRIu64 " and %" PRIu64
                         " to %" PRIu64 " of one memory",
                         bounds[i].name, bounds[j].name, bounds[i].first, bounds[i].end,
                         bounds[j].first, bounds[j].end);
out:
    return status;
}

void *clattn__bound_host(const clattn__bound *bound)
{
    return bound->memory.host;
}
