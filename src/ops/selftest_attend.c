/* The self-test of the attention kernels: either stage, in every form that its arguments can have. */
#include <string.h>

#include "ops/bias.h"
#include "ops/selftest.h"

/*
 * Both convex sums of numbers up to 1 (16, as in the tests of the operators) on either side, and logits up to about 12 in powers
 * of 2, whose errors weigh as much; the convolution adds its taps.
 */
#define UNITS 64.0f

typedef struct form {
    const char *name;
    clattn_agent_attention_desc desc; /* without widths and type */
    int64_t leaf;                     /* tokens per leaf of stage 1; 0: as any plan */
    clattn__selftest_fill rows;       /* q, k and the agents */
    clattn__selftest_fill values;
    clattn__selftest_fill terms;
    bool dense;
    bool tile;    /* of the map, as the passes of a tiling have them */
    bool by_head; /* stage 2: in one launch, in the order for many keys */
} form;

static const form forms[] = {
    /* Several tiles of queries and of keys with a rest of three, several steps per leaf, and a last leaf of a few tokens. */
    {.name = "a dense map",
     .desc = {.batch = 2,
              .heads = 2,
              .height = 9,
              .width = 17,
              .class_tokens = 2,
              .agent_height = 67,
              .agent_width = 1,
              .has_key_bias = 1,
              .has_agent_vector = 1,
              .v_shortcut = 0.75f},
     .leaf = 150,
     .terms = CLATTN__FILL_VECTOR,
     .dense = true,
     .by_head = true},
    /* Nothing but the products. */
    {.name = "a map with gaps",
     .desc = {.batch = 1,
              .heads = 3,
              .height = 5,
              .width = 7,
              .class_tokens = 1,
              .agent_height = 2,
              .agent_width = 3}},
    {.name = "shifted windows",
     .desc = {.batch = 2,
              .heads = 2,
              .height = 10,
              .width = 14,
              .window_height = 5,
              .window_width = 7,
              .shift_y = 3,
              .shift_x = 4,
              .agent_height = 3,
              .agent_width = 3,
              .has_bias = 1,
              .dwc_size = 3,
              .v_shortcut = 1.0f},
     .rows = CLATTN__FILL_TINY,
     .values = CLATTN__FILL_TINY},
    /* From 32 columns on the bias is evaluated, not read. */
    {.name = "a wide map with class tokens",
     .desc = {.batch = 1,
              .heads = 2,
              .height = 4,
              .width = 37,
              .class_tokens = 3,
              .agent_height = 3,
              .agent_width = 4,
              .has_bias = 1,
              .has_key_bias = 1,
              .has_agent_vector = 1,
              .dwc_size = 5,
              .has_dwc_bias = 1},
     .leaf = 64,
     .terms = CLATTN__FILL_VECTOR},
    /* Stage 1: tokens from within a row on; stage 2: rectangles, with some of their map around them. */
    {.name = "a tile of a map",
     .desc = {.batch = 1,
              .heads = 2,
              .height = 7,
              .width = 39,
              .agent_height = 5,
              .agent_width = 2,
              .has_bias = 1,
              .has_key_bias = 1,
              .has_agent_vector = 1,
              .dwc_size = 3,
              .has_dwc_bias = 1,
              .v_shortcut = 0.5f},
     .leaf = 96,
     .dense = true,
     .tile = true},
    /* Logits of some thousands, all but the largest without weight; ties share. In powers of 2 they are whole numbers times 32. */
    {.name = "huge logits",
     .desc = {.batch = 2,
              .heads = 2,
              .height = 9,
              .width = 9,
              .agent_height = 6,
              .agent_width = 3,
              .has_key_bias = 1,
              .has_agent_vector = 1,
              .dwc_size = 1,
              .scale_aggregate = 32.0f / CLATTN__LOG2E,
              .scale_broadcast = 32.0f / CLATTN__LOG2E},
     .rows = CLATTN__FILL_WHOLE,
     .terms = CLATTN__FILL_MASK},
};

