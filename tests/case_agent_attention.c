#include "case_agent_attention.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

const char *case_step_name(case_step step)
{
    static const char *const names[CASE_STEPS] = {"agent_pool", "agent_aggregate",
                                                  "agent_broadcast", "agent_attention"};
    return names[step];
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value != 0 ? value : fallback;
}

/* The descriptor with its defaults spelt out, as the public header documents them. */
static ref_agent_shape reference_shape(const clattn_agent_attention_desc *d)
{
    const double scale = 1.0 / sqrt((double)d->head_dim);
    const ref_map q = {.class_tokens = d->class_tokens,
                       .height = d->height,
                       .width = d->width,
                       .window_h = or_default(d->window_height, d->height),
                       .window_w = or_default(d->window_width, d->width),
                       .shift_y = d->shift_y,
                       .shift_x = d->shift_x};
    ref_map k = q;
    if (d->kv_height != 0 || d->kv_width != 0) {
        k.height = or_default(d->kv_height, d->height);
        k.width = or_default(d->kv_width, d->width);
        k.window_h = d->window_height != 0 ? k.window_h : k.height;
        k.window_w = d->window_width != 0 ? k.window_w : k.width;
    }
    return (ref_agent_shape){
        .batch = d->batch,
        .heads = d->heads,
        .dim = d->head_dim,
        .dim_v = or_default(d->head_dim_v, d->head_dim),
        .q_map = q,
        .k_map = k,
        .agent_h = d->agent_height,
        .agent_w = d->agent_width,
        .dwc_size = d->dwc_size,
        .scale_aggregate = d->scale_aggregate != 0.0f ? (double)d->scale_aggregate : scale,
        .scale_broadcast = d->scale_broadcast != 0.0f ? (double)d->scale_broadcast : scale,
        .v_shortcut = (double)d->v_shortcut,
    };
}

case_agent_sizes case_agent_size(const clattn_agent_attention_desc *desc)
{
    const ref_agent_shape s = reference_shape(desc);
    case_agent_sizes z = {.heads = s.heads,
                          .dim = s.dim,
                          .dim_v = s.dim_v,
                          .q_tokens = ref_map_tokens(&s.q_map),
                          .k_tokens = ref_map_tokens(&s.k_map),
                          .windows = ref_map_windows(&s.q_map),
                          .agents = s.agent_h * s.agent_w};
    z.problems = s.batch * z.windows;
    z.q = s.batch * z.q_tokens * s.heads * s.dim;
    z.k = s.batch * z.k_tokens * s.heads * s.dim;
    z.v = s.batch * z.k_tokens * s.heads * s.dim_v;
    z.out = s.batch * z.q_tokens * s.heads * s.dim_v;
    z.agent = z.problems * z.agents * s.heads * s.dim;
    z.va = z.problems * z.agents * s.heads * s.dim_v;
    return z;
}

void case_agent_text(const case_agent *c, char *text, size_t bytes)
{
    const clattn_agent_attention_desc *d = &c->desc;
    snprintf(text, bytes,
             "batch %" PRId64 ", heads %" PRId64 " x %" PRId64 "/%" PRId64 ", map %" PRId64
             "x%" PRId64 " (kv %" PRId64 "x%" PRId64 ") + %" PRId64 " class, window %" PRId64
             "x%" PRId64 " shift %" PRId64 ",%" PRId64 ", agents %" PRId64 "x%" PRId64
             "%s, %s, bias %d (own grids %" PRId64 "x%" PRId64 ", %" PRId64 "x%" PRId64
             "), vectors %d%d, dwc %" PRId64 "+%d, shortcut %g, fill %s",
             d->batch, d->heads, d->head_dim, d->head_dim_v, d->height, d->width, d->kv_height,
             d->kv_width, d->class_tokens, d->window_height, d->window_width, d->shift_y,
             d->shift_x, d->agent_height, d->agent_width, d->agents_given ? " given" : "",
             d->type == CLATTN_F16 ? "f16" : "f32", (int)d->has_bias, c->grid_h[0], c->grid_w[0],
             c->grid_h[1], c->grid_w[1], (int)d->has_key_bias, (int)d->has_agent_vector,
             d->dwc_size, (int)d->has_dwc_bias, (double)d->v_shortcut, fill_name(c->fill));
}

/* As storage of the type holds them. (Rounding to float first hides no more than a tie of halves.) */
static void narrow(clattn_type type, int64_t count, const double *values, float *array)
{
    for (int64_t i = 0; i < count; i++)
        array[i] = (float)values[i];
    fill_round(type, count, array);
}

static float *stored(const case_agent *c, fill_random *random, int64_t count)
{
    float *array = fill_new(random, c->fill, count);
    fill_round(c->desc.type, count, array);
    return array;
}

