/* What a device's relatives have in common, as one word: what tuning rows that serve several devices match. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cl/device.h"

/* Of extensions that only their vendor's drivers know: cl_nv_device_attribute_query, cl_intel_device_attribute_query. */
#define COMPUTE_CAPABILITY_MAJOR_NV 0x4000
#define COMPUTE_CAPABILITY_MINOR_NV 0x4001
#define IP_VERSION_INTEL            0x4250

static bool ask(const clattn__cl_api *api, cl_device_id id, cl_device_info name, cl_uint *value)
{
    *value = 0;
    return api->clGetDeviceInfo(id, name, sizeof *value, value, NULL) == CL_SUCCESS;
}

/* "gfx1030" of "gfx1030:xnack-", wherever it stands. */
static bool find_gfx(const char *name, char *result, size_t size)
{
    const char *const found = strstr(name, "gfx");
    size_t length = 3;
    if (found == NULL || !isdigit((unsigned char)found[3]))
        return false;
    while (isalnum((unsigned char)found[length]))
        length++;
    snprintf(result, size, "%.*s", (int)length, found);
    return true;
}

/* "haswell" of PoCL's "pthread-haswell-AMD EPYC". */
static bool find_pocl(const char *name, char *result, size_t size)
{
    const char *const begin = strchr(name, '-');
    const char *const end = begin != NULL ? strchr(begin + 1, '-') : NULL;
    if (end == NULL || end == begin + 1)
        return false;
    snprintf(result, size, "%.*s", (int)(end - begin - 1), begin + 1);
    return true;
}

/* "Apple M1" of "Apple M1 Pro". */
static bool find_apple(const char *name, char *result, size_t size)
{
    if (strncmp(name, "Apple M", 7) != 0)
        return false;
    snprintf(result, size, "%.*s", (int)(6 + strcspn(name + 6, " ")), name);
    return true;
}

void clattn__device_architecture(const clattn__cl_api *api, cl_device_id id, clattn_device *device)
{
    char *const result = device->architecture;
    const size_t size = sizeof device->architecture;
    cl_uint major = 0, minor = 0;
    result[0] = '\0';
    if (strcmp(device->platform, "Portable Computing Language") == 0) {
        find_pocl(device->name, result, size);
        return;
    }
    if (find_gfx(device->name, result, size) || find_apple(device->name, result, size))
        return;
    if (strstr(device->vendor, "NVIDIA") != NULL &&
        ask(api, id, COMPUTE_CAPABILITY_MAJOR_NV, &major) &&
        ask(api, id, COMPUTE_CAPABILITY_MINOR_NV, &minor))
        snprintf(result, size, "sm_%u%u", (unsigned)major, (unsigned)minor);
    /* major 10 bits, minor 8, then the revision */
    else if (device->kind == CLATTN_DEVICE_GPU && strstr(device->vendor, "Intel") != NULL &&
             ask(api, id, IP_VERSION_INTEL, &major))
        snprintf(result, size, "xe_%u.%u", (unsigned)(major >> 22), (unsigned)(major >> 14 & 0xff));
}