/* A problem's tensors. */
typedef struct tensors {
    clattn_tensor q, k, v, agents, va, key_bias, agent_vector, out;
    clattn_array dwc_weight, dwc_bias;
    clattn_agent_bias *bias;
} tensors;

/* Rows that are tiny meet a scale that makes them count. */
static clattn_agent_attention_desc complete(const form *f, const clattn__selftest *test)
{
    const clattn_plan *of = test->of;
    clattn_agent_attention_desc d = f->desc;

    d.head_dim = of->attend_args.dim;
    d.head_dim_v = of->attend_args.dim_v;
    d.type = test->storage;
    if (f->rows == CLATTN__FILL_TINY)
        d.scale_aggregate = d.scale_broadcast = 65536.0f;
    return d;
}

static clattn_status make_tensors(clattn__selftest *test, const form *f,
                                  const clattn_agent_attention_desc *d, tensors *t)
{
    clattn_status status = CLATTN_OK;
    const bool stage1 = test->of->attend.stage == 1;
    const int64_t tokens = d->class_tokens + d->height * d->width;
    const int64_t windows =
        d->window_height > 0 ? d->height / d->window_height * (d->width / d->window_width) : 1;
    const int64_t agents = d->agent_height * d->agent_width;
    /* Class tokens, then a map; or the agents of each window. */
    const clattn__selftest_shape map = {.fill = f->values,
                                        .batch = d->batch,
                                        .tokens = tokens,
                                        .heads = d->heads,
                                        .dim = d->head_dim,
                                        .class_tokens = d->class_tokens,
                                        .width = d->width,
                                        .dense = f->dense};
    const clattn__selftest_shape list = {.fill = f->values,
                                         .batch = d->batch * windows,
                                         .tokens = agents,
                                         .heads = d->heads,
                                         .dim = d->head_dim,
                                         .dense = f->dense};
    clattn__selftest_shape s = stage1 ? list : map;

    s.fill = f->rows == CLATTN__FILL_TINY ? CLATTN__FILL_EVEN : f->rows;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, stage1 ? &t->agents : &t->q));
    s = stage1 ? map : list;
    s.fill = f->rows;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, stage1 ? &t->k : &t->agents));
    s.fill = f->values;
    s.dim = d->head_dim_v;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, stage1 ? &t->v : &t->va));
    s.fill = f->terms;
    s.plain = true;
    s.dim = 1;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, stage1 ? &t->key_bias : &t->agent_vector));
    s = stage1 ? list : map;
    s.fill = CLATTN__FILL_NOTHING;
    s.dim = d->head_dim_v;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, stage1 ? &t->va : &t->out));
    if (!stage1) {
        const int64_t channels = d->heads * d->head_dim_v;
        s.fill = f->values;
        CLATTN_TRY(clattn__selftest_tensor(test, &s, &t->v));
        if (d->dwc_size > 0)
            CLATTN_TRY(
                clattn__selftest_array(test, channels * d->dwc_size * d->dwc_size, &t->dwc_weight));
        if (d->has_dwc_bias)
            CLATTN_TRY(clattn__selftest_array(test, channels, &t->dwc_bias));
    }
out:
    return status;
}

/* A bias of all its terms. */
static clattn_status make_bias(clattn__selftest *test, const clattn_agent_attention_desc *d,
                               clattn_agent_bias **bias)
{
    enum { TRAINED = 4, SIDE = 3, HEADS = 2 };
    float map[HEADS * TRAINED * 49], line[2][HEADS * TRAINED * SIDE], cls[HEADS * TRAINED];
    float *const all[] = {map, line[0], line[1], cls};
    const size_t counts[] = {HEADS * TRAINED * 49, HEADS * TRAINED * SIDE, HEADS * TRAINED * SIDE,
                             HEADS * TRAINED};
    const bool stage1 = test->of->attend.stage == 1;

    for (int i = 0; i < 4; i++)
        for (size_t j = 0; j < counts[i]; j++)
            all[i][j] = clattn__selftest_number(test);
    const clattn_agent_bias_stage stage = {.map = map,
                                           .row = line[0],
                                           .column = line[1],
                                           .class_token = d->class_tokens > 0 ? cls : NULL,
                                           .trained_height = SIDE,
                                           .trained_width = SIDE};
    clattn_agent_bias_desc weights = {.trained_agents_height = 2, .trained_agents_width = 2};
    *(stage1 ? &weights.aggregate : &weights.broadcast) = stage;
    return clattn_agent_bias_create(test->ctx, d, &weights, bias);
}

