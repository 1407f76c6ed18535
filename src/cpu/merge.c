/*
 * Merges the leaf states of one (problem, agent) along the binary tree over leaf numbers, then
 * writes the output.
 *
 * node(0, i) = leaf i
 * node(k, i) = merge(node(k - 1, 2 i), node(k - 1, 2 i + 1)); a missing right child passes through
 *
 * m is a whole number, so both factors are exact powers of two and a merge rounds in one addition.
 */
#include "cpu/address.h"
#include "cpu/lanes.h"
#include "cpu/table.h"

/*
 * acc[dim_v], m, l. The product of a power of two is exact, so it does not matter whether an
 * addition is fused with it.
 */
static void merge_states(float *restrict left, const float *restrict right, i32 dim_v)
{
    const float m = max_lane(left[dim_v], right[dim_v]);
    const float left_factor = pow2_whole(left[dim_v] - m);
    const float right_factor = pow2_whole(right[dim_v] - m);
    EACH (j, dim_v)
        left[j] = left[j] * left_factor + right[j] * right_factor;
    left[dim_v] = m;
    left[dim_v + 1] = left[dim_v + 1] * left_factor + right[dim_v + 1] * right_factor;
}

void cpu_merge(const Merge *args, float *states, void *out, int64_t item)
{
    const i64 z = item / args->count;
    const i32 agent = args->first + (i32)(item % args->count);
    const i32 dim_v = args->dim_v;
    const i64 leaf_stride = (i64)args->queries * (dim_v + 2);
    const tokens out_at =
        tokens_linear(&args->out, z / args->heads, args->windows, (i32)(z % args->heads));
    float *root = states + z * args->leaves * leaf_stride + (i64)agent * (dim_v + 2);
    elem *target = (elem *)out + out_at.base + agent * out_at.token;

    /* A node lies where its first leaf was. */
    for (i64 step = 1; step < args->leaves; step *= 2)
        for (i64 left = 0; left + step < args->leaves; left += 2 * step)
            merge_states(root + left * leaf_stride, root + (left + step) * leaf_stride, dim_v);

    const float l = root[dim_v + 1];
    const float factor = l > 0.0f ? args->out_scale / l : 0.0f;
    float row[ROW_MAX];
    EACH (j, dim_v)
        row[j] = root[j] * factor;
    store_row(row, dim_v, target);
}
