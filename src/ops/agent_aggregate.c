/* Stage 1: every agent gathers from all tokens, leaf by leaf; where there are several leaves their states are merged. */
#include <math.h>

#include "cpu/cpu.h"
#include "ops/bias.h"
#include "ops/forms.h"
#include "ops/host.h"
#include "ops/selftest.h"
#include "ops/steps.h"

enum { KERNEL_AGGREGATE, KERNEL_MERGE };
enum { SCRATCH_STATES };

static bool merges_wide(const clattn_plan *plan)
{
    return plan->ctx->params.shape == CLATTN_SHAPE_WIDE;
}

/* The items of the merge. */
static void merge_items(const clattn_plan *plan, size_t items[3])
{
    items[0] = merges_wide(plan) ? 1 : (size_t)plan->merge_args.dim_v;
    items[1] = (size_t)plan->merge_args.queries;
    items[2] = (size_t)plan->attend.problems;
}

clattn_status clattn__agent_aggregate_plan_merge(clattn_plan *plan)
{
    Merge nothing = plan->merge_args;
    clattn__trial trial = {.nothing = &nothing,
                           .bytes = sizeof nothing,
                           .buffers = 2,
                           .probe = clattn__agent_merge_probe};
    clattn__kernel_spec spec;

    nothing.dim_v = 0;
    merge_items(plan, trial.items);
    clattn__form_merge(&spec, plan->desc.type, plan->ctx->params.shape);
    if (merges_wide(plan))
        return clattn__plan_kernel(plan, KERNEL_MERGE, &spec, &trial);
    return clattn__plan_items(plan, KERNEL_MERGE, spec, trial.items[0], &trial);
}

clattn_status clattn_agent_aggregate_plan(clattn_context *ctx,
                                          const clattn_agent_attention_desc *desc,
                                          clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "agent_aggregate", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    CLATTN_TRY(clattn__shape_make(&ctx->log, desc, &plan->shape));
    plan->desc = *desc;

    const clattn__shape *s = &plan->shape;
    const int64_t keys = s->k_grid.tokens;
    const int64_t leaf = clattn__leaf_tokens(keys, s->heads, s->agents);
    const int64_t leaves = clattn__ceil_div(keys, leaf);
    plan->info.leaf_tokens = leaf;
    plan->info.leaves = leaves;
    plan->attend_args = (Attend){.q_grid = s->agent_grid,
                                 .k_grid = s->k_grid,
                                 .heads = (i32)s->heads,
                                 .windows = (i32)s->windows,
                                 .queries = (i32)s->agents,
                                 .keys = (i32)keys,
                                 .dim = (i32)s->dim,
                                 .dim_v = (i32)s->dim_v,
                                 .scale = s->scale_aggregate * CLATTN__LOG2E,
                                 .out_scale = 1.0f,
                                 .has_key_bias = desc->has_key_bias != 0,
                                 .leaf_tokens = (i32)leaf,
                                 .leaves = (i32)leaves};
    CLATTN_TRY(clattn__attend_plan(plan, 1, s->batch));
    plan->merge_args = (Merge){.heads = (i32)s->heads,
                               .windows = (i32)s->windows,
                               .queries = (i32)s->agents,
                               .leaves = (i32)leaves,
                               .dim_v = (i32)s->dim_v,
                               .out_scale = 1.0f};
    if (leaves > 1) {
        int64_t states = plan->attend.problems;
        CLATTN_CHECK(&ctx->log,
                     clattn__mul(states, leaves * s->agents, &states) &&
                         clattn__mul(states, (s->dim_v + 2) * (int64_t)sizeof(float), &states),
                     CLATTN_E_SHAPE, "the states of %lld leaves do not fit 64 bits",
                     (long long)leaves);
        plan->scratch[SCRATCH_STATES] = (uint64_t)states;
        plan->info.launches++;
        if (!clattn_context_is_cpu(ctx))
            CLATTN_TRY(clattn__agent_aggregate_plan_merge(plan));
    }
out:
    return plan == NULL
               ? status
               : clattn__plan_finish(plan, clattn__host_plan(plan, desc, status), out_plan);
}

