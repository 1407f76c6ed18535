/*
 * The self-test: sound kernels pass on every device, planted faults are found, and verdicts are kept. The faults here are a few of
 * each kind in each kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cache_memory.h"
#include "cl/device.h"
#include "contexts.h"
#include "faulty_cl.h"
#include "planted.h"
#include "support.h"

static contexts_list list;

/* With the kernels of the self-test by hand, so that they are compiled once. */
static clattn_status plan_agent(clattn_context *ctx, clattn_type type)
{
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = 2,
                                              .head_dim = 32,
                                              .height = 30,
                                              .width = 31,
                                              .agent_height = 7,
                                              .agent_width = 7,
                                              .dwc_size = 7,
                                              .type = type};
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_agent_attention_plan(ctx, &desc, &plan);
    assert_int_equal(status == CLATTN_OK, plan != NULL);
    clattn_plan_destroy(&plan);
    return status;
}

/* A small one, which is soon compiled. */
static clattn_status plan_dwc(clattn_context *ctx)
{
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 1, .head_dim = 4, .height = 4, .width = 4, .size = 3};
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_dwc_plan(ctx, &desc, &plan);
    clattn_plan_destroy(&plan);
    return status;
}

static clattn_status plan_smooth(clattn_context *ctx)
{
    const clattn_smooth_desc desc = {.height = 40, .width = 50};
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_smooth_plan(ctx, &desc, &plan);
    clattn_plan_destroy(&plan);
    return status;
}

static size_t count_of(const clattn_context *ctx)
{
    return clattn_device_verdict(ctx, 0, NULL);
}

static void sound_kernels_pass(void **state)
{
    (void)state;
    for (int i = 0; i < list.count; i++) {
        clattn_context *ctx = contexts_open_proving(&list.entries[i], NULL);
        print_message("  %s\n", list.entries[i].name);
        assert_int_equal(plan_agent(ctx, CLATTN_F32), CLATTN_OK);
        assert_int_equal(plan_agent(ctx, CLATTN_F16), CLATTN_OK);
        assert_int_equal(plan_smooth(ctx), CLATTN_OK);
        const size_t count = count_of(ctx);
        assert_true(clattn_context_is_cpu(ctx) ? count == 0 : count >= 14);
        for (size_t k = 0; k < count; k++) {
            clattn_verdict v;
            assert_int_equal(clattn_device_verdict(ctx, k, &v), count);
            if (v.code != CLATTN_VERDICT_PASSED)
                fail_msg("%s %s: %s", v.kernel, v.options, v.reason);
            assert_true(v.error <= 1.0f && v.reason[0] == '\0' && v.from_cache == 0);
        }
        /* What is known is not tested again. */
        assert_int_equal(plan_agent(ctx, CLATTN_F32), CLATTN_OK);
        assert_int_equal(count_of(ctx), count);
        clattn_context_destroy(&ctx);
    }
}

