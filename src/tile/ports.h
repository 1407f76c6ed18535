/* From a problem's rectangles to the caller's: windows and shifts become rectangles of pictures; callbacks are called, and checked. */
#ifndef CLATTN_SRC_TILE_PORTS_H
#define CLATTN_SRC_TILE_PORTS_H

#include <stdatomic.h>

#include "base/base.h"
#include "clattn/tile.h"

typedef struct clattn__ports {
    const clattn_log *log;
    const clattn_tile_io *io;
    atomic_flag
        *failed; /* set by the first callback that fails: its code is the one that is kept */
    int64_t height, width, kv_height, kv_width; /* of pictures */
    int64_t window_height, window_width;        /* of problems: the map, or a window */
    int64_t shift_y, shift_x;
    int64_t channels[5]; /* floats per token, by clattn_tile_input */
    int64_t out_channels;
} clattn__ports;

/* Fills `rect` (its `picture` is the problem's number) of an input. */
clattn_status clattn__ports_fill(const clattn__ports *ports, clattn_tile_input input,
                                 const clattn_tile_rect *rect, float *target, int64_t row_stride);

/* Hands `rect` of a problem's output to the sink. */
clattn_status clattn__ports_take(const clattn__ports *ports, const clattn_tile_rect *rect,
                                 const float *data, int64_t row_stride);

#endif
