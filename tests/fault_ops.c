#include "fault_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"

enum { HEADS = 2, DIM = 5, DIM_V = 3, SIDE = 18, TOKENS = SIDE * SIDE, AGENTS = 4, DWC = 7 };
enum { CHANNELS = HEADS * DIM, CHANNELS_V = HEADS * DIM_V };

const char *const fault_op_names[FAULT_OPS] = {
    "agent_pool", "agent_aggregate", "agent_broadcast", "agent_attention", "attention",
    "dwc",        "smooth"};

static const int64_t counts[FAULT_TENSORS] = {[FAULT_Q] = TOKENS * CHANNELS,
                                              [FAULT_K] = TOKENS * CHANNELS,
                                              [FAULT_V] = TOKENS * CHANNELS_V,
                                              [FAULT_AGENTS] = AGENTS * CHANNELS,
                                              [FAULT_VA] = AGENTS * CHANNELS_V,
                                              [FAULT_KEY_BIAS] = TOKENS * HEADS,
                                              [FAULT_AGENT_VECTOR] = AGENTS * HEADS,
                                              [FAULT_WEIGHT] = CHANNELS_V * DWC * DWC,
                                              [FAULT_DWC_BIAS] = CHANNELS_V,
                                              [FAULT_RGB] = TOKENS * 3,
                                              [FAULT_OUT] = FAULT_RESULT};

static const clattn_agent_attention_desc agent_desc = {.batch = 1,
                                                       .heads = HEADS,
                                                       .head_dim = DIM,
                                                       .head_dim_v = DIM_V,
                                                       .height = SIDE,
                                                       .width = SIDE,
                                                       .agent_height = 2,
                                                       .agent_width = 2,
                                                       .has_bias = 1,
                                                       .has_key_bias = 1,
                                                       .has_agent_vector = 1,
                                                       .dwc_size = DWC,
                                                       .has_dwc_bias = 1};

clattn_status fault_tensors_make(fault_tensors *t, clattn_context *ctx)
{
    fill_random random = {7};
    clattn_status status = CLATTN_OK;

    *t = (fault_tensors){.ctx = ctx};
    for (int i = 0; i < FAULT_TENSORS && status == CLATTN_OK; i++) {
        const uint64_t bytes = (uint64_t)counts[i] * sizeof(float);
        float *values = fill_new(&random, FILL_UNIFORM, counts[i]);
        status = clattn_memory_alloc(ctx, bytes, &t->memory[i]);
        if (status == CLATTN_OK)
            status = clattn_memory_write(ctx, &t->memory[i], 0, values, bytes);
        free(values);
    }
    return status;
}

void fault_tensors_open(fault_tensors *t, clattn_context *ctx)
{
    assert_int_equal(fault_tensors_make(t, ctx), CLATTN_OK);
}

void fault_tensors_close(fault_tensors *t)
{
    for (int i = 0; i < FAULT_TENSORS; i++)
        clattn_memory_free(t->ctx, &t->memory[i]);
}

/* ---- plans ---- */

static bool needs_bias(fault_op op)
{
    return op == FAULT_AGGREGATE || op == FAULT_BROADCAST || op == FAULT_WHOLE;
}

static clattn_status make_bias(clattn_context *ctx, clattn_agent_bias **bias)
{
    enum { MAP = HEADS * AGENTS * 49, LINE = HEADS * AGENTS * SIDE };
    float map[MAP], line[LINE];
    fill_random random = {11};
    fill_floats(&random, FILL_UNIFORM, MAP, map);
    fill_floats(&random, FILL_UNIFORM, LINE, line);
    const clattn_agent_bias_stage stage = {
        .map = map, .row = line, .column = line, .trained_height = SIDE, .trained_width = SIDE};
    const clattn_agent_bias_desc weights = {.trained_agents_height = 2,
                                            .trained_agents_width = 2,
                                            .aggregate = stage,
                                            .broadcast = stage};
    return clattn_agent_bias_create(ctx, &agent_desc, &weights, bias);
}

