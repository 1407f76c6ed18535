/* A problem that fits no tile: three passes of tiles, see plan.h. */
#include <string.h>

#include "tile/tiling.h"

#define FEATURE 5
#define COLOUR  3

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

static uint64_t bytes_of(int64_t tokens, int64_t channels)
{
    return (uint64_t)(tokens * channels) * sizeof(float);
}

static int level_of(int64_t leaves)
{
    int level = 0;
    while ((int64_t)1 << level < leaves)
        level++;
    return level;
}

/* ---- passes 1 and 2: what the source is asked for ---- */

/* One input of a run, without gaps. */
static clattn_status fill_run(clattn__tile_work *w, clattn__tile_lane *lane,
                              clattn_tile_input input, clattn__tile_role role, bool keys)
{
    clattn_status status = CLATTN_OK;
    const int64_t channels = w->ports.channels[input];
    const int64_t width = keys ? w->tiling->problem.kv_width : w->tiling->problem.width;
    clattn_tile_rect rects[4];
    int64_t at[4];
    float *memory = NULL;
    const int count = clattn__tile_run_rects(&w->tiling->problem, keys, &lane->run, rects, at);

    CLATTN_TRY(clattn__lane_map(lane, role, bytes_of(lane->run.tokens, channels), true, &memory));
    for (int i = 0; i < count; i++) {
        rects[i].picture = w->problem;
        CLATTN_TRY(clattn__ports_fill(&w->ports, input, &rects[i], memory + at[i] * channels,
                                      width * channels));
    }
out:
    return clattn__lane_unmap(lane, role, memory, status);
}

/* The colours of a run without gaps, out of the grown rectangles. */
static void copy_colours(const clattn__tile_lane *lane, const float *rgb, float *colours)
{
    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        const int64_t inset = (r->rect.y - r->grown.y) * r->grown.width + r->rect.x - r->grown.x;
        for (int64_t y = 0; y < r->rect.height; y++)
            memcpy(colours + (r->at + y * r->rect.width) * COLOUR,
                   rgb + (r->offset + inset + y * r->grown.width) * COLOUR,
                   (size_t)r->rect.width * COLOUR * sizeof(float));
    }
}

/* Smoothing: the run's rectangles of RGB, each with the pixels around it. */
static clattn_status fill_rgb(clattn__tile_work *w, clattn__tile_lane *lane, bool colours)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    clattn_tile_rect rects[4];
    int64_t at[4];
    int64_t pixels = 0;
    float *rgb = NULL;
    float *flat = NULL;

    lane->rect_count = clattn__tile_run_rects(p, false, &lane->run, rects, at);
    for (int i = 0; i < lane->rect_count; i++) {
        const clattn_tile_rect grown = clattn__tile_grown(p, &rects[i], 1);
        lane->rects[i] = (clattn__lane_rect){rects[i], grown, at[i], pixels};
        pixels += grown.height * grown.width;
    }
    CLATTN_TRY(clattn__lane_map(lane, CLATTN__TILE_VALUES, bytes_of(pixels, COLOUR), true, &rgb));
    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        CLATTN_TRY(clattn__ports_fill(&w->ports, CLATTN_TILE_RGB, &r->grown,
                                      rgb + r->offset * COLOUR, r->grown.width * COLOUR));
    }
    if (colours) {
        CLATTN_TRY(clattn__lane_map(lane, CLATTN__TILE_KEYS, bytes_of(lane->run.tokens, COLOUR),
                                    true, &flat));
        copy_colours(lane, rgb, flat);
    }
out:
    status = clattn__lane_unmap(lane, CLATTN__TILE_KEYS, flat, status);
    return clattn__lane_unmap(lane, CLATTN__TILE_VALUES, rgb, status);
}

static clattn_status run_features(clattn__tile_lane *lane)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        const clattn__features_rect f = {.rgb = lane->role[CLATTN__TILE_VALUES],
                                         .features = lane->role[CLATTN__TILE_TOKENS],
                                         .y = r->rect.y,
                                         .x = r->rect.x,
                                         .height = r->rect.height,
                                         .width = r->rect.width,
                                         .rgb_offset = r->offset +
                                                       (r->rect.y - r->grown.y) * r->grown.width +
                                                       r->rect.x - r->grown.x,
                                         .pitch = r->grown.width,
                                         .feature_offset = r->at};
        CLATTN_TRY(clattn__step_features(lane->steps, &f));
    }
