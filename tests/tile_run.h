/* Runs a case of agent attention in tiles, from and to dense arrays. Any surprise fails the running test. */
#ifndef CLATTN_TESTS_TILE_RUN_H
#define CLATTN_TESTS_TILE_RUN_H

#include "case_agent_attention.h"
#include "clattn/filter.h"
#include "clattn/tile.h"

/* A random launch length and number of tiles in flight; callbacks from one thread or from several. */
clattn_tile_options tile_options_random(fill_random *random);

/*
 * Runs in `budget` times the smallest device memory that would do (0: as much as there is); `result` gets the output, dense. It is all
 * NaN before.
 */
void tile_run_case(clattn_context *const *contexts, size_t count, const case_agent *c,
                   const case_agent_data *data, const clattn_tile_options *options, double budget,
                   float *result, clattn_tiling_info *info);

/* The same for the smoothing filter, and its untiled run. */
void tile_run_smooth(clattn_context *const *contexts, size_t count, const clattn_smooth_desc *desc,
                     const float *rgb, const clattn_tile_options *options, double budget,
                     float *result, clattn_tiling_info *info);
void tile_smooth_untiled(clattn_context *ctx, const clattn_smooth_desc *desc, const float *rgb,
                         float *result);

/* The tensors and weights of a case for tile.h. */
typedef struct tile_case_io {
    clattn_tensor q, k, v, key_bias, out;
    clattn_tile_arrays arrays;
    clattn_tile_weights weights;
    clattn_tile_io io;
} tile_case_io;
void tile_case_open(const case_agent *c, const case_agent_data *data, float *result,
                    tile_case_io *all);

#endif
