/*
 * How fast the device is at the moment: short bursts of the roofs' best forms, which take turns with the runs of a row. pace_cl.c has
 * the bursts of an OpenCL device, roofs_cpu.c those of the CPU path.
 */
#ifndef CLATTN_TOOLS_BENCH_PACE_H
#define CLATTN_TOOLS_BENCH_PACE_H

#include "bench/bench.h"

/*
 * A burst of `fma_f32` takes this long at the roof's speed. One of `copy` is the launch that the roof was measured with, since many a
 * copy takes another way where it is shorter.
 */
#define BENCH_BURST_SECONDS 0.002
/* The runs between two bursts take at least this long, and at least so many times as long as a burst. */
#define BENCH_TURN_SECONDS 0.005
#define BENCH_TURN_BURSTS  2.0
/* Of the time of the runs before: bursts follow each other for as long, at least one. A single one is a poor sample of a long run. */
#define BENCH_TURN_PART 0.05

/* What keeps the best forms of two roofs ready, `copy` and `fma_f32`. */
typedef struct bench_bursts {
    void *state; /* NULL: none */
    /* One launch: amount per second, or a number <= 0 on failure. */
    double (*run)(void *state, bench_roof_name roof);
    void (*close)(void *state);
} bench_bursts;

bench_bursts bench_bursts_cl(bench_device *device, const bench_roofs *roofs);
bench_bursts bench_bursts_cpu(bench_device *device, const bench_roofs *roofs);

struct bench_pace {
    const bench_roofs *roofs; /* what the bursts are a part of */
    bench_bursts bursts;
};

/* What a burst reaches now, as a part of its roof; 0 where it is not known. */
double bench_pace_burst(const bench_pace *pace, bench_roof_name roof);

/* The turns of one row. */
typedef struct bench_turns {
    const bench_pace *pace;
    bench_roof_name roof;
    double least, part;   /* BENCH_TURN_SECONDS, BENCH_TURN_PART; tests have their own */
    double reached, took; /* of the last bursts */
    double ended;
    double *paces; /* of the runs: the mean of the bursts around each */
    int known;     /* how many of them are */
} bench_turns;

/* With the burst before the first run. */
bench_turns bench_turns_begin(const bench_pace *pace, bench_roof_name roof, double *paces);
/* After `runs` runs in all: bursts if it is time for one, and after the last. Returns their seconds. */
double bench_turns_after(bench_turns *turns, int runs, bool last);

#endif
