/*
 * The devices of all platforms. Drivers come from many hands and some are broken: one that answers
 * with errors is logged and left out, and the others are listed all the same.
 */
#include <stdio.h>
#include <string.h>

#include "cl/device.h"
#include "cl/errors.h"

/*
 * What the full profile of OpenCL 1.2 promises is twice this; kernels at the default work-group
 * need it.
 */
#define MIN_LOCAL_BYTES 16384

/* A name longer than this is a broken driver's, not a name. */
#define MAX_TEXT 1023

/* Nor are more platforms, or more devices of one, believed. */
#define MAX_COUNT 4096

/* Every text field of clattn_device has this size. */
#define FIELD_SIZE sizeof(((clattn_device *)0)->name)

typedef struct text_query {
    const clattn__cl_api *api;
    cl_platform_id platform; /* asked where device is NULL */
    cl_device_id device;
    cl_uint name;
} text_query;

static cl_int ask_text(const text_query *query, size_t room, char *text, size_t *size)
{
    if (query->device)
        return query->api->clGetDeviceInfo(query->device, query->name, room, text, size);
    return query->api->clGetPlatformInfo(query->platform, query->name, room, text, size);
}

/*
 * Fills a field with the driver's text, without the spaces around it, cut to fit and fit to be
 * shown; empty where there is no answer.
 */
static void read_text(const text_query *query, char field[FIELD_SIZE])
{
    char text[MAX_TEXT + 1] = {0}; /* terminated whatever the driver writes */
    size_t size = 0;
    field[0] = '\0';
    if (ask_text(query, 0, NULL, &size) != CL_SUCCESS || size > MAX_TEXT ||
        ask_text(query, size, text, NULL) != CL_SUCCESS)
        return;
    snprintf(field, FIELD_SIZE, "%.*s", (int)FIELD_SIZE - 1, text + strspn(text, " \t"));
    clattn__text_clean(field, false);
    for (size_t end = strlen(field); end > 0 && field[end - 1] == ' '; end--)
        field[end - 1] = '\0';
}

static clattn_device_kind kind_of(cl_device_type type)
{
    if (type & CL_DEVICE_TYPE_GPU)
        return CLATTN_DEVICE_GPU;
    if (type & CL_DEVICE_TYPE_ACCELERATOR)
        return CLATTN_DEVICE_ACCELERATOR;
    return type & CL_DEVICE_TYPE_CPU ? CLATTN_DEVICE_CPU : CLATTN_DEVICE_OTHER;
}

/* The numbers of a device; the first error, if any. */
typedef struct limits {
    cl_device_type type;
    cl_uint compute_units, vector_width, dimensions;
    cl_ulong local_bytes, global_bytes, allocation_bytes;
    cl_bool unified, available, compiler;
    size_t max_work_group;
    size_t max_items[3];
} limits;

static cl_int read_limits(const clattn__cl_api *api, cl_device_id id, limits *l)
{
    const struct {
        cl_device_info name;
        size_t size;
        void *value;
    } queries[] = {
        {CL_DEVICE_TYPE, sizeof l->type, &l->type},
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof l->compute_units, &l->compute_units},
        {CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, sizeof l->vector_width, &l->vector_width},
        {CL_DEVICE_LOCAL_MEM_SIZE, sizeof l->local_bytes, &l->local_bytes},
        {CL_DEVICE_GLOBAL_MEM_SIZE, sizeof l->global_bytes, &l->global_bytes},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof l->allocation_bytes, &l->allocation_bytes},
        {CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof l->unified, &l->unified},
        {CL_DEVICE_AVAILABLE, sizeof l->available, &l->available},
        {CL_DEVICE_COMPILER_AVAILABLE, sizeof l->compiler, &l->compiler},
        {CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof l->max_work_group, &l->max_work_group},
        {CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, sizeof l->dimensions, &l->dimensions},
        /* More than three dimensions do not fit, and are never seen. */
        {CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof l->max_items, l->max_items},
    };
    cl_int error = CL_SUCCESS;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && error == CL_SUCCESS; i++)
        error = api->clGetDeviceInfo(id, queries[i].name, queries[i].size, queries[i].value, NULL);
    return error;
}

/* True for "OpenCL 1.2 ..." and above. */
static bool version_at_least_1_2(const char *version)
{
    int major = 0, minor = 0;
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2)
        return false;
    return major > 1 || (major == 1 && minor >= 2);
}

