#include "ops/attend.h"

#include <inttypes.h>

#include "cl/device.h"
#include "cpu/cpu.h"
#include "ops/forms.h"
#include "ops/plan.h"

enum { KERNEL_ATTEND };

#define BUFFERS 9

/* Most agents per tile of the wide shape and the CPU path; the logits of a tile stay in the nearest cache. */
#define TILE_MAX  64
#define TILE_ROWS 8 /* agents that share one pass over a block of tokens */

/*
 * The tile, of `most` agents or not much less, that cuts n agents into the fewest groups of at most TILE_ROWS: with 64, 49 is one
 * tile of 7 x 7, and 784 are 14 tiles of 56. In stage 2 results depend on it: there it follows from n alone.
 */
static int64_t agent_tile(int64_t n, int64_t most)
{
    int64_t best = most;
    int64_t fewest = INT64_MAX;

    if (n <= most)
        return n;
    for (int64_t tile = most; 8 * tile >= 5 * most; tile--) {
        const int64_t rest = n % tile;
        const int64_t groups =
            n / tile * ((tile + TILE_ROWS - 1) / TILE_ROWS) + (rest + TILE_ROWS - 1) / TILE_ROWS;
        if (groups < fewest) {
            fewest = groups;
            best = tile;
        }
    }
    return best;
}

/* Groups along the second axis of a launch: agent tiles of stage 1, blocks of the value width. */
static int64_t side_groups(const clattn__attend *at, const Attend *a)
{
    return at->stage == 1 ? clattn__ceil_div(a->queries, at->query_block) * at->value_blocks
                          : at->value_blocks;
}

static double block_flops(const clattn__attend *at, const Attend *a)
{
    const double block = at->stage == 1 ? a->leaf_tokens : at->query_block;
    const double others = at->stage == 1 ? a->queries : a->keys;
    return 2.0 * block * others * (double)(a->dim + a->dim_v) * (double)at->problems;
}

/* Cuts the work: blocks per launch so that no launch exceeds the context's flops, as a power of two. */
static void cut(const clattn_context *ctx, clattn__attend *at, Attend *a)
{
    const bool gather = at->stage == 1;
    const double flops = block_flops(at, a);

    at->blocks = gather ? a->leaves : clattn__ceil_div(a->queries, at->query_block);
    int64_t most = INT32_MAX / at->problems;
    most = most < at->blocks ? most : at->blocks;
    at->blocks_per_launch = 1;
    while (at->blocks_per_launch < most &&
           2.0 * (double)at->blocks_per_launch * flops <= (double)ctx->params.launch_flops)
        at->blocks_per_launch *= 2;
}

uint32_t clattn__attend_launches(const clattn__attend *at)
{
    return (uint32_t)clattn__ceil_div(at->blocks, at->blocks_per_launch);
}

/* The items of a launch of `count` blocks. */
static void launch_items(const clattn__attend *at, const Attend *a, int64_t count, size_t items[3])
{
    if (at->shape == CLATTN_SHAPE_TILE) {
        items[0] = (size_t)at->work_group * (size_t)count;
        items[1] = (size_t)side_groups(at, a);
        items[2] = (size_t)at->problems;
    } else {
        const bool gather = at->stage == 1;
        items[0] = (size_t)a->heads;
        items[1] = gather ? (size_t)clattn__ceil_div(a->queries, a->tile) : (size_t)count;
        items[2] = (size_t)(gather ? at->pictures * count : at->pictures);
    }
}

static clattn__head head_of(const clattn_plan *plan)
{
    return (clattn__head){.dim = (int)plan->attend_args.dim,
                          .dim_v = (int)plan->attend_args.dim_v,
                          .type = plan->desc.type};
}

