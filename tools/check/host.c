/*
 * What a recorded case needs around attention, in plain C: Linear, LayerNorm, the strided
 * convolution of PVT, distances.
 */
#include "check/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

bool check_refuse(CheckError *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

void check_linear(float *result, const float *input, const float *weight, const float *bias,
                  int64_t rows, int64_t in, int64_t out)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t o = 0; o < out; o++) {
            double sum = bias != NULL ? bias[o] : 0;
            for (int64_t i = 0; i < in; i++)
                sum += (double)input[row * in + i] * weight[o * in + i];
            result[row * out + o] = (float)sum;
        }
}

void check_layer_norm(float *rows, const float *weight, const float *bias, int64_t count,
                      int64_t channels, double epsilon)
{
    for (int64_t row = 0; row < count; row++) {
        float *const values = rows + row * channels;
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < channels; c++)
            mean += values[c];
        mean /= (double)channels;
        for (int64_t c = 0; c < channels; c++)
            variance += (values[c] - mean) * (values[c] - mean);
        const double scale = 1 / sqrt(variance / (double)channels + epsilon);
        for (int64_t c = 0; c < channels; c++)
            values[c] = (float)((values[c] - mean) * scale * weight[c] + bias[c]);
    }
}

/*
 * One output token of check_reduce(): `corner` is the first input token of its ratio x ratio patch.
 */
static void reduce_patch(float *result, const float *corner, const float *weight, const float *bias,
                         int64_t width, int64_t channels, int64_t ratio)
{
    for (int64_t o = 0; o < channels; o++) {
        double sum = bias[o];
        for (int64_t y = 0; y < ratio; y++)
            for (int64_t x = 0; x < ratio; x++)
                for (int64_t i = 0; i < channels; i++)
                    sum += (double)corner[(y * width + x) * channels + i] *
                           weight[((o * channels + i) * ratio + y) * ratio + x];
        result[o] = (float)sum;
    }
}

void check_reduce(float *result, const float *tokens, const float *weight, const float *bias,
                  int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t ratio)
{
    for (int64_t b = 0; b < batch; b++)
        for (int64_t y = 0; y + ratio <= height; y += ratio)
            for (int64_t x = 0; x + ratio <= width; x += ratio) {
                const float *const corner = tokens + ((b * height + y) * width + x) * channels;
                reduce_patch(result, corner, weight, bias, width, channels, ratio);
                result += channels;
            }
}

CheckDistance check_distance(const float *values, const float *expected, int64_t count)
{
    CheckDistance distance = {0};
    double sum = 0, squares = 0, expected_squares = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs((double)values[i] - expected[i]);
        if (isnan(error))
            error = INFINITY;
        distance.max_abs = fmax(distance.max_abs, error);
        distance.max_value = fmax(distance.max_value, fabs(expected[i]));
        sum += error;
        squares += error * error;
        expected_squares += (double)expected[i] * expected[i];
    }
    distance.mean_abs = count > 0 ? sum / (double)count : 0;
    distance.relative_l2 = sqrt(squares) / (expected_squares > 0 ? sqrt(expected_squares) : 1);
    return distance;
}
