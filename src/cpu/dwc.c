/* The depthwise convolution alone: one row of one window, all heads. */
#include "cpu/convolve.h"
#include "cpu/table.h"

void cpu_dwc(const Dwc *args, const void *v, const float *weight, const float *bias, void *out,
             int64_t item)
{
    const Grid *grid = &args->grid;
    const i64 p = item / grid->window_h;
    const i32 row = (i32)(item % grid->window_h);
    /* The class tokens go with row 0. */
    const i32 first = row == 0 ? 0 : grid->class_tokens + row * grid->window_w;
    const i32 count = row == 0 ? grid->class_tokens + grid->window_w : grid->window_w;

    for (i32 head = 0; head < args->heads; head++) {
        const i64 channel = (i64)head * args->dim;
        const convolution c = {
            .v = v,
            .v_at = tokens_of(&args->v, grid, p, args->windows, head),
            .halo = args->halo,
            .resized = args->v_h != args->map_h || args->v_w != args->map_w,
            .v_h = args->v_h,
            .v_w = args->v_w,
            .v_top = args->v_top,
            .v_left = args->v_left,
            .map_h = args->map_h,
            .map_w = args->map_w,
            .top = args->top,
            .left = args->left,
            .weight = args->size > 0 ? weight + channel * args->size * args->size : NULL,
            .bias = args->has_bias ? bias + channel : NULL,
            .out = out,
            .out_at = tokens_of(&args->out, grid, p, args->windows, head),
            .size = args->size,
            .dim = args->dim,
            .shortcut = args->shortcut,
            .accumulate = args->accumulate != 0,
        };
        convolve(&c, first, count);
    }
}
