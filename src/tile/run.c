#include "tile/run.h"

#include <inttypes.h>

/* ---- lanes and what they hold ---- */

static void free_device(clattn__tile_device *device, clattn_context *lane)
{
    for (int i = 0; i < CLATTN__SHARED_COUNT; i++)
        clattn_memory_free(lane, &device->shared[i]);
}

static void free_lane(clattn__tile_lane *lane)
{
    clattn_workspace_destroy(&lane->ws);
    clattn_plan_destroy(&lane->plan);
    clattn__steps_destroy(&lane->steps);
    clattn__lane_begin(
        lane); /* what is freed is the device's; nobody needs to know if it is lost */
    for (int r = 0; r < CLATTN__TILE_ROLES; r++)
        clattn_memory_free(lane->ctx, &lane->role[r]);
}

/* All that make_all() has made, be it all or not. */
static void free_all(clattn__tile_work *w)
{
    for (int i = w->lane_count - 1; i >= 0; i--) {
        clattn__tile_lane *lane = &w->lanes[i];
        if (lane->ctx == NULL)
            continue;
        free_lane(lane);
        if (i < w->tiling->device_count)
            free_device(lane->device, lane->ctx);
        clattn__context_lane_end(&lane->ctx);
    }
    clattn__free(w->lanes);
    w->lanes = NULL;
    w->lane_count = 0;
    clattn__tree_destroy(&w->tree);
}

static clattn_status take(clattn_context *ctx, uint64_t bytes, clattn_memory *memory)
{
    return bytes > 0 ? ctx->backend->alloc(ctx, bytes, memory) : CLATTN_OK;
}

/* What all tiles of a device share. */
static clattn_status make_device(const clattn__tile_work *w, clattn__tile_device *device,
                                 clattn_context *lane)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < CLATTN__SHARED_COUNT; i++)
        CLATTN_TRY(take(lane, w->cut.shared_bytes[i], &device->shared[i]));
out:
    return status;
}

/* Plans come first: they try kernels on a small buffer, which is free again before the lane's own are made. */
static clattn_status make_lane(clattn__tile_work *w, clattn__tile_lane *lane)
{
    clattn_status status = CLATTN_OK;
    const clattn_tiling *t = w->tiling;
    const clattn__steps_problem problem = clattn__stream_problem(t, &w->cut);

    CLATTN_TRY(clattn__context_lane(lane->device->ctx, &lane->ctx));
    clattn__lane_paced(lane);
    lane->pace.seconds = t->options.launch_ms * 1e-3;
    lane->pace.stopping = clattn__work_stopping;
    lane->pace.user = w;
    if (w->cut.whole)
        CLATTN_TRY(clattn__whole_plan(w, lane));
    else if (t->smoothing)
        CLATTN_TRY(clattn__steps_create_smooth(lane->ctx, &t->smooth, &problem, &lane->steps));
    else
        CLATTN_TRY(clattn__steps_create(lane->ctx, &t->desc, &problem, &lane->steps));
    if (lane->steps != NULL)
        lane->steps->pacer = &lane->pace.pacer;
    for (int r = 0; r < CLATTN__TILE_ROLES; r++)
        if (r != CLATTN__TILE_SCRATCH)
            CLATTN_TRY(take(lane->ctx, w->cut.role_bytes[r], &lane->role[r]));
    if (w->cut.whole)
        CLATTN_TRY(clattn_workspace_create(lane->plan, &lane->ws));
out:
    return status;
}

static bool no_room(clattn_status status)
{
    return status == CLATTN_E_DEVICE_NOMEM || status == CLATTN_E_BUDGET || status == CLATTN_E_NOMEM;
}

/* The lanes of one device. */
static clattn_status make_lanes(clattn__tile_work *w, int number)
{
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < w->cut.in_flight; i++) {
        clattn__tile_lane *lane = &w->lanes[i * w->tiling->device_count + number];
        lane->device = &w->tiling->devices[number];
        CLATTN_TRY(make_lane(w, lane));
        if (i == 0 && !w->cut.whole)
            CLATTN_TRY(make_device(w, lane->device, lane->ctx));
    }
out:
    return status;
}

/*
 * Everything for the cut in hand. A device that fails is dropped later: `failed` says which, and why. With `room`, one that fails
 * for want of memory ends it: there may be a finer cut for all.
 */
