/* The softmax core: see attend.h. */
#include "cpu/attend.h"

#include <string.h>

#include "cpu/bias.h"
#include "cpu/rows.h"
#include "cpu/transpose.h"

#define LOG2_E 1.44269504f

/* For the rows of a step's keys in f16: as many as fit, at least 8 of the widest heads. */
#define ROOM_FLOATS (16 * 1024)

/* One step's keys, shared by all groups of the block. */
typedef struct key_step {
    i32 first, count;
    const float *k[KEYS_MAX];
    const float *v[KEYS_MAX];
    float key_bias[KEYS_MAX]; /* times log2(e) */
#if CLATTN_CPU_HALF
    float room[ROOM_FLOATS]; /* where k and v lie, widened */
#endif
} key_step;

_Static_assert(KEYS_MAX <= TOKEN_ROWS_MAX, "token_rows() holds a step of keys");
_Static_assert((1024 + 1024 + 2) * LANES <= BLOCK_FLOATS, "a group of the widest heads fits");

i32 attend_capacity(const Attend *args)
{
    return BLOCK_FLOATS / ((args->dim + args->dim_v + 2) * LANES) * LANES;
}

void attend_begin(attend_block *block, i32 first, i32 queries)
{
    const Attend *args = block->args;
    const tokens q = tokens_of(&args->q, &args->q_grid, block->p, args->windows, block->head);
    block->first = first;
    block->queries = queries;
    block->k = tokens_of(&args->k, &args->k_grid, block->p, args->windows, block->head);
    block->v = tokens_of(&args->v, &args->k_grid, block->p, args->windows, block->head);
    block->key_bias =
        tokens_of(&args->key_bias, &args->k_grid, block->p, args->windows, block->head);

    for (i32 g = 0; g < group_count(block); g++) {
        const elem *row[TOKEN_ROWS_MAX];
        token_rows(&q, block->mem->q, first + g * LANES, group_queries(block, g), row);
        rows_to_lanes(row, group_queries(block, g), args->dim, group_query(block, g));
        memset(group_acc(block, g), 0, (size_t)args->dim_v * LANES * sizeof(float));
        float *maximum = group_max(block, g);
        float *sum = group_sum(block, g);
        EACH_LANE (lane) {
            maximum[lane] = STATE_EMPTY;
            sum[lane] = 0.0f;
        }
    }
}

/* At most `step` keys at a time; fewer where their rows are wide, which depends on the widths alone. */
static i32 keys_at_a_time(const Attend *args, i32 step)
{
#if CLATTN_CPU_HALF
    const i32 fit = ROOM_FLOATS / (args->dim + args->dim_v);
    return step < fit ? step : fit;
#else
    (void)args;
    return step;
#endif
}

/* The rows of k and v as floats. */
static void find_rows(const attend_block *block, i32 first, i32 count, key_step *step)
{
#if CLATTN_CPU_HALF
    const i32 dim = block->args->dim;
    const i32 dim_v = block->args->dim_v;
    const elem *row[KEYS_MAX];
    float *room = step->room;
    token_rows(&block->k, block->mem->k, first, count, row);
    for (i32 j = 0; j < count; j++, room += dim)
        step->k[j] = read_row(row[j], dim, room);
    token_rows(&block->v, block->mem->v, first, count, row);
    for (i32 j = 0; j < count; j++, room += dim_v)
        step->v[j] = read_row(row[j], dim_v, room);
#else
    token_rows(&block->k, block->mem->k, first, count, step->k);
    token_rows(&block->v, block->mem->v, first, count, step->v);
#endif
}

static void find_keys(const attend_block *block, i32 first, i32 count, key_step *step)
{
    step->first = first;
    step->count = count;
    find_rows(block, first, count, step);
    memset(step->key_bias, 0, sizeof step->key_bias);
    if (block->args->has_key_bias) {
        i64 offset[KEYS_MAX];
        token_offsets(&block->key_bias, first, count, offset);
        for (i32 j = 0; j < count; j++)
            step->key_bias[j] = block->mem->key_bias[offset[j]] * LOG2_E;
    }
}

/* Stage 1: the bias comes with tokens as lanes, and is wanted with agents as lanes. */
static void bias_of_agents(const attend_block *block, i32 g, const key_step *step, float *bias)
{
    const Bias *form = &block->args->bias;
    const i32 agents = group_queries(block, g);
    for (i32 j = 0; j < step->count; j += LANES) {
        float *square = bias + j * LANES;
        memset(square, 0, SQUARE * sizeof *square);
        bias_lanes(form, block->mem->bias, block->head, block->first + g * LANES, agents,
                   step->first + j, square);
        transpose_square(square);
    }
}

/* bias[key][lane] of one group. */
static void find_bias(const attend_block *block, i32 g, const key_step *step, float *bias)
{
    if (block->args->bias.mode == 0)
        memset(bias, 0, (size_t)step->count * LANES * sizeof *bias);
    else if (block->agents_are_lanes)
        bias_of_agents(block, g, step, bias);
    else
        bias_lanes(&block->args->bias, block->mem->bias, block->head, step->first, step->count,
                   block->first + g * LANES, bias);
}

/*
 * Turns products into weights 2^(s - maximum) and updates maximum (a whole number, so that factor,
 * which rescales what was summed before, is an exact power of two) and sum, with the step's weights
 * added up by themselves first, as mix_tile() does. Where all keys so far are masked the maximum
 * stays STATE_EMPTY and the weights are 0.
 */
static void softmax_step(const key_step *step, float scale, const float *restrict bias,
                         float *restrict score, float *restrict maximum, float *restrict sum,
                         float *restrict factor)
{
    float top[LANES];
    float part[LANES];
    EACH_LANE (lane)
        top[lane] = maximum[lane];
    for (i32 j = 0; j < step->count; j++) {
        const float key_bias = step->key_bias[j];
        const float *b = bias + j * LANES;
        float *s = score + j * LANES;
        EACH_LANE (lane) {
            s[lane] = mad(s[lane], scale, b[lane]) + key_bias;
            top[lane] = max_lane(s[lane], top[lane]);
        }
    }
    EACH_LANE (lane) {
        top[lane] = ceil_lane(top[lane]);
        factor[lane] = pow2_whole(maximum[lane] - top[lane]);
        maximum[lane] = top[lane];
        part[lane] = 0.0f;
    }
    for (i32 j = 0; j < step->count; j++) {
        float *s = score + j * LANES;
        EACH_LANE (lane) {
            s[lane] = exp2_lane(s[lane] - top[lane]);
            part[lane] += s[lane];
        }
    }
    EACH_LANE (lane)
        sum[lane] = mad(sum[lane], factor[lane], part[lane]);
}

void attend_keys(attend_block *block, i32 first, i32 keys, i32 step_keys)
{
    const Attend *args = block->args;
    const i32 groups = group_count(block);
    const i32 most = keys_at_a_time(args, step_keys);
    key_step step;
    _Alignas(64) float score[KEYS_MAX * LANES];
    _Alignas(64) float bias[KEYS_MAX * LANES];
    _Alignas(64) float factor[LANES];

    for (i32 done = 0; done < keys; done += most) {
        find_keys(block, first + done, keys - done < most ? keys - done : most, &step);
        for (i32 g = 0; g < groups; g++) {
            find_bias(block, g, &step, bias);
            dot_rows(step.count, args->dim, step.k, group_query(block, g), score);
            softmax_step(&step, args->scale, bias, score, group_max(block, g), group_sum(block, g),
                         factor);
            mix_rows(args->dim_v, step.count, step.v, score, factor, group_acc(block, g));
        }
    }
}
