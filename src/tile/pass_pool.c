/* Pass 1: sums of q per (agent cell, leaf), added along the tree. */
#include <string.h>

#include "tile/pass.h"

static clattn_status pool_fill(void *user, int number, int64_t tile)
{
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];

    lane->run = clattn__tile_run_at(&w->tiling->problem, &w->cut, false, tile);
    return w->tiling->smoothing
               ? clattn__fill_rgb(w, lane, false)
               : clattn__fill_run(w, lane, CLATTN_TILE_Q, CLATTN__TILE_TOKENS, false);
}

/* The cells that a run touches, row by row of cells. */
static clattn__pool_tile pool_tile(const clattn__tile_work *w, const clattn__tile_lane *lane)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    int64_t first, count;

    clattn__tile_cell_rows(p, &lane->run, &first, &count);
    return (clattn__pool_tile){.q = lane->role[CLATTN__TILE_TOKENS],
                               .sums = lane->role[CLATTN__TILE_RESULTS],
                               .first_leaf = lane->run.first,
                               .leaves = lane->run.count,
                               .first_cell = first * p->agent_width,
                               .cells = count * p->agent_width};
}

static clattn_status pool_work(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;
    const clattn__pool_tile t = pool_tile(w, lane);

    (void)tile;
    CLATTN_TRY(clattn__lane_begin(lane));
    if (w->tiling->smoothing)
        CLATTN_TRY(clattn__run_features(lane, false));
    if (t.cells > 0)
        CLATTN_TRY(clattn__step_pool_run(lane->steps, &t));
    CLATTN_TRY(clattn__lane_end(lane, clattn__float_bytes(t.cells * t.leaves, p->heads * p->dim)));
out:
    return status;
}

static clattn_status pool_finish(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;
    const clattn__pool_tile t = pool_tile(w, lane);
    const int64_t channels = p->heads * p->dim;
    const clattn__tree_node row = {.rows = 1, .width = channels};
    float *node = clattn__tree_take(w->tree);

    CLATTN_CHECK(w->log, node != NULL, CLATTN_E_NOMEM, "more sums wait than the plan has room for");
    memset(node, 0, (size_t)clattn__float_bytes(p->agent_height * p->agent_width, channels));
    for (int64_t cell = 0; cell < t.cells; cell++) {
        float *from = clattn__lane_results(lane) + cell * t.leaves * channels;
        clattn__tree_fold(&row, from, t.leaves, channels);
        memcpy(node + (t.first_cell + cell) * channels, from,
               (size_t)clattn__float_bytes(1, channels));
    }
out:
    clattn__pass_node(w, clattn__run_level(w->cut.q_run), tile, node, status);
    return status;
}

const clattn__engine_pass clattn__pool_pass = {
    .serial = true, .fill = pool_fill, .work = pool_work, .finish = pool_finish};
