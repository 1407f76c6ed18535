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
    clattn_memory shared[CLATTN__SHARED_COUNT]; /* of a streamed run */
} clattn__tile_device;

/* What keeps a lane's launches short: each is as long as the launches before it let expect; the first ones are small. */
typedef struct clattn__lane_pace {
    clattn__pacer pacer; /* whose user is the lane */
    double seconds;      /* that a launch should stay under */
    double
        rate[CLATTN__PACE_KINDS]; /* measured, floating-point operations per second; 0: not yet */
    int64_t launches;             /* waited for; what was cut once more counts as one, too */
    double longest;               /* of them, in seconds, from enqueue to end */
    bool (*stopping)(void *user); /* asked between launches; true: CLATTN_E_CANCELLED */
    void *user;
} clattn__lane_pace;

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
    /* whole: the untiled operator for a group */
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_memory role[CLATTN__TILE_ROLES];
    clattn_status broken; /* of clattn__lane_leave() */
    clattn__lane_pace pace;

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

/* Sets lane->pace.pacer, which waits for each launch and measures it. */
void clattn__lane_paced(clattn__tile_lane *lane);

/* Whether one block of so many operations is expected to stay under the limit. */
bool clattn__lane_fits(const clattn__tile_lane *lane, clattn__pace_kind kind, double flops);

#endif
