/*
 * agent_pool_wide, agent_pool_merge_wide: agent_pool_partial and agent_pool_merge for CPU devices and heads of 16 * VECTORS channels or
 * more. One item adds all channels of its tokens, so that channels are lanes and a token's row is read as it lies in memory.
 * map      item = one place (a cell, or a cell's leaf; of the merge a cell); global = (1, count, batch * windows), one item per group;
 *          nothing to do where heads == 0
 * traffic  q about once (cells overlap by a row or column where the sizes do not divide)
 * flops    one addition per token and channel
 * macros   VECTORS {1, 2, 4}  vectors of 16 channels that are added side by side
 *
 * Each channel's tokens are added one after the other, as on the CPU path and with its bits, wherever they lie in memory.
 */
#ifndef VECTORS
#define VECTORS 4
#endif
#define BLOCK (16 * VECTORS)

/* The sums of BLOCK channels over the cell's tokens in one leaf; q points at the first channel of token 0. */
static inline void leaf_sums(const Pool args, const Cell cell, int leaf, int window,
                             __global const elem *q, float16 *sums)
{
    const Rows rows = leaf_rows(args, cell, leaf);
    CLATTN_UNROLL
    for (int i = 0; i < VECTORS; i++)
        sums[i] = (float16)(0.0f);
    for (int y = rows.first; y < rows.end; y++) {
        const Run run = row_run(args, cell, leaf, window, y);
        for (int x = 0; x < run.count; x++) {
            __global const elem *token =
                q + run.offset + row_offset(x, run.edge, args.grid.width, args.q.token);
            CLATTN_UNROLL
            for (int i = 0; i < VECTORS; i++)
                sums[i] += LOAD16(token + 16 * i);
        }
    }
}

/* One place. */
OUTLINED void pool_place(const Pool *pool, int number, int p, __global const elem *restrict q,
                         __global float *restrict sums, __global elem *restrict out)
{
    const Pool args = *pool;
    const Place place = place_at(args, number);
    const Cell cell = cell_at(args, args.first_cell + place.cell);
    const int leaf = (args.run ? args.first_leaf : cell.first_leaf) + place.slot;
    const bool partial = args.slots > 1 || args.run;
    if (!args.run && leaf > cell.last_leaf)
        return;

    const int picture = p / args.windows;
    const int window = p % args.windows;
    sums += sums_at(args, p, place.cell, place.slot);
    for (int head = 0; head < args.heads; head++) {
        __global const elem *from = q + view_base(args.q, picture, window, head);
        __global elem *to =
            out + view_base(args.out, picture, window, head) + place.cell * args.out.token;
        for (int begin = 0; begin < args.dim; begin += BLOCK) {
            /* The last block ends with the head; what it shares with the one before is the same. */
            const int dim = min(begin, args.dim - BLOCK);
            float16 block[VECTORS];
            leaf_sums(args, cell, leaf, window, from + dim, block);
            CLATTN_UNROLL
            for (int i = 0; i < VECTORS; i++) {
                if (partial)
                    vstore16(block[i], 0, sums + head * args.dim + dim + 16 * i);
                else
                    STORE16(block[i] / cell_tokens(cell), to + dim + 16 * i);
            }
        }
    }
}

/* As agent_pool_partial. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_pool_wide(const Pool args, __global const elem *restrict q, __global float *restrict sums,
                __global elem *restrict out)
{
    pool_place(&args, (int)get_global_id(1), (int)get_global_id(2), q, sums, out);
}

/* left += right */
static inline void add_row(__global float *left, __global const float *right, int channels)
{
    int c = 0;
    for (; c + 16 <= channels; c += 16)
        vstore16(vload16(0, left + c) + vload16(0, right + c), 0, left + c);
    for (; c < channels; c++)
        left[c] += right[c];
}

/* The cell `number` of problem p: the tree of agent_pool_merge, with the same bits. */
OUTLINED void merge_cell(const Pool *pool, int number, int p, __global float *restrict sums,
                         __global elem *restrict out)
{
    const Pool args = *pool;
    const int channels = args.heads * args.dim;
    const Cell cell = cell_at(args, number);
    const int first = cell.first_leaf;
    const int last = cell.last_leaf;
    sums += sums_at(args, p, number, 0);
    for (int step = 1; args.slots > 1 && first / step != last / step; step *= 2) {
        for (int left = first / (2 * step) * (2 * step); left + step <= last; left += 2 * step) {
            const int right = left + step;
            if (right > first)
                add_row(sums + (size_t)(max(left, first) - first) * (size_t)channels,
                        sums + (size_t)(right - first) * (size_t)channels, channels);
        }
    }
    for (int head = 0; head < args.heads; head++) {
        __global elem *to = out + view_base(args.out, p / args.windows, p % args.windows, head) +
                            number * args.out.token;
        for (int begin = 0; begin < args.dim; begin += 16) {
            const int dim = min(begin, args.dim - 16);
            STORE16(vload16(0, sums + head * args.dim + dim) / cell_tokens(cell), to + dim);
        }
    }
}

/* As agent_pool_merge. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_pool_merge_wide(const Pool args, __global float *restrict sums, __global elem *restrict out)
{
    merge_cell(&args, args.first + (int)get_global_id(1), (int)get_global_id(2), sums, out);
}