out:
    return status;
}

/* ---- pass 1: pooled sums ---- */

static clattn_status pool_fill(void *user, int number, int64_t tile)
{
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];

    lane->run = clattn__tile_run_at(&w->tiling->problem, &w->cut, false, tile);
    return w->tiling->smoothing ? fill_rgb(w, lane, false)
                                : fill_run(w, lane, CLATTN_TILE_Q, CLATTN__TILE_TOKENS, false);
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
    const clattn__pool_tile t = pool_tile(w, lane);

    (void)tile;
    if (w->tiling->smoothing)
        CLATTN_TRY(run_features(lane));
    if (t.cells > 0)
        CLATTN_TRY(clattn__step_pool_run(lane->steps, &t));
    CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
out:
    return status;
}

/* Adds a cell's sums over the leaves of a run, in place, along the tree; (leaves, channels). */
static void add_leaves(const clattn__tree_node *row, float *sums, int64_t leaves)
{
    for (int64_t step = 1; step < leaves; step *= 2)
        for (int64_t left = 0; left + step < leaves; left += 2 * step)
            clattn__tree_merge(row, sums + left * row->width, sums + (left + step) * row->width, 0);
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
    float *sums = NULL;
    float *node = clattn__tree_take(w->tree);

    CLATTN_CHECK(w->log, node != NULL, CLATTN_E_NOMEM, "more sums wait than the plan has room for");
    memset(node, 0, (size_t)bytes_of(p->agent_height * p->agent_width, channels));
    if (t.cells > 0)
        CLATTN_TRY(clattn__lane_map(lane, CLATTN__TILE_RESULTS,
                                    bytes_of(t.cells * t.leaves, channels), false, &sums));
    for (int64_t cell = 0; cell < t.cells; cell++) {
        float *from = sums + cell * t.leaves * channels;
        add_leaves(&row, from, t.leaves);
        memcpy(node + (t.first_cell + cell) * channels, from, (size_t)bytes_of(1, channels));
    }
    clattn__tree_insert(w->tree, level_of(w->cut.q_run), tile, node);
    node = NULL;
out:
    if (node != NULL)
        clattn__tree_drop(w->tree, node);
    return clattn__lane_unmap(lane, CLATTN__TILE_RESULTS, sums, status);
}

/* ---- pass 2: states ---- */

static clattn_status aggregate_fill(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;

    lane->run = clattn__tile_run_at(p, &w->cut, true, tile);
    if (w->tiling->smoothing)
        return fill_rgb(w, lane, w->gather == CLATTN__GATHER_VALUES);
    CLATTN_TRY(fill_run(w, lane, CLATTN_TILE_K, CLATTN__TILE_TOKENS, true));
    CLATTN_TRY(fill_run(w, lane, CLATTN_TILE_V, CLATTN__TILE_VALUES, true));
    if (p->key_bias)
        CLATTN_TRY(fill_run(w, lane, CLATTN_TILE_KEY_BIAS, CLATTN__TILE_EXTRA, true));
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
                                    .agents = device->agents,
                                    .k = lane->role[CLATTN__TILE_TOKENS],
                                    .v = lane->role[values],
                                    .key_bias = lane->role[CLATTN__TILE_EXTRA],
                                    .bias = device->bias,
                                    .token = lane->run.token,
                                    .tokens = lane->run.tokens,
                                    .out = w->cut.k_leaves > 1 ? lane->role[CLATTN__TILE_RESULTS]
                                           : refine            ? device->refined
                                                               : device->va};
}

static clattn_status aggregate_blocks(void *user, clattn__tile_lane *lane, int64_t first,
                                      int64_t count)
{
    const clattn__aggregate_tile t = aggregate_tile(user, lane);
    return clattn__step_aggregate_run(lane->steps, &t, first, count);
}

