#include "case_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "case_agent_run.h"

#define TEXT 512

static float *results(int64_t count)
{
    float *array = malloc((size_t)count * sizeof *array);
    assert_non_null(array);
    return array;
}

void case_attention_check(clattn_context *ctx, guard_layout layout, const case_attention *c,
                          const case_attention_data *data)
{
    const clattn_attention_desc *d = &c->desc;
    const int64_t dv = d->head_dim_v != 0 ? d->head_dim_v : d->head_dim;
    const guard_shape q_shape = {d->batch, d->queries, d->heads, d->head_dim, 0, 0, d->type};
    const guard_shape k_shape = {d->batch, d->keys, d->heads, d->head_dim, 0, 0, d->type};
    const guard_shape v_shape = {d->batch, d->keys, d->heads, dv, 0, 0, d->type};
    const guard_shape bias_shape = {d->batch, d->keys, d->heads, 1, 0, 0, CLATTN_F32};
    const guard_shape out_shape = {d->batch, d->queries, d->heads, dv, 0, 0, d->type};
    guard_tensor q, k, v, key_bias, out;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    float *result = results(case_attention_count(c));
    char text[TEXT];

    case_attention_text(c, text, sizeof text);
    guard_create(ctx, layout, &q_shape, data->q, &q);
    guard_create(ctx, layout, &k_shape, data->k, &k);
    guard_create(ctx, layout, &v_shape, data->v, &v);
    guard_create(ctx, layout, &bias_shape, data->key_bias, &key_bias);
    guard_create(ctx, layout, &out_shape, NULL, &out);
    const clattn_attention_args args = {&q.tensor, &k.tensor, &v.tensor,
                                        d->has_key_bias ? &key_bias.tensor : NULL, &out.tensor};
    assert_int_equal(clattn_attention_plan(ctx, d, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_attention_run(plan, ws, &args, NULL), CLATTN_OK);
    guard_read(&out, "attention", result);
    check_close("attention", text, result, data->answer, case_attention_count(c),
                case_attention_tolerance(c));
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    guard_destroy(&out);
    guard_destroy(&key_bias);
    guard_destroy(&v);
    guard_destroy(&k);
    guard_destroy(&q);
    free(result);
}

void case_dwc_check(clattn_context *ctx, guard_layout layout, const case_dwc *c,
                    const case_dwc_data *data)
{
    const clattn_dwc_desc *d = &c->desc;
    const int64_t in_width = d->in_width != 0 ? d->in_width : d->width;
    const int64_t channels = d->heads * d->head_dim;
    const guard_shape v_shape = {d->batch,        case_dwc_values(c) / d->batch / channels,
                                 d->heads,        d->head_dim,
                                 d->class_tokens, in_width,
                                 d->type};
    const guard_shape out_shape = {d->batch,        case_dwc_count(c) / d->batch / channels,
                                   d->heads,        d->head_dim,
                                   d->class_tokens, d->width,
                                   d->type};
    guard_tensor v, weight, bias, out;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    float *result = results(case_dwc_count(c));
    char text[TEXT];

    case_dwc_text(c, text, sizeof text);
    guard_create(ctx, layout, &v_shape, data->v, &v);
    guard_create(ctx, layout, &out_shape, d->accumulate ? data->before : NULL, &out);
    guard_array(ctx, case_dwc_weights(c), data->weight, &weight);
    guard_array(ctx, channels, data->bias, &bias);
    const clattn_array weights = {weight.tensor.memory, weight.tensor.offset, case_dwc_weights(c)};
    const clattn_array biases = {bias.tensor.memory, bias.tensor.offset, channels};
    const clattn_dwc_args args = {&v.tensor, &weights, d->has_bias ? &biases : NULL, &out.tensor};
    assert_int_equal(clattn_dwc_plan(ctx, d, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_dwc_run(plan, ws, &args, NULL), CLATTN_OK);
    guard_read(&out, "dwc", result);
    check_close("dwc", text, result, data->answer, case_dwc_count(c), case_dwc_tolerance(c));
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    guard_destroy(&bias);
    guard_destroy(&weight);
    guard_destroy(&out);
    guard_destroy(&v);
    free(result);
}

static void check_picture(const char *text, const case_smooth *c, const float *result,
                          const double *answer)
{
    const int64_t count = c->desc.height * c->desc.width * 3;
    double worst = 0.0;
    double sum = 0.0;

    for (int64_t i = 0; i < count; i++) {
        const double error = fabs((double)result[i] - answer[i]);
        sum += error;
        worst = error <= worst ? worst : error;
    }
    if (!(worst <= case_smooth_tolerance() && sum / (double)count <= case_smooth_tolerance_mean()))
        fail_msg("smooth [%s]: off by %.3g at most and %.3g on average; allowed %.3g and %.3g",
                 text, worst, sum / (double)count, case_smooth_tolerance(),
                 case_smooth_tolerance_mean());
}

void case_smooth_check(clattn_context *ctx, guard_layout layout, const case_smooth *c,
                       const case_smooth_data *data)
{
    const clattn_smooth_desc *d = &c->desc;
    const int64_t pixels = d->height * d->width;
    const guard_shape picture = {1, pixels, 1, 3, 0, d->width, CLATTN_F32};
    const guard_shape agents_shape = {1, case_smooth_agents(c), 1, 5, 0, 0, CLATTN_F32};
    guard_tensor in, out, agents;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    float *result = results(pixels * 3);
    float *refined = results(case_smooth_agents(c) * 5);
    char text[TEXT];

    case_smooth_text(c, text, sizeof text);
    guard_create(ctx, layout, &picture, data->rgb, &in);
    guard_create(ctx, layout, &picture, NULL, &out);
    guard_create(ctx, layout, &agents_shape, NULL, &agents);
    assert_int_equal(clattn_smooth_plan(ctx, d, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_smooth_run(plan, ws, &in.tensor, &out.tensor, &agents.tensor, NULL),
                     CLATTN_OK);
    guard_read(&out, "smooth", result);
    guard_read(&agents, "smooth's agents", refined);
    check_picture(text, c, result, data->answer);
    check_close("smooth's agents", text, refined, data->agents, case_smooth_agents(c) * 5,
                case_smooth_tolerance());
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    guard_destroy(&agents);
    guard_destroy(&out);
    guard_destroy(&in);
    free(refined);
    free(result);
}
