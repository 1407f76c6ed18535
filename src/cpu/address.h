/*
 * Where the tokens of one problem lie: View and Grid of kernels/args.h, resolved for a picture, a
 * window and a head.
 */
#ifndef CLATTN_SRC_CPU_ADDRESS_H
#define CLATTN_SRC_CPU_ADDRESS_H

#include <stdbool.h>

#include "cpu/storage.h"
#include "kernels/args.h"

/* Offsets are in elements, from the start of the buffer. */
typedef struct tokens {
    i64 base, row, token;
    i32 class_tokens;
    i32 window_h, window_w;
    i32 height, width; /* of the map, where a shifted window wraps */
    i32 top, left;     /* of the window in the map; top < 2 * height, left < 2 * width */
    bool linear;
} tokens;

/* p = picture * windows + window. */
static inline tokens tokens_of(const View *view, const Grid *grid, i64 p, i32 windows, i32 head)
{
    const i64 picture = p / windows;
    const i32 window = (i32)(p % windows);
    const i32 windows_x = grid->windows_x > 0 ? grid->windows_x : 1;
    return (tokens){
        .base = view->offset + picture * view->batch + window * view->window + head * view->head,
        .row = view->row,
        .token = view->token,
        .class_tokens = grid->class_tokens,
        .window_h = grid->window_h,
        .window_w = grid->window_w,
        .height = grid->height,
        .width = grid->width,
        .top = window / windows_x * grid->window_h + grid->shift_y,
        .left = window % windows_x * grid->window_w + grid->shift_x,
        .linear = grid->linear != 0,
    };
}

/* Agents, and whatever else is a plain list. */
static inline tokens tokens_linear(const View *view, i64 p, i32 windows, i32 head)
{
    const Grid list = {.linear = 1};
    return tokens_of(view, &list, p, windows, head);
}

/* i modulo size, for i < 2 * size. */
static inline i32 wrap(i32 i, i32 size)
{
    return i < size ? i : i - size;
}

/* Map token (y, x) of the window, class tokens not counted. */
static inline i64 map_offset(const tokens *t, i32 y, i32 x)
{
    if (t->linear)
        return t->base + (t->class_tokens + (i64)y * t->window_w + x) * t->token;
    return t->base + t->class_tokens * t->token + wrap(t->top + y, t->height) * t->row +
           wrap(t->left + x, t->width) * t->token;
}

/* offset[i] = where token first + i lies, for i < count. */
static inline void token_offsets(const tokens *t, i32 first, i32 count, i64 *offset)
{
    i32 i = 0;
    if (t->linear) {
        for (; i < count; i++)
            offset[i] = t->base + (i64)(first + i) * t->token;
        return;
    }
    for (; i < count && first + i < t->class_tokens; i++)
        offset[i] = t->base + (i64)(first + i) * t->token;
    i32 y = (first + i - t->class_tokens) / t->window_w;
    i32 x = (first + i - t->class_tokens) % t->window_w;
    for (; i < count; i++) {
        offset[i] = map_offset(t, y, x);
        if (++x == t->window_w) {
            x = 0;
            y++;
        }
    }
}

/* row[i] = buffer + where token first + i lies. `count` <= 64. */
#define TOKEN_ROWS_MAX 64
static inline void token_rows(const tokens *t, const elem *buffer, i32 first, i32 count,
                              const elem **row)
{
    i64 offset[TOKEN_ROWS_MAX];
    token_offsets(t, first, count, offset);
    for (i32 i = 0; i < count; i++)
        row[i] = buffer + offset[i];
}

#endif
