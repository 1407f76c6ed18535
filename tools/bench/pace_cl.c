/* The bursts of an OpenCL device. */
#include "bench/pace.h"
#include "bench/roofs_launch.h"

#include <stdlib.h>

typedef struct pace_cl {
    roofs_cl r;
    roofs_form fma, copy;
    bool fma_runs, copy_runs;
} pace_cl;

static double run_burst(void *state, bench_roof_name roof)
{
    const pace_cl *const pace = state;
    if (roof == BENCH_ROOF_COPY)
        return pace->copy_runs ? roofs_form_once(&pace->r, &pace->copy) : 0.0;
    return pace->fma_runs ? roofs_form_once(&pace->r, &pace->fma) : 0.0;
}

static void close_bursts(void *state)
{
    pace_cl *const pace = state;
    roofs_form_close(&pace->r, &pace->copy);
    roofs_form_close(&pace->r, &pace->fma);
    roofs_cl_end(&pace->r);
    free(pace);
}

static void open_forms(pace_cl *pace, const bench_roofs *roofs)
{
    const bench_roof *const fma = &roofs->roof[BENCH_ROOF_FMA];
    const bench_roof *const copy = &roofs->roof[BENCH_ROOF_COPY];
    const chain_kernel kernel = chain_kernel_fma(&pace->r);
    pace->fma_runs = chain_form_open(&kernel, fma->width, fma->chains,
                                     fma->value * BENCH_BURST_SECONDS, &pace->fma);
    for (int i = 0; i < memory_form_count(&pace->r) && !pace->copy_runs; i++) {
        roofs_form_close(&pace->r, &pace->copy);
        pace->copy_runs = memory_form_open(&pace->r, i, copy, &pace->copy);
    }
}

bench_bursts bench_bursts_cl(bench_device *device, const bench_roofs *roofs)
{
    pace_cl *const pace = calloc(1, sizeof *pace);
    float *host = NULL;
    if (pace == NULL)
        return (bench_bursts){.state = NULL};
    pace->r = (roofs_cl){.device = device, .cl = device->cl, .events = roofs->events};
    if (roofs_cl_begin(&pace->r, 2 * device->cache_bytes, &host))
        open_forms(pace, roofs);
    free(host);
    return (bench_bursts){pace, run_burst, close_bursts};
}
