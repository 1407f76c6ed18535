/*
 * agent_merge_wide: agent_merge for CPU devices, with the same bits. One item merges all channels of an agent, so that the factors of
 * a merge are made once and channels are lanes.
 * map      item = one agent; global = (1, count, batch * windows * heads), one item per group; nothing to do where dim_v == 0
 * traffic  about twice the states, then dim_v floats per agent
 * flops    3 per state and channel
 *
 * The tree is agent_merge's; an inner node takes the place of its first leaf.
 */

#define LANES 16

/* left = left * scale_left + right * scale_right: products and a sum, never fused. */
static inline void merge_channels(__global float *left, __global const float *right, int channels,
                                  float scale_left, float scale_right)
{
    int c = 0;
    for (; c + LANES <= channels; c += LANES)
        vstore16(vload16(0, left + c) * scale_left + vload16(0, right + c) * scale_right, 0,
                 left + c);
    for (; c < channels; c++)
        left[c] = left[c] * scale_left + right[c] * scale_right;
}

static inline void merge_states(__global float *left, __global const float *right, int dim_v)
{
    const float m_left = left[dim_v];
    const float m_right = right[dim_v];
    const float scale = pow2_exact(-fabs(m_left - m_right)); /* of the smaller m; the other stays */
    const float scale_left = m_left < m_right ? scale : 1.0f;
    const float scale_right = m_left < m_right ? 1.0f : scale;
    merge_channels(left, right, dim_v, scale_left, scale_right);
    left[dim_v] = fmax(m_left, m_right);
    left[dim_v + 1] = left[dim_v + 1] * scale_left + right[dim_v + 1] * scale_right;
}

/* Agent `agent` of problem and head z. */
OUTLINED void merge_agent(const Merge *merge, int agent, int z, __global float *restrict states,
                          __global elem *restrict out)
{
    const Merge args = *merge;
    const int head = z % args.heads;
    const int p = z / args.heads;
    const size_t state_floats = (size_t)args.dim_v + 2;
    const size_t stride = (size_t)args.queries * state_floats; /* from leaf to leaf */
    __global float *leaves =
        states +
        ((size_t)z * (size_t)args.leaves * (size_t)args.queries + (size_t)agent) * state_floats;
    for (int step = 1; step < args.leaves; step *= 2) {
        for (int left = 0; left + step < args.leaves; left += 2 * step)
            merge_states(leaves + (size_t)left * stride, leaves + (size_t)(left + step) * stride,
                         args.dim_v);
    }
    out += view_base(args.out, p / args.windows, p % args.windows, head) + agent * args.out.token;
    const float l = leaves[args.dim_v + 1];
    for (int c = 0; c < args.dim_v; c++)
        STORE(l > 0.0f ? args.out_scale * leaves[c] / l : 0.0f, out + c);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_merge_wide(const Merge args, __global float *restrict states, __global elem *restrict out)
{
    if (args.dim_v == 0)
        return;
    merge_agent(&args, args.first + (int)get_global_id(1), (int)get_global_id(2), states, out);
}