/* The tile shape with work-groups of `tile`, as tuned. */
static void choose_tile(clattn_plan *plan, const clattn__tile_row *tile, clattn__kernel_spec *spec)
{
    clattn__attend *at = &plan->attend;
    const Attend *a = &plan->attend_args;
    const clattn__tune_values *v = clattn__plan_tune(
        plan, KERNEL_ATTEND, plan->op,
        (clattn__tune_values){
            .work_group = tile->work_group, .chunk_d = tile->chunk_d, .block_dv = tile->block_dv});
    at->shape = CLATTN_SHAPE_TILE;
    at->work_group = tile->work_group;
    at->query_block = tile->tile_q;
    at->value_blocks = (int)clattn__ceil_div(a->dim_v, v->block_dv);
    clattn__tile_row tuned = *tile;
    tuned.chunk_d = v->chunk_d;
    tuned.block_dv = v->block_dv;
    clattn__form_tile(spec, head_of(plan), at->stage, tuned);
}

/*
 * Items run in the order of their numbers. All heads of a block of queries lie side by side; but where each head has more keys and values
 * than this, they would push one another out of the last cache.
 */
#define TURNS_BYTES (1 << 20)

static int64_t head_bytes(const clattn_plan *plan)
{
    const Attend *a = &plan->attend_args;
    return (int64_t)a->keys * (a->dim + a->dim_v) * (int64_t)clattn__type_bytes(plan->desc.type);
}

/* The wide shape, as tuned. */
static void choose_wide(clattn_plan *plan, clattn__kernel_spec *spec)
{
    clattn__attend *at = &plan->attend;
    Attend *a = &plan->attend_args;
    const bool gather = at->stage == 1;
    const clattn__wide_row *wide = clattn__wide_row_first(plan->ctx->device.vector_width);
    const clattn__tune_values *v =
        clattn__plan_tune(plan, KERNEL_ATTEND, plan->op,
                          (clattn__tune_values){.rows = wide->rows,
                                                .vectors = wide->vectors,
                                                .agents = gather ? TILE_MAX : 0,
                                                .query_block = gather ? 0 : wide->query_block});
    at->shape = CLATTN_SHAPE_WIDE;
    at->work_group = 1;
    at->query_block = v->query_block;
    at->value_blocks = 1;
    if (gather)
        a->tile = (i32)agent_tile(a->queries, v->agents);
    else
        a->by_head = head_bytes(plan) > TURNS_BYTES;
    clattn__form_wide(spec, head_of(plan), at->stage,
                      (clattn__wide_row){.rows = v->rows,
                                         .vectors = v->vectors,
                                         .step = wide->step,
                                         .query_block = v->query_block});
}

/* Whether the wide shape runs the kernels for narrow rows (kernels/narrow.clh), which know neither agent bias nor convolution. */
static bool is_narrow(const clattn_plan *plan)
{
    const Attend *a = &plan->attend_args;
    return a->dim <= CLATTN__NARROW_WIDTH && a->dim_v <= CLATTN__NARROW_WIDTH && a->dwc_size == 0 &&
           !plan->desc.has_bias;
}

/* The wide shape for narrow rows; nothing to tune. */
static void choose_narrow(clattn_plan *plan, clattn__kernel_spec *spec)
{
    clattn__attend *at = &plan->attend;
    plan->tuned[KERNEL_ATTEND] = (clattn__tuned){.kernel = NULL}; /* of a tile that was refused */
    at->shape = CLATTN_SHAPE_WIDE;
    at->work_group = 1;
    at->query_block = CLATTN__NARROW_QUERY_BLOCK;
    at->value_blocks = 1;
    clattn__form_narrow(spec, head_of(plan), at->stage,
                        clattn__vector_floats(plan->ctx->device.vector_width));
}

/* Builds one variant and tries it; `tile` NULL is the wide shape. */
static clattn_status try_variant(clattn_plan *plan, const clattn__tile_row *tile)
{
    clattn__attend *at = &plan->attend;
    Attend *a = &plan->attend_args;
    clattn__kernel_spec spec;

    if (tile != NULL)
        choose_tile(plan, tile, &spec);
    else if (is_narrow(plan))
        choose_narrow(plan, &spec);
    else
        choose_wide(plan, &spec);
    cut(plan->ctx, at, a);
    Attend nothing = *a;
    nothing.first = 0;
    nothing.count = 0;
    clattn__trial trial = {.nothing = &nothing,
                           .bytes = sizeof nothing,
                           .buffers = BUFFERS,
                           .probe = clattn__attend_probe};
    launch_items(at, a, at->blocks < at->blocks_per_launch ? at->blocks : at->blocks_per_launch,
                 trial.items);
    return clattn__plan_kernel(plan, KERNEL_ATTEND, &spec, &trial);
}

