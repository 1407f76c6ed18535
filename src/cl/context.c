/* Contexts on an OpenCL device: with objects of their own, or around the caller's. */
#include "cl/device.h"
#include "cl/errors.h"
#include "cl/memory.h"
#include "cl/pool.h"
#include "cl/programs.h"
#include "cl/selftest.h"
#include "cl/tune.h"

static void destroy(clattn_context *ctx)
{
    struct clattn__cl *cl = ctx->cl;
    if (cl->queue)
        cl->api->clFinish(cl->queue);
    if (!ctx->parent) {
        clattn__programs_store(ctx);
        clattn__verdicts_store(ctx);
        clattn__programs_destroy(ctx);
        clattn__verdicts_destroy(ctx);
    }
    clattn__buffers_destroy(ctx);
    clattn__tune_destroy(ctx);
    if (cl->queue)
        cl->api->clReleaseCommandQueue(cl->queue);
    if (cl->context)
        cl->api->clReleaseContext(cl->context);
    if (cl->device)
        cl->api->clReleaseDevice(cl->device);
    clattn__free(cl);
    ctx->cl = NULL;
}

static clattn_status finish(clattn_context *ctx)
{
    return clattn__cl_check(ctx, ctx->cl->api->clFinish(ctx->cl->queue), "clFinish");
}

clattn_status clattn_context_store_programs(clattn_context *ctx)
{
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    if (!ctx->cl || !ctx->params.cache.put)
        return CLATTN_OK;
    clattn_status status = finish(ctx);
    if (status == CLATTN_OK) {
        clattn__programs_store(ctx);
        clattn__verdicts_store(ctx);
    }
    return status;
}

static clattn_status lane(clattn_context *ctx, clattn_context **result);

static const clattn__backend opencl_backend = {
    .destroy = destroy,
    .finish = finish,
    .alloc = clattn__cl_memory_alloc,
    .free = clattn__cl_memory_free,
    .write = clattn__cl_memory_write,
    .read = clattn__cl_memory_read,
    .map = clattn__cl_memory_map,
    .unmap = clattn__cl_memory_unmap,
    .lane = lane,
    .check_memory = clattn__cl_memory_check,
};

static uint32_t smaller_limit(uint32_t wanted, uint64_t device)
{
    uint32_t limit = device < UINT32_MAX ? (uint32_t)device : UINT32_MAX;
    return wanted > 0 && wanted < limit ? wanted : limit;
}

/* Sets what follows from the device: the limits to keep, and the kernel shape. */
static void adopt_device(clattn_context *ctx)
{
    clattn_context_params *params = &ctx->params;
    const clattn_device *device = &ctx->device;
    params->max_work_group = smaller_limit(params->max_work_group, device->max_work_group);
    params->max_local_bytes = smaller_limit(params->max_local_bytes, device->local_bytes);
    /* A CPU device that asks for scalars (llvmpipe) makes vectors of work-items: explicit ones only slow its compiler down. */
    const bool wide = params->max_work_group == 1 ||
                      (device->kind == CLATTN_DEVICE_CPU && device->vector_width > 1);
    if (params->shape == CLATTN_SHAPE_AUTO)
        params->shape = wide ? CLATTN_SHAPE_WIDE : CLATTN_SHAPE_TILE;
    clattn__log(&ctx->log, CLATTN_LOG_INFO,
                "device \"%s\" of \"%s\", %s kernels, work-groups up to %u", device->name,
                device->platform, params->shape == CLATTN_SHAPE_WIDE ? "wide" : "tile",
                (unsigned)params->max_work_group);
}

/* The device to use where the caller names none. */
static clattn_status choose_device(clattn_context *ctx, cl_device_id *id)
{
    clattn_status status = CLATTN_OK;
    clattn_device *devices = NULL;
    size_t count = 0;
    CLATTN_TRY(clattn__device_list(ctx->cl->api, &ctx->log, &devices, &count));
    int best = clattn_device_best(devices, count);
    CLATTN_CHECK(&ctx->log, best >= 0, CLATTN_E_NODEVICE, "no usable OpenCL device: %zu found%s%s",
                 count, count > 0 ? ", the first: " : "", count > 0 ? devices[0].why_not : "");
    *id = devices[best].id;
out:
    clattn_device_list_free(&devices);
    return status;
}

