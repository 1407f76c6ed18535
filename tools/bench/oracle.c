/*
 * A recorded subset of a result in double, by the oracle of the tests (tests/ref): one head of the last picture, and of its tokens
 * at most SUBSET, spread evenly from the first to the last. The smoothing filter: every pixel.
 */
#include "../../tests/ref/ref.h"
#include "bench/data.h"

#include <math.h>
#include <stdlib.h>

#define SUBSET 64

typedef struct oracle {
    bench_op op;
    const bench_shape *shape;
    const bench_weights *weights;
    bench_layout layout;
    int64_t picture, head;
    int64_t *token; /* the subset of the output's tokens, or agents */
    int64_t tokens;
} oracle;

/* Where element 0 of the head lies in token t of a tensor. */
static int64_t place(const oracle *o, bench_tensor tensor, int64_t t)
{
    const bench_layout *const l = &o->layout;
    return ((o->picture * l->tokens[tensor] + t) * l->heads + o->head) * l->dim;
}

static void read_token(const oracle *o, bench_tensor tensor, int64_t t, double *values)
{
    const int64_t first = place(o, tensor, t);
    for (int64_t j = 0; j < o->layout.dim; j++)
        values[j] = (double)bench_value(tensor, first + j, o->layout.type, o->layout.positive);
}

/* The head of all tokens, or of those in `token`. */
static double *read_tokens(const oracle *o, bench_tensor tensor, const int64_t *token,
                           int64_t count)
{
    double *const values = ref_array(count * o->layout.dim);
    for (int64_t i = 0; i < count; i++)
        read_token(o, tensor, token != NULL ? token[i] : i, values + i * o->layout.dim);
    return values;
}

static double *read_all(const oracle *o, bench_tensor tensor)
{
    return read_tokens(o, tensor, NULL, o->layout.tokens[tensor]);
}

/* The whole bias of the head in one stage, or NULL. */
static double *make_bias(const oracle *o, int stage)
{
    const bench_shape *const s = o->shape;
    if (s->trained_agents == 0)
        return NULL;
    float *const *const terms = o->weights->terms + (stage == 1 ? 0 : 4);
    const int64_t agents = s->trained_agents * s->trained_agents;
    const ref_bias_shape shape = {
        1, s->class_tokens, s->trained_agents, s->trained_agents, s->agent_height, s->agent_width};
    /* In stage 1 a head's row terms are (agents, side), in stage 2 (side, agents): as many. */
    const int64_t line = o->head * agents * s->trained_side;
    const ref_bias_stage stage_weights = {.map = terms[0] + o->head * agents * 49,
                                          .row = terms[1] + line,
                                          .column = terms[2] + line,
                                          .class_token = terms[3] + o->head * agents,
                                          .trained_h = s->trained_side,
                                          .trained_w = s->trained_side,
                                          .grid_h = s->height,
                                          .grid_w = s->width};
    double *const bias = ref_array(bench_shape_agents(s) * bench_shape_tokens(s));
    ref_agent_bias(&shape, &stage_weights, stage, bias);
    return bias;
}

static double *make_agents(const oracle *o)
{
    const bench_shape *const s = o->shape;
    if (o->op == BENCH_AGENT_AGGREGATE || o->op == BENCH_AGENT_BROADCAST || s->agents_given)
        return read_all(o, BENCH_AGENTS);
    const ref_agent_shape pool = {
        .batch = 1,
        .heads = 1,
        .dim = s->dim,
        .q_map = {s->class_tokens, s->height, s->width, s->height, s->width, 0, 0},
        .agent_h = s->agent_height,
        .agent_w = s->agent_width};
    double *const q = read_all(o, BENCH_Q);
    double *const agents = ref_array(bench_shape_agents(s) * s->dim);
    ref_agent_pool(&pool, q, agents);
    free(q);
    return agents;
}

static double default_scale(const oracle *o)
{
    return 1.0 / sqrt((double)o->shape->dim);
}

/* Stage 1 for all agents of the head. */
static double *make_va(const oracle *o, const double *agents)
{
    const bench_shape *const s = o->shape;
    const ref_attention_shape attention = {
        1, 1, s->dim, s->dim, bench_shape_agents(s), bench_shape_tokens(s), default_scale(o)};
    double *const k = read_all(o, BENCH_K);
    double *const v = read_all(o, BENCH_V);
    double *const bias = make_bias(o, 1);
    double *const va = ref_array(bench_shape_agents(s) * s->dim);
    ref_attention(&attention, agents, k, v, bias, NULL, va);
    free(bias);
    free(v);
    free(k);
    return va;
}

/* Adds the convolution and the shortcut of v to one token's output. */
static void add_values(const oracle *o, int64_t t, double shortcut, double *out)
{
    const bench_shape *const s = o->shape;
    const int64_t size = s->dwc_size, dim = s->dim;
    const int64_t y = (t - s->class_tokens) / s->width;
    const int64_t x = (t - s->class_tokens) % s->width;
    double *const v = ref_array(dim);
    const float *const weight = o->weights->dwc_weight + o->head * dim * size * size;

    if (shortcut != 0.0) {
        read_token(o, BENCH_V, t, v);
        for (int64_t j = 0; j < dim; j++)
            out[j] += shortcut * v[j];
    }
    for (int64_t tap = 0; t >= s->class_tokens && tap < size * size; tap++) {
        const int64_t yy = y + tap / size - size / 2;
        const int64_t xx = x + tap % size - size / 2;
        if (yy < 0 || yy >= s->height || xx < 0 || xx >= s->width)
            continue;
        read_token(o, BENCH_V, s->class_tokens + yy * s->width + xx, v);
        for (int64_t j = 0; j < dim; j++)
            out[j] += (double)weight[j * size * size + tap] * v[j];
    }
    for (int64_t j = 0; t >= s->class_tokens && size > 0 && j < dim; j++)
        out[j] += (double)o->weights->dwc_bias[o->head * dim + j];
    free(v);
}