static clattn_status bind(const clattn_plan *plan, const tensors *t, Attend *a,
                          clattn__attend_bounds *b)
{
    const clattn_agent_attention_desc *d = &plan->desc;
    const bool stage1 = plan->attend.stage == 1;
    const clattn_agent_attention_args args = {.q = &t->q,
                                              .k = &t->k,
                                              .v = &t->v,
                                              .agents = &t->agents,
                                              .va = &t->va,
                                              .key_bias = d->has_key_bias ? &t->key_bias : NULL,
                                              .agent_vector =
                                                  d->has_agent_vector ? &t->agent_vector : NULL,
                                              .dwc_weight = d->dwc_size > 0 ? &t->dwc_weight : NULL,
                                              .dwc_bias = d->has_dwc_bias ? &t->dwc_bias : NULL,
                                              .out = &t->out};
    const clattn_status status = stage1 ? clattn__agent_aggregate_bind(plan, &args, a, b)
                                        : clattn__agent_broadcast_bind(plan, &args, a, b);
    if (status == CLATTN_OK)
        clattn__agent_bias_stage(t->bias, plan->attend.stage, &a->bias, &b->bias);
    return status;
}

/* Tokens 50 to 239 of the map. */
static void take_run(clattn_plan *plan, Attend *a)
{
    enum { FIRST = 50, COUNT = 190 };
    a->k.offset += FIRST * a->k.token;
    a->v.offset += FIRST * a->v.token;
    a->key_bias.offset += FIRST * a->key_bias.token;
    a->k_grid = clattn__grid_line(COUNT);
    a->keys = COUNT;
    a->leaves = (i32)clattn__ceil_div(COUNT, a->leaf_tokens);
    plan->attend.blocks = a->leaves;
    if (a->bias.mode != 0)
        clattn__bias_from(&a->bias, FIRST);
}

static void move(View *view, int64_t y, int64_t x)
{
    view->offset += y * view->row + x * view->token;
}

/* Five rows of 12 pixels, fewer than a vector has lanes, from column `left` on; the map ends with them below. */
static void take_rectangle(clattn_plan *plan, Attend *a, int left)
{
    enum { TOP = 2, HEIGHT = 5, WIDTH = 12 };
    a->halo = (Halo){.top = TOP, .left = left, .right = a->q_grid.width - left - WIDTH};
    a->q_grid = clattn__grid_rect(HEIGHT, WIDTH);
    a->queries = HEIGHT * WIDTH;
    plan->attend.blocks = clattn__ceil_div(a->queries, plan->attend.query_block);
    move(&a->q, TOP, left);
    move(&a->tap, TOP, left);
    move(&a->out, TOP, left);
    if (a->bias.mode != 0)
        clattn__bias_rect(&a->bias, TOP, left, WIDTH);
}

/* The launches; a tiling's stage 2 has two rectangles, within the map and at its right edge. */
static clattn_status enqueue(clattn__selftest *test, const form *f, clattn_plan *plan,
                             const Attend *whole, const clattn__attend_bounds *b)
{
    static const int lefts[] = {2, 27};
    const bool rectangles = f->tile && plan->attend.stage == 2;
    clattn_status status = CLATTN_OK;
    clattn__chain chain;

    clattn__chain_begin(&chain, test->ctx, NULL);
    for (int i = 0; i < (rectangles ? 2 : 1) && status == CLATTN_OK; i++) {
        Attend a = *whole;
        if (rectangles)
            take_rectangle(plan, &a, lefts[i]);
        a.by_head = f->by_head && plan->attend.stage == 2;
        plan->attend.blocks_per_launch =
            a.by_head ? plan->attend.blocks : clattn__ceil_div(plan->attend.blocks, 2);
        status = clattn__attend_enqueue(plan, &test->ws, a, b, &chain);
    }
    return clattn__chain_end(&chain, status);
}

