/*
 * agent_pool: the agents, as the adaptive average of q over the cells of each window's map (partial
 * sums per leaf, then their merge along the tree over leaf numbers).
 * map      item = one channel; agent_pool_partial: global = (heads * dim, count, batch * windows);
 *          agent_pool_merge: likewise; any local size, the first two rounded up to whole groups;
 *          nothing to do where heads == 0
 * traffic  q about once (cells overlap by a row or column where the sizes do not divide)
 * flops    one addition per token and channel
 *
 * Cell i of `cells` along an axis of `size` tokens is [floor(i size / cells), ceil((i + 1) size /
 * cells)). Tokens are added row by row. Class tokens are not pooled, but they count in the token
 * numbers that make the leaves.
 */

/*
 * A cell: rows [y0, y1) and columns [x0, x1) of the window's map, and the leaves of its first and
 * its last token.
 */
typedef struct Cell {
    int y0, y1, x0, x1;
    int first_leaf, last_leaf;
} Cell;

static inline Cell cell_at(const Pool args, int number)
{
    const long i = number / args.agent_w;
    const long j = number % args.agent_w;
    const int height = args.grid.window_h;
    const int width = args.grid.window_w;
    Cell cell;
    cell.y0 = (int)(i * height / args.agent_h);
    cell.y1 = (int)(((i + 1) * height + args.agent_h - 1) / args.agent_h);
    cell.x0 = (int)(j * width / args.agent_w);
    cell.x1 = (int)(((j + 1) * width + args.agent_w - 1) / args.agent_w);
    const long row = width;
    const long first = args.grid.class_tokens + cell.y0 * row + cell.x0;
    const long last = args.grid.class_tokens + (cell.y1 - 1) * row + cell.x1 - 1;
    cell.first_leaf = (int)(first / args.leaf_tokens);
    cell.last_leaf = (int)(last / args.leaf_tokens);
    return cell;
}

static inline float cell_mean(const Cell cell, float sum)
{
    return sum / ((float)(cell.y1 - cell.y0) * (float)(cell.x1 - cell.x0));
}

/* Where token i of a row lies; a shifted window wraps: its tokens from `edge` on lie `wrap` tokens further left. */
static inline long row_offset(int i, int edge, int wrap, long stride)
{
    return (i < edge ? i : i - wrap) * stride;
}

/*
 * The sum of one channel over `count` tokens of a row: four sums side by side, since each addition would wait for the one before.
 * Which of them a token joins depends on its place in the row alone, never on where it lies in memory.
 */
static inline float row_sum(__global const elem *q, int count, int edge, int wrap, long stride)
{
    float4 sums = (float4)(0.0f);
    int i = 0;
    for (; i + 4 <= count; i += 4)
        sums += (float4)(LOAD(q + row_offset(i, edge, wrap, stride)),
                         LOAD(q + row_offset(i + 1, edge, wrap, stride)),
                         LOAD(q + row_offset(i + 2, edge, wrap, stride)),
                         LOAD(q + row_offset(i + 3, edge, wrap, stride)));
    float sum = (sums.s0 + sums.s1) + (sums.s2 + sums.s3);
    for (; i < count; i++)
        sum += LOAD(q + row_offset(i, edge, wrap, stride));
    return sum;
}

/* The sum of one channel over the cell's tokens in one leaf; q points at the channel of token 0. */
static inline float leaf_sum(const Pool args, const Cell cell, int leaf, int window,
                             __global const elem *q)
{
    const Grid grid = args.grid;
    const long width = grid.window_w;
    /* Map tokens of the leaf: [begin, end). The last leaf may end beyond the map. */
    const long begin = (long)leaf * args.leaf_tokens - grid.class_tokens;
    const long end = begin + args.leaf_tokens;
    const long run_begin = (long)args.first_leaf * args.leaf_tokens - grid.class_tokens;
    const int window_column = (window % grid.windows_x) * grid.window_w + grid.shift_x;
    const int y_first = (int)max((long)cell.y0, begin / width);
    const int y_end = (int)min((long)cell.y1, (end + width - 1) / width);
    float sum = 0.0f;
    for (int y = y_first; y < y_end; y++) {
        const long row = y * width;
        const int x0 = (int)max((long)cell.x0, begin - row);
        const int x1 = (int)min((long)cell.x1, end - row);
        if (x0 >= x1)
            continue;
        __global const elem *token =
            args.run ? q + (row + x0 - run_begin) * args.q.token
                     : q + token_offset(args.q, grid, window, grid.class_tokens + (int)row + x0);
        const int edge = grid.width - (window_column + x0) % grid.width;
        sum += row_sum(token, x1 - x0, edge, grid.width, args.q.token);
    }
    return sum;
}

