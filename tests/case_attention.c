#include "case_attention.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

/* clang-format off */
static const case_attention cases[] = { /* the first 3 are small */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 8, .queries = 1, .keys = 1}},
    {.desc = {.batch = 2, .heads = 2, .head_dim = 8, .queries = 33, .keys = 35, .has_key_bias = 1},
     .excluded = 3},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 5, .head_dim_v = 3, .queries = 17, .keys = 2,
              .scale = 2.0f}},

    {.desc = {.batch = 3, .heads = 3, .head_dim = 32, .queries = 49, .keys = 49}},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 64, .queries = 257, .keys = 1031}},
    {.desc = {.batch = 1, .heads = 1, .head_dim = 17, .head_dim_v = 136, .queries = 521, .keys = 65}},
    {.desc = {.batch = 2, .heads = 1, .head_dim = 32, .queries = 3, .keys = 64, .has_key_bias = 1},
     .excluded = 1},
    /* More keys and values per head than heads take turns with. */
    {.desc = {.batch = 1, .heads = 3, .head_dim = 16, .queries = 300, .keys = 8300}},
};
/* clang-format on */

const case_attention *case_attention_list(bool small, size_t *count)
{
    *count = small ? 3 : sizeof cases / sizeof *cases;
    return cases;
}

/* Elements of q, k, v, key_bias and out. */
enum { Q, K, V, KEY_BIAS, OUT, TENSORS };

static int64_t width_v(const clattn_attention_desc *d)
{
    return d->head_dim_v != 0 ? d->head_dim_v : d->head_dim;
}

static int64_t elements(const clattn_attention_desc *d, int tensor)
{
    const int64_t widths[TENSORS] = {d->head_dim, d->head_dim, width_v(d), 1, width_v(d)};
    const int64_t tokens = tensor == Q || tensor == OUT ? d->queries : d->keys;
    return d->batch * d->heads * tokens * widths[tensor];
}

void case_attention_text(const case_attention *c, char *text, size_t bytes)
{
    const clattn_attention_desc *d = &c->desc;
    snprintf(text, bytes,
             "batch %" PRId64 ", heads %" PRId64 " x %" PRId64 "/%" PRId64 ", %" PRId64
             " queries, %" PRId64 " keys, %s, key bias %d, fill %s",
             d->batch, d->heads, d->head_dim, d->head_dim_v, d->queries, d->keys,
             d->type == CLATTN_F16 ? "f16" : "f32", (int)d->has_key_bias, fill_name(c->fill));
}

static void make_answer(const case_attention *c, case_attention_data *data)
{
    const clattn_attention_desc *d = &c->desc;
    const double scale = d->scale != 0.0f ? (double)d->scale : 1.0 / sqrt((double)d->head_dim);
    const ref_attention_shape shape = {d->batch,   d->heads, d->head_dim, width_v(d),
                                       d->queries, d->keys,  scale};
    double *q = ref_widened(elements(d, Q), data->q);
    double *k = ref_widened(elements(d, K), data->k);
    double *v = ref_widened(elements(d, V), data->v);
    double *key_bias = d->has_key_bias ? ref_widened(elements(d, KEY_BIAS), data->key_bias) : NULL;

    data->answer = ref_array(elements(d, OUT));
    ref_attention(&shape, q, k, v, NULL, key_bias, data->answer);
    free(key_bias);
    free(v);
    free(k);
    free(q);
}

void case_attention_make(const case_attention *c, uint64_t seed, int answer,
                         case_attention_data *data)
{
    const clattn_attention_desc *d = &c->desc;
    float **const tensors[] = {&data->q, &data->k, &data->v};
    fill_random random = {seed};

    *data = (case_attention_data){.answer = NULL};
    for (int i = Q; i <= V; i++) {
        *tensors[i] = fill_new(&random, c->fill, elements(d, i));
        fill_round(d->type, elements(d, i), *tensors[i]);
    }
    data->key_bias = fill_new(&random, FILL_UNIFORM, elements(d, KEY_BIAS));
    fill_additive(&random, c->excluded, elements(d, KEY_BIAS), data->key_bias);
    if (answer)
        make_answer(c, data);
}

void case_attention_free(case_attention_data *data)
{
    free(data->q);
    free(data->k);
    free(data->v);
    free(data->key_bias);
    free(data->answer);
    *data = (case_attention_data){.answer = NULL};
}

int64_t case_attention_count(const case_attention *c)
{
    return elements(&c->desc, OUT);
}

/*
 * As agent_aggregate, without its bias: logits of at most about 4, off by some 8 u in base 2; convex sums of |v| <= 1. f16: and one
 * rounding of the result.
 */
double case_attention_tolerance(const case_attention *c)
{
    return 8.0 * (double)FLT_EPSILON + (c->desc.type == CLATTN_F16 ? 0.5 * CASE_F16_EPSILON : 0);
}

double case_attention_flops(const case_attention *c)
{
    const clattn_attention_desc *d = &c->desc;
    return 2.0 * (double)d->batch * (double)d->heads * (double)d->queries * (double)d->keys *
           (double)(d->head_dim + width_v(d));
}

double case_attention_bytes(const case_attention *c)
{
    double count = 0.0;
    for (int i = 0; i < TENSORS; i++)
        if (i != KEY_BIAS || c->desc.has_key_bias)
            count += (double)elements(&c->desc, i);
    return (c->desc.type == CLATTN_F16 ? 2.0 : 4.0) * count;
}
