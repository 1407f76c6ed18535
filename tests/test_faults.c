/*
 * Everything that can fail, fails: each OpenCL call of a scenario in turn, and each host
 * allocation. Every time the status must be the right one, and no OpenCL object may remain. (Host
 * memory that remains is the leak checker's to find.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "cl/launch.h"
#include "cl/program.h"
#include "cl/programs.h"
#include "contexts.h"
#include "faulty_cl.h"
#include "support.h"

/* The device and the caller's objects, made before anything fails. */
static cl_device_id device;
static cl_context callers_context;
static cl_command_queue callers_queue;

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

static clattn_status list(void)
{
    clattn_device *devices = NULL;
    size_t count = 7;
    clattn_status status = clattn_device_list(NULL, &devices, &count);
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

static clattn_status own_context(void)
{
    clattn_context *ctx = NULL;
    clattn_status status = clattn_context_create(device, NULL, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx)
        status = use(ctx);
    clattn_context_destroy(&ctx);
    return status;
}

/* Events chain its launches, as on an out-of-order queue. */
static clattn_status wrapped_context(void)
{
    clattn_context *ctx = NULL;
    clattn_status status = clattn_context_wrap(callers_context, device, callers_queue, NULL, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx) {
        ctx->cl->out_of_order = true;
        status = use(ctx);
    }
    clattn_context_destroy(&ctx);
    return status;
}

static clattn_status best_device(void)
{
    clattn_context *ctx = NULL;
    clattn_status status = clattn_context_create(NULL, NULL, &ctx);
    clattn_context_destroy(&ctx);
    return status;
}

static bool starts_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

/* Is `status` what a failure of `name` with CL_OUT_OF_RESOURCES must give? */
static bool right_status(const char *name, clattn_status status)
{
    static const struct {
        const char *start;
        clattn_status status, other;
    } rows[] = {
        {"clRelease", CLATTN_OK, CLATTN_OK},
        {"clGetPlatformIDs", CLATTN_E_NODEVICE, CLATTN_E_NODEVICE},
        {"clGetPlatformInfo", CLATTN_OK, CLATTN_OK},       /* a platform without a name */
        {"clGetDeviceIDs", CLATTN_OK, CLATTN_E_NODEVICE},  /* other platforms may remain */
        {"clGetDeviceInfo", CLATTN_OK, CLATTN_E_NODEVICE}, /* no name: fine; no limits: unusable */
        {"clBuildProgram", CLATTN_E_BUILD, CLATTN_E_BUILD},
        {"clGetProgramBuildInfo", CLATTN_OK, CLATTN_OK}, /* only the compiler's words are missing */
        {"clCreateBuffer", CLATTN_E_DEVICE_NOMEM, CLATTN_E_DEVICE_NOMEM},
        {"clFinish", CLATTN_OK, CLATTN_E_OPENCL}, /* when destroying: nothing to be done */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (starts_with(name, rows[i].start) &&
            (status == rows[i].status || status == rows[i].other))
            return true;
    return status == CLATTN_E_OPENCL;
}

/* Fails call after call of a scenario, until it ends before its turn comes. */
static void fail_each_call(clattn_status (*scenario)(void))
{
    clattn__cl_api_hook = &faulty_cl_table;
    faulty_cl.code = CL_OUT_OF_RESOURCES;
    faulty_cl.only = NULL;
    for (faulty_cl.failing = 1;; faulty_cl.failing++) {
        faulty_cl.calls = faulty_cl.live = 0;
        faulty_cl.failed = NULL;
        clattn_status status = scenario();
        const char *name = faulty_cl.failed ? faulty_cl.failed : "nothing";
        if (faulty_cl.live != 0)
            fail_msg("%d objects remain after call %d, %s, failed", faulty_cl.live,
                     faulty_cl.failing, name);
        if (faulty_cl.failed ? !right_status(name, status) : status != CLATTN_OK)
            fail_msg("%s after call %d, %s, failed", clattn_status_name(status), faulty_cl.failing,
                     name);
        if (!faulty_cl.failed)
            break;
    }
    clattn__cl_api_hook = NULL;
    assert_true(faulty_cl.failing > 4);
}

static void failing_calls_of_a_list(void **state)
{
    (void)state;
    fail_each_call(list);
}

static void failing_calls_of_a_context_of_its_own(void **state)
{
    (void)state;
    fail_each_call(own_context);
}

static void failing_calls_of_a_wrapped_context(void **state)
{
    (void)state;
    fail_each_call(wrapped_context);
}

static void failing_calls_of_the_best_device(void **state)
{
    (void)state;
    fail_each_call(best_device);
}

static struct {
    int calls, failing;
} allocations;

static bool nth_allocation_fails(size_t size)
{
    (void)size;
    return ++allocations.calls != allocations.failing;
}

static clattn_status cpu_context(void)
{
    clattn_context *ctx = NULL;
    clattn_memory memory = {0};
    clattn_status status = clattn_context_create_cpu(&(clattn_context_params){.threads = 2}, &ctx);
    assert_int_equal(status == CLATTN_OK, ctx != NULL);
    if (ctx)
        status = clattn_memory_alloc(ctx, 1000, &memory);
    clattn_context_destroy(&ctx);
    return status;
}

static void fail_each_allocation(clattn_status (*scenario)(void), int least)
{
    faulty_cl.failing = 0;
    faulty_cl.only = NULL;
    for (allocations.failing = 1;; allocations.failing++) {
        allocations.calls = faulty_cl.live = 0;
        clattn__cl_api_hook = &faulty_cl_table;
        clattn__alloc_hook = nth_allocation_fails;
        clattn_status status = scenario();
        clattn__alloc_hook = NULL;
        clattn__cl_api_hook = NULL;
        assert_int_equal(faulty_cl.live, 0);
        if (allocations.calls < allocations.failing) {
            assert_int_equal(status, CLATTN_OK);
            break;
        }
        /* The compiler's words about a good build are the one thing that may be missing. */
        if (status != CLATTN_OK)
            assert_int_equal(status, CLATTN_E_NOMEM);
    }
    assert_true(allocations.failing > least);
}

static void failing_host_memory(void **state)
{
    (void)state;
    fail_each_allocation(list, 3);
    fail_each_allocation(best_device, 6);
    fail_each_allocation(own_context, 7);
    fail_each_allocation(wrapped_context, 7);
    fail_each_allocation(cpu_context, 5);
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

/* The next call of `name` fails with `code`. */
static void arm(const char *name, cl_int code)
{
    faulty_cl.only = name;
    faulty_cl.code = code;
    faulty_cl.calls = 0;
    faulty_cl.failing = 1;
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
    arm("clCreateBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(clattn_memory_alloc(ctx, 200000, &b), CLATTN_OK);
    assert_int_equal(faulty_cl.calls, 2);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 200000);

    arm("clCreateBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE); /* nothing is kept now */
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
        arm("clFinish", codes[i]);
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
    assert_int_equal(list(), CLATTN_OK);
    assert_int_equal(best_device(), CLATTN_E_NODEVICE);
    clattn__cl_api_hook = NULL;
}

static int set_up(void **state)
{
    (void)state;
    cl_int error = CL_SUCCESS;
    if (clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real) != CLATTN_OK)
        return -1;
    callers_context = faulty_cl.real->clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    if (error == CL_SUCCESS)
        callers_queue = faulty_cl.real->clCreateCommandQueue(callers_context, device, 0, &error);
    clattn__source_hook = test_source;
    return error == CL_SUCCESS ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    faulty_cl.real->clReleaseCommandQueue(callers_queue);
    faulty_cl.real->clReleaseContext(callers_context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls_of_a_list),
        cmocka_unit_test(failing_calls_of_a_context_of_its_own),
        cmocka_unit_test(failing_calls_of_a_wrapped_context),
        cmocka_unit_test(failing_calls_of_the_best_device),
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