clattn_status clattn__agent_aggregate_bind(const clattn_plan *plan,
                                           const clattn_agent_attention_args *args, Attend *a,
                                           clattn__attend_bounds *b)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__shape *s = &plan->shape;
    clattn__want agents = {.name = "agents",
                           .type = plan->desc.type,
                           .batch = s->batch * s->windows,
                           .tokens = s->agents,
                           .heads = s->heads,
                           .dim = s->dim,
                           .windows = s->windows};
    clattn__want keys = {.name = "k",
                         .type = plan->desc.type,
                         .batch = s->batch,
                         .tokens = s->k_tokens,
                         .heads = s->heads,
                         .dim = s->dim,
                         .grid = &s->k_grid};

    CLATTN_TRY(clattn__bind(ctx, args->agents, &agents, &b->q));
    CLATTN_TRY(clattn__bind(ctx, args->k, &keys, &b->k));
    keys.name = "v";
    keys.dim = s->dim_v;
    CLATTN_TRY(clattn__bind(ctx, args->v, &keys, &b->v));
    if (a->has_key_bias) {
        keys.name = "key_bias";
        keys.type = CLATTN_F32;
        keys.dim = 1;
        CLATTN_TRY(clattn__bind(ctx, args->key_bias, &keys, &b->key_bias));
    } else {
        CLATTN_TRY(clattn__bind_none(ctx, "key_bias", args->key_bias, "has_key_bias = 0"));
    }
    CLATTN_TRY(
        clattn__agent_bias_bind(ctx, args->bias, plan->desc.has_bias, s, 1, &a->bias, &b->bias));
    agents.name = "va";
    agents.dim = s->dim_v;
    agents.write = true;
    CLATTN_TRY(clattn__bind(ctx, args->va, &agents, &b->out));
    CLATTN_TRY(
        clattn__bind_disjoint(ctx, (clattn__bound[]){b->q, b->k, b->v, b->key_bias, b->out}, 5));

    a->q = b->q.view;
    a->k = b->k.view;
    a->v = b->v.view;
    a->key_bias = b->key_bias.view;
    a->out = b->out.view;
    a->k_grid.linear = s->windows == 1 && a->k_grid.shift_y == 0 && a->k_grid.shift_x == 0 &&
                       b->k.linear && b->v.linear && (b->key_bias.linear || !a->has_key_bias);
out:
    return status;
}

typedef struct cpu_job {
    const clattn__cpu_ops *ops;
    const Merge *args;
    float *states;
    void *out;
} cpu_job;

typedef struct merge_work {
    const clattn_plan *plan;
    const clattn_workspace *ws;
    const Merge *args;
    const clattn_memory *states, *out;
    clattn__chain *chain;
} merge_work;

static void cpu_merge(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->merge(job->args, job->states, job->out, i);
}

