/* The roofs of an OpenCL device, by the kernels of roofs.cl. */
#include "bench/roofs_launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCHES 200

/* Kernels of chains. ------------------------------------------------------- */

static double chain_rate(void *user, int width, int chains)
{
    const chain_kernel *const c = user;
    roofs_form form;
    const bool open = chain_form_open(c, width, chains, 0.0, &form);
    const double rate = open ? roofs_form_rate(c->r, &form) : 0.0;
    roofs_form_close(c->r, &form);
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

static void measure_chains(const roofs_cl *r, bench_roofs *roofs)
{
    chain_kernel fma32 = chain_kernel_fma(r);
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

static void measure_memory(const roofs_cl *r, bench_roofs *roofs)
{
    for (int i = 0; i < memory_form_count(r); i++) {
        roofs_form form;
        if (memory_form_open(r, i, earlier_roof(r, BENCH_ROOF_COPY), &form))
            bench_roof_keep(&roofs->roof[BENCH_ROOF_COPY], roofs_form_rate(r, &form), form.name);
        roofs_form_close(r, &form);
    }
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
        (void)roofs_cl_launch(r, kernel, r->group, false);
        while (count < LAUNCHES) {
            const double one = roofs_cl_launch(r, kernel, r->group, false);
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
            const double event = roofs_cl_launch(r, kernel, r->items, true);
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
        const int rounds = earlier != NULL ? 1 : BENCH_ROOF_ROUNDS;
        r.seconds = seconds / rounds;
        for (int i = 0; i < rounds; i++) {
            measure_chains(&r, roofs);
            measure_memory(&r, roofs);
        }
        r.seconds = seconds;
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
