/*
 * The OpenCL functions that the library calls, as a table of pointers. It is filled from the linked
 * loader or, with CLATTN_OPENCL_RUNTIME, from a loader found when the first context or device list
 * asks for one, so that a program starts where no OpenCL is installed. Tests put a table of their
 * own in its place and make any call fail.
 */
#ifndef CLATTN_SRC_CL_API_H
#define CLATTN_SRC_CL_API_H

#include "base/base.h"
#include "cl/cl.h"

/*
 * Lists, X(result, name, parameters, arguments), by how a call reports failure and what it leaves
 * behind.
 */

/* They count the references to their one argument, and return an error code. */
#define CLATTN__CL_RETAIN_CALLS(X)                                                                 \
    X(cl_int, clRetainDevice, (cl_device_id device), (device))                                     \
    X(cl_int, clRetainContext, (cl_context context), (context))                                    \
    X(cl_int, clRetainCommandQueue, (cl_command_queue queue), (queue))
#define CLATTN__CL_RELEASE_CALLS(X)                                                                \
    X(cl_int, clReleaseDevice, (cl_device_id device), (device))                                    \
    X(cl_int, clReleaseContext, (cl_context context), (context))                                   \
    X(cl_int, clReleaseCommandQueue, (cl_command_queue queue), (queue))                            \
    X(cl_int, clReleaseMemObject, (cl_mem memory), (memory))                                       \
    X(cl_int, clReleaseProgram, (cl_program program), (program))                                   \
    X(cl_int, clReleaseKernel, (cl_kernel kernel), (kernel))                                       \
    X(cl_int, clReleaseEvent, (cl_event event), (event))

/* They return an error code, and leave nothing behind. */
#define CLATTN__CL_STATUS_CALLS(X)                                                                 \
    X(cl_int, clGetPlatformIDs, (cl_uint room, cl_platform_id * platforms, cl_uint * count),       \
      (room, platforms, count))                                                                    \
    X(cl_int, clGetPlatformInfo,                                                                   \
      (cl_platform_id platform, cl_platform_info name, size_t room, void *value, size_t *size),    \
      (platform, name, room, value, size))                                                         \
    X(cl_int, clGetDeviceIDs,                                                                      \
      (cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id * devices,         \
       cl_uint * count),                                                                           \
      (platform, type, room, devices, count))                                                      \
    X(cl_int, clGetDeviceInfo,                                                                     \
      (cl_device_id device, cl_device_info name, size_t room, void *value, size_t *size),          \
      (device, name, room, value, size))                                                           \
    X(cl_int, clGetContextInfo,                                                                    \
      (cl_context context, cl_context_info name, size_t room, void *value, size_t *size),          \
      (context, name, room, value, size))                                                          \
    X(cl_int, clGetCommandQueueInfo,                                                               \
      (cl_command_queue queue, cl_command_queue_info name, size_t room, void *value,               \
       size_t *size),                                                                              \
      (queue, name, room, value, size))                                                            \
    X(cl_int, clFlush, (cl_command_queue queue), (queue))                                          \
    X(cl_int, clFinish, (cl_command_queue queue), (queue))                                         \
    X(cl_int, clGetMemObjectInfo,                                                                  \
      (cl_mem memory, cl_mem_info name, size_t room, void *value, size_t *size),                   \
      (memory, name, room, value, size))                                                           \
    X(cl_int, clBuildProgram,                                                                      \
      (cl_program program, cl_uint count, const cl_device_id *devices, const char *options,        \
       void(CL_CALLBACK * notify)(cl_program, void *), void *user),                                \
      (program, count, devices, options, notify, user))                                            \
    X(cl_int, clGetProgramBuildInfo,                                                               \
      (cl_program program, cl_device_id device, cl_program_build_info name, size_t room,           \
       void *value, size_t *size),                                                                 \
      (program, device, name, room, value, size))                                                  \
    X(cl_int, clGetProgramInfo,                                                                    \
      (cl_program program, cl_program_info name, size_t room, void *value, size_t *size),          \
      (program, name, room, value, size))                                                          \
    X(cl_int, clGetKernelWorkGroupInfo,                                                            \
      (cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info name, size_t room,         \
       void *value, size_t *size),                                                                 \
      (kernel, device, name, room, value, size))                                                   \
    X(cl_int, clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value),   \
      (kernel, index, size, value))