/* As tuned, and then, if that computes wrongly, as the device's properties say. */
static clattn_status try_row(clattn_plan *plan, const clattn__tile_row *tile)
{
    plan->plain[KERNEL_ATTEND] = false;
    clattn_status status = try_variant(plan, tile);
    if (status == CLATTN_E_WRONG && clattn__plan_untune(plan, KERNEL_ATTEND))
        status = try_variant(plan, tile);
    return status;
}

clattn_status clattn__attend_plan(clattn_plan *plan, int stage, int64_t batch)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    clattn__attend *at = &plan->attend;
    Attend *a = &plan->attend_args;

    *at = (clattn__attend){.stage = stage,
                           .shape = CLATTN_SHAPE_WIDE,
                           .work_group = 1,
                           .query_block = CLATTN__CPU_QUERY_BLOCK,
                           .value_blocks = 1,
                           .pictures = batch * a->windows,
                           .problems = batch * a->windows * a->heads};
    a->tile = (i32)agent_tile(stage == 1 ? a->queries : a->keys, TILE_MAX);
    if (clattn_context_is_cpu(ctx)) {
        at->blocks = stage == 1 ? a->leaves : clattn__ceil_div(a->queries, at->query_block);
        at->blocks_per_launch = at->blocks;
    } else {
        const clattn__tile_row *row = NULL;
        if (ctx->params.shape == CLATTN_SHAPE_TILE)
            row = clattn__tile_row_first(a->dim, a->dim_v, ctx->params.work_group,
                                         ctx->params.max_work_group, ctx->params.max_local_bytes);
        status = try_row(plan, row);
        bool wrong = status == CLATTN_E_WRONG;
        while (clattn__plan_shrinks(status) && row != NULL) {
            clattn__plan_refused(plan, KERNEL_ATTEND, status);
            row = clattn__tile_row_smaller(row);
            status = try_row(plan, row);
            wrong = wrong || status == CLATTN_E_WRONG;
        }
        /* However the last one came out: there were others, and they could not be trusted. */
        if (status != CLATTN_OK && status != CLATTN_E_LOST && wrong)
            status = CLATTN_E_WRONG;
        CLATTN_TRY(status);
    }
    plan->info.launches = clattn__attend_launches(at);
    plan->info.work_group = (uint32_t)at->work_group;
    plan->info.shape = at->shape;
out:
    return status;
}

void clattn__attend_adopt(clattn_plan *plan, const clattn_plan *of)
{
    clattn__attend *at = &plan->attend;
    Attend *a = &plan->attend_args;
    const bool gather = at->stage == 1;
    const int32_t agents = of->tuned[KERNEL_ATTEND].values.agents;

    if (clattn_context_is_cpu(plan->ctx)) {
        at->blocks = gather ? a->leaves : at->blocks;
        at->blocks_per_launch = at->blocks;
        return;
    }
    at->shape = of->attend.shape;
    at->work_group = of->attend.work_group;
    at->query_block = of->attend.query_block;
    at->value_blocks = of->attend.value_blocks;
    if (gather && agents > 0)
        a->tile = (i32)agent_tile(a->queries, agents);
    at->blocks = gather ? a->leaves : clattn__ceil_div(a->queries, at->query_block);
    at->blocks_per_launch = clattn__ceil_div(at->blocks, 2);
}

typedef struct cpu_job {
    void (*item)(const Attend *args, const clattn__attend_mem *mem, int64_t item);
    const Attend *args;
    clattn__attend_mem mem;
    int64_t first;
} cpu_job;

static void cpu_item(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->item(job->args, &job->mem, job->first + i);
}

static const float *from(const clattn__bound *bound)
{
    const float *host = clattn__bound_host(bound);
    return host == NULL ? NULL : host + bound->view.offset;
}

