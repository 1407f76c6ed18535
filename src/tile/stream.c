/* A problem that fits no tile: three passes of tiles, see plan.h. */
#include "tile/pass.h"

bool clattn__work_stopping(void *user)
{
    const clattn__tile_work *work = user;
    return clattn__engine_stopping(work->engine);
}

clattn__steps_problem clattn__stream_problem(const clattn_tiling *tiling,
                                             const clattn__tile_cut *cut)
{
    const clattn__tile_problem *p = &tiling->problem;
    return (clattn__steps_problem){.height = (int32_t)p->height,
                                   .width = (int32_t)p->width,
                                   .kv_height = (int32_t)p->kv_height,
                                   .kv_width = (int32_t)p->kv_width,
                                   .class_tokens = p->class_tokens,
                                   .q_leaf = cut->q_leaf,
                                   .k_leaf = cut->k_leaf,
                                   .one_leaf = cut->k_leaves == 1};
}

int clattn__run_level(int64_t leaves)
{
    int level = 0;
    while ((int64_t)1 << level < leaves)
        level++;
    return level;
}

void clattn__pass_node(clattn__tile_work *w, int level, int64_t tile, float *node,
                       clattn_status status)
{
    if (node == NULL)
        return;
    if (status == CLATTN_OK)
        clattn__tree_insert(w->tree, level, tile, node);
    else
        clattn__tree_drop(w->tree, node);
}

int64_t clattn__state_width(const clattn__tile_work *w)
{
    return (w->gather == CLATTN__GATHER_REFINE ? CLATTN__FEATURE : w->tiling->problem.dim_v) + 2;
}

/* ---- between passes: every device gets what all of them found ---- */

/* What a device does with it. */
typedef clattn_status adopt(clattn__tile_work *w, clattn__tile_device *device,
                            clattn__tile_lane *lane, const void *what);

/* A device that cannot is dropped. */
static clattn_status each_device(clattn__tile_work *w, adopt *fn, const void *what)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < w->tiling->device_count; i++) {
        if (!clattn__engine_alive(w->engine, i))
            continue;
        clattn__tile_lane *lane = &w->lanes[i];
        clattn_status own = fn(w, lane->device, lane, what);
        if (own == CLATTN_OK)
            own = lane->ctx->backend->finish(lane->ctx);
        if (own != CLATTN_OK)
            CLATTN_TRY(clattn__engine_drop(w->engine, i, own));
    }
out:
    return status;
}

static clattn_status adopt_sums(clattn__tile_work *w, clattn__tile_device *device,
                                clattn__tile_lane *lane, const void *sums)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t agents = p->agent_height * p->agent_width;

    CLATTN_TRY(lane->ctx->backend->write(lane->ctx, &device->shared[CLATTN__SHARED_ROOT], 0, sums,
                                         clattn__float_bytes(agents, p->heads * p->dim)));
    CLATTN_TRY(clattn__step_pool_mean(lane->steps, device->shared[CLATTN__SHARED_ROOT],
                                      device->shared[CLATTN__SHARED_AGENTS]));
out:
    return status;
}

static clattn_status adopt_agents(clattn__tile_work *w, clattn__tile_device *device,
                                  clattn__tile_lane *lane, const void *given)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    return lane->ctx->backend->write(
        lane->ctx, &device->shared[CLATTN__SHARED_AGENTS], 0, given,
        clattn__float_bytes(p->agent_height * p->agent_width, p->heads * p->dim));
}

static clattn_status adopt_vector(clattn__tile_work *w, clattn__tile_device *device,
                                  clattn__tile_lane *lane, const void *given)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    return lane->ctx->backend->write(
        lane->ctx, &device->shared[CLATTN__SHARED_VECTOR], 0, given,
        clattn__float_bytes(p->agent_height * p->agent_width, p->heads));
}

