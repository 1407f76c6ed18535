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

/* A role's memory, while the host has it: from its filling to the tile's first launch, and after the last one. */
typedef struct clattn__lane_view {
    float *pointer; /* NULL: the device has it */
    uint64_t bytes;
    bool filled; /* for the tile in hand */
} clattn__lane_view;

typedef struct clattn__tile_lane {
    clattn_context *ctx; /* a lane of the device's context */
    clattn__tile_device *device;
    clattn__steps *steps; /* streamed */
    /* whole: the untiled operator for a group */
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_memory role[CLATTN__TILE_ROLES];
    clattn__lane_view view[CLATTN__TILE_ROLES];
    clattn__lane_pace pace;

    /* the tile in hand */
    clattn__tile_run run;
    clattn__lane_rect rects[4];
    int rect_count;
    clattn_tile_rect rect;
} clattn__tile_lane;

/*
 * A role's memory, to be filled for the next tile. The calling thread waits for a device here on a lane's first tile of a pass alone:
 * later ones find it open.
 */
clattn_status clattn__lane_fill(clattn__tile_lane *lane, clattn__tile_role role, uint64_t bytes,
                                float **pointer);

/* What work() begins with: the device gets all memory. */
clattn_status clattn__lane_begin(clattn__tile_lane *lane);
/* And what it ends with: the host gets the results (0 bytes: there are none), and what it had filled, to fill it again. */
clattn_status clattn__lane_end(clattn__tile_lane *lane, uint64_t result_bytes);

/* After that, for finish(). */
static inline float *clattn__lane_results(const clattn__tile_lane *lane)
{
    return lane->view[CLATTN__TILE_RESULTS].pointer;
}

/* Sets lane->pace.pacer, which waits for each launch and measures it. */
void clattn__lane_paced(clattn__tile_lane *lane);

/* Whether one block of so many operations is expected to stay under the limit. */
bool clattn__lane_fits(const clattn__tile_lane *lane, clattn__pace_kind kind, double flops);

#endif
