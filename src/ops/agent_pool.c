/* Agents from queries: the adaptive average pool, one partial sum per (cell, leaf it touches), then the tree over leaves. */
#include "cpu/cpu.h"
#include "ops/forms.h"
#include "ops/host.h"
#include "ops/pool.h"
#include "ops/steps.h"

int clattn__pool_wide_vectors(const clattn_plan *plan)
{
    const i32 vectors = plan->pool_args.dim / 16;

    if (plan->ctx->params.shape != CLATTN_SHAPE_WIDE)
        return 0;
    return vectors >= 4 ? 4 : vectors >= 2 ? 2 : vectors;
}

/* The items of a kernel for `places` places, as kernels/args.h numbers them. */
static void launch_items(const clattn_plan *plan, int64_t places, int64_t pictures, size_t items[3])
{
    const Pool *a = &plan->pool_args;

    items[0] = clattn__pool_wide_vectors(plan) > 0 ? 1 : (size_t)a->heads * (size_t)a->dim;
    items[1] = (size_t)places;
    items[2] = (size_t)pictures;
}

static clattn_status plan_kernel(clattn_plan *plan, int index, int64_t slots)
{
    const clattn__shape *s = &plan->shape;
    const bool merge = index == CLATTN__POOL_MERGE;
    const int vectors = clattn__pool_wide_vectors(plan);
    Pool nothing = plan->pool_args;
    clattn__trial trial = {.nothing = &nothing,
                           .bytes = sizeof nothing,
                           .buffers = merge ? 2 : 3,
                           .probe = clattn__agent_pool_probe};
    clattn__kernel_spec spec;

    nothing.heads = 0;
    launch_items(plan, s->agents * slots, s->batch * s->windows, trial.items);
    if (vectors > 0) {
        clattn__form_pool_wide(&spec, plan->desc.type, merge, vectors);
        return clattn__plan_kernel(plan, index, &spec, &trial);
    }
    clattn__form_pool(&spec, plan->desc.type, merge);
    return clattn__plan_items(plan, index, spec, trial.items[0], &trial);
}

clattn_status clattn__agent_pool_plan_merge(clattn_plan *plan)
{
    return plan_kernel(plan, CLATTN__POOL_MERGE, 1);
}

clattn_status clattn_agent_pool_plan(clattn_context *ctx, const clattn_agent_attention_desc *desc,
                                     clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "agent_pool", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    CLATTN_TRY(clattn__shape_make(&ctx->log, desc, &plan->shape));
    plan->desc = *desc;

    const clattn__shape *s = &plan->shape;
    const int64_t leaf = clattn__leaf_tokens(s->q_grid.tokens, s->heads, s->agents);
    Pool *a = &plan->pool_args;
    *a = (Pool){.grid = s->q_grid,
                .heads = (i32)s->heads,
                .dim = (i32)s->dim,
                .windows = (i32)s->windows,
                .agent_h = (i32)desc->agent_height,
                .agent_w = (i32)desc->agent_width,
                .leaf_tokens = (i32)leaf,
                .cells = (i32)s->agents};
    const int64_t slots =
        clattn__pool_slots(s->q_grid.window_h, s->q_grid.window_w, s->q_grid.class_tokens,
                           desc->agent_height, desc->agent_width, leaf);
    a->slots = (i32)slots;
    int64_t sums = s->batch * s->windows;
    CLATTN_CHECK(&ctx->log,
                 s->agents * slots <= INT32_MAX && clattn__mul(sums, s->agents * slots, &sums) &&
                     clattn__mul(sums, s->heads * s->dim * (int64_t)sizeof(float), &sums),
                 CLATTN_E_SHAPE, "the partial sums of %lld agents do not fit 64 bits",
                 (long long)s->agents);
    plan->scratch[CLATTN__POOL_SUMS] = slots > 1 ? (uint64_t)sums : 0;
    plan->info.launches = slots > 1 ? 2 : 1;
    plan->info.leaf_tokens = leaf;
    plan->info.leaves = clattn__ceil_div(s->q_grid.tokens, leaf);
    if (!clattn_context_is_cpu(ctx)) {
        CLATTN_TRY(plan_kernel(plan, CLATTN__POOL_PARTIAL, slots));
        if (slots > 1)
            CLATTN_TRY(clattn__agent_pool_plan_merge(plan));
    }
out:
    return plan == NULL
               ? status
               : clattn__plan_finish(plan, clattn__host_plan(plan, desc, status), out_plan);
}

