/*
 * The rows of tuned values: of the wide kernels, and of attend_tile, which has one per work-group size.
 *
 * The tile rows of attend_tile (kernels/tile.clh): one per work-group size, smallest first, and which one a head width starts with.
 *
 * A row's local memory in bytes does not depend on the head widths beyond this bound: with q = tile_q / 4 + 1 and k = tile_k / 4 + 1,
 *     16 * (max(chunk_d * (q + k), 4 * block_dv, tile_k / 4 * q) + tile_k * q)
 *                                                                     chunks of Q and K, slices of V or maxima; softmax weights
 *     + 16 * tile_q + 20 * tile_k                                     where rows begin, masks
 *     + 32 * max(tile_q, tile_k) + 4 * min(tile_q, tile_k)            the bias of tokens, of agents
 * which is 4992, 8640, 11520, 21376 and 30720 bytes.
 *
 * Every row compiles without scratch memory for AMD's and Intel's GPUs, Skylake's too (tools/ladder has the widths).
 */
#ifndef CLATTN_SRC_TUNE_ROWS_H
#define CLATTN_SRC_TUNE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Passed to the kernel as WG, TQ, TK, DC, DVB. work_group = (tile_q / 4) * (tile_k / 4); block_dv <= 2 * tile_k. */
typedef struct clattn__tile_row {
    int32_t work_group;
    int32_t tile_q, tile_k; /* queries and keys of a tile: 16, 32 or 64 */
    int32_t chunk_d;        /* most of head_dim in local memory at a time; a multiple of 4 */
    int32_t
        block_dv; /* most of head_dim_v per group, wider ones recompute the logits; a multiple of 4 */
} clattn__tile_row;

static const clattn__tile_row clattn__tile_rows[] = {
    {.work_group = 16, .tile_q = 16, .tile_k = 16, .chunk_d = 16, .block_dv = 32},
    {.work_group = 32, .tile_q = 16, .tile_k = 32, .chunk_d = 16, .block_dv = 64},
    {.work_group = 64, .tile_q = 32, .tile_k = 32, .chunk_d = 16, .block_dv = 64},
    {.work_group = 128, .tile_q = 32, .tile_k = 64, .chunk_d = 16, .block_dv = 128},
    {.work_group = 256, .tile_q = 64, .tile_k = 64, .chunk_d = 16, .block_dv = 128},
};

/* The bound above. */
static inline uint64_t clattn__tile_row_local_bytes(const clattn__tile_row *row)
{
    const int32_t q = row->tile_q / 4 + 1;
    const int32_t k = row->tile_k / 4 + 1;
    const int32_t chunks = row->chunk_d * (q + k);
    const int32_t slice = 4 * row->block_dv;
    const int32_t more = row->tile_q > row->tile_k ? row->tile_q : row->tile_k;
    const int32_t fewer = row->tile_q + row->tile_k - more;
    const int32_t reduce = row->tile_k / 4 * q;
    const int32_t staging = chunks > slice ? chunks : slice;
    const int32_t quads = (staging > reduce ? staging : reduce) + row->tile_k * q;

    return (uint64_t)(16 * (quads + row->tile_q) + 20 * row->tile_k + 32 * more + 4 * fewer);
}

/* The row of a work-group; NULL where there is none. */
static inline const clattn__tile_row *clattn__tile_row_find(int32_t work_group)
{
    for (size_t i = 0; i < sizeof clattn__tile_rows / sizeof *clattn__tile_rows; i++)
        if (clattn__tile_rows[i].work_group == work_group)
            return &clattn__tile_rows[i];
    return NULL;
}

/* The next smaller row; NULL below the smallest, where the wide shape remains. */
static inline const clattn__tile_row *clattn__tile_row_smaller(const clattn__tile_row *row)
{
    return row > clattn__tile_rows ? row - 1 : NULL;
}

/*
 * Where to begin: the largest row of at most `wanted` items, or with 0 by head width: 64 items while the values of a head fit one
 * block of 64, 128 up to 128, 256 above, where reading Q and K again for each tile outweighs the rest. Then down until the
 * limits hold; NULL when none does.
 */
static inline const clattn__tile_row *clattn__tile_row_first(int64_t dim, int64_t dim_v,
                                                             uint32_t wanted,
                                                             uint32_t max_work_group,
                                                             uint64_t max_local_bytes)
{
    const int64_t widest = dim > dim_v ? dim : dim_v;
    const uint32_t by_width = widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
    const uint32_t most = wanted > 0 ? wanted : by_width;
    const clattn__tile_row *row =
        &clattn__tile_rows[sizeof clattn__tile_rows / sizeof *clattn__tile_rows - 1];

    while (row != NULL &&
           ((uint32_t)row->work_group > most || (uint32_t)row->work_group > max_work_group ||
            clattn__tile_row_local_bytes(row) > max_local_bytes))
        row = clattn__tile_row_smaller(row);
    return row;
}

/*
 * The wide shape (kernels/wide.clh), passed to its kernels as ROWS, VECTORS, STEP, QUERY_BLOCK. The register tile holds
 * rows * vectors sums of 16 floats beside `vectors` vectors and a scalar: 15 of 16 registers of 8 floats, 19 of 32
 * registers of 16 floats.
 */
typedef struct clattn__wide_row {
    int32_t rows;    /* 1 .. 12 */
    int32_t vectors; /* 1 or 2 */
    int32_t step;    /* stage 1: tokens whose weights are held; results depend on it: never tuned */
    int32_t query_block; /* stage 2: queries of a work-item; a multiple of 32 */
} clattn__wide_row;

enum { CLATTN__WIDE_NARROW, CLATTN__WIDE_BROAD };

static const clattn__wide_row clattn__wide_rows[] = {
    [CLATTN__WIDE_NARROW] = {.rows = 6, .vectors = 1, .step = 128, .query_block = 128},
    [CLATTN__WIDE_BROAD] = {.rows = 8, .vectors = 2, .step = 128, .query_block = 128},
};

/* By the floats that the device likes to work on at once: AVX-512 says 16, AVX2 says 8, NEON 4. */
static inline const clattn__wide_row *clattn__wide_row_first(uint32_t vector_width)
{
    return &clattn__wide_rows[vector_width >= 16 ? CLATTN__WIDE_BROAD : CLATTN__WIDE_NARROW];
}

/* WIDTH of kernels/vectors.clh. */
static inline int clattn__vector_floats(uint32_t vector_width)
{
    return vector_width >= 16 ? 16 : 8;
}

#endif
