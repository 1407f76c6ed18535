/*
 * Agent attention and its three steps, described once for tests and bench: shapes, data, the oracle's answer, tolerance,
 * flops and bytes. One case serves agent_pool, agent_aggregate, agent_broadcast and agent_attention.
 */
#ifndef CLATTN_TESTS_CASE_AGENT_ATTENTION_H
#define CLATTN_TESTS_CASE_AGENT_ATTENTION_H

#include <stdbool.h>

#include "clattn/ops.h"
#include "fill.h"

typedef enum case_step {
    STEP_POOL,
    STEP_AGGREGATE,
    STEP_BROADCAST,
    STEP_WHOLE,
    CASE_STEPS
} case_step;

/* The name of the operator that a step runs. */
const char *case_step_name(case_step step);

typedef struct case_agent {
    clattn_agent_attention_desc desc;
    /* Where desc.has_bias: sizes the bias was trained for, and own token grids (0: the map or window), per stage. */
    int64_t trained_agents_h, trained_agents_w;
    int64_t trained_h, trained_w;
    int64_t grid_h[2], grid_w[2];
    fill_kind fill;
    int64_t excluded; /* 1 in so many additive values is -INFINITY; 0: none */
} case_agent;

/* The shapes to test, or only the small ones. */
const case_agent *case_agent_list(bool small, size_t *count);

/* Writes what a case is in one line, for failures. */
void case_agent_text(const case_agent *c, char *text, size_t bytes);

/* Dense inputs (token-major), the bias weights in the checkpoint's layout, and after case_agent_answer() the results. */
typedef struct case_agent_data {
    float *q, *k, *v, *agents, *va, *key_bias, *agent_vector, *dwc_weight, *dwc_bias;
    clattn_agent_bias_desc bias; /* its arrays are owned here too */
    double *answer[CASE_STEPS];  /* agents, va, out of the step alone, out of the whole */
} case_agent_data;

/* Elements of the tensors of a case: queries, keys, agents per picture; P = batch * windows. */
typedef struct case_agent_sizes {
    int64_t heads, dim, dim_v;
    int64_t q_tokens, k_tokens, windows, problems, agents;
    int64_t q, k, v, out, agent, va; /* elements of each tensor */
} case_agent_sizes;

case_agent_sizes case_agent_size(const clattn_agent_attention_desc *desc);

/*
 * Fills the inputs. Where agents are not given, `agents` are those pooled from q, rounded to float, and `va` always is what
 * stage 1 makes of them, so each step can be run alone on the same data.
 */
void case_agent_fill(const case_agent *c, uint64_t seed, case_agent_data *data);
/* The part of it that fills the bias weights alone. */
void case_agent_fill_bias(const case_agent *c, fill_random *random, clattn_agent_bias_desc *bias);
/* Computes all four answers, each step from the float inputs that the device gets. Needs case_agent_fill() before. */
void case_agent_answer(const case_agent *c, case_agent_data *data);
void case_agent_free(case_agent_data *data);

/* Elements of a step's answer. */
int64_t case_agent_count(const case_agent *c, case_step step);

/* |x - answer| <= tolerance * (|answer| + 1); the reasons are with the numbers. */
double case_agent_tolerance(case_step step, clattn_type type);

/* Floating-point operations (a multiply-add is two) and bytes that must move at least, for one run of a step. */
double case_agent_flops(const case_agent *c, case_step step);
double case_agent_bytes(const case_agent *c, case_step step);

#endif
