/*
 * Every OpenCL call and every allocation of an operator's bias, plan, workspace and run fails once (fault_trial.h). On the first
 * device, with both kernel shapes, with a queue that does not order its commands, and with a cache of programs that is cold or warm;
 * allocations on the CPU path, too.
 *
 *     CLATTN_TEST_FULL=1   each call with all its codes; else one code for each call, and the other shapes with fewer operators
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache_memory.h"
#include "cl/device.h"
#include "contexts.h"
#include "fault_codes.h"
#include "fault_ops.h"
#include "fault_trial.h"
#include "kept_programs.h"

/* How the context under test is made. */
typedef struct setup {
    const char *name;
    clattn_kernel_shape shape;
    bool out_of_order, cpu;
    bool cache, warm;
    bool proves; /* its kernels, by the self-test */
} setup;

static const setup wide = {.name = "wide", .shape = CLATTN_SHAPE_WIDE};
static const setup tile = {.name = "tile", .shape = CLATTN_SHAPE_TILE};
static const setup out_of_order = {
    .name = "wide, out of order", .shape = CLATTN_SHAPE_WIDE, .out_of_order = true};
static const setup cold = {.name = "wide, cold cache", .shape = CLATTN_SHAPE_WIDE, .cache = true};
static const setup warm = {
    .name = "wide, warm cache", .shape = CLATTN_SHAPE_WIDE, .cache = true, .warm = true};
static const setup proving = {
    .name = "wide, self-test", .shape = CLATTN_SHAPE_WIDE, .proves = true};
static const setup cpu_path = {.name = "CPU path", .cpu = true};

/* The device and the caller's objects, made before anything fails. */
static cl_device_id device;
static cl_context callers_context;
static cl_command_queue callers_queue;

/* What is tried. */
static struct {
    const setup *setup;
    fault_op op;
    clattn_context *ctx;
    fault_tensors tensors;
    bool failed_in_plan, failed_in_store;
    bool knows; /* what the result is */
    float result[FAULT_RESULT];
    uint32_t work_group;
    cache_memory cache;
} now;

static void open_context(void *user)
{
    clattn_context_params params = {
        .log = fault_trial_log(), .shape = now.setup->shape, .threads = 2};

    (void)user;
    params.selftest = now.setup->proves ? CLATTN_SELFTEST_FORCE : CLATTN_SELFTEST_OFF;
    if (now.setup->cache)
        params.cache = cache_memory_callbacks(&now.cache);
    if (!now.setup->warm)
        cache_memory_free(&now.cache);
    if (now.setup->cpu) {
        assert_int_equal(clattn_context_create_cpu(&params, &now.ctx), CLATTN_OK);
    } else {
        clattn__cl_api_hook = &faulty_cl_table;
        assert_int_equal(
            clattn_context_wrap(callers_context, device, callers_queue, &params, &now.ctx),
            CLATTN_OK);
        clattn__cl_api_hook = NULL;
        now.ctx->cl->out_of_order = now.setup->out_of_order;
    }
    fault_tensors_open(&now.tensors, now.ctx);
    fault_poison(&now.tensors);
}

static void close_context(void *user)
{
    (void)user;
    fault_tensors_close(&now.tensors);
    clattn_context_destroy(&now.ctx);
}

/* The same bits as ever, unless a refused launch made the plan take a smaller work-group, which sums in another order. */
static void check_result(uint32_t work_group)
{
    float result[FAULT_RESULT];

    fault_result(&now.tensors, result);
    if (!now.knows) {
        memcpy(now.result, result, sizeof result);
        now.work_group = work_group;
        now.knows = true;
    }
    for (int i = 0; i < FAULT_RESULT; i++) {
        const float difference = result[i] - now.result[i];
        if (memcmp(&result[i], &now.result[i], sizeof result[i]) != 0 &&
            (work_group == now.work_group || !(difference < 1e-5f && difference > -1e-5f)))
            fail_msg("%s: element %d is %.9g and was %.9g", fault_op_names[now.op], i,
                     (double)result[i], (double)now.result[i]);
    }
    fault_poison(&now.tensors);
}

/* What OpenCL said is kept for the caller. */
static void check_error(clattn_status status)
{
    if (status != CLATTN_OK && faulty_cl.failed != NULL && faulty_cl.failing > 0)
        assert_int_equal(clattn_context_cl_error(now.ctx), faulty_cl.code);
}