/* Where the states of stage 1 go, marked. */
static clattn_status states_memory(clattn__selftest *test, int64_t floats, clattn_memory *memory)
{
    const clattn__selftest_shape s = {.fill = CLATTN__FILL_NOTHING,
                                      .plain = true,
                                      .batch = 1,
                                      .tokens = 1,
                                      .heads = 1,
                                      .dim = floats,
                                      .dense = true};
    clattn_tensor t;
    const clattn_status status = clattn__selftest_tensor(test, &s, &t);
    if (status == CLATTN_OK)
        *memory = t.memory;
    return status;
}

/* The stage alone, on whichever side. */
static clattn_status run_stage(clattn__selftest *test, const form *f, clattn_plan *plan,
                               const tensors *t)
{
    clattn_status status = CLATTN_OK;
    const bool stage1 = plan->attend.stage == 1;
    const clattn_tensor *out = stage1 ? &t->va : &t->out;
    Attend a = plan->attend_args;
    const float units = UNITS + (float)(a.dwc_size * a.dwc_size);
    clattn__attend_bounds b = {0};
    clattn_memory states = {0};

    CLATTN_TRY(bind(plan, t, &a, &b));
    if (f->tile && stage1)
        take_run(plan, &a);
    const int64_t count = plan->attend.problems * a.leaves * a.queries;
    if (a.leaves > 1) {
        CLATTN_TRY(states_memory(test, count * (a.dim_v + 2), &states));
        b.out = (clattn__bound){.memory = states};
    }
    CLATTN_TRY(enqueue(test, f, plan, &a, &b));
    if (a.leaves > 1)
        CLATTN_TRY(clattn__selftest_report_states(test, &states, count, a.dim_v, units));
    else
        CLATTN_TRY(clattn__selftest_report(test, out, units));
out:
    return status;
}

static clattn_status run_form(clattn__selftest *test, const form *f)
{
    clattn_status status = CLATTN_OK;
    const bool stage1 = test->of->attend.stage == 1;
    const clattn_agent_attention_desc desc = complete(f, test);
    clattn_agent_attention_desc plain = desc;
    clattn_plan *small = NULL;
    clattn_plan plan;
    tensors t = {.bias = NULL};

    clattn__selftest_begin(test, f->name);
    if (f->values == CLATTN__FILL_TINY)
        test->scale = 3.8146973e-6f;
    /* The handle's own check would want one of the device's context, not of its lane. */
    plain.has_bias = 0;
    CLATTN_TRY(stage1 ? clattn_agent_aggregate_plan(test->cpu, &plain, &small)
                      : clattn_agent_broadcast_plan(test->cpu, &plain, &small));
    clattn__selftest_adopt(test, small, &plan);
    if (stage1 && f->leaf > 0) {
        plan.attend_args.leaf_tokens = (i32)f->leaf;
        plan.attend_args.leaves = (i32)clattn__ceil_div(plan.attend_args.keys, f->leaf);
    }
    clattn__attend_adopt(&plan, test->of);
    CLATTN_TRY(make_tensors(test, f, &desc, &t));
    if (desc.has_bias)
        CLATTN_TRY(make_bias(test, &desc, &t.bias));
    CLATTN_TRY(run_stage(test, f, &plan, &t));
out:
    clattn__selftest_clear(test);
    clattn_agent_bias_destroy(&t.bias);
    clattn_plan_destroy(&small);
    return status;
}

clattn_status clattn__attend_probe(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;
    const bool narrow = strstr(test->of->kernels[test->kernel].file, "_narrow") != NULL;

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        form f = forms[i];
        /* Those kernels know neither. */
        if (narrow)
            f.desc.has_bias = f.desc.has_dwc_bias = 0, f.desc.dwc_size = 0;
        CLATTN_TRY(run_form(test, &f));
    }
out:
    return status;
}
