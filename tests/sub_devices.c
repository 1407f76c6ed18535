#include "sub_devices.h"

#include "cl/cl.h"

#ifdef CLATTN_OPENCL_RUNTIME
/* The tests are not linked with a loader, and the library needs no such function. */
static cl_int split(cl_device_id device, cl_device_id parts[2])
{
    (void)device;
    (void)parts;
    return CL_INVALID_DEVICE;
}

static void release(cl_device_id part)
{
    (void)part;
}
#else
static cl_int split(cl_device_id device, cl_device_id parts[2])
{
    static const cl_device_partition_property by_one[] = {
        CL_DEVICE_PARTITION_BY_COUNTS, 1, 1, CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    return clCreateSubDevices(device, by_one, 2, parts, NULL);
}

static void release(cl_device_id part)
{
    clReleaseDevice(part);
}
#endif

bool sub_devices_open(const contexts_entry *entry, const clattn_context_params *params,
                      sub_devices *parts)
{
    if (entry->device == NULL || split(entry->device, parts->part) != CL_SUCCESS)
        return false;
    for (int i = 0; i < 2; i++) {
        contexts_entry part = *entry;
        part.device = parts->part[i];
        parts->ctx[i] = contexts_open(&part, params);
    }
    return true;
}

void sub_devices_close(sub_devices *parts)
{
    for (int i = 0; i < 2; i++) {
        clattn_context_destroy(&parts->ctx[i]);
        release(parts->part[i]);
    }
}