static clattn_status run(void *user)
{
    fault_job job;
    clattn_plan_info info = {0};
    clattn_status status = fault_job_make(now.ctx, now.op, &job);
    const bool ran = status == CLATTN_OK;

    (void)user;
    now.failed_in_plan = faulty_cl.failed != NULL;
    if (ran)
        status = fault_job_run(&job, &now.tensors);
    if (status == CLATTN_OK && now.setup->cache) {
        status = clattn_context_store_programs(now.ctx);
        now.failed_in_store = status == CLATTN_OK && faulty_cl.failed != NULL;
    }
    check_error(status);
    if (ran && status != CLATTN_OK) { /* the plan is as good as before */
        fault_trial_enough();
        assert_int_equal(fault_job_run(&job, &now.tensors), CLATTN_OK);
    }
    clattn_plan_get_info(job.plan, &info);
    fault_job_end(&job);
    fault_trial_enough();
    if (ran)
        check_result(info.work_group);
    return status;
}

/*
 * A plan tries smaller work-groups where OpenCL or its compiler refuses one, in whatever call. With a cache, what is not loaded is
 * built, what was loaded and does not work is built anew, and what is not saved does no harm. A self-test that cannot be made proves
 * nothing.
 */
static bool another_way(const char *name, cl_int code, clattn_status status)
{
    if (now.setup->proves && now.failed_in_plan && status == CLATTN_OK)
        return true;
    if (now.setup->cache && (now.failed_in_plan || now.failed_in_store) && status == CLATTN_OK)
        return true;
    return now.failed_in_plan && status == CLATTN_OK &&
           (fault_right(name, code, CLATTN_E_OPENCL) || fault_right(name, code, CLATTN_E_BUILD));
}

static fault_scenario scenario(const setup *s, fault_op op)
{
    now.setup = s;
    now.op = op;
    now.knows = false;
    cache_memory_free(&now.cache);
    if (s->warm) {
        open_context(NULL);
        assert_int_equal(run(NULL), CLATTN_OK);
        close_context(NULL);
    }
    return (fault_scenario){.name = fault_op_names[op],
                            .begin = open_context,
                            .end = close_context,
                            .attempt = run,
                            .right = another_way,
                            .keeps = s->proves}; /* verdicts */
}

static void fail_calls(const setup *s, fault_op first, fault_op last)
{
    const fault_depth depth = {.stride = 1, .all_codes = getenv("CLATTN_TEST_FULL") != NULL};

    print_message("  %s\n", s->name);
    for (fault_op op = depth.all_codes ? FAULT_POOL : first;
         op <= (depth.all_codes ? FAULT_SMOOTH : last); op++) {
        const fault_scenario tried = scenario(s, op);
        fault_trial_calls(&tried, depth);
    }
}

static void failing_calls_wide(void **state)
{
    (void)state;
    fail_calls(&wide, FAULT_POOL, FAULT_SMOOTH);
}

static void failing_calls_tile(void **state)
{
    (void)state;
    fail_calls(&tile, FAULT_WHOLE, FAULT_ATTENTION);
}

static void failing_calls_out_of_order(void **state)
{
    (void)state;
    fail_calls(&out_of_order, FAULT_WHOLE, FAULT_WHOLE);
}

static void failing_calls_with_a_cache(void **state)
{
    (void)state;
    fail_calls(&cold, FAULT_DWC, FAULT_DWC);
    fail_calls(&warm, FAULT_DWC, FAULT_DWC);
}

static void failing_calls_of_the_self_test(void **state)
{
    (void)state;
    fail_calls(&proving, FAULT_DWC, FAULT_DWC);
}

static void fail_allocations(const setup *s, fault_op last)
{
    print_message("  %s\n", s->name);
    for (fault_op op = FAULT_POOL; op <= last; op++) {
        const fault_scenario tried = scenario(s, op);
        fault_trial_allocations(&tried, 1);
    }
}

static void failing_allocations(void **state)
{
    (void)state;
    fail_allocations(&wide, FAULT_SMOOTH);
    fail_allocations(&cold, FAULT_POOL);
    fail_allocations(&warm, FAULT_POOL);
}

static void failing_allocations_of_the_cpu_path(void **state)
{
    (void)state;
    fail_allocations(&cpu_path, FAULT_SMOOTH);
}

static int set_up(void **state)
{
    (void)state;
    if (!faulty_cl_begin(device, &callers_context, &callers_queue))
        return -1;
    faulty_cl.real = kept_programs_begin(faulty_cl.real);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fault_trial_print_total();
    cache_memory_free(&now.cache);
    kept_programs_end();
    faulty_cl_end(callers_context, callers_queue);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls_wide),
        cmocka_unit_test(failing_calls_tile),
        cmocka_unit_test(failing_calls_out_of_order),
        cmocka_unit_test(failing_calls_with_a_cache),
        cmocka_unit_test(failing_calls_of_the_self_test),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(failing_allocations_of_the_cpu_path),
    };
    device = support_device();
    if (!device)
        return contexts_none();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
