/* The roofs: names and units, and the search over forms. */
#include "bench/roofs.h"

#include <stdio.h>
#include <string.h>

const bench_roof_text bench_roof_texts[BENCH_ROOFS] = {
    [BENCH_ROOF_COPY] = {"copy", "memory, read + written", "GB/s", 1e-9},
    [BENCH_ROOF_FMA] = {"fma_f32", "multiply-adds, f32", "GFLOP/s", 1e-9},
    [BENCH_ROOF_FMA16] = {"fma_f16", "multiply-adds, f16", "GFLOP/s", 1e-9},
    [BENCH_ROOF_EXP2] = {"exp2", "exponentials", "G/s", 1e-9},
    [BENCH_ROOF_LOCAL] = {"local", "local memory, read", "GB/s", 1e-9},
    [BENCH_ROOF_LAUNCH] = {"launch", "launch of nothing", "us", 1e6},
    [BENCH_ROOF_TO_DEVICE] = {"to_device", "host to device", "GB/s", 1e-9},
    [BENCH_ROOF_FROM_DEVICE] = {"from_device", "device to host", "GB/s", 1e-9},
};

/* A rate that rises by less than this rises no more. */
#define RISE 1.02

#define MOST_CHAINS 64

void bench_roof_keep(bench_roof *roof, double value, const char *form)
{
    if (value <= roof->value)
        return;
    roof->value = value;
    snprintf(roof->form, sizeof roof->form, "%s", form);
}

bool bench_roof_wanted(const bench_roof *earlier, const char *form)
{
    return earlier == NULL || strcmp(earlier->form, form) == 0;
}

static double try_form(const bench_search *search, int width, int chains, bench_roof *roof)
{
    char form[64];
    const double value = search->rate(search->user, width, chains);
    snprintf(form, sizeof form, "%s%d x %d chains", search->what, width, chains);
    if (value > roof->value) {
        bench_roof_keep(roof, value, form);
        roof->width = width;
        roof->chains = chains;
    }
    return value;
}

/* All numbers of chains for one width. */
static void search_width(const bench_search *search, int width, bench_roof *roof)
{
    double best = 0.0;
    int best_chains = 0;
    for (int chains = 2; chains <= MOST_CHAINS; chains *= 2) {
        const double value = try_form(search, width, chains, roof);
        const bool rises = value > best * RISE;
        if (value > best) {
            best = value;
            best_chains = chains;
        }
        if (!rises)
            break;
    }
    if (best_chains > 0)
        (void)try_form(search, width, best_chains + best_chains / 2, roof);
}

void bench_roofs_search(const bench_search *search, bench_roof *roof)
{
    if (search->earlier != NULL) { /* the winner alone, if it is one of these forms */
        if (search->earlier->value > 0.0 &&
            strncmp(search->earlier->form, search->what, strlen(search->what)) == 0)
            (void)try_form(search, search->earlier->width, search->earlier->chains, roof);
        return;
    }
    for (int w = 0; w < search->width_count; w++)
        search_width(search, search->widths[w], roof);
}

bool bench_roofs_measure(bench_device *device, double seconds, const bench_roofs *earlier,
                         bench_roofs *roofs)
{
    *roofs = (bench_roofs){.events = false};
    return device->cl != NULL ? bench_roofs_cl(device, seconds, earlier, roofs)
                              : bench_roofs_cpu(device, seconds, earlier, roofs);
}
