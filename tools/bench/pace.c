/* See pace.h. */
#include "bench/pace.h"

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

static double take(bench_turns *turns)
{
    const double start = command_now();
    turns->reached = bench_pace_burst(turns->pace, turns->roof);
    turns->ended = command_now();
    turns->took = turns->ended - start;
    return turns->reached;
}

bench_turns bench_turns_begin(const bench_pace *pace, bench_roof_name roof, double least,
                              double *paces)
{
    bench_turns turns = {.pace = pace, .roof = roof, .least = least, .paces = paces};
    (void)take(&turns);
    return turns;
}

double bench_turns_after(bench_turns *turns, int runs, bool last)
{
    const double ran = command_now() - turns->ended;
    if (!last && (ran < turns->least || ran < BENCH_TURN_BURSTS * turns->took))
        return 0.0;
    const double before = turns->reached;
    const double after = take(turns);
    const double mean = before > 0.0 && after > 0.0 ? 0.5 * (before + after) : 0.0;
    while (turns->known < runs)
        turns->paces[turns->known++] = mean;
    return turns->took;
}
