/*
 * agent_broadcast_wide: stage 2 for CPU devices, and ordinary attention. Tokens read from the keys (agents, or any tokens):
 *   out = out_scale * softmax(q k^T + bias) v + DWC(tap) + shortcut * tap
 * map      item = (head, block of QUERY_BLOCK queries, picture * windows), or with by_head (block, head, ...); one item per group
 * private  keys and values of a tile: tile * (D + DV) floats; queries and sums: PASS * (D + DV), or 32 * (D + DV) where all
 *          keys fit in one tile; 64 * 32 logits
 * traffic  Q once, K and V once per PASS queries, tap dwc_size^2 times from cache
 * flops    2 * queries * keys * (D + DV) + 2 * queries * dwc_size^2 * DV, queries * keys exponentials
 * barriers none
 * macros   D, DV, ROWS, VECTORS (wide.clh), WIDTH (vectors.clh), QUERY_BLOCK, a multiple of 32; PASS follows from D and DV
 */
#ifndef QUERY_BLOCK
#define QUERY_BLOCK 256
#endif

/*
 * Queries that go through the key tiles together, so that a tile is loaded once for many queries. Queries and sums of a
 * pass stay within 1 MiB of private memory, where one block of 32 lets them.
 */
#define PASS_FITS(queries)                                                                         \
    (QUERY_BLOCK % (queries) == 0 && (queries) * (D + LANES * V_CHUNKS) <= 256 * 1024)
#define PASS (PASS_FITS(256) ? 256 : PASS_FITS(128) ? 128 : PASS_FITS(64) ? 64 : BLOCK)

/* Keys of one tile: rows of K and of V; the per-key term of each. */
typedef struct KeyTile {
    float16 rows[TILE * CHUNKS(D)];
    float16 values[TILE * V_CHUNKS];
    float terms[TILE];
    int count;
} KeyTile;

UNFOLDED void load_rows(__global const elem *x, const Place *place, int first, int count,
                        const int width, float16 *rows)
{
    size_t offsets[TILE];
    token_offsets(place, first, first + count - 1, TILE, offsets);
    for (int i = 0; i < count; i++)
        load_row(x + offsets[i], width, rows + i * CHUNKS(width), 1);
}

static inline void load_key_terms(__global const float *key_bias, const Place *place, int first,
                                  int count, float *terms)
{
    size_t offsets[TILE];
    token_offsets(place, first, first + count - 1, TILE, offsets);
    for (int i = 0; i < count; i++)
        terms[i] = key_bias[offsets[i]] * LOG2E;
}

static inline void load_key_tile(KeyTile *keys, const Attend *args, __global const elem *k,
                                 __global const elem *v, __global const float *key_bias,
                                 const Place *k_place, const Place *v_place,
                                 const Place *bias_place, int first)
{
    keys->count = min(args->tile, args->keys - first);
    load_rows(k, k_place, first, keys->count, D, keys->rows);
    load_rows(v, v_place, first, keys->count, DV, keys->values);
    if (args->has_key_bias)
        load_key_terms(key_bias, bias_place, first, keys->count, keys->terms);
}

/* Where the logits of a block of queries with the tile's keys start; false: nothing to start from. */
static inline bool start_logits(const Attend *args, const KeyTile *keys, BiasTile *bias, int token,
                                float16 *logits)
{
    if (args->bias.mode != 0) {
        bias_lanes(bias, token, logits, 2);
        bias_lanes(bias, token + LANES, logits + 1, 2);
    }
    if (args->has_key_bias) {
        for (int i = 0; i < 2 * keys->count; i++)
            logits[i] = keys->terms[i / 2] + (args->bias.mode != 0 ? logits[i] : (float16)(0.0f));
    }
    return args->has_key_bias || args->bias.mode != 0;
}

/* sums = sums * rescale + weights . values for `count` queries of a block, row by row; a first tile has no sums yet. */
static inline void read_values(float16 *sums, const Columns *columns, const KeyTile *keys,
                               const float16 *weights, int count, bool first_tile, Ahead *ahead)
{
    const Product product = {.a = (const float *)weights,
                             .a_row = 1,
                             .a_step = BLOCK,
                             .x = keys->values,
                             .x_step = V_CHUNKS,
                             .x_column = 1,
                             .out = sums,
                             .out_row = V_CHUNKS,
                             .rows = count,
                             .columns = V_CHUNKS,
                             .steps = keys->count,
                             .scale = 1.0f,
                             .keep = first_tile ? NULL : (const float *)columns->rescale,
                             .keep_row = 1,
                             .ahead = ahead};
    multiply(&product);
}

/* What the block of queries from `token` on, and the next one, will need. */
static inline void ahead_of_block(Ahead *ahead, const Finish *finish, __global const elem *q,
                                  const Place *q_place, int begin, int token, int last,
                                  long to_next)
{
    const Attend *args = finish->args;
    size_t offsets[BLOCK];
    ahead_begin(ahead);
    token_offsets(&finish->out_place, token, last, BLOCK, offsets);
    ahead_add(ahead, finish->out, offsets);
    for (int i = token == begin ? 0 : max(args->dwc_size - 1, 0); i < args->dwc_size; i++) {
        const int from = token + (i - args->dwc_size / 2) * args->q_grid.window_w;
        token_offsets(&finish->tap_place, max(from, 0), args->queries - 1, BLOCK, offsets);
        ahead_add(ahead, finish->tap, offsets);
    }
    ahead_add_next(ahead, q, q_place, token, begin, last + 1, to_next);
}