/* Some agents of every problem. */
static clattn_status merge_piece(void *user, int64_t first, int64_t count)
{
    const merge_work *w = user;
    clattn_context *ctx = w->plan->ctx;
    Merge merge = *w->args;

    merge.first = (i32)first;
    merge.count = (i32)count;
    if (ctx->cpu != NULL) {
        cpu_job job = {clattn__plan_cpu(w->plan), &merge, w->states->host, w->out->host};
        clattn__cpu_for(ctx, w->plan->attend.problems * count, cpu_merge, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {w->states->mem, w->out->mem};
    size_t items[3];
    merge_items(w->plan, items);
    items[1] = (size_t)count;
    return clattn__launch(w->chain, w->ws, KERNEL_MERGE, &merge, sizeof merge, buffers, 2, items);
}

static clattn_status enqueue_merge(const clattn_plan *plan, const clattn_workspace *ws,
                                   const Merge *merge, const clattn_memory *states,
                                   const clattn_memory *out, clattn__chain *chain)
{
    merge_work w = {plan, ws, merge, states, out, chain};
    const double states_per_agent = (double)merge->leaves * (double)plan->attend.problems;
    return clattn__pace(chain != NULL ? chain->pacer : NULL,
                        &(clattn__paced_work){.kind = CLATTN__PACE_MERGE,
                                              .blocks = merge->queries,
                                              .flops = 10.0 * states_per_agent * (merge->dim_v + 2),
                                              .piece = merge_piece,
                                              .user = &w});
}

clattn_status clattn__agent_aggregate_enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                              const void *opaque, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    clattn__attend_bounds b = {0};
    Attend a = plan->attend_args;

    if (plan->host != NULL)
        return clattn__host_run(plan, ws, opaque, chain);
    CLATTN_TRY(clattn__agent_aggregate_bind(plan, opaque, &a, &b));
    if (plan->info.leaves == 1)
        return clattn__attend_enqueue(plan, ws, a, &b, chain);

    /* The states take the place of the output, and the merge writes it. */
    const clattn__bound out = b.out;
    const clattn_memory *states = &ws->scratch[SCRATCH_STATES];
    Merge merge = plan->merge_args;
    merge.out = out.view;
    b.out = (clattn__bound){.memory = *states};
    CLATTN_TRY(clattn__attend_enqueue(plan, ws, a, &b, chain));
    CLATTN_TRY(enqueue_merge(plan, ws, &merge, states, &out.memory, chain));
out:
    return status;
}

clattn_status clattn_agent_aggregate_run(const clattn_plan *plan, clattn_workspace *ws,
                                         const clattn_agent_attention_args *args,
                                         const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "agent_aggregate", clattn__agent_aggregate_enqueue);
}

static int step_child(clattn__gather what)
{
    return what == CLATTN__GATHER_REFINE ? CLATTN__CHILD_REFINE : CLATTN__CHILD_AGGREGATE;
}

/* (token, head, dim) without gaps. */
static View rows_of(const Attend *a, i32 dim)
{
    return (View){.head = dim, .token = (i64)a->heads * dim};
}

clattn_status clattn__step_aggregate_run(clattn__steps *steps, const clattn__aggregate_tile *run)
{
    const int child = step_child(run->what);
    const clattn_plan *plan = steps->plan->children[child];
    const clattn__steps_problem *problem = &steps->problem;
    clattn__attend_bounds b = {.q.memory = run->agents,
                               .k.memory = run->k,
                               .v.memory = run->v,
                               .key_bias.memory = run->key_bias,
                               .out.memory = run->out};
    clattn__chain chain;
    Attend a = plan->attend_args;
    const int64_t leaves = clattn__ceil_div(run->tokens, problem->k_leaf);

    a.q = rows_of(&a, a.dim);
    a.k = rows_of(&a, a.dim);
    a.v = rows_of(&a, a.dim_v);
    a.out = rows_of(&a, a.dim_v);
    a.key_bias = rows_of(&a, 1);
    a.k_grid = clattn__grid_line(run->tokens);
    a.keys = (i32)run->tokens;
    a.leaf_tokens = (i32)problem->k_leaf;
    a.leaves = problem->one_leaf ? 1 : (i32)(leaves > 2 ? leaves : 2);
    clattn__agent_bias_stage(run->bias, 1, &a.bias, &b.bias);
    if (run->bias != NULL)
        clattn__bias_from(&a.bias, run->token);
    clattn__steps_chain(steps, &chain);
    return clattn__chain_end(
        &chain, clattn__attend_blocks(plan, steps->ws->children[child], &a, &b, leaves, &chain));
}