typedef struct cpu_job {
    const clattn__cpu_ops *ops;
    const Pool *args;
    const void *q;
    float *sums;
    void *out;
} cpu_job;

static void cpu_partial(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->pool_partial(job->args, job->q, job->sums, job->out, i);
}

static void cpu_merge(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->pool_merge(job->args, job->sums, job->out, i);
}

clattn_status clattn__pool_partial_piece(void *user, int64_t first, int64_t count)
{
    const clattn__pool_work *w = user;
    Pool a = w->args;

    a.first = (i32)(first * w->places);
    a.count = (i32)(count * w->places);
    if (w->ctx->cpu != NULL) {
        cpu_job job = {clattn__plan_cpu(w->ws->plan), &a, w->q->host, w->sums->host, w->out->host};
        clattn__cpu_for(w->ctx, w->pictures * a.count, cpu_partial, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {w->q->mem, w->sums->mem, w->out->mem};
    size_t items[3];
    launch_items(w->ws->plan, a.count, w->pictures, items);
    return clattn__launch(w->chain, w->ws, CLATTN__POOL_PARTIAL, &a, sizeof a, buffers, 3, items);
}

clattn_status clattn__pool_merge_piece(void *user, int64_t first, int64_t count)
{
    const clattn__pool_work *w = user;
    Pool a = w->args;

    a.first = (i32)first;
    a.count = (i32)count;
    if (w->ctx->cpu != NULL) {
        cpu_job job = {clattn__plan_cpu(w->ws->plan), &a, NULL, w->sums->host, w->out->host};
        clattn__cpu_for(w->ctx, w->pictures * count, cpu_merge, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {w->sums->mem, w->out->mem};
    size_t items[3];
    launch_items(w->ws->plan, count, w->pictures, items);
    return clattn__launch(w->chain, w->ws, CLATTN__POOL_MERGE, &a, sizeof a, buffers, 2, items);
}

/* All blocks; `additions` per channel and block. */
static clattn_status pool_pieces(clattn__pool_work *w, clattn__pace_kind kind, int64_t blocks,
                                 double additions)
{
    return clattn__pace(w->chain != NULL ? w->chain->pacer : NULL,
                        &(clattn__paced_work){
                            .kind = kind,
                            .blocks = blocks,
                            .flops = additions * w->args.heads * w->args.dim * (double)w->pictures,
                            .piece = kind == CLATTN__PACE_POOL ? clattn__pool_partial_piece
                                                               : clattn__pool_merge_piece,
                            .user = w});
}

clattn_status clattn__pool_bind(const clattn_plan *plan, const clattn_workspace *ws,
                                const clattn_agent_attention_args *args, clattn__bound b[2],
                                clattn__pool_work *w)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__shape *s = &plan->shape;
    const int64_t pictures = s->batch * s->windows;
    Pool a = plan->pool_args;

    CLATTN_TRY(clattn__bind(ctx, args->q,
                            &(clattn__want){.name = "q",
                                            .type = plan->desc.type,
                                            .batch = s->batch,
                                            .tokens = s->q_tokens,
                                            .heads = s->heads,
                                            .dim = s->dim,
                                            .grid = &s->q_grid},
                            &b[0]));
    CLATTN_TRY(clattn__bind(ctx, args->agents,
                            &(clattn__want){.name = "agents",
                                            .type = plan->desc.type,
                                            .batch = pictures,
                                            .tokens = s->agents,
                                            .heads = s->heads,
                                            .dim = s->dim,
                                            .windows = s->windows,
                                            .write = true},
                            &b[1]));
    CLATTN_TRY(clattn__bind_disjoint(ctx, b, 2));
    a.q = b[0].view;
    a.out = b[1].view;
    a.grid.linear = s->windows == 1 && b[0].linear && a.grid.shift_y == 0 && a.grid.shift_x == 0;
    *w = (clattn__pool_work){.ctx = ctx,
                             .ws = ws,
                             .args = a,
                             .q = &b[0].memory,
                             .sums = &ws->scratch[CLATTN__POOL_SUMS],
                             .out = &b[1].memory,
                             .places = 1,
                             .pictures = pictures};
out:
    return status;
}

clattn_status clattn__agent_pool_enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                         const void *args, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const clattn__shape *s = &plan->shape;
    clattn__bound b[2];
    clattn__pool_work w;

    if (plan->host != NULL)
        return clattn__host_run(plan, ws, args, chain);
    CLATTN_TRY(clattn__pool_bind(plan, ws, args, b, &w));
    w.chain = chain;
    const int64_t places = s->agents * w.args.slots;
    CLATTN_TRY(
        pool_pieces(&w, CLATTN__PACE_POOL, places, (double)s->q_grid.tokens / (double)places));
    if (w.args.slots > 1)
        CLATTN_TRY(pool_pieces(&w, CLATTN__PACE_POOL_MERGE, s->agents, w.args.slots));
out:
    return status;
}

clattn_status clattn_agent_pool_run(const clattn_plan *plan, clattn_workspace *ws,
                                    const clattn_agent_attention_args *args,
                                    const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "agent_pool", clattn__agent_pool_enqueue);
}

/* The whole map as one window, whatever its size. */
static Pool step_args(const clattn__steps *steps)
{
    const clattn__steps_problem *problem = &steps->problem;
    Pool a = steps->plan->children[CLATTN__CHILD_POOL]->pool_args;
    const i64 channels = (i64)a.heads * a.dim;

    a.grid = (Grid){.height = problem->height,
                    .width = problem->width,
                    .window_h = problem->height,
                    .window_w = problem->width,
                    .windows_x = 1,
                    .class_tokens = (i32)problem->class_tokens,
                    .linear = 1};
    a.q = a.out = (View){.head = a.dim, .token = channels};
    a.leaf_tokens = (i32)problem->q_leaf;
    return a;
}

clattn_status clattn__step_pool_run(clattn__steps *steps, const clattn__pool_tile *run)
{
    clattn__chain chain;
    clattn__pool_work w = {.ctx = steps->ctx,
                           .ws = steps->ws->children[CLATTN__CHILD_POOL],
                           .chain = &chain,
                           .args = step_args(steps),
                           .q = &run->q,
                           .sums = &run->sums,
                           .out = &run->sums,
                           .places = run->cells,
                           .pictures = 1};

    w.args.run = 1;
    w.args.slots = (i32)run->leaves;
    w.args.first_leaf = (i32)run->first_leaf;
    w.args.first_cell = (i32)run->first_cell;
    w.args.cells = (i32)run->cells;
    clattn__steps_chain(steps, &chain);
    /* Cells that a leaf does not meet take a little, too. */
    const double additions = (double)steps->problem.q_leaf + (double)run->cells;
    return clattn__chain_end(&chain, pool_pieces(&w, CLATTN__PACE_POOL, run->leaves, additions));
}

clattn_status clattn__step_pool_mean(clattn__steps *steps, clattn_memory sums, clattn_memory agents)
{
    clattn__chain chain;
    clattn__pool_work w = {.ctx = steps->ctx,
                           .ws = steps->ws->children[CLATTN__CHILD_POOL],
                           .chain = &chain,
                           .args = step_args(steps),
                           .sums = &sums,
                           .out = &agents,
                           .pictures = 1};

    w.args.slots = 1;
    clattn__chain_begin(&chain, steps->ctx, NULL);
    return clattn__chain_end(&chain, clattn__pool_merge_piece(&w, 0, steps->plan->shape.agents));
}