static clattn_status aggregate_work(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__lane_work blocks = {.enqueue = aggregate_blocks,
                                      .user = w,
                                      .count = lane->run.count,
                                      .flops = clattn__step_leaf_flops(lane->steps),
                                      .seconds = w->seconds,
                                      .stopping = clattn__work_stopping};

    (void)tile;
    if (w->tiling->smoothing) {
        CLATTN_TRY(run_features(lane));
        CLATTN_TRY(clattn__step_norms(lane->steps, lane->role[CLATTN__TILE_TOKENS],
                                      lane->run.tokens, lane->role[CLATTN__TILE_EXTRA]));
    }
    CLATTN_TRY(clattn__lane_pace(lane, &blocks));
out:
    return status;
}

/* Floats of a state of the aggregation in hand. */
static int64_t state_width(const clattn__tile_work *w)
{
    return (w->gather == CLATTN__GATHER_REFINE ? FEATURE : w->tiling->problem.dim_v) + 2;
}

/* One leaf: its device has written va itself; the others get it from here. */
static clattn_status keep_va(clattn__tile_work *w, clattn__tile_lane *lane)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    const clattn_memory va =
        w->gather == CLATTN__GATHER_REFINE ? lane->device->refined : lane->device->va;
    const int64_t agents = p->agent_height * p->agent_width;

    w->va = clattn__tree_take(w->tree);
    if (w->va == NULL)
        return CLATTN_E_NOMEM;
    return lane->ctx->backend->read(lane->ctx, &va, 0, w->va,
                                    bytes_of(agents * p->heads, state_width(w) - 2));
}

static clattn_status aggregate_finish(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t agents = p->agent_height * p->agent_width;
    const clattn__tree_node rows = {agents, state_width(w), true};
    const int64_t leaves = lane->run.count;
    const int64_t leaf = rows.rows * rows.width;
    const int64_t head = (leaves > 2 ? leaves : 2) * leaf;
    float *states = NULL;
    float *node = NULL;

    if (w->cut.k_leaves == 1)
        return keep_va(w, lane);
    node = clattn__tree_take(w->tree);
    CLATTN_CHECK(w->log, node != NULL, CLATTN_E_NOMEM,
                 "more states wait than the plan has room for");
    CLATTN_TRY(
        clattn__lane_map(lane, CLATTN__TILE_RESULTS, bytes_of(p->heads, head), false, &states));
    for (int64_t h = 0; h < p->heads; h++) {
        float *of_head = states + h * head;
        for (int64_t step = 1; step < leaves; step *= 2)
            for (int64_t left = 0; left + step < leaves; left += 2 * step)
                clattn__tree_merge(&rows, of_head + left * leaf, of_head + (left + step) * leaf,
                                   rows.width);
        memcpy(node + h * leaf, of_head, (size_t)bytes_of(1, leaf));
    }
    clattn__tree_insert(w->tree, level_of(w->cut.k_run), tile, node);
    node = NULL;
out:
    if (node != NULL)
        clattn__tree_drop(w->tree, node);
    return clattn__lane_unmap(lane, CLATTN__TILE_RESULTS, states, status);
}

/* ---- pass 3: outputs ---- */

static clattn_status fill_rect(clattn__tile_work *w, clattn__tile_lane *lane,
                               clattn_tile_input input, clattn__tile_role role,
                               const clattn_tile_rect *rect)
{
    clattn_status status = CLATTN_OK;
    const int64_t channels = w->ports.channels[input];
    const int64_t tokens = rect->class_count + rect->height * rect->width;
    clattn_tile_rect asked = *rect;
    float *memory = NULL;

    asked.picture = w->problem;
    CLATTN_TRY(clattn__lane_map(lane, role, bytes_of(tokens, channels), true, &memory));
    CLATTN_TRY(clattn__ports_fill(&w->ports, input, &asked, memory, rect->width * channels));
out:
    return clattn__lane_unmap(lane, role, memory, status);
}