clattn_status clattn__step_aggregate_root(clattn__steps *steps, clattn__gather what,
                                          clattn_memory root, clattn_memory va)
{
    const int child = step_child(what);
    const clattn_plan *plan = steps->plan->children[child];
    const Attend *a = &plan->attend_args;
    const Merge merge = {.out = rows_of(a, a->dim_v),
                         .heads = a->heads,
                         .windows = 1,
                         .queries = a->queries,
                         .leaves = 1,
                         .dim_v = a->dim_v,
                         .out_scale = 1.0f};
    clattn__chain chain;

    clattn__chain_begin(&chain, steps->ctx, NULL);
    return clattn__chain_end(
        &chain, enqueue_merge(plan, steps->ws->children[child], &merge, &root, &va, &chain));
}

/* The states of a problem: sums of any size, whole maxima far apart, and some without any key. */
static void fill_states(clattn__selftest *test, float *states, int64_t count, int64_t dim_v)
{
    for (int64_t i = 0; i < count; i++) {
        float *state = states + i * (dim_v + 2);
        const bool empty = i % 5 == 1 || i % 7 == 2; /* agent 2 has no key at all */
        for (int64_t j = 0; j < dim_v; j++)
            state[j] = empty ? 0.0f : clattn__selftest_number(test);
        state[dim_v] = empty ? STATE_EMPTY : floorf(9.0f * clattn__selftest_number(test));
        state[dim_v + 1] = empty ? 0.0f : 2.0f + clattn__selftest_number(test);
    }
}

static clattn_status probe_leaves(clattn__selftest *test, const char *form, int64_t leaves)
{
    enum { BATCH = 2, HEADS = 2, AGENTS = 7 };
    clattn_status status = CLATTN_OK;
    const int64_t dim_v = test->of->shape.dim_v;
    const int64_t count = BATCH * HEADS * leaves * AGENTS;
    float *states = clattn__alloc_array((size_t)(count * (dim_v + 2)), sizeof *states);
    clattn_plan plan;
    clattn_memory memory;
    clattn_tensor va;
    clattn__bound out;
    clattn__chain chain;
    const clattn__selftest_shape shape = {.fill = CLATTN__FILL_NOTHING,
                                          .batch = BATCH,
                                          .tokens = AGENTS,
                                          .heads = HEADS,
                                          .dim = dim_v};

    clattn__selftest_begin(test, form);
    CLATTN_CHECK(&test->ctx->log, states != NULL, CLATTN_E_NOMEM, "no memory for the self-test");
    fill_states(test, states, count, dim_v);
    CLATTN_TRY(clattn__selftest_memory(test, states, count * (dim_v + 2), &memory));
    CLATTN_TRY(clattn__selftest_tensor(test, &shape, &va));
    clattn__selftest_adopt(test, test->of, &plan);
    plan.desc.type = test->storage;
    plan.attend.problems = BATCH * HEADS;
    plan.merge_args = (Merge){.heads = HEADS,
                              .windows = 1,
                              .queries = AGENTS,
                              .leaves = (i32)leaves,
                              .dim_v = (i32)dim_v,
                              .out_scale = 0.75f};
    CLATTN_TRY(clattn__bind(test->ctx, &va,
                            &(clattn__want){.name = "va",
                                            .type = va.type,
                                            .batch = BATCH,
                                            .tokens = AGENTS,
                                            .heads = HEADS,
                                            .dim = dim_v,
                                            .write = true},
                            &out));
    plan.merge_args.out = out.view;
    clattn__chain_begin(&chain, test->ctx, NULL);
    merge_work w = {&plan, &test->ws, &plan.merge_args, &memory, &out.memory, &chain};
    CLATTN_TRY(merge_piece(&w, 0, 3));
    CLATTN_TRY(clattn__chain_end(&chain, merge_piece(&w, 3, AGENTS - 3)));
    CLATTN_TRY(clattn__selftest_report(test, &va, 8.0f));
out:
    clattn__free(states);
    clattn__selftest_clear(test);
    return status;
}

clattn_status clattn__agent_merge_probe(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;

    CLATTN_TRY(probe_leaves(test, "six leaves", 6));
    CLATTN_TRY(probe_leaves(test, "a root", 1));
out:
    return status;
}
