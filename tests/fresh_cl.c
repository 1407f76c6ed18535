#include "fresh_cl.h"

#include <stdlib.h>

#include "cl/device.h"

static struct {
    clattn__cl_api table;
    cl_int(CL_API_CALL *release_buffer)(cl_mem);
    cl_int(CL_API_CALL *release_context)(cl_context);
    cl_mem *held;
    size_t count, room;
} fresh;

static cl_int CL_API_CALL hold_buffer(cl_mem memory)
{
    if (fresh.count == fresh.room) {
        fresh.room = 2 * fresh.room + 64;
        fresh.held = realloc(fresh.held, fresh.room * sizeof *fresh.held);
        if (fresh.held == NULL)
            abort();
    }
    fresh.held[fresh.count++] = memory;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_all(cl_context context)
{
    while (fresh.count > 0)
        fresh.release_buffer(fresh.held[--fresh.count]);
    free(fresh.held);
    fresh.held = NULL;
    fresh.room = 0;
    return fresh.release_context(context);
}

void fresh_cl_begin(clattn_context *ctx)
{
    struct clattn__cl *cl = ctx->cl;

    if (cl == NULL)
        return;
    fresh.table = *cl->api;
    fresh.release_buffer = cl->api->clReleaseMemObject;
    fresh.release_context = cl->api->clReleaseContext;
    fresh.table.clReleaseMemObject = hold_buffer;
    fresh.table.clReleaseContext = release_all;
    cl->api = &fresh.table;
    cl->wrapped = true; /* a caller's queue: freed buffers are released, not kept */
}