static const struct fault {
    clattn_kernel_shape shape;
    planted_fault text;
} faults[] = {
    {CLATTN_SHAPE_AUTO,
     {"agent_pool", "sum += LOAD(q + row_offset(i,", "sum -= LOAD(q + row_offset(i,"}},
    {CLATTN_SHAPE_AUTO, {"agent_pool", "if (right > first)", "if (right > first + 1)"}},
    {CLATTN_SHAPE_AUTO, {"agent_pool", "(j + 1) * width + args.agent_w - 1", "(j + 1) * width"}},
    {CLATTN_SHAPE_AUTO, {"dwc", "args.accumulate ? LOADS(out) + sum", "args.accumulate ? sum"}},
    {CLATTN_SHAPE_TILE,
     {"agent_merge", "left + step < args.leaves", "left + step < args.leaves - 1"}},
    {CLATTN_SHAPE_TILE, {"attend_tile", "i < LENGTH(KEY_QUADS)", "i < LENGTH(KEY_QUADS) - 1"}},
    {CLATTN_SHAPE_TILE, {"attend_tile", "partial->m - m;", "0.5f * (partial->m - m);"}},
    {CLATTN_SHAPE_TILE,
     {"attend_tile", "key0 + tile.item < tile.key_end ? add",
      "key0 + tile.item <= tile.key_end ? add"}},
    {CLATTN_SHAPE_TILE, {"attend_tile", "if (queries > 3)", "if (queries > 4)"}},
    {CLATTN_SHAPE_WIDE,
     {"agent_aggregate_wide", "for (int b = 1; b < blocks; b++)", "for (int b = 1; b < 1; b++)"}},
    {CLATTN_SHAPE_WIDE,
     {"agent_aggregate_wide", "token + i <= last ? term", "token + i < last ? term"}},
    {CLATTN_SHAPE_WIDE, {"agent_broadcast_wide", "0x1.62e430p-1f", "0x1.62e000p-1f"}},
    {CLATTN_SHAPE_WIDE, {"agent_broadcast_wide", "block = item % blocks;", "block = 0;"}},
    {CLATTN_SHAPE_WIDE,
     {"agent_broadcast_wide", "y += x == place->window_w ? 1 : 0;", ""}}, /* writes stay inside */
    /* No key at all in the one leaf; a tile at the edge of its map. */
    {CLATTN_SHAPE_WIDE,
     {"agent_aggregate_wide", "l > 0.0f ? out_scale / l : 0.0f", "out_scale / l"}},
    {CLATTN_SHAPE_WIDE, {"agent_broadcast_wide", "last_x < grid->window_w + halo->right &&", ""}},
    {CLATTN_SHAPE_AUTO, {"dwc", "args.halo.bottom - 1 - y)", "args.halo.bottom - y)"}},
    {CLATTN_SHAPE_WIDE, {"agent_merge_wide", "m_left < m_right ? scale : 1.0f", "1.0f"}},
};

/* A kernel that has the fault fails. */
static void planted_faults_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *f = &faults[i];
        support_log heard = SUPPORT_LOG_INIT;
        /* Small groups: kernels compile sooner, and there are no smaller ones to step down to. */
        const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN),
                                              .max_work_group = 16};
        clattn_context *ctx = contexts_open_first(
            &list, f->shape == CLATTN_SHAPE_AUTO ? CLATTN_SHAPE_TILE : f->shape, &params);
        if (ctx == NULL)
            continue;
        planted_begin(&f->text);
        if (strcmp(f->text.only, "dwc") == 0)
            plan_dwc(ctx);
        else
            plan_agent(ctx, CLATTN_F32);
        if (planted_end() == 0)
            fail_msg("%s does not have \"%s\"", f->text.only, f->text.from);
        int failed = 0;
        for (size_t k = 0; k < count_of(ctx); k++) {
            clattn_verdict v;
            clattn_device_verdict(ctx, k, &v);
            failed += v.code == CLATTN_VERDICT_WRONG || v.code == CLATTN_VERDICT_STRAY;
            if (v.code != CLATTN_VERDICT_PASSED)
                print_message("  %s: %s\n", v.kernel, v.reason);
        }
        if (failed == 0)
            fail_msg("%s: \"%s\" is not found", f->text.only, f->text.to);
        assert_true(heard.count > 0);
        clattn_context_destroy(&ctx);
    }
}

static const planted_fault bad_pool = {"agent_pool", "sum += LOAD(q", "sum -= LOAD(q"};

/* Verdicts that a context gets for a pool, by where they come from; and what the plan says. */
static clattn_status pool_on(const clattn_context_params *params, const char *driver,
                             clattn_verdict *verdict, size_t *count)
{
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = 2,
                                              .head_dim = 8,
                                              .height = 8,
                                              .width = 8,
                                              .agent_height = 2,
                                              .agent_width = 2};
    clattn_plan *plan = NULL;
    clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_TILE, params);
    assert_non_null(ctx);
    if (driver != NULL)
        snprintf(ctx->device.driver, sizeof ctx->device.driver, "%s", driver);
    const clattn_status status = clattn_agent_pool_plan(ctx, &desc, &plan);
    *count = clattn_device_verdict(ctx, 0, verdict);
    clattn_plan_destroy(&plan);
    clattn_context_destroy(&ctx);
    return status;
}

