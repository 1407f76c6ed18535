/*
 * agent_broadcast_narrow: stage 2 for CPU devices and narrow rows (narrow.clh), and ordinary attention of such rows. Tokens
 * read from the keys (agents, or any tokens):
 *   out = out_scale * softmax(q k^T) v + shortcut * tap
 * map      item = (head, block of QUERY_BLOCK queries, picture * windows); one item per group
 * private  tile * (D + DV + 1) floats of keys; QUERY_BLOCK * (D + DV + 2) floats of queries and states
 * traffic  Q once, K and V once per QUERY_BLOCK queries
 * flops    2 * queries * keys * (D + DV), queries * keys exponentials
 * barriers none
 * macros   D, DV <= 8; QUERY_BLOCK, a multiple of 32
 */
#ifndef QUERY_BLOCK
#define QUERY_BLOCK 256
#endif

#define PAIR 2 /* vectors of queries that meet a key together */

/* The keys of one tile, filled up to whole groups; terms: what to add to their logits, -INFINITY for what fills up. */
typedef struct KeyTile {
    float rows[TILE * D], values[TILE * DV], terms[TILE];
    int count;
} KeyTile;

/* WIDTH queries: their rows, times the scale, and the running softmax of each. */
typedef struct Queries {
    floats rows[D];
    Lanes lanes;
} Queries;

/* `width` (constant) elements of `count` rows from row `first` on, without gaps. */
UNFOLDED void load_rows(__global const elem *x, const Place *place, int first, int count,
                        const int width, float *rows)
{
    size_t offsets[TILE];
    token_offsets(place, first, first + count - 1, TILE, offsets);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < width; j++)
            rows[i * width + j] = LOAD(x + offsets[i] + j);
}

static inline void load_keys(const Attend *args, __global const elem *k, const Place *k_place,
                             __global const elem *v, const Place *v_place,
                             __global const float *key_bias, const Place *bias_place, int first,
                             KeyTile *keys)
{
    size_t offsets[TILE];
    const int count = min(args->tile, args->keys - first);
    load_rows(k, k_place, first, count, D, keys->rows);
    load_rows(v, v_place, first, count, DV, keys->values);
    if (args->has_key_bias)
        token_offsets(bias_place, first, first + count - 1, TILE, offsets);
    for (int i = 0; i < count; i++)
        keys->terms[i] = args->has_key_bias ? key_bias[offsets[i]] * LOG2E : 0.0f;
    keys->count = count;
    for (; keys->count % GROUP != 0; keys->count++) {
        for (int j = 0; j < D; j++)
            keys->rows[keys->count * D + j] = 0.0f;
        for (int j = 0; j < DV; j++)
            keys->values[keys->count * DV + j] = 0.0f;
        keys->terms[keys->count] = -INFINITY;
    }
}

static inline void load_queries(__global const elem *q, const Place *place, int first, int last,
                                float scale, Queries *queries)
{
    size_t offsets[WIDTH];
    vector_offsets(place, first, last, offsets);
    load_columns(q, offsets, D, queries->rows);
    CLATTN_UNROLL
    for (int j = 0; j < D; j++)
        queries->rows[j] *= scale;
    lanes_begin(&queries->lanes);
}

/* The logits of PAIR vectors of queries with the keys of a tile, and the largest of each: a key's row is spread only once. */
static inline void find_logits(const KeyTile *keys, const Queries *queries, floats *logits,
                               floats *largest)
{
    floats rows[PAIR * D];
    CLATTN_UNROLL
    for (int p = 0; p < PAIR; p++) {
        largest[p] = (floats)(-INFINITY);
        CLATTN_UNROLL
        for (int j = 0; j < D; j++)
            rows[p * D + j] = queries[p].rows[j];
    }
    for (int i = 0; i < keys->count; i++) {
        floats key[D];
        CLATTN_UNROLL
        for (int j = 0; j < D; j++)
            key[j] = (floats)(keys->rows[i * D + j]);
        CLATTN_UNROLL
        for (int p = 0; p < PAIR; p++) {
            const floats s = narrow_logits(key, rows + p * D, (floats)(keys->terms[i]));
            logits[p * TILE + i] = s;
            largest[p] = larger(s, largest[p]);
        }
    }
}

