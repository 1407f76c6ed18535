/* Agents: the adaptive average pool of q over each window; class tokens are left out. */
#include "ref.h"

#include <stdlib.h>

typedef struct span {
    int64_t begin, end;
} span;

/* Cell i of `out` cells over `in` samples: [floor(i in / out), ceil((i + 1) in / out)). */
static span cell_span(int64_t in, int64_t out, int64_t i)
{
    return (span){i * in / out, ((i + 1) * in + out - 1) / out};
}

static double cell_mean(const ref_map *m, int64_t channels, const double *window, span rows,
                        span columns, int64_t channel)
{
    double sum = 0.0;

    for (int64_t y = rows.begin; y < rows.end; y++)
        for (int64_t x = columns.begin; x < columns.end; x++)
            sum += window[(m->class_tokens + y * m->window_w + x) * channels + channel];
    return sum / (double)((rows.end - rows.begin) * (columns.end - columns.begin));
}

void ref_agent_pool(const ref_agent_shape *s, const double *q, double *agents)
{
    const ref_map *m = &s->q_map;
    const int64_t channels = s->heads * s->dim;
    const int64_t problems = s->batch * ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    double *cut = ref_array(problems * tokens * channels);
    double *cell = agents;

    ref_cut(m, s->batch, channels, q, cut);
    for (int64_t p = 0; p < problems; p++)
        for (int64_t i = 0; i < s->agent_h; i++)
            for (int64_t j = 0; j < s->agent_w; j++)
                for (int64_t c = 0; c < channels; c++)
                    *cell++ = cell_mean(m, channels, cut + p * tokens * channels,
                                        cell_span(m->window_h, s->agent_h, i),
                                        cell_span(m->window_w, s->agent_w, j), c);
    free(cut);
}
