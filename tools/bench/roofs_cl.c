/* The roofs of an OpenCL device, by the kernels of roofs.cl. */
#include "bench/device.h"
#include "bench/roofs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char bench_roofs_source[];
extern const size_t bench_roofs_source_bytes;

/* A launch is made as long as this, and never meant to be longer than the 50 ms after which desktops kill one. */
#define LAUNCH_SECONDS 0.01

#define LEAST_TURNS   3
#define LAUNCHES      200
#define LOCAL_VECTORS 256
#define COPY_BLOCK    64
/* Most floats in the chains of an item: beyond that, registers have run out everywhere. */
#define MOST_FLOATS_CPU (16 * 48)
#define MOST_FLOATS_GPU 128

typedef struct roofs_cl {
    bench_device *device;
    const bench_cl *cl;
    double seconds; /* per form */
    const bench_roofs *earlier;
    bool events;
    bool cpu;            /* one item per group, wide vectors */
    size_t group, items; /* of kernels of chains */
    size_t most_floats;  /* in the chains of an item */
    size_t copy_floats;  /* of each of the two buffers */
    cl_mem from, to;     /* random */
    bool half_precision;
} roofs_cl;

static bool say(const roofs_cl *r, const char *what, cl_int error)
{
    if (error != CL_SUCCESS)
        command_error(r->device->cmd, "roofs: %s failed on %s: error %d", what,
                      r->device->info.name, (int)error);
    return error == CL_SUCCESS;
}

/* A kernel of its own; NULL where this device's compiler refuses the form. */
static cl_kernel build(const roofs_cl *r, const char *name, const char *options)
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

/* Seconds of one launch, by events where they are believed; negative on failure. */
static double launch(const roofs_cl *r, cl_kernel kernel, size_t items, size_t group, bool events)
{
    const bench_cl_api *const api = &r->cl->api;
    cl_event event = NULL;
    const double start = command_now();
    if (api->clEnqueueNDRangeKernel(r->cl->queue, kernel, 1, NULL, &items,
                                    group > 0 ? &group : NULL, 0, NULL, &event) != CL_SUCCESS)
        return -1.0;
    const bool done = api->clFinish(r->cl->queue) == CL_SUCCESS;
    const double wall = command_now() - start;
    const double seconds = !events ? wall
                                   : bench_cl_seconds(r->cl, event, CL_PROFILING_COMMAND_START,
                                                      event, CL_PROFILING_COMMAND_END);
    api->clReleaseEvent(event);
    return done ? seconds : -1.0;
}

/* Seconds of the fastest launch within the time; negative on failure. */
static double fastest(const roofs_cl *r, cl_kernel kernel, size_t items, size_t group)
{
    const double end = command_now() + r->seconds;
    double best = launch(r, kernel, items, group, r->events); /* warms up, too */
    for (int turn = 0; best >= 0.0 && (turn < LEAST_TURNS || command_now() < end); turn++) {
        const double seconds = launch(r, kernel, items, group, r->events);
        if (seconds > 0.0 && (best <= 0.0 || seconds < best))
            best = seconds;
    }
    return best;
}

/* Kernels of chains. ------------------------------------------------------- */

typedef struct chain_kernel {
    const roofs_cl *r;
    const char *name;
    double per_element; /* amount per step of one element of a vector */
    bool two_buffers;   /* fma_loop: its terms lie in the other one */
    bool in_from;       /* exp2_loop: where the values stay below 1 */
    const char *options;
} chain_kernel;

static bool set_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index, cl_int steps)
{
    return r->cl->api.clSetKernelArg(kernel, index, sizeof steps, &steps) == CL_SUCCESS;
}

