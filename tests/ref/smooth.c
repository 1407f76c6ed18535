/* The smoothing filter: agent attention of 5-dimensional features over a picture. */
#include "ref.h"

#include <stdlib.h>

/* Mean of one channel over the 3 x 3 pixels around (y, x) that lie inside the picture. */
static double box_mean(const ref_smooth_shape *s, const double *rgb, int64_t y, int64_t x,
                       int channel)
{
    double sum = 0.0;
    int count = 0;

    for (int64_t yy = y - 1; yy <= y + 1; yy++)
        for (int64_t xx = x - 1; xx <= x + 1; xx++)
            if (yy >= 0 && yy < s->height && xx >= 0 && xx < s->width) {
                sum += rgb[(yy * s->width + xx) * 3 + channel];
                count++;
            }
    return sum / count;
}

static void make_features(const ref_smooth_shape *s, const double *rgb, double *features)
{
    const double longer = (double)(s->height > s->width ? s->height : s->width);

    for (int64_t y = 0; y < s->height; y++)
        for (int64_t x = 0; x < s->width; x++) {
            double *f = features + (y * s->width + x) * 5;
            for (int c = 0; c < 3; c++)
                f[c] = box_mean(s, rgb, y, x, c) / s->sigma_color;
            f[3] = (double)y / longer / s->sigma_space;
            f[4] = (double)x / longer / s->sigma_space;
        }
}

/* -|f|^2 / 2 of each row of 5. */
static void make_norms(int64_t count, const double *rows, double *norms)
{
    for (int64_t i = 0; i < count; i++) {
        norms[i] = 0.0;
        for (int c = 0; c < 5; c++)
            norms[i] -= rows[i * 5 + c] * rows[i * 5 + c] / 2.0;
    }
}

void ref_smooth(const ref_smooth_shape *s, const double *rgb, double *out, double *agents)
{
    const int64_t pixels = s->height * s->width;
    const int64_t n = s->agent_h * s->agent_w;
    const ref_map map = {
        .height = s->height, .width = s->width, .window_h = s->height, .window_w = s->width};
    const ref_agent_shape pool = {.batch = 1,
                                  .heads = 1,
                                  .dim = 5,
                                  .q_map = map,
                                  .agent_h = s->agent_h,
                                  .agent_w = s->agent_w};
    ref_attention_shape gather = {1, 1, 5, 5, n, pixels, 1.0};
    ref_attention_shape spread = {1, 1, 5, 3, pixels, n, 1.0};
    double *f = ref_array(pixels * 5), *f_norms = ref_array(pixels);
    double *a = ref_array(n * 5), *next = ref_array(n * 5), *a_norms = ref_array(n);
    double *va = ref_array(n * 3);

    make_features(s, rgb, f);
    make_norms(pixels, f, f_norms);
    ref_agent_pool(&pool, f, a);
    for (int round = 0; round < s->rounds; round++) {
        ref_attention(&gather, a, f, f, NULL, f_norms, next);
        for (int64_t i = 0; i < n * 5; i++)
            a[i] = next[i];
    }
    make_norms(n, a, a_norms);
    gather.dim_v = 3;
    ref_attention(&gather, a, f, rgb, NULL, f_norms, va);
    ref_attention(&spread, f, a, va, NULL, a_norms, out);
    for (int64_t i = 0; i < pixels * 3; i++)
        out[i] += s->detail * (rgb[i] - out[i]);
    for (int64_t i = 0; agents != NULL && i < n * 5; i++)
        agents[i] = a[i];
    free(va);
    free(a_norms);
    free(next);
    free(a);
    free(f_norms);
    free(f);
}
