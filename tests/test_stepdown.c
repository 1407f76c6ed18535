/*
 * What plans do with kernels that fail the self-test: without a tuning row, with smaller work-groups, on the CPU path. The faults are
 * planted into the kernels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cl/api.h"
#include "contexts.h"
#include "planted.h"
#include "support.h"

static contexts_list list;

static clattn_status plan_pool(clattn_context *ctx)
{
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = 2,
                                              .head_dim = 8,
                                              .height = 8,
                                              .width = 8,
                                              .agent_height = 2,
                                              .agent_width = 2};
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_agent_pool_plan(ctx, &desc, &plan);
    clattn_plan_destroy(&plan);
    return status;
}

/* The verdict on a kernel with this in its options; fails where there is none. */
static clattn_verdict verdict_with(const clattn_context *ctx, const char *kernel,
                                   const char *options)
{
    clattn_verdict v;
    for (size_t k = 0; k < clattn_device_verdict(ctx, 0, NULL); k++) {
        clattn_device_verdict(ctx, k, &v);
        if (strcmp(v.kernel, kernel) == 0 && strstr(v.options, options) != NULL)
            return v;
    }
    fail_msg("no verdict on %s %s", kernel, options);
    return v;
}

/* Only the work-group of 64 is wrong. */
static void a_smaller_work_group(void **state)
{
    (void)state;
    static const planted_fault fault = {"attend_tile", "i < LENGTH(KEY_QUADS)",
                                        "i < LENGTH(KEY_QUADS) - (WG == 64)"};
    support_log heard = SUPPORT_LOG_INIT;
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
    const clattn_attention_desc desc = {
        .batch = 1, .heads = 1, .head_dim = 24, .queries = 50, .keys = 50};
    clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_TILE, &params);
    clattn_plan *plan = NULL;
    clattn_plan_info info;
    if (ctx == NULL)
        return;
    planted_begin(&fault);
    assert_int_equal(clattn_attention_plan(ctx, &desc, &plan), CLATTN_OK);
    planted_end();
    clattn_plan_get_info(plan, &info);
    assert_true(info.work_group == 32 && info.on_cpu_path == 0);
    assert_true(support_heard(&heard, "a work-group smaller than 64 is tried for attention"));
    const clattn_verdict bad = verdict_with(ctx, "attend_tile", "-DWG=64");
    assert_true(bad.code == CLATTN_VERDICT_WRONG && bad.step == CLATTN_STEP_SMALLER);
    const clattn_verdict good = verdict_with(ctx, "attend_tile", "-DWG=32");
    assert_true(good.code == CLATTN_VERDICT_PASSED && good.step == CLATTN_STEP_NONE);
    clattn_plan_destroy(&plan);
    clattn_context_destroy(&ctx);
}

/* Only the values of a tuning row are wrong. */
static void a_row_of_tuning(void **state)
{
    (void)state;
    static const planted_fault fault = {"dwc", "args.accumulate ? LOADS(out) + sum : sum",
                                        "(args.accumulate ? LOADS(out) + sum : sum) * "
                                        "(CHANNELS == 2 ? 2.0f : 1.0f)"};
    static const char row[] = "dwc channels=2\n";
    support_log heard = SUPPORT_LOG_INIT;
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 1, .head_dim = 16, .height = 4, .width = 4, .size = 3};
    clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_TILE, &params);
    clattn_plan *plan = NULL;
    char text[256];
    if (ctx == NULL)
        return;
    assert_int_equal(clattn_tune_load(ctx, row, sizeof row - 1), CLATTN_OK);
    planted_begin(&fault);
    assert_int_equal(clattn_dwc_plan(ctx, &desc, &plan), CLATTN_OK);
    planted_end();
    const clattn_verdict tuned = verdict_with(ctx, "dwc", "-DCHANNELS=2");
    assert_true(tuned.code == CLATTN_VERDICT_WRONG && tuned.step == CLATTN_STEP_PLAIN);
    clattn_plan_tuning(plan, text, sizeof text);
    assert_true(strstr(text, "channels=2") == NULL);
    clattn_plan_destroy(&plan);
    clattn_context_destroy(&ctx);
}

enum { SIDE = 12, HEADS = 2, WIDTH = 6, CHANNELS = HEADS * WIDTH, TOKENS = SIDE * SIDE };