static clattn_status make_plan(clattn_context *ctx, fault_op op, clattn_plan **plan)
{
    const clattn_attention_desc attention = {.batch = 1,
                                             .heads = HEADS,
                                             .head_dim = DIM,
                                             .head_dim_v = DIM_V,
                                             .queries = 20,
                                             .keys = TOKENS,
                                             .has_key_bias = 1};
    const clattn_dwc_desc dwc = {.batch = 1,
                                 .heads = HEADS,
                                 .head_dim = DIM_V,
                                 .height = SIDE,
                                 .width = SIDE,
                                 .size = DWC,
                                 .has_bias = 1};
    const clattn_smooth_desc smooth = {
        .height = SIDE, .width = SIDE, .agent_height = 2, .agent_width = 2};

    switch (op) {
    case FAULT_POOL:
        return clattn_agent_pool_plan(ctx, &agent_desc, plan);
    case FAULT_AGGREGATE:
        return clattn_agent_aggregate_plan(ctx, &agent_desc, plan);
    case FAULT_BROADCAST:
        return clattn_agent_broadcast_plan(ctx, &agent_desc, plan);
    case FAULT_WHOLE:
        return clattn_agent_attention_plan(ctx, &agent_desc, plan);
    case FAULT_ATTENTION:
        return clattn_attention_plan(ctx, &attention, plan);
    case FAULT_DWC:
        return clattn_dwc_plan(ctx, &dwc, plan);
    default:
        return clattn_smooth_plan(ctx, &smooth, plan);
    }
}

clattn_status fault_job_make(clattn_context *ctx, fault_op op, fault_job *job)
{
    *job = (fault_job){.op = op};
    clattn_status status = needs_bias(op) ? make_bias(ctx, &job->bias) : CLATTN_OK;
    assert_int_equal(status == CLATTN_OK && needs_bias(op), job->bias != NULL);
    if (status == CLATTN_OK) {
        status = make_plan(ctx, op, &job->plan);
        assert_int_equal(status == CLATTN_OK, job->plan != NULL);
    }
    if (status == CLATTN_OK) {
        status = clattn_workspace_create(job->plan, &job->ws);
        assert_int_equal(status == CLATTN_OK, job->ws != NULL);
    }
    return status;
}

void fault_job_end(fault_job *job)
{
    clattn_workspace_destroy(&job->ws);
    clattn_plan_destroy(&job->plan);
    clattn_agent_bias_destroy(&job->bias);
}

/* ---- runs ---- */

static clattn_status run_agent(fault_job *job, const clattn_memory *m, const clattn_sync *sync)
{
    const clattn_tensor q = clattn_tensor_tokens(m[FAULT_Q], 1, TOKENS, HEADS, DIM);
    const clattn_tensor k = clattn_tensor_tokens(m[FAULT_K], 1, TOKENS, HEADS, DIM);
    const clattn_tensor v = clattn_tensor_tokens(m[FAULT_V], 1, TOKENS, HEADS, DIM_V);
    const clattn_tensor agents = clattn_tensor_tokens(m[FAULT_AGENTS], 1, AGENTS, HEADS, DIM);
    const clattn_tensor va = clattn_tensor_tokens(m[FAULT_VA], 1, AGENTS, HEADS, DIM_V);
    const clattn_tensor bias = clattn_tensor_tokens(m[FAULT_KEY_BIAS], 1, TOKENS, HEADS, 1);
    const clattn_tensor vector = clattn_tensor_tokens(m[FAULT_AGENT_VECTOR], 1, AGENTS, HEADS, 1);
    const clattn_tensor pooled = clattn_tensor_tokens(m[FAULT_OUT], 1, AGENTS, HEADS, DIM);
    const clattn_tensor gathered = clattn_tensor_tokens(m[FAULT_OUT], 1, AGENTS, HEADS, DIM_V);
    const clattn_tensor out = clattn_tensor_tokens(m[FAULT_OUT], 1, TOKENS, HEADS, DIM_V);
    const clattn_array weight = {m[FAULT_WEIGHT], 0, counts[FAULT_WEIGHT]};
    const clattn_array dwc_bias = {m[FAULT_DWC_BIAS], 0, counts[FAULT_DWC_BIAS]};
    clattn_agent_attention_args args = {.q = &q, .k = &k, .v = &v, .bias = job->bias};

    args.dwc_weight = &weight;
    args.dwc_bias = &dwc_bias;
    args.agent_vector = &vector;
    args.key_bias = &bias;
    args.out = &out;
    switch (job->op) {
    case FAULT_POOL:
        args = (clattn_agent_attention_args){.q = &q, .agents = &pooled};
        return clattn_agent_pool_run(job->plan, job->ws, &args, sync);
    case FAULT_AGGREGATE:
        args = (clattn_agent_attention_args){
            .k = &k, .v = &v, .agents = &agents, .key_bias = &bias, .bias = job->bias};
        args.va = &gathered;
        return clattn_agent_aggregate_run(job->plan, job->ws, &args, sync);
    case FAULT_BROADCAST:
        args.k = args.key_bias = NULL;
        args.agents = &agents;
        args.va = &va;
        return clattn_agent_broadcast_run(job->plan, job->ws, &args, sync);
    default:
        return clattn_agent_attention_run(job->plan, job->ws, &args, sync);
    }
}

