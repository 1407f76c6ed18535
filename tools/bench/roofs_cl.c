/* The roofs of an OpenCL device, by the kernels of roofs.cl. */
#include "bench/roofs_launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCHES   200
#define COPY_BLOCK 64

/* Kernels of chains. ------------------------------------------------------- */

static double chain_rate(void *user, int width, int chains)
{
    const chain_kernel *const c = user;
    chain_form form;
    const double rate = chain_form_open(c, width, chains, &form) ? chain_form_rate(c, &form) : 0.0;
    chain_form_close(c, &form);
    return rate;
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

static chain_kernel fma_kernel(const roofs_cl *r)
{
    return (chain_kernel){r, "fma_loop", 2.0, true, false, ""};
}

static void measure_chains(const roofs_cl *r, bench_roofs *roofs)
{
    chain_kernel fma32 = fma_kernel(r);
    chain_kernel fma16 = {r, "fma_loop", 2.0, true, false, "-DHALF=1"};
    chain_kernel exp2s = {r, "exp2_loop", 1.0, false, true, ""};
    chain_kernel polynomial = {r, "exp2_loop", 1.0, false, true, "-DPOLYNOMIAL=1"};
    chain_kernel local = {r, "local_read", sizeof(float), false, false, ""};
    search(r, &fma32, BENCH_ROOF_FMA, "float", roofs);
    if (r->cl->fp16)
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
    cl_kernel kernel = roofs_cl_build(r, name, options);
    if (kernel == NULL)
        return;
    const size_t floats = (size_t)width * (size_t)block;
    size_t items = r->floats / floats;
    items -= items % r->group;
    if (items > 0 && api->clSetKernelArg(kernel, 0, sizeof r->from, &r->from) == CL_SUCCESS &&
        api->clSetKernelArg(kernel, 1, sizeof r->to, &r->to) == CL_SUCCESS) {
        const double seconds = roofs_cl_fastest(r, kernel, items, r->group);
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
    const size_t bytes = r->floats * sizeof(float);
    const double end = command_now() + r->seconds;
    double best = 0.0;
    if (!bench_roof_wanted(earlier_roof(r, BENCH_ROOF_COPY), driver_copy))
        return;
    for (int turn = 0; turn < ROOFS_CL_LEAST_TURNS || command_now() < end; turn++) {
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
    size_t bytes = r->floats * sizeof(float);
    if (bytes > ((size_t)32 << 20))
        bytes = (size_t)32 << 20;
    for (int way = 0; way < 2; way++) {
        const double end = command_now() + r->seconds;
        for (int turn = 0; turn < ROOFS_CL_LEAST_TURNS || command_now() < end; turn++) {
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
    cl_kernel kernel = roofs_cl_build(r, "nothing", "");
    if (kernel == NULL)
        return;
    if (r->cl->api.clSetKernelArg(kernel, 0, sizeof r->to, &r->to) == CL_SUCCESS) {
        (void)roofs_cl_launch(r, kernel, r->group, r->group, false);
        while (count < LAUNCHES) {
            const double one = roofs_cl_launch(r, kernel, r->group, r->group, false);
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
    cl_kernel kernel = roofs_cl_build(r, "fma_loop", "-DWIDTH=4 -DCHAINS=4");
    if (kernel == NULL)
        return false;
    if (r->cl->api.clSetKernelArg(kernel, 0, sizeof r->to, &r->to) == CL_SUCCESS &&
        r->cl->api.clSetKernelArg(kernel, 1, sizeof r->from, &r->from) == CL_SUCCESS) {
        roofs_cl by_wall = *r;
        by_wall.events = false;
        const cl_int steps = roofs_cl_choose_steps(&by_wall, kernel, 2);
        for (int turn = 0; turn < ROOFS_CL_LEAST_TURNS && steps > 0 && !trusted; turn++) {
            const double start = command_now();
            const double event = roofs_cl_launch(r, kernel, r->items, r->group, true);
            const double wall = command_now() - start;
            trusted = event > 0.5 * wall && event < 1.02 * wall;
        }
    }
    r->cl->api.clReleaseKernel(kernel);
    return trusted;
}

bool bench_roofs_cl(bench_device *device, double seconds, const bench_roofs *earlier,
                    bench_roofs *roofs)
{
    roofs_cl r = {.device = device, .cl = device->cl, .seconds = seconds, .earlier = earlier};
    float *host = NULL;
    /* The two buffers together are four times the last-level cache. */
    bool done = roofs_cl_begin(&r, 2 * device->cache_bytes, &host);
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
    roofs_cl_end(&r);
    free(host);
    return done;
}

/* Pace. -------------------------------------------------------------------- */

typedef struct pace_cl {
    roofs_cl r;
    chain_kernel fma;
    chain_form form;
} pace_cl;

static double pace_rate(void *state)
{
    const pace_cl *const pace = state;
    return chain_form_rate(&pace->fma, &pace->form);
}

static void pace_close(void *state)
{
    pace_cl *const pace = state;
    chain_form_close(&pace->fma, &pace->form);
    roofs_cl_end(&pace->r);
    free(pace);
}

bench_pace_form bench_pace_form_cl(bench_device *device, const bench_roofs *roofs)
{
    const bench_roof *const roof = &roofs->roof[BENCH_ROOF_FMA];
    const bench_pace_form none = {NULL, NULL, NULL};
    pace_cl *const pace = calloc(1, sizeof *pace);
    float *host = NULL;
    if (pace == NULL)
        return none;
    pace->r = (roofs_cl){.device = device, .cl = device->cl, .events = roofs->events};
    pace->fma = fma_kernel(&pace->r);
    const bool ready = roofs_cl_begin(&pace->r, 0, &host) &&
                       chain_form_open(&pace->fma, roof->width, roof->chains, &pace->form);
    free(host);
    if (ready)
        return (bench_pace_form){pace, pace_rate, pace_close};
    pace_close(pace);
    return none;
}
