/*
 * agent_aggregate_narrow: stage 1 for CPU devices and narrow rows (narrow.clh). Agents gather values from the tokens of one
 * leaf: state (m, l, acc) of softmax(a k^T) v per agent, or the finished output where there is one leaf.
 * map      item = (head, tile of agents, picture * windows * leaves); one item per group
 * private  a leaf is read in steps of STEP tokens: STEP * (D + DV + 2) floats; WIDTH * tile * (DV + 2) floats of states, since every
 *          lane has a running softmax of its own, merged when the leaf ends
 * traffic  K, V once per agent tile; writes (DV + 2) * queries floats per leaf
 * flops    2 * queries * keys * (D + DV), queries * keys exponentials
 * barriers none
 * macros   D, DV <= 8; STEP {64, 128, 256}
 */
#ifndef STEP
#define STEP 256 /* tokens whose logits with one agent are held at a time */
#endif

#define STEP_VECTORS (STEP / WIDTH)
#define GROUP_TOKENS (GROUP * WIDTH)

/*
 * The tokens of a step, transposed, in whole groups of vectors; terms: what to add to their logits, -INFINITY beyond the leaf's
 * last token.
 */
typedef struct Step {
    floats keys[STEP_VECTORS * D], values[STEP_VECTORS * DV], terms[STEP_VECTORS];
    int vectors;
} Step;

/* Where the tokens of a leaf lie. */
typedef struct Leaf {
    __global const elem *k, *v;
    __global const float *key_bias; /* 0: none */
    Place k_place, v_place, bias_place;
    int end;
} Leaf;

static inline floats load_terms(const Leaf *leaf, int token)
{
    float lanes[WIDTH];
    size_t offsets[WIDTH];
    if (leaf->key_bias != 0)
        vector_offsets(&leaf->bias_place, token, leaf->end - 1, offsets);
    CLATTN_UNROLL
    for (int i = 0; i < WIDTH; i++) {
        const float term = leaf->key_bias != 0 ? leaf->key_bias[offsets[i]] * LOG2E : 0.0f;
        lanes[i] = token + i < leaf->end ? term : -INFINITY;
    }
    return load_floats(0, lanes);
}

static inline void load_step(const Leaf *leaf, int token, Step *step)
{
    size_t offsets[WIDTH];
    step->vectors = (min(STEP, leaf->end - token) + GROUP_TOKENS - 1) / GROUP_TOKENS * GROUP;
    for (int v = 0; v < step->vectors; v++) {
        const int first = token + v * WIDTH;
        vector_offsets(&leaf->k_place, first, leaf->end - 1, offsets);
        load_columns(leaf->k, offsets, D, step->keys + v * D);
        vector_offsets(&leaf->v_place, first, leaf->end - 1, offsets);
        load_columns(leaf->v, offsets, DV, step->values + v * DV);
        for (int j = 0; j < DV && first >= leaf->end; j++)
            step->values[v * DV + j] = (floats)(0.0f);
        step->terms[v] = load_terms(leaf, first);
    }
}

/* One agent (times the scale) and the tokens of a step. */
static inline void gather(const float *agent, const Step *step, Lanes *state)
{
    Lanes lanes = *state;
    floats a[D], logits[STEP_VECTORS];
    CLATTN_UNROLL
    for (int j = 0; j < D; j++)
        a[j] = (floats)(agent[j]);
    floats largest = (floats)(-INFINITY);
    for (int v = 0; v < step->vectors; v += GROUP) {
        CLATTN_UNROLL
        for (int g = v; g < v + GROUP; g++) {
            logits[g] = narrow_logits(a, step->keys + g * D, step->terms[g]);
            largest = larger(logits[g], largest);
        }
    }
    lanes_raise(&lanes, largest);
    for (int v = 0; v < step->vectors; v += GROUP) {
        floats x[GROUP];
        CLATTN_UNROLL
        for (int g = 0; g < GROUP; g++)
            x[g] = logits[v + g] - lanes.m;
        lanes_add(&lanes, x, step->values + v * DV);
    }
    *state = lanes;
}

