/* softmax(scale q k^T + bias + key_bias) v, one row of logits at a time. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>

/* One row of logits: query i of head h in batch element b against every key. */
typedef struct query {
    int64_t b, i, h;
} query;

static void logits_of(const ref_attention_shape *s, query at, const double *q, const double *k,
                      const double *bias, const double *key_bias, double *row)
{
    const double *qi = q + ((at.b * s->queries + at.i) * s->heads + at.h) * s->dim;

    for (int64_t j = 0; j < s->keys; j++) {
        const int64_t key = (at.b * s->keys + j) * s->heads + at.h;
        double dot = 0.0;
        for (int64_t c = 0; c < s->dim; c++)
            dot += qi[c] * k[key * s->dim + c];
        row[j] = s->scale * dot;
        if (bias != NULL)
            row[j] += bias[(at.h * s->queries + at.i) * s->keys + j];
        if (key_bias != NULL)
            row[j] += key_bias[key];
    }
}

/* Logits to weights that sum to 1; all 0 where every key is excluded. */
static void softmax(int64_t count, double *row)
{
    double maximum = -INFINITY;
    double sum = 0.0;

    for (int64_t i = 0; i < count; i++)
        maximum = fmax(maximum, row[i]);
    for (int64_t i = 0; i < count; i++) {
        row[i] = maximum == -INFINITY ? 0.0 : exp(row[i] - maximum);
        sum += row[i];
    }
    for (int64_t i = 0; i < count; i++)
        row[i] = sum > 0.0 ? row[i] / sum : 0.0;
}

void ref_attention(const ref_attention_shape *s, const double *q, const double *k, const double *v,
                   const double *bias, const double *key_bias, double *out)
{
    double *row = ref_array(s->keys);

    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t i = 0; i < s->queries; i++)
            for (int64_t h = 0; h < s->heads; h++) {
                double *result = out + ((b * s->queries + i) * s->heads + h) * s->dim_v;
                logits_of(s, (query){b, i, h}, q, k, bias, key_bias, row);
                softmax(s->keys, row);
                for (int64_t c = 0; c < s->dim_v; c++)
                    result[c] = 0.0;
                for (int64_t j = 0; j < s->keys; j++)
                    for (int64_t c = 0; c < s->dim_v; c++)
                        result[c] += row[j] * v[((b * s->keys + j) * s->heads + h) * s->dim_v + c];
            }
    free(row);
}
