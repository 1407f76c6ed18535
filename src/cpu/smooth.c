/*
 * What the smoothing filter computes around its softmax stages: features of a row of pixels, and
 * -|f|^2 / 2 of rows of floats.
 */
#include "cpu/lanes.h"
#include "cpu/table.h"

#define FEATURES 5

static float norm(const float *row, i32 dim)
{
    float sum = 0.0f;
    for (i32 j = 0; j < dim; j++)
        sum = mad(row[j], row[j], sum);
    return -0.5f * sum;
}

/*
 * features[pixel] = (3 x 3 mean of R, G, B over the pixels inside) / sigma_color, then (y, x) /
 * max(H, W) / sigma_space.
 */
void cpu_smooth_features(const Features *args, const float *rgb, float *features, float *norms,
                         int64_t item)
{
    const i32 y = (i32)item;
    const i32 map_y = args->top + y;
    const i32 top = map_y > 0 ? y - 1 : y;
    const i32 bottom = map_y + 1 < args->map_h ? y + 1 : y;
    const float *picture = rgb + args->rgb.offset;

    for (i32 x = 0; x < args->width; x++) {
        const i32 map_x = args->left + x;
        const i32 left = map_x > 0 ? x - 1 : x;
        const i32 right = map_x + 1 < args->map_w ? x + 1 : x;
        float sum[3] = {0.0f, 0.0f, 0.0f};
        for (i32 row = top; row <= bottom; row++)
            for (i32 column = left; column <= right; column++) {
                const float *pixel = picture + row * args->rgb.row + column * args->rgb.token;
                for (i32 i = 0; i < 3; i++)
                    sum[i] += pixel[i];
            }
        const float count = (float)((bottom - top + 1) * (right - left + 1));
        float *feature = features + args->feature_offset + FEATURES * ((i64)y * args->width + x);
        for (i32 i = 0; i < 3; i++)
            feature[i] = sum[i] / count * args->inv_sigma_color;
        feature[3] = (float)map_y * args->inv_sigma_space;
        feature[4] = (float)map_x * args->inv_sigma_space;
        if (args->with_norms)
            norms[(feature - features) / FEATURES] = norm(feature, FEATURES);
    }
}

void cpu_smooth_norms(const Norms *args, const float *rows, float *norms, int64_t item)
{
    const i64 first = args->first + item * CLATTN__CPU_QUERY_BLOCK;
    const i64 last = args->first + args->count;
    const i64 end = last - first < CLATTN__CPU_QUERY_BLOCK ? last : first + CLATTN__CPU_QUERY_BLOCK;
    for (i64 i = first; i < end; i++) {
        norms[i] = norm(rows + i * args->dim, args->dim);
    }
}
