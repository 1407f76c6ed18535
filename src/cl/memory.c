/* Device memory as the public interface sees it. Ranges were checked before (base/memory.c). */
#include "cl/memory.h"

#include "cl/device.h"
#include "cl/errors.h"
#include "cl/pool.h"

clattn_status clattn__cl_memory_alloc(clattn_context *ctx, uint64_t bytes, clattn_memory *memory)
{
    cl_mem buffer = NULL;
    clattn_status status = clattn__buffer_take(ctx, bytes, &buffer);
    if (status == CLATTN_OK)
        *memory = (clattn_memory){.mem = buffer, .bytes = bytes};
    return status;
}

void clattn__cl_memory_free(clattn_context *ctx, clattn_memory *memory)
{
    if (!memory->mem || !clattn__buffer_give(ctx, memory->mem))
        clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                    "clattn_memory_free: the memory was not allocated with this context, or is "
                    "free already; nothing is done");
}

/* An out-of-order queue copies after everything that was enqueued before only behind a barrier. */
static clattn_status order(clattn_context *ctx)
{
    struct clattn__cl *cl = ctx->cl;
    if (!cl->out_of_order)
        return CLATTN_OK;
    cl_int error = cl->api->clEnqueueBarrierWithWaitList(cl->queue, 0, NULL, NULL);
    return clattn__cl_check(ctx, error, "clEnqueueBarrierWithWaitList");
}

clattn_status clattn__cl_memory_write(clattn_context *ctx, const clattn_memory *memory,
                                      uint64_t offset, const void *source, uint64_t bytes)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    CLATTN_TRY(order(ctx));
    cl_int error = cl->api->clEnqueueWriteBuffer(cl->queue, memory->mem, CL_TRUE, (size_t)offset,
                                                 (size_t)bytes, source, 0, NULL, NULL);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clEnqueueWriteBuffer"));
out:
    return status;
}

clattn_status clattn__cl_memory_read(clattn_context *ctx, const clattn_memory *memory,
                                     uint64_t offset, void *target, uint64_t bytes)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    CLATTN_TRY(order(ctx));
    cl_int error = cl->api->clEnqueueReadBuffer(cl->queue, memory->mem, CL_TRUE, (size_t)offset,
                                                (size_t)bytes, target, 0, NULL, NULL);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clEnqueueReadBuffer"));
out:
    return status;
}

clattn_status clattn__cl_memory_map(clattn_context *ctx, const clattn_memory *memory,
                                    uint64_t bytes, bool fresh, void **pointer)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    cl_int error = CL_SUCCESS;
    const cl_map_flags flags = fresh ? CL_MAP_WRITE_INVALIDATE_REGION : CL_MAP_READ | CL_MAP_WRITE;
    CLATTN_TRY(order(ctx));
    void *mapped = cl->api->clEnqueueMapBuffer(cl->queue, memory->mem, CL_FALSE, flags, 0,
                                               (size_t)bytes, 0, NULL, NULL, &error);
    CLATTN_TRY(clattn__cl_made(ctx, mapped, error, "clEnqueueMapBuffer"));
    *pointer = mapped;
out:
    return status;
}

clattn_status clattn__cl_memory_unmap(clattn_context *ctx, const clattn_memory *memory,
                                      void *pointer)
{
    struct clattn__cl *cl = ctx->cl;
    cl_int error = cl->api->clEnqueueUnmapMemObject(cl->queue, memory->mem, pointer, 0, NULL, NULL);
    return clattn__cl_check(ctx, error, "clEnqueueUnmapMemObject");
}

/*
 * One value of a buffer, with the argument's name in the message when the driver refuses: it may be
 * no buffer at all.
 */
static clattn_status ask(clattn_context *ctx, const char *what, cl_mem mem, cl_mem_info name,
                         size_t size, void *value)
{
    cl_int error = ctx->cl->api->clGetMemObjectInfo(mem, name, size, value, NULL);
    if (error == CL_SUCCESS)
        return CLATTN_OK;
    clattn__log(&ctx->log, CLATTN_LOG_ERROR, "%s is no OpenCL buffer: %s (%d)", what,
                clattn__cl_error_name(error), (int)error);
    return clattn__cl_keep(ctx, error);
}

clattn_status clattn__cl_memory_check(clattn_context *ctx, const char *what, clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = &ctx->log;
    cl_mem_object_type type = 0;
    cl_context owner = NULL;
    size_t size = 0;
    CLATTN_CHECK(log, memory->mem, CLATTN_E_ARG,
                 "%s has no OpenCL buffer (mem is NULL), which an OpenCL context needs", what);
    CLATTN_CHECK(log, !memory->host, CLATTN_E_ARG,
                 "%s has host memory besides its OpenCL buffer; host must be NULL", what);
    CLATTN_TRY(ask(ctx, what, memory->mem, CL_MEM_TYPE, sizeof type, &type));
    CLATTN_CHECK(log, type == CL_MEM_OBJECT_BUFFER, CLATTN_E_ARG,
                 "%s is an OpenCL memory object of type 0x%x; a buffer is needed", what,
                 (unsigned)type);
    CLATTN_TRY(ask(ctx, what, memory->mem, CL_MEM_CONTEXT, sizeof owner, &owner));
    CLATTN_CHECK(log, owner == ctx->cl->context, CLATTN_E_ARG,
                 "%s belongs to another OpenCL context than the one that is used with it", what);
    CLATTN_TRY(ask(ctx, what, memory->mem, CL_MEM_SIZE, sizeof size, &size));
    CLATTN_CHECK(log, memory->bytes <= size, CLATTN_E_SHAPE,
                 "%s is said to have %llu bytes; its OpenCL buffer has %zu", what,
                 (unsigned long long)memory->bytes, size);
    if (memory->bytes == 0)
        memory->bytes = size;
out:
    return status;
}
