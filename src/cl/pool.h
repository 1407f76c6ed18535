/*
 * The device buffers of a context. On the context's own in-order queue a freed buffer is kept and
 * given to the next request that it fits: the queue sees to it that old work on it is done before
 * new work begins. On a caller's queue, or an out-of-order one, nobody sees to that, and a freed
 * buffer goes back to the driver. So does a lane's: a tiled run holds the bytes that it said, and
 * no more.
 */
#ifndef CLATTN_SRC_CL_POOL_H
#define CLATTN_SRC_CL_POOL_H

#include "base/context.h"
#include "cl/cl.h"

/* Make and free ctx->cl->buffers, the buffers too. Destroying what was not made does nothing. */
clattn_status clattn__buffers_create(clattn_context *ctx);
void clattn__buffers_destroy(clattn_context *ctx);

/*
 * CLATTN_E_BUDGET above the byte cap, CLATTN_E_DEVICE_NOMEM where the device has no room or no
 * buffer is that large.
 */
clattn_status clattn__buffer_take(clattn_context *ctx, uint64_t bytes, cl_mem *buffer);

/* False for a buffer that is not in use here: foreign, or given back before. */
bool clattn__buffer_give(clattn_context *ctx, cl_mem buffer);

#endif
