/* clattn smooth in tiles: within a byte budget, on one device or several, the picture never whole in memory (clattn/tile.h). */
#define _XOPEN_SOURCE 700 /* sysconf */

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "picture_stream.h"
#include "smooth.h"
#include "stop.h"

typedef struct tiled {
    smooth_work *work;
    picture_source *source;
    picture_sink *sink;
    clattn_tiling *tiling;
    picture_error error; /* why a callback failed */
} tiled;

static int fill(void *user, clattn_tile_input input, const clattn_tile_rect *rect, float *target,
                int64_t row_stride)
{
    (void)input; /* CLATTN_TILE_RGB: the filter asks for nothing else */
    tiled *tiled = user;
    return stop_signal() != 0 ||
           !picture_source_read(tiled->source, rect->y, rect->x, rect->height, rect->width, target,
                                row_stride, &tiled->error);
}

/* Strips: whole rows, from the top. */
static int take(void *user, const clattn_tile_rect *rect, const float *data, int64_t row_stride)
{
    tiled *tiled = user;
    return stop_signal() != 0 ||
           !picture_sink_take(tiled->sink, rect->height, data, row_stride, &tiled->error);
}

/*
 * The bar stays until the file is there. Called before the first tile, when all kernels are compiled: up to here Ctrl-C ends the
 * program, from here on it ends the run, at its next callback.
 */
static int show(void *user, double done)
{
    (void)user;
    stop_hold();
    command_progress(done < 0.99 ? done : 0.99);
    return stop_signal() != 0;
}

static int interrupted(tiled *tiled)
{
    smooth_fail(tiled->work, "interrupted");
    return 128 + stop_signal();
}

/* What the machine has; 0: not known. */
static uint64_t machine_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

/*
 * Refuses a picture whose rows alone exceed the budget, before any of it is decoded; mostly one that is held whole. Without --memory
 * the budget is half of the machine's, as the library takes it.
 */
static bool rows_fit(smooth_work *work, picture_error *error)
{
    const picture *picture = &work->picture;
    const uint64_t budget = work->settings->memory ? work->settings->memory : machine_bytes() / 2;
    work->stream_bytes = picture_stream_bytes(picture);
    if (budget == 0 || work->stream_bytes < budget)
        return true;
    const bool read = picture_read_whole(picture), written = picture_written_whole(picture);
    snprintf(error->text, sizeof error->text,
             "%s: too large: %s about %" PRIu64 " bytes, and %s %" PRIu64, picture->input,
             read ? "a file of its kind is decoded as a whole, which with what writing holds takes"
             : written ? "a file like OUT is encoded from the whole picture, which takes"
                       : "the rows that reading and writing hold take",
             work->stream_bytes,
             work->settings->memory ? "--memory gives" : "half of the machine's memory is", budget);
    return false;
}

static int fail_create(smooth_work *work, clattn_status status)
{
    const char *sentence = work->settings->device.sentence;
    char text[1536];
    if (*sentence == '\0')
        sentence = clattn_status_text(status);
    if (status == CLATTN_E_ARG && work->contexts.count > 1 && !work->settings->fast)
        snprintf(text, sizeof text,
                 "%s (that is --fast; the last bits then depend on which did what)", sentence);
    else if (status == CLATTN_E_BUDGET)
        snprintf(text, sizeof text,
                 "%s (and --memory about %" PRIu64 " more, for reading and writing)", sentence,
                 work->stream_bytes);
    else
        snprintf(text, sizeof text, "%s", sentence);
    return smooth_fail(work, text);
}

static clattn_status cut(tiled *tiled)
{
    smooth_work *work = tiled->work;
    const uint64_t memory = work->settings->memory;
    const clattn_smooth_desc desc = smooth_desc(work);
    const clattn_tile_options options = {
        .device_bytes = memory,
        .host_bytes = memory ? memory - work->stream_bytes : 0,
        .strips = 1,
        .fast = work->settings->fast,
    };
    const clattn_status status = clattn_smooth_tiling_create(
        work->contexts.list, work->contexts.count, &desc, &options, &tiled->tiling);
    if (status == CLATTN_OK)
        clattn_tiling_get_info(tiled->tiling, &work->tiling);
    return status;
}

static int run(tiled *tiled)
{
    smooth_work *work = tiled->work;
    const clattn_tile_io io = {
        .source = {fill, tiled, work->picture.height, work->picture.width},
        .sink = {take, tiled},
        .progress = show,
    };
    const double start = command_now();
    if (!picture_source_open(&work->picture, &tiled->source, &tiled->error) ||
        !picture_sink_open(&work->picture, &tiled->sink, &tiled->error))
        return smooth_fail(work, tiled->error.text);
    const clattn_status status = clattn_tiling_run(tiled->tiling, &io);
    /* Encoding the end of the picture cannot be stopped half-way: a signal then ends the program. */
    stop_release();
    if (stop_signal() != 0)
        return interrupted(tiled);
    if (status == CLATTN_E_CALLBACK)
        return smooth_fail(work, tiled->error.text);
    if (status != CLATTN_OK)
        return smooth_fail_library(work, status);
    if (!picture_sink_finish(&tiled->sink, &tiled->error))
        return smooth_fail(work, tiled->error.text);
    work->seconds = command_now() - start;
    return 0;
}

int smooth_tiled(smooth_work *work)
{
    tiled tiled = {.work = work};
    if (!rows_fit(work, &tiled.error))
        return smooth_fail(work, tiled.error.text);
    const clattn_status status = cut(&tiled);
    const int code = status == CLATTN_OK ? run(&tiled) : fail_create(work, status);
    picture_sink_close(&tiled.sink);
    picture_source_close(&tiled.source);
    clattn_tiling_destroy(&tiled.tiling);
    return code;
}
