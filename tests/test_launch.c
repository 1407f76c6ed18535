/*
 * Wrapped contexts, programs and launches on the OpenCL device of support.h, with a small program
 * of this file's own. Everything about order is checked on three queues: the context's own, a
 * caller's in-order and a caller's out-of-order one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "cl/launch.h"
#include "cl/program.h"
#include "cl/programs.h"
#include "contexts.h"
#include "support.h"

#define COUNT 512

/*
 * x -> FACTOR x + 1 does not commute with itself for different factors: a wrong order shows. BROKEN
 * does not compile.
 */
static const char text[] = "#ifndef FACTOR\n"
                           "#define FACTOR 2\n"
                           "#endif\n"
                           "__kernel void advance(__global float *x, float more)\n"
                           "{\n"
                           "    x[get_global_id(0)] = x[get_global_id(0)] * FACTOR + more;\n"
                           "#ifdef BROKEN\n"
                           "    this_is_no_opencl\n"
                           "#endif\n"
                           "}\n";

static const clattn__source *test_source(const char *name)
{
    static const char *const texts[] = {text};
    static const size_t sizes[] = {sizeof text - 1};
    static const clattn__source source = {"steps", 1, texts, sizes};
    return strcmp(name, source.name) == 0 ? &source : NULL;
}

static clattn_status create_kernel(clattn_context *ctx, const char *file, const char *name,
                                   const char *options, cl_kernel *kernel)
{
    clattn__kernel_spec spec = {.file = file, .name = name};
    snprintf(spec.options, sizeof spec.options, "%s", options);
    return clattn__kernel_create(ctx, &spec, kernel);
}

/* The caller's OpenCL objects, made without the library. */
typedef struct objects {
    const clattn__cl_api *api;
    clattn__cl_api loaded;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
} objects;

static void make_objects(objects *o, cl_command_queue_properties properties)
{
    cl_int error = CL_SUCCESS;
    o->device = support_device();
    assert_int_equal(clattn__cl_api_get(NULL, &o->loaded, &o->api), CLATTN_OK);
    o->context = o->api->clCreateContext(NULL, 1, &o->device, NULL, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    o->queue = o->api->clCreateCommandQueue(o->context, o->device, properties, &error);
    assert_int_equal(error, CL_SUCCESS);
}

static void free_objects(objects *o)
{
    o->api->clReleaseCommandQueue(o->queue);
    o->api->clReleaseContext(o->context);
}

static cl_uint context_references(const objects *o)
{
    cl_uint count = 0;
    o->api->clGetContextInfo(o->context, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL);
    return count;
}

static cl_uint queue_references(const objects *o)
{
    cl_uint count = 0;
    o->api->clGetCommandQueueInfo(o->queue, CL_QUEUE_REFERENCE_COUNT, sizeof count, &count, NULL);
    return count;
}

static void wrapped_objects_are_given_back(void **state)
{
    (void)state;
    objects o;
    make_objects(&o, 0);
    cl_uint contexts = context_references(&o), queues = queue_references(&o);
    clattn_context *ctx = NULL;
    assert_int_equal(clattn_context_wrap(o.context, o.device, o.queue, NULL, &ctx), CLATTN_OK);
    assert_int_equal(context_references(&o), contexts + 1);
    assert_int_equal(queue_references(&o), queues + 1);
    assert_false(ctx->cl->out_of_order);
    clattn_context_destroy(&ctx);
    assert_int_equal(context_references(&o), contexts);
    assert_int_equal(queue_references(&o), queues);
    free_objects(&o);
}

static void objects_that_do_not_belong_together(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_NONE)};
    clattn_context *ctx = NULL;
    objects o, other;
    make_objects(&o, 0);
    make_objects(&other, 0);
    cl_uint contexts = context_references(&o);
    SUPPORT_REFUSED(&heard, clattn_context_wrap(o.context, o.device, other.queue, &params, &ctx),
                    CLATTN_E_ARG, "queue belongs to another OpenCL context");
    SUPPORT_REFUSED(&heard, clattn_context_wrap(NULL, o.device, o.queue, &params, &ctx),
                    CLATTN_E_ARG, "context is NULL");
    SUPPORT_REFUSED(&heard, clattn_context_wrap(o.context, NULL, o.queue, &params, &ctx),
                    CLATTN_E_ARG, "device is NULL");
    SUPPORT_REFUSED(&heard, clattn_context_wrap(o.context, o.device, NULL, &params, &ctx),
                    CLATTN_E_ARG, "queue is NULL");
    SUPPORT_REFUSED(&heard, clattn_context_wrap(o.context, o.device, o.queue, &params, NULL),
                    CLATTN_E_ARG, "ctx is NULL");
    assert_null(ctx);
    assert_int_equal(context_references(&o), contexts);

    /* Another device, where the machine has one that is usable. */
    clattn_device *devices = NULL;
    size_t count = 0;
    assert_int_equal(clattn_device_list(NULL, &devices, &count), CLATTN_OK);
    for (size_t i = 0; i < count; i++)
        if (devices[i].usable && devices[i].id != o.device)
            SUPPORT_REFUSED(&heard,
                            clattn_context_wrap(o.context, devices[i].id, o.queue, &params, &ctx),
                            CLATTN_E_ARG, "does not belong to the OpenCL context");
    clattn_device_list_free(&devices);
    free_objects(&other);
    free_objects(&o);
}