/* PAIR vectors of queries and the keys of a tile. */
static inline void read_keys(const KeyTile *keys, Queries *queries)
{
    floats logits[PAIR * TILE], largest[PAIR];
    find_logits(keys, queries, logits, largest);
    for (int p = 0; p < PAIR; p++) {
        Lanes lanes = queries[p].lanes;
        lanes_raise(&lanes, largest[p]);
        for (int i = 0; i < keys->count; i += GROUP) {
            floats x[GROUP], values[GROUP * DV];
            CLATTN_UNROLL
            for (int g = 0; g < GROUP; g++)
                x[g] = logits[p * TILE + i + g] - lanes.m;
            CLATTN_UNROLL
            for (int j = 0; j < GROUP * DV; j++)
                values[j] = (floats)(keys->values[i * DV + j]);
            lanes_add(&lanes, x, values);
        }
        queries[p].lanes = lanes;
    }
}

/* The finished rows of queries from `first` on, of which those up to `last` exist. */
static inline void store_results(const Attend *args, const Lanes *lanes, int first, int last,
                                 __global const elem *tap, const Place *tap_place,
                                 __global elem *out, const Place *out_place)
{
    const floats divided = (floats)(args->out_scale) / lanes->l;
    const floats factor = select((floats)(0.0f), divided, lanes->l > (floats)(0.0f));
    size_t offsets[WIDTH];
    floats here[DV];
    float result[DV * WIDTH];
    if (args->shortcut != 0.0f) {
        vector_offsets(tap_place, first, last, offsets);
        load_columns(tap, offsets, DV, here);
    }
    CLATTN_UNROLL
    for (int j = 0; j < DV; j++) {
        floats x = lanes->acc[j] * factor;
        if (args->shortcut != 0.0f)
            x = MAD((floats)(args->shortcut), here[j], x);
        store_floats(x, j, result);
    }
    vector_offsets(out_place, first, last, offsets);
    for (int i = 0; i < WIDTH && first + i <= last; i++)
        for (int j = 0; j < DV; j++)
            STORE(result[j * WIDTH + i], out + offsets[i] + j);
}

/* One item: the queries of block `block_number` read. `problem` is a picture's window. */
OUTLINED void read_block(const Attend *attend, int head, int block_number, int problem,
                         __global const elem *restrict q, __global const elem *restrict k,
                         __global const elem *restrict v, __global const float *restrict key_bias,
                         __global const elem *restrict tap, __global elem *restrict out)
{
    const Attend args = *attend;
    const int begin = block_number * QUERY_BLOCK;
    const int end = begin + min(QUERY_BLOCK, args.queries - begin);
    const int picture = problem / args.windows;
    const int window = problem % args.windows;

    const Place q_place = place_of(args.q, args.q_grid, window);
    const Place k_place = place_of(args.k, args.k_grid, window);
    const Place v_place = place_of(args.v, args.k_grid, window);
    const Place bias_place = place_of(args.key_bias, args.k_grid, window);
    const Place tap_place = place_of(args.tap, args.q_grid, window);
    const Place out_place = place_of(args.out, args.q_grid, window);
    q += view_base(args.q, picture, window, head);
    k += view_base(args.k, picture, window, head);
    v += view_base(args.v, picture, window, head);
    tap += view_base(args.tap, picture, window, head);
    out += view_base(args.out, picture, window, head);
    if (args.has_key_bias)
        key_bias += view_base(args.key_bias, picture, window, head);

    KeyTile keys;
    Queries queries[QUERY_BLOCK / WIDTH];
    const int whole = begin + (end - begin + PAIR * WIDTH - 1) / (PAIR * WIDTH) * (PAIR * WIDTH);
    for (int t = begin; t < whole; t += WIDTH)
        load_queries(q, &q_place, t, end - 1, args.scale, &queries[(t - begin) / WIDTH]);
    for (int first = 0; first < args.keys; first += args.tile) {
        load_keys(&args, k, &k_place, v, &v_place, key_bias, &bias_place, first, &keys);
        for (int t = begin; t < whole; t += PAIR * WIDTH)
            read_keys(&keys, &queries[(t - begin) / WIDTH]);
    }
    for (int t = begin; t < end; t += WIDTH)
        store_results(&args, &queries[(t - begin) / WIDTH].lanes, t, end - 1, tap, &tap_place, out,
                      &out_place);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_broadcast_narrow(const Attend args, __global const elem *restrict q,
                       __global const elem *restrict k, __global const elem *restrict v,
                       __global const float *restrict key_bias, __global const float *restrict bias,
                       __global const elem *restrict tap, __global const float *restrict dwc_weight,
                       __global const float *restrict dwc_bias, __global elem *restrict out)
{
    (void)bias, (void)dwc_weight, (void)dwc_bias; /* the list is all stages' */
    if (args.count == 0)
        return;
    read_block(&args, (int)get_global_id(0), args.first + (int)get_global_id(1),
               (int)get_global_id(2), q, k, v, key_bias, tap, out);
}
