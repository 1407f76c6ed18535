#include "fault_codes.h"

#include <stddef.h>
#include <string.h>

#define MEMORY CL_OUT_OF_HOST_MEMORY, CL_OUT_OF_RESOURCES

/* The first row whose name the function's begins with. */
static const struct {
    const char *start;
    cl_int codes[FAULT_MOST_CODES];
} rows[] = {
    {"clGetPlatformIDs", {CL_OUT_OF_HOST_MEMORY, CL_INVALID_VALUE}},
    {"clGetDeviceIDs", {MEMORY, CL_DEVICE_NOT_FOUND, CL_INVALID_PLATFORM}},
    {"clGetDeviceInfo", {MEMORY, CL_INVALID_VALUE, CL_INVALID_DEVICE}},
    {"clCreateContext", {MEMORY, CL_DEVICE_NOT_AVAILABLE, CL_INVALID_DEVICE}},
    {"clCreateCommandQueue", {MEMORY, CL_DEVICE_NOT_AVAILABLE, CL_INVALID_CONTEXT}},
    {"clCreateBuffer",
     {MEMORY, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_INVALID_BUFFER_SIZE, CL_INVALID_CONTEXT}},
    {"clCreateProgramWithSource", {MEMORY, CL_INVALID_CONTEXT}},
    {"clCreateProgramWithBinary", {MEMORY, CL_INVALID_BINARY, CL_INVALID_DEVICE}},
    {"clBuildProgram",
     {MEMORY, CL_BUILD_PROGRAM_FAILURE, CL_COMPILER_NOT_AVAILABLE, CL_DEVICE_NOT_AVAILABLE,
      CL_INVALID_BUILD_OPTIONS}},
    {"clCreateKernel",
     {MEMORY, CL_INVALID_KERNEL_NAME, CL_INVALID_PROGRAM_EXECUTABLE, CL_INVALID_KERNEL_DEFINITION}},
    {"clSetKernelArg", {MEMORY, CL_INVALID_ARG_SIZE, CL_INVALID_ARG_VALUE, CL_INVALID_MEM_OBJECT}},
    {"clEnqueueNDRangeKernel",
     {MEMORY, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_INVALID_WORK_GROUP_SIZE,
      CL_INVALID_WORK_ITEM_SIZE, CL_DEVICE_NOT_AVAILABLE, CL_INVALID_COMMAND_QUEUE}},
    {"clEnqueueMapBuffer",
     {MEMORY, CL_MAP_FAILURE, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_DEVICE_NOT_AVAILABLE}},
    {"clEnqueueUnmapMemObject", {MEMORY, CL_INVALID_VALUE, CL_DEVICE_NOT_AVAILABLE}},
    {"clEnqueue",
     {MEMORY, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST,
      CL_DEVICE_NOT_AVAILABLE, CL_INVALID_COMMAND_QUEUE}},
    {"clFinish", {MEMORY, CL_DEVICE_NOT_AVAILABLE, CL_INVALID_COMMAND_QUEUE}},
    {"clFlush", {MEMORY, CL_DEVICE_NOT_AVAILABLE, CL_INVALID_COMMAND_QUEUE}},
    {"clGetMemObjectInfo", {MEMORY, CL_INVALID_MEM_OBJECT}},
    {"clGet", {MEMORY, CL_INVALID_VALUE}},
    {"cl", {MEMORY}},
};

static bool starts_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

const cl_int *fault_codes(const char *name)
{
    size_t i = 0;
    while (!starts_with(name, rows[i].start))
        i++;
    return rows[i].codes;
}

/* What the library says where it cannot go on. */
static clattn_status status_of(const char *name, cl_int code)
{
    switch (code) {
    case CL_OUT_OF_HOST_MEMORY:
        return CLATTN_E_NOMEM;
    case CL_OUT_OF_RESOURCES: /* of anything: memory, registers, a device that hangs */
        return starts_with(name, "clBuildProgram") ? CLATTN_E_BUILD : CLATTN_E_OPENCL;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_INVALID_BUFFER_SIZE:
        return CLATTN_E_DEVICE_NOMEM;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_INVALID_CONTEXT:
    case CL_INVALID_COMMAND_QUEUE:
        return CLATTN_E_LOST;
    case CL_BUILD_PROGRAM_FAILURE:
    case CL_COMPILER_NOT_AVAILABLE:
    case CL_INVALID_BUILD_OPTIONS:
    case CL_INVALID_KERNEL_NAME:
    case CL_INVALID_PROGRAM_EXECUTABLE:
    case CL_INVALID_KERNEL_DEFINITION:
        return CLATTN_E_BUILD;
    case CL_INVALID_MEM_OBJECT:
    case CL_INVALID_DEVICE:
        return CLATTN_E_ARG;
    default:
        return CLATTN_E_OPENCL;
    }
}

/* Nothing depends on them but words and numbers for the log. */
static bool is_by_the_way(const char *name)
{
    static const char *const starts[] = {"clRelease", "clGetProgramBuildInfo",
                                         "clGetKernelWorkGroupInfo", "clGetPlatformInfo"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (starts_with(name, starts[i]))
            return true;
    return false;
}

bool fault_right(const char *name, cl_int code, clattn_status status)
{
    const clattn_status usual = status_of(name, code);

    if (is_by_the_way(name))
        return status == CLATTN_OK;
    if (starts_with(name, "clGetPlatformIDs"))
        return status == CLATTN_E_NODEVICE;
    /* A device without a name will do, and so will one of another platform; one without limits will not. */
    if (starts_with(name, "clGetDeviceI"))
        return status == CLATTN_OK || status == CLATTN_E_NODEVICE || status == usual;
    /* Kept buffers make room. No bytes on the host are as good as none on the device: drivers do not tell them apart. */
    if (starts_with(name, "clCreateBuffer"))
        return status == CLATTN_OK ||
               status == (usual == CLATTN_E_LOST ? usual : CLATTN_E_DEVICE_NOMEM);
    /* A plan tries a smaller work-group. */
    if (starts_with(name, "clEnqueueNDRangeKernel") && usual == CLATTN_E_OPENCL)
        return status == CLATTN_OK || status == usual;
    return status == usual;
}
