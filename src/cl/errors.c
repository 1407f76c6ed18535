/* OpenCL's error codes in words, and as the library's own. */
#include "cl/errors.h"

/* Only cl_ext.h has this name: the loader found no platform. */
#ifndef CL_PLATFORM_NOT_FOUND_KHR
#define CL_PLATFORM_NOT_FOUND_KHR -1001
#endif

/*
 * X(code, status). A queue or context that the library holds a reference to cannot become invalid
 * by itself: drivers say so after the device was reset.
 */
#define ERROR_LIST(X)                                                                              \
    X(CL_SUCCESS, CLATTN_OK)                                                                       \
    X(CL_DEVICE_NOT_FOUND, CLATTN_E_NODEVICE)                                                      \
    X(CL_DEVICE_NOT_AVAILABLE, CLATTN_E_LOST)                                                      \
    X(CL_COMPILER_NOT_AVAILABLE, CLATTN_E_BUILD)                                                   \
    X(CL_MEM_OBJECT_ALLOCATION_FAILURE, CLATTN_E_DEVICE_NOMEM)                                     \
    X(CL_OUT_OF_RESOURCES, CLATTN_E_OPENCL)                                                        \
    X(CL_OUT_OF_HOST_MEMORY, CLATTN_E_NOMEM)                                                       \
    X(CL_PROFILING_INFO_NOT_AVAILABLE, CLATTN_E_OPENCL)                                            \
    X(CL_MEM_COPY_OVERLAP, CLATTN_E_OPENCL)                                                        \
    X(CL_BUILD_PROGRAM_FAILURE, CLATTN_E_BUILD)                                                    \
    X(CL_MAP_FAILURE, CLATTN_E_OPENCL)                                                             \
    X(CL_MISALIGNED_SUB_BUFFER_OFFSET, CLATTN_E_ARG)                                               \
    X(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, CLATTN_E_OPENCL)                               \
    X(CL_COMPILE_PROGRAM_FAILURE, CLATTN_E_BUILD)                                                  \
    X(CL_LINKER_NOT_AVAILABLE, CLATTN_E_BUILD)                                                     \
    X(CL_LINK_PROGRAM_FAILURE, CLATTN_E_BUILD)                                                     \
    X(CL_KERNEL_ARG_INFO_NOT_AVAILABLE, CLATTN_E_OPENCL)                                           \
    X(CL_INVALID_VALUE, CLATTN_E_OPENCL)                                                           \
    X(CL_INVALID_DEVICE_TYPE, CLATTN_E_OPENCL)                                                     \
    X(CL_INVALID_PLATFORM, CLATTN_E_ARG)                                                           \
    X(CL_INVALID_DEVICE, CLATTN_E_ARG)                                                             \
    X(CL_INVALID_CONTEXT, CLATTN_E_LOST)                                                           \
    X(CL_INVALID_QUEUE_PROPERTIES, CLATTN_E_OPENCL)                                                \
    X(CL_INVALID_COMMAND_QUEUE, CLATTN_E_LOST)                                                     \
    X(CL_INVALID_HOST_PTR, CLATTN_E_OPENCL)                                                        \
    X(CL_INVALID_MEM_OBJECT, CLATTN_E_ARG)                                                         \
    X(CL_INVALID_BINARY, CLATTN_E_BUILD)                                                           \
    X(CL_INVALID_BUILD_OPTIONS, CLATTN_E_BUILD)                                                    \
    X(CL_INVALID_PROGRAM, CLATTN_E_BUILD)                                                          \
    X(CL_INVALID_PROGRAM_EXECUTABLE, CLATTN_E_BUILD)                                               \
    X(CL_INVALID_KERNEL_NAME, CLATTN_E_BUILD)                                                      \
    X(CL_INVALID_KERNEL_DEFINITION, CLATTN_E_BUILD)                                                \
    X(CL_INVALID_KERNEL, CLATTN_E_OPENCL)                                                          \
    X(CL_INVALID_ARG_INDEX, CLATTN_E_OPENCL)                                                       \
    X(CL_INVALID_ARG_VALUE, CLATTN_E_OPENCL)                                                       \
    X(CL_INVALID_ARG_SIZE, CLATTN_E_OPENCL)                                                        \
    X(CL_INVALID_KERNEL_ARGS, CLATTN_E_OPENCL)                                                     \
    X(CL_INVALID_WORK_DIMENSION, CLATTN_E_OPENCL)                                                  \
    X(CL_INVALID_WORK_GROUP_SIZE, CLATTN_E_OPENCL)                                                 \
    X(CL_INVALID_WORK_ITEM_SIZE, CLATTN_E_OPENCL)                                                  \
    X(CL_INVALID_GLOBAL_OFFSET, CLATTN_E_OPENCL)                                                   \
    X(CL_INVALID_EVENT_WAIT_LIST, CLATTN_E_ARG)                                                    \
    X(CL_INVALID_EVENT, CLATTN_E_ARG)                                                              \
    X(CL_INVALID_OPERATION, CLATTN_E_OPENCL)                                                       \
    X(CL_INVALID_BUFFER_SIZE, CLATTN_E_DEVICE_NOMEM)                                               \
    X(CL_INVALID_GLOBAL_WORK_SIZE, CLATTN_E_OPENCL)                                                \
    X(CL_INVALID_PROPERTY, CLATTN_E_OPENCL)                                                        \
    X(CL_INVALID_COMPILER_OPTIONS, CLATTN_E_BUILD)                                                 \
    X(CL_INVALID_LINKER_OPTIONS, CLATTN_E_BUILD)                                                   \
    X(CL_PLATFORM_NOT_FOUND_KHR, CLATTN_E_NODEVICE)

const char *clattn__cl_error_name(cl_int error)
{
#define NAME(code, status)                                                                         \
    case code:                                                                                     \
        return #code;
    switch (error) {
        ERROR_LIST(NAME)
    }
#undef NAME
    return "an error without a name in OpenCL 1.2";
}

clattn_status clattn__cl_error_status(cl_int error)
{
#define STATUS(code, status)                                                                       \
    case code:                                                                                     \
        return status;
    switch (error) {
        ERROR_LIST(STATUS)
    }
#undef STATUS
    return CLATTN_E_OPENCL;
}

clattn_status clattn__cl_keep(clattn_context *ctx, cl_int error)
{
    /* A lane's error is its context's too: that one is asked for it. */
    for (clattn_context *c = ctx; error != CL_SUCCESS && c != NULL; c = c->parent) {
        clattn__mutex_lock(&c->bytes_lock);
        c->cl_error = error;
        clattn__mutex_unlock(&c->bytes_lock);
    }
    return clattn__cl_error_status(error);
}

clattn_status clattn__cl_check(clattn_context *ctx, cl_int error, const char *call)
{
    if (error != CL_SUCCESS)
        clattn__log(&ctx->log, CLATTN_LOG_ERROR, "%s failed: %s (%d)", call,
                    clattn__cl_error_name(error), (int)error);
    return clattn__cl_keep(ctx, error);
}

clattn_status clattn__cl_made(clattn_context *ctx, const void *made, cl_int error, const char *call)
{
    if (made || error != CL_SUCCESS)
        return clattn__cl_check(ctx, error, call);
    clattn__log(&ctx->log, CLATTN_LOG_ERROR, "%s gave nothing, and no error", call);
    return CLATTN_E_OPENCL;
}
