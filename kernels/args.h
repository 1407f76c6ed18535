/*
 * What the host tells a kernel, by value. This file is read by the C compiler (host and CPU path) and, as the first
 * source string of every program, by the OpenCL compiler, so both sides agree on every field. 64-bit fields come first:
 * the layout has no hidden holes.
 */
#ifndef CLATTN_ARGS_H
#define CLATTN_ARGS_H

#if defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__)
typedef long i64;
typedef int i32;
#else
#include <stdint.h>
typedef int64_t i64;
typedef int32_t i32;
#endif

/*
 * Where a tensor's elements lie, in elements. Problem z = (picture b, window w, head h) starts at
 * offset + b * batch + w * window + h * head; see Grid for its tokens.
 */
typedef struct View {
    i64 offset, batch, window, head, row, token;
} View;

/*
 * Which token is which. A problem's token t is a class token (t < class_tokens) or map token (y, x) of its window, row by row.
 * linear: token t lies at t * token (agents, and maps whose rows follow each other, without windows). Else class token t lies at
 * t * token, and token (y, x) of window w at class_tokens * token + Y * row + X * token with
 * Y = ((w / windows_x) * window_h + y + shift_y) mod height, X likewise.
 */
typedef struct Grid {
    i32 height, width;      /* the map in memory */
    i32 window_h, window_w; /* one problem's map: a window, or the whole map */
    i32 windows_x;          /* windows per row of windows */
    i32 shift_y, shift_x;
    i32 class_tokens;
    i32 tokens; /* class_tokens + window_h * window_w */
    i32 linear;
} Grid;

/*
 * A tile of a larger map: how many of the map's rows and columns lie in memory around a grid's one window, for whoever reads
 * neighbours. All 0: the window's edge is the map's, and there are zeros beyond. Only without windows.
 */
typedef struct Halo {
    i32 top, left, bottom, right;
} Halo;

/*
 * Agent bias of one stage, entry (head, agent, token), times log2(e), evaluated from one buffer of f32 (src/ops/bias.c
 * makes it). With ha = head * agents + agent, and token t = class_tokens + g for entry g of the bias grid, y = g / grid_w, x = g % grid_w:
 * mode 0  none
 * mode 1  buf[table + ha * pitch + t]; pitch >= tokens rounded up to 16, plus 16
 * mode 2  t < class_tokens: buf[cls + ha]; else
 *         sum_i hat_x[i][x] * (sum_j hat_y[j][y] * buf[map + ha * 56 + 8 * j + i]) + buf[row + ha * grid_h + y] + buf[col + ha * pitch + x]
 *         hat_x[i][x] = buf[hat_x + i * pitch + x] are the rows of the bilinear resize, i = 0..6; only taps i0 and i0 + 1 are not
 *         zero, i0 = (int)buf[hat_x + 7 * pitch + x] <= 5. hat_y[j][y] = buf[hat_y + j * grid_h + y] likewise, without padding.
 *         col and hat_x may be read from x = -16 to grid_w + 15 (zeros there); element 7 of each row of map is zero.
 */
typedef struct Bias {
    i64 table, map, row, col, cls, hat_x, hat_y;
    i32 mode, grid_h, grid_w, pitch, class_tokens, agents;
} Bias;

/*
 * Softmax attention of queries over keys, both stages:
 *   s(i, j) = scale * q_i . k_j + bias + key_bias_j (all times log2(e));  out_i = out_scale * softmax_j(s) v + DWC + shortcut * tap_i
 * Stage 1 (aggregate): queries are agents, keys are tokens; the keys are cut into leaves, and where leaves > 1 states are written
 * instead of `out`. Stage 2 (broadcast): queries are tokens, keys are agents, or any keys (attention).
 * The problem number is z = (b * windows + w) * heads + h.
 */
typedef struct Attend {
    View q, k, v, out;
    View key_bias; /* f32; token strides of the keys */
    View tap;      /* v on the query grid, for DWC and shortcut (stage 2) */
    i64 dwc_weight_offset, dwc_bias_offset; /* first elements in their buffers */
    Bias bias;           /* agents are the queries in stage 1, the keys in stage 2 */
    Grid q_grid, k_grid; /* the agents' grid is linear */
    Halo halo;           /* of tap around the query grid */
    i32 heads, windows;
    i32 queries, keys; /* per problem */
    float scale;       /* times log2(e) */
    float out_scale, shortcut;
    i32 has_key_bias;
    i32 dwc_size; /* 0, 1, 3 or 5: larger ones and resized v run as a Dwc of their own */
    i32 has_dwc_bias;
    i32 leaf_tokens, leaves; /* stage 1 */
    i32 first; /* first leaf (stage 1) or first query block (stage 2) of this launch */
    i32 count; /* leaves (stage 1) or query blocks (stage 2) of this launch */
    i32 tile; /* wide shape: agents per tile, <= 64 (stage 1: queries; stage 2: keys); CPU path likewise */
    i32 dim, dim_v; /* head widths for the CPU path; the kernels have them as macros D and DV */
    i32 by_head; /* stage 2, wide shape: items of one head follow each other, not of one query block */
} Attend;