static clattn_status make_all(clattn__tile_work *w, bool room, clattn_status *failed)
{
    clattn_status status = CLATTN_OK;
    const int lanes = w->tiling->device_count * w->cut.in_flight;

    w->lanes = clattn__alloc_array((size_t)lanes, sizeof *w->lanes);
    CLATTN_CHECK(w->log, w->lanes != NULL, CLATTN_E_NOMEM, "no host memory for %d lanes", lanes);
    w->lane_count = lanes;
    if (!w->cut.whole)
        status = clattn__tree_create(w->cut.node_bytes, w->cut.nodes, &w->tree);
    CLATTN_CHECK(w->log, status == CLATTN_OK, status,
                 "no host memory for %" PRId64 " states of %" PRIu64 " bytes", w->cut.nodes,
                 w->cut.node_bytes);
    for (int i = 0; i < w->tiling->device_count; i++) {
        failed[i] = make_lanes(w, i);
        if (room && no_room(failed[i]))
            CLATTN_TRY(failed[i]);
    }
out:
    return status;
}

static int64_t work_groups(const clattn__tile_lane *lane)
{
    if (lane->steps == NULL && lane->plan == NULL)
        return 0;
    return clattn__plan_work_groups(lane->steps != NULL ? lane->steps->plan : lane->plan);
}

/* A device on which a lane had to take smaller work-groups than others gives other bits: it is dropped, but for fast runs. */
static void check_variants(const clattn__tile_work *w, clattn_status *failed)
{
    const int devices = w->tiling->device_count;
    int64_t most = 0;

    for (int i = 0; i < w->lane_count; i++)
        if (failed[i % devices] == CLATTN_OK && work_groups(&w->lanes[i]) > most)
            most = work_groups(&w->lanes[i]);
    for (int i = 0; i < w->lane_count && !w->tiling->options.fast; i++) {
        if (failed[i % devices] != CLATTN_OK || work_groups(&w->lanes[i]) == most)
            continue;
        clattn__log(w->log, CLATTN_LOG_ERROR,
                    "device %d refused a work-group that others took; without options.fast all must"
                    " run the same kernels, since bits depend on them",
                    i % devices);
        failed[i % devices] = CLATTN_E_OPENCL;
    }
}

/* A finer cut, where memory that was promised is not there: the half, else the three quarters, and so on. False: there is none. */
static bool cut_finer(clattn__tile_work *w, clattn_status why)
{
    clattn__tile_limits limits = w->tiling->limits;
    const uint64_t before = w->cut.device_bytes;

    for (uint64_t part = before / 2; part > 0; part /= 2) {
        uint64_t smallest = 0;
        limits.device_bytes = before - part;
        if (clattn__tile_cut_make(&w->tiling->problem, &limits, &w->cut, &smallest) != CLATTN_OK)
            continue;
        clattn__log(w->log, CLATTN_LOG_WARN,
                    "tiles of %" PRIu64 " bytes found no room (%s); going on with %" PRIu64, before,
                    clattn_status_name(why), w->cut.device_bytes);
        return true;
    }
    return false;
}

/* The coarsest cut that all devices have room for; where there is none, without those that have no room for the finest. */
static clattn_status make_room(clattn__tile_work *w, clattn_status *failed)
{
    clattn_status status = make_all(w, true, failed);

    while (no_room(status)) {
        free_all(w);
        const bool finer = cut_finer(w, status);
        status = make_all(w, finer, failed);
        if (!finer)
            break;
    }
    return status;
}

/* ---- the engine's owner ---- */

static bool poll(void *user, int64_t done)
{
    const clattn__tile_work *w = user;
    const double all = (double)w->cut.tiles;
    return w->io->progress != NULL &&
           w->io->progress(w->io->progress_user, (double)(w->done_before + done) / all) != 0;
}

static void dropped(void *user, int device, clattn_status status, int64_t tile)
{
    const clattn__tile_work *w = user;
    const char *name = w->tiling->devices[device].ctx->device.name;

    if (tile < 0)
        clattn__log(w->log, CLATTN_LOG_WARN,
                    "device %d, \"%s\", failed before its first tile or between passes (%s) and is"
                    " used no more; its tiles go elsewhere",
                    device, name, clattn_status_name(status));
    else
        clattn__log(w->log, CLATTN_LOG_WARN,
                    "device %d, \"%s\", failed in tile %" PRId64
                    " (%s) and is used no more; its tiles go elsewhere",
                    device, name, tile, clattn_status_name(status));
}

/* ---- the run ---- */

