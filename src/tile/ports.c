#include "tile/ports.h"

#include <inttypes.h>

static const char *const input_names[] = {"q", "k", "v", "key_bias", "RGB"};

/* A piece of a rectangle that does not wrap around the picture, and where it lies in the rectangle's memory. */
typedef struct piece {
    clattn_tile_rect rect;
    int64_t row, column;
} piece;

/* The rectangle in pictures, in at most four pieces; returns how many. */
static int cut(const clattn__ports *p, const clattn_tile_rect *rect, bool keys, piece pieces[4])
{
    const int64_t height = keys ? p->kv_height : p->height;
    const int64_t width = keys ? p->kv_width : p->width;
    const bool whole = p->window_height == p->height && p->window_width == p->width;
    const int64_t windows_x = whole ? 1 : p->width / p->window_width;
    const int64_t windows = whole ? 1 : windows_x * (p->height / p->window_height);
    const int64_t window = rect->picture % windows;
    const int64_t top = window / windows_x * p->window_height + p->shift_y + rect->y;
    const int64_t left = window % windows_x * p->window_width + p->shift_x + rect->x;
    int count = 0;

    if (rect->class_count > 0) {
        pieces[0] = (piece){.rect = *rect};
        return 1;
    }
    for (int64_t row = 0, rows; row < rect->height; row += rows) {
        const int64_t y = (top + row) % height;
        rows = rect->height - row < height - y ? rect->height - row : height - y;
        for (int64_t column = 0, columns; column < rect->width; column += columns) {
            const int64_t x = (left + column) % width;
            columns = rect->width - column < width - x ? rect->width - column : width - x;
            pieces[count++] = (piece){.rect = {.picture = rect->picture / windows,
                                               .y = y,
                                               .x = x,
                                               .height = rows,
                                               .width = columns},
                                      .row = row,
                                      .column = column};
        }
    }
    return count;
}

static clattn_status check(const clattn__ports *p, int code, const char *who, const char *what,
                           const clattn_tile_rect *rect)
{
    clattn_status status = CLATTN_OK;

    if (code == 0)
        return CLATTN_OK;
    if (!atomic_flag_test_and_set(p->failed) && p->io->callback_code != NULL)
        *p->io->callback_code = code;
    CLATTN_CHECK(p->log, rect->class_count == 0, CLATTN_E_CALLBACK,
                 "the %s returned %d for %s of picture %" PRId64 ", class tokens %" PRId64
                 " to %" PRId64 "; 0 means success",
                 who, code, what, rect->picture, rect->class_first,
                 rect->class_first + rect->class_count);
    CLATTN_CHECK(p->log, false, CLATTN_E_CALLBACK,
                 "the %s returned %d for %s of picture %" PRId64 ", rows %" PRId64 " to %" PRId64
                 ", columns %" PRId64 " to %" PRId64 "; 0 means success",
                 who, code, what, rect->picture, rect->y, rect->y + rect->height, rect->x,
                 rect->x + rect->width);
out:
    return status;
}

clattn_status clattn__ports_fill(const clattn__ports *p, clattn_tile_input input,
                                 const clattn_tile_rect *rect, float *target, int64_t row_stride)
{
    clattn_status status = CLATTN_OK;
    const clattn_tile_source *source = &p->io->source;
    const bool keys = input != CLATTN_TILE_Q && input != CLATTN_TILE_RGB;
    piece pieces[4];
    const int count = cut(p, rect, keys, pieces);

    for (int i = 0; i < count; i++) {
        float *at = target + pieces[i].row * row_stride + pieces[i].column * p->channels[input];
        const int code = source->fill(source->user, input, &pieces[i].rect, at, row_stride);
        CLATTN_TRY(check(p, code, "source", input_names[input], &pieces[i].rect));
    }
out:
    return status;
}

clattn_status clattn__ports_take(const clattn__ports *p, const clattn_tile_rect *rect,
                                 const float *data, int64_t row_stride)
{
    clattn_status status = CLATTN_OK;
    const clattn_tile_sink *sink = &p->io->sink;
    piece pieces[4];
    const int count = cut(p, rect, false, pieces);

    for (int i = 0; i < count; i++) {
        const float *at = data + pieces[i].row * row_stride + pieces[i].column * p->out_channels;
        const int code = sink->take(sink->user, &pieces[i].rect, at, row_stride);
        CLATTN_TRY(check(p, code, "sink", "the output", &pieces[i].rect));
    }
out:
    return status;
}
