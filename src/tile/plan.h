/*
 * The cut of a tiled run, as pure arithmetic: shape and limits in, leaves, tiles and exact bytes out. Sees no device.
 *
 * A *problem* is one window of one picture (or one picture): it has its own agents and its own reductions. Either whole problems fit a
 * tile (`whole`: tiles are groups of problems, one pass), or one problem after the other is streamed in three passes:
 *     pool       runs of leaves of the q map; one partial sum per (leaf, agent cell)
 *     aggregate  runs of leaves of the k map; one state per leaf; may be repeated (smoothing)
 *     broadcast  rectangles of the q map with a halo of the v map
 * Runs are aligned: 2^r leaves from a multiple of 2^r on, so that a run's states merge to one node of the tree over leaves.
 */
#ifndef CLATTN_SRC_TILE_PLAN_H
#define CLATTN_SRC_TILE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "clattn/base.h"
#include "clattn/tile.h"

/*
 * The buffers that a tile in flight uses, by what they hold; each is one allocation that serves all passes in turn.
 *            whole            pool           aggregate     broadcast      smoothing
 * TOKENS     q                q              k             q              the features
 * KEYS       k                -              -             -              the colours, in the last aggregation
 * VALUES     v                -              v             v with halo    RGB with a halo of 1, in all passes
 * EXTRA      key_bias         -              key_bias      -              -|f|^2 / 2
 * RESULTS    out              partial sums   leaf states   out            likewise
 * AGENTS     given agents, then the agent vector; whole only
 * SCRATCH    the workspace of the untiled operator; whole only
 */
typedef enum clattn__tile_role {
    CLATTN__TILE_TOKENS,
    CLATTN__TILE_KEYS,
    CLATTN__TILE_VALUES,
    CLATTN__TILE_EXTRA,
    CLATTN__TILE_RESULTS,
    CLATTN__TILE_AGENTS,
    CLATTN__TILE_SCRATCH,
    CLATTN__TILE_ROLES
} clattn__tile_role;

/* What the tiles of a streamed problem share on a device, each an allocation. */
typedef enum clattn__tile_shared {
    CLATTN__SHARED_AGENTS,
    CLATTN__SHARED_REFINED, /* smoothing: takes turns with AGENTS */
    CLATTN__SHARED_VA,
    CLATTN__SHARED_VECTOR, /* the agent vector; smoothing: the agents' norms */
    CLATTN__SHARED_ROOT,   /* of either tree */
    CLATTN__SHARED_COUNT
} clattn__tile_shared;

/* What is cut. Sizes are in tokens, of one problem; widths in floats. */
typedef struct clattn__tile_problem {
    int64_t problems; /* pictures * windows */
    int64_t height, width, kv_height, kv_width, class_tokens;
    int64_t heads, dim, dim_v;
    int64_t agent_height, agent_width;
    int64_t reach; /* (k - 1) / 2 of the depthwise convolution, 0 without one */
    bool needs_v;  /* the last pass reads v: a convolution or a shortcut */
    bool pooled;   /* agents come from q, not from the caller */
    bool key_bias, agent_vector;
    bool
        rows_only; /* rectangles must span the map's width (a bias that is not laid out on the map, narrow tables) */
    bool smoothing;     /* roles as above; reach 0, one problem, one head */
    int64_t aggregates; /* times pass 2 runs: 1; smoothing: rounds + 1 */
    uint64_t
        weight_bytes; /* on each device: bias tables, weights of the convolution; the caller's count */
} clattn__tile_problem;

typedef struct clattn__tile_limits {
    uint64_t device_bytes;     /* per device, > 0 */
    uint64_t host_bytes;       /* > 0 */
    uint64_t allocation_bytes; /* per buffer, > 0 */
    int32_t devices;           /* >= 1 */
    int32_t
        sharing; /* how many of them work in host memory: their bytes count against host_bytes too */
    int32_t
        in_flight; /* tiles per device wanted, >= 1; fewer are taken where the budget asks for it */
    bool strips;
} clattn__tile_limits;

