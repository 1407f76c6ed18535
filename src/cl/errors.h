/* OpenCL's error codes in words, and as the library's own. */
#ifndef CLATTN_SRC_CL_ERRORS_H
#define CLATTN_SRC_CL_ERRORS_H

#include "base/context.h"
#include "cl/cl.h"

/* "CL_OUT_OF_RESOURCES"; never NULL. */
const char *clattn__cl_error_name(cl_int error);
clattn_status clattn__cl_error_status(cl_int error);

/*
 * CL_SUCCESS is CLATTN_OK. Anything else is logged as "<call> failed: <name> (<number>)" and kept
 * as the context's last error.
 */
clattn_status clattn__cl_check(clattn_context *ctx, cl_int error, const char *call);
/* The same for a call that makes something; where that is NULL in spite of CL_SUCCESS, it is CLATTN_E_OPENCL. */
clattn_status clattn__cl_made(clattn_context *ctx, const void *made, cl_int error,
                              const char *call);
/* Only keeps it, for a caller that writes a sentence of its own. */
clattn_status clattn__cl_keep(clattn_context *ctx, cl_int error);

#endif
