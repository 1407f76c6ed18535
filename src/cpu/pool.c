/*
 * Agents from queries: the adaptive average of q over the cells of each window's map, as one
 * partial sum per leaf that a cell touches, added along the tree over leaf numbers. Cell i of
 * `cells` along an axis of `size` tokens is [floor(i size / cells), ceil((i + 1) size / cells)).
 * Class tokens are not pooled, but count in the numbers that make the leaves.
 */
#include <string.h>

#include "cpu/address.h"
#include "cpu/lanes.h"
#include "cpu/table.h"

/*
 * Rows [y0, y1) and columns [x0, x1) of the window's map, and the leaves of the first and the last
 * token.
 */
typedef struct cell {
    i32 y0, y1, x0, x1;
    i32 first_leaf, last_leaf;
} cell;

static cell cell_at(const Pool *args, i32 number)
{
    const Grid *grid = &args->grid;
    const i64 i = number / args->agent_w;
    const i64 j = number % args->agent_w;
    cell c;
    c.y0 = (i32)(i * grid->window_h / args->agent_h);
    c.y1 = (i32)(((i + 1) * grid->window_h + args->agent_h - 1) / args->agent_h);
    c.x0 = (i32)(j * grid->window_w / args->agent_w);
    c.x1 = (i32)(((j + 1) * grid->window_w + args->agent_w - 1) / args->agent_w);
    const i64 width = grid->window_w;
    const i64 first = grid->class_tokens + c.y0 * width + c.x0;
    const i64 last = grid->class_tokens + (c.y1 - 1) * width + c.x1 - 1;
    c.first_leaf = (i32)(first / args->leaf_tokens);
    c.last_leaf = (i32)(last / args->leaf_tokens);
    return c;
}

/* sum[dim] = the sum of one head's q over the cell's tokens in one leaf, row by row. */
static void leaf_sum(const Pool *args, const cell *c, i32 leaf, const tokens *q_at, const elem *q,
                     float *sum)
{
    const Grid *grid = &args->grid;
    const i64 width = grid->window_w;
    /* Map tokens of the leaf: [begin, end). */
    const i64 begin = (i64)leaf * args->leaf_tokens - grid->class_tokens;
    const i64 end = begin + args->leaf_tokens;
    const i64 run_begin = (i64)args->first_leaf * args->leaf_tokens - grid->class_tokens;
    const i64 y_first = begin / width > c->y0 ? begin / width : c->y0;
    const i64 y_end = (end + width - 1) / width < c->y1 ? (end + width - 1) / width : c->y1;
    float room[ROW_MAX];
    memset(sum, 0, (size_t)args->dim * sizeof *sum);
    for (i64 y = y_first; y < y_end; y++) {
        const i64 row = y * width;
        const i64 x0 = begin - row > c->x0 ? begin - row : c->x0;
        const i64 x1 = end - row < c->x1 ? end - row : c->x1;
        for (i64 x = x0; x < x1; x++) {
            const elem *token = args->run ? q + q_at->base + (row + x - run_begin) * q_at->token
                                          : q + map_offset(q_at, (i32)y, (i32)x);
            const float *value = read_row(token, args->dim, room);
            EACH (j, args->dim)
                sum[j] += value[j];
        }
    }
}

static void write_mean(const Pool *args, const cell *c, const float *sum, elem *out)
{
    float mean[ROW_MAX];
    const float count = (float)(c->y1 - c->y0) * (float)(c->x1 - c->x0);
    EACH (j, args->dim)
        mean[j] = sum[j] / count;
    store_row(mean, args->dim, out);
}

static elem *agent_row(const Pool *args, void *out, i64 p, i32 number, i32 head)
{
    const tokens out_at = tokens_linear(&args->out, p, args->windows, head);
    return (elem *)out + out_at.base + number * out_at.token;
}

void cpu_pool_partial(const Pool *args, const void *q, float *sums, void *out, int64_t item)
{
    const i64 cells = (i64)args->agent_h * args->agent_w;
    const i64 p = item / args->count;
    const i32 place = args->first + (i32)(item % args->count);
    const i32 number = args->run ? place % args->cells : place / args->slots;
    const i32 slot = args->run ? place / args->cells : place % args->slots;
    const i64 sum = ((p * cells + number) * args->slots + slot) * args->heads;
    const cell c = cell_at(args, args->first_cell + number);
    const i32 leaf = (args->run ? args->first_leaf : c.first_leaf) + slot;
    if (!args->run && leaf > c.last_leaf)
        return;

    for (i32 head = 0; head < args->heads; head++) {
        const tokens q_at = tokens_of(&args->q, &args->grid, p, args->windows, head);
        if (args->slots == 1 && !args->run) {
            float sum[ROW_MAX];
            leaf_sum(args, &c, leaf, &q_at, q, sum);
            write_mean(args, &c, sum, agent_row(args, out, p, number, head));
        } else {
            leaf_sum(args, &c, leaf, &q_at, q, sums + (sum + head) * args->dim);
        }
    }
}

void cpu_pool_merge(const Pool *args, float *sums, void *out, int64_t item)
{
    const i64 cells = (i64)args->agent_h * args->agent_w;
    const i64 channels = (i64)args->heads * args->dim;
    const i64 p = item / args->count;
    const i32 number = args->first + (i32)(item % args->count);
    const cell c = cell_at(args, number);
    const i64 first = c.first_leaf;
    const i64 last = c.last_leaf;
    float *partial = sums + (p * cells + number) * args->slots * channels;

    /*
     * The nodes of a level start at multiples of `step`; a node lies in the slot of its first leaf
     * that the cell has.
     */
    for (i64 step = 1; args->slots > 1 && first / step != last / step; step *= 2)
        for (i64 left = first / (2 * step) * (2 * step); left + step <= last; left += 2 * step) {
            const i64 right = left + step;
            if (right <= first)
                continue;
            float *to = partial + ((left > first ? left : first) - first) * channels;
            const float *from = partial + (right - first) * channels;
            EACH (j, channels)
                to[j] += from[j];
        }
    for (i32 head = 0; head < args->heads; head++)
        write_mean(args, &c, partial + (i64)head * args->dim,
                   agent_row(args, out, p, number, head));
}
