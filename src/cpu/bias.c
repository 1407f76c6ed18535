/*
 * The agent bias (Bias in kernels/args.h), LANES tokens at a time. A vector of tokens that crosses
 * class tokens or row ends is made piece by piece: each piece is computed on all lanes, which the
 * tables allow, and selected where it holds.
 */
#include "cpu/bias.h"

#include <string.h>

#define MAP_FLOATS 56 /* 7 rows of 7 columns and a zero */
#define MAP_ROW    8

/* Lanes [from, to) lie in row y of the bias grid; lane 0 would be column x. */
typedef struct piece {
    i32 y, x, from, to;
} piece;

static void class_lanes(const Bias *bias, const float *buf, i64 agent, i32 agents, i32 lanes,
                        float *out)
{
    for (i32 i = 0; i < agents; i++)
        for (i32 lane = 0; lane < lanes; lane++)
            out[i * LANES + lane] = buf[bias->cls + agent + i];
}

/*
 * The first of the two rows of the map that row y of the grid mixes; their weights are not zero
 * elsewhere.
 */
static i32 first_row_tap(const Bias *bias, const float *hat)
{
    i32 tap = 0;
    while (tap < 5 && hat[(i64)tap * bias->grid_h] == 0.0f)
        tap++;
    return tap;
}

/* `agent` counts over all heads. */
static void row_piece(const Bias *bias, const float *buf, i64 agent, i32 agents, const piece p,
                      float *out)
{
    const float *hat_y = buf + bias->hat_y + p.y;
    const float *hat_x = buf + bias->hat_x + p.x;
    const i32 row_tap = first_row_tap(bias, hat_y);
    const float upper_weight = hat_y[(i64)row_tap * bias->grid_h];
    const float lower_weight = hat_y[(i64)(row_tap + 1) * bias->grid_h];
    const float *first_tap = hat_x + 7 * (i64)bias->pitch;
    const i32 first = (i32)first_tap[p.from];
    const i32 last = (i32)first_tap[p.to - 1] + 1;

    for (i32 i = 0; i < agents; i++) {
        const float *upper = buf + bias->map + (agent + i) * MAP_FLOATS + row_tap * MAP_ROW;
        const float *lower = upper + MAP_ROW;
        const float *column_term = buf + bias->col + (agent + i) * bias->pitch + p.x;
        const float row_term = buf[bias->row + (agent + i) * bias->grid_h + p.y];
        float mix[MAP_ROW];
        float sum[LANES];
        EACH (j, MAP_ROW)
            mix[j] = mad(lower_weight, lower[j], upper_weight * upper[j]);
        EACH_LANE (lane)
            sum[lane] = column_term[lane] + row_term;
        for (i32 tap = first; tap <= last; tap++) {
            const float *weight = hat_x + (i64)tap * bias->pitch;
            EACH_LANE (lane)
                sum[lane] = mad(mix[tap], weight[lane], sum[lane]);
        }
        float *to = out + i * LANES;
        EACH_LANE (lane)
            to[lane] = lane >= p.from && lane < p.to ? sum[lane] : to[lane];
    }
}

static void small_form(const Bias *bias, const float *buf, i64 agent, i32 agents, i32 token,
                       float *out)
{
    i32 lane = bias->class_tokens - token;
    lane = lane < 0 ? 0 : lane;
    lane = lane > LANES ? LANES : lane;
    memset(out, 0, (size_t)agents * LANES * sizeof *out);
    class_lanes(bias, buf, agent, agents, lane, out);

    i32 y = (token + lane - bias->class_tokens) / bias->grid_w;
    i32 x = (token + lane - bias->class_tokens) % bias->grid_w;
    while (lane < LANES && y < bias->grid_h) {
        const i32 left = bias->grid_w - x;
        const i32 end = left < LANES - lane ? lane + left : LANES;
        row_piece(bias, buf, agent, agents, (piece){y, x - lane, lane, end}, out);
        lane = end;
        x = 0;
        y++;
    }
}

static void plain_table(const Bias *bias, const float *buf, i64 agent, i32 agents, i32 token,
                        float *out)
{
    const float *table = buf + bias->table + agent * bias->pitch + token;
    for (i32 i = 0; i < agents; i++)
        memcpy(out + i * LANES, table + (i64)i * bias->pitch, LANES * sizeof *out);
}

void bias_lanes(const Bias *bias, const float *buf, i32 head, i32 first, i32 agents, i32 token,
                float *out)
{
    const i64 agent = (i64)head * bias->agents + first;
    if (bias->mode == 1)
        plain_table(bias, buf, agent, agents, token, out);
    else
        small_form(bias, buf, agent, agents, token, out);
}
