/*
 * The attention core as operators use it: which kernel variant runs, how its work is cut into launches, and one call that
 * runs a stage on an OpenCL device or on the CPU path. Stage 1 gathers (queries = agents, keys = tokens, in leaves); stage 2
 * hands out (queries = tokens, keys = agents; also ordinary attention).
 */
#ifndef CLATTN_SRC_OPS_ATTEND_H
#define CLATTN_SRC_OPS_ATTEND_H

#include "base/context.h"
#include "cl/launch.h"
#include "kernels/args.h"
#include "ops/bind.h"

/* The kernels work in base 2: scales and additive terms are times this. */
#define CLATTN__LOG2E 1.44269504088896340736f

/* The chosen variant of a plan; fixed before anything runs, since results depend on it. */
typedef struct clattn__attend {
    int stage;
    clattn_kernel_shape shape;
    int work_group;   /* 1: wide shape or CPU path */
    int query_block;  /* queries per group (tile: TQ; wide, stage 2: QUERY_BLOCK) */
    int value_blocks; /* tile: groups that share the value width */
    int64_t problems; /* batch * windows * heads */
    int64_t pictures; /* batch * windows */
    int64_t blocks;   /* leaves (stage 1) or query blocks (stage 2) */
    int64_t blocks_per_launch;
} clattn__attend;

/* The tensors of one stage; unused ones are left zero. */
typedef struct clattn__attend_bounds {
    clattn__bound q, k, v, key_bias, bias, tap, dwc_weight, dwc_bias, out;
} clattn__attend_bounds;

/*
 * Chooses and builds the variant for kernel 0 of the plan; `plan->attend_args` must hold heads, windows, queries, keys, dims and
 * leaves. A device that refuses a work-group size is asked for the next smaller one (its own limits are hints), down to 1.
 */
clattn_status clattn__attend_plan(clattn_plan *plan, int stage, int64_t batch);

/* Gives the plan of a small problem the kernel variant of `of`, with its work cut into several launches; for the self-test. */
void clattn__attend_adopt(clattn_plan *plan, const clattn_plan *of);

/* Runs the stage; views, grids and forms in `args` are complete. */
clattn_status clattn__attend_enqueue(const clattn_plan *plan, const clattn_workspace *ws,
                                     Attend args, const clattn__attend_bounds *bounds,
                                     clattn__chain *chain);

/*
 * Runs `blocks` blocks of one picture without windows, cut by the chain's pacer: leaves of stage 1, query blocks of stage 2. The
 * tensors may be a tile's, and the numbers of tokens then differ from the plan's.
 */
clattn_status clattn__attend_blocks(const clattn_plan *plan, const clattn_workspace *ws,
                                    const Attend *args, const clattn__attend_bounds *bounds,
                                    int64_t blocks, clattn__chain *chain);

/* Launches that clattn__attend_enqueue() will make. */
uint32_t clattn__attend_launches(const clattn__attend *attend);

#endif
