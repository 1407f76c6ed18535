/*
 * Writing a picture in rows; see picture_stream.h. libvips pulls what it writes, and here rows are pushed: the saver runs in a thread
 * of its own and pulls from a ring of encoded rows, which picture_sink_take() fills.
 */
#include <stdlib.h>
#include <string.h>

#include "picture_internal.h"
#include "picture_stream.h"

/* The ring: enough that neither side waits for the other at every row. */
#define RING_ROWS 64
/* What libvips buffers: two stretches of 256 rows, and a row of tiles. */
#define LIBRARY_ROWS 768
/* Measured, of the samples of a picture: 4 (WebP), 7 (AVIF, HEIC), 8 (WebP with alpha). */
#define WHOLE_COPIES 8

struct picture_sink {
    picture *picture;
    picture_source *alpha; /* the input once more, in step; NULL without alpha */
    VipsImage *out;
    GThread *thread;
    int bits;
    size_t row_bytes;
    unsigned char *rows; /* row y lies at y % RING_ROWS */

    GMutex mutex; /* guards what follows */
    GCond changed;
    int64_t filled, emptied; /* rows put into the ring, and taken out */
    bool stop;               /* no more rows come: the saver shall give up */
    bool ended, saved;       /* the saver's thread is through, and with success */
};

uint64_t picture_stream_bytes(const picture *picture)
{
    const uint64_t samples = (uint64_t)picture->colours + (picture->alpha ? 1 : 0);
    const uint64_t row =
        (uint64_t)picture->width * samples * (uint64_t)(picture__output_bits(picture) / 8);
    const uint64_t saver = picture_written_whole(picture)
                               ? row * (uint64_t)picture->height * WHOLE_COPIES
                               : row * LIBRARY_ROWS;
    return picture__source_bytes(picture, false) +
           (picture->alpha ? picture__source_bytes(picture, true) : 0) + row * RING_ROWS + saver;
}

bool picture_written_whole(const picture *picture)
{
    return picture__saved_whole(picture);
}

/* Waits for row y and copies it; false when it will not come. */
static bool pull_row(picture_sink *sink, int64_t y, void *row)
{
    g_mutex_lock(&sink->mutex);
    while (!sink->stop && sink->filled <= y)
        g_cond_wait(&sink->changed, &sink->mutex);
    const bool there = !sink->stop && y == sink->emptied;
    g_mutex_unlock(&sink->mutex);
    if (!there)
        return false;
    memcpy(row, sink->rows + (size_t)(y % RING_ROWS) * sink->row_bytes, sink->row_bytes);
    g_mutex_lock(&sink->mutex);
    sink->emptied = y + 1;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->mutex);
    return true;
}

/* libvips' only thread asks for whole rows, each once, from the top. */
static int pull(VipsRegion *region, void *sequence, void *a, void *b, gboolean *stop)
{
    (void)sequence;
    (void)b;
    (void)stop;
    picture_sink *sink = a;
    const VipsRect *valid = &region->valid;
    for (int y = valid->top; y < valid->top + valid->height; ++y) {
        if (valid->width != sink->picture->width ||
            !pull_row(sink, y, VIPS_REGION_ADDR(region, 0, y))) {
            vips_error("clattn", "row %d did not come", y);
            return -1;
        }
    }
    return 0;
}

static void *save(void *user)
{
    picture_sink *sink = user;
    const bool saved = picture__save(sink->picture, sink->out, true);
    vips_thread_shutdown();
    g_mutex_lock(&sink->mutex);
    sink->ended = true;
    sink->saved = saved;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->mutex);
    return NULL;
}

/* The pipeline in front of the saver, and its thread. */
static bool start(picture_sink *sink, picture_error *error)
{
    picture__one_thread();
    sink->out = picture__output_image(sink->picture, sink->bits, pull, sink);
    if (!sink->out)
        return picture__fail_vips(error, "the output");
    sink->row_bytes = VIPS_IMAGE_SIZEOF_LINE(sink->out);
    sink->rows = malloc(RING_ROWS * sink->row_bytes);
    if (!sink->rows)
        return picture__fail(error, "the output: the host is out of memory");
    sink->thread = g_thread_new("save", save, sink);
    return true;
}

bool picture_sink_open(picture *picture, picture_sink **sink, picture_error *error)
{
    picture_sink *made = calloc(1, sizeof *made);
    if (!made)
        return picture__fail(error, "the output: the host is out of memory");
    made->picture = picture;
    made->bits = picture__output_bits(picture);
    g_mutex_init(&made->mutex);
    g_cond_init(&made->changed);
    if ((picture->alpha && !picture_source_open(picture, &made->alpha, error)) ||
        !start(made, error)) {
        picture_sink_close(&made);
        return false;
    }
    *sink = made;
    return true;
}

/* Waits for a free row of the ring; false when the saver has ended. */
static bool wait_for_room(picture_sink *sink)
{
    g_mutex_lock(&sink->mutex);
    while (!sink->ended && sink->filled - sink->emptied == RING_ROWS)
        g_cond_wait(&sink->changed, &sink->mutex);
    const bool room = !sink->ended;
    g_mutex_unlock(&sink->mutex);
    return room;
}

bool picture_sink_take(picture_sink *sink, int64_t height, const float *rgb, int64_t row_stride,
                       picture_error *error)
{
    for (int64_t row = 0; row < height; ++row) {
        const int64_t y = sink->filled; /* which this thread alone changes */
        const unsigned char *original = NULL;
        if (sink->alpha && !picture__source_samples(sink->alpha, y, &original, error))
            return false;
        if (!wait_for_room(sink))
            return picture__fail_vips(error, "the output");
        picture__encode(sink->picture, sink->bits, rgb + row * row_stride, original,
                        sink->picture->width,
                        sink->rows + (size_t)(y % RING_ROWS) * sink->row_bytes);
        g_mutex_lock(&sink->mutex);
        sink->filled = y + 1;
        g_cond_broadcast(&sink->changed);
        g_mutex_unlock(&sink->mutex);
    }
    return true;
}

/* Ends the saver's thread, when there is one. */
static void join(picture_sink *sink)
{
    if (sink->thread)
        g_thread_join(sink->thread);
    sink->thread = NULL;
}

bool picture_sink_finish(picture_sink **sink, picture_error *error)
{
    picture *picture = (*sink)->picture;
    if ((*sink)->filled != picture->height)
        return picture__fail(error, "the output: %lld of %lld rows came",
                             (long long)(*sink)->filled, (long long)picture->height);
    join(*sink);
    const bool saved = (*sink)->saved || picture__fail_vips(error, "the output");
    picture_sink_close(sink);
    return saved && picture__commit(picture, error);
}

void picture_sink_close(picture_sink **sink)
{
    picture_sink *closing = *sink;
    if (!closing)
        return;
    g_mutex_lock(&closing->mutex);
    closing->stop = true;
    g_cond_broadcast(&closing->changed);
    g_mutex_unlock(&closing->mutex);
    join(closing);
    vips_error_clear(); /* what the saver has to say of its end */
    g_clear_object(&closing->out);
    picture_source_close(&closing->alpha);
    free(closing->rows);
    g_mutex_clear(&closing->mutex);
    g_cond_clear(&closing->changed);
    free(closing);
    *sink = NULL;
}
