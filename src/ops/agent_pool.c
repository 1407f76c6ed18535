/* Agents from queries: the adaptive average pool, one partial sum per (cell, leaf it touches), then the tree over leaves. */
#include "cpu/cpu.h"
#include "ops/plan.h"
#include "ops/steps.h"

enum { KERNEL_PARTIAL, KERNEL_MERGE };
enum { SCRATCH_SUMS };

/* The items of both kernels; the merge has one slot per cell. */
static void launch_items(const Pool *a, int64_t slots, int64_t pictures, size_t items[3])
{
    items[0] = (size_t)a->heads * (size_t)a->dim;
    items[1] = (size_t)(a->cells * slots);
    items[2] = (size_t)pictures;
}

static clattn_status plan_kernel(clattn_plan *plan, int index, const char *name, int64_t slots,
                                 int buffers)
{
    const clattn__shape *s = &plan->shape;
    Pool nothing = plan->pool_args;
    clattn__trial trial = {.nothing = &nothing, .bytes = sizeof nothing, .buffers = buffers};

    nothing.heads = 0;
    launch_items(&plan->pool_args, slots, s->batch * s->windows, trial.items);
    return clattn__plan_items(plan, index, "agent_pool", name, "", trial.items[0], &trial);
}

clattn_status clattn__agent_pool_plan_merge(clattn_plan *plan)
{
    return plan_kernel(plan, KERNEL_MERGE, "agent_pool_merge", 1, 2);
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
    plan->scratch[SCRATCH_SUMS] = slots > 1 ? (uint64_t)sums : 0;
    plan->info.launches = slots > 1 ? 2 : 1;
    plan->info.leaf_tokens = leaf;
    plan->info.leaves = clattn__ceil_div(s->q_grid.tokens, leaf);
    if (!clattn_context_is_cpu(ctx)) {
        CLATTN_TRY(plan_kernel(plan, KERNEL_PARTIAL, "agent_pool_partial", slots, 3));
        if (slots > 1)
            CLATTN_TRY(clattn__agent_pool_plan_merge(plan));
    }
out:
    return plan == NULL ? status : clattn__plan_finish(plan, status, out_plan);
}

typedef struct cpu_job {
    const clattn__cpu_ops *ops;
    const Pool *args;
    const float *q;
    float *sums, *out;
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

clattn_status clattn__agent_pool_enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                         const void *opaque, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const clattn_agent_attention_args *args = opaque;
    clattn_context *ctx = plan->ctx;
    const clattn__shape *s = &plan->shape;
    const int64_t cells = s->agents;
    const int64_t pictures = s->batch * s->windows;
    clattn__bound b[2];
    Pool a = plan->pool_args;

    CLATTN_TRY(clattn__bind(ctx, args->q,
                            &(clattn__want){.name = "q",
                                            .batch = s->batch,
                                            .tokens = s->q_tokens,
                                            .heads = s->heads,
                                            .dim = s->dim,
                                            .grid = &s->q_grid},
                            &b[0]));
    CLATTN_TRY(clattn__bind(ctx, args->agents,
                            &(clattn__want){.name = "agents",
                                            .batch = pictures,
                                            .tokens = cells,
                                            .heads = s->heads,
                                            .dim = s->dim,
                                            .windows = s->windows,
                                            .write = true},
                            &b[1]));
    CLATTN_TRY(clattn__bind_disjoint(ctx, b, 2));
    a.q = b[0].view;
    a.out = b[1].view;
    a.grid.linear = s->windows == 1 && b[0].linear && a.grid.shift_y == 0 && a.grid.shift_x == 0;

    const clattn_memory *sums = &ws->scratch[SCRATCH_SUMS];
    if (ctx->cpu != NULL) {
        cpu_job job = {ctx->cpu->ops, &a, clattn__bound_host(&b[0]), sums->host,
                       clattn__bound_host(&b[1])};
        clattn__cpu_for(ctx, pictures * cells * a.slots, cpu_partial, &job);
        if (a.slots > 1)
            clattn__cpu_for(ctx, pictures * cells, cpu_merge, &job);
        return CLATTN_OK;
    }
    const cl_mem partial[] = {b[0].memory.mem, sums->mem, b[1].memory.mem};
    size_t items[3];
    launch_items(&a, a.slots, pictures, items);
    CLATTN_TRY(clattn__launch(chain, ws, KERNEL_PARTIAL, &a, sizeof a, partial, 3, items));
    if (a.slots > 1) {
        const cl_mem merge[] = {sums->mem, b[1].memory.mem};
        launch_items(&a, 1, pictures, items);
        CLATTN_TRY(clattn__launch(chain, ws, KERNEL_MERGE, &a, sizeof a, merge, 2, items));
    }
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
    clattn_context *ctx = steps->ctx;
    const clattn_workspace *ws = steps->ws->children[CLATTN__CHILD_POOL];
    clattn__chain chain;
    Pool a = step_args(steps);

    a.run = 1;
    a.slots = (i32)run->leaves;
    a.first_leaf = (i32)run->first_leaf;
    a.first_cell = (i32)run->first_cell;
    a.cells = (i32)run->cells;
    if (ctx->cpu != NULL) {
        cpu_job job = {ctx->cpu->ops, &a, run->q.host, run->sums.host, NULL};
        clattn__cpu_for(ctx, run->cells * run->leaves, cpu_partial, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {run->q.mem, run->sums.mem, run->sums.mem};
    size_t items[3];
    launch_items(&a, a.slots, 1, items);
    clattn__chain_begin(&chain, ctx, NULL);
    return clattn__chain_end(
        &chain, clattn__launch(&chain, ws, KERNEL_PARTIAL, &a, sizeof a, buffers, 3, items));
}

clattn_status clattn__step_pool_mean(clattn__steps *steps, clattn_memory sums, clattn_memory agents)
{
    clattn_context *ctx = steps->ctx;
    const clattn_workspace *ws = steps->ws->children[CLATTN__CHILD_POOL];
    const int64_t cells = steps->plan->shape.agents;
    clattn__chain chain;
    Pool a = step_args(steps);

    a.slots = 1;
    if (ctx->cpu != NULL) {
        cpu_job job = {ctx->cpu->ops, &a, NULL, sums.host, agents.host};
        clattn__cpu_for(ctx, cells, cpu_merge, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {sums.mem, agents.mem};
    size_t items[3];
    launch_items(&a, 1, 1, items);
    clattn__chain_begin(&chain, ctx, NULL);
    return clattn__chain_end(
        &chain, clattn__launch(&chain, ws, KERNEL_MERGE, &a, sizeof a, buffers, 2, items));
}