/* The softmaxes of the lanes of an agent become one: acc[DV], m, l. */
static inline void merge_lanes(const Lanes *lanes, float *state)
{
    const float m = largest_of(lanes->m);
    const floats rescale = exact_powers(lanes->m - (floats)(m));
    for (int j = 0; j < DV; j++)
        state[j] = sum_of(lanes->acc[j] * rescale);
    state[DV] = m;
    state[DV + 1] = sum_of(lanes->l * rescale);
}

/* One item: the agents from `first_agent` on gather from the tokens of a leaf. `problem` is a picture's window. */
OUTLINED void gather_leaf(const Attend *attend, int head, int first_agent, int problem,
                          int leaf_number, __global const elem *restrict q,
                          __global const elem *restrict k, __global const elem *restrict v,
                          __global const float *restrict key_bias, __global elem *restrict out)
{
    const Attend args = *attend;
    const int agents = min(args.tile, args.queries - first_agent);
    const int picture = problem / args.windows;
    const int window = problem % args.windows;
    const int begin = leaf_number * args.leaf_tokens;

    Leaf leaf;
    leaf.end = begin + min(args.leaf_tokens, args.keys - begin);
    leaf.k = k + view_base(args.k, picture, window, head);
    leaf.v = v + view_base(args.v, picture, window, head);
    leaf.key_bias =
        args.has_key_bias ? key_bias + view_base(args.key_bias, picture, window, head) : 0;
    leaf.k_place = place_of(args.k, args.k_grid, window);
    leaf.v_place = place_of(args.v, args.k_grid, window);
    leaf.bias_place = place_of(args.key_bias, args.k_grid, window);

    float rows[TILE * D];
    Lanes lanes[TILE];
    q += view_base(args.q, picture, window, head) + first_agent * args.q.token;
    for (int i = 0; i < agents; i++) {
        for (int j = 0; j < D; j++)
            rows[i * D + j] = LOAD(q + i * args.q.token + j) * args.scale;
        lanes_begin(&lanes[i]);
    }

    Step step;
    for (int token = begin; token < leaf.end; token += STEP) {
        load_step(&leaf, token, &step);
        for (int i = 0; i < agents; i++)
            gather(rows + i * D, &step, &lanes[i]);
    }

    const size_t z = (size_t)problem * (size_t)args.heads + (size_t)head;
    const size_t row = (z * (size_t)args.leaves + (size_t)leaf_number) * (size_t)args.queries;
    __global float *states = (__global float *)out + (row + (size_t)first_agent) * (DV + 2);
    out += view_base(args.out, picture, window, head) + first_agent * args.out.token;
    for (int i = 0; i < agents; i++) {
        float state[DV + 2];
        merge_lanes(&lanes[i], state);
        if (args.leaves > 1) {
            for (int j = 0; j < DV + 2; j++)
                states[i * (DV + 2) + j] = state[j];
        } else {
            const float factor = state[DV + 1] > 0.0f ? args.out_scale / state[DV + 1] : 0.0f;
            for (int j = 0; j < DV; j++)
                STORE(state[j] * factor, out + i * args.out.token + j);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_aggregate_narrow(const Attend args, __global const elem *restrict q,
                       __global const elem *restrict k, __global const elem *restrict v,
                       __global const float *restrict key_bias, __global const float *restrict bias,
                       __global const elem *restrict tap, __global const float *restrict dwc_weight,
                       __global const float *restrict dwc_bias, __global elem *restrict out)
{
    (void)bias, (void)tap, (void)dwc_weight, (void)dwc_bias; /* the list is all stages' */
    if (args.count == 0)
        return;
    const int z = (int)get_global_id(2);
    gather_leaf(&args, (int)get_global_id(0), (int)get_global_id(1) * args.tile, z / args.count,
                args.first + z % args.count, q, k, v, key_bias, out);
}
