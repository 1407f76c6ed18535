/*
 * attend_tile: softmax attention of queries over keys for GPUs, both stages of agent attention and ordinary attention.
 *   STAGE 1 (agent aggregation): queries = agents, keys = the tokens of one leaf; writes its state, or `out` where it is the only leaf
 *   STAGE 2 (agent broadcast):   queries = tokens, keys = agents or tokens; adds DWC and shortcut; writes `out`
 *
 * map      group ids: stage 1 (leaf - first, query tile * DV_BLOCKS + block of dv, problem), stage 2 (query tile - first, block, problem);
 *          item (qi, ki) = 4 queries x 4 keys of the logits, then 4 queries x ITEM_QUADS quads of dv
 * local    16 * (STAGING + TK * Q_ROW + TQ) + 20 * TK + 32 * TOKENS + 4 * AGENTS bytes (tile.clh): 12 KiB at WG 64, 30 at 256, whatever D and DV
 * private  16 logits, 16 * ITEM_QUADS accumulators, 8 for maximum and sum; nothing indexed by a run-time value
 * traffic  per group: its keys and values once, its queries once per tile of keys (from cache after the first)
 * flops    per query: 2 * (D * DV_BLOCKS + DV) * keys, and keys * DV_BLOCKS exponentials
 * barriers after each fill and before each refill; 2 * CHUNKS + 2 + 2 * TK / SLICE per tile of keys
 * macros   those of tile.clh
 */

/*
 * Where the item stands. A launch of nothing (count == 0) has no keys and no queries to write: a return ahead of barriers, even by all
 * items, makes PoCL 3.1 compile the end of the kernel wrongly.
 */
static inline void find_place(Tile *tile, const Attend args)
{
    const int z = (int)get_group_id(2);
    const int item = (int)get_local_id(0);
    const int first = (int)get_group_id(0) + args.first; /* leaf or query tile */
    const int side = (int)get_group_id(1);

    tile->z = z;
    tile->head = z % args.heads;
    tile->window = z / args.heads % args.windows;
    tile->picture = z / args.heads / args.windows;
    tile->leaf = STAGE == 1 ? first : 0;
    tile->query0 = (STAGE == 1 ? side / DV_BLOCKS : first) * TQ;
    tile->key_first = STAGE == 1 ? first * args.leaf_tokens : 0;
    tile->key_end = STAGE == 1 ? min(tile->key_first + args.leaf_tokens, args.keys) : args.keys;
    if (args.count == 0)
        tile->key_end = tile->key_first;
    tile->dv0 = side % DV_BLOCKS * BLOCK_QUADS * 4;
    tile->item = item;
    tile->qi = item / KEY_QUADS;
    tile->ki = item % KEY_QUADS;
    tile->column = tile->ki % COLUMNS;
    tile->part = tile->ki / COLUMNS;
    tile->queries = args.count == 0 ? 0 : args.queries - tile->query0 - 4 * tile->qi;
    tile->q_origin = window_origin(args.q_grid, tile->window);
    tile->k_origin = window_origin(args.k_grid, tile->window);
}

static inline void stage_queries(const Attend args, const Tile tile, __global const float *bias)
{
    if (tile.item < TQ) {
        const int t = min(tile.query0 + tile.item, args.queries - 1);
        const int2 cell = STAGE == 2 && args.dwc_size > 0 ? token_cell(args.q_grid, t)
                                                          : plain_cell(args.q_grid, t);
        tile.q_cell[tile.item] = cell;
        tile.q_at[tile.item] = place_offset(args.q, cell_place(args.q_grid, tile.q_origin, cell));
        if (STAGE == 1)
            tile.agent[tile.item] = tile.head * args.bias.agents + t;
        else if (args.count > 0)
            stage_bias_taps(args.bias, bias, t, &tile.tap_weight[tile.item],
                            &tile.tap_place[tile.item]);
    }
}

