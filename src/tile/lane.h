/* The devices of a tiled run, and the lanes on them: each a queue with the buffers of one tile in flight. */
#ifndef CLATTN_SRC_TILE_LANE_H
#define CLATTN_SRC_TILE_LANE_H

#include "ops/steps.h"
#include "tile/plan.h"

/* What tiles of all lanes of a device share. */
typedef struct clattn__tile_device {
    clattn_context *ctx; /* the caller's */
    /* the layer's, from create to destroy */
    clattn_agent_bias *bias;
    clattn_memory dwc_weight, dwc_bias;
    /* of a streamed run */
    clattn_memory agents, refined; /* refined: smoothing, takes turns with agents */
    clattn_memory va, vector, root;
} clattn__tile_device;

/* A rectangle of a run in VALUES, for the features: what the source was asked for, and where it lies there, in pixels. */
typedef struct clattn__lane_rect {
    clattn_tile_rect rect, grown;
    int64_t at;     /* run token of its first */
    int64_t offset; /* of the grown rectangle in VALUES */
} clattn__lane_rect;

typedef struct clattn__tile_lane {
    clattn_context *ctx; /* a lane of the device's context */
    clattn__tile_device *device;
    clattn__steps *steps; /* streamed */
    /* whole: the operator for a group, and for a smaller last one; the workspace is that of used_plan */
    clattn_plan *plan, *last_plan, *used_plan;
    clattn_workspace *ws;
    clattn_memory role[CLATTN__TILE_ROLES];
    clattn_status broken; /* of clattn__lane_leave() */
    double rate;          /* measured, floating-point operations per second; 0: not yet */

    /* the tile in hand */
    clattn__tile_run run;
    clattn__lane_rect rects[4];
    int rect_count;
    clattn_tile_rect rect;
} clattn__tile_lane;

/* Enters and leaves a role's memory from the host. */
clattn_status clattn__lane_map(clattn__tile_lane *lane, clattn__tile_role role, uint64_t bytes,
                               bool fresh, float **pointer);
clattn_status clattn__lane_unmap(clattn__tile_lane *lane, clattn__tile_role role, float *pointer,
                                 clattn_status status);

/*
 * The same where the results were handed on: that tile must not be done again, so a failure here is kept, and is that of the lane's
 * next tile. Returns `status`.
 */
clattn_status clattn__lane_leave(clattn__tile_lane *lane, clattn__tile_role role, float *pointer,
                                 clattn_status status);

/* What clattn__lane_pace() cuts into launches: enqueues blocks [first, first + count). */
typedef clattn_status clattn__lane_blocks(void *user, clattn__tile_lane *lane, int64_t first,
                                          int64_t count);

/*
 * Runs `count` blocks of `flops` each in launches that stay under `seconds`, one after the other, by the rate that the launches before
 * had; the first ones are small. Between launches `stopping` is asked.
 */
typedef struct clattn__lane_work {
    clattn__lane_blocks *enqueue;
    void *user;
    int64_t count;
    double flops, seconds;
    bool (*stopping)(void *user);
} clattn__lane_work;
clattn_status clattn__lane_pace(clattn__tile_lane *lane, const clattn__lane_work *work);

#endif
