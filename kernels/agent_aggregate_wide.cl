/*
 * agent_aggregate_wide: stage 1 for CPU devices. Agents gather values from the tokens of one leaf: state (m, l, acc) of
 * softmax(a k^T + bias) v per agent, or the finished output where there is one leaf.
 * map      item = (head, tile of agents, picture * windows * leaves); one item per group
 * private  a leaf is read in steps of STEP tokens: STEP * (tile + DV) + 32 * D + tile * (D + DV) floats, about 110 KB at 64;
 *          no array is small enough to live in registers but the register tile itself
 * traffic  K, V once per agent tile; writes (DV + 2) * queries floats per leaf
 * flops    2 * queries * keys * (D + DV), queries * keys exponentials
 * barriers none
 * macros   D, DV, ROWS, VECTORS (wide.clh), WIDTH (vectors.clh), STEP {32, 64, 96, 128, ...}
 */
#ifndef STEP
#define STEP 128 /* tokens whose logits are held at a time */
#endif

#define LOGIT_ROW (STEP / LANES) /* vectors of logits per agent */

/* The running softmax of a tile of agents; rescale: what the sums so far are to be multiplied by. */
typedef struct Running {
    float m[TILE], l[TILE], rescale[TILE];
} Running;

static inline void running_begin(Running *running, float16 *acc, int agents)
{
    for (int i = 0; i < agents; i++) {
        running->m[i] = STATE_EMPTY;
        running->l[i] = 0.0f;
        for (int c = 0; c < V_CHUNKS; c++)
            acc[i * V_CHUNKS + c] = (float16)(0.0f);
    }
}

/* What to add to the logits of one block of keys: the per-key vector, -INFINITY beyond the leaf's last token. */
static inline void key_terms(const Attend *args, __global const float *key_bias, const Place *place,
                             int token, int last, float16 *terms)
{
    float lanes[BLOCK];
    size_t offsets[BLOCK];
    if (args->has_key_bias)
        token_offsets(place, token, last, BLOCK, offsets);
    for (int i = 0; i < BLOCK; i++) {
        const float term = args->has_key_bias ? key_bias[offsets[i]] * LOG2E : 0.0f;
        lanes[i] = token + i <= last ? term : -INFINITY;
    }
    terms[0] = vload16(0, lanes);
    terms[1] = vload16(1, lanes);
}

/*
 * Where the logits of a block start: bias and key terms; -INFINITY wins over whatever a bias table holds beyond its end.
 * False: nothing to start from, `logits` is untouched.
 */
static inline bool start_logits(const Attend *args, BiasTile *bias, __global const float *key_bias,
                                const Place *place, int token, int last, float16 *logits)
{
    const bool has_terms = args->has_key_bias || token + BLOCK - 1 > last;
    if (args->bias.mode != 0) {
        bias_lanes(bias, token, logits, LOGIT_ROW);
        bias_lanes(bias, token + LANES, logits + 1, LOGIT_ROW);
    }
    if (has_terms) {
        float16 terms[2];
        key_terms(args, key_bias, place, token, last, terms);
        for (int i = 0; i < bias->agents; i++) {
            for (int v = 0; v < 2; v++) {
                float16 *start = logits + i * LOGIT_ROW + v;
                const float16 sum = args->bias.mode != 0 ? *start + terms[v] : terms[v];
                *start = select(sum, terms[v], terms[v] == (float16)(-INFINITY));
            }
        }
    }
    return has_terms || args->bias.mode != 0;
}

/* Turns the logits of `blocks` blocks into weights, row by row, and moves m, l and rescale along. */
static inline void softmax_rows(float16 *weights, int agents, int blocks, Running *running)
{
    for (int i = 0; i < agents; i++) {
        float *row = (float *)(weights + i * LOGIT_ROW);
        const float m = running_max(running->m[i], largest_logit(row, blocks));
        const float sum = weigh_row(row, m, blocks);
        running->rescale[i] = pow2_exact(running->m[i] - m);
        running->l[i] = MAD(running->l[i], running->rescale[i], sum);
        running->m[i] = m;
    }
}

/*
 * The rows of V of one block, chunk by chunk for the product: the rows of a chunk follow each other in memory (rows of one head are
 * often a power of two apart, which a cache does not like). `at` is the block's first token within the step.
 */
static inline void load_values(__global const elem *v, const size_t *offsets, int at, int tokens,
                               float16 *values, Ahead *ahead)
{
    for (int i = 0; i < tokens; i++) {
        ask(ahead, 1);
        load_row(v + offsets[i], DV, values + at + i, STEP);
    }
}

/* acc = acc * rescale + weights . values. */
static inline void gather_values(float16 *acc, const Running *running, const float16 *weights,
                                 const float16 *values, int agents, int tokens, Ahead *ahead)
{
    const Product product = {.a = (const float *)weights,
                             .a_row = STEP,
                             .a_step = 1,
                             .x = values,
                             .x_step = 1,
                             .x_column = STEP,
                             .out = acc,
                             .out_row = V_CHUNKS,
                             .rows = agents,
                             .columns = V_CHUNKS,
                             .steps = tokens,
                             .scale = 1.0f,
                             .keep = running->rescale,
                             .keep_row = 1,
                             .ahead = ahead};
    multiply(&product);
}