static void verdicts_are_kept(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN),
                                    .cache = cache_memory_callbacks(&memory),
                                    .fallback = CLATTN_FALLBACK_NONE};
    clattn_verdict v;
    size_t count = 0;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_true(count == 1 && v.code == CLATTN_VERDICT_PASSED && !v.from_cache);
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_true(count == 1 && v.code == CLATTN_VERDICT_PASSED && v.from_cache);
    assert_string_equal(v.kernel, "agent_pool_partial");
    assert_true(v.milliseconds == 0.0f && v.error <= 1.0f);
    /* Another driver, other kernels, or the caller's wish. */
    assert_int_equal(pool_on(&params, "another", &v, &count), CLATTN_OK);
    assert_true(count == 1 && !v.from_cache);
    params.selftest = CLATTN_SELFTEST_FORCE;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_true(count == 1 && !v.from_cache);
    params.selftest = CLATTN_SELFTEST_OFF;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_int_equal(count, 0);
    params.selftest = CLATTN_SELFTEST_FIRST_USE;
    planted_begin(&bad_pool);
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_E_WRONG);
    assert_true(v.code == CLATTN_VERDICT_WRONG && !v.from_cache);
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_E_WRONG);
    assert_true(v.code == CLATTN_VERDICT_WRONG && v.from_cache && v.reason[0] != '\0');
    params.selftest = CLATTN_SELFTEST_OFF;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    planted_end();
    params.selftest = CLATTN_SELFTEST_FIRST_USE;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_true(v.from_cache);
    cache_memory_free(&memory);
}

static cl_command_queue callers_queue;
static int callers_launches, callers_writes;
static clattn__cl_api watching;

static cl_int CL_API_CALL watched_launch(cl_command_queue queue, cl_kernel kernel,
                                         cl_uint dimensions, const size_t *first,
                                         const size_t *global, const size_t *local,
                                         cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    callers_launches += queue == callers_queue;
    return faulty_cl.real->clEnqueueNDRangeKernel(queue, kernel, dimensions, first, global, local,
                                                  wait_count, wait, event);
}

static cl_int CL_API_CALL watched_write(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                        size_t offset, size_t size, const void *source,
                                        cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    callers_writes += queue == callers_queue;
    return faulty_cl.real->clEnqueueWriteBuffer(queue, memory, blocking, offset, size, source,
                                                wait_count, wait, event);
}

static void find_cl(void)
{
    assert_int_equal(clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real), CLATTN_OK);
}

static void a_callers_queue_is_left_alone(void **state)
{
    (void)state;
    cl_device_id device = support_device();
    cl_int error = CL_SUCCESS;
    clattn_context *ctx = NULL;
    find_cl();
    const clattn__cl_api *api = faulty_cl.real;
    cl_context context = api->clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    callers_queue = api->clCreateCommandQueue(context, device, 0, &error);
    assert_int_equal(error, CL_SUCCESS);
    watching = *api;
    watching.clEnqueueNDRangeKernel = watched_launch;
    watching.clEnqueueWriteBuffer = watched_write;
    clattn__cl_api_hook = &watching;
    callers_launches = callers_writes = 0;
    assert_int_equal(clattn_context_wrap(context, device, callers_queue, NULL, &ctx), CLATTN_OK);
    assert_int_equal(plan_agent(ctx, CLATTN_F32), CLATTN_OK);
    /* The launches of nothing with which every plan tries its kernels. */
    assert_int_equal(callers_launches, (int)count_of(ctx));
    assert_int_equal(callers_writes, 0);
    clattn_context_destroy(&ctx);
    clattn__cl_api_hook = NULL;
    api->clReleaseCommandQueue(callers_queue);
    api->clReleaseContext(context);
}