static inline void stage_keys(const Attend args, const Tile tile, int key0,
                              __global const float *key_bias, __global const float *bias)
{
    if (tile.item < TK) {
        const int t = min(key0 + tile.item, tile.key_end - 1);
        const int2 place = token_place(args.k_grid, tile.k_origin, t);
        tile.k_at[tile.item] = place_offset(args.k, place);
        tile.v_at[tile.item] = place_offset(args.v, place);
        float add = 0.0f;
        if (args.has_key_bias)
            add = key_bias[place_offset(args.key_bias, place)] * LOG2E;
        tile.key_add[tile.item] = key0 + tile.item < tile.key_end ? add : -INFINITY;
        if (STAGE == 1)
            stage_bias_taps(args.bias, bias, t, &tile.tap_weight[tile.item],
                            &tile.tap_place[tile.item]);
        else
            tile.agent[tile.item] = tile.head * args.bias.agents + t;
    }
}

/* q k^T of the item's tokens (rows) with its agents, in whichever stage. */
static inline Block find_products(const Tile tile, __global const elem *q, __global const elem *k)
{
    __local float4 *q_tile = tile.staging;
    __local float4 *k_tile = tile.staging + CHUNK * Q_ROW;
    __local float4 *token = STAGE == 1 ? k_tile + tile.ki : q_tile + tile.qi;
    __local float4 *agent = STAGE == 1 ? q_tile + tile.qi : k_tile + tile.ki;
    const int token_row = STAGE == 1 ? K_ROW : Q_ROW;
    const int agent_row = STAGE == 1 ? Q_ROW : K_ROW;
    Block s = zero_block();

    TILE_LOOP
    for (int d0 = 0; d0 < LENGTH(CHUNKS * CHUNK); d0 += CHUNK) {
        barrier(CLK_LOCAL_MEM_FENCE);
        stage_transposed((__local float *)q_tile, 4 * Q_ROW, TQ, q, tile.q_at, d0);
        stage_transposed((__local float *)k_tile, 4 * K_ROW, TK, k, tile.k_at, d0);
        barrier(CLK_LOCAL_MEM_FENCE);
        /* Pairs, as TILE_UNROLL would make them, but without a rest: CHUNK is even. */
        TILE_LOOP
        for (int d = 0; d < LENGTH(CHUNK); d += 2) {
            s = add_outer(s, token[d * token_row], agent[d * agent_row]);
            s = add_outer(s, token[(d + 1) * token_row], agent[(d + 1) * agent_row]);
        }
    }
    return s;
}

/* s + add; -INFINITY where the key does not count. */
static inline float4 add_key(float4 s, float add)
{
    return add == -INFINITY ? (float4)(-INFINITY) : s + add;
}

/* s of the item's keys (rows) with its queries. */
static inline Block find_logits(const Attend args, const Tile tile, __global const elem *q,
                                __global const elem *k, __global const float *bias)
{
    const Block by_token = add_bias(find_products(tile, q, k), args, tile, bias);
    const Block s = STAGE == 1 ? by_token : transpose(by_token);
    const float4 add = vload4(tile.ki, tile.key_add);
    const Block logits = {add_key(s.r0, add.x), add_key(s.r1, add.y), add_key(s.r2, add.z),
                          add_key(s.r3, add.w)};
    return logits;
}

/* exp2(s - m), 0 for a masked key. */
static inline float4 weights(float4 s, float4 m)
{
    return select(EXP2(s - m), (float4)(0.0f), isequal(s, (float4)(-INFINITY)));
}

/* Takes the tile's logits into m, l and acc, and leaves their weights in local memory. */
static inline void update_softmax(Partial *partial, const Block s, const Tile tile)
{
    /* The maximum over the items that share the queries: each finds it for itself, all come to the same. */
    float4 top = fmax(fmax(s.r0, s.r1), fmax(s.r2, s.r3));
    barrier(CLK_LOCAL_MEM_FENCE);
    tile.staging[tile.ki * Q_ROW + tile.qi] = top;
    barrier(CLK_LOCAL_MEM_FENCE);
    TILE_LOOP
    for (int i = 0; i < LENGTH(KEY_QUADS); i++)
        top = fmax(top, tile.staging[i * Q_ROW + tile.qi]);

    const float4 m = fmax(partial->m, ceil(top));
    const float4 drop = partial->m - m;
    const float4 shrink =
        (float4)(pow2_exact(drop.x), pow2_exact(drop.y), pow2_exact(drop.z), pow2_exact(drop.w));
    const Block p = {weights(s.r0, m), weights(s.r1, m), weights(s.r2, m), weights(s.r3, m)};
    __local float4 *column = tile.softmax + (4 * tile.ki * Q_ROW + tile.qi);
    column[0] = p.r0;
    column[Q_ROW] = p.r1;
    column[2 * Q_ROW] = p.r2;
    column[3 * Q_ROW] = p.r3;
    partial->m = m;
    partial->l = partial->l * shrink + ((p.r0 + p.r1) + (p.r2 + p.r3));
    partial->acc0 = scale_rows(partial->acc0, shrink);
    partial->acc1 = scale_rows(partial->acc1, shrink);
}

