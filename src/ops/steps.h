/*
 * The steps of agent attention on a tile of one problem (one picture, or one window of it), whose map may be larger than a
 * launch, a buffer or the memory: what src/tile runs on each device. Bit for bit what the operators compute for the same tokens.
 *
 *     pool_run        runs of leaves: sums per (agent cell, leaf)           the caller adds them along the tree over leaves
 *     pool_mean       the sums of all cells: the agents
 *     aggregate_run   runs of leaves: a state per (head, leaf, agent)       the caller merges them along the same tree
 *     aggregate_root  the merged state of every (head, agent): va
 *     broadcast_tile  a rectangle, or class tokens: the output
 *     features, norms the smoothing filter's own
 *
 * Tensors are token-major, (token, head, dim) without gaps, at the begin of their memory; the caller has checked everything.
 * Each step enqueues on the context's queue (the CPU path: computes); its pacer may cut that into launches, and wait for them.
 */
#ifndef CLATTN_SRC_OPS_STEPS_H
#define CLATTN_SRC_OPS_STEPS_H

#include "base/pace.h"
#include "cl/launch.h"
#include "clattn/filter.h"
#include "ops/bias.h"

/* The smoothing filter's floats per pixel: three of colour and two of place, and the colours alone. */
#define CLATTN__FEATURE 5
#define CLATTN__COLOUR  3

/* What all steps of a problem share. */
typedef struct clattn__steps_problem {
    int32_t height, width;       /* the map of q */
    int32_t kv_height, kv_width; /* the map of k and v */
    int64_t class_tokens;
    int64_t q_leaf, k_leaf; /* tokens per leaf */
    bool
        one_leaf; /* the k map is one leaf: aggregate_run writes va itself, as an untiled run does */
} clattn__steps_problem;

/* Plans and kernel objects of every step on one lane; for one thread at a time. */
typedef struct clattn__steps {
    clattn_context *ctx;
    const clattn__pacer *pacer; /* the caller's to set; NULL: every step in one launch */
    clattn__steps_problem problem;
    clattn_plan
        *plan; /* the whole operator on a map of a few tokens, for its variants and kernels */
    clattn_workspace *ws; /* without scratch memory */
} clattn__steps;

/* `desc` gives heads, dims, agents and forms; its map is not looked at. */
clattn_status clattn__steps_create(clattn_context *lane, const clattn_agent_attention_desc *desc,
                                   const clattn__steps_problem *problem, clattn__steps **steps);
/* The filter's; features are of dim 5, and there is a second aggregation, of colours. */
clattn_status clattn__steps_create_smooth(clattn_context *lane, const clattn_smooth_desc *desc,
                                          const clattn__steps_problem *problem,
                                          clattn__steps **steps);
void clattn__steps_destroy(clattn__steps **steps);

/* A chain for a step, cut by the steps' pacer; ends with clattn__chain_end(). */
void clattn__steps_chain(const clattn__steps *steps, clattn__chain *chain);

/*
 * The work-groups of a plan's attention kernels, added up: less than those of the same plan elsewhere where a device has refused one,
 * and a smaller one then sums in another order.
 */
int64_t clattn__plan_work_groups(const clattn_plan *plan);

/* Leaves [first_leaf, first_leaf + leaves) of the map of q, for cells [first_cell, first_cell + cells). Class tokens have places in q. */
typedef struct clattn__pool_tile {
    clattn_memory q, sums; /* sums: (cells, leaves, heads * dim) */
    int64_t first_leaf, leaves;
    int64_t first_cell, cells;
} clattn__pool_tile;
clattn_status clattn__step_pool_run(clattn__steps *steps, const clattn__pool_tile *run);
/* sums (n, heads * dim) of whole cells -> agents. */
clattn_status clattn__step_pool_mean(clattn__steps *steps, clattn_memory sums,
                                     clattn_memory agents);

/* The filter's descriptor: checked but for the picture's size; as the last aggregation's; its rounds. src/ops/smooth.c */
clattn_status clattn__smooth_check(const clattn_log *log, const clattn_smooth_desc *desc);
clattn_agent_attention_desc clattn__smooth_core(const clattn_smooth_desc *desc);
int32_t clattn__smooth_rounds(const clattn_smooth_desc *desc);

/* Which of the aggregations: of the values, or (smoothing) of the features themselves. */
typedef enum clattn__gather { CLATTN__GATHER_VALUES, CLATTN__GATHER_REFINE } clattn__gather;

/* Tokens [token, token + tokens) of the map of k and v, class tokens first, from the begin of a leaf on. */
typedef struct clattn__aggregate_tile {
    clattn__gather what;
    clattn_memory agents, k, v, key_bias; /* key_bias: none where it is zeros */
    const clattn_agent_bias *bias;
    int64_t token, tokens;
    clattn_memory out; /* (heads, max(2, leaves), n, dim_v + 2), or va where there is one leaf */
} clattn__aggregate_tile;
clattn_status clattn__step_aggregate_run(clattn__steps *steps, const clattn__aggregate_tile *run);
/* (heads, n, dim_v + 2) -> va (n, heads, dim_v). */
clattn_status clattn__step_aggregate_root(clattn__steps *steps, clattn__gather what,
                                          clattn_memory root, clattn_memory va);

/* A rectangle of the map of q, or class tokens where class_count > 0. */
typedef struct clattn__broadcast_tile {
    clattn_memory q, agents, va, agent_vector, v, out;
    const clattn_agent_bias *bias;
    clattn_memory dwc_weight, dwc_bias;
    int64_t y, x, height, width;
    int64_t class_first, class_count;
    /* v: rectangle (v_y, v_x) + v_width columns of its map without gaps; class tiles: their own v */
    int64_t v_y, v_x, v_width;
    Halo halo; /* of v around the rectangle, where it is on the map of q */
} clattn__broadcast_tile;
clattn_status clattn__step_broadcast_tile(clattn__steps *steps, const clattn__broadcast_tile *tile);

/* Features of the rectangle of an RGB picture; rgb holds `pitch` columns per row, the rectangle's first pixel at `rgb_offset` pixels. */
typedef struct clattn__features_rect {
    clattn_memory rgb, features, norms; /* norms: none where they are not wanted */
    int64_t y, x, height, width;
    int64_t rgb_offset, pitch;
    int64_t feature_offset; /* tokens */
} clattn__features_rect;
clattn_status clattn__step_features(clattn__steps *steps, const clattn__features_rect *rect);
/* -|row|^2 / 2 of `count` rows of 5. */
clattn_status clattn__step_norms(clattn__steps *steps, clattn_memory rows, int64_t count,
                                 clattn_memory norms);

/*
 * The untiled operator on `batch` pictures without windows, at most as many as its plan was made for: one launch per step or a few;
 * a single picture may be cut by a pacer (else NULL). Its floating-point operations for one picture, about.
 */
clattn_status clattn__agent_attention_part(clattn_plan *plan, clattn_workspace *ws, int64_t batch,
                                           const clattn_agent_attention_args *args,
                                           const clattn__pacer *pacer);
double clattn__agent_attention_flops(const clattn_plan *plan);

#endif