/* How many steps make a launch long enough: more until it takes a tenth of that, then by proportion. */
static cl_int choose_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index)
{
    cl_int steps = 64;
    for (;;) {
        if (!set_steps(r, kernel, index, steps))
            return 0;
        /* Of several: the first may compile, and other work of the machine must not look like a long launch. */
        double seconds = launch(r, kernel, r->items, r->group, r->events);
        for (int turn = 1; seconds >= 0.0 && turn < LEAST_TURNS; turn++) {
            const double again = launch(r, kernel, r->items, r->group, r->events);
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

static double chain_rate(void *user, int width, int chains)
{
    const chain_kernel *const c = user;
    const roofs_cl *const r = c->r;
    const bench_cl_api *const api = &r->cl->api;
    char options[128];
    if ((size_t)width * (size_t)chains > r->most_floats)
        return 0.0;
    snprintf(options, sizeof options, "-DWIDTH=%d -DCHAINS=%d -DLOCAL_VECTORS=%d%s%s", width,
             chains, LOCAL_VECTORS, *c->options != '\0' ? " " : "", c->options);
    cl_kernel kernel = build(r, c->name, options);
    if (kernel == NULL)
        return 0.0;
    cl_uint index = 0;
    bool ready = api->clSetKernelArg(kernel, index++, sizeof(cl_mem),
                                     c->in_from ? &r->from : &r->to) == CL_SUCCESS;
    if (c->two_buffers)
        ready =
            ready && api->clSetKernelArg(kernel, index++, sizeof r->from, &r->from) == CL_SUCCESS;
    const cl_int steps = ready ? choose_steps(r, kernel, index) : 0;
    double seconds = -1.0;
    if (steps > 0 && set_steps(r, kernel, index, steps))
        seconds = fastest(r, kernel, r->items, r->group);
    api->clReleaseKernel(kernel);
    return seconds > 0.0
               ? c->per_element * (double)r->items * width * chains * (double)steps / seconds
               : 0.0;
}

static const bench_roof *earlier_roof(const roofs_cl *r, bench_roof_name name)
{
    return r->earlier != NULL ? &r->earlier->roof[name] : NULL;
}

static void search(const roofs_cl *r, chain_kernel *kernel, bench_roof_name name, const char *what,
                   bench_roofs *roofs)
{
    static const int for_cpu[] = {8, 16}, for_gpu[] = {1, 2, 4};
    const bench_search forms = {.rate = chain_rate,
                                .user = kernel,
                                .widths = r->cpu ? for_cpu : for_gpu,
                                .width_count = r->cpu ? 2 : 3,
                                .what = what,
                                .earlier = earlier_roof(r, name)};
    bench_roofs_search(&forms, &roofs->roof[name]);
}

static void measure_chains(const roofs_cl *r, bench_roofs *roofs)
{
    chain_kernel fma32 = {r, "fma_loop", 2.0, true, false, ""};
    chain_kernel fma16 = {r, "fma_loop", 2.0, true, false, "-DHALF=1"};
    chain_kernel exp2s = {r, "exp2_loop", 1.0, false, true, ""};
    chain_kernel polynomial = {r, "exp2_loop", 1.0, false, true, "-DPOLYNOMIAL=1"};
    chain_kernel local = {r, "local_read", sizeof(float), false, false, ""};
    search(r, &fma32, BENCH_ROOF_FMA, "float", roofs);
    if (r->half_precision)
        search(r, &fma16, BENCH_ROOF_FMA16, "half", roofs);
    search(r, &exp2s, BENCH_ROOF_EXP2, "float", roofs);
    if (r->cpu)
        search(r, &polynomial, BENCH_ROOF_EXP2, "polynomial, float", roofs);
    search(r, &local, BENCH_ROOF_LOCAL, "float", roofs);
}

/* Memory. ------------------------------------------------------------------ */

/* One form of copy or gather. Operators read more than they write, so the better of both is what memory can do. */
static void measure_memory_form(const roofs_cl *r, const char *name, int width, int block,
                                bool spread, bench_roof *roof)
{
    const bench_cl_api *const api = &r->cl->api;
    const bool copies = strcmp(name, "copy") == 0;
    char options[128], form[64];
    snprintf(options, sizeof options, "-DWIDTH=%d -DBLOCK=%d -DSPREAD=%d", width, block, spread);
    snprintf(form, sizeof form, "%s, float%d x %d", name, width, block);
    if (!bench_roof_wanted(earlier_roof(r, BENCH_ROOF_COPY), form))
        return;
    cl_kernel kernel = build(r, name, options);
    if (kernel == NULL)
        return;
    const size_t floats = (size_t)width * (size_t)block;
    size_t items = r->copy_floats / floats;
    items -= items % r->group;
    if (items > 0 && api->clSetKernelArg(kernel, 0, sizeof r->from, &r->from) == CL_SUCCESS &&
        api->clSetKernelArg(kernel, 1, sizeof r->to, &r->to) == CL_SUCCESS) {
        const double seconds = fastest(r, kernel, items, r->group);
        const double read = (double)(items * floats);
        const double written = copies ? read : (double)items * width;
        if (seconds > 0.0)
            bench_roof_keep(roof, (double)sizeof(float) * (read + written) / seconds, form);
    }
    api->clReleaseKernel(kernel);
}

/* The driver's own copy. */
static void measure_driver_copy(const roofs_cl *r, bench_roof *roof)
{
    const bench_cl_api *const api = &r->cl->api;
    static const char driver_copy[] = "clEnqueueCopyBuffer";
    const size_t bytes = r->copy_floats * sizeof(float);
    const double end = command_now() + r->seconds;
    double best = 0.0;
    if (!bench_roof_wanted(earlier_roof(r, BENCH_ROOF_COPY), driver_copy))
        return;
    for (int turn = 0; turn < LEAST_TURNS || command_now() < end; turn++) {
        const double start = command_now();
        if (api->clEnqueueCopyBuffer(r->cl->queue, r->from, r->to, 0, 0, bytes, 0, NULL, NULL) !=
                CL_SUCCESS ||
            api->clFinish(r->cl->queue) != CL_SUCCESS)
            return;
        const double seconds = command_now() - start;
        best = best <= 0.0 || seconds < best ? seconds : best;
    }
    bench_roof_keep(roof, best > 0.0 ? 2.0 * (double)bytes / best : 0.0, driver_copy);
}

static void measure_memory(const roofs_cl *r, bench_roofs *roofs)
{
    bench_roof *const roof = &roofs->roof[BENCH_ROOF_COPY];
    for (int turn = 0; turn < 2; turn++) {
        const char *const name = turn == 0 ? "copy" : "gather";
        if (r->cpu) {
            measure_memory_form(r, name, 8, 4 * COPY_BLOCK, false, roof);
            measure_memory_form(r, name, 16, 4 * COPY_BLOCK, false, roof);
        } else {
            measure_memory_form(r, name, 4, 4, true, roof);
            measure_memory_form(r, name, 4, COPY_BLOCK, true, roof);
            measure_memory_form(r, name, 1, COPY_BLOCK, true, roof);
        }
    }
    measure_driver_copy(r, roof);
}

/* Between host and device. `host` holds as much as the buffers. */
static void measure_transfer(const roofs_cl *r, float *host, bench_roofs *roofs)
{
    const bench_cl_api *const api = &r->cl->api;
    size_t bytes = r->copy_floats * sizeof(float);
    if (bytes > ((size_t)32 << 20))
        bytes = (size_t)32 << 20;
    for (int way = 0; way < 2; way++) {
        const double end = command_now() + r->seconds;
        for (int turn = 0; turn < LEAST_TURNS || command_now() < end; turn++) {
            const double start = command_now();
            const cl_int error = way == 0
                                     ? api->clEnqueueWriteBuffer(r->cl->queue, r->from, CL_TRUE, 0,
                                                                 bytes, host, 0, NULL, NULL)
                                     : api->clEnqueueReadBuffer(r->cl->queue, r->from, CL_TRUE, 0,
                                                                bytes, host, 0, NULL, NULL);
            if (error != CL_SUCCESS)
                break;
            bench_roof_keep(&roofs->roof[way == 0 ? BENCH_ROOF_TO_DEVICE : BENCH_ROOF_FROM_DEVICE],
                            (double)bytes / (command_now() - start), "blocking");
        }
    }
}

/* The median: the fastest of many is luck. */
static void measure_launch(const roofs_cl *r, bench_roofs *roofs)
{
    double seconds[LAUNCHES];
    int count = 0;
    cl_kernel kernel = build(r, "nothing", "");
    if (kernel == NULL)
        return;
    if (r->cl->api.clSetKernelArg(kernel, 0, sizeof r->to, &r->to) == CL_SUCCESS) {
        (void)launch(r, kernel, r->group, r->group, false);
        while (count < LAUNCHES) {
            const double one = launch(r, kernel, r->group, r->group, false);
            if (one < 0.0)
                break;
            seconds[count++] = one;
        }
    }
    r->cl->api.clReleaseKernel(kernel);
    bench_roof_keep(&roofs->roof[BENCH_ROOF_LAUNCH], bench_spread_of(seconds, count).median,
                    "enqueue and finish");
}

/*
 * Some drivers give times that cannot be (rusticl 22.3: 1 ns). The events are believed where they take up most of a long launch's wall
 * time and no more.
 */
static bool trust_events(const roofs_cl *r)
{
    bool trusted = false;
    cl_kernel kernel = build(r, "fma_loop", "-DWIDTH=4 -DCHAINS=4");
    if (kernel == NULL)
        return false;
    if (r->cl->api.clSetKernelArg(kernel, 0, sizeof r->to, &r->to) == CL_SUCCESS &&
        r->cl->api.clSetKernelArg(kernel, 1, sizeof r->from, &r->from) == CL_SUCCESS) {
        roofs_cl by_wall = *r;
        by_wall.events = false;
        const cl_int steps = choose_steps(&by_wall, kernel, 2);
        for (int turn = 0; turn < LEAST_TURNS && steps > 0 && !trusted; turn++) {
            const double start = command_now();
            const double event =
                set_steps(r, kernel, 2, steps) ? launch(r, kernel, r->items, r->group, true) : -1.0;
            const double wall = command_now() - start;
            trusted = event > 0.5 * wall && event < 1.02 * wall;
        }
    }
    r->cl->api.clReleaseKernel(kernel);
    return trusted;
}

/* Sizes, and two buffers that together are four times the last-level cache. */
static bool begin(roofs_cl *r, float **host)
{
    const clattn_device *const info = &r->device->info;
    uint64_t bytes = 2 * r->device->cache_bytes;
    cl_int error = CL_SUCCESS;
    r->cpu = info->kind == CLATTN_DEVICE_CPU && info->vector_width > 1;
    r->group = r->cpu ? 1 : info->max_work_group < 256 ? info->max_work_group : 256;
    r->items =
        r->cpu ? 8 * (size_t)info->compute_units : 8 * (size_t)info->compute_units * r->group;
    r->most_floats = r->cpu ? MOST_FLOATS_CPU : MOST_FLOATS_GPU;
    r->half_precision = r->cl->fp16;
    const uint64_t least = r->items * r->most_floats * sizeof(float);
    bytes = bytes < least ? least : bytes;
    bytes = bytes > info->allocation_bytes ? info->allocation_bytes : bytes;
    r->copy_floats = (size_t)(bytes / sizeof(float));
    *host = malloc(r->copy_floats * sizeof **host);
    if (*host == NULL) {
        command_error(r->device->cmd, "out of memory for the roofs");
        return false;
    }
    uint32_t state = 1;
    for (size_t i = 0; i < r->copy_floats; i++) {
        state = state * 1664525u + 1013904223u;
        (*host)[i] = (float)(state >> 8) / 16777216.0f; /* [0, 1) */
    }
    cl_mem *const buffers[] = {&r->from, &r->to};
    for (int i = 0; i < 2; i++) {
        *buffers[i] =
            r->cl->api.clCreateBuffer(r->cl->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                      r->copy_floats * sizeof **host, *host, &error);
        if (!say(r, "clCreateBuffer", error))
            return false;
    }
    return true;
}

bool bench_roofs_cl(bench_device *device, double seconds, const bench_roofs *earlier,
                    bench_roofs *roofs)
{
    roofs_cl r = {.device = device, .cl = device->cl, .seconds = seconds, .earlier = earlier};
    float *host = NULL;
    bool done = begin(&r, &host);
    if (done) {
        roofs->events = r.events = earlier != NULL ? earlier->events : trust_events(&r);
        measure_chains(&r, roofs);
        measure_memory(&r, roofs);
        measure_launch(&r, roofs);
        measure_transfer(&r, host, roofs);
        if (roofs->roof[BENCH_ROOF_FMA].value <= 0.0 || roofs->roof[BENCH_ROOF_COPY].value <= 0.0) {
            command_error(device->cmd, "roofs: no kernel of the bench's own runs on %s",
                          device->info.name);
            done = false;
        }
    }
    if (r.to != NULL)
        r.cl->api.clReleaseMemObject(r.to);
    if (r.from != NULL)
        r.cl->api.clReleaseMemObject(r.from);
    free(host);
    return done;
}
