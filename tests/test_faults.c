/*
 * The life of a context, where everything that can fail does so once (fault_trial.h): each OpenCL
 * call with all its codes, and each allocation. And what a context says and does about some
 * failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "cl/launch.h"
#include "cl/program.h"
#include "cl/programs.h"
#include "contexts.h"
#include "fault_trial.h"
#include "kept_programs.h"
#include "support.h"

/* The device and the caller's objects, made before anything fails. */
static cl_device_id device;
static cl_context callers_context;
static cl_command_queue callers_queue;
static clattn__cl_api driver;

static const char text[] = "__kernel void twice(__global float *x)\n"
                           "{\n"
                           "    x[get_global_id(0)] *= 2.0f;\n"
                           "}\n";

static const clattn__source *test_source(const char *name)
{
    static const char *const texts[] = {text};
    static const size_t sizes[] = {sizeof text - 1};
    static const clattn__source source = {"twice", 1, texts, sizes};
    return strcmp(name, source.name) == 0 ? &source : NULL;
}

static clattn_status list(void *user)
{
    (void)user;
    clattn_device *devices = NULL;
    size_t count = 7;
    const clattn_log log = fault_trial_log();
    clattn_status status = clattn_device_list(&log, &devices, &count);
    if (status != CLATTN_OK)
        assert_true(devices == NULL && count == 0);
    clattn_device_list_free(&devices);
    return status;
}

/* Two launches, the caller's event between two such chains. */
static clattn_status launch(clattn_context *ctx, cl_kernel kernel, bool launches)
{
    cl_event done = NULL;
    clattn_sync sync = {.done = &done};
    clattn__chain chain;
    clattn_status status = CLATTN_OK;
    clattn__chain_begin(&chain, ctx, &sync);
    for (int i = 0; launches && i < 2 && status == CLATTN_OK; i++)
        status = clattn__chain_launch(&chain, kernel, (size_t[3]){4, 1, 1}, NULL);
    status = clattn__chain_end(&chain, status);
    assert_int_equal(status == CLATTN_OK, done != NULL);
    if (done)
        ctx->cl->api->clReleaseEvent(done);
    return status;
}

/* The whole life of a context's objects. Everything is freed whatever happens. */
static clattn_status use(clattn_context *ctx)
{
    clattn_status status = CLATTN_OK;
    clattn_memory memory = {0}, more = {0};
    cl_kernel kernel = NULL;
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f}, y[4] = {0};
    const clattn__kernel_spec spec = {.file = "twice", .name = "twice", .options = "-DUNUSED=1"};
    CLATTN_TRY(clattn_memory_alloc(ctx, sizeof x, &memory));
    CLATTN_TRY(clattn_memory_alloc(ctx, 5000, &more));
    clattn_memory_free(ctx, &more);
    CLATTN_TRY(clattn_memory_alloc(ctx, 5000, &more));
    CLATTN_TRY(clattn_memory_write(ctx, &memory, 0, x, sizeof x));
    CLATTN_TRY(clattn__kernel_create(ctx, &spec, &kernel));
    CLATTN_TRY(clattn__kernel_arg(ctx, kernel, 0, sizeof memory.mem, &memory.mem));
    CLATTN_TRY(launch(ctx, kernel, true));
    CLATTN_TRY(launch(ctx, kernel, false));
    CLATTN_TRY(clattn_memory_read(ctx, &memory, 0, y, sizeof y));
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == 4.0f * x[i]);
    CLATTN_TRY(clattn_context_finish(ctx));
out:
    clattn__kernel_release(ctx, &kernel);
    clattn_memory_free(ctx, &memory);
    clattn_memory_free(ctx, &more);
    return status;
}

static clattn_status own_context(void *user)
{
    (void)user;
    clattn_context *ctx = NULL;
    const clattn_context_params params = {.log = fault_trial_log()};
    clattn_status status = clattn_context_create(device, &params, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx)
        status = use(ctx);
    clattn_context_destroy(&ctx);
    return status;
}

/* Events chain its launches, as on an out-of-order queue. */
static clattn_status wrapped_context(void *user)
{
    (void)user;
    clattn_context *ctx = NULL;
    const clattn_context_params params = {.log = fault_trial_log()};
    clattn_status status =
        clattn_context_wrap(callers_context, device, callers_queue, &params, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx) {
        ctx->cl->out_of_order = true;
        status = use(ctx);
    }
    clattn_context_destroy(&ctx);
    return status;
}

static clattn_status best_device(void *user)
{
    (void)user;
    clattn_context *ctx = NULL;
    const clattn_context_params params = {.log = fault_trial_log()};
    clattn_status status = clattn_context_create(NULL, &params, &ctx);
    clattn_context_destroy(&ctx);
    return status;
}

static clattn_status cpu_context(void *user)
{
    (void)user;
    clattn_context *ctx = NULL;
    clattn_memory memory = {0};
    const clattn_context_params params = {.log = fault_trial_log(), .threads = 2};
    clattn_status status = clattn_context_create_cpu(&params, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx)
        status = clattn_memory_alloc(ctx, 1000, &memory);
    clattn_context_destroy(&ctx);
    return status;
}

/* ---- each of their calls, and each of their allocations ---- */

