/* Runs a case of agent attention on a context and checks the answers; any surprise fails the running test. */
#ifndef CLATTN_TESTS_CASE_AGENT_RUN_H
#define CLATTN_TESTS_CASE_AGENT_RUN_H

#include "case_agent_attention.h"
#include "guard.h"

/* The tensors of a case on a device. `args` points at them and at nothing the descriptor does not use. */
typedef struct agent_run {
    clattn_context *ctx;
    const case_agent *c;
    guard_tensor q, k, v, agents, va, key_bias, agent_vector, dwc_weight, dwc_bias;
    guard_tensor out[CASE_STEPS]; /* agents, va, out, out */
    clattn_array dwc_weight_array, dwc_bias_array;
    clattn_agent_bias *bias;
    clattn_agent_attention_args args;
} agent_run;

void agent_run_open(agent_run *run, clattn_context *ctx, guard_layout layout, const case_agent *c,
                    const case_agent_data *data);
void agent_run_close(agent_run *run);

/* Plans, runs once and reads the step's output (case_agent_count() floats); checks that all else is untouched. */
void agent_run_step(agent_run *run, case_step step, float *result);

/* The plan and run functions of a step. */
typedef clattn_status agent_plan_function(clattn_context *, const clattn_agent_attention_desc *,
                                          clattn_plan **);
typedef clattn_status agent_run_function(const clattn_plan *, clattn_workspace *,
                                         const clattn_agent_attention_args *, const clattn_sync *);
agent_plan_function *agent_step_plan(case_step step);
agent_run_function *agent_step_run(case_step step);

/* The arguments that a step uses, out of those of the whole; the output is run->out[step]. */
clattn_agent_attention_args agent_step_args(const agent_run *run, case_step step);

/* The largest |result - answer| / (|answer| + 1); *where receives its index. NaN counts as infinitely wrong. */
double largest_error(const float *result, const double *answer, int64_t count, int64_t *where);

/* Fails unless |result - answer| <= tolerance (|answer| + 1) everywhere. */
void check_close(const char *op, const char *text, const float *result, const double *answer,
                 int64_t count, double tolerance);
void check_same_bits(const char *op, const char *text, const float *a, const float *b,
                     int64_t count);

/* Opens, runs all four steps, compares with the answers of `data`, closes. */
void agent_run_check(clattn_context *ctx, guard_layout layout, const case_agent *c,
                     const case_agent_data *data);

#endif