/*
 * Everything but context and queue; those differ. After a failure the caller destroys what there
 * is.
 */
static clattn_status begin(const clattn_context_params *params, cl_device_id device,
                           clattn_context **result)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = NULL;
    CLATTN_TRY(clattn__context_new(params, &ctx));
    ctx->backend = &opencl_backend;
    *result = ctx;
    ctx->cl = clattn__alloc(sizeof *ctx->cl);
    CLATTN_CHECK(&ctx->log, ctx->cl, CLATTN_E_NOMEM, "out of host memory for a context");
    CLATTN_TRY(clattn__cl_api_get(&ctx->log, &ctx->cl->loaded, &ctx->cl->api));
    if (!device)
        CLATTN_TRY(choose_device(ctx, &device));

    clattn__device_describe(ctx->cl->api, device, &ctx->device);
    CLATTN_CHECK(&ctx->log, ctx->device.usable, CLATTN_E_NODEVICE,
                 "device \"%s\" cannot be used: %s", ctx->device.name, ctx->device.why_not);
    adopt_device(ctx);
    CLATTN_TRY(clattn__tune_create(ctx));
    CLATTN_TRY(clattn__programs_create(ctx));
    CLATTN_TRY(clattn__verdicts_create(ctx));
    CLATTN_TRY(clattn__buffers_create(ctx));
    CLATTN_TRY(clattn__cl_check(ctx, ctx->cl->api->clRetainDevice(device), "clRetainDevice"));
    ctx->cl->device = device;
out:
    return status;
}

/* Hands the context out, or destroys what was made of it. */
static clattn_status end(clattn_context *ctx, clattn_status status, clattn_context **result)
{
    if (status == CLATTN_OK) {
        *result = ctx;
    } else if (ctx) {
        if (ctx->cl)
            destroy(ctx);
        clattn__context_delete(ctx);
    }
    return status;
}

clattn_status clattn_context_create(cl_device_id device, const clattn_context_params *params,
                                    clattn_context **result)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = NULL;
    cl_int error = CL_SUCCESS;
    cl_platform_id platform = NULL;
    CLATTN_CHECK(params ? &params->log : NULL, result, CLATTN_E_ARG, "ctx is NULL");
    *result = NULL;
    CLATTN_TRY(begin(params, device, &ctx));

    struct clattn__cl *cl = ctx->cl;
    error =
        cl->api->clGetDeviceInfo(cl->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clGetDeviceInfo(CL_DEVICE_PLATFORM)"));
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)platform, 0};
    cl->context = cl->api->clCreateContext(properties, 1, &cl->device, NULL, NULL, &error);
    CLATTN_TRY(clattn__cl_made(ctx, cl->context, error, "clCreateContext"));
    cl->queue = cl->api->clCreateCommandQueue(cl->context, cl->device, 0, &error);
    CLATTN_TRY(clattn__cl_made(ctx, cl->queue, error, "clCreateCommandQueue"));
out:
    return result ? end(ctx, status, result) : status;
}

static clattn_status lane(clattn_context *ctx, clattn_context **result)
{
    clattn_status status = CLATTN_OK;
    const struct clattn__cl *of = ctx->cl;
    clattn_context *made = NULL;
    cl_int error = CL_SUCCESS;

    CLATTN_TRY(clattn__context_new(&ctx->params, &made));
    made->backend = &opencl_backend;
    made->parent = ctx;
    made->device = ctx->device;
    made->cl = clattn__alloc(sizeof *made->cl);
    CLATTN_CHECK(&ctx->log, made->cl, CLATTN_E_NOMEM, "out of host memory for a context");
    made->cl->api = of->api;
    made->cl->programs = of->programs;
    CLATTN_TRY(clattn__buffers_create(made));
    CLATTN_TRY(clattn__cl_check(made, of->api->clRetainDevice(of->device), "clRetainDevice"));
    made->cl->device = of->device;
    CLATTN_TRY(clattn__cl_check(made, of->api->clRetainContext(of->context), "clRetainContext"));
    made->cl->context = of->context;
    made->cl->queue = of->api->clCreateCommandQueue(of->context, of->device, 0, &error);
    CLATTN_TRY(clattn__cl_made(made, made->cl->queue, error, "clCreateCommandQueue"));
out:
    return end(made, status, result);
}

