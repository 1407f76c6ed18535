/* The device: found as by every command, but with a queue that keeps times. */
#define _POSIX_C_SOURCE 200809L /* sysconf */

#include "bench/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <unistd.h>
#endif

/* Where nobody says: more than what processors of laptops have. */
#define UNKNOWN_CACHE ((uint64_t)32 << 20)

/* The host's last-level cache; 0 where the system does not say. */
static uint64_t host_cache(void)
{
#if defined(_SC_LEVEL3_CACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
    const long third = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const long second = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (third > 0)
        return (uint64_t)third;
    if (second > 0)
        return (uint64_t)second;
#endif
    return 0;
}

/*
 * The larger of what driver and system say: a CPU device's driver may know of one core's only. CLATTN_BENCH_CACHE, in bytes, is for
 * the tests: no time goes into arrays of several times a large cache.
 */
static uint64_t find_cache(const bench_device *device)
{
    const char *const told = getenv("CLATTN_BENCH_CACHE");
    cl_ulong bytes = 0;
    if (told != NULL && strtoull(told, NULL, 10) > 0)
        return strtoull(told, NULL, 10);
    if (device->cl != NULL &&
        device->cl->api.clGetDeviceInfo(device->cl->id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE,
                                        sizeof bytes, &bytes, NULL) != CL_SUCCESS)
        bytes = 0;
    const uint64_t host = device->info.kind == CLATTN_DEVICE_CPU ? host_cache() : 0;
    const uint64_t most = bytes > host ? bytes : host;
    return most > 0 ? most : UNKNOWN_CACHE;
}

/* A longer list is not believed. */
#define MOST_EXTENSIONS ((size_t)1 << 20)

static bool has_fp16(const bench_cl *cl)
{
    size_t size = 0;
    bool found = false;
    if (cl->api.clGetDeviceInfo(cl->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS ||
        size > MOST_EXTENSIONS)
        return false;
    char *const text = calloc(size + 1, 1);
    if (text != NULL &&
        cl->api.clGetDeviceInfo(cl->id, CL_DEVICE_EXTENSIONS, size, text, NULL) == CL_SUCCESS)
        found = strstr(text, "cl_khr_fp16") != NULL;
    free(text);
    return found;
}

static clattn_status open_queue(bench_device *device)
{
    bench_cl *const cl = calloc(1, sizeof *cl);
    cl_int error = CL_SUCCESS;
    cl_platform_id platform = NULL;
    device->cl = cl;
    if (cl == NULL) {
        command_error(device->cmd, "out of memory");
        return CLATTN_E_NOMEM;
    }
    if (!bench_cl_load(&cl->api)) {
        command_error(device->cmd, "the OpenCL loader lacks a function of OpenCL 1.2");
        return CLATTN_E_NODEVICE;
    }
    cl->id = device->info.id;
    cl->api.clGetDeviceInfo(cl->id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)platform, 0};
    cl->context = cl->api.clCreateContext(properties, 1, &cl->id, NULL, NULL, &error);
    if (error == CL_SUCCESS)
        cl->queue =
            cl->api.clCreateCommandQueue(cl->context, cl->id, CL_QUEUE_PROFILING_ENABLE, &error);
    if (error != CL_SUCCESS) {
        command_error(device->cmd, "no queue with profiling on %s: error %d", device->info.name,
                      (int)error);
        return CLATTN_E_OPENCL;
    }
    cl->fp16 = has_fp16(cl);
    return CLATTN_OK;
}

clattn_status bench_device_open(bench_device *device)
{
    clattn_device *devices = NULL;
    size_t count = 0;
    int index = -1;
    char why[256];
    clattn_status status = CLATTN_E_NODEVICE;
    const char *const text = device->chosen.text;
    /* Without a loader there is the CPU path. */
    if (text == NULL || strcmp(text, "cpu") != 0)
        (void)clattn_device_list(NULL, &devices, &count);
    if (!command_device_find(text, devices, count, &index, why, sizeof why)) {
        command_error(device->cmd, "%s", why);
    } else {
        status = CLATTN_OK;
        if (index >= 0) {
            device->info = devices[index];
            status = open_queue(device);
        }
        /* A first context says what the CPU path is, and whether the tuning rows are good. */
        clattn_context *ctx = NULL;
        if (status == CLATTN_OK)
            status = bench_device_context(device, &ctx);
        if (status == CLATTN_OK)
            device->info = *clattn_context_device(ctx);
        clattn_context_destroy(&ctx);
    }
    clattn_device_list_free(&devices);
    if (status == CLATTN_OK)
        device->cache_bytes = find_cache(device);
    return status;
}

void bench_device_close(bench_device *device)
{
    bench_cl *const cl = device->cl;
    if (cl != NULL && cl->queue != NULL)
        cl->api.clReleaseCommandQueue(cl->queue);
    if (cl != NULL && cl->context != NULL)
        cl->api.clReleaseContext(cl->context);
    free(cl);
    device->cl = NULL;
}

clattn_status bench_device_context(bench_device *device, clattn_context **ctx)
{
    const bench_cl *const cl = device->cl;
    const clattn_context_params *const params = &device->chosen.params;
    device->chosen.sentence[0] = '\0';
    clattn_status status = cl == NULL
                               ? clattn_context_create_cpu(params, ctx)
                               : clattn_context_wrap(cl->context, cl->id, cl->queue, params, ctx);
    if (status != CLATTN_OK) {
        command_fail(device->cmd, &device->chosen, status);
        return status;
    }
    status = command_device_tune(device->cmd, &device->chosen, *ctx);
    if (status != CLATTN_OK)
        clattn_context_destroy(ctx);
    return status;
}

double bench_cl_seconds(const bench_cl *cl, cl_event from, cl_profiling_info from_what, cl_event to,
                        cl_profiling_info to_what)
{
    cl_ulong begin = 0, end = 0;
    if (cl->api.clGetEventProfilingInfo(from, from_what, sizeof begin, &begin, NULL) !=
            CL_SUCCESS ||
        cl->api.clGetEventProfilingInfo(to, to_what, sizeof end, &end, NULL) != CL_SUCCESS ||
        end < begin)
        return -1.0;
    return 1e-9 * (double)(end - begin);
}
