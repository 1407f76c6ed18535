#include "guard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "contexts.h"

#define GUARD 64

static const uint32_t poison_bits = 0x7fc0dead;
static const uint16_t poison_half = 0x7ead;

static void *at(const guard_tensor *g, unsigned char *memory, int64_t element)
{
    return memory + (size_t)element * g->size;
}

static void poison(guard_tensor *g)
{
    for (int64_t i = 0; i < g->elements; i++)
        memcpy(at(g, g->image, i),
               g->tensor.type == CLATTN_F16 ? (const void *)&poison_half : &poison_bits, g->size);
}

static void to_memory(const guard_tensor *g, const float *values, int64_t count, void *memory)
{
    if (g->tensor.type == CLATTN_F16)
        clattn_f16_from_f32(values, memory, (size_t)count);
    else
        memcpy(memory, values, (size_t)count * sizeof *values);
}

static void from_memory(const guard_tensor *g, const void *memory, int64_t count, float *values)
{
    if (g->tensor.type == CLATTN_F16)
        clattn_f32_from_f16(memory, values, (size_t)count);
    else
        memcpy(values, memory, (size_t)count * sizeof *values);
}

static uint64_t bytes_of(const guard_tensor *g)
{
    return (uint64_t)g->elements * g->size;
}

static float one(const guard_tensor *g, const void *element)
{
    float value;
    from_memory(g, element, 1, &value);
    return value;
}

/* Where element (b, t, h, 0) of the dense tensor lies in memory. */
static int64_t place(const guard_tensor *g, int64_t b, int64_t t, int64_t h)
{
    const clattn_tensor *x = &g->tensor;
    const int64_t start = x->offset + b * x->batch_stride + h * x->head_stride;

    if (t < g->class_tokens || g->width == 0 || x->row_stride == 0)
        return start + t * x->token_stride;
    const int64_t inner = t - g->class_tokens;
    return start + g->class_tokens * x->token_stride + inner / g->width * x->row_stride +
           inner % g->width * x->token_stride;
}

static void lay_out(guard_layout layout, const guard_shape *s, clattn_tensor *x)
{
    const int64_t channels = s->heads * s->dim;

    x->offset = GUARD;
    x->head_stride = s->dim;
    x->token_stride = channels;
    switch (layout) {
    case GUARD_HEADS:
        x->token_stride = s->dim;
        x->head_stride = s->tokens * s->dim;
        x->batch_stride = s->heads * x->head_stride;
        return;
    case GUARD_PACKED:
        x->offset = GUARD + channels;
        x->token_stride = 3 * channels;
        break;
    case GUARD_ROWS:
        x->offset = GUARD + 3;
        x->head_stride = s->dim + 1;
        x->token_stride = s->heads * x->head_stride + 2;
        if (s->width > 0) {
            const int64_t rows = (s->tokens - s->class_tokens) / s->width;
            x->row_stride = s->width * x->token_stride + 5;
            x->batch_stride = s->class_tokens * x->token_stride + rows * x->row_stride + 7;
            return;
        }
        break;
    default:
        break;
    }
    x->batch_stride = s->tokens * x->token_stride;
}

void guard_create(clattn_context *ctx, guard_layout layout, const guard_shape *s,
                  const float *values, guard_tensor *g)
{
    *g = (guard_tensor){.ctx = ctx, .class_tokens = s->class_tokens, .width = s->width};
    g->size = s->type == CLATTN_F16 ? 2 : 4;
    g->tensor.type = s->type;
    g->tensor.batch = s->batch;
    g->tensor.tokens = s->tokens;
    g->tensor.heads = s->heads;
    g->tensor.dim = s->dim;
    lay_out(layout, s, &g->tensor);
    g->elements = place(g, s->batch - 1, s->tokens - 1, s->heads - 1) + s->dim;
    if (!contexts_fresh())
        g->elements += GUARD;
    g->image = malloc((size_t)bytes_of(g));
    assert_non_null(g->image);
    poison(g);
    for (int64_t b = 0; values != NULL && b < s->batch; b++)
        for (int64_t t = 0; t < s->tokens; t++)
            for (int64_t h = 0; h < s->heads; h++, values += s->dim)
                to_memory(g, values, s->dim, at(g, g->image, place(g, b, t, h)));
    assert_int_equal(clattn_memory_alloc(ctx, bytes_of(g), &g->tensor.memory), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, &g->tensor.memory, 0, g->image, bytes_of(g)),
                     CLATTN_OK);
}

void guard_array(clattn_context *ctx, int64_t count, const float *values, guard_tensor *guard)
{
    const guard_shape shape = {.batch = 1, .tokens = 1, .heads = 1, .dim = count};
    guard_create(ctx, GUARD_TOKENS, &shape, values, guard);
}

void guard_destroy(guard_tensor *g)
{
    if (g->ctx != NULL)
        clattn_memory_free(g->ctx, &g->tensor.memory);
    free(g->image);
    *g = (guard_tensor){0};
}

void guard_poison(guard_tensor *g)
{
    poison(g);
    assert_int_equal(clattn_memory_write(g->ctx, &g->tensor.memory, 0, g->image, bytes_of(g)),
                     CLATTN_OK);
}

static unsigned char *read_all(const guard_tensor *g)
{
    unsigned char *now = malloc((size_t)bytes_of(g));
    assert_non_null(now);
    assert_int_equal(clattn_memory_read(g->ctx, &g->tensor.memory, 0, now, bytes_of(g)), CLATTN_OK);
    return now;
}

static void check_same(const guard_tensor *g, unsigned char *now, const char *what)
{
    for (int64_t i = 0; i < g->elements; i++) {
        const void *was = at(g, g->image, i);
        const void *is = at(g, now, i);
        if (memcmp(is, was, g->size) != 0)
            fail_msg("%s: element %lld of %lld in memory (tensor from %lld) changed from %g to %g",
                     what, (long long)i, (long long)g->elements, (long long)g->tensor.offset,
                     (double)one(g, was), (double)one(g, is));
    }
}

void guard_read(guard_tensor *g, const char *what, float *values)
{
    const clattn_tensor *x = &g->tensor;
    unsigned char *now = read_all(g);

    for (int64_t b = 0; b < x->batch; b++)
        for (int64_t t = 0; t < x->tokens; t++)
            for (int64_t h = 0; h < x->heads; h++, values += x->dim) {
                void *element = at(g, now, place(g, b, t, h));
                from_memory(g, element, x->dim, values);
                memcpy(element, at(g, g->image, place(g, b, t, h)), (size_t)x->dim * g->size);
            }
    check_same(g, now, what);
    free(now);
}

void guard_check_untouched(guard_tensor *g, const char *what)
{
    unsigned char *now = read_all(g);
    check_same(g, now, what);
    free(now);
}
