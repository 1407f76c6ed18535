/* OpenCL devices, and what a context of the library holds of OpenCL. */
#ifndef CLATTN_SRC_CL_DEVICE_H
#define CLATTN_SRC_CL_DEVICE_H

#include "base/context.h"
#include "cl/api.h"

struct clattn__cl {
    const clattn__cl_api *api; /* every OpenCL call goes through it */
    clattn__cl_api loaded;     /* what `api` may point to */
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
    bool out_of_order; /* the queue does not order commands by itself */
    bool wrapped;      /* the three above are the caller's, retained */

    struct clattn__programs *programs; /* cl/program.c */
    struct clattn__verdicts *verdicts; /* cl/selftest.c; NULL in a lane, which uses its parent's */
    struct clattn__buffers *buffers;   /* cl/pool.c */
    struct clattn__tuning *tuning;     /* cl/tune.c; NULL in a lane, which uses its parent's */
    bool builtin_rows;                 /* the library's own are among them */
};

/*
 * Fills *device from what the driver says; a device that does not answer comes out as not usable.
 */
void clattn__device_describe(const clattn__cl_api *api, cl_device_id id, clattn_device *device);

/* Fills device->architecture; the other fields are there already. */
void clattn__device_architecture(const clattn__cl_api *api, cl_device_id id, clattn_device *device);

/* clattn_device_list() through a table that the caller has. */
clattn_status clattn__device_list(const clattn__cl_api *api, const clattn_log *log,
                                  clattn_device **devices, size_t *count);

#endif
