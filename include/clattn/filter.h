/*
 * clattn: edge-preserving smoothing by agent attention. Needs no trained weights.
 *
 * With RGB in [0, 1], the feature f of a pixel is the 3 x 3 mean of its RGB (only pixels inside count) / sigma_color, then
 * (y, x) / max(H, W) / sigma_space. Agents a = adaptive average pool of f; `rounds` times
 *     a <- softmax over pixels (a . f - |f|^2 / 2) applied to f;
 * then Va = the same softmax applied to RGB, out = softmax over agents (f . a - |a|^2 / 2) applied to Va, and
 * result = out + detail * (input - out).
 */
#ifndef CLATTN_FILTER_H
#define CLATTN_FILTER_H

#include "clattn/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Zero means the default in brackets; `rounds_plus_one` is rounds + 1, so that 0 can mean the default and 1 no round. */
typedef struct clattn_smooth_desc {
    int64_t height, width;             /* pixels, >= 1 */
    int64_t agent_height, agent_width; /* (24 x 24) */
    float sigma_color;                 /* (0.08) of the range 0 .. 1; > 0 */
    float sigma_space;                 /* (0.04) of the longer side; > 0 */
    int32_t rounds_plus_one;           /* (4: 3 rounds) */
    float detail;                      /* (0) how much of input - out is put back, 0 .. 1 */
    uint32_t reserved[8];
} clattn_smooth_desc;

/**
 * Plans the filter for one size of picture.
 *
 * shapes   input and output (1, height * width, 1, 3) f32, RGB; free row and pixel strides
 * units    RGB in [0, 1]
 * types    f32
 * limits   height * width < 2^31
 * memory   the caller owns input and output; they may not overlap
 * async    run enqueues and does not wait (CPU path: returns when done)
 * threads  safe; concurrent runs need a workspace each
 * returns  as clattn_agent_attention_plan() and clattn_agent_attention_run()
 */
CLATTN_API clattn_status clattn_smooth_plan(clattn_context *ctx, const clattn_smooth_desc *desc,
                                            clattn_plan **plan);
/** `agents`, when not NULL, receives the refined agents, (1, n, 1, 5). */
CLATTN_API clattn_status clattn_smooth_run(const clattn_plan *plan, clattn_workspace *ws,
                                           const clattn_tensor *input, const clattn_tensor *output,
                                           const clattn_tensor *agents, const clattn_sync *sync);

#ifdef __cplusplus
}
#endif
#endif