/* Writes the reason why the device cannot be used, or nothing. */
static void judge(const limits *l, const char *profile, clattn_device *device)
{
    char *why = device->why_not;
    if (!l->available)
        snprintf(why, FIELD_SIZE, "it is not available");
    else if (!l->compiler)
        snprintf(why, FIELD_SIZE, "it has no compiler");
    else if (!version_at_least_1_2(device->version))
        snprintf(why, FIELD_SIZE, "it has \"%.60s\"; OpenCL 1.2 is needed", device->version);
    else if (strcmp(profile, "FULL_PROFILE") != 0)
        snprintf(why, FIELD_SIZE, "it has the profile \"%.60s\"; FULL_PROFILE is needed", profile);
    else if (device->local_bytes < MIN_LOCAL_BYTES)
        snprintf(why, FIELD_SIZE, "it has %llu bytes of local memory; %d are needed",
                 (unsigned long long)device->local_bytes, MIN_LOCAL_BYTES);
    else if (device->max_work_group == 0)
        snprintf(why, FIELD_SIZE, "it says that its work-groups have no items");
}

void clattn__device_describe(const clattn__cl_api *api, cl_device_id id, clattn_device *device)
{
    *device = (clattn_device){.id = id};
    limits l = {0};
    char profile[FIELD_SIZE];
    cl_int error = read_limits(api, id, &l);
    text_query query = {.api = api, .device = id};
    const struct {
        cl_device_info name;
        char *field;
    } texts[] = {
        {CL_DEVICE_NAME, device->name},       {CL_DEVICE_VENDOR, device->vendor},
        {CL_DEVICE_VERSION, device->version}, {CL_DRIVER_VERSION, device->driver},
        {CL_DEVICE_PROFILE, profile},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        query.name = texts[i].name;
        read_text(&query, texts[i].field);
    }
    cl_platform_id platform = NULL;
    if (api->clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) ==
        CL_SUCCESS) {
        query = (text_query){.api = api, .platform = platform, .name = CL_PLATFORM_NAME};
        read_text(&query, device->platform);
    }
    size_t widest = l.max_items[0] < l.max_work_group ? l.max_items[0] : l.max_work_group;
    device->kind = kind_of(l.type);
    clattn__device_architecture(api, id, device);
    device->compute_units = l.compute_units;
    device->max_work_group = widest < UINT32_MAX ? (uint32_t)widest : UINT32_MAX;
    device->vector_width = l.vector_width;
    device->local_bytes = l.local_bytes;
    device->global_bytes = l.global_bytes;
    device->allocation_bytes = l.allocation_bytes;
    device->shares_host_memory = l.unified ? 1 : 0;
    if (error == CL_SUCCESS)
        judge(&l, profile, device);
    else
        snprintf(device->why_not, FIELD_SIZE, "clGetDeviceInfo failed: %s (%d)",
                 clattn__cl_error_name(error), (int)error);
    device->usable = device->why_not[0] == '\0';
}

/* The platforms; *count is 0 where there are none. The array is freed with clattn__free(). */
static clattn_status list_platforms(const clattn__cl_api *api, const clattn_log *log,
                                    cl_platform_id **platforms, cl_uint *count)
{
    clattn_status status = CLATTN_OK;
    cl_uint found = 0;
    cl_int error = api->clGetPlatformIDs(0, NULL, &found);
    if (error == CL_SUCCESS && found > 0) {
        const cl_uint room = found < MAX_COUNT ? found : MAX_COUNT;
        *platforms = clattn__alloc_array(room, sizeof **platforms);
        CLATTN_CHECK(log, *platforms, CLATTN_E_NOMEM, "out of host memory for %u platforms",
                     (unsigned)room);
        error = api->clGetPlatformIDs(room, *platforms, &found);
        found = found < room ? found : room;
        while (found > 0 && !(*platforms)[found - 1]) /* counted, but not named */
            found--;
    }
    /* A loader without any driver says "not found"; that is an empty list. */
    if (clattn__cl_error_status(error) == CLATTN_E_NODEVICE) {
        error = CL_SUCCESS;
        found = 0;
    }
    CLATTN_CHECK(log, error == CL_SUCCESS, CLATTN_E_NODEVICE, "clGetPlatformIDs failed: %s (%d)",
                 clattn__cl_error_name(error), (int)error);
    *count = found;
out:
    return status;
}

