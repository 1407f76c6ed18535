/* The pool's two kernels as agent_pool.c launches them, for its self-test (selftest_pool.c) too. */
#ifndef CLATTN_SRC_OPS_POOL_H
#define CLATTN_SRC_OPS_POOL_H

#include "ops/plan.h"

enum { CLATTN__POOL_PARTIAL, CLATTN__POOL_MERGE }; /* kernels of the plan */
enum { CLATTN__POOL_SUMS };                        /* scratch */

/* One of the two kernels over all places of some pictures, in pieces of whole blocks. */
typedef struct clattn__pool_work {
    clattn_context *ctx;
    const clattn_workspace *ws;
    clattn__chain *chain;
    Pool args;
    const clattn_memory *q, *sums, *out;
    int64_t places; /* of a block */
    int64_t pictures;
} clattn__pool_work;

/* Work over the tensors of a run, all pictures; the sums are in the workspace, the chain is the caller's to set. */
clattn_status clattn__pool_bind(const clattn_plan *plan, const clattn_workspace *ws,
                                const clattn_agent_attention_args *args, clattn__bound b[2],
                                clattn__pool_work *w);

/* Blocks of either kernel; `user` is a clattn__pool_work. */
clattn__piece clattn__pool_partial_piece, clattn__pool_merge_piece;

/* The vectors of 16 channels that the kernels of agent_pool_wide add side by side; 0: those of agent_pool take their place. */
int clattn__pool_wide_vectors(const clattn_plan *plan);

#endif