typedef struct clattn__tile_cut {
    bool whole;
    int64_t group; /* whole: problems per tile */

    /* streamed */
    int64_t q_leaf, q_leaves; /* tokens per leaf (class tokens count), leaves per problem */
    int64_t k_leaf, k_leaves;
    int64_t q_run, k_run; /* leaves per tile of passes 1 and 2: powers of two */
    /*
     * Pass 3 has rect_rows rows of rect_columns rectangles. The rows share the map evenly. Columns begin at multiples of 16 and
     * share those evenly, so none is narrower than 16 unless the map is; the last one takes what is left of the map.
     */
    int64_t rect_rows, rect_columns;
    int64_t rect_height, rect_width; /* the largest of them */
    int64_t class_tile;              /* class tokens per tile of pass 3; the last may have fewer */

    /* tiles per problem and pass; whole: `tiles` counts groups and the three are 0 */
    int64_t pool_tiles, aggregate_tiles; /* pool_tiles is 0 where agents are given */
    int64_t broadcast_tiles;             /* those of class tokens, then those of the map */
    int64_t tiles;                       /* in all passes of all problems */

    int32_t in_flight;
    uint64_t role_bytes[CLATTN__TILE_ROLES]; /* per tile in flight; 0: that buffer is not needed */
    uint64_t
        node_bytes; /* host: the largest state of the tree (sums of all cells, or (m, l, acc) of all agents) */
    int64_t nodes;                               /* host: most nodes held at once */
    uint64_t shared_bytes[CLATTN__SHARED_COUNT]; /* streamed, on each device; 0: not needed */
    uint64_t agent_bytes;                        /* their sum */
    uint64_t device_bytes; /* each device: weights + agents + in_flight * roles */
    uint64_t host_bytes;   /* nodes, and device_bytes of the devices that share memory */
} clattn__tile_cut;

/*
 * Cuts. *smallest (never NULL) receives the smallest device_bytes and host_bytes (the same number for both) that would do with one
 * tile in flight and buffers of any size; CLATTN_E_BUDGET where the limits are below that, or where a buffer must be larger than
 * allocation_bytes. CLATTN_E_SHAPE where the numbers leave 64 bits, or those of the smallest tile what a launch can count;
 * CLATTN_E_ARG where a limit is out of its range; *smallest is 0 with these two. *cut is written on success only.
 */
clattn_status clattn__tile_cut_make(const clattn__tile_problem *problem,
                                    const clattn__tile_limits *limits, clattn__tile_cut *cut,
                                    uint64_t *smallest);

/* Leaves [first, first + count) of tile `tile` of pass 1 (q) or 2 (k), and its tokens [token, token + tokens), class tokens first. */
typedef struct clattn__tile_run {
    int64_t first, count;
    int64_t token, tokens;
} clattn__tile_run;
clattn__tile_run clattn__tile_run_at(const clattn__tile_problem *problem,
                                     const clattn__tile_cut *cut, bool keys, int64_t tile);

/*
 * The rectangles, at most four, that make up a run, in token order: class tokens, rest of a row, whole rows, begin of a row.
 * `at[i]` is the run's token number (from 0) where rects[i] begins. Returns how many. Their picture, as that of every rectangle
 * here, is 0, and they lie on the problem's own map: windows and pictures are the caller's.
 */
int clattn__tile_run_rects(const clattn__tile_problem *problem, bool keys,
                           const clattn__tile_run *run, clattn_tile_rect rects[4], int64_t at[4]);

/* Tile `tile` of pass 3, class tokens first, then row by row of rectangles: the rectangle of q and out. */
clattn_tile_rect clattn__tile_rect_at(const clattn__tile_problem *problem,
                                      const clattn__tile_cut *cut, int64_t tile);

/*
 * What of the v map that rectangle reads: itself and `reach` around it, inside the map; where v has a map of its own, every tap of the
 * bilinear resize of those, and what its float arithmetic may miss them by. Smoothing: a halo of 1. Class tokens: themselves.
 */
clattn_tile_rect clattn__tile_halo(const clattn__tile_problem *problem,
                                   const clattn_tile_rect *rect);

/* A rectangle of a q map grown by `by` on each side, clipped at the map. */
clattn_tile_rect clattn__tile_grown(const clattn__tile_problem *problem,
                                    const clattn_tile_rect *rect, int64_t by);

/* The rows of agent cells that a run of q touches, [first, first + count); none where it holds class tokens alone. */
void clattn__tile_cell_rows(const clattn__tile_problem *problem, const clattn__tile_run *run,
                            int64_t *first, int64_t *count);

#endif