static void say_longest(const clattn__tile_work *w)
{
    double longest = 0.0;

    for (int i = 0; i < w->lane_count; i++)
        longest = w->lanes[i].pace.longest > longest ? w->lanes[i].pace.longest : longest;
    clattn__log(w->log, CLATTN_LOG_DEBUG,
                "the longest of the launches took %.1f ms of the %g that are allowed",
                longest * 1e3, (double)w->tiling->options.launch_ms);
}

static void set_ports(clattn__tile_work *w)
{
    const clattn_tiling *t = w->tiling;
    const clattn_agent_attention_desc *d = &t->desc;
    const clattn__tile_problem *p = &t->problem;
    const bool windows = d->window_height > 0;

    w->ports = (clattn__ports){.log = w->log,
                               .io = w->io,
                               .failed = &w->callback_failed,
                               .height = d->height,
                               .width = d->width,
                               .kv_height = windows ? d->height : p->kv_height,
                               .kv_width = windows ? d->width : p->kv_width,
                               .window_height = p->height,
                               .window_width = p->width,
                               .shift_y = d->shift_y,
                               .shift_x = d->shift_x,
                               .out_channels = p->heads * p->dim_v};
    w->ports.channels[CLATTN_TILE_Q] = p->heads * p->dim;
    w->ports.channels[CLATTN_TILE_K] = p->heads * p->dim;
    w->ports.channels[CLATTN_TILE_V] = p->heads * p->dim_v;
    w->ports.channels[CLATTN_TILE_KEY_BIAS] = p->heads;
    w->ports.channels[CLATTN_TILE_RGB] = CLATTN__COLOUR;
}

/* What the first run makes. A device that cannot be used says so in `failed`, and is dropped as soon as there is an engine. */
static clattn_status make_work(clattn_tiling *t, clattn_status *failed)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = clattn__alloc(sizeof *w);

    CLATTN_CHECK(&t->log, w != NULL, CLATTN_E_NOMEM, "no host memory for a tiled run");
    *w = (clattn__tile_work){.tiling = t, .log = &t->log, .cut = t->cut};
    t->work = w;
    CLATTN_TRY(make_room(w, failed));
    check_variants(w, failed);
out:
    return status;
}

void clattn__tiling_forget(clattn_tiling *t)
{
    if (t->work != NULL)
        free_all(t->work);
    clattn__free(t->work);
    t->work = NULL;
}

static void begin(clattn__tile_work *w, const clattn_tile_io *io)
{
    w->io = io;
    w->done_before = 0;
    atomic_flag_clear(&w->callback_failed);
    set_ports(w);
    for (int i = 0; i < w->lane_count; i++)
        w->lanes[i].pace.longest = 0.0;
}

/* After a run: whether the next one can go on with the same lanes. Where a device failed it begins anew, with all of them. */
static bool sound(const clattn__tile_work *w)
{
    for (int i = 0; i < w->tiling->device_count; i++)
        if (!clattn__engine_alive(w->engine, i))
            return false;
    return true;
}

clattn_status clattn__tiling_execute(clattn_tiling *t, const clattn_tile_io *io)
{
    clattn_status status = CLATTN_OK;
    clattn_status *failed = clattn__alloc_array((size_t)t->device_count, sizeof *failed);
    bool goes_on = false;

    CLATTN_CHECK(&t->log, failed != NULL, CLATTN_E_NOMEM, "no host memory for a tiled run");
    if (t->work == NULL)
        CLATTN_TRY(make_work(t, failed));
    clattn__tile_work *w = t->work;
    const clattn__engine_owner owner = {.user = w, .poll = poll, .dropped = dropped};
    begin(w, io);
    status = clattn__engine_create(t->device_count, w->cut.in_flight, &owner, &w->engine);
    CLATTN_CHECK(w->log, status == CLATTN_OK, status, "no host memory or threads for %d lanes",
                 w->lane_count);
    for (int i = 0; i < t->device_count; i++)
        if (failed[i] != CLATTN_OK)
            CLATTN_TRY(clattn__engine_drop(w->engine, i, failed[i]));
    status = w->cut.whole ? clattn__whole_run(w) : clattn__stream_run(w);
    goes_on = sound(w);
    CLATTN_TRY(status);
    say_longest(w);
    if (io->progress != NULL)
        io->progress(io->progress_user, 1.0);
out:
    if (t->work != NULL)
        clattn__engine_destroy(&t->work->engine);
    if (!goes_on)
        clattn__tiling_forget(t);
    clattn__free(failed);
    return status;
}
