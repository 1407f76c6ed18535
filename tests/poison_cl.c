#include "poison_cl.h"

#include <stdlib.h>
#include <string.h>

static clattn__cl_api loaded, table;
static const clattn__cl_api *real;

/* Writes NaN over the whole buffer, through a queue of its own. */
static cl_int poison(cl_context context, cl_mem buffer, size_t size)
{
    cl_device_id device = NULL;
    cl_int error =
        real->clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof device, &device, NULL);
    if (error != CL_SUCCESS)
        return error;
    cl_command_queue queue = real->clCreateCommandQueue(context, device, 0, &error);
    if (error != CL_SUCCESS)
        return error;
    void *bytes = malloc(size);
    error = CL_OUT_OF_HOST_MEMORY;
    if (bytes != NULL) {
        memset(bytes, 0xff, size);
        error = real->clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, size, bytes, 0, NULL, NULL);
    }
    free(bytes);
    real->clReleaseCommandQueue(queue);
    return error;
}

static cl_mem CL_API_CALL create_poisoned(cl_context context, cl_mem_flags flags, size_t size,
                                          void *host, cl_int *error)
{
    cl_mem buffer = real->clCreateBuffer(context, flags, size, host, error);
    if (*error != CL_SUCCESS)
        return buffer;
    *error = poison(context, buffer, size);
    if (*error == CL_SUCCESS)
        return buffer;
    real->clReleaseMemObject(buffer);
    return NULL;
}

const clattn__cl_api *poison_cl(void)
{
    if (real == NULL) {
        if (clattn__cl_api_get(NULL, &loaded, &real) != CLATTN_OK)
            return NULL;
        table = *real;
        table.clCreateBuffer = create_poisoned;
    }
    return &table;
}