/* One agent's row of `out`: DV elements from acc, each times `factor`. */
static inline void store_values(const float16 *acc, float factor, __global elem *out)
{
    for (int c = 0; c < DV / LANES; c++)
        STORE16(acc[c] * factor, out + c * LANES);
    if (DV % LANES != 0)
        store_part(acc[V_CHUNKS - 1] * factor, out + DV / LANES * LANES, DV % LANES);
}

/* The tile's leaf states, one after the other. */
static inline void store_states(const float16 *acc, const Running *running, int agents,
                                __global float *states)
{
    for (int i = 0; i < agents; i++) {
        __global float *state = states + i * (DV + 2);
        for (int j = 0; j < DV; j++)
            state[j] = ((const float *)(acc + i * V_CHUNKS))[j];
        state[DV] = running->m[i];
        state[DV + 1] = running->l[i];
    }
}

/* The tile's finished rows, `pitch` elements apart; zeros for an agent that no key was left for. */
static inline void store_results(const float16 *acc, const Running *running, int agents,
                                 float out_scale, long pitch, __global elem *out)
{
    for (int i = 0; i < agents; i++) {
        const float l = running->l[i];
        store_values(acc + i * V_CHUNKS, l > 0.0f ? out_scale / l : 0.0f, out + i * pitch);
    }
}

/* One item: the agents from `first_agent` on gather from the tokens of `leaf`. `problem` is a picture's window. */
OUTLINED void gather_leaf(const Attend *args, int head, int first_agent, int problem, int leaf,
                          __global const elem *q, __global const elem *k, __global const elem *v,
                          __global const float *key_bias, __global const float *bias,
                          __global elem *out)
{
    const int agents = min(args->tile, args->queries - first_agent);
    const int picture = problem / args->windows;
    const int window = problem % args->windows;
    const int begin = leaf * args->leaf_tokens;
    const int end = begin + min(args->leaf_tokens, args->keys - begin);

    const Place k_place = place_of(args->k, args->k_grid, window);
    const Place v_place = place_of(args->v, args->k_grid, window);
    const Place bias_place = place_of(args->key_bias, args->k_grid, window);
    k += view_base(args->k, picture, window, head);
    v += view_base(args->v, picture, window, head);
    if (args->has_key_bias)
        key_bias += view_base(args->key_bias, picture, window, head);
    q += view_base(args->q, picture, window, head) + first_agent * args->q.token;

    Running running;
    float16 agent_rows[TILE * CHUNKS(D)], acc[TILE * V_CHUNKS];
    BiasTile bias_tile;
    bias_tile_begin(&bias_tile, &args->bias, bias, head, first_agent, agents);
    for (int i = 0; i < agents; i++)
        load_row(q + i * args->q.token, D, agent_rows + i * CHUNKS(D), 1);
    running_begin(&running, acc, agents);

    float16 keys[2 * D], values[STEP * V_CHUNKS], weights[TILE * LOGIT_ROW];
    const long to_next = head + 1 < args->heads ? args->k.head : 0;
    Ahead ahead;
    ahead_begin(&ahead);
    for (int t = begin; t < end; t += STEP) {
        const int tokens = min(STEP, end - t);
        const int blocks = (tokens + BLOCK - 1) / BLOCK;
        for (int b = 0; b < blocks; b++) {
            const int token = t + b * BLOCK;
            size_t offsets[BLOCK], value_offsets[BLOCK];
            token_offsets(&k_place, token, end - 1, BLOCK, offsets);
            token_offsets(&v_place, token, end - 1, BLOCK, value_offsets);
            ahead_begin(&ahead);
            ahead_add(&ahead, v, value_offsets);
            ahead_add_next(&ahead, k, &k_place, token, begin, end, to_next);
            load_transposed(k, offsets, D, keys, &ahead);
            const bool started = start_logits(args, &bias_tile, key_bias, &bias_place, token,
                                              end - 1, weights + 2 * b);
            logits(weights + 2 * b, LOGIT_ROW, agent_rows, agents, keys, args->scale, started,
                   &ahead);
            load_values(v, value_offsets, b * BLOCK, min(BLOCK, end - token), values, &ahead);
        }
        softmax_rows(weights, agents, blocks, &running);
        gather_values(acc, &running, weights, values, agents, tokens, &ahead);
    }

    if (args->leaves > 1) {
        const size_t z = (size_t)problem * (size_t)args->heads + (size_t)head;
        const size_t row = (z * (size_t)args->leaves + (size_t)leaf) * (size_t)args->queries;
        store_states(acc, &running, agents,
                     (__global float *)out + (row + (size_t)first_agent) * (DV + 2));
    } else {
        out += view_base(args->out, picture, window, head) + first_agent * args->out.token;
        store_results(acc, &running, agents, args->out_scale, args->out.token, out);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_aggregate_wide(const Attend args, __global const elem *restrict q,
                     __global const elem *restrict k, __global const elem *restrict v,
                     __global const float *restrict key_bias, __global const float *restrict bias,
                     __global const elem *restrict tap, __global const float *restrict dwc_weight,
                     __global const float *restrict dwc_bias, __global elem *restrict out)
{
    (void)tap, (void)dwc_weight, (void)dwc_bias; /* the argument list is shared with stage 2 */
    if (args.count == 0)
        return;
    const int z = (int)get_global_id(2);
    gather_leaf(&args, (int)get_global_id(0), (int)get_global_id(1) * args.tile, z / args.count,
                args.first + z % args.count, q, k, v, key_bias, bias, out);
}