static clattn__cl_api counting_table;
static const clattn__cl_api *real_table;
static atomic_int builds;

static cl_int CL_API_CALL counted_build(cl_program program, cl_uint count,
                                        const cl_device_id *devices, const char *options,
                                        void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    atomic_fetch_add(&builds, 1);
    return real_table->clBuildProgram(program, count, devices, options, notify, user);
}

static void *create_kernels(void *user)
{
    clattn_context *ctx = user;
    for (int i = 0; i < 4; i++) {
        cl_kernel kernel = NULL;
        if (create_kernel(ctx, "steps", "advance", "-DFACTOR=3", &kernel) != CLATTN_OK)
            return "no kernel";
        clattn__kernel_release(ctx, &kernel);
    }
    return NULL;
}

static void two_threads_build_once(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn__cl_api loaded;
    assert_int_equal(clattn__cl_api_get(NULL, &loaded, &real_table), CLATTN_OK);
    counting_table = *real_table;
    counting_table.clBuildProgram = counted_build;
    clattn__cl_api_hook = &counting_table;
    clattn_context *ctx = support_context(&heard);
    clattn__cl_api_hook = NULL;
    atomic_store(&builds, 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_kernels, ctx), 0);
    for (int i = 0; i < 2; i++) {
        void *fault = NULL;
        pthread_join(threads[i], &fault);
        assert_null(fault);
    }
    assert_int_equal(atomic_load(&builds), 1);
    cl_kernel kernel = NULL;
    assert_int_equal(create_kernel(ctx, "steps", "advance", "-DFACTOR=4", &kernel), CLATTN_OK);
    clattn__kernel_release(ctx, &kernel);
    assert_null(kernel);
    assert_int_equal(atomic_load(&builds), 2);
    clattn_context_destroy(&ctx);
}

static void failed_builds_are_told_in_full(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    cl_kernel kernel = NULL;
    for (int i = 0; i < 2; i++) { /* a failure is not kept */
        heard.count = 0;
        SUPPORT_REFUSED(&heard, create_kernel(ctx, "steps", "advance", "-DBROKEN=1", &kernel),
                        CLATTN_E_BUILD, "this_is_no_opencl");
        assert_true(support_heard(&heard, "kernel advance of steps.cl"));
        assert_true(support_heard(&heard, "\"-cl-std=CL1.2 -cl-mad-enable -DBROKEN=1\""));
        assert_int_equal(heard.count, 1);
        assert_int_not_equal(clattn_context_cl_error(ctx), 0);
    }
    SUPPORT_REFUSED(&heard, create_kernel(ctx, "steps", "leap", "", &kernel), CLATTN_E_BUILD,
                    "steps.cl was built with \"\", but has no kernel leap: CL_INVALID_KERNEL_NAME");
    SUPPORT_REFUSED(&heard, create_kernel(ctx, "nothing", "advance", "", &kernel),
                    CLATTN_E_UNSUPPORTED, "no kernels/nothing.cl");
    assert_null(kernel);
    clattn_context_destroy(&ctx);
}

static void embedded_programs_build(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    cl_kernel kernel = NULL;
    clattn__source_hook = NULL;
    assert_int_equal(create_kernel(ctx, "smooth", "smooth_norms", "", &kernel), CLATTN_OK);
    clattn__source_hook = test_source;
    clattn__kernel_release(ctx, &kernel);
    clattn_context_destroy(&ctx);
}

/*
 * x -> 2 x + 1 and x -> 3 x + 1, twice in turn (so that all stays exact), on COUNT numbers; then
 * the caller's `done`, if asked for.
 */
static void run_steps(clattn_context *ctx, const clattn_memory *x, const clattn_sync *sync)
{
    cl_kernel kernels[2] = {NULL, NULL};
    const float one = 1.0f;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(create_kernel(ctx, "steps", "advance",
                                       i == 0 ? "-DFACTOR=2" : "-DFACTOR=3", &kernels[i]),
                         CLATTN_OK);
        assert_int_equal(clattn__kernel_arg(ctx, kernels[i], 0, sizeof x->mem, &x->mem), CLATTN_OK);
        assert_int_equal(clattn__kernel_arg(ctx, kernels[i], 1, sizeof one, &one), CLATTN_OK);
    }
    clattn__chain chain;
    clattn_status status = CLATTN_OK;
    clattn__chain_begin(&chain, ctx, sync);
    for (int i = 0; i < 4 && status == CLATTN_OK; i++)
        status = clattn__chain_launch(&chain, kernels[i % 2], (size_t[3]){COUNT, 1, 1},
                                      i < 2 ? NULL : (size_t[3]){16, 1, 1});
    assert_int_equal(clattn__chain_end(&chain, status), CLATTN_OK);
    clattn__kernel_release(ctx, &kernels[0]);
    clattn__kernel_release(ctx, &kernels[1]);
}