static void hook(void *user)
{
    (void)user;
    clattn__cl_api_hook = &faulty_cl_table;
}

/* The caller's context stays, and with it programs that are built once. */
static void hook_kept(void *user)
{
    hook(user);
    faulty_cl.real = kept_programs_begin(&driver);
}

static void unhook(void *user)
{
    (void)user;
    clattn__cl_api_hook = NULL;
    faulty_cl.real = &driver;
}

/* When destroying, the wait for the queue may fail: there is nothing to be done. */
static bool right_when_destroying(const char *name, cl_int code, clattn_status status)
{
    (void)code;
    return strcmp(name, "clFinish") == 0 && status == CLATTN_OK;
}

static const fault_scenario scenarios[] = {
    {"list of devices", NULL, hook, unhook, list, NULL, false, false},
    {"best device", NULL, hook, unhook, best_device, right_when_destroying, false, false},
    {"context of its own", NULL, hook, unhook, own_context, right_when_destroying, false, false},
    {"wrapped context", NULL, hook_kept, unhook, wrapped_context, right_when_destroying, false,
     false},
    {"CPU path", NULL, NULL, NULL, cpu_context, NULL, false, false},
};
enum { OPENCL = 4 };

static void failing_calls(void **state)
{
    const bool full = getenv("CLATTN_TEST_FULL") != NULL;

    (void)state;
    for (int i = 0; i < OPENCL; i++) {
        const bool builds = scenarios[i].attempt == own_context;
        fault_trial_calls(&scenarios[i], (fault_depth){.stride = 1, .all_codes = full || !builds});
    }
}

static void failing_host_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        fault_trial_allocations(&scenarios[i], 1);
}

static clattn_context *open_faulty(support_log *heard)
{
    clattn_context_params params = {.log = support_listen(heard, CLATTN_LOG_NONE)};
    clattn_context *ctx = NULL;
    faulty_cl.failing = faulty_cl.live = 0;
    clattn__cl_api_hook = &faulty_cl_table;
    assert_int_equal(clattn_context_create(device, &params, &ctx), CLATTN_OK);
    clattn__cl_api_hook = NULL;
    return ctx;
}

static void kept_buffers_make_room_on_the_device(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = open_faulty(&heard);
    clattn_memory a = {0}, b = {0};
    uint64_t now = 0, peak = 0;
    assert_int_equal(clattn_memory_alloc(ctx, 100000, &a), CLATTN_OK);
    clattn_memory_free(ctx, &a);
    faulty_cl_arm("clCreateBuffer", 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(clattn_memory_alloc(ctx, 200000, &b), CLATTN_OK);
    assert_int_equal(faulty_cl.calls, 2);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 200000);

    faulty_cl_arm("clCreateBuffer", 1, CL_MEM_OBJECT_ALLOCATION_FAILURE); /* nothing is kept now */
    SUPPORT_REFUSED(&heard, clattn_memory_alloc(ctx, 300000, &a), CLATTN_E_DEVICE_NOMEM,
                    "300000 bytes: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    assert_int_equal(clattn_context_cl_error(ctx), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_null(a.mem);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 200000);
    clattn_memory_free(ctx, &b);
    clattn_context_destroy(&ctx);
    assert_int_equal(faulty_cl.live, 0);
}

static void lost_devices_are_reported(void **state)
{
    (void)state;
    static const cl_int codes[] = {CL_DEVICE_NOT_AVAILABLE, CL_INVALID_COMMAND_QUEUE};
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = open_faulty(&heard);
    for (size_t i = 0; i < 2; i++) {
        faulty_cl_arm("clFinish", 1, codes[i]);
        SUPPORT_REFUSED(&heard, clattn_context_finish(ctx), CLATTN_E_LOST, "clFinish failed: CL_");
        assert_int_equal(clattn_context_cl_error(ctx), codes[i]);
    }
    clattn_context_destroy(&ctx);
    assert_int_equal(faulty_cl.live, 0);
}

static cl_int CL_API_CALL no_platform(cl_uint room, cl_platform_id *platforms, cl_uint *count)
{
    (void)room;
    (void)platforms;
    (void)count;
    return -1001; /* what the loader says where no driver is installed */
}

static void a_loader_without_platforms(void **state)
{
    (void)state;
    clattn__cl_api empty = *faulty_cl.real;
    empty.clGetPlatformIDs = no_platform;
    clattn__cl_api_hook = &empty;
    assert_int_equal(list(NULL), CLATTN_OK);
    assert_int_equal(best_device(NULL), CLATTN_E_NODEVICE);
    clattn__cl_api_hook = NULL;
}

static int set_up(void **state)
{
    (void)state;
    if (!faulty_cl_begin(device, &callers_context, &callers_queue))
        return -1;
    driver = *faulty_cl.real;
    faulty_cl.real = &driver;
    clattn__source_hook = test_source;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kept_programs_end();
    faulty_cl_end(callers_context, callers_queue);
    fault_trial_print_total();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls),
        cmocka_unit_test(failing_host_memory),
        cmocka_unit_test(kept_buffers_make_room_on_the_device),
        cmocka_unit_test(lost_devices_are_reported),
        cmocka_unit_test(a_loader_without_platforms),
    };
    device = support_device();
    if (!device)
        return contexts_none();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
