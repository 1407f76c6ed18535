/* What tiles are filled with: asks the source, and lays it out for the steps. */
#include <string.h>

#include "tile/pass.h"

clattn_status clattn__fill_run(clattn__tile_work *w, clattn__tile_lane *lane,
                               clattn_tile_input input, clattn__tile_role role, bool keys)
{
    clattn_status status = CLATTN_OK;
    const int64_t channels = w->ports.channels[input];
    const int64_t width = keys ? w->tiling->problem.kv_width : w->tiling->problem.width;
    clattn_tile_rect rects[4];
    int64_t at[4];
    float *memory = NULL;
    const int count = clattn__tile_run_rects(&w->tiling->problem, keys, &lane->run, rects, at);

    CLATTN_TRY(
        clattn__lane_fill(lane, role, clattn__float_bytes(lane->run.tokens, channels), &memory));
    for (int i = 0; i < count; i++) {
        rects[i].picture = w->problem;
        CLATTN_TRY(clattn__ports_fill(&w->ports, input, &rects[i], memory + at[i] * channels,
                                      width * channels));
    }
out:
    return status;
}

/* The colours of a run without gaps, out of the grown rectangles. */
static void copy_colours(const clattn__tile_lane *lane, const float *rgb, float *colours)
{
    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        const int64_t inset = (r->rect.y - r->grown.y) * r->grown.width + r->rect.x - r->grown.x;
        for (int64_t y = 0; y < r->rect.height; y++)
            memcpy(colours + (r->at + y * r->rect.width) * CLATTN__COLOUR,
                   rgb + (r->offset + inset + y * r->grown.width) * CLATTN__COLOUR,
                   (size_t)r->rect.width * CLATTN__COLOUR * sizeof(float));
    }
}

clattn_status clattn__fill_rgb(clattn__tile_work *w, clattn__tile_lane *lane, bool colours)
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
    CLATTN_TRY(clattn__lane_fill(lane, CLATTN__TILE_VALUES,
                                 clattn__float_bytes(pixels, CLATTN__COLOUR), &rgb));
    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        CLATTN_TRY(clattn__ports_fill(&w->ports, CLATTN_TILE_RGB, &r->grown,
                                      rgb + r->offset * CLATTN__COLOUR,
                                      r->grown.width * CLATTN__COLOUR));
    }
    if (colours) {
        CLATTN_TRY(clattn__lane_fill(lane, CLATTN__TILE_KEYS,
                                     clattn__float_bytes(lane->run.tokens, CLATTN__COLOUR), &flat));
        copy_colours(lane, rgb, flat);
    }
out:
    return status;
}

clattn_status clattn__run_features(clattn__tile_lane *lane, bool keys)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < lane->rect_count; i++) {
        const clattn__lane_rect *r = &lane->rects[i];
        clattn__features_rect f = {.rgb = lane->role[CLATTN__TILE_VALUES],
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
        if (keys)
            f.norms = lane->role[CLATTN__TILE_EXTRA];
        CLATTN_TRY(clattn__step_features(lane->steps, &f));
    }
out:
    return status;
}

clattn_status clattn__fill_rect(clattn__tile_work *w, clattn__tile_lane *lane,
                                clattn_tile_input input, clattn__tile_role role,
                                const clattn_tile_rect *rect)
{
    clattn_status status = CLATTN_OK;
    const int64_t channels = w->ports.channels[input];
    const int64_t tokens = rect->class_count + rect->height * rect->width;
    clattn_tile_rect asked = *rect;
    float *memory = NULL;

    asked.picture = w->problem;
    CLATTN_TRY(clattn__lane_fill(lane, role, clattn__float_bytes(tokens, channels), &memory));
    CLATTN_TRY(clattn__ports_fill(&w->ports, input, &asked, memory, rect->width * channels));
out:
    return status;
}
