/* Plans and runs of a row's operator: the only place that knows one operator's calls from another's. */
#include "bench/data.h"

clattn_agent_attention_desc bench_agent_desc(bench_op op, const bench_shape *shape,
                                             clattn_type type)
{
    const bool agents =
        op == BENCH_AGENT_ATTENTION || op == BENCH_AGENT_AGGREGATE || op == BENCH_AGENT_BROADCAST;
    clattn_agent_attention_desc desc = {.batch = shape->batch,
                                        .heads = shape->heads,
                                        .head_dim = shape->dim,
                                        .height = shape->height,
                                        .width = shape->width,
                                        .class_tokens = shape->class_tokens,
                                        .agent_height = shape->agent_height,
                                        .agent_width = shape->agent_width,
                                        .type = type,
                                        .scale_broadcast = shape->scale_broadcast};
    if (agents) {
        desc.agents_given = op == BENCH_AGENT_ATTENTION && shape->agents_given;
        desc.has_bias = shape->trained_agents > 0;
    }
    /* The first stage has no convolution and no shortcut. */
    if (op == BENCH_AGENT_ATTENTION || op == BENCH_AGENT_BROADCAST) {
        desc.dwc_size = shape->dwc_size;
        desc.has_dwc_bias = shape->dwc_size > 0;
        desc.v_shortcut = shape->v_shortcut;
    }
    return desc;
}

static clattn_attention_desc attention_desc(const bench_shape *shape, clattn_type type)
{
    return (clattn_attention_desc){.batch = shape->batch,
                                   .heads = shape->heads,
                                   .head_dim = shape->dim,
                                   .queries = bench_shape_tokens(shape),
                                   .keys = bench_shape_tokens(shape),
                                   .type = type};
}

static clattn_dwc_desc dwc_desc(const bench_shape *shape, clattn_type type)
{
    return (clattn_dwc_desc){.batch = shape->batch,
                             .heads = shape->heads,
                             .head_dim = shape->dim,
                             .height = shape->height,
                             .width = shape->width,
                             .class_tokens = shape->class_tokens,
                             .size = shape->dwc_size,
                             .has_bias = 1,
                             .type = type};
}

static clattn_status plan(clattn_context *ctx, bench_op op, const bench_shape *shape,
                          clattn_type type, clattn_plan **made)
{
    const clattn_agent_attention_desc agent = bench_agent_desc(op, shape, type);
    const clattn_attention_desc attention = attention_desc(shape, type);
    const clattn_dwc_desc dwc = dwc_desc(shape, type);
    const clattn_smooth_desc smooth = {.height = shape->height,
                                       .width = shape->width,
                                       .agent_height = shape->agent_height,
                                       .agent_width = shape->agent_width};
    switch (op) {
    case BENCH_AGENT_POOL:
        return clattn_agent_pool_plan(ctx, &agent, made);
    case BENCH_AGENT_AGGREGATE:
        return clattn_agent_aggregate_plan(ctx, &agent, made);
    case BENCH_AGENT_BROADCAST:
        return clattn_agent_broadcast_plan(ctx, &agent, made);
    case BENCH_ATTENTION:
        return clattn_attention_plan(ctx, &attention, made);
    case BENCH_DWC:
        return clattn_dwc_plan(ctx, &dwc, made);
    case BENCH_SMOOTH:
        return clattn_smooth_plan(ctx, &smooth, made);
    default:
        return clattn_agent_attention_plan(ctx, &agent, made);
    }
}

clattn_status bench_run_plan(clattn_context *ctx, bench_op op, const bench_shape *shape,
                             clattn_type type, bench_run *run)
{
    *run = (bench_run){.op = op, .shape = shape};
    const clattn_status status = plan(ctx, op, shape, type, &run->plan);
    return status == CLATTN_OK ? clattn_workspace_create(run->plan, &run->workspace) : status;
}

void bench_run_close(bench_run *run)
{
    clattn_workspace_destroy(&run->workspace);
    clattn_plan_destroy(&run->plan);
}

static clattn_status run_agents(const bench_run *run, const clattn_tensor *tensors,
                                const clattn_sync *sync)
{
    const bench_data *const data = run->data;
    const bench_layout *const layout = &data->layout;
    const clattn_tensor *used[BENCH_TENSORS];
    for (int t = 0; t < BENCH_TENSORS; t++)
        used[t] = layout->tokens[t] > 0 ? &tensors[t] : NULL;
    const bool dwc = data->dwc_weight.count > 0;
    const clattn_agent_attention_args args = {.q = used[BENCH_Q],
                                              .k = used[BENCH_K],
                                              .v = used[BENCH_V],
                                              .agents = used[BENCH_AGENTS],
                                              .va = used[BENCH_VA],
                                              .bias = data->bias,
                                              .dwc_weight = dwc ? &data->dwc_weight : NULL,
                                              .dwc_bias = dwc ? &data->dwc_bias : NULL,
                                              .out = used[BENCH_OUT]};
    switch (run->op) {
    case BENCH_AGENT_POOL:
        return clattn_agent_pool_run(run->plan, run->workspace, &args, sync);
    case BENCH_AGENT_AGGREGATE:
        return clattn_agent_aggregate_run(run->plan, run->workspace, &args, sync);
    case BENCH_AGENT_BROADCAST:
        return clattn_agent_broadcast_run(run->plan, run->workspace, &args, sync);
    default:
        return clattn_agent_attention_run(run->plan, run->workspace, &args, sync);
    }
}

clattn_status bench_run_once(const bench_run *run, int64_t set, const clattn_sync *sync)
{
    clattn_tensor tensors[BENCH_TENSORS];
    for (int t = 0; t < BENCH_TENSORS; t++)
        tensors[t] = bench_data_tensor(run->data, (bench_tensor)t, set);
    const clattn_tensor *const q = &tensors[BENCH_Q];
    const clattn_tensor *const v = &tensors[BENCH_V];
    const clattn_tensor *const out = &tensors[BENCH_OUT];
    const clattn_attention_args attention = {.q = q, .k = &tensors[BENCH_K], .v = v, .out = out};
    const clattn_dwc_args dwc = {
        .v = v, .weight = &run->data->dwc_weight, .bias = &run->data->dwc_bias, .out = out};
    switch (run->op) {
    case BENCH_ATTENTION:
        return clattn_attention_run(run->plan, run->workspace, &attention, sync);
    case BENCH_DWC:
        return clattn_dwc_run(run->plan, run->workspace, &dwc, sync);
    case BENCH_SMOOTH:
        return clattn_smooth_run(run->plan, run->workspace, q, out, NULL, sync);
    default:
        return run_agents(run, tensors, sync);
    }
}
