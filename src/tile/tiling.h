/* A tiling, and its runs. tiling.c and run.c make them, stream.c and whole.c say what a tile does. */
#ifndef CLATTN_SRC_TILE_TILING_H
#define CLATTN_SRC_TILE_TILING_H

#include "tile/engine.h"
#include "tile/lane.h"
#include "tile/ports.h"
#include "tile/tree.h"

typedef struct clattn__tile_work clattn__tile_work;

struct clattn_tiling {
    uint64_t magic;
    clattn_log log;
    bool smoothing;
    clattn_agent_attention_desc desc; /* of the layer; of the filter's last aggregation */
    clattn_smooth_desc smooth;
    clattn_tile_options options; /* defaults filled in */
    clattn__tile_problem problem;
    clattn__tile_limits limits;
    clattn__tile_cut cut;
    clattn_tiling_info info;
    clattn__tile_work *work; /* NULL, or what runs have left for the next one */
    int device_count;
    clattn__tile_device devices[];
};

/* What runs use, one after the other: lanes with their plans and buffers, and the tree. */
struct clattn__tile_work {
    clattn_tiling *tiling;
    const clattn_log *log;
    clattn__tile_cut
        cut; /* the tiling's, or a finer one where a device had less room than it said */
    clattn__tile_lane *lanes;
    int lane_count;
    clattn__tree *tree; /* streamed */

    /* of the run in hand */
    const clattn_tile_io *io;
    clattn__ports ports;
    atomic_flag callback_failed;
    clattn__engine *engine;
    int64_t done_before; /* tiles of the passes before this one */

    /* streamed */
    int64_t problem;       /* in hand */
    clattn__gather gather; /* of pass 2 */
    float *va; /* one leaf: what a lane's device has computed, for the others; of the tree */
};

/* Whether the run is to end early; `user` is a clattn__tile_work. */
bool clattn__work_stopping(void *user);

/* Problem after problem in three passes. */
clattn_status clattn__stream_run(clattn__tile_work *work);
/* The shape of the steps of one problem. */
clattn__steps_problem clattn__stream_problem(const clattn_tiling *tiling,
                                             const clattn__tile_cut *cut);

/* Makes a lane's plan. */
clattn_status clattn__whole_plan(const clattn__tile_work *work, clattn__tile_lane *lane);
/* Groups of whole problems in one pass. */
clattn_status clattn__whole_run(clattn__tile_work *work);

#endif