/* True where the context was made for the device. */
static clattn_status context_has_device(clattn_context *ctx, cl_context context, bool *has)
{
    clattn_status status = CLATTN_OK;
    const clattn__cl_api *api = ctx->cl->api;
    cl_device_id *devices = NULL;
    size_t size = 0;
    cl_int error = api->clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &size);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clGetContextInfo(CL_CONTEXT_DEVICES)"));
    CLATTN_CHECK(&ctx->log, size >= sizeof *devices, CLATTN_E_ARG,
                 "the OpenCL context says that it has no device");
    devices = clattn__alloc(size);
    CLATTN_CHECK(&ctx->log, devices, CLATTN_E_NOMEM, "out of host memory for a context's devices");
    error = api->clGetContextInfo(context, CL_CONTEXT_DEVICES, size, devices, NULL);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clGetContextInfo(CL_CONTEXT_DEVICES)"));
    *has = false;
    for (size_t i = 0; i < size / sizeof *devices; i++)
        *has = *has || devices[i] == ctx->cl->device;
out:
    clattn__free(devices);
    return status;
}

/*
 * Refuses three objects that do not belong to each other, and finds out how the queue orders
 * commands.
 */
static clattn_status check_wrapped(clattn_context *ctx, cl_context context, cl_command_queue queue)
{
    clattn_status status = CLATTN_OK;
    const clattn__cl_api *api = ctx->cl->api;
    cl_context owner = NULL;
    cl_device_id device = NULL;
    cl_command_queue_properties properties = 0;
    bool has_device = false;
    const struct {
        cl_command_queue_info name;
        size_t size;
        void *value;
    } queries[] = {
        {CL_QUEUE_CONTEXT, sizeof owner, &owner},
        {CL_QUEUE_DEVICE, sizeof device, &device},
        {CL_QUEUE_PROPERTIES, sizeof properties, &properties},
    };
    CLATTN_TRY(context_has_device(ctx, context, &has_device));
    CLATTN_CHECK(&ctx->log, has_device, CLATTN_E_ARG,
                 "device \"%s\" does not belong to the OpenCL context", ctx->device.name);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        cl_int error = api->clGetCommandQueueInfo(queue, queries[i].name, queries[i].size,
                                                  queries[i].value, NULL);
        CLATTN_TRY(clattn__cl_check(ctx, error, "clGetCommandQueueInfo"));
    }
    CLATTN_CHECK(&ctx->log, owner == context, CLATTN_E_ARG,
                 "queue belongs to another OpenCL context");
    CLATTN_CHECK(&ctx->log, device == ctx->cl->device, CLATTN_E_ARG,
                 "queue is not on device \"%s\"", ctx->device.name);
    ctx->cl->out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
out:
    return status;
}

clattn_status clattn_context_wrap(cl_context context, cl_device_id device, cl_command_queue queue,
                                  const clattn_context_params *params, clattn_context **result)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = NULL;
    const clattn_log *log = params ? &params->log : NULL;
    CLATTN_CHECK(log, result, CLATTN_E_ARG, "ctx is NULL");
    *result = NULL;
    CLATTN_CHECK(log, context, CLATTN_E_ARG, "context is NULL");
    CLATTN_CHECK(log, device, CLATTN_E_ARG, "device is NULL");
    CLATTN_CHECK(log, queue, CLATTN_E_ARG, "queue is NULL");
    CLATTN_TRY(begin(params, device, &ctx));

    struct clattn__cl *cl = ctx->cl;
    cl->wrapped = true;
    CLATTN_TRY(check_wrapped(ctx, context, queue));
    CLATTN_TRY(clattn__cl_check(ctx, cl->api->clRetainContext(context), "clRetainContext"));
    cl->context = context;
    CLATTN_TRY(clattn__cl_check(ctx, cl->api->clRetainCommandQueue(queue), "clRetainCommandQueue"));
    cl->queue = queue;
out:
    return result ? end(ctx, status, result) : status;
}
