#include "tile/lane.h"

#include <math.h>
#include <time.h>

#include "base/machine.h"

/*
 * Operations per second before anything is measured: at the usual 50 ms a first launch has 14 million (with MARGIN), a few
 * milliseconds on the slowest devices.
 */
#define FIRST_RATE 4e8

/* A launch is planned for this part of what is allowed: rates vary. */
#define MARGIN 0.7

/*
 * Most that one launch is faster, as it is planned, than the one before: a short one measures overheads, one without a launch of the
 * device's other lane beside it is faster than the next, and one that first touches its memory is much slower.
 */
#define GROWTH 1.25

static clattn_status open_role(clattn__tile_lane *lane, clattn__tile_role role, uint64_t bytes,
                               bool fresh)
{
    clattn_status status = CLATTN_OK;
    clattn__lane_view *view = &lane->view[role];
    void *mapped = NULL;

    CLATTN_TRY(lane->ctx->backend->map(lane->ctx, &lane->role[role], bytes, fresh, &mapped));
    view->pointer = mapped;
    view->bytes = bytes;
out:
    return status;
}

static clattn_status close_role(clattn__tile_lane *lane, clattn__tile_role role)
{
    float *pointer = lane->view[role].pointer;

    lane->view[role].pointer = NULL;
    return pointer != NULL ? lane->ctx->backend->unmap(lane->ctx, &lane->role[role], pointer)
                           : CLATTN_OK;
}

clattn_status clattn__lane_fill(clattn__tile_lane *lane, clattn__tile_role role, uint64_t bytes,
                                float **pointer)
{
    clattn_status status = CLATTN_OK;
    clattn__lane_view *view = &lane->view[role];

    if (view->pointer == NULL || view->bytes < bytes) {
        CLATTN_TRY(close_role(lane, role));
        CLATTN_TRY(open_role(lane, role, bytes, true));
        CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
    }
    view->filled = true;
    *pointer = view->pointer;
out:
    return status;
}

clattn_status clattn__lane_begin(clattn__tile_lane *lane)
{
    clattn_status status = CLATTN_OK;

    for (int r = 0; r < CLATTN__TILE_ROLES; r++) {
        const clattn_status closed = close_role(lane, r);
        status = status == CLATTN_OK ? closed : status;
    }
    return status;
}

clattn_status clattn__lane_end(clattn__tile_lane *lane, uint64_t result_bytes)
{
    clattn_status status = CLATTN_OK;

    for (int r = 0; r < CLATTN__TILE_ROLES; r++) {
        if (lane->view[r].filled)
            CLATTN_TRY(open_role(lane, r, lane->view[r].bytes, true));
        lane->view[r].filled = false;
    }
    if (result_bytes > 0)
        CLATTN_TRY(open_role(lane, CLATTN__TILE_RESULTS, result_bytes, false));
    CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
out:
    return status;
}

static double now(void)
{
    struct timespec t;
    clattn__machine_time(&t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Blocks of so many operations that one launch may have; below 1 where one is too many. */
static double fitting(const clattn__tile_lane *lane, clattn__pace_kind kind, double flops)
{
    const double rate = lane->pace.rate[kind] > 0.0 ? lane->pace.rate[kind] : FIRST_RATE;
    return rate * lane->pace.seconds * MARGIN / flops;
}

bool clattn__lane_fits(const clattn__tile_lane *lane, clattn__pace_kind kind, double flops)
{
    return fitting(lane, kind, flops) >= 1.0;
}

static void learn(clattn__lane_pace *pace, clattn__pace_kind kind, double flops, double seconds)
{
    const double before = pace->rate[kind] > 0.0 ? pace->rate[kind] : FIRST_RATE;
    const double measured = seconds > 0.0 ? flops / seconds : INFINITY;
    pace->rate[kind] = measured < GROWTH * before ? measured : GROWTH * before;
}

static clattn_status pace(void *user, const clattn__paced_work *work)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_lane *lane = user;

    for (int64_t first = 0; first < work->blocks;) {
        const double fit = fitting(lane, work->kind, work->flops);
        const int64_t left = work->blocks - first;
        const int64_t count = fit < 1.0 ? 1 : fit < (double)left ? (int64_t)fit : left;
        if (lane->pace.stopping(lane->pace.user))
            return CLATTN_E_CANCELLED;
        const int64_t launches = lane->pace.launches;
        const double start = now();
        CLATTN_TRY(work->piece(work->user, first, count));
        CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
        const double seconds = now() - start;
        learn(&lane->pace, work->kind, work->flops * (double)count, seconds);
        if (lane->pace.launches == launches && seconds > lane->pace.longest)
            lane->pace.longest = seconds;
        lane->pace.launches++;
        first += count;
    }
out:
    return status;
}

void clattn__lane_paced(clattn__tile_lane *lane)
{
    lane->pace.pacer = (clattn__pacer){pace, lane};
}