static float expected_step(float x)
{
    for (int i = 0; i < 4; i++)
        x = x * (i % 2 == 0 ? 2.0f : 3.0f) + 1.0f;
    return x;
}

static void check_order(clattn_context *ctx)
{
    float x[COUNT], result[COUNT];
    clattn_memory memory = {0};
    cl_event first = NULL, second = NULL, third = NULL;
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i % 100);
    assert_int_equal(clattn_memory_alloc(ctx, sizeof x, &memory), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, &memory, 0, x, sizeof x), CLATTN_OK);
    run_steps(ctx, &memory, &(clattn_sync){.done = &first});
    assert_non_null(first);
    run_steps(ctx, &memory, &(clattn_sync){.wait_count = 1, .wait = &first, .done = &second});
    assert_non_null(second);
    /* A run without any launch still hands out an event that follows what it was to wait for. */
    clattn__chain chain;
    clattn_sync sync = {.wait_count = 1, .wait = &second, .done = &third};
    clattn__chain_begin(&chain, ctx, &sync);
    assert_int_equal(clattn__chain_end(&chain, CLATTN_OK), CLATTN_OK);
    assert_non_null(third);
    run_steps(ctx, &memory, &(clattn_sync){.wait_count = 1, .wait = &third});

    assert_int_equal(clattn_memory_read(ctx, &memory, 0, result, sizeof result), CLATTN_OK);
    for (int i = 0; i < COUNT; i++)
        assert_true(result[i] == expected_step(expected_step(expected_step(x[i]))));
    const cl_event events[] = {first, second, third};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ctx->cl->api->clReleaseEvent(events[i]), CL_SUCCESS);
    clattn_memory_free(ctx, &memory);
    assert_int_equal(clattn_context_finish(ctx), CLATTN_OK);
}

static bool has_out_of_order_queues(void)
{
    clattn__cl_api loaded;
    const clattn__cl_api *api = NULL;
    cl_command_queue_properties properties = 0;
    assert_int_equal(clattn__cl_api_get(NULL, &loaded, &api), CLATTN_OK);
    api->clGetDeviceInfo(support_device(), CL_DEVICE_QUEUE_PROPERTIES, sizeof properties,
                         &properties, NULL);
    return (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
}

static void launches_keep_their_order(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    check_order(ctx);
    clattn_context_destroy(&ctx);
    for (int out_of_order = 0; out_of_order < 2; out_of_order++) {
        objects o;
        bool has_one = has_out_of_order_queues();
        make_objects(&o, out_of_order && has_one ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
        assert_int_equal(clattn_context_wrap(o.context, o.device, o.queue, NULL, &ctx), CLATTN_OK);
        assert_int_equal(ctx->cl->out_of_order, out_of_order && has_one);
        ctx->cl->out_of_order =
            out_of_order; /* where there are none: the same commands and events */
        check_order(ctx);
        clattn_context_destroy(&ctx);
        free_objects(&o);
    }
}

static void failed_chains_hand_out_nothing(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    cl_event done = NULL;
    clattn_sync sync = {.done = &done};
    clattn__chain chain;
    cl_kernel kernel = NULL;
    assert_int_equal(create_kernel(ctx, "steps", "advance", "", &kernel), CLATTN_OK);
    clattn__chain_begin(&chain, ctx, &sync);
    SUPPORT_REFUSED(&heard, clattn__chain_launch(&chain, kernel, (size_t[3]){16, 1, 1}, NULL),
                    CLATTN_E_OPENCL, "CL_INVALID_KERNEL_ARGS");
    assert_int_equal(clattn_context_cl_error(ctx), CL_INVALID_KERNEL_ARGS);
    assert_int_equal(clattn__chain_end(&chain, CLATTN_E_OPENCL), CLATTN_E_OPENCL);
    assert_null(done);
    SUPPORT_REFUSED(&heard, clattn__kernel_arg(ctx, kernel, 9, 4, &(float){0}), CLATTN_E_OPENCL,
                    "argument 9");
    clattn__kernel_release(ctx, &kernel);
    clattn_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrapped_objects_are_given_back),
        cmocka_unit_test(objects_that_do_not_belong_together),
        cmocka_unit_test(two_threads_build_once),
        cmocka_unit_test(failed_builds_are_told_in_full),
        cmocka_unit_test(embedded_programs_build),
        cmocka_unit_test(launches_keep_their_order),
        cmocka_unit_test(failed_chains_hand_out_nothing),
    };
    if (!support_device())
        return contexts_none();
    clattn__source_hook = test_source;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
