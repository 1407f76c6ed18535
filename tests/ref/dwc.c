/* Depthwise convolution: resize v to the map, cut windows, convolve each with zeros around it, put them back. */
#include "ref.h"

#include <stdlib.h>

void ref_resize_map(const ref_dwc_shape *s, const double *v, double *out)
{
    const int64_t channels = s->heads * s->dim;
    const int64_t cls = s->map.class_tokens;
    const int64_t in_tokens = cls + s->in_height * s->in_width;

    for (int64_t b = 0; b < s->batch; b++) {
        const double *in = v + b * in_tokens * channels;
        double *to = out + b * ref_map_tokens(&s->map) * channels;
        for (int64_t i = 0; i < cls * channels; i++)
            to[i] = in[i];
        for (int64_t y = 0; y < s->map.height; y++)
            for (int64_t x = 0; x < s->map.width; x++) {
                const ref_taps ty = ref_resize(s->in_height, s->map.height, y);
                const ref_taps tx = ref_resize(s->in_width, s->map.width, x);
                const double *first = in + (cls + ty.first * s->in_width) * channels;
                const double *second = in + (cls + ty.second * s->in_width) * channels;
                for (int64_t c = 0; c < channels; c++)
                    to[(cls + y * s->map.width + x) * channels + c] =
                        ty.weight_first * (tx.weight_first * first[tx.first * channels + c] +
                                           tx.weight_second * first[tx.second * channels + c]) +
                        ty.weight_second * (tx.weight_first * second[tx.first * channels + c] +
                                            tx.weight_second * second[tx.second * channels + c]);
            }
    }
}

/* Output (y, x) of one channel of one window. */
static double convolve(const ref_dwc_shape *s, const double *window, const double *weight,
                       int64_t channel, int64_t y, int64_t x)
{
    const ref_map *m = &s->map;
    const int64_t half = s->size / 2;
    double sum = 0.0;

    for (int64_t u = 0; u < s->size; u++)
        for (int64_t w = 0; w < s->size; w++) {
            const int64_t yy = y + u - half;
            const int64_t xx = x + w - half;
            if (yy >= 0 && yy < m->window_h && xx >= 0 && xx < m->window_w)
                sum +=
                    weight[(channel * s->size + u) * s->size + w] *
                    window[(m->class_tokens + yy * m->window_w + xx) * s->heads * s->dim + channel];
        }
    return sum;
}

void ref_dwc(const ref_dwc_shape *s, const double *v, const double *weight, const double *bias,
             double *out)
{
    const ref_map *m = &s->map;
    const int64_t channels = s->heads * s->dim;
    const int64_t problems = s->batch * ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    double *resized = ref_array(s->batch * ref_map_tokens(m) * channels);
    double *cut = ref_array(problems * tokens * channels);
    double *result = ref_array(problems * tokens * channels);

    ref_resize_map(s, v, resized);
    ref_cut(m, s->batch, channels, resized, cut);
    for (int64_t p = 0; p < problems; p++)
        for (int64_t y = 0; y < m->window_h; y++)
            for (int64_t x = 0; x < m->window_w; x++)
                for (int64_t c = 0; c < channels; c++)
                    result[(p * tokens + m->class_tokens + y * m->window_w + x) * channels + c] =
                        convolve(s, cut + p * tokens * channels, weight, c, y, x) +
                        (bias != NULL ? bias[c] : 0.0);
    ref_join(m, s->batch, channels, result, out);
    free(result);
    free(cut);
    free(resized);
}