/* They return a new object, and an error code through their last parameter, `error`. */
#define CLATTN__CL_OBJECT_CALLS(X)                                                                 \
    X(cl_context, clCreateContext,                                                                 \
      (const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,        \
       void(CL_CALLBACK * notify)(const char *, const void *, size_t, void *), void *user,         \
       cl_int *error),                                                                             \
      (properties, count, devices, notify, user, error))                                           \
    X(cl_command_queue, clCreateCommandQueue,                                                      \
      (cl_context context, cl_device_id device, cl_command_queue_properties properties,            \
       cl_int * error),                                                                            \
      (context, device, properties, error))                                                        \
    X(cl_mem, clCreateBuffer,                                                                      \
      (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error),            \
      (context, flags, size, host, error))                                                         \
    X(cl_program, clCreateProgramWithSource,                                                       \
      (cl_context context, cl_uint count, const char **texts, const size_t *sizes, cl_int *error), \
      (context, count, texts, sizes, error))                                                       \
    X(cl_program, clCreateProgramWithBinary,                                                       \
      (cl_context context, cl_uint count, const cl_device_id *devices, const size_t *sizes,        \
       const unsigned char **binaries, cl_int *states, cl_int *error),                             \
      (context, count, devices, sizes, binaries, states, error))                                   \
    X(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *error),            \
      (program, name, error))

/*
 * They enqueue a command, return an error code, and hand out an event through their last parameter,
 * `event`.
 */
#define CLATTN__CL_ENQUEUE_CALLS(X)                                                                \
    X(cl_int, clEnqueueReadBuffer,                                                                 \
      (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size,        \
       void *target, cl_uint wait_count, const cl_event *wait, cl_event *event),                   \
      (queue, memory, blocking, offset, size, target, wait_count, wait, event))                    \
    X(cl_int, clEnqueueWriteBuffer,                                                                \
      (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size,        \
       const void *source, cl_uint wait_count, const cl_event *wait, cl_event *event),             \
      (queue, memory, blocking, offset, size, source, wait_count, wait, event))                    \
    X(cl_int, clEnqueueUnmapMemObject,                                                             \
      (cl_command_queue queue, cl_mem memory, void *pointer, cl_uint wait_count,                   \
       const cl_event *wait, cl_event *event),                                                     \
      (queue, memory, pointer, wait_count, wait, event))                                           \
    X(cl_int, clEnqueueNDRangeKernel,                                                              \
      (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *first,          \
       const size_t *global, const size_t *local, cl_uint wait_count, const cl_event *wait,        \
       cl_event *event),                                                                           \
      (queue, kernel, dimensions, first, global, local, wait_count, wait, event))                  \
    X(cl_int, clEnqueueMarkerWithWaitList,                                                         \
      (cl_command_queue queue, cl_uint wait_count, const cl_event *wait, cl_event *event),         \
      (queue, wait_count, wait, event))                                                            \
    X(cl_int, clEnqueueBarrierWithWaitList,                                                        \
      (cl_command_queue queue, cl_uint wait_count, const cl_event *wait, cl_event *event),         \
      (queue, wait_count, wait, event))

/* It gives a pointer, and an error code through its last parameter, `error`; what it makes ends with clEnqueueUnmapMemObject. */
#define CLATTN__CL_MAP_CALLS(X)                                                                    \
    X(void *, clEnqueueMapBuffer,                                                                  \
      (cl_command_queue queue, cl_mem memory, cl_bool blocking, cl_map_flags flags, size_t offset, \
       size_t size, cl_uint wait_count, const cl_event *wait, cl_event *event, cl_int *error),     \
      (queue, memory, blocking, flags, offset, size, wait_count, wait, event, error))

#define CLATTN__CL_CALLS(X)                                                                        \
    CLATTN__CL_RETAIN_CALLS(X)                                                                     \
    CLATTN__CL_RELEASE_CALLS(X)                                                                    \
    CLATTN__CL_STATUS_CALLS(X)                                                                     \
    CLATTN__CL_OBJECT_CALLS(X)                                                                     \
    CLATTN__CL_ENQUEUE_CALLS(X)                                                                    \
    CLATTN__CL_MAP_CALLS(X)

#define CLATTN__CL_FIELD(result, name, parameters, arguments) result(CL_API_CALL *name) parameters;
typedef struct clattn__cl_api {
    CLATTN__CL_CALLS(CLATTN__CL_FIELD)
} clattn__cl_api;
#undef CLATTN__CL_FIELD

/*
 * The table to call through. `loaded` is room for the pointers of a loader found at run time and
 * must live as long as the table is used; *api may or may not point to it. CLATTN_E_NODEVICE, with
 * the reason in the log, where there is no OpenCL.
 */
clattn_status clattn__cl_api_get(const clattn_log *log, clattn__cl_api *loaded,
                                 const clattn__cl_api **api);

/*
 * Tests only: when set, this table is used by everything created from then on. Not for concurrent
 * use.
 */
extern const clattn__cl_api *clattn__cl_api_hook;

#endif
