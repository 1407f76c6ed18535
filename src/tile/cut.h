/* What the files of the cut share: the geometry's upper bounds (rects.c) and the weight of a cut (bytes.c). */
#ifndef CLATTN_SRC_TILE_CUT_H
#define CLATTN_SRC_TILE_CUT_H

#include "base/base.h"
#include "tile/plan.h"

static inline int64_t clattn__tile_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t clattn__tile_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Tokens of a problem; the sides are below 2^31, so the product is safe, and clattn__tile_cut_make() has checked the sum. */
static inline int64_t clattn__tile_tokens(const clattn__tile_problem *p, bool keys)
{
    return p->class_tokens + (keys ? p->kv_height * p->kv_width : p->height * p->width);
}

static inline bool clattn__tile_resized(const clattn__tile_problem *p)
{
    return p->kv_height != p->height || p->kv_width != p->width;
}

/* Columns of rectangles begin at multiples of this. */
#define CLATTN__TILE_COLUMN 16

/* The most columns of rectangles that a map can have, and the width of the widest when there are `columns` of them. */
int64_t clattn__tile_most_columns(int64_t width);
int64_t clattn__tile_column_width(int64_t width, int64_t columns);

/* Upper bounds, none smaller for a larger rectangle or run. Sides of the halo of any height x width rectangle: */
void clattn__tile_most_halo(const clattn__tile_problem *p, int64_t height, int64_t width,
                            int64_t *halo_height, int64_t *halo_width);
/* rows of agent cells that any run of `tokens` tokens of q touches: */
int64_t clattn__tile_most_cell_rows(const clattn__tile_problem *p, int64_t tokens);
/* tokens of the rectangles of any run of `tokens` tokens, each grown by 1 and clipped (smoothing: no class tokens). */
int64_t clattn__tile_most_run_halo(const clattn__tile_problem *p, int64_t tokens);

/*
 * Fills the tile counts and every byte count of a cut whose mode, runs, rectangles, group and tiles in flight are set. False where
 * something leaves 64 bits, or a tile is more than a launch can count.
 */
bool clattn__tile_weigh(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                        clattn__tile_cut *cut);

/* weigh(), and the limits hold. */
bool clattn__tile_fits(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                       clattn__tile_cut *cut);

#endif
