/* See pace.h. */
#include "bench/pace.h"

#include <math.h>

void bench_pace_open(bench_device *device, const bench_roofs *roofs, bench_pace *pace)
{
    pace->roofs = roofs;
    pace->bursts =
        device->cl != NULL ? bench_bursts_cl(device, roofs) : bench_bursts_cpu(device, roofs);
    /* The first ones compile. */
    for (int i = 0; i < 3; i++) {
        (void)bench_pace_burst(pace, BENCH_ROOF_COPY);
        (void)bench_pace_burst(pace, BENCH_ROOF_FMA);
    }
}

double bench_pace_burst(const bench_pace *pace, bench_roof_name roof)
{
    const double value = pace->roofs->roof[roof].value;
    if (pace->bursts.state == NULL || value <= 0.0)
        return 0.0;
    const double rate = pace->bursts.run(pace->bursts.state, roof);
    return rate > 0.0 ? rate / value : 0.0;
}

void bench_pace_close(bench_pace *pace)
{
    if (pace->bursts.state != NULL)
        pace->bursts.close(pace->bursts.state);
    pace->bursts.state = NULL;
}

/* As many bursts as are due after `ran` seconds of runs; their mean is by time, as a run's is. */
static void take(bench_turns *turns, double ran)
{
    const int count = 1 + (int)(turns->part * ran / BENCH_BURST_SECONDS);
    const double start = command_now();
    double slowness = 0.0;
    turns->ended = start;
    for (int i = 0; i < count && turns->ended - start <= turns->part * ran; i++) {
        const double pace = bench_pace_burst(turns->pace, turns->roof);
        slowness += pace > 0.0 ? 1.0 / pace : HUGE_VAL; /* a failure: 0 in the mean */
        turns->reached = (i + 1) / slowness;
        turns->ended = command_now();
    }
    turns->took = turns->ended - start;
}

bench_turns bench_turns_begin(const bench_pace *pace, bench_roof_name roof, double *paces)
{
    bench_turns turns = {.pace = pace,
                         .roof = roof,
                         .least = BENCH_TURN_SECONDS,
                         .part = BENCH_TURN_PART,
                         .paces = paces};
    take(&turns, 0.0);
    return turns;
}

double bench_turns_after(bench_turns *turns, int runs, bool last)
{
    const double ran = command_now() - turns->ended;
    if (!last && (ran < turns->least || ran < BENCH_TURN_BURSTS * turns->took))
        return 0.0;
    const double before = turns->reached;
    take(turns, ran);
    const double after = turns->reached;
    const double mean = before > 0.0 && after > 0.0 ? 0.5 * (before + after) : 0.0;
    while (turns->known < runs)
        turns->paces[turns->known++] = mean;
    return turns->took;
}