/* acc += weights * V, a slice of keys at a time. Keys that do not count are not even read. */
static inline void add_values(Partial *partial, const Tile tile, __global const elem *v)
{
    TILE_LOOP
    for (int slice = 0; slice < TK; slice += SLICE) {
        barrier(CLK_LOCAL_MEM_FENCE);
        TILE_LOOP
        for (int i = tile.item; i < SLICE * V_ROW; i += WG) {
            const int key = slice + i / V_ROW;
            const int quad = i % V_ROW;
            float4 x = (float4)(0.0f);
            if (tile.key_add[key] != -INFINITY && quad < BLOCK_QUADS)
                x = load_quad(v + tile.v_at[key], tile.dv0 + 4 * quad, DV, DV_PADDED);
            tile.staging[i] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        TILE_UNROLL
        for (int i = tile.part; i < SLICE; i += PARTS) {
            const float4 p = tile.softmax[(slice + i) * Q_ROW + tile.qi];
            __local const float4 *row = tile.staging + (i * V_ROW + tile.column);
            partial->acc0 = add_outer(partial->acc0, p, row[0]);
            if (ITEM_QUADS > 1)
                partial->acc1 = add_outer(partial->acc1, p, row[COLUMNS]);
        }
    }
}

__attribute__((reqd_work_group_size(WG, 1, 1))) __kernel void
attend_tile(const Attend args, __global const elem *restrict q, __global const elem *restrict k,
            __global const elem *restrict v, __global const float *restrict key_bias,
            __global const float *restrict bias, __global const elem *restrict tap,
            __global const float *restrict dwc_weight, __global const float *restrict dwc_bias,
            __global elem *restrict out)
{
    __local float4 staging[STAGING], softmax[TK * Q_ROW], tap_weight[TOKENS];
    __local int4 tap_place[TOKENS];
    __local long q_at[TQ], k_at[TK], v_at[TK];
    __local int2 q_cell[TQ];
    __local float key_add[TK];
    __local int agent[AGENTS];

    Tile tile = {.staging = staging,
                 .softmax = softmax,
                 .q_at = q_at,
                 .k_at = k_at,
                 .v_at = v_at,
                 .q_cell = q_cell,
                 .key_add = key_add,
                 .tap_weight = tap_weight,
                 .tap_place = tap_place,
                 .agent = agent};
    find_place(&tile, args);
    q += view_base(args.q, tile.picture, tile.window, tile.head);
    k += view_base(args.k, tile.picture, tile.window, tile.head);
    v += view_base(args.v, tile.picture, tile.window, tile.head);
    if (args.has_key_bias)
        key_bias += view_base(args.key_bias, tile.picture, tile.window, tile.head);

    Partial partial = {.acc0 = zero_block(),
                       .acc1 = zero_block(),
                       .m = (float4)(STATE_EMPTY),
                       .l = (float4)(0.0f)};
    stage_queries(args, tile, bias);
    for (int key0 = tile.key_first; key0 < tile.key_end; key0 += TK) {
        stage_keys(args, tile, key0, key_bias, bias);
        update_softmax(&partial, find_logits(args, tile, q, k, bias), tile);
        add_values(&partial, tile, v);
    }
    join_items(&partial, tile);
    write_result(&partial, args, tile, tap, dwc_weight, dwc_bias, out);
}
