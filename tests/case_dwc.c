#include "case_dwc.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

/* clang-format off */
static const case_dwc cases[] = { /* the first 4 are small */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 1, .height = 1, .width = 1, .size = 1}},
    {.desc = {.batch = 2, .heads = 2, .head_dim = 8, .height = 5, .width = 7, .class_tokens = 2,
              .size = 3, .has_bias = 1}},
    {.desc = {.batch = 1, .heads = 3, .head_dim = 5, .height = 6, .width = 8,
              .window_height = 3, .window_width = 4, .shift_y = 5, .shift_x = 2,
              .size = 5, .has_bias = 1, .accumulate = 1}},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 8, .height = 9, .width = 11,
              .in_height = 4, .in_width = 14, .class_tokens = 1, .size = 3, .accumulate = 1}},

    {.desc = {.batch = 1, .heads = 2, .head_dim = 6, .height = 8, .width = 15,
              .window_height = 4, .window_width = 5, .shift_y = 3, .shift_x = 7, .size = 7}},
    {.desc = {.batch = 1, .heads = 1, .head_dim = 33, .height = 1, .width = 211,
              .size = 7, .has_bias = 1}},
    {.desc = {.batch = 2, .heads = 2, .head_dim = 16, .height = 40, .width = 3, .size = 9}},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 3, .height = 13, .width = 17,
              .size = 63, .has_bias = 1}},
};
/* clang-format on */

const case_dwc *case_dwc_list(bool small, size_t *count)
{
    *count = small ? 4 : sizeof cases / sizeof *cases;
    return cases;
}

/* The descriptor with its defaults spelt out. */
static ref_dwc_shape reference_shape(const clattn_dwc_desc *d)
{
    return (ref_dwc_shape){
        .batch = d->batch,
        .heads = d->heads,
        .dim = d->head_dim,
        .map = {.class_tokens = d->class_tokens,
                .height = d->height,
                .width = d->width,
                .window_h = d->window_height != 0 ? d->window_height : d->height,
                .window_w = d->window_width != 0 ? d->window_width : d->width,
                .shift_y = d->shift_y,
                .shift_x = d->shift_x},
        .in_height = d->in_height != 0 ? d->in_height : d->height,
        .in_width = d->in_width != 0 ? d->in_width : d->width,
        .size = d->size,
    };
}

void case_dwc_text(const case_dwc *c, char *text, size_t bytes)
{
    const clattn_dwc_desc *d = &c->desc;
    snprintf(text, bytes,
             "batch %" PRId64 ", heads %" PRId64 " x %" PRId64 ", map %" PRId64 "x%" PRId64
             " from %" PRId64 "x%" PRId64 " + %" PRId64 " class, window %" PRId64 "x%" PRId64
             " shift %" PRId64 ",%" PRId64 ", size %" PRId64 "+%d, accumulate %d, %s",
             d->batch, d->heads, d->head_dim, d->height, d->width, d->in_height, d->in_width,
             d->class_tokens, d->window_height, d->window_width, d->shift_y, d->shift_x, d->size,
             (int)d->has_bias, (int)d->accumulate, d->type == CLATTN_F16 ? "f16" : "f32");
}

int64_t case_dwc_values(const case_dwc *c)
{
    const ref_dwc_shape s = reference_shape(&c->desc);
    return s.batch * (s.map.class_tokens + s.in_height * s.in_width) * s.heads * s.dim;
}

int64_t case_dwc_weights(const case_dwc *c)
{
    return c->desc.heads * c->desc.head_dim * c->desc.size * c->desc.size;
}

int64_t case_dwc_count(const case_dwc *c)
{
    const ref_dwc_shape s = reference_shape(&c->desc);
    return s.batch * ref_map_tokens(&s.map) * s.heads * s.dim;
}

static void make_answer(const case_dwc *c, case_dwc_data *data)
{
    const ref_dwc_shape s = reference_shape(&c->desc);
    const int64_t count = case_dwc_count(c);
    double *v = ref_widened(case_dwc_values(c), data->v);
    double *weight = ref_widened(case_dwc_weights(c), data->weight);
    double *bias = c->desc.has_bias ? ref_widened(s.heads * s.dim, data->bias) : NULL;

    data->answer = ref_array(count);
    ref_dwc(&s, v, weight, bias, data->answer);
    for (int64_t i = 0; c->desc.accumulate && i < count; i++)
        data->answer[i] += (double)data->before[i];
    free(bias);
    free(weight);
    free(v);
}

void case_dwc_make(const case_dwc *c, uint64_t seed, int answer, case_dwc_data *data)
{
    fill_random random = {seed};

    *data = (case_dwc_data){.v = fill_new(&random, c->fill, case_dwc_values(c))};
    data->weight = fill_new(&random, FILL_UNIFORM, case_dwc_weights(c));
    data->bias = fill_new(&random, FILL_UNIFORM, c->desc.heads * c->desc.head_dim);
    data->before = fill_new(&random, FILL_UNIFORM, case_dwc_count(c));
    fill_round(c->desc.type, case_dwc_values(c), data->v);
    fill_round(c->desc.type, case_dwc_count(c), data->before);
    if (answer)
        make_answer(c, data);
}

void case_dwc_free(case_dwc_data *data)
{
    free(data->v);
    free(data->weight);
    free(data->bias);
    free(data->before);
    free(data->answer);
    *data = (case_dwc_data){.answer = NULL};
}

/*
 * A sum of size^2 products, each at most 1, in any order: the rounding of a partial sum of k random terms is about
 * sqrt(k) u, so all together about size^2 / 2 u at worst and size u typically: 2 + size. f16: and one rounding of the result.
 */
double case_dwc_tolerance(const case_dwc *c)
{
    return (2.0 + (double)c->desc.size) * (double)FLT_EPSILON +
           (c->desc.type == CLATTN_F16 ? 0.5 * CASE_F16_EPSILON : 0);
}

double case_dwc_flops(const case_dwc *c)
{
    return 2.0 * (double)case_dwc_count(c) * (double)(c->desc.size * c->desc.size);
}

double case_dwc_bytes(const case_dwc *c)
{
    const double out = (double)case_dwc_count(c) * (c->desc.accumulate ? 2.0 : 1.0);
    const double size = c->desc.type == CLATTN_F16 ? 2.0 : 4.0;
    return size * ((double)case_dwc_values(c) + out) + 4.0 * (double)case_dwc_weights(c);
}
