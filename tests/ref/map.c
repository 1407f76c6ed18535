/* Arrays, bilinear taps, and windows cut out of a map and put back. */
#include "ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double *ref_array(int64_t count)
{
    double *array = calloc(count > 0 ? (size_t)count : 1, sizeof *array);
    if (array == NULL) {
        fprintf(stderr, "oracle: no memory for %lld numbers\n", (long long)count);
        abort();
    }
    return array;
}

double *ref_widened(int64_t count, const float *values)
{
    double *array = ref_array(count);
    for (int64_t i = 0; i < count; i++)
        array[i] = (double)values[i];
    return array;
}

ref_taps ref_resize(int64_t in, int64_t out, int64_t i)
{
    double position = ((double)i + 0.5) * (double)in / (double)out - 0.5;
    if (position < 0.0)
        position = 0.0;
    const int64_t first = (int64_t)position;
    const double t = position - (double)first;
    return (ref_taps){first, first + 1 < in ? first + 1 : in - 1, 1.0 - t, t};
}

int64_t ref_map_tokens(const ref_map *m)
{
    return m->class_tokens + m->height * m->width;
}

int64_t ref_map_windows(const ref_map *m)
{
    return (m->height / m->window_h) * (m->width / m->window_w);
}

int64_t ref_window_tokens(const ref_map *m)
{
    return m->class_tokens + m->window_h * m->window_w;
}

/* The token of the map that is token t of window w, after the cyclic shift. */
static int64_t source_token(const ref_map *m, int64_t w, int64_t t)
{
    if (t < m->class_tokens)
        return t;
    const int64_t inner = t - m->class_tokens;
    const int64_t across = m->width / m->window_w;
    const int64_t y = (w / across) * m->window_h + inner / m->window_w;
    const int64_t x = (w % across) * m->window_w + inner % m->window_w;
    return m->class_tokens + (y + m->shift_y) % m->height * m->width + (x + m->shift_x) % m->width;
}

void ref_cut(const ref_map *m, int64_t batch, int64_t channels, const double *map, double *cut)
{
    const int64_t windows = ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    const size_t bytes = (size_t)channels * sizeof *cut;

    for (int64_t b = 0; b < batch; b++)
        for (int64_t w = 0; w < windows; w++)
            for (int64_t t = 0; t < tokens; t++)
                memcpy(cut + ((b * windows + w) * tokens + t) * channels,
                       map + (b * ref_map_tokens(m) + source_token(m, w, t)) * channels, bytes);
}

void ref_join(const ref_map *m, int64_t batch, int64_t channels, const double *cut, double *map)
{
    const int64_t windows = ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    const size_t bytes = (size_t)channels * sizeof *cut;

    for (int64_t b = 0; b < batch; b++)
        for (int64_t w = 0; w < windows; w++)
            for (int64_t t = 0; t < tokens; t++)
                memcpy(map + (b * ref_map_tokens(m) + source_token(m, w, t)) * channels,
                       cut + ((b * windows + w) * tokens + t) * channels, bytes);
}