void case_agent_fill_bias(const case_agent *c, fill_random *random, clattn_agent_bias_desc *bias)
{
    const int64_t trained = c->trained_agents_h * c->trained_agents_w * c->desc.heads;
    clattn_agent_bias_stage *stages[2] = {&bias->aggregate, &bias->broadcast};

    bias->trained_agents_height = c->trained_agents_h;
    bias->trained_agents_width = c->trained_agents_w;
    for (int i = 0; i < 2; i++) {
        stages[i]->trained_height = c->trained_h;
        stages[i]->trained_width = c->trained_w;
        stages[i]->grid_height = c->grid_h[i];
        stages[i]->grid_width = c->grid_w[i];
        stages[i]->map = fill_new(random, FILL_UNIFORM, trained * 49);
        stages[i]->row = fill_new(random, FILL_UNIFORM, trained * c->trained_h);
        stages[i]->column = fill_new(random, FILL_UNIFORM, trained * c->trained_w);
        stages[i]->class_token = fill_new(random, FILL_UNIFORM, trained);
    }
}

/* One stage's whole bias tensor, or NULL. */
static double *reference_bias(const case_agent *c, const case_agent_data *data, int stage)
{
    const ref_agent_shape s = reference_shape(&c->desc);
    const ref_map *map = stage == 1 ? &s.k_map : &s.q_map;
    const clattn_agent_bias_stage *from =
        stage == 1 ? &data->bias.aggregate : &data->bias.broadcast;
    const ref_bias_shape shape = {
        s.heads, map->class_tokens, c->trained_agents_h, c->trained_agents_w, s.agent_h, s.agent_w};
    const ref_bias_stage weights = {from->map,
                                    from->row,
                                    from->column,
                                    from->class_token,
                                    from->trained_height,
                                    from->trained_width,
                                    or_default(from->grid_height, map->window_h),
                                    or_default(from->grid_width, map->window_w)};
    if (!c->desc.has_bias)
        return NULL;
    double *bias = ref_array(s.heads * s.agent_h * s.agent_w * ref_window_tokens(map));
    ref_agent_bias(&shape, &weights, stage, bias);
    return bias;
}

/* The oracle's inputs: every float of the data, exactly, in double. Freed with inputs_free(). */
static ref_agent_inputs inputs_make(const case_agent *c, const case_agent_data *data)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    const clattn_agent_attention_desc *d = &c->desc;
    const int64_t weights = z.heads * z.dim_v * d->dwc_size * d->dwc_size;

    return (ref_agent_inputs){
        .q = ref_widened(z.q, data->q),
        .k = ref_widened(z.k, data->k),
        .v = ref_widened(z.v, data->v),
        .agents = ref_widened(z.agent, data->agents),
        .bias1 = reference_bias(c, data, 1),
        .bias2 = reference_bias(c, data, 2),
        .key_bias =
            d->has_key_bias ? ref_widened(d->batch * z.k_tokens * z.heads, data->key_bias) : NULL,
        .agent_vector = d->has_agent_vector
                            ? ref_widened(z.problems * z.agents * z.heads, data->agent_vector)
                            : NULL,
        .dwc_weight = d->dwc_size > 0 ? ref_widened(weights, data->dwc_weight) : NULL,
        .dwc_bias = d->has_dwc_bias ? ref_widened(z.heads * z.dim_v, data->dwc_bias) : NULL,
    };
}

static void inputs_free(ref_agent_inputs *in)
{
    const double *const owned[] = {in->q,        in->k,         in->v,        in->agents,
                                   in->bias1,    in->bias2,     in->key_bias, in->agent_vector,
                                   in->dwc_bias, in->dwc_weight};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free((void *)(uintptr_t)owned[i]);
}

void case_agent_fill(const case_agent *c, uint64_t seed, case_agent_data *data)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    const ref_agent_shape s = reference_shape(&c->desc);
    const clattn_agent_attention_desc *d = &c->desc;
    fill_random random = {seed};

    *data = (case_agent_data){.q = NULL};
    data->q = stored(c, &random, z.q);
    data->k = stored(c, &random, z.k);
    data->v = stored(c, &random, z.v);
    data->agents = stored(c, &random, z.agent);
    data->va = stored(c, &random, z.va);
    data->key_bias = fill_new(&random, FILL_UNIFORM, d->batch * z.k_tokens * z.heads);
    fill_additive(&random, c->excluded, d->batch * z.k_tokens * z.heads, data->key_bias);
    data->agent_vector = fill_new(&random, FILL_UNIFORM, z.problems * z.agents * z.heads);
    fill_additive(&random, c->excluded, z.problems * z.agents * z.heads, data->agent_vector);
    data->dwc_weight = fill_new(&random, FILL_UNIFORM,
                                z.heads * z.dim_v * or_default(d->dwc_size * d->dwc_size, 1));
    data->dwc_bias = fill_new(&random, FILL_UNIFORM, z.heads * z.dim_v);
    if (d->has_bias)
        case_agent_fill_bias(c, &random, &data->bias);

    data->answer[STEP_POOL] = ref_array(z.agent);
    data->answer[STEP_AGGREGATE] = ref_array(z.va);
    data->answer[STEP_BROADCAST] = ref_array(z.out);
    data->answer[STEP_WHOLE] = ref_array(z.out);
    double *q = ref_widened(z.q, data->q);
    ref_agent_pool(&s, q, data->answer[STEP_POOL]);
    if (!d->agents_given)
        narrow(d->type, z.agent, data->answer[STEP_POOL], data->agents);
    free(q);
}

