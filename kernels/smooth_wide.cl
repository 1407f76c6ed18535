/*
 * smooth_features_wide, smooth_norms_wide: what smooth_features and smooth_norms (smooth.cl) compute, for CPU devices, in a program of
 * their own. Of the features, neighbours share the sums of columns:
 * map      item = SEGMENT pixels of one row; global = (segments, height); one item per group; nothing to do where width is 0
 * private  3 * (SEGMENT + 2) sums
 * traffic  each pixel about once from memory and 3 times from cache; 5 floats per pixel and, where asked for, its norm out
 * barriers none
 * macros   SEGMENT, a multiple of 16
 */
#ifndef SEGMENT
#define SEGMENT 128
#endif

/* Sums of columns, colour after colour as in the picture: three floats of the column before the segment first. */
#define SUMS (3 * (SEGMENT + 2))

/* sums[i] = in the rows `top` .. `bottom` of the picture, float i after the colours of column `first`. */
static inline void sum_floats(const Features *args, __global const float *rgb, int first, int count,
                              int top, int bottom, float *sums)
{
    rgb += args->rgb.offset + first * args->rgb.token;
    int i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        floats sum = load_floats(0, rgb + top * args->rgb.row + i);
        for (int row = top + 1; row <= bottom; row++)
            sum += load_floats(0, rgb + row * args->rgb.row + i);
        store_floats(sum, 0, sums + i);
    }
    for (; i < count; i++) {
        sums[i] = rgb[top * args->rgb.row + i];
        for (int row = top + 1; row <= bottom; row++)
            sums[i] += rgb[row * args->rgb.row + i];
    }
}

/* The same where pixels are not next to each other, or hold more than three floats. */
static inline void sum_pixels(const Features *args, __global const float *rgb, int first, int count,
                              int top, int bottom, float *sums)
{
    for (int i = 0; i < count; i++) {
        __global const float *at =
            rgb + args->rgb.offset + (first + i / 3) * args->rgb.token + i % 3;
        sums[i] = at[top * args->rgb.row];
        for (int row = top + 1; row <= bottom; row++)
            sums[i] += at[row * args->rgb.row];
    }
}

/* Sums of the columns around the pixels x .. x + count - 1 over the rows `top` .. `bottom`; outside the picture `sums` stay as they are. */
static inline void sum_columns(const Features *args, __global const float *rgb, int x, int count,
                               int top, int bottom, float *sums)
{
    const int first = args->left + x > 0 ? x - 1 : x;
    const int last = min(x + count, args->map_w - args->left - 1);
    float *to = sums + 3 * (first - x + 1);
    if (args->rgb.token == 3)
        sum_floats(args, rgb, first, 3 * (last - first + 1), top, bottom, to);
    else
        sum_pixels(args, rgb, first, 3 * (last - first + 1), top, bottom, to);
}

/* inv_sigma_color / pixels that are added up for pixel x, in so many rows. */
static inline float factor_at(const Features *args, int x, int rows)
{
    const int map_x = args->left + x;
    const int columns = 1 + (map_x > 0 ? 1 : 0) + (map_x + 1 < args->map_w ? 1 : 0);
    return args->inv_sigma_color / (float)(columns * rows);
}

/* sums[i] = the means over three columns, over sigma_color, of the pixels of a segment: 3 * count floats. */
static inline void mean_columns(const Features *args, int x, int count, int rows, float *sums)
{
    const float inner = args->inv_sigma_color / (float)(3 * rows);
    const float ends[2] = {factor_at(args, x, rows), factor_at(args, x + count - 1, rows)};
    float first[3], last[3];
    for (int j = 0; j < 3; j++) { /* only at the ends may a column be missing */
        const int i = 3 * (count - 1) + j;
        last[j] = ((sums[i] + sums[i + 3]) + sums[i + 6]) * ends[1];
        first[j] = ((sums[j] + sums[j + 3]) + sums[j + 6]) * ends[0];
    }
    for (int i = 0; i < 3 * count; i += WIDTH) {
        const floats sum = (load_floats(0, sums + i) + load_floats(0, sums + i + 3)) +
                           load_floats(0, sums + i + 6);
        store_floats(sum * inner, 0, sums + i);
    }
    for (int j = 0; j < 3; j++) {
        sums[j] = first[j];
        sums[3 * (count - 1) + j] = last[j];
    }
}

/* One item: the pixels from (x, y) on. */
OUTLINED void segment_features(const Features *pixels, int x, int y,
                               __global const float *restrict rgb,
                               __global float *restrict features, __global float *restrict norms)
{
    const Features args = *pixels;
    const int count = min(SEGMENT, args.width - x);
    const int map_y = args.top + y;
    const int top = map_y > 0 ? y - 1 : y;
    const int bottom = map_y + 1 < args.map_h ? y + 1 : y;
    const size_t pixel = (size_t)y * (size_t)args.width + (size_t)x;
    float sums[SUMS + 2 * WIDTH] = {
        0.0f}; /* 0 outside the picture; the last vector reads further */

    sum_columns(&args, rgb, x, count, top, bottom, sums);
    mean_columns(&args, x, count, bottom - top + 1, sums);
    const float row = (float)map_y * args.inv_sigma_space;
    features += (size_t)args.feature_offset + 5 * pixel;
    norms += (size_t)args.feature_offset / 5 + pixel;
    for (int i = 0; i < count; i++) {
        const float column = (float)(args.left + x + i) * args.inv_sigma_space;
        vstore4((float4)(sums[3 * i], sums[3 * i + 1], sums[3 * i + 2], row), 0, features + 5 * i);
        features[5 * i + 4] = column;
        if (args.with_norms) {
            float sum = sums[3 * i] * sums[3 * i];
            sum = MAD(sums[3 * i + 1], sums[3 * i + 1], sum);
            sum = MAD(sums[3 * i + 2], sums[3 * i + 2], sum);
            sum = MAD(row, row, sum);
            norms[i] = -0.5f * MAD(column, column, sum);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
smooth_features_wide(const Features args, __global const float *restrict rgb,
                     __global float *restrict features, __global float *restrict norms)
{
    const int x = (int)get_global_id(0) * SEGMENT;
    const int y = (int)get_global_id(1);
    if (x < args.width && y < args.height)
        segment_features(&args, x, y, rgb, features, norms);
}

/* norms[i] = -|row i|^2 / 2; item = one row, one item per group. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
smooth_norms_wide(const Norms args, __global const float *restrict rows,
                  __global float *restrict norms)
{
    if (get_global_id(0) >= (size_t)args.count)
        return;
    const size_t i = (size_t)args.first + get_global_id(0);
    __global const float *row = rows + i * (size_t)args.dim;
    float sum = 0.0f;
    for (int j = 0; j < args.dim; j++)
        sum = MAD(row[j], row[j], sum);
    norms[i] = -0.5f * sum;
}
