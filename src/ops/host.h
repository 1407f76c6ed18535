/*
 * The last step down: an operator of a device that computes it wrongly runs on the CPU path, in the same plan, on the device's buffers,
 * which are mapped for it. Slow and right: each such run waits for what was enqueued before and returns when it is done.
 */
#ifndef CLATTN_SRC_OPS_HOST_H
#define CLATTN_SRC_OPS_HOST_H

#include "ops/plan.h"

/*
 * `status` is how the plan's kernels came out. Where that is CLATTN_E_WRONG, and the context may fall back to the CPU path, the plan
 * gets a plan of the CPU path for `desc` (its own descriptor), and the result is CLATTN_OK; else it is `status`.
 */
clattn_status clattn__host_plan(clattn_plan *plan, const void *desc, clattn_status status);

/* Runs plan->host in its place; `args` are those of the operator's run. */
clattn_status clattn__host_run(const clattn_plan *plan, clattn_workspace *ws, const void *args,
                               clattn__chain *chain);

#endif