void case_agent_answer(const case_agent *c, case_agent_data *data)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    const ref_agent_shape s = reference_shape(&c->desc);
    ref_agent_inputs in = inputs_make(c, data);

    ref_agent_aggregate(&s, &in, data->answer[STEP_AGGREGATE]);
    narrow(c->desc.type, z.va, data->answer[STEP_AGGREGATE], data->va);
    double *va = ref_widened(z.va, data->va);
    ref_agent_broadcast(&s, &in, va, data->answer[STEP_BROADCAST]);
    free(va);

    ref_agent_inputs whole = in;
    whole.agents = c->desc.agents_given ? in.agents : NULL;
    ref_agent_attention(&s, &whole, data->answer[STEP_WHOLE]);
    inputs_free(&in);
}

void case_agent_free(case_agent_data *data)
{
    const clattn_agent_bias_stage *stages[2] = {&data->bias.aggregate, &data->bias.broadcast};
    float *const owned[] = {data->q,
                            data->k,
                            data->v,
                            data->agents,
                            data->va,
                            data->key_bias,
                            data->agent_vector,
                            data->dwc_bias,
                            data->dwc_weight};

    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    for (int i = 0; i < 2; i++) {
        free((void *)(uintptr_t)stages[i]->map);
        free((void *)(uintptr_t)stages[i]->row);
        free((void *)(uintptr_t)stages[i]->column);
        free((void *)(uintptr_t)stages[i]->class_token);
    }
    for (int i = 0; i < CASE_STEPS; i++)
        free(data->answer[i]);
    *data = (case_agent_data){0};
}

int64_t case_agent_count(const case_agent *c, case_step step)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    return step == STEP_POOL ? z.agent : step == STEP_AGGREGATE ? z.va : z.out;
}

/*
 * In units of FLT_EPSILON = 2u; data in [-1, 1], so results are at most about 1 (DWC: about its number of taps).
 * pool       a sum of m values is off by about sqrt(m) roundings of size sqrt(m) u; the mean by u: 2.
 * aggregate  |logit| stays below about 8 (16 in base 2 with bias and vectors), so a logit is off by a few times 16 u, and a
 *            weight by ln 2 times that; a convex sum of |v| <= 1 keeps it: 16.
 * broadcast  the same, plus the convolution's size^2 products of at most 1: 16 covers 7 x 7.
 * whole      both, one after the other: 24.
 *
 * f16 comes on top, in units of its epsilon, twice the error of one rounding of numbers of size 1.
 * pool, aggregate  one rounding, relative to the result: 1/2.
 * broadcast  the same. Where the convolution is added to a result in memory, that was rounded too, and was at most 1: the 1 of
 *            |answer| + 1 covers it.
 * whole      1/2 for the result, 1/2 for va; agents, at most 1, are off by 1/4 each, so a logit (1/sqrt(d) times d products of
 *            either sign) by about as much, in both stages, and the convex sums by no more: 2.
 */
double case_agent_tolerance(case_step step, clattn_type type)
{
    static const double c[CASE_STEPS] = {2.0, 16.0, 16.0, 24.0};
    static const double half[CASE_STEPS] = {0.5, 0.5, 0.5, 2.0};
    return c[step] * (double)FLT_EPSILON + (type == CLATTN_F16 ? half[step] * CASE_F16_EPSILON : 0);
}

double case_agent_flops(const case_agent *c, case_step step)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    const double pairs = (double)z.heads * (double)z.agents;
    const double widths = 2.0 * (double)(z.dim + z.dim_v);
    const double aggregate = (double)c->desc.batch * (double)z.k_tokens * pairs * widths;
    const double broadcast = (double)c->desc.batch * (double)z.q_tokens * pairs * widths +
                             (double)z.out * 2.0 * (double)(c->desc.dwc_size * c->desc.dwc_size);

    switch (step) {
    case STEP_POOL:
        return (double)z.q;
    case STEP_AGGREGATE:
        return aggregate;
    case STEP_BROADCAST:
        return broadcast;
    default:
        return aggregate + broadcast + (c->desc.agents_given ? 0.0 : (double)z.q);
    }
}

double case_agent_bytes(const case_agent *c, case_step step)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    const double values = c->desc.dwc_size > 0 || c->desc.v_shortcut != 0.0f ? (double)z.v : 0.0;
    const double pool = (double)(z.q + z.agent);
    const double aggregate = (double)(z.k + z.v + z.agent + z.va);
    const double broadcast = (double)(z.q + z.out + z.agent + z.va) + values;

    const double size = c->desc.type == CLATTN_F16 ? 2.0 : 4.0;

    switch (step) {
    case STEP_POOL:
        return size * pool;
    case STEP_AGGREGATE:
        return size * aggregate;
    case STEP_BROADCAST:
        return size * broadcast;
    default:
        return size * (aggregate + broadcast + (c->desc.agents_given ? 0.0 : pool));
    }
}