/* Asks one platform; 0 devices where it has none or is broken. ids NULL: only counts. */
static cl_uint platform_devices(const clattn__cl_api *api, const clattn_log *log,
                                cl_platform_id platform, cl_uint room, cl_device_id *ids)
{
    cl_uint found = 0;
    cl_int error = api->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, room, ids, &found);
    const cl_uint most = ids && room < MAX_COUNT ? room : MAX_COUNT;
    if (error == CL_SUCCESS)
        return found < most ? found : most;
    if (error != CL_DEVICE_NOT_FOUND) {
        char name[FIELD_SIZE];
        read_text(&(text_query){.api = api, .platform = platform, .name = CL_PLATFORM_NAME}, name);
        clattn__log(log, CLATTN_LOG_WARN,
                    "platform \"%s\" is left out: clGetDeviceIDs failed: %s (%d)", name,
                    clattn__cl_error_name(error), (int)error);
    }
    return 0;
}

clattn_status clattn__device_list(const clattn__cl_api *api, const clattn_log *log,
                                  clattn_device **devices, size_t *count)
{
    clattn_status status = CLATTN_OK;
    cl_platform_id *platforms = NULL;
    cl_device_id *ids = NULL;
    clattn_device *list = NULL;
    cl_uint platform_count = 0;
    size_t room = 0, used = 0;

    CLATTN_TRY(list_platforms(api, log, &platforms, &platform_count));
    for (cl_uint i = 0; i < platform_count; i++)
        room += platform_devices(api, log, platforms[i], 0, NULL);
    if (room == 0)
        goto out;
    ids = clattn__alloc_array(room, sizeof *ids);
    list = clattn__alloc_array(room, sizeof *list);
    CLATTN_CHECK(log, ids && list, CLATTN_E_NOMEM, "out of host memory for %zu devices", room);
    /* Devices may come and go between the two rounds; never more than there is room for. */
    for (cl_uint i = 0; i < platform_count && used < room; i++)
        used += platform_devices(api, NULL, platforms[i], (cl_uint)(room - used), ids + used);
    size_t described = 0;
    for (size_t i = 0; i < used; i++) /* a driver may have counted more than it names */
        if (ids[i])
            clattn__device_describe(api, ids[i], &list[described++]);
    used = described;
out:
    clattn__free(ids);
    clattn__free(platforms);
    if (status != CLATTN_OK || used == 0) {
        clattn__free(list);
        list = NULL;
    }
    *devices = list;
    *count = used;
    return status;
}

clattn_status clattn_device_list(const clattn_log *log, clattn_device **devices, size_t *count)
{
    clattn_status status = CLATTN_OK;
    clattn__cl_api loaded;
    const clattn__cl_api *api = NULL;
    CLATTN_CHECK(log, devices && count, CLATTN_E_ARG, "%s is NULL", devices ? "count" : "devices");
    *devices = NULL;
    *count = 0;
    CLATTN_TRY(clattn__cl_api_get(log, &loaded, &api));
    CLATTN_TRY(clattn__device_list(api, log, devices, count));
out:
    return status;
}

void clattn_device_list_free(clattn_device **devices)
{
    if (!devices)
        return;
    clattn__free(*devices);
    *devices = NULL;
}

/* GPUs before accelerators before CPU devices before anything else. */
static int rank(const clattn_device *device)
{
    switch (device->kind) {
    case CLATTN_DEVICE_GPU:
        return 4;
    case CLATTN_DEVICE_ACCELERATOR:
        return 3;
    case CLATTN_DEVICE_CPU:
        return 2;
    case CLATTN_DEVICE_OTHER:
        break;
    }
    return 1;
}

int clattn_device_best(const clattn_device *devices, size_t count)
{
    int best = -1;
    for (size_t i = 0; devices && i < count && i <= INT32_MAX; i++) {
        const clattn_device *device = &devices[i];
        if (!device->usable)
            continue;
        /*
         * Compute units say something about GPUs only: CPU drivers count threads, or make the
         * number up.
         */
        if (best < 0 || rank(device) > rank(&devices[best]) ||
            (device->kind == CLATTN_DEVICE_GPU && devices[best].kind == CLATTN_DEVICE_GPU &&
             device->compute_units > devices[best].compute_units))
            best = (int)i;
    }
    return best;
}
