/* What one thread of the CPU path can do: loops compiled once per instruction set, as src/cpu is. */
#ifndef CLATTN_TOOLS_BENCH_ROOFS_LANES_H
#define CLATTN_TOOLS_BENCH_ROOFS_LANES_H

#include <stdint.h>

/* Floats of a chain; chains that the loops below can be asked for are 2, 3, 4, 6, 8 and 12. */
#define BENCH_LANES       16
#define BENCH_LANE_CHAINS 12

typedef struct bench_lanes {
    const char *name; /* as the CPU path calls its code: clattn_device.driver */
    /* x <- x * terms[0 .. 15] + terms[16 .. 31], for chains * 16 floats of data; false where there is no such form. */
    int (*fma)(int chains, float *data, const float *terms, int64_t steps);
    /* x <- 2^(x - 1.25) */
    int (*exp2)(int chains, float *data, int64_t steps);
    /* Adds up `count` floats, a multiple of 64, in 64 sums. */
    void (*gather)(const float *from, int64_t count, float *sums);
} bench_lanes;

extern const bench_lanes bench_lanes_baseline, bench_lanes_avx2, bench_lanes_avx512;

#endif
