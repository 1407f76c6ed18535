/* Pass 3: the output, rectangle by rectangle. */
#include "tile/pass.h"

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
        return clattn__fill_rect(w, lane, CLATTN_TILE_RGB, CLATTN__TILE_VALUES, &halo);
    }
    CLATTN_TRY(clattn__fill_rect(w, lane, CLATTN_TILE_Q, CLATTN__TILE_TOKENS, &lane->rect));
    if (p->needs_v)
        CLATTN_TRY(clattn__fill_rect(w, lane, CLATTN_TILE_V, CLATTN__TILE_VALUES, &halo));
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
                                .agents = device->shared[CLATTN__SHARED_AGENTS],
                                .va = device->shared[CLATTN__SHARED_VA],
                                .agent_vector = device->shared[CLATTN__SHARED_VECTOR],
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

static clattn_status broadcast_work(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__broadcast_tile t = broadcast_tile(w, lane);

    const int64_t tokens = t.class_count + t.height * t.width;

    (void)tile;
    CLATTN_TRY(clattn__lane_begin(lane));
    if (w->tiling->smoothing)
        CLATTN_TRY(clattn__run_features(lane, false));
    CLATTN_TRY(clattn__step_broadcast_tile(lane->steps, &t));
    CLATTN_TRY(clattn__lane_end(lane, clattn__float_bytes(tokens, w->ports.out_channels)));
out:
    return status;
}

static clattn_status broadcast_finish(void *user, int number, int64_t tile)
{
    const clattn__tile_work *w = user;
    const clattn__tile_lane *lane = &w->lanes[number];
    clattn_tile_rect rect = lane->rect;

    (void)tile;
    rect.picture = w->problem;
    return clattn__ports_take(&w->ports, &rect, clattn__lane_results(lane),
                              rect.width * w->ports.out_channels);
}

const clattn__engine_pass clattn__broadcast_pass = {
    .fill = broadcast_fill, .work = broadcast_work, .finish = broadcast_finish};
