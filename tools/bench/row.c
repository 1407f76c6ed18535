/* One row: plan, run once, compare, and only then measure. */
#include "bench/data.h"
#include "bench/device.h"
#include "bench/pace.h"

#include <stdio.h>
#include <stdlib.h>

/* A run that takes longer than this is no yardstick. */
#define LONGEST_ATTENTION 10.0
/* What part of the FMA roof ordinary attention is expected to reach, to tell before it runs. */
#define EXPECTED_SHARE 0.4

#define MOST_RUNS  4000
#define LEAST_RUNS 5
#define SLOW_RUN   0.5 /* seconds; fewer runs then */
#define SLOW_RUNS  3
#define WARM_UP    2

/* Of the device's memory, for the tensors of one row. */
#define MEMORY_SHARE 0.6

static void fail(bench_device *device, bench_row *row, const char *what, clattn_status status)
{
    const char *const sentence = device->chosen.sentence;
    row->outcome = BENCH_FAILED;
    snprintf(row->note, sizeof row->note, "%s: %s", what,
             *sentence != '\0' ? sentence : clattn_status_text(status));
}

/* How many sets of tensors: four times the last-level cache, within the memory. 0: not even one fits. */
static int64_t count_sets(const bench_device *device, const bench_layout *layout, bool warm)
{
    const uint64_t set = bench_layout_bytes(layout);
    const uint64_t memory = (uint64_t)(MEMORY_SHARE * (double)device->info.global_bytes);
    uint64_t sets = warm ? 1 : (4 * device->cache_bytes + set - 1) / set;
    if (sets > memory / set)
        sets = memory / set;
    for (int t = 0; t < BENCH_TENSORS; t++) {
        const uint64_t bytes = (uint64_t)layout->stride[t] * bench_type_bytes(layout->type);
        if (bytes > 0 && sets > device->info.allocation_bytes / bytes)
            sets = device->info.allocation_bytes / bytes;
    }
    return (int64_t)sets;
}

/* One run: the seconds until the host knows of its end, and those of the device, negative where unknown. */
typedef struct sample {
    double wall, device;
} sample;

static clattn_status time_cpu(const bench_run *run, int64_t set, sample *s)
{
    const double start = command_now();
    const clattn_status status = bench_run_once(run, set, NULL);
    s->wall = command_now() - start;
    s->device = -1.0;
    return status;
}

/*
 * A run of one launch is timed by its own event. One of several: from a marker in front, whose end is the moment at which the device
 * could begin, to the end of the last launch.
 */
static clattn_status time_cl(const bench_device *device, const bench_run *run, uint32_t launches,
                             int64_t set, sample *s)
{
    const bench_cl *const cl = device->cl;
    cl_event marker = NULL, done = NULL;
    const clattn_sync sync = {.done = &done};
    clattn_status status = CLATTN_OK;
    if (launches != 1 &&
        cl->api.clEnqueueMarkerWithWaitList(cl->queue, 0, NULL, &marker) != CL_SUCCESS)
        return CLATTN_E_OPENCL;
    const double start = command_now();
    status = bench_run_once(run, set, &sync);
    if (status == CLATTN_OK && cl->api.clFinish(cl->queue) != CL_SUCCESS)
        status = CLATTN_E_OPENCL;
    s->wall = command_now() - start;
    s->device = -1.0;
    if (status == CLATTN_OK)
        s->device = launches == 1 ? bench_cl_seconds(cl, done, CL_PROFILING_COMMAND_START, done,
                                                     CL_PROFILING_COMMAND_END)
                                  : bench_cl_seconds(cl, marker, CL_PROFILING_COMMAND_END, done,
                                                     CL_PROFILING_COMMAND_END);
    if (done != NULL)
        cl->api.clReleaseEvent(done);
    if (marker != NULL)
        cl->api.clReleaseEvent(marker);
    return status;
}

/* The runs that count. */
typedef struct samples {
    double *wall, *device, *pace, *paced;
    int count, by_device; /* by_device: how many have a time of the device */
} samples;

static clattn_status time_run(const bench_device *device, const bench_run *run,
                              const bench_row *row, int turn, sample *s)
{
    const int64_t set = (turn + 1) % row->sets;
    return device->cl == NULL ? time_cpu(run, set, s)
                              : time_cl(device, run, row->info.launches, set, s);
}

/* Takes turns with bursts of the roof that bounds the row. */
static clattn_status take_samples(const bench_device *device, const bench_settings *settings,
                                  const bench_pace *pace, const bench_run *run, bool slow,
                                  const bench_row *row, samples *all)
{
    const bool events = pace->roofs->events;
    const int least = slow ? SLOW_RUNS : LEAST_RUNS;
    const int warm_up = slow ? 0 : WARM_UP;
    clattn_status status = CLATTN_OK;
    sample s;
    for (int i = 0; i < warm_up && status == CLATTN_OK; i++)
        status = time_run(device, run, row, i, &s);
    bench_turns turns = bench_turns_begin(pace, row->pace_roof, all->pace);
    double end = command_now() + settings->seconds;
    for (bool enough = false; status == CLATTN_OK && !enough;) {
        status = time_run(device, run, row, warm_up + all->count, &s);
        all->wall[all->count++] = s.wall;
        if (events && s.device > 0.0)
            all->device[all->by_device++] = s.device;
        enough = all->count == MOST_RUNS || (all->count >= least && command_now() >= end);
        end += bench_turns_after(&turns, all->count, enough);
    }
    return status;
}

