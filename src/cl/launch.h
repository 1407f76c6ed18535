/*
 * The launches of one run, one after the other: an in-order queue orders them itself, on an out-of-order queue each waits
 * for the one before.
 *
 *     clattn__chain chain;
 *     clattn__chain_begin(&chain, ctx, sync);
 *     clattn__kernel_arg(ctx, kernel, 0, sizeof args, &args); ...
 *     clattn__chain_launch(&chain, kernel, global, local);    as often as needed
 *     clattn__chain_end(&chain, status);                      hands out sync->done on success; releases events always
 */
#ifndef CLATTN_SRC_CL_LAUNCH_H
#define CLATTN_SRC_CL_LAUNCH_H

#include "base/context.h"
#include "base/pace.h"
#include "cl/cl.h"
#include "clattn/ops.h"

typedef struct clattn__chain {
    clattn_context *ctx;
    const clattn_sync *sync;
    const clattn__pacer *pacer; /* NULL, or what cuts the run; set after clattn__chain_begin() */
    cl_event
        last; /* of the launch before, where the queue is out-of-order or the caller wants `done` */
    bool started; /* the caller's wait list has been used */
} clattn__chain;

void clattn__chain_begin(clattn__chain *chain, clattn_context *ctx, const clattn_sync *sync);
/* local NULL: the driver chooses. */
clattn_status clattn__chain_launch(clattn__chain *chain, cl_kernel kernel, const size_t global[3],
                                   const size_t local[3]);
clattn_status clattn__chain_end(clattn__chain *chain, clattn_status status);

clattn_status clattn__kernel_arg(clattn_context *ctx, cl_kernel kernel, uint32_t index, size_t size,
                                 const void *value);

#endif