/* The tile of keys from `first` on will be needed. */
static inline void ahead_of_tile(Ahead *ahead, const Attend *args, __global const elem *k,
                                 __global const elem *v, const Place *k_place, const Place *v_place,
                                 int first)
{
    const int end = min(first + args->tile, args->keys);
    size_t offsets[BLOCK];
    ahead_begin(ahead);
    for (int key = first; key < end; key += BLOCK) {
        token_offsets(k_place, key, end - 1, BLOCK, offsets);
        ahead_add(ahead, k, offsets);
        token_offsets(v_place, key, end - 1, BLOCK, offsets);
        ahead_add(ahead, v, offsets);
    }
}

/* One item: the queries of block `block` read. `problem` is a picture's window. */
OUTLINED void read_block(const Attend *args, int head, int block_number, int problem,
                         __global const elem *q, __global const elem *k, __global const elem *v,
                         __global const float *key_bias, __global const float *bias,
                         __global const elem *tap, __global const float *dwc_weight,
                         __global const float *dwc_bias, __global elem *out)
{
    const int begin = block_number * QUERY_BLOCK;
    const int end = begin + min(QUERY_BLOCK, args->queries - begin);
    const int picture = problem / args->windows;
    const int window = problem % args->windows;

    const Place q_place = place_of(args->q, args->q_grid, window);
    const Place k_place = place_of(args->k, args->k_grid, window);
    const Place v_place = place_of(args->v, args->k_grid, window);
    const Place bias_place = place_of(args->key_bias, args->k_grid, window);
    q += view_base(args->q, picture, window, head);
    k += view_base(args->k, picture, window, head);
    v += view_base(args->v, picture, window, head);
    if (args->has_key_bias)
        key_bias += view_base(args->key_bias, picture, window, head);

    Finish finish;
    finish_begin(&finish, args, picture, window, head, tap, dwc_weight + args->dwc_weight_offset,
                 dwc_bias + args->dwc_bias_offset, out);

    KeyTile keys;
    BiasTile bias_tile;
    Columns columns[PASS / BLOCK];
    float16 queries[2 * D * (PASS / BLOCK)];
    float16 sums[BLOCK * V_CHUNKS * (PASS / BLOCK)];
    float16 weights[2 * TILE];
    size_t offsets[BLOCK];
    const bool next_head = head + 1 < args->heads && !args->by_head;
    const long to_next = next_head ? args->q.head : args->q.token * QUERY_BLOCK;
    Ahead ahead;
    ahead_begin(&ahead);
    const bool one_tile = args->keys <= args->tile;

    for (int pass = begin; pass < end; pass += PASS) {
        const int pass_end = min(pass + PASS, end);
        for (int key = 0; key < args->keys; key += args->tile) {
            if (!one_tile || pass == begin)
                load_key_tile(&keys, args, k, v, key_bias, &k_place, &v_place, &bias_place, key);
            bias_tile_begin(&bias_tile, &args->bias, bias, head, key, keys.count);
            if (key > 0)
                ahead_of_tile(&ahead, args, k, v, &k_place, &v_place, key + args->tile);

            for (int t = pass; t < pass_end; t += BLOCK) {
                /* With one tile a block is finished at once: all of them use the same memory. */
                const int slot = one_tile ? 0 : (t - pass) / BLOCK;
                float16 *block = queries + slot * 2 * D;
                float16 *block_sums = sums + slot * BLOCK * V_CHUNKS;
                if (key == 0) {
                    token_offsets(&q_place, t, end - 1, BLOCK, offsets);
                    ahead_of_block(&ahead, &finish, q, &q_place, begin, t, end - 1, to_next);
                    load_transposed(q, offsets, D, block, &ahead);
                    columns_begin(&columns[slot]);
                }
                const bool started = start_logits(args, &keys, &bias_tile, t, weights);
                logits(weights, 2, keys.rows, keys.count, block, args->scale, started, &ahead);
                softmax_columns((float *)weights, keys.count, &columns[slot]);
                read_values(block_sums, &columns[slot], &keys, weights, min(BLOCK, end - t),
                            key == 0, &ahead);
                if (key + args->tile >= args->keys)
                    finish_block(&finish, block_sums, (const float *)columns[slot].l, t, end - 1);
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
agent_broadcast_wide(const Attend args, __global const elem *restrict q,
                     __global const elem *restrict k, __global const elem *restrict v,
                     __global const float *restrict key_bias, __global const float *restrict bias,
                     __global const elem *restrict tap, __global const float *restrict dwc_weight,
                     __global const float *restrict dwc_bias, __global elem *restrict out)
{
    if (args.count == 0)
        return;
    int head = (int)get_global_id(0);
    int block = (int)get_global_id(1);
    if (args.by_head) {
        const int blocks = (int)get_global_size(1);
        const int item = block * args.heads + head;
        head = item / blocks;
        block = item % blocks;
    }
    read_block(&args, head, args.first + block, (int)get_global_id(2), q, k, v, key_bias, bias, tap,
               dwc_weight, dwc_bias, out);
}
