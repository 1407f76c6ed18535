/*
 * Every operator at a small size, in steps that can fail: tensors that are there before, a plan with its workspace and bias, a run
 * that waits for its end. Several leaves, so that the kernels that merge are there too.
 */
#ifndef CLATTN_TESTS_FAULT_OPS_H
#define CLATTN_TESTS_FAULT_OPS_H

#include <stdbool.h>

#include "clattn/clattn.h"
#include "fill.h"

typedef enum fault_op {
    FAULT_POOL,
    FAULT_AGGREGATE,
    FAULT_BROADCAST,
    FAULT_WHOLE,
    FAULT_ATTENTION,
    FAULT_DWC,
    FAULT_SMOOTH,
    FAULT_OPS
} fault_op;

extern const char *const fault_op_names[FAULT_OPS];

enum {
    FAULT_Q,
    FAULT_K,
    FAULT_V,
    FAULT_AGENTS,
    FAULT_VA,
    FAULT_KEY_BIAS,
    FAULT_AGENT_VECTOR,
    FAULT_WEIGHT,
    FAULT_DWC_BIAS,
    FAULT_RGB,
    FAULT_OUT,
    FAULT_TENSORS
};

/* Floats of the largest result. */
#define FAULT_RESULT (18 * 18 * 6)

/* The tensors on a context. */
typedef struct fault_tensors {
    clattn_context *ctx;
    clattn_memory memory[FAULT_TENSORS];
} fault_tensors;

/* What a run needs besides them. */
typedef struct fault_job {
    fault_op op;
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_agent_bias *bias;
} fault_job;

/* Any failure fails the running test. */
void fault_tensors_open(fault_tensors *tensors, clattn_context *ctx);
/* The same, with a status; to be closed in any case. */
clattn_status fault_tensors_make(fault_tensors *tensors, clattn_context *ctx);
void fault_tensors_close(fault_tensors *tensors);

/* After a failure the job is still to be ended. */
clattn_status fault_job_make(clattn_context *ctx, fault_op op, fault_job *job);
clattn_status fault_job_enqueue(fault_job *job, const fault_tensors *tensors,
                                const clattn_sync *sync);
/* Waits for the end; on OpenCL it asks for an event besides. */
clattn_status fault_job_run(fault_job *job, const fault_tensors *tensors);
void fault_job_end(fault_job *job);

/* Fills the output with NaN; reads it, FAULT_RESULT floats, some of them beyond what the operator wrote. Failures as above. */
void fault_poison(const fault_tensors *tensors);
void fault_result(const fault_tensors *tensors, float *result);

#endif