/* Each call of the self-test fails once, in turn; the context works afterwards, and nothing remains. */
static void failing_calls(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        cl_int code;
        clattn_verdict_code verdict;
    } calls[] = {
        {"clEnqueueWriteBuffer", CL_OUT_OF_RESOURCES, CLATTN_VERDICT_REFUSED},
        {"clEnqueueReadBuffer", CL_OUT_OF_RESOURCES, CLATTN_VERDICT_REFUSED},
        {"clCreateCommandQueue", CL_OUT_OF_HOST_MEMORY, CLATTN_VERDICT_UNTESTED},
    };
    find_cl();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        support_log heard = SUPPORT_LOG_INIT;
        const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
        clattn_context *ctx = NULL;
        clattn_verdict v = {.code = CLATTN_VERDICT_PASSED};
        clattn__cl_api_hook = &faulty_cl_table;
        faulty_cl.live = faulty_cl.failing = 0;
        assert_int_equal(clattn_context_create(support_device(), &params, &ctx), CLATTN_OK);
        faulty_cl.only = calls[i].name;
        faulty_cl.code = calls[i].code;
        faulty_cl.calls = 0;
        faulty_cl.failing = 1;
        plan_dwc(ctx);
        assert_true(count_of(ctx) >= 1);
        clattn_device_verdict(ctx, 0, &v);
        assert_int_equal(v.code, calls[i].verdict);
        assert_true(v.reason[0] != '\0');
        faulty_cl.failing = 0;
        clattn_context_destroy(&ctx);
        clattn__cl_api_hook = NULL;
        assert_int_equal(faulty_cl.live, 0);
    }
    faulty_cl.only = NULL;
}

static void no_memory_for_it(void **state)
{
    (void)state;
    clattn_context_params params = {.byte_cap = 4096};
    clattn_verdict v;
    size_t count = 0;
    uint64_t now = 0;
    assert_int_equal(pool_on(&params, NULL, &v, &count), CLATTN_OK);
    assert_true(count == 1 && v.code == CLATTN_VERDICT_UNTESTED);
    clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_TILE, &params);
    clattn_context_bytes(ctx, &now, NULL);
    assert_int_equal(now, 0);
    clattn_context_destroy(&ctx);
}

/* A pool that is wrong in any work-group, or only in large ones: then the plans are well, since they step down. */
static void by_hand(void **state)
{
    (void)state;
    static const planted_fault in_large_groups = {
        "agent_pool", "sum += LOAD(q",
        "sum += get_local_size(0) * get_local_size(1) > 32 ? 0.0f : LOAD(q"};
    static const planted_fault *const pools[] = {&bad_pool, &in_large_groups};
    assert_int_equal(clattn_context_selftest(NULL), CLATTN_E_ARG);
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        support_log heard = SUPPORT_LOG_INIT;
        const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN),
                                              .selftest = CLATTN_SELFTEST_OFF};
        clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_WIDE, &params);
        clattn_verdict v;
        int failed = 0;
        if (ctx == NULL)
            return;
        planted_begin(pools[i]);
        assert_int_equal(clattn_context_selftest(ctx), CLATTN_E_WRONG);
        planted_end();
        for (size_t k = 0; k < count_of(ctx); k++) {
            clattn_device_verdict(ctx, k, &v);
            failed += v.code != CLATTN_VERDICT_PASSED;
            assert_true(v.code == CLATTN_VERDICT_PASSED || strstr(v.kernel, "pool") != NULL);
        }
        assert_true(failed > 0 && count_of(ctx) > 20);
        /* Off is off, whatever is known. */
        assert_int_equal(plan_agent(ctx, CLATTN_F32), CLATTN_OK);
        clattn_context_destroy(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_kernels_pass),
        cmocka_unit_test(planted_faults_are_found),
        cmocka_unit_test(verdicts_are_kept),
        cmocka_unit_test(a_callers_queue_is_left_alone),
        cmocka_unit_test(failing_calls),
        cmocka_unit_test(no_memory_for_it),
        cmocka_unit_test(by_hand),
    };
    contexts_find(false, &list);
    if (support_device() == NULL)
        return contexts_none();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
