/* Source and sink over arrays in host memory: rows are copied between the tensors' strides and a tile's. */
#include <stdbool.h>
#include <string.h>

#include "clattn/tile.h"

/* A run of tokens of one picture in a tensor, or the place for it; `write` says into which of the two. */
typedef struct span {
    float *base; /* head 0 of the first token */
    int64_t token, head;
    int64_t heads, dim, tokens;
} span;

static void copy(const span *s, float *packed, bool write)
{
    const size_t bytes = (size_t)s->dim * sizeof(float);

    if (s->head == s->dim && s->token == s->heads * s->dim) {
        const size_t all = bytes * (size_t)(s->heads * s->tokens);
        memcpy(write ? s->base : packed, write ? packed : s->base, all);
        return;
    }
    for (int64_t t = 0; t < s->tokens; t++) {
        for (int64_t h = 0; h < s->heads; h++) {
            float *there = s->base + t * s->token + h * s->head;
            float *here = packed + (t * s->heads + h) * s->dim;
            memcpy(write ? there : here, write ? here : there, bytes);
        }
    }
}

/* Every row of the rectangle. */
static int copy_rect(const clattn_tensor *t, int64_t class_tokens, int64_t width,
                     const clattn_tile_rect *rect, float *packed, int64_t row_stride, bool write)
{
    const bool rows = width > 0 && t->row_stride != 0;
    span s = {.token = t->token_stride, .head = t->head_stride, .heads = t->heads, .dim = t->dim};
    float *picture = NULL;

    if (t->memory.host == NULL)
        return -1;
    picture = (float *)t->memory.host + t->offset + rect->picture * t->batch_stride;
    if (rect->class_count > 0) {
        s.base = picture + rect->class_first * t->token_stride;
        s.tokens = rect->class_count;
        copy(&s, packed, write);
        return 0;
    }
    const int64_t row = rows ? t->row_stride : width * t->token_stride;
    for (int64_t y = 0; y < rect->height; y++) {
        s.base = picture + class_tokens * t->token_stride + (rect->y + y) * row +
                 rect->x * t->token_stride;
        s.tokens = rect->width;
        copy(&s, packed + y * row_stride, write);
    }
    return 0;
}

static int fill(void *user, clattn_tile_input input, const clattn_tile_rect *rect, float *target,
                int64_t row_stride)
{
    const clattn_tile_arrays *a = user;
    const clattn_tensor *const tensors[] = {a->q, a->k, a->v, a->key_bias, a->v};
    const bool keys = input != CLATTN_TILE_Q && input != CLATTN_TILE_RGB;
    const int64_t width = keys && a->kv_width > 0 ? a->kv_width : a->width;

    if ((unsigned)input >= sizeof tensors / sizeof *tensors || tensors[input] == NULL)
        return -1;
    return copy_rect(tensors[input], a->class_tokens, width, rect, target, row_stride, false);
}

static int take(void *user, const clattn_tile_rect *rect, const float *data, int64_t row_stride)
{
    const clattn_tile_arrays *a = user;

    if (a->out == NULL)
        return -1;
    /* Only read from: the cast serves the shared loop. */
    return copy_rect(a->out, a->class_tokens, a->width, rect, (float *)data, row_stride, true);
}

clattn_tile_source clattn_tile_arrays_source(clattn_tile_arrays *arrays)
{
    return (clattn_tile_source){.fill = fill, .user = arrays};
}

clattn_tile_sink clattn_tile_arrays_sink(clattn_tile_arrays *arrays)
{
    return (clattn_tile_sink){.take = take, .user = arrays};
}