/*
 * With one slot the cell's mean goes to `out`; else, and in a run, the sum of (cell, leaf) to `sums`.
 * Leaves that a cell skips give 0.
 */
__kernel void agent_pool_partial(const Pool args, __global const elem *restrict q,
                                 __global float *restrict sums, __global elem *restrict out)
{
    const int channel = (int)get_global_id(0);
    const int place = args.first + (int)get_global_id(1);
    const int number = args.run ? place % args.cells : place / args.slots;
    const int slot = args.run ? place / args.cells : place % args.slots;
    const int p = (int)get_global_id(2);
    const int channels = args.heads * args.dim;
    const Cell cell = cell_at(args, args.first_cell + number);
    const int leaf = (args.run ? args.first_leaf : cell.first_leaf) + slot;
    if (channel >= channels || (int)get_global_id(1) >= args.count ||
        (!args.run && leaf > cell.last_leaf))
        return;

    const int head = channel / args.dim;
    const int dim = channel % args.dim;
    const int picture = p / args.windows;
    const int window = p % args.windows;
    const float sum =
        leaf_sum(args, cell, leaf, window, q + view_base(args.q, picture, window, head) + dim);
    if (args.slots == 1 && !args.run) {
        out += view_base(args.out, picture, window, head) + (size_t)(number * args.out.token + dim);
        STORE(cell_mean(cell, sum), out);
        return;
    }
    const size_t cells = (size_t)args.agent_h * (size_t)args.agent_w;
    const size_t index = ((size_t)p * cells + (size_t)number) * (size_t)args.slots + (size_t)slot;
    sums[index * (size_t)channels + (size_t)channel] = sum;
}

/*
 * Adds a cell's partial sums in place, each item its own channel, and writes the mean. With one slot
 * they have been added before.
 */
__kernel void agent_pool_merge(const Pool args, __global float *restrict sums,
                               __global elem *restrict out)
{
    const int channel = (int)get_global_id(0);
    const int number = args.first + (int)get_global_id(1);
    const int p = (int)get_global_id(2);
    const int channels = args.heads * args.dim;
    if (channel >= channels || (int)get_global_id(1) >= args.count)
        return;

    const Cell cell = cell_at(args, number);
    const int first = cell.first_leaf;
    const int last = cell.last_leaf;
    const size_t cells = (size_t)args.agent_h * (size_t)args.agent_w;
    __global float *partial =
        sums + (((size_t)p * cells + (size_t)number) * (size_t)args.slots) * (size_t)channels +
        channel;

    /*
     * The nodes of a level start at multiples of `step`; a node lies in the slot of its first leaf
     * that the cell has.
     */
    for (int step = 1; args.slots > 1 && first / step != last / step; step *= 2) {
        for (int left = first / (2 * step) * (2 * step); left + step <= last; left += 2 * step) {
            const int right = left + step;
            if (right > first)
                partial[(size_t)(max(left, first) - first) * (size_t)channels] +=
                    partial[(size_t)(right - first) * (size_t)channels];
        }
    }

    const int head = channel / args.dim;
    const int dim = channel % args.dim;
    out += view_base(args.out, p / args.windows, p % args.windows, head) +
           (size_t)(number * args.out.token + dim);
    STORE(cell_mean(cell, partial[0]), out);
}
