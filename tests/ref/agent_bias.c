/*
 * The whole bias tensor of one stage, in the order of the published code: the 7 x 7 map and the (row + column) map are each
 * resized over the token grid, then the trained agent grid is resized to the wanted one.
 */
#include "ref.h"

#include <stdlib.h>

#define MAP 7

typedef struct bias_terms {
    const ref_bias_shape *shape;
    const ref_bias_stage *weights;
    int stage;
    int64_t trained; /* agents */
} bias_terms;

static double map_at(const bias_terms *b, int64_t head, int64_t agent, int64_t y, int64_t x)
{
    const ref_bias_stage *w = b->weights;
    return w->map == NULL ? 0.0 : w->map[((head * b->trained + agent) * MAP + y) * MAP + x];
}

/* Row or column term: (heads, T0, length) in stage 1, (heads, length, T0) in stage 2. */
static double line_at(const bias_terms *b, const float *line, int64_t length, int64_t head,
                      int64_t agent, int64_t i)
{
    if (line == NULL)
        return 0.0;
    return b->stage == 1 ? line[(head * b->trained + agent) * length + i]
                         : line[(head * length + i) * b->trained + agent];
}

static double cross_at(const bias_terms *b, int64_t head, int64_t agent, int64_t y, int64_t x)
{
    const ref_bias_stage *w = b->weights;
    return line_at(b, w->row, w->trained_h, head, agent, y) +
           line_at(b, w->column, w->trained_w, head, agent, x);
}

static double blend(ref_taps y, ref_taps x, double ff, double fs, double sf, double ss)
{
    return y.weight_first * (x.weight_first * ff + x.weight_second * fs) +
           y.weight_second * (x.weight_first * sf + x.weight_second * ss);
}

/* The bias of a trained agent at a token of the wanted token grid; token < class_tokens: its class term. */
static double trained_bias(const bias_terms *b, int64_t head, int64_t agent, int64_t token)
{
    const ref_bias_stage *w = b->weights;
    const int64_t entry = token - b->shape->class_tokens;

    if (entry < 0)
        return w->class_token == NULL ? 0.0 : w->class_token[head * b->trained + agent];
    const int64_t row = entry / w->grid_w;
    const int64_t column = entry % w->grid_w;
    ref_taps y = ref_resize(MAP, w->grid_h, row);
    ref_taps x = ref_resize(MAP, w->grid_w, column);
    double sum = blend(
        y, x, map_at(b, head, agent, y.first, x.first), map_at(b, head, agent, y.first, x.second),
        map_at(b, head, agent, y.second, x.first), map_at(b, head, agent, y.second, x.second));
    /* Without a row or column term its trained length may be 0: any length then gives the same zeros. */
    y = ref_resize(w->row == NULL ? 1 : w->trained_h, w->grid_h, row);
    x = ref_resize(w->column == NULL ? 1 : w->trained_w, w->grid_w, column);
    return sum + blend(y, x, cross_at(b, head, agent, y.first, x.first),
                       cross_at(b, head, agent, y.first, x.second),
                       cross_at(b, head, agent, y.second, x.first),
                       cross_at(b, head, agent, y.second, x.second));
}

void ref_agent_bias(const ref_bias_shape *s, const ref_bias_stage *weights, int stage, double *bias)
{
    const int64_t columns = s->trained_agents_w;
    const bias_terms b = {s, weights, stage, s->trained_agents_h * columns};
    const int64_t tokens = s->class_tokens + weights->grid_h * weights->grid_w;
    const int64_t agents = s->agent_h * s->agent_w;
    double *trained = ref_array(b.trained);

    for (int64_t h = 0; h < s->heads; h++)
        for (int64_t t = 0; t < tokens; t++) {
            for (int64_t a = 0; a < b.trained; a++)
                trained[a] = trained_bias(&b, h, a, t);
            for (int64_t a = 0; a < agents; a++) {
                const ref_taps y = ref_resize(s->trained_agents_h, s->agent_h, a / s->agent_w);
                const ref_taps x = ref_resize(columns, s->agent_w, a % s->agent_w);
                const double value = blend(y, x, trained[y.first * columns + x.first],
                                           trained[y.first * columns + x.second],
                                           trained[y.second * columns + x.first],
                                           trained[y.second * columns + x.second]);
                bias[stage == 1 ? (h * agents + a) * tokens + t : (h * tokens + t) * agents + a] =
                    value;
            }
        }
    free(trained);
}