static clattn_status broadcast_fill(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;

    lane->rect = clattn__tile_rect_at(p, &w->cut, tile);
    const clattn_tile_rect halo =
        lane->rect.class_count > 0 ? lane->rect : clattn__tile_halo(p, &lane->rect);
    if (w->tiling->smoothing) {
        lane->rect_count = 1;
        lane->rects[0] = (clattn__lane_rect){lane->rect, halo, 0, 0};
        return fill_rect(w, lane, CLATTN_TILE_RGB, CLATTN__TILE_VALUES, &halo);
    }
    CLATTN_TRY(fill_rect(w, lane, CLATTN_TILE_Q, CLATTN__TILE_TOKENS, &lane->rect));
    if (p->needs_v)
        CLATTN_TRY(fill_rect(w, lane, CLATTN_TILE_V, CLATTN__TILE_VALUES, &halo));
out:
    return status;
}

static clattn__broadcast_tile broadcast_tile(const clattn__tile_work *w,
                                             const clattn__tile_lane *lane)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    const clattn__tile_device *device = lane->device;
    const clattn_tile_rect *r = &lane->rect;
    const bool map = r->class_count == 0;
    const clattn_tile_rect v = map ? clattn__tile_halo(p, r) : *r;
    const bool resized = p->kv_height != p->height || p->kv_width != p->width;
    clattn__broadcast_tile t = {.q = lane->role[CLATTN__TILE_TOKENS],
                                .agents = device->agents,
                                .va = device->va,
                                .agent_vector = device->vector,
                                .v = lane->role[CLATTN__TILE_VALUES],
                                .out = lane->role[CLATTN__TILE_RESULTS],
                                .bias = device->bias,
                                .dwc_weight = device->dwc_weight,
                                .dwc_bias = device->dwc_bias,
                                .y = r->y,
                                .x = r->x,
                                .height = r->height,
                                .width = r->width,
                                .class_first = r->class_first,
                                .class_count = r->class_count,
                                .v_y = v.y,
                                .v_x = v.x,
                                .v_width = v.width};

    if (!map)
        return t;
    /* What of the map lies around the rectangle; a resized v has all its taps. */
    const clattn_tile_rect around = resized ? clattn__tile_grown(p, r, p->reach) : v;
    t.halo = (Halo){.top = (i32)(r->y - around.y),
                    .left = (i32)(r->x - around.x),
                    .bottom = (i32)(around.y + around.height - r->y - r->height),
                    .right = (i32)(around.x + around.width - r->x - r->width)};
    return t;
}

static clattn_status broadcast_blocks(void *user, clattn__tile_lane *lane, int64_t first,
                                      int64_t count)
{
    const clattn__broadcast_tile t = broadcast_tile(user, lane);
    return clattn__step_broadcast_tile(lane->steps, &t, first, count);
}

static clattn_status broadcast_work(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn_tile_rect *r = &lane->rect;
    const clattn__broadcast_tile t = broadcast_tile(w, lane);
    const clattn__lane_work blocks = {
        .enqueue = broadcast_blocks,
        .user = w,
        .count = clattn__step_broadcast_blocks(lane->steps, r->class_count + r->height * r->width),
        .flops = clattn__step_block_flops(lane->steps),
        .seconds = w->seconds,
        .stopping = clattn__work_stopping};

    (void)tile;
    if (w->tiling->smoothing)
        CLATTN_TRY(run_features(lane));
    CLATTN_TRY(clattn__lane_pace(lane, &blocks));
    CLATTN_TRY(clattn__step_broadcast_rest(lane->steps, &t));
    CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
out:
    return status;
}

static clattn_status broadcast_finish(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const int64_t channels = w->ports.out_channels;
    clattn_tile_rect rect = lane->rect;
    float *out = NULL;

    (void)tile;
    rect.picture = w->problem;
    CLATTN_TRY(clattn__lane_map(lane, CLATTN__TILE_RESULTS,
                                bytes_of(rect.class_count + rect.height * rect.width, channels),
                                false, &out));
    CLATTN_TRY(clattn__ports_take(&w->ports, &rect, out, rect.width * channels));
out:
    return clattn__lane_unmap(lane, CLATTN__TILE_RESULTS, out, status);
}

