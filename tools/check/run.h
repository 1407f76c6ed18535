/*
 * A part of a recorded case on its way through a context: shared by run.c and steps.c.
 */
#ifndef CLATTN_TOOLS_CHECK_RUN_H
#define CLATTN_TOOLS_CHECK_RUN_H

#include "check/check.h"

typedef struct Run {
    clattn_context *ctx;
    const CheckPart *part;
    clattn_memory arrays[CHECK_ARRAYS];
    clattn_agent_bias *bias;
    clattn_array dwc_weight, dwc_bias;
    clattn_tensor q, k, v, agents; /* in `arrays` */
    clattn_tensor out;             /* memory of its own */
    clattn_agent_attention_args args;
    float *host; /* room for `out`, read back */
} Run;

typedef clattn_status (*PlanAgent)(clattn_context *, const clattn_agent_attention_desc *,
                                   clattn_plan **);
typedef clattn_status (*RunAgent)(const clattn_plan *, clattn_workspace *,
                                  const clattn_agent_attention_args *, const clattn_sync *);

/* Plans an operator on agents, runs it and waits. */
clattn_status run_agent(Run *run, PlanAgent plan_agent, RunAgent run_plan,
                        const clattn_agent_attention_desc *desc,
                        const clattn_agent_attention_args *args);

/*
 * Waits for what was enqueued, where status is CLATTN_OK, and frees both. Returns the first
 * failure.
 */
clattn_status run_finish(clattn_context *ctx, clattn_status status, clattn_plan **plan,
                         clattn_workspace **workspace);

/*
 * Elements of a tensor, and memory for it filled with NaN, so that what a kernel leaves out shows.
 */
int64_t tensor_count(const clattn_tensor *tensor);
clattn_status tensor_make(clattn_context *ctx, clattn_tensor *tensor);
/* Reads a tensor without gaps. `values` has room for it. */
clattn_status tensor_read(clattn_context *ctx, const clattn_tensor *tensor, float *values);

/* Compares rows of `channels`, in map order, with recorded ones in map order or cut in windows. */
clattn_status run_compare(const CheckPart *part, const float *map, const float *expected,
                          int64_t channels, bool in_windows, CheckDistance *distance);

/* Runs pool, aggregate and broadcast one by one, and tells of each result that the file records. */
clattn_status run_steps(Run *run, check_intermediate tell, void *user);

/* The smoothing filter (smooth.c). */
clattn_status run_smooth(clattn_context *ctx, const CheckCase *recorded, check_intermediate tell,
                         void *user, CheckDistance *distance);

#endif