/* `first`: seconds of the run that was checked. */
static clattn_status measure(const bench_device *device, const bench_settings *settings,
                             const bench_pace *pace, const bench_run *run, double first,
                             bench_row *row)
{
    double *const room = malloc(4 * MOST_RUNS * sizeof *room);
    if (room == NULL)
        return CLATTN_E_NOMEM;
    samples all = {room, room + MOST_RUNS, room + 2 * MOST_RUNS, room + 3 * MOST_RUNS, 0, 0};
    const clattn_status status =
        take_samples(device, settings, pace, run, first > SLOW_RUN, row, &all);
    if (status == CLATTN_OK) {
        const bool by_device = all.by_device == all.count;
        for (int i = 0; i < all.count; i++)
            all.paced[i] = all.pace[i] * (by_device ? all.device[i] : all.wall[i]);
        row->wall = bench_spread_of(all.wall, all.count);
        row->device = bench_spread_of(all.device, by_device ? all.count : 0);
        row->pace = bench_spread_of(all.pace, all.count).median;
        row->paced_seconds = bench_spread_of(all.paced, all.count).median;
        row->outcome = BENCH_MEASURED;
    }
    free(room);
    return status;
}

/* With a plan and weights: everything that needs tensors. */
static void run_row(bench_device *device, const bench_settings *settings, const bench_pace *pace,
                    clattn_context *ctx, bench_run *run, const bench_weights *weights,
                    bench_row *row)
{
    bench_data data;
    double first = 0.0;
    const char *what = "its tensors could not be made";
    clattn_status status =
        bench_data_make(ctx, row->op, row->shape, settings->type, row->sets, weights, &data);
    run->data = &data;
    if (status == CLATTN_OK) {
        what = "it could not be run";
        const double start = command_now();
        status = bench_run_once(run, 0, NULL);
        if (status == CLATTN_OK)
            status = clattn_context_finish(ctx);
        first = command_now() - start;
    }
    if (status == CLATTN_OK) {
        what = "its result could not be compared";
        status = bench_check(run, weights, row);
    }
    if (status == CLATTN_OK && !(row->error <= row->tolerance)) {
        row->outcome = BENCH_WRONG;
        snprintf(row->note, sizeof row->note, "error %.3g, accepted is %.3g (against %s)",
                 row->error, row->tolerance, row->checked_with);
    } else if (status == CLATTN_OK) {
        what = "it could not be measured";
        status = measure(device, settings, pace, run, first, row);
    }
    if (status != CLATTN_OK)
        fail(device, row, what, status);
    bench_data_free(&data);
}

static bool skip(const bench_roofs *roofs, const bench_settings *settings, bench_row *row)
{
    const double rate = roofs->roof[BENCH_ROOF_FMA].value * EXPECTED_SHARE;
    const double expected = rate > 0.0 ? row->cost.flops / rate : 0.0;
    row->outcome = BENCH_SKIPPED;
    if (row->op == BENCH_ATTENTION && expected > LONGEST_ATTENTION)
        snprintf(row->note, sizeof row->note, "would take about %.0f s, more than %.0f s", expected,
                 LONGEST_ATTENTION);
    else if (row->op == BENCH_SMOOTH && settings->type != CLATTN_F32)
        snprintf(row->note, sizeof row->note, "pictures are f32");
    else
        return false;
    return true;
}

void bench_row_measure(bench_device *device, const bench_pace *pace, const bench_settings *settings,
                       bench_row *row)
{
    clattn_context *ctx = NULL;
    bench_run run = {0};
    bench_weights weights = {0};
    const bench_layout layout = bench_layout_of(row->op, row->shape, settings->type);
    row->cost = bench_cost_of(row->op, row->shape, settings->type);
    row->pace_roof = bench_bound_roof(&row->cost, pace->roofs, settings->warm);
    row->sets = count_sets(device, &layout, settings->warm);
    if (skip(pace->roofs, settings, row))
        return;
    if (row->sets == 0) {
        snprintf(row->note, sizeof row->note, "its tensors, %.1f GiB, do not fit the device",
                 (double)bench_layout_bytes(&layout) / (double)(1 << 30));
        return;
    }
    device->binary_bytes = 0;
    clattn_status status = bench_device_context(device, &ctx);
    if (status == CLATTN_OK && !bench_weights_make(row->shape, &weights))
        status = CLATTN_E_NOMEM;
    if (status == CLATTN_OK) {
        const double start = command_now();
        status = bench_run_plan(ctx, row->op, row->shape, settings->type, &run);
        row->plan_seconds = command_now() - start;
    }
    if (status == CLATTN_OK) {
        clattn_plan_get_info(run.plan, &row->info);
        run_row(device, settings, pace, ctx, &run, &weights, row);
    } else {
        fail(device, row, "it could not be planned", status);
    }
    bench_run_close(&run);
    bench_weights_free(&weights);
    clattn_context_destroy(&ctx); /* hands out its programs */
    row->binary_bytes = device->binary_bytes;
}

void bench_row_share(const bench_roofs *start, const bench_roofs *best,
                     const bench_settings *settings, bench_row *row)
{
    if (row->outcome != BENCH_MEASURED)
        return;
    const double bound = bench_bound(&row->cost, best, settings->warm);
    const double scale = start->roof[row->pace_roof].value / best->roof[row->pace_roof].value;
    row->pace *= scale;
    row->paced_seconds *= scale;
    row->share = bound / bench_row_time(row)->median;
    row->share_at_pace = row->pace > 0.0 ? bound / row->paced_seconds : 0.0;
}
