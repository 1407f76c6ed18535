/* The three passes over a streamed problem, and what they share. Each is one file; stream.c puts them in order. */
#ifndef CLATTN_SRC_TILE_PASS_H
#define CLATTN_SRC_TILE_PASS_H

#include "tile/tiling.h"

static inline uint64_t clattn__float_bytes(int64_t tokens, int64_t channels)
{
    return (uint64_t)(tokens * channels) * sizeof(float);
}

/* The level of the tree at which a run of so many leaves is one node. */
int clattn__run_level(int64_t leaves);

/* Floats of a state of the aggregation in hand. */
int64_t clattn__state_width(const clattn__tile_work *work);

/*
 * What finish() of a run ends with: its node (NULL: none) goes into the tree, or is dropped on a failed status. Last of all, since a
 * tile whose device fails is done again, and must not be in the tree twice.
 */
void clattn__pass_node(clattn__tile_work *work, int level, int64_t tile, float *node,
                       clattn_status status);

/* One input of lane->run into a role, without gaps. */
clattn_status clattn__fill_run(clattn__tile_work *work, clattn__tile_lane *lane,
                               clattn_tile_input input, clattn__tile_role role, bool keys);
/* Smoothing: the run's rectangles of RGB, each with the pixels around it; the colours alone, too, where they are values. */
clattn_status clattn__fill_rgb(clattn__tile_work *work, clattn__tile_lane *lane, bool colours);
/* One input of a rectangle or of class tokens. */
clattn_status clattn__fill_rect(clattn__tile_work *work, clattn__tile_lane *lane,
                                clattn_tile_input input, clattn__tile_role role,
                                const clattn_tile_rect *rect);
/* Smoothing: enqueues the features of lane->rects, with their norms where they are keys. */
clattn_status clattn__run_features(clattn__tile_lane *lane, bool keys);

/* The passes: `tiles`, and what is done with each. The pool and aggregate passes leave their root in work->tree. */
extern const clattn__engine_pass clattn__pool_pass, clattn__aggregate_pass, clattn__broadcast_pass;

#endif