static clattn_status run_op(fault_job *job, const clattn_memory *m, const clattn_sync *sync)
{
    const clattn_tensor q = clattn_tensor_tokens(m[FAULT_Q], 1, 20, HEADS, DIM);
    const clattn_tensor k = clattn_tensor_tokens(m[FAULT_K], 1, TOKENS, HEADS, DIM);
    const clattn_tensor v = clattn_tensor_tokens(m[FAULT_V], 1, TOKENS, HEADS, DIM_V);
    const clattn_tensor bias = clattn_tensor_tokens(m[FAULT_KEY_BIAS], 1, TOKENS, HEADS, 1);
    const clattn_tensor few = clattn_tensor_tokens(m[FAULT_OUT], 1, 20, HEADS, DIM_V);
    const clattn_tensor out = clattn_tensor_tokens(m[FAULT_OUT], 1, TOKENS, HEADS, DIM_V);
    const clattn_tensor rgb = clattn_tensor_tokens(m[FAULT_RGB], 1, TOKENS, 1, 3);
    const clattn_tensor smoothed = clattn_tensor_tokens(m[FAULT_OUT], 1, TOKENS, 1, 3);
    const clattn_array weight = {m[FAULT_WEIGHT], 0, counts[FAULT_WEIGHT]};
    const clattn_array dwc_bias = {m[FAULT_DWC_BIAS], 0, counts[FAULT_DWC_BIAS]};

    if (job->op == FAULT_ATTENTION) {
        const clattn_attention_args args = {
            .q = &q, .k = &k, .v = &v, .key_bias = &bias, .out = &few};
        return clattn_attention_run(job->plan, job->ws, &args, sync);
    }
    if (job->op == FAULT_DWC) {
        const clattn_dwc_args args = {.v = &v, .weight = &weight, .bias = &dwc_bias, .out = &out};
        return clattn_dwc_run(job->plan, job->ws, &args, sync);
    }
    if (job->op == FAULT_SMOOTH)
        return clattn_smooth_run(job->plan, job->ws, &rgb, &smoothed, NULL, sync);
    return run_agent(job, m, sync);
}

clattn_status fault_job_enqueue(fault_job *job, const fault_tensors *t, const clattn_sync *sync)
{
    return run_op(job, t->memory, sync);
}

clattn_status fault_job_run(fault_job *job, const fault_tensors *t)
{
    clattn_context *ctx = t->ctx;
    cl_event done = NULL;
    const clattn_sync sync = {.done = &done};
    const bool cpu = clattn_context_is_cpu(ctx) != 0;
    clattn_status status = run_op(job, t->memory, cpu ? NULL : &sync);

    assert_int_equal(status == CLATTN_OK && !cpu, done != NULL);
    if (done != NULL)
        ctx->cl->api->clReleaseEvent(done);
    if (status == CLATTN_OK)
        status = clattn_context_finish(ctx);
    return status;
}

void fault_poison(const fault_tensors *t)
{
    float *values = malloc(FAULT_RESULT * sizeof *values);

    assert_non_null(values);
    for (int i = 0; i < FAULT_RESULT; i++)
        values[i] = NAN;
    assert_int_equal(clattn_memory_write(t->ctx, &t->memory[FAULT_OUT], 0, values,
                                         FAULT_RESULT * sizeof *values),
                     CLATTN_OK);
    free(values);
}

void fault_result(const fault_tensors *t, float *result)
{
    assert_int_equal(
        clattn_memory_read(t->ctx, &t->memory[FAULT_OUT], 0, result, FAULT_RESULT * sizeof *result),
        CLATTN_OK);
}