static clattn_status adopt_root(clattn__tile_work *w, clattn__tile_device *device,
                                clattn__tile_lane *lane, const void *root)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t rows = p->heads * p->agent_height * p->agent_width;
    const bool refine = w->gather == CLATTN__GATHER_REFINE;
    clattn_memory *target =
        refine ? &device->shared[CLATTN__SHARED_REFINED] : &device->shared[CLATTN__SHARED_VA];

    if (w->cut.k_leaves == 1) {
        CLATTN_TRY(lane->ctx->backend->write(
            lane->ctx, target, 0, root, clattn__float_bytes(rows, clattn__state_width(w) - 2)));
    } else {
        CLATTN_TRY(lane->ctx->backend->write(lane->ctx, &device->shared[CLATTN__SHARED_ROOT], 0,
                                             root,
                                             clattn__float_bytes(rows, clattn__state_width(w))));
        CLATTN_TRY(clattn__step_aggregate_root(lane->steps, w->gather,
                                               device->shared[CLATTN__SHARED_ROOT], *target));
    }
    if (refine) {
        const clattn_memory swap = device->shared[CLATTN__SHARED_AGENTS];
        device->shared[CLATTN__SHARED_AGENTS] = device->shared[CLATTN__SHARED_REFINED];
        device->shared[CLATTN__SHARED_REFINED] = swap;
    }
out:
    return status;
}

static clattn_status adopt_norms(clattn__tile_work *w, clattn__tile_device *device,
                                 clattn__tile_lane *lane, const void *none)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    (void)none;
    return clattn__step_norms(lane->steps, device->shared[CLATTN__SHARED_AGENTS],
                              p->agent_height * p->agent_width,
                              device->shared[CLATTN__SHARED_VECTOR]);
}

/* ---- a problem ---- */

static clattn_status run_pass(clattn__tile_work *w, const clattn__engine_pass *pass, int64_t tiles,
                              bool ordered)
{
    clattn__engine_pass own = *pass;

    own.tiles = tiles;
    own.ordered = ordered;
    own.concurrent = w->tiling->options.concurrent != 0;
    own.user = w;
    const clattn_status status = clattn__engine_run(w->engine, &own);
    w->done_before += tiles;
    return status;
}

static clattn_status find_agents(clattn__tile_work *w)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t agents = p->agent_height * p->agent_width;

    if (!p->pooled)
        return each_device(w, adopt_agents,
                           w->io->agents + w->problem * agents * p->heads * p->dim);
    clattn__tree_begin(w->tree, &(clattn__tree_node){agents, p->heads * p->dim, false},
                       w->cut.q_leaves);
    CLATTN_TRY(run_pass(w, &clattn__pool_pass, w->cut.pool_tiles, false));
    CLATTN_TRY(each_device(w, adopt_sums, clattn__tree_root(w->tree)));
out:
    return status;
}

static clattn_status aggregate(clattn__tile_work *w, clattn__gather gather)
{
    clattn_status status = CLATTN_OK;

    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t rows = p->heads * p->agent_height * p->agent_width;

    w->gather = gather;
    clattn__tree_begin(w->tree, &(clattn__tree_node){rows, clattn__state_width(w), true},
                       w->cut.k_leaves);
    CLATTN_TRY(run_pass(w, &clattn__aggregate_pass, w->cut.aggregate_tiles, false));
    CLATTN_TRY(
        each_device(w, adopt_root, w->cut.k_leaves == 1 ? w->va : clattn__tree_root(w->tree)));
out:
    return status;
}

static clattn_status run_problem(clattn__tile_work *w)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t agents = p->agent_height * p->agent_width;

    CLATTN_TRY(find_agents(w));
    for (int64_t i = 1; i < p->aggregates; i++)
        CLATTN_TRY(aggregate(w, CLATTN__GATHER_REFINE));
    CLATTN_TRY(aggregate(w, CLATTN__GATHER_VALUES));
    if (w->tiling->smoothing)
        CLATTN_TRY(each_device(w, adopt_norms, NULL));
    else if (p->agent_vector)
        CLATTN_TRY(
            each_device(w, adopt_vector, w->io->agent_vector + w->problem * agents * p->heads));
    CLATTN_TRY(run_pass(w, &clattn__broadcast_pass, w->cut.broadcast_tiles,
                        w->tiling->options.strips != 0));
out:
    return status;
}

/* The tree is for both reductions: a node holds the wider kind. */
clattn_status clattn__stream_run(clattn__tile_work *w)
{
    clattn_status status = CLATTN_OK;

    for (w->problem = 0; w->problem < w->tiling->problem.problems; w->problem++)
        CLATTN_TRY(run_problem(w));
out:
    return status;
}
