/*
 * The softmax core of both stages: a block of queries of one problem goes over a run of keys with
 * an online softmax.
 *
 * Queries are lanes, keys are rows: logits, maximum, exponentials and sums are all vertical,
 * nothing is reduced across lanes, and keys need no padding. Stage 1 has agents as lanes, stage 2
 * and ordinary attention have tokens.
 */
#ifndef CLATTN_SRC_CPU_ATTEND_H
#define CLATTN_SRC_CPU_ATTEND_H

#include "cpu/address.h"
#include "cpu/cpu.h"
#include "cpu/lanes.h"

#define attend_begin    CPU_NAME(attend_begin)
#define attend_keys     CPU_NAME(attend_keys)
#define attend_capacity CPU_NAME(attend_capacity)

/* Keys per step of the online softmax, at most. */
#define KEYS_MAX 64

/*
 * 160 KiB of stack for queries and accumulators (threads have at least 512 KiB): one group of LANES
 * at dim = dim_v = 1024 needs 128 KiB.
 */
#define BLOCK_FLOATS (40 * 1024)

typedef struct attend_block {
    const Attend *args;
    const clattn__attend_mem *mem;
    i64 p;
    i32 head;
    bool agents_are_lanes; /* stage 1 */
    i32 first, queries;
    tokens k, v, key_bias;
    /* Per group of LANES queries: query[dim], acc[dim_v], maximum and sum, rows of LANES each. */
    _Alignas(64) float lanes[BLOCK_FLOATS];
} attend_block;

/* Queries that a block can hold. */
i32 attend_capacity(const Attend *args);

/*
 * Loads queries [first, first + queries) of block->args, mem, p and head (set before), with the
 * empty state.
 */
void attend_begin(attend_block *block, i32 first, i32 queries);

/* Takes in keys [first, first + keys), `step` <= KEYS_MAX at a time. */
void attend_keys(attend_block *block, i32 first, i32 keys, i32 step);

/* The rows of group g. */
static inline float *group_query(attend_block *block, i32 g)
{
    const Attend *args = block->args;
    return block->lanes + (size_t)g * (size_t)(args->dim + args->dim_v + 2) * LANES;
}

static inline float *group_acc(attend_block *block, i32 g)
{
    return group_query(block, g) + block->args->dim * LANES;
}

static inline float *group_max(attend_block *block, i32 g)
{
    return group_acc(block, g) + block->args->dim_v * LANES;
}

static inline float *group_sum(attend_block *block, i32 g)
{
    return group_max(block, g) + LANES;
}

static inline i32 group_count(const attend_block *block)
{
    return (block->queries + LANES - 1) / LANES;
}

/* Queries of group g: LANES, or fewer in the last group. */
static inline i32 group_queries(const attend_block *block, i32 g)
{
    const i32 left = block->queries - g * LANES;
    return left < LANES ? left : LANES;
}

#endif
