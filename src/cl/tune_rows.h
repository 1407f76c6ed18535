/*
 * The tile shapes of attend_tile (kernels/tile.clh) by work-group size, and which one a head width starts with.
 *
 * A row's local memory in bytes, with chunk = the equal chunks of head_dim (<= chunk_d), q = tile_q / 4 + 1 and k = tile_k / 4 + 1 quads,
 * at most
 *     16 * (max(chunk_d * (q + k), 4 * block_dv) + tile_k * q)    Q and K or 16 keys of V; the weights
 *     + 16 * tile_q + 20 * tile_k + 32 * max(tile_q, tile_k)      where rows begin, masks, bias taps
 * whatever the head widths are: 4.0, 7.3, 12.3, 21.5, 29.8 KiB at 16, 32, 64, 128, 256.
 */
#ifndef CLATTN_SRC_TUNE_ROWS_H
#define CLATTN_SRC_TUNE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Passed to the kernel as WG, TQ, TK, DC, DVB; work_group = (tile_q / 4) * (tile_k / 4). */
typedef struct clattn__tile_row {
    int32_t work_group;
    int32_t tile_q, tile_k; /* queries and keys of a tile */
    int32_t chunk_d;        /* most of head_dim in local memory at a time */
    int32_t block_dv;       /* most of head_dim_v per group */
} clattn__tile_row;

#endif
