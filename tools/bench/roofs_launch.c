/* The kernels of roofs.cl: build, launch, time. */
#include "bench/roofs_launch.h"

#include <stdio.h>
#include <stdlib.h>

extern const char bench_roofs_source[];
extern const size_t bench_roofs_source_bytes;

/* A launch is made as long as this, and never meant to be longer than the 50 ms after which desktops kill one. */
#define LAUNCH_SECONDS 0.01

/* Most floats in the chains of an item: beyond that, registers have run out everywhere. */
#define MOST_FLOATS_CPU (16 * 48)
#define MOST_FLOATS_GPU 128

static bool say(const roofs_cl *r, const char *what, cl_int error)
{
    if (error != CL_SUCCESS)
        command_error(r->device->cmd, "roofs: %s failed on %s: error %d", what,
                      r->device->info.name, (int)error);
    return error == CL_SUCCESS;
}

cl_kernel roofs_cl_build(const roofs_cl *r, const char *name, const char *options)
{
    const bench_cl_api *const api = &r->cl->api;
    const char *source = bench_roofs_source;
    char all[256];
    cl_int error = CL_SUCCESS;
    cl_kernel kernel = NULL;
    cl_program program = api->clCreateProgramWithSource(r->cl->context, 1, &source,
                                                        &bench_roofs_source_bytes, &error);
    if (error != CL_SUCCESS)
        return NULL;
    snprintf(all, sizeof all, "-cl-std=CL1.2 -cl-mad-enable %s", options);
    if (api->clBuildProgram(program, 1, &r->cl->id, all, NULL, NULL) == CL_SUCCESS)
        kernel = api->clCreateKernel(program, name, &error);
    api->clReleaseProgram(program);
    return error == CL_SUCCESS ? kernel : NULL;
}

double roofs_cl_launch(const roofs_cl *r, cl_kernel kernel, size_t items, bool events)
{
    const bench_cl_api *const api = &r->cl->api;
    cl_event event = NULL;
    const double start = command_now();
    if (api->clEnqueueNDRangeKernel(r->cl->queue, kernel, 1, NULL, &items, &r->group, 0, NULL,
                                    &event) != CL_SUCCESS)
        return -1.0;
    const bool done = api->clFinish(r->cl->queue) == CL_SUCCESS;
    const double wall = command_now() - start;
    const double seconds = !events ? wall
                                   : bench_cl_seconds(r->cl, event, CL_PROFILING_COMMAND_START,
                                                      event, CL_PROFILING_COMMAND_END);
    api->clReleaseEvent(event);
    return done ? seconds : -1.0;
}

static bool set_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index, cl_int steps)
{
    return r->cl->api.clSetKernelArg(kernel, index, sizeof steps, &steps) == CL_SUCCESS;
}

/* How many steps make a launch long enough: more until it takes a tenth of that, then by proportion. */
static cl_int long_enough(const roofs_cl *r, cl_kernel kernel, cl_uint index)
{
    cl_int steps = 64;
    for (;;) {
        if (!set_steps(r, kernel, index, steps))
            return 0;
        /* Of several: the first may compile, and other work of the machine must not look like a long launch. */
        double seconds = roofs_cl_launch(r, kernel, r->items, r->events);
        for (int turn = 1; seconds >= 0.0 && turn < ROOFS_CL_LEAST_TURNS; turn++) {
            const double again = roofs_cl_launch(r, kernel, r->items, r->events);
            seconds = again < seconds ? again : seconds;
        }
        if (seconds < 0.0)
            return 0;
        if (seconds > LAUNCH_SECONDS / 10.0)
            return (cl_int)((double)steps * LAUNCH_SECONDS / seconds) + 1;
        if (steps > (1 << 26))
            return steps;
        steps *= 4;
    }
}

cl_int roofs_cl_choose_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index)
{
    const cl_int steps = long_enough(r, kernel, index);
    return steps > 0 && set_steps(r, kernel, index, steps) ? steps : 0;
}

bool roofs_cl_begin(roofs_cl *r, uint64_t bytes, float **host)
{
    const clattn_device *const info = &r->device->info;
    cl_int error = CL_SUCCESS;
    r->cpu = info->kind == CLATTN_DEVICE_CPU && info->vector_width > 1;
    r->group = r->cpu ? 1 : info->max_work_group < 256 ? info->max_work_group : 256;
    r->items =
        r->cpu ? 8 * (size_t)info->compute_units : 8 * (size_t)info->compute_units * r->group;
    r->most_floats = r->cpu ? MOST_FLOATS_CPU : MOST_FLOATS_GPU;
    const uint64_t least = r->items * r->most_floats * sizeof(float);
    bytes = bytes < least ? least : bytes;
    bytes = bytes > info->allocation_bytes ? info->allocation_bytes : bytes;
    r->floats = (size_t)(bytes / sizeof(float));
    *host = malloc(r->floats * sizeof **host);
    if (*host == NULL) {
        command_error(r->device->cmd, "out of memory for the roofs");
        return false;
    }
    uint32_t state = 1;
    for (size_t i = 0; i < r->floats; i++) {
        state = state * 1664525u + 1013904223u;
        (*host)[i] = (float)(state >> 8) / 16777216.0f; /* [0, 1) */
    }
    cl_mem *const buffers[] = {&r->from, &r->to};
    for (int i = 0; i < 2; i++) {
        *buffers[i] =
            r->cl->api.clCreateBuffer(r->cl->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                      r->floats * sizeof **host, *host, &error);
        if (!say(r, "clCreateBuffer", error))
            return false;
    }
    return true;
}

void roofs_cl_end(roofs_cl *r)
{
    if (r->to != NULL)
        r->cl->api.clReleaseMemObject(r->to);
    if (r->from != NULL)
        r->cl->api.clReleaseMemObject(r->from);
}
