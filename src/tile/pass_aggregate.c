/* Pass 2: states of stage 1 per leaf, merged along the tree. */
#include <string.h>

#include "tile/pass.h"

static clattn_status aggregate_fill(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;

    lane->run = clattn__tile_run_at(p, &w->cut, true, tile);
    if (w->tiling->smoothing)
        return clattn__fill_rgb(w, lane, w->gather == CLATTN__GATHER_VALUES);
    CLATTN_TRY(clattn__fill_run(w, lane, CLATTN_TILE_K, CLATTN__TILE_TOKENS, true));
    CLATTN_TRY(clattn__fill_run(w, lane, CLATTN_TILE_V, CLATTN__TILE_VALUES, true));
    if (p->key_bias)
        CLATTN_TRY(clattn__fill_run(w, lane, CLATTN_TILE_KEY_BIAS, CLATTN__TILE_EXTRA, true));
out:
    return status;
}

static clattn__aggregate_tile aggregate_tile(const clattn__tile_work *w,
                                             const clattn__tile_lane *lane)
{
    const clattn__tile_device *device = lane->device;
    const bool refine = w->gather == CLATTN__GATHER_REFINE;
    clattn__tile_role values = CLATTN__TILE_VALUES;

    if (w->tiling->smoothing)
        values = refine ? CLATTN__TILE_TOKENS : CLATTN__TILE_KEYS;
    return (clattn__aggregate_tile){.what = w->gather,
                                    .agents = device->shared[CLATTN__SHARED_AGENTS],
                                    .k = lane->role[CLATTN__TILE_TOKENS],
                                    .v = lane->role[values],
                                    .key_bias = lane->role[CLATTN__TILE_EXTRA],
                                    .bias = device->bias,
                                    .token = lane->run.token,
                                    .tokens = lane->run.tokens,
                                    .out = w->cut.k_leaves > 1 ? lane->role[CLATTN__TILE_RESULTS]
                                           : refine ? device->shared[CLATTN__SHARED_REFINED]
                                                    : device->shared[CLATTN__SHARED_VA]};
}

/* A leaf's states of one head, and those of a head in the results, in floats. */
static int64_t leaf_floats(const clattn__tile_work *w)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    return p->agent_height * p->agent_width * clattn__state_width(w);
}

static int64_t head_floats(const clattn__tile_work *w, const clattn__tile_lane *lane)
{
    return (lane->run.count > 2 ? lane->run.count : 2) * leaf_floats(w);
}

static clattn_status aggregate_work(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__aggregate_tile t = aggregate_tile(w, lane);
    const int64_t heads = w->cut.k_leaves > 1 ? w->tiling->problem.heads : 0;

    (void)tile;
    CLATTN_TRY(clattn__lane_begin(lane));
    if (w->tiling->smoothing)
        CLATTN_TRY(clattn__run_features(lane, true));
    CLATTN_TRY(clattn__step_aggregate_run(lane->steps, &t));
    CLATTN_TRY(clattn__lane_end(lane, clattn__float_bytes(heads, head_floats(w, lane))));
out:
    return status;
}

/* One leaf: its device has written va itself; the others get it from here. */
static clattn_status keep_va(clattn__tile_work *w, clattn__tile_lane *lane)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    const clattn_memory va = w->gather == CLATTN__GATHER_REFINE
                                 ? lane->device->shared[CLATTN__SHARED_REFINED]
                                 : lane->device->shared[CLATTN__SHARED_VA];
    const int64_t agents = p->agent_height * p->agent_width;
    const uint64_t bytes = clattn__float_bytes(agents * p->heads, clattn__state_width(w) - 2);
    clattn_status status = CLATTN_OK;
    float *node = clattn__tree_take(w->tree);

    CLATTN_CHECK(w->log, node != NULL, CLATTN_E_NOMEM, "the plan has no room for va");
    CLATTN_TRY(lane->ctx->backend->read(lane->ctx, &va, 0, node, bytes));
    w->va = node;
    return CLATTN_OK;
out:
    if (node != NULL) /* another device tries next */
        clattn__tree_drop(w->tree, node);
    return status;
}

static clattn_status aggregate_finish(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t agents = p->agent_height * p->agent_width;
    const clattn__tree_node rows = {agents, clattn__state_width(w), true};
    const int64_t leaf = leaf_floats(w);
    float *node = NULL;

    if (w->cut.k_leaves == 1)
        return keep_va(w, lane);
    node = clattn__tree_take(w->tree);
    CLATTN_CHECK(w->log, node != NULL, CLATTN_E_NOMEM,
                 "more states wait than the plan has room for");
    for (int64_t h = 0; h < p->heads; h++) {
        float *of_head = clattn__lane_results(lane) + h * head_floats(w, lane);
        clattn__tree_fold(&rows, of_head, lane->run.count, leaf);
        memcpy(node + h * leaf, of_head, (size_t)clattn__float_bytes(1, leaf));
    }
out:
    clattn__pass_node(w, clattn__run_level(w->cut.k_run), tile, node, status);
    return status;
}

const clattn__engine_pass clattn__aggregate_pass = {
    .serial = true, .fill = aggregate_fill, .work = aggregate_work, .finish = aggregate_finish};
