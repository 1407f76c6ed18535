/* Launches in order on any queue. Waits for nothing. */
#include "cl/launch.h"

#include "cl/device.h"
#include "cl/errors.h"

void clattn__chain_begin(clattn__chain *chain, clattn_context *ctx, const clattn_sync *sync)
{
    *chain = (clattn__chain){.ctx = ctx, .sync = sync};
}

static void drop_last(clattn__chain *chain)
{
    if (chain->last)
        chain->ctx->cl->api->clReleaseEvent(chain->last);
    chain->last = NULL;
}

/*
 * What the next command waits for: the caller's list at first, then, where the queue does not see
 * to it, the command before.
 */
static cl_uint waits(const clattn__chain *chain, const cl_event **wait)
{
    if (!chain->started && chain->sync && chain->sync->wait_count > 0) {
        *wait = chain->sync->wait;
        return chain->sync->wait_count;
    }
    if (chain->ctx->cl->out_of_order && chain->last) {
        *wait = &chain->last;
        return 1;
    }
    *wait = NULL;
    return 0;
}

static bool wants_done(const clattn__chain *chain)
{
    return chain->sync && chain->sync->done;
}

clattn_status clattn__chain_launch(clattn__chain *chain, cl_kernel kernel, const size_t global[3],
                                   const size_t local[3])
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = chain->ctx->cl;
    cl_event event = NULL;
    const cl_event *wait = NULL;
    cl_uint wait_count = waits(chain, &wait);
    bool wants_event = cl->out_of_order || wants_done(chain);
    cl_int error = cl->api->clEnqueueNDRangeKernel(cl->queue, kernel, 3, NULL, global, local,
                                                   wait_count, wait, wants_event ? &event : NULL);
    if (wants_event)
        CLATTN_TRY(clattn__cl_made(chain->ctx, event, error, "clEnqueueNDRangeKernel"));
    else
        CLATTN_TRY(clattn__cl_check(chain->ctx, error, "clEnqueueNDRangeKernel"));
    drop_last(chain);
    chain->last = event;
    chain->started = true;
out:
    return status;
}

clattn_status clattn__chain_end(clattn__chain *chain, clattn_status status)
{
    clattn_context *ctx = chain->ctx;
    struct clattn__cl *cl = ctx->cl;
    if (!cl) /* the CPU path runs at once and has nothing to hand out */
        return status;
    if (status != CLATTN_OK)
        goto out;
    if (wants_done(chain) && !chain->started) {
        /* Nothing was launched: `done` follows what the caller waits for. */
        const cl_event *wait = NULL;
        cl_uint wait_count = waits(chain, &wait);
        cl_int error =
            cl->api->clEnqueueMarkerWithWaitList(cl->queue, wait_count, wait, &chain->last);
        CLATTN_TRY(clattn__cl_made(ctx, chain->last, error, "clEnqueueMarkerWithWaitList"));
    }
    /* Another queue may wait for `done`, and nobody has to call clFinish for the work to start. */
    CLATTN_TRY(clattn__cl_check(ctx, cl->api->clFlush(cl->queue), "clFlush"));
    if (wants_done(chain)) {
        *chain->sync->done = chain->last;
        chain->last = NULL;
    }
out:
    drop_last(chain);
    return status;
}

clattn_status clattn__kernel_arg(clattn_context *ctx, cl_kernel kernel, uint32_t index, size_t size,
                                 const void *value)
{
    cl_int error = ctx->cl->api->clSetKernelArg(kernel, index, size, value);
    if (error == CL_SUCCESS)
        return CLATTN_OK;
    clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                "clSetKernelArg failed for argument %u of %zu bytes: %s (%d)", (unsigned)index,
                size, clattn__cl_error_name(error), (int)error);
    return clattn__cl_keep(ctx, error);
}
