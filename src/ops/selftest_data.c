/* The numbers of self-test problems, and where they lie. */
#include <math.h>

#include "cpu/cpu.h"
#include "ops/selftest.h"

#define MARK -12344.0f /* of outputs; selftest.c knows it too */

float clattn__selftest_number(clattn__selftest *test)
{
    test->seed = test->seed * 1664525u + 1013904223u;
    return (float)(int32_t)test->seed * 4.6566129e-10f; /* 2^-31 */
}

/* Where (picture, token) of a tensor lies. */
static int64_t row_offset(const clattn_tensor *t, const clattn__selftest_shape *s, int64_t b,
                          int64_t token)
{
    const int64_t start = t->offset + b * t->batch_stride;
    if (s->width == 0 || token < s->class_tokens)
        return start + token * t->token_stride;
    const int64_t i = token - s->class_tokens;
    return start + s->class_tokens * t->token_stride + i / s->width * t->row_stride +
           i % s->width * t->token_stride;
}

/* Strides with odd gaps, or none; returns the elements. */
static int64_t lay_out(const clattn__selftest_shape *s, clattn_tensor *t)
{
    const int64_t gap = s->dense ? 0 : 1;
    int64_t map = s->tokens;

    t->batch = s->batch;
    t->tokens = s->tokens;
    t->heads = s->heads;
    t->dim = s->dim;
    t->offset = 3 * gap;
    t->head_stride = s->dim + gap;
    t->token_stride = s->heads * t->head_stride + 2 * gap;
    if (s->width > 0) {
        t->row_stride = s->width * t->token_stride + 5 * gap;
        map = s->class_tokens;
    }
    t->batch_stride = map * t->token_stride + 7 * gap;
    if (s->width > 0)
        t->batch_stride += (s->tokens - s->class_tokens) / s->width * t->row_stride;
    return t->offset + s->batch * t->batch_stride;
}

static float vector_term(const clattn__selftest_shape *s, int64_t b, int64_t token, int64_t head)
{
    const bool masked = (token + head) % 7 == 3 || (b == 0 && head == 1);
    if (masked)
        return -INFINITY;
    if (s->fill == CLATTN__FILL_MASK)
        return 0.0f;
    return 6.0f * (float)token / (float)s->tokens - 3.0f;
}

/* The dim elements of a token's head. */
static void fill_row(clattn__selftest *test, const clattn__selftest_shape *s, int64_t b,
                     int64_t token, int64_t head, float *row)
{
    const float tiny = 3.8146973e-6f;
    switch (s->fill) {
    case CLATTN__FILL_EVEN:
        for (int64_t j = 0; j < s->dim; j++)
            row[j] = clattn__selftest_number(test);
        break;
    case CLATTN__FILL_WHOLE:
        for (int64_t j = 0; j < s->dim; j++)
            row[j] = roundf(4.0f * clattn__selftest_number(test));
        break;
    case CLATTN__FILL_TINY:
        for (int64_t j = 0; j < s->dim; j++)
            row[j] = tiny * clattn__selftest_number(test);
        break;
    case CLATTN__FILL_VECTOR:
    case CLATTN__FILL_MASK:
        for (int64_t j = 0; j < s->dim; j++)
            row[j] = vector_term(s, b, token, head);
        break;
    case CLATTN__FILL_NOTHING: /* marked already */
        break;
    }
}

clattn_status clattn__selftest_memory(clattn__selftest *test, const float *values, int64_t count,
                                      clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = test->ctx;
    const uint64_t bytes = (uint64_t)count * sizeof *values;
    clattn_memory *made = &test->memory[test->count];

    CLATTN_TRY(ctx->backend->alloc(ctx, bytes, made));
    test->count++;
    CLATTN_TRY(ctx->backend->write(ctx, made, 0, values, bytes));
    *memory = *made;
out:
    return status;
}

/* The same in f16. */
static clattn_status half_memory(clattn__selftest *test, const float *values, int64_t count,
                                 clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    /* Whole floats, so that it goes the way of the others. */
    uint16_t *halves = clattn__alloc_array((size_t)(count + 1), sizeof *halves);

    CLATTN_CHECK(&test->ctx->log, halves != NULL, CLATTN_E_NOMEM,
                 "no host memory for the self-test");
    test->cpu->cpu->ops->narrow(values, (int)count, halves);
    CLATTN_TRY(clattn__selftest_memory(test, (const float *)(const void *)halves, (count + 1) / 2,
                                       memory));
out:
    clattn__free(halves);
    return status;
}

/* What the device's halves are, as floats. */
static clattn_status round_to_half(clattn__selftest *test, float *values, size_t count)
{
    clattn_status status = CLATTN_OK;
    uint16_t *halves = clattn__alloc_array(count, sizeof *halves);

    CLATTN_CHECK(&test->ctx->log, halves != NULL, CLATTN_E_NOMEM,
                 "no host memory for the self-test");
    test->cpu->cpu->ops->narrow(values, (int)count, halves);
    test->cpu->cpu->ops->widen(halves, (int)count, values);
out:
    clattn__free(halves);
    return status;
}

/* Fills the tensor's elements, and what lies between with what must not be read, or not be written. */
static void fill(clattn__selftest *test, const clattn__selftest_shape *s, const clattn_tensor *t,
                 int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = s->fill == CLATTN__FILL_NOTHING ? MARK : NAN;
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t token = 0; token < s->tokens; token++)
            for (int64_t head = 0; head < s->heads; head++)
                fill_row(test, s, b, token, head,
                         values + row_offset(t, s, b, token) + head * t->head_stride);
}

clattn_status clattn__selftest_tensor(clattn__selftest *test, const clattn__selftest_shape *s,
                                      clattn_tensor *tensor)
{
    clattn_status status = CLATTN_OK;
    clattn_tensor t = {.type = s->plain ? CLATTN_F32 : test->storage};
    const int64_t count = lay_out(s, &t);
    float *values = clattn__alloc_array((size_t)count, sizeof *values);

    CLATTN_CHECK(&test->ctx->log, values != NULL, CLATTN_E_NOMEM,
                 "no host memory for the self-test");
    fill(test, s, &t, count, values);
    if (!s->plain && test->of->desc.type == CLATTN_F16)
        CLATTN_TRY(round_to_half(test, values, (size_t)count));
    if (t.type == CLATTN_F16)
        CLATTN_TRY(half_memory(test, values, count, &t.memory));
    else
        CLATTN_TRY(clattn__selftest_memory(test, values, count, &t.memory));
    *tensor = t;
out:
    clattn__free(values);
    return status;
}

clattn_status clattn__selftest_array(clattn__selftest *test, int64_t count, clattn_array *array)
{
    clattn_status status = CLATTN_OK;
    const int64_t offset = 5;
    float *values = clattn__alloc_array((size_t)(count + offset), sizeof *values);

    CLATTN_CHECK(&test->ctx->log, values != NULL, CLATTN_E_NOMEM,
                 "no host memory for the self-test");
    for (int64_t i = 0; i < count + offset; i++)
        values[i] = i < offset ? NAN : clattn__selftest_number(test);
    CLATTN_TRY(clattn__selftest_memory(test, values, count + offset, &array->memory));
    array->offset = offset;
    array->count = count;
out:
    clattn__free(values);
    return status;
}
