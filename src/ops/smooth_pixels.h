/* What the smoothing filter computes around its softmax stages: features of pixels, and -|row|^2 / 2 of rows of 5. */
#ifndef CLATTN_SRC_OPS_SMOOTH_PIXELS_H
#define CLATTN_SRC_OPS_SMOOTH_PIXELS_H

#include "ops/plan.h"

/* Both kernels, for a filter's plan that has its features_args. */
clattn_status clattn__smooth_plan_pixels(clattn_plan *plan);

/* The features of args->height x args->width pixels and, with args->with_norms, their norms. */
clattn_status clattn__smooth_features(const clattn_plan *plan, const clattn_workspace *ws,
                                      const Features *args, const clattn_memory *rgb,
                                      const clattn_memory *out, const clattn_memory *out_norms,
                                      clattn__chain *chain);

/* Norms of rows [first, first + count). */
clattn_status clattn__smooth_norms(const clattn_plan *plan, const clattn_workspace *ws,
                                   const clattn_memory *rows, int64_t first, int64_t count,
                                   const clattn_memory *out, clattn__chain *chain);

#endif