/* Agent attention with a bias and a convolution; returns how many of its operators ran on the CPU path. */
static int run_agent(clattn_context *ctx, const float *qkv, float *out)
{
    static float table[HEADS * 4 * 49];
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = HEADS,
                                              .head_dim = WIDTH,
                                              .height = SIDE,
                                              .width = SIDE,
                                              .agent_height = 2,
                                              .agent_width = 2,
                                              .has_bias = 1,
                                              .dwc_size = 3};
    const clattn_agent_bias_desc weights = {.trained_agents_height = 2,
                                            .trained_agents_width = 2,
                                            .aggregate = {.map = table},
                                            .broadcast = {.map = table}};
    clattn_memory memory[3] = {0};
    clattn_tensor t[4];
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    clattn_agent_bias *bias = NULL;
    clattn_plan_info info;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        table[i] = (float)(i % 13) * 0.1f - 0.5f;
    const uint64_t bytes[3] = {3 * TOKENS * CHANNELS * sizeof(float), CHANNELS * 9 * sizeof(float),
                               TOKENS * CHANNELS * sizeof(float)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(clattn_memory_alloc(ctx, bytes[i], &memory[i]), CLATTN_OK);
        assert_int_equal(clattn_memory_write(ctx, &memory[i], 0, qkv, bytes[i]), CLATTN_OK);
    }
    for (int i = 0; i < 3; i++)
        t[i] = clattn_tensor_packed(memory[0], 1, TOKENS, HEADS, WIDTH, 3, i);
    t[3] = clattn_tensor_tokens(memory[2], 1, TOKENS, HEADS, WIDTH);
    const clattn_array weight = {.memory = memory[1], .count = CHANNELS * 9};
    assert_int_equal(clattn_agent_bias_create(ctx, &desc, &weights, &bias), CLATTN_OK);
    assert_int_equal(clattn_agent_attention_plan(ctx, &desc, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    const clattn_agent_attention_args args = {
        .q = &t[0], .k = &t[1], .v = &t[2], .bias = bias, .dwc_weight = &weight, .out = &t[3]};
    for (int turn = 0; turn < 2; turn++)
        assert_int_equal(clattn_agent_attention_run(plan, ws, &args, NULL), CLATTN_OK);
    assert_int_equal(clattn_memory_read(ctx, &memory[2], 0, out, bytes[2]), CLATTN_OK);
    clattn_plan_get_info(plan, &info);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    clattn_agent_bias_destroy(&bias);
    for (int i = 0; i < 3; i++)
        clattn_memory_free(ctx, &memory[i]);
    return info.on_cpu_path;
}

static const planted_fault all_wrong[] = {
    {"agent_pool", "sum += LOAD(q", "sum -= LOAD(q"},
    {"attend_tile", "i < LENGTH(KEY_QUADS)", "i < LENGTH(KEY_QUADS) - 1"},
    {"agent_aggregate_wide", "token + i <= last ? term", "token + i < last ? term"},
};

/* The CPU path takes over, operator by operator, on the device's buffers: with the right results. */
static void the_cpu_path_takes_over(void **state)
{
    (void)state;
    static float qkv[3 * TOKENS * CHANNELS], expected[TOKENS * CHANNELS], out[TOKENS * CHANNELS];
    clattn_context *cpu = NULL;
    for (size_t i = 0; i < sizeof qkv / sizeof *qkv; i++)
        qkv[i] = (float)((i * 7919) % 201) * 0.01f - 1.0f;
    assert_int_equal(clattn_context_create_cpu(NULL, &cpu), CLATTN_OK);
    assert_int_equal(run_agent(cpu, qkv, expected), 0);
    clattn_context_destroy(&cpu);
    for (size_t i = 0; i < 3; i++) {
        support_log heard = SUPPORT_LOG_INIT;
        const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
        clattn_context *ctx =
            contexts_open_first(&list, i == 2 ? CLATTN_SHAPE_WIDE : CLATTN_SHAPE_TILE, &params);
        if (ctx == NULL)
            continue;
        planted_begin(&all_wrong[i]);
        /* From tiles there is a step to the wide shape, which is right. */
        assert_int_equal(run_agent(ctx, qkv, out), i == 1 ? 0 : 1);
        planted_end();
        for (size_t k = 0; k < sizeof out / sizeof *out; k++)
            if (!(out[k] - expected[k] < 1e-5f && expected[k] - out[k] < 1e-5f))
                fail_msg("element %zu is %g, not %g", k, (double)out[k], (double)expected[k]);
        clattn_context_destroy(&ctx);
    }
}

static void a_wrapped_context_fails(void **state)
{
    (void)state;
    cl_device_id device = support_device();
    cl_int error = CL_SUCCESS;
    clattn__cl_api loaded;
    const clattn__cl_api *api = NULL;
    assert_int_equal(clattn__cl_api_get(NULL, &loaded, &api), CLATTN_OK);
    cl_context context = api->clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    cl_command_queue queue = api->clCreateCommandQueue(context, device, 0, &error);
    assert_int_equal(error, CL_SUCCESS);
    for (int asked = 0; asked < 2; asked++) {
        support_log heard = SUPPORT_LOG_INIT;
        const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN),
                                              .shape = CLATTN_SHAPE_TILE,
                                              .fallback = asked ? CLATTN_FALLBACK_CPU
                                                                : CLATTN_FALLBACK_AUTO};
        clattn_context *ctx = NULL;
        assert_int_equal(clattn_context_wrap(context, device, queue, &params, &ctx), CLATTN_OK);
        planted_begin(&all_wrong[0]);
        assert_int_equal(plan_pool(ctx), asked ? CLATTN_OK : CLATTN_E_WRONG);
        planted_end();
        const clattn_verdict v = verdict_with(ctx, "agent_pool_partial", "");
        assert_true(v.code == CLATTN_VERDICT_WRONG && v.step == CLATTN_STEP_SMALLER);
        if (!asked)
            assert_true(support_heard(&heard, "params.fallback does not allow the CPU path"));
        clattn_context_destroy(&ctx);
    }
    api->clReleaseCommandQueue(queue);
    api->clReleaseContext(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smaller_work_group),
        cmocka_unit_test(a_row_of_tuning),
        cmocka_unit_test(the_cpu_path_takes_over),
        cmocka_unit_test(a_wrapped_context_fails),
    };
    contexts_find(false, &list);
    if (support_device() == NULL)
        return contexts_none();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
