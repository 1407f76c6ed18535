/* The roofs of the CPU path: the loops of roofs_lanes.c on as many threads as it has, by the wall clock. */
#include "bench/pace.h"
#include "bench/roofs.h"
#include "bench/roofs_lanes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCH_SECONDS 0.01
#define LEAST_TURNS    3
#define MOST_THREADS   1024
#define LOCAL_FLOATS   4096 /* 16 KiB: in every first cache */
#define COPY_FORM      "memcpy"

typedef enum task_kind { TASK_FMA, TASK_EXP2, TASK_LOCAL, TASK_COPY, TASK_GATHER } task_kind;

/* What each thread does; `floats` begin at its own part of the buffers. */
typedef struct task {
    const bench_lanes *lanes;
    task_kind kind;
    int chains;
    int64_t steps;
    const float *from;
    float *to;
    int64_t floats;
    int done;
} task;

typedef struct roofs_cpu {
    bench_device *device;
    double seconds;
    const bench_roofs *earlier;
    const bench_lanes *lanes;
    int threads;
    float *from, *to; /* random, `floats` each */
    int64_t floats;
    task_kind kind; /* of chain_rate() */
} roofs_cpu;

static void *work(void *arg)
{
    task *const t = arg;
    float data[BENCH_LANE_CHAINS * BENCH_LANES];
    memcpy(data, t->from, sizeof data);
    t->done = 1;
    switch (t->kind) {
    case TASK_FMA:
        t->done =
            t->lanes->fma(t->chains, data, t->from + BENCH_LANE_CHAINS * BENCH_LANES, t->steps);
        break;
    case TASK_EXP2:
        t->done = t->lanes->exp2(t->chains, data, t->steps);
        break;
    case TASK_LOCAL:
        for (int64_t s = 0; s < t->steps; s++)
            t->lanes->gather(t->from, LOCAL_FLOATS, data);
        break;
    case TASK_COPY:
        memcpy(t->to, t->from, (size_t)t->floats * sizeof(float));
        break;
    case TASK_GATHER:
        t->lanes->gather(t->from, t->floats, data);
        break;
    }
    if (t->kind != TASK_COPY)
        memcpy(t->to, data, sizeof data);
    return NULL;
}