/* Stage 2 for the subset. */
static void broadcast(const oracle *o, double *out)
{
    const bench_shape *const s = o->shape;
    const int64_t agents = bench_shape_agents(s);
    const double scale = s->scale_broadcast != 0.0f ? (double)s->scale_broadcast : default_scale(o);
    const ref_attention_shape attention = {1, 1, s->dim, s->dim, o->tokens, agents, scale};
    double *const a = make_agents(o);
    double *const va = o->op == BENCH_AGENT_BROADCAST ? read_all(o, BENCH_VA) : make_va(o, a);
    double *const q = read_tokens(o, BENCH_Q, o->token, o->tokens);
    double *const whole = make_bias(o, 2);
    double *const bias = whole != NULL ? ref_array(o->tokens * agents) : NULL;
    for (int64_t i = 0; bias != NULL && i < o->tokens * agents; i++)
        bias[i] = whole[o->token[i / agents] * agents + i % agents];
    ref_attention(&attention, q, a, va, bias, NULL, out);
    for (int64_t i = 0; i < o->tokens; i++)
        add_values(o, o->token[i], (double)s->v_shortcut, out + i * s->dim);
    free(bias);
    free(whole);
    free(q);
    free(va);
    free(a);
}

static void attention(const oracle *o, double *out)
{
    const bench_shape *const s = o->shape;
    const ref_attention_shape shape = {
        1, 1, s->dim, s->dim, o->tokens, bench_shape_tokens(s), default_scale(o)};
    double *const q = read_tokens(o, BENCH_Q, o->token, o->tokens);
    double *const k = read_all(o, BENCH_K);
    double *const v = read_all(o, BENCH_V);
    ref_attention(&shape, q, k, v, NULL, NULL, out);
    free(v);
    free(k);
    free(q);
}

/* The subset out of all agents' values, which are freed. */
static void take(const oracle *o, double *all, double *out)
{
    for (int64_t i = 0; i < o->tokens * o->layout.dim; i++)
        out[i] = all[o->token[i / o->layout.dim] * o->layout.dim + i % o->layout.dim];
    free(all);
}

static void aggregate(const oracle *o, double *out)
{
    double *const agents = make_agents(o);
    take(o, make_va(o, agents), out);
    free(agents);
}

static void smooth(const oracle *o, double *out)
{
    const bench_shape *const s = o->shape;
    /* The filter's defaults (filter.h), which the library takes as floats. */
    const ref_smooth_shape shape = {.height = s->height,
                                    .width = s->width,
                                    .agent_h = s->agent_height,
                                    .agent_w = s->agent_width,
                                    .sigma_color = (double)0.08f,
                                    .sigma_space = (double)0.04f,
                                    .rounds = 3};
    double *const picture = read_all(o, BENCH_Q);
    ref_smooth(&shape, picture, out, NULL);
    free(picture);
}

static void compute(const oracle *o, double *out)
{
    switch (o->op) {
    case BENCH_AGENT_POOL:
        take(o, make_agents(o), out);
        break;
    case BENCH_AGENT_AGGREGATE:
        aggregate(o, out);
        break;
    case BENCH_ATTENTION:
        attention(o, out);
        break;
    case BENCH_DWC:
        for (int64_t i = 0; i < o->tokens; i++)
            add_values(o, o->token[i], 0.0, out + i * o->layout.dim);
        break;
    case BENCH_SMOOTH:
        smooth(o, out);
        break;
    default:
        broadcast(o, out);
    }
}

bool bench_oracle(bench_op op, const bench_shape *shape, clattn_type type,
                  const bench_weights *weights, bench_answer *answer)
{
    oracle o = {.op = op, .shape = shape, .weights = weights};
    o.layout = bench_layout_of(op, shape, type);
    o.picture = shape->batch - 1;
    o.head = shape->heads - 1;
    const int64_t all = o.layout.tokens[o.layout.output];
    o.tokens = op == BENCH_SMOOTH || all < SUBSET ? all : SUBSET;
    o.token = malloc((size_t)o.tokens * sizeof *o.token);
    answer->count = o.tokens * o.layout.dim;
    answer->index = malloc((size_t)answer->count * sizeof *answer->index);
    answer->value = calloc((size_t)answer->count, sizeof *answer->value);
    if (o.token == NULL || answer->index == NULL || answer->value == NULL) {
        free(o.token);
        return false;
    }
    for (int64_t i = 0; i < o.tokens; i++)
        o.token[i] = o.tokens > 1 ? i * (all - 1) / (o.tokens - 1) : 0;
    for (int64_t i = 0; i < answer->count; i++)
        answer->index[i] = place(&o, o.layout.output, o.token[i / o.layout.dim]) + i % o.layout.dim;
    compute(&o, answer->value);
    free(o.token);
    return true;
}

void bench_answer_free(bench_answer *answer)
{
    free(answer->index);
    free(answer->value);
    *answer = (bench_answer){0};
}