/* ---- between passes: every device gets what all of them found ---- */

/* What a device does with it. */
typedef clattn_status adopt(clattn__tile_work *w, clattn__tile_device *device,
                            clattn__tile_lane *lane, const void *what);

/* A device that cannot is dropped. */
static clattn_status each_device(clattn__tile_work *w, adopt *fn, const void *what)
{
    clattn_status status = CLATTN_OK;
    const int per_device = w->lane_count / w->tiling->device_count;

    for (int i = 0; i < w->tiling->device_count; i++) {
        if (!clattn__engine_alive(w->engine, i))
            continue;
        clattn__tile_lane *lane = &w->lanes[i * per_device];
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

    CLATTN_TRY(lane->ctx->backend->write(lane->ctx, &device->root, 0, sums,
                                         bytes_of(agents, p->heads * p->dim)));
    CLATTN_TRY(clattn__step_pool_mean(lane->steps, device->root, device->agents));
out:
    return status;
}

static clattn_status adopt_agents(clattn__tile_work *w, clattn__tile_device *device,
                                  clattn__tile_lane *lane, const void *given)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    return lane->ctx->backend->write(lane->ctx, &device->agents, 0, given,
                                     bytes_of(p->agent_height * p->agent_width, p->heads * p->dim));
}

static clattn_status adopt_vector(clattn__tile_work *w, clattn__tile_device *device,
                                  clattn__tile_lane *lane, const void *given)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    return lane->ctx->backend->write(lane->ctx, &device->vector, 0, given,
                                     bytes_of(p->agent_height * p->agent_width, p->heads));
}

static clattn_status adopt_root(clattn__tile_work *w, clattn__tile_device *device,
                                clattn__tile_lane *lane, const void *root)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t rows = p->heads * p->agent_height * p->agent_width;
    const bool refine = w->gather == CLATTN__GATHER_REFINE;
    clattn_memory *target = refine ? &device->refined : &device->va;

    if (w->cut.k_leaves == 1) {
        CLATTN_TRY(lane->ctx->backend->write(lane->ctx, target, 0, root,
                                             bytes_of(rows, state_width(w) - 2)));
    } else {
        CLATTN_TRY(lane->ctx->backend->write(lane->ctx, &device->root, 0, root,
                                             bytes_of(rows, state_width(w))));
        CLATTN_TRY(clattn__step_aggregate_root(lane->steps, w->gather, device->root, *target));
    }
    if (refine) {
        const clattn_memory swap = device->agents;
        device->agents = device->refined;
        device->refined = swap;
    }
out:
    return status;
}

static clattn_status adopt_norms(clattn__tile_work *w, clattn__tile_device *device,
                                 clattn__tile_lane *lane, const void *none)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    (void)none;
    return clattn__step_norms(lane->steps, device->agents, p->agent_height * p->agent_width,
                              device->vector);
}

/* ---- a problem ---- */

static clattn_status run_pass(clattn__tile_work *w, int64_t tiles, bool ordered,
                              clattn_status (*fill)(void *, int, int64_t),
                              clattn_status (*work)(void *, int, int64_t),
                              clattn_status (*finish)(void *, int, int64_t))
{
    const clattn__engine_pass pass = {.tiles = tiles,
                                      .ordered = ordered,
                                      .user = w,
                                      .fill = fill,
                                      .work = work,
                                      .finish = finish};
    const clattn_status status = clattn__engine_run(w->engine, &pass);
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
    CLATTN_TRY(run_pass(w, w->cut.pool_tiles, false, pool_fill, pool_work, pool_finish));
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
    clattn__tree_begin(w->tree, &(clattn__tree_node){rows, state_width(w), true}, w->cut.k_leaves);
    CLATTN_TRY(run_pass(w, w->cut.aggregate_tiles, false, aggregate_fill, aggregate_work,
                        aggregate_finish));
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
    CLATTN_TRY(run_pass(w, w->cut.broadcast_tiles, w->tiling->options.strips != 0, broadcast_fill,
                        broadcast_work, broadcast_finish));
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
