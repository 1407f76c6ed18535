#include "case_agent_run.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT 512

agent_plan_function *agent_step_plan(case_step step)
{
    static agent_plan_function *const plans[CASE_STEPS] = {
        clattn_agent_pool_plan, clattn_agent_aggregate_plan, clattn_agent_broadcast_plan,
        clattn_agent_attention_plan};
    return plans[step];
}

agent_run_function *agent_step_run(case_step step)
{
    static agent_run_function *const runs[CASE_STEPS] = {
        clattn_agent_pool_run, clattn_agent_aggregate_run, clattn_agent_broadcast_run,
        clattn_agent_attention_run};
    return runs[step];
}

static void open_array(agent_run *r, int64_t count, const float *values, guard_tensor *guard,
                       clattn_array *array)
{
    guard_array(r->ctx, count, values, guard);
    *array = (clattn_array){guard->tensor.memory, guard->tensor.offset, count};
}

/* Outputs of the steps: agents and va in layouts of their own, out like q. */
static void open_outputs(agent_run *r, guard_layout layout, const guard_shape *map)
{
    const case_agent_sizes z = case_agent_size(&r->c->desc);
    const guard_shape agents = {z.problems, z.agents, z.heads, z.dim, 0, 0, r->c->desc.type};
    const guard_shape va = {z.problems, z.agents, z.heads, z.dim_v, 0, 0, r->c->desc.type};
    const guard_shape out = {map->batch,        z.q_tokens, z.heads,        z.dim_v,
                             map->class_tokens, map->width, r->c->desc.type};

    guard_create(r->ctx, layout, &agents, NULL, &r->out[STEP_POOL]);
    guard_create(r->ctx, layout, &va, NULL, &r->out[STEP_AGGREGATE]);
    guard_create(r->ctx, layout, &out, NULL, &r->out[STEP_BROADCAST]);
    guard_create(r->ctx, layout, &out, NULL, &r->out[STEP_WHOLE]);
}

void agent_run_open(agent_run *r, clattn_context *ctx, guard_layout layout, const case_agent *c,
                    const case_agent_data *data)
{
    const clattn_agent_attention_desc *d = &c->desc;
    const case_agent_sizes z = case_agent_size(d);
    const int64_t kv_width = d->kv_width != 0 ? d->kv_width : d->width;
    const guard_shape q = {d->batch,        z.q_tokens, z.heads, z.dim,
                           d->class_tokens, d->width,   d->type};
    const guard_shape k = {d->batch,        z.k_tokens, z.heads, z.dim,
                           d->class_tokens, kv_width,   d->type};
    const guard_shape v = {d->batch,        z.k_tokens, z.heads, z.dim_v,
                           d->class_tokens, kv_width,   d->type};
    const guard_shape key_bias = {d->batch,        z.k_tokens, z.heads,   1,
                                  d->class_tokens, kv_width,   CLATTN_F32};
    const guard_shape agents = {z.problems, z.agents, z.heads, z.dim, 0, 0, d->type};
    const guard_shape va = {z.problems, z.agents, z.heads, z.dim_v, 0, 0, d->type};
    const guard_shape vector = {z.problems, z.agents, z.heads, 1, 0, 0, CLATTN_F32};

    *r = (agent_run){.ctx = ctx, .c = c};
    guard_create(ctx, layout, &q, data->q, &r->q);
    guard_create(ctx, layout, &k, data->k, &r->k);
    guard_create(ctx, layout, &v, data->v, &r->v);
    guard_create(ctx, layout, &agents, data->agents, &r->agents);
    guard_create(ctx, layout, &va, data->va, &r->va);
    open_outputs(r, layout, &q);
    r->args =
        (clattn_agent_attention_args){.q = &r->q.tensor, .k = &r->k.tensor, .v = &r->v.tensor};
    if (d->has_key_bias) {
        guard_create(ctx, layout, &key_bias, data->key_bias, &r->key_bias);
        r->args.key_bias = &r->key_bias.tensor;
    }
    if (d->has_agent_vector) {
        guard_create(ctx, layout, &vector, data->agent_vector, &r->agent_vector);
        r->args.agent_vector = &r->agent_vector.tensor;
    }
    if (d->dwc_size > 0) {
        open_array(r, z.heads * z.dim_v * d->dwc_size * d->dwc_size, data->dwc_weight,
                   &r->dwc_weight, &r->dwc_weight_array);
        r->args.dwc_weight = &r->dwc_weight_array;
    }
    if (d->has_dwc_bias) {
        open_array(r, z.heads * z.dim_v, data->dwc_bias, &r->dwc_bias, &r->dwc_bias_array);
        r->args.dwc_bias = &r->dwc_bias_array;
    }
    if (d->has_bias) {
        assert_int_equal(clattn_agent_bias_create(ctx, d, &data->bias, &r->bias), CLATTN_OK);
        r->args.bias = r->bias;
    }
}

