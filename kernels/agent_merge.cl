/*
 * agent_merge: the leaf states of every (problem, agent) become one along the binary tree over leaf
 * numbers, then the output.
 * map      item = one channel of one agent; global = (dim_v, count, batch * windows * heads), any
 *          local size, the first two rounded up to whole groups; nothing to do where dim_v == 0
 * traffic  about three times the states, then dim_v floats per agent
 * flops    about 10 per state and channel
 *
 * node(0, i) = leaf i;  node(k, i) = merge(node(k - 1, 2 i), node(k - 1, 2 i + 1)), where a missing
 * right child passes through: the same bits, whoever merges. m is a whole number, so both factors
 * are exact powers of two and a merge rounds in one addition.
 *
 * Items share nothing that is written. Each uses only its own channel's float of every leaf, and m
 * and l of the leaves, which stay as they are; m and l of the inner nodes it computes itself and
 * keeps where its acc of the node's other leaves was.
 */

typedef struct State {
    float m, l, acc;
} State;

/* A product and a sum, never fused: what the tree says, on every device. */
static inline State state_merge(const State left, const State right)
{
    State node;
    node.m = fmax(left.m, right.m);
    const float scale = pow2_exact(-fabs(left.m - right.m)); /* of the smaller m; the other stays */
    const float scale_left = left.m < right.m ? scale : 1.0f;
    const float scale_right = left.m < right.m ? 1.0f : scale;
    node.l = left.l * scale_left + right.l * scale_right;
    node.acc = left.acc * scale_left + right.acc * scale_right;
    return node;
}

/*
 * Where one item finds the leaf states of its (problem, agent): acc of its channel, and m with l
 * behind it.
 */
typedef struct Leaves {
    __global float *acc;
    __global const float *m;
    size_t stride; /* floats from leaf to leaf */
} Leaves;

/* The node of `count` leaves that begins at leaf `first`. */
static inline State node_read(const Leaves leaves, int first, int count)
{
    __global const float *acc = leaves.acc + (size_t)first * leaves.stride;
    __global const float *m = leaves.m + (size_t)first * leaves.stride;
    State node;
    node.acc = acc[0];
    node.l = count > 1 ? acc[leaves.stride] : m[1];
    node.m =
        count > 2 ? acc[2 * leaves.stride] : fmax(m[0], m[(size_t)(count - 1) * leaves.stride]);
    return node;
}

/* Keeps an inner node: count >= 2. */
static inline void node_write(const Leaves leaves, int first, int count, const State node)
{
    __global float *acc = leaves.acc + (size_t)first * leaves.stride;
    acc[0] = node.acc;
    acc[leaves.stride] = node.l;
    if (count > 2)
        acc[2 * leaves.stride] = node.m;
}

__kernel void agent_merge(const Merge args, __global float *restrict states,
                          __global elem *restrict out)
{
    const int j = (int)get_global_id(0);
    const int agent = args.first + (int)get_global_id(1);
    const int z = (int)get_global_id(2);
    const int head = z % args.heads;
    const int p = z / args.heads;
    const size_t target =
        view_base(args.out, p / args.windows, p % args.windows, head) + agent * args.out.token;
    if (j >= args.dim_v || (int)get_global_id(1) >= args.count)
        return;

    const size_t state_floats = (size_t)args.dim_v + 2;
    __global float *first_leaf =
        states +
        ((size_t)z * (size_t)args.leaves * (size_t)args.queries + (size_t)agent) * state_floats;
    const Leaves leaves = {first_leaf + j, first_leaf + args.dim_v,
                           (size_t)args.queries * state_floats};

    for (int step = 1; step < args.leaves; step *= 2) {
        for (int left = 0; left + step < args.leaves; left += 2 * step) {
            const int right_count = min(step, args.leaves - left - step);
            const State node = state_merge(node_read(leaves, left, step),
                                           node_read(leaves, left + step, right_count));
            node_write(leaves, left, step + right_count, node);
        }
    }
    const State root = node_read(leaves, 0, args.leaves);
    STORE(root.l > 0.0f ? args.out_scale * root.acc / root.l : 0.0f, out + target + j);
}
