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
    const Rows rows = leaf_rows(args, cell, leaf);
    float sum = 0.0f;
    for (int y = rows.first; y < rows.end; y++) {
        const Run run = row_run(args, cell, leaf, window, y);
        if (run.count > 0)
            sum += row_sum(q + run.offset, run.count, run.edge, args.grid.width, args.q.token);
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
    const Place place = place_at(args, (int)get_global_id(1));
    const int p = (int)get_global_id(2);
    const int channels = args.heads * args.dim;
    const Cell cell = cell_at(args, args.first_cell + place.cell);
    const int leaf = (args.run ? args.first_leaf : cell.first_leaf) + place.slot;
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
        out += view_base(args.out, picture, window, head) +
               (size_t)(place.cell * args.out.token + dim);
        STORE(sum / cell_tokens(cell), out);
        return;
    }
    sums[sums_at(args, p, place.cell, place.slot) + (size_t)channel] = sum;
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
    __global float *partial = sums + sums_at(args, p, number, 0) + channel;

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
    STORE(partial[0] / cell_tokens(cell), out);
}
