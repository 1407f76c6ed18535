#include "tile/lane.h"

#include <time.h>

/* Before anything is measured: 1/20 of this is a first launch's work, a few milliseconds on the slowest devices. */
#define FIRST_RATE 4e8

/* A launch is planned for this part of what is allowed: rates vary. */
#define MARGIN 0.7

/* Most that one launch grows over the one before: a short one measures overheads. */
#define GROWTH 8.0

clattn_status clattn__lane_map(clattn__tile_lane *lane, clattn__tile_role role, uint64_t bytes,
                               bool fresh, float **pointer)
{
    clattn_status status = CLATTN_OK;
    void *mapped = NULL;

    CLATTN_TRY(lane->broken);
    CLATTN_TRY(lane->ctx->backend->map(lane->ctx, &lane->role[role], bytes, fresh, &mapped));
    *pointer = mapped;
out:
    return status;
}

clattn_status clattn__lane_unmap(clattn__tile_lane *lane, clattn__tile_role role, float *pointer,
                                 clattn_status status)
{
    if (pointer == NULL)
        return status;
    const clattn_status unmapped = lane->ctx->backend->unmap(lane->ctx, &lane->role[role], pointer);
    return status != CLATTN_OK ? status : unmapped;
}

clattn_status clattn__lane_leave(clattn__tile_lane *lane, clattn__tile_role role, float *pointer,
                                 clattn_status status)
{
    lane->broken = clattn__lane_unmap(lane, role, pointer, CLATTN_OK);
    return status;
}

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

clattn_status clattn__lane_pace(clattn__tile_lane *lane, const clattn__lane_work *work)
{
    clattn_status status = CLATTN_OK;

    for (int64_t first = 0; first < work->count;) {
        const double rate = lane->rate > 0.0 ? lane->rate : FIRST_RATE;
        const double fit = rate * work->seconds * MARGIN / work->flops;
        const int64_t left = work->count - first;
        const int64_t count = fit < 1.0 ? 1 : fit < (double)left ? (int64_t)fit : left;
        if (work->stopping(work->user))
            return CLATTN_E_CANCELLED;
        const double start = now();
        CLATTN_TRY(work->enqueue(work->user, lane, first, count));
        CLATTN_TRY(lane->ctx->backend->finish(lane->ctx));
        const double seconds = now() - start;
        if (seconds > 0.0) {
            const double measured = work->flops * (double)count / seconds;
            lane->rate = measured < GROWTH * rate ? measured : GROWTH * rate;
        }
        first += count;
    }
out:
    return status;
}
