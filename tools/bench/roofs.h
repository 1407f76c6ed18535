/* How roofs are found: the loop over forms is shared, what a form runs is OpenCL's or the CPU path's. */
#ifndef CLATTN_TOOLS_BENCH_ROOFS_H
#define CLATTN_TOOLS_BENCH_ROOFS_H

#include "bench/bench.h"

/* Amount (bytes, operations) per second, or a number <= 0 where the form cannot run here. */
typedef double bench_form_rate(void *user, int width, int chains);

/*
 * The best rate over vector widths and numbers of chains: for each width chains are doubled until the rate rises no more, and half a
 * step more is tried. Keeps the best in *roof. With an earlier best form only that one is run.
 */
typedef struct bench_search {
    bench_form_rate *rate;
    void *user;
    const int *widths;
    int width_count;
    const char *what;          /* in front of the form's name */
    const bench_roof *earlier; /* NULL: none */
} bench_search;

void bench_roofs_search(const bench_search *search, bench_roof *roof);

/*
 * Forms are searched in so many rounds over all roofs, each with its part of the time: what is chosen in one slow moment of a shared
 * machine is not the best form. The later measurement, of winners alone, needs one.
 */
#define BENCH_ROOF_ROUNDS 2

/* Whether a form is to be run: any at first, and later the one that was best. */
bool bench_roof_wanted(const bench_roof *earlier, const char *form);
/* Keeps the better one. */
void bench_roof_keep(bench_roof *roof, double value, const char *form);

/* False with an error printed. */
bool bench_roofs_cl(bench_device *device, double seconds, const bench_roofs *earlier,
                    bench_roofs *roofs);
bool bench_roofs_cpu(bench_device *device, double seconds, const bench_roofs *earlier,
                     bench_roofs *roofs);

#endif