void agent_run_close(agent_run *r)
{
    guard_tensor *const all[] = {
        &r->q,          &r->k,       &r->v, &r->agents, &r->va, &r->key_bias, &r->agent_vector,
        &r->dwc_weight, &r->dwc_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        guard_destroy(all[i]);
    for (int i = 0; i < CASE_STEPS; i++)
        guard_destroy(&r->out[i]);
    clattn_agent_bias_destroy(&r->bias);
}

clattn_agent_attention_args agent_step_args(const agent_run *r, case_step step)
{
    clattn_agent_attention_args args = r->args;

    switch (step) {
    case STEP_POOL:
        return (clattn_agent_attention_args){.q = args.q, .agents = &r->out[STEP_POOL].tensor};
    case STEP_AGGREGATE:
        return (clattn_agent_attention_args){.k = args.k,
                                             .v = args.v,
                                             .agents = &r->agents.tensor,
                                             .key_bias = args.key_bias,
                                             .bias = args.bias,
                                             .va = &r->out[STEP_AGGREGATE].tensor};
    case STEP_BROADCAST:
        args.k = NULL;
        args.key_bias = NULL;
        args.agents = &r->agents.tensor;
        args.va = &r->va.tensor;
        if (r->c->desc.dwc_size == 0 && r->c->desc.v_shortcut == 0.0f)
            args.v = NULL;
        break;
    default:
        args.agents = r->c->desc.agents_given ? &r->agents.tensor : NULL;
        break;
    }
    args.out = &r->out[step].tensor;
    return args;
}

void agent_run_step(agent_run *r, case_step step, float *result)
{
    const clattn_agent_attention_args args = agent_step_args(r, step);
    guard_tensor *const inputs[] = {
        &r->q,          &r->k,       &r->v, &r->agents, &r->va, &r->key_bias, &r->agent_vector,
        &r->dwc_weight, &r->dwc_bias};
    static const char *const names[] = {
        "q", "k", "v", "agents", "va", "key_bias", "agent_vector", "dwc_weight", "dwc_bias"};
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    guard_poison(&r->out[step]);
    assert_int_equal(agent_step_plan(step)(r->ctx, &r->c->desc, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(agent_step_run(step)(plan, ws, &args, NULL), CLATTN_OK);
    assert_int_equal(clattn_context_finish(r->ctx), CLATTN_OK);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    guard_read(&r->out[step], case_step_name(step), result);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i]->ctx != NULL)
            guard_check_untouched(inputs[i], names[i]);
}

double largest_error(const float *result, const double *answer, int64_t count, int64_t *where)
{
    double worst = 0.0;

    *where = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs((double)result[i] - answer[i]) / (fabs(answer[i]) + 1.0);
        if (!(error <= worst)) {
            worst = isnan(error) ? INFINITY : error;
            *where = i;
        }
    }
    return worst;
}

void check_close(const char *op, const char *text, const float *result, const double *answer,
                 int64_t count, double tolerance)
{
    int64_t at = 0;
    const double error = largest_error(result, answer, count, &at);

    if (!(error <= tolerance))
        fail_msg("%s [%s]: element %" PRId64 " of %" PRId64
                 " is %.9g, the oracle says %.9g; error %.3g, allowed %.3g",
                 op, text, at, count, (double)result[at], answer[at], error, tolerance);
}

void check_same_bits(const char *op, const char *text, const float *a, const float *b,
                     int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s [%s]: element %" PRId64 " of %" PRId64 " is %.9g once and %.9g again", op,
                     text, i, count, (double)a[i], (double)b[i]);
}

void agent_run_check(clattn_context *ctx, guard_layout layout, const case_agent *c,
                     const case_agent_data *data)
{
    agent_run run;
    char text[TEXT];

    case_agent_text(c, text, sizeof text);
    agent_run_open(&run, ctx, layout, c, data);
    for (case_step step = STEP_POOL; step < CASE_STEPS; step++) {
        const int64_t count = case_agent_count(c, step);
        float *result = malloc((size_t)count * sizeof *result);
        assert_non_null(result);
        agent_run_step(&run, step, result);
        check_close(case_step_name(step), text, result, data->answer[step], count,
                    case_agent_tolerance(step, c->desc.type));
        free(result);
    }
    agent_run_close(&run);
}