/* `count` items from `first` on, as cpu/cpu.h numbers them. */
static void run_on_cpu(const clattn_plan *plan, const Attend *a, const clattn__attend_bounds *b,
                       int64_t first, int64_t count)
{
    const clattn__cpu_ops *ops = clattn__plan_cpu(plan);
    cpu_job job = {.item = plan->attend.stage == 1 ? ops->aggregate : ops->broadcast,
                   .args = a,
                   .mem = {.q = clattn__bound_host(&b->q),
                           .k = clattn__bound_host(&b->k),
                           .v = clattn__bound_host(&b->v),
                           .key_bias = clattn__bound_host(&b->key_bias),
                           .bias = clattn__bound_host(&b->bias),
                           .tap = clattn__bound_host(&b->tap),
                           .dwc_weight = from(&b->dwc_weight),
                           .dwc_bias = from(&b->dwc_bias),
                           .out = clattn__bound_host(&b->out)},
                   .first = first};
    clattn__cpu_for(plan->ctx, count, cpu_item, &job);
}

typedef struct stage_work {
    const clattn_plan *plan;
    const clattn_workspace *ws;
    const Attend *args;
    const clattn__attend_bounds *bounds;
    clattn__chain *chain;
} stage_work;

/* One launch. CPU path, stage 2: of one picture. */
static clattn_status stage_piece(void *user, int64_t first, int64_t count)
{
    const stage_work *w = user;
    const clattn_plan *plan = w->plan;
    const clattn__attend *at = &plan->attend;
    const clattn__attend_bounds *b = w->bounds;
    const cl_mem buffers[BUFFERS] = {
        b->q.memory.mem,          b->k.memory.mem,        b->v.memory.mem,
        b->key_bias.memory.mem,   b->bias.memory.mem,     b->tap.memory.mem,
        b->dwc_weight.memory.mem, b->dwc_bias.memory.mem, b->out.memory.mem};
    Attend a = *w->args;

    a.first = (i32)first;
    a.count = (i32)count;
    if (plan->ctx->cpu == NULL) {
        size_t items[3];
        launch_items(at, &a, count, items);
        return clattn__launch(w->chain, w->ws, KERNEL_ATTEND, &a, sizeof a, buffers, BUFFERS,
                              items);
    }
    if (at->stage == 1)
        run_on_cpu(plan, &a, b, 0, at->problems * count * clattn__ceil_div(a.queries, a.tile));
    else
        run_on_cpu(plan, &a, b, first * a.heads, count * a.heads);
    return CLATTN_OK;
}

clattn_status clattn__attend_blocks(const clattn_plan *plan, const clattn_workspace *ws,
                                    const Attend *args, const clattn__attend_bounds *bounds,
                                    int64_t blocks, clattn__chain *chain)
{
    stage_work w = {plan, ws, args, bounds, chain};
    return clattn__pace(chain->pacer, &(clattn__paced_work){
                                          .kind = plan->attend.stage == 1 ? CLATTN__PACE_AGGREGATE
                                                                          : CLATTN__PACE_BROADCAST,
                                          .blocks = blocks,
                                          .flops = block_flops(&plan->attend, args),
                                          .piece = stage_piece,
                                          .user = &w});
}

clattn_status clattn__attend_enqueue(const clattn_plan *plan, const clattn_workspace *ws, Attend a,
                                     const clattn__attend_bounds *b, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const clattn__attend *at = &plan->attend;
    stage_work w = {plan, ws, &a, b, chain};

    if (chain != NULL && chain->pacer != NULL)
        return clattn__attend_blocks(plan, ws, &a, b, at->blocks, chain);
    if (plan->ctx->cpu != NULL && at->stage == 2) {
        run_on_cpu(plan, &a, b, 0, at->problems * at->blocks);
        return CLATTN_OK;
    }
    for (int64_t first = 0; first < at->blocks; first += at->blocks_per_launch) {
        const int64_t rest = at->blocks - first;
        const int64_t count = rest < at->blocks_per_launch ? rest : at->blocks_per_launch;
        CLATTN_TRY(stage_piece(&w, first, count));
    }
out:
    return status;
}