/* Seconds of all threads together; negative where the form is not there or a thread could not be started. */
static double launch(const roofs_cpu *r, task_kind kind, int chains, int64_t steps)
{
    task tasks[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    const int64_t part = r->floats / r->threads / 64 * 64;
    int started = 1;
    bool good = true;
    for (int i = 0; i < r->threads; i++)
        tasks[i] =
            (task){r->lanes, kind, chains, steps, r->from + i * part, r->to + i * part, part, 0};
    const double start = command_now();
    while (started < r->threads && pthread_create(&ids[started], NULL, work, &tasks[started]) == 0)
        started++;
    (void)work(&tasks[0]);
    for (int i = 1; i < started; i++)
        pthread_join(ids[i], NULL);
    const double seconds = command_now() - start;
    for (int i = 0; i < r->threads; i++)
        good = good && tasks[i].done;
    return good ? seconds : -1.0;
}

static double fastest(const roofs_cpu *r, task_kind kind, int chains, int64_t steps)
{
    const double end = command_now() + r->seconds;
    double best = launch(r, kind, chains, steps);
    for (int turn = 0; best > 0.0 && (turn < LEAST_TURNS || command_now() < end); turn++) {
        const double seconds = launch(r, kind, chains, steps);
        best = seconds > 0.0 && seconds < best ? seconds : best;
    }
    return best;
}

static int64_t choose_steps(const roofs_cpu *r, task_kind kind, int chains)
{
    for (int64_t steps = 64;; steps *= 4) {
        /* Of several, since other work of the machine must not look like a long launch. */
        double seconds = launch(r, kind, chains, steps);
        for (int turn = 1; seconds > 0.0 && turn < LEAST_TURNS; turn++) {
            const double again = launch(r, kind, chains, steps);
            seconds = again < seconds ? again : seconds;
        }
        if (seconds <= 0.0)
            return 0;
        if (seconds > LAUNCH_SECONDS / 10.0)
            return (int64_t)((double)steps * LAUNCH_SECONDS / seconds) + 1;
    }
}

/* Operations of one step of all threads. */
static double chain_amount(const roofs_cpu *r, int width, int chains)
{
    return (r->kind == TASK_FMA ? 2.0 : 1.0) * r->threads * width * chains;
}

static double chain_rate(void *user, int width, int chains)
{
    const roofs_cpu *const r = user;
    const int64_t steps = chains <= BENCH_LANE_CHAINS ? choose_steps(r, r->kind, chains) : 0;
    const double seconds = steps > 0 ? fastest(r, r->kind, chains, steps) : 0.0;
    return seconds > 0.0 ? chain_amount(r, width, chains) * (double)steps / seconds : 0.0;
}

/* Bytes that a launch reads and writes. */
static double moved(const roofs_cpu *r, task_kind kind)
{
    const int64_t floats = r->floats / r->threads / 64 * 64 * r->threads;
    return (kind == TASK_COPY ? 2.0 : 1.0) * (double)sizeof(float) * (double)floats;
}

static void measure_memory(const roofs_cpu *r, bench_roofs *roofs)
{
    bench_roof *const roof = &roofs->roof[BENCH_ROOF_COPY];
    bench_roof_keep(roof, moved(r, TASK_COPY) / fastest(r, TASK_COPY, 0, 0), COPY_FORM);
    bench_roof_keep(roof, moved(r, TASK_GATHER) / fastest(r, TASK_GATHER, 0, 0), "gather");
    const int64_t steps = choose_steps(r, TASK_LOCAL, 0);
    const double local = (double)sizeof(float) * LOCAL_FLOATS * r->threads * (double)steps;
    bench_roof_keep(&roofs->roof[BENCH_ROOF_LOCAL], local / fastest(r, TASK_LOCAL, 0, steps),
                    "gather, 16 KiB");
}

static const bench_lanes *find_lanes(const char *name)
{
    const bench_lanes *const all[] = {
#ifdef BENCH_X86_VARIANTS
        &bench_lanes_avx2,
        &bench_lanes_avx512,
#endif
        &bench_lanes_baseline,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

/* Two buffers of `bytes` each, or of what the loops need if that is more. False with an error printed; end in any case. */
static bool begin(bench_device *device, uint64_t bytes, roofs_cpu *r)
{
    const uint32_t threads = device->info.compute_units;
    r->device = device;
    r->lanes = find_lanes(device->info.driver);
    r->threads = threads < MOST_THREADS ? (int)threads : MOST_THREADS;
    const int64_t least = (int64_t)r->threads * 2 * LOCAL_FLOATS;
    uint32_t state = 1;
    r->floats = (int64_t)(bytes / sizeof(float));
    if (r->floats < least)
        r->floats = least;
    r->from = malloc((size_t)r->floats * sizeof(float));
    r->to = malloc((size_t)r->floats * sizeof(float));
    for (int64_t i = 0; r->from != NULL && r->to != NULL && i < r->floats; i++) {
        state = state * 1664525u + 1013904223u;
        r->from[i] = r->to[i] = (float)(state >> 8) / 16777216.0f; /* [0, 1) */
    }
    if (r->lanes == NULL)
        command_error(r->device->cmd,
                      "roofs: the CPU path runs '%s' code, which the bench does not know",
                      r->device->info.driver);
    else if (r->from == NULL || r->to == NULL)
        command_error(r->device->cmd, "out of memory for the roofs");
    return r->lanes != NULL && r->from != NULL && r->to != NULL;
}

static void end(roofs_cpu *r)
{
    free(r->to);
    free(r->from);
}

static void search(roofs_cpu *r, task_kind kind, bench_roof_name name, bench_roofs *roofs)
{
    static const int widths[] = {BENCH_LANES};
    const bench_search forms = {.rate = chain_rate,
                                .user = r,
                                .widths = widths,
                                .width_count = 1,
                                .what = "lanes ",
                                .earlier = r->earlier != NULL ? &r->earlier->roof[name] : NULL};
    r->kind = kind;
    bench_roofs_search(&forms, &roofs->roof[name]);
}

bool bench_roofs_cpu(bench_device *device, double seconds, const bench_roofs *earlier,
                     bench_roofs *roofs)
{
    roofs_cpu r = {.earlier = earlier};
    /* The two buffers together are four times the last-level cache. */
    const bool done = begin(device, 2 * device->cache_bytes, &r);
    if (done) {
        const int rounds = earlier != NULL ? 1 : BENCH_ROOF_ROUNDS;
        r.seconds = seconds / rounds;
        for (int i = 0; i < rounds; i++) {
            search(&r, TASK_FMA, BENCH_ROOF_FMA, roofs);
            search(&r, TASK_EXP2, BENCH_ROOF_EXP2, roofs);
            measure_memory(&r, roofs);
        }
    }
    end(&r);
    return done;
}

/* Bursts. ------------------------------------------------------------------ */

typedef struct pace_cpu {
    roofs_cpu r;
    int chains; /* of TASK_FMA */
    int64_t steps;
    task_kind kind; /* of memory */
} pace_cpu;

static double run_burst(void *state, bench_roof_name roof)
{
    const pace_cpu *const pace = state;
    const bool moves = roof == BENCH_ROOF_COPY;
    const double seconds = moves ? launch(&pace->r, pace->kind, 0, 0)
                                 : launch(&pace->r, TASK_FMA, pace->chains, pace->steps);
    const double amount =
        moves ? moved(&pace->r, pace->kind)
              : chain_amount(&pace->r, BENCH_LANES, pace->chains) * (double)pace->steps;
    return seconds > 0.0 ? amount / seconds : 0.0;
}

static void close_bursts(void *state)
{
    pace_cpu *const pace = state;
    end(&pace->r);
    free(pace);
}

bench_bursts bench_bursts_cpu(bench_device *device, const bench_roofs *roofs)
{
    const bench_roof *const fma = &roofs->roof[BENCH_ROOF_FMA];
    pace_cpu *const pace = calloc(1, sizeof *pace);
    if (pace == NULL)
        return (bench_bursts){.state = NULL};
    if (!begin(device, 2 * device->cache_bytes, &pace->r)) {
        close_bursts(pace);
        return (bench_bursts){.state = NULL};
    }
    pace->r.kind = TASK_FMA;
    pace->chains = fma->chains;
    if (pace->chains > 0)
        pace->steps = 1 + (int64_t)(fma->value * BENCH_BURST_SECONDS /
                                    chain_amount(&pace->r, BENCH_LANES, pace->chains));
    pace->kind =
        strcmp(roofs->roof[BENCH_ROOF_COPY].form, COPY_FORM) == 0 ? TASK_COPY : TASK_GATHER;
    return (bench_bursts){pace, run_burst, close_bursts};
}