/*
 * A leaf's state of (z, agent): dv + 2 floats acc[dv], m, l, at ((z * leaves + leaf) * queries + agent) * (dv + 2).
 * m is the running maximum of s rounded up to a whole number (so rescaling is exact), or STATE_EMPTY before any key; l the sum of
 * exp2(s - m); acc the sum of exp2(s - m) v.
 */
#define STATE_EMPTY (-3.0e38f)

/* Merges the leaf states of every (z, agent) along the binary tree over leaf numbers, divides, and writes `out`. */
typedef struct Merge {
    View out; /* token stride: agents */
    i32 heads, windows, queries, leaves, dim_v;
    float out_scale;
    i32 first, count; /* of the agents: those of this launch */
} Merge;

/*
 * Adaptive average pool of q over each window: agent cell (i, j) is the mean over its rows and columns.
 * One partial sum per leaf that the cell touches: partial[((p * n + cell) * slots + (leaf - first leaf of the cell)) * channels + c], with
 * p = b * windows + w, c = head * dim + j. With slots == 1 the mean is written to `out` at once.
 *
 * run: q holds the tokens of leaves first_leaf .. first_leaf + slots - 1 of a larger map (the grid's window, one problem), its first
 * token at q.offset and the others behind it at q.token. The sum of cell first_cell + i over leaf first_leaf + s, 0 where they do not meet,
 * goes to partial[(i * slots + s) * channels + c].
 */
typedef struct Pool {
    View q, out;
    Grid grid;
    i32 heads, dim, windows;
    i32 agent_h, agent_w;
    i32 leaf_tokens; /* leaves count class tokens too: leaf of token t is t / leaf_tokens */
    i32 slots;       /* most leaves that any cell touches; run: its leaves */
    i32 cells;       /* of a problem; run: of this launch */
    i32 run, first_leaf, first_cell;
    /*
     * What of each window this launch does: places [first, first + count). The partial sums: place = cell * slots + slot; run: slot *
     * cells + cell. The merge: place = cell.
     */
    i32 first, count;
    i32 pad;
} Pool;

/*
 * out (+)= DWC(v) + bias, or shortcut * v where size is 0; v on a grid of its own is resized bilinearly on the fly.
 * A tile of a larger map: the grid is the tile, at (top, left) of a map of map_h x map_w tokens. v's first token is then the tile's, with
 * `halo` around it; or, where v is resized, row v_top and column v_left of its map.
 */
typedef struct Dwc {
    View v, out;
    i64 weight_offset, bias_offset; /* first elements in their buffers */
    Grid grid;                      /* of the output */
    Halo halo;
    i32 map_h, map_w, top, left; /* untiled: the grid's height, width, 0, 0 */
    i32 v_h, v_w; /* the map of v; differs from map_h x map_w only where there are no windows */
    i32 v_top, v_left;
    i32 heads, dim, windows;
    i32 size, has_bias, accumulate;
    float shortcut; /* adds shortcut * v (resized), class tokens too */
    i32 pad;
} Dwc;

/*
 * The smoothing filter's own steps: features of a rectangle of an RGB picture, and -|f|^2 / 2 of rows of floats. The rectangle is
 * height x width pixels at (top, left) of a picture of map_h x map_w; the pixels around it that lie in the picture are in memory too.
 */
typedef struct Features {
    View rgb; /* offset: the rectangle's first pixel; row, token: strides of rows and pixels */
    i64 feature_offset; /* of the first pixel's; the others follow row by row */
    i32 height, width;
    i32 map_h, map_w, top, left;
    float inv_sigma_color, inv_sigma_space; /* the latter over max(map_h, map_w) */
    i32 with_norms; /* -|feature|^2 / 2 of each pixel too, at feature_offset / 5 */
    i32 pad;
} Features;

typedef struct Norms {
    i64 first, count; /* rows of this launch: [first, first + count) */
    i32 dim;
    i32 pad;
} Norms;

#endif
