/*
 * Stage 2, and ordinary attention: a block of queries over all keys, then DWC and shortcut on the
 * same tokens.
 */
#include "cpu/attend.h"
#include "cpu/convolve.h"
#include "cpu/table.h"
#include "cpu/transpose.h"

static void store(attend_block *block)
{
    const Attend *args = block->args;
    const tokens out = tokens_of(&args->out, &args->q_grid, block->p, args->windows, block->head);
    for (i32 g = 0; g < group_count(block); g++) {
        const i32 queries = group_queries(block, g);
        const float *sum = group_sum(block, g);
        float factor[LANES];
        void *row[LANES];
        i64 offset[LANES];
        EACH_LANE (lane)
            factor[lane] = sum[lane] > 0.0f ? args->out_scale / sum[lane] : 0.0f;
        token_offsets(&out, block->first + g * LANES, queries, offset);
        for (i32 i = 0; i < queries; i++)
            row[i] = (elem *)block->mem->out + offset[i];
        lanes_to_rows(group_acc(block, g), factor, queries, args->dim_v, false, row);
    }
}

static void add_convolution(const attend_block *block)
{
    const Attend *args = block->args;
    const clattn__attend_mem *mem = block->mem;
    const i64 channel = (i64)block->head * args->dim_v;
    const convolution c = {
        .v = mem->tap,
        .v_at = tokens_of(&args->tap, &args->q_grid, block->p, args->windows, block->head),
        .weight =
            args->dwc_size > 0 ? mem->dwc_weight + channel * args->dwc_size * args->dwc_size : NULL,
        .bias = args->dwc_size > 0 && args->has_dwc_bias ? mem->dwc_bias + channel : NULL,
        .halo = args->halo,
        .out = mem->out,
        .out_at = tokens_of(&args->out, &args->q_grid, block->p, args->windows, block->head),
        .size = args->dwc_size,
        .dim = args->dim_v,
        .shortcut = args->shortcut,
        .accumulate = true,
    };
    convolve(&c, block->first, block->queries);
}

void cpu_broadcast(const Attend *args, const clattn__attend_mem *mem, int64_t item)
{
    const i64 blocks = (args->queries + CLATTN__CPU_QUERY_BLOCK - 1) / CLATTN__CPU_QUERY_BLOCK;
    const i32 begin = (i32)(item / args->heads % blocks) * CLATTN__CPU_QUERY_BLOCK;
    const i32 end = args->queries - begin < CLATTN__CPU_QUERY_BLOCK
                        ? args->queries
                        : begin + CLATTN__CPU_QUERY_BLOCK;
    const i32 capacity = attend_capacity(args);
    attend_block block;

    block.args = args;
    block.mem = mem;
    block.p = item / args->heads / blocks;
    block.head = (i32)(item % args->heads);
    block.agents_are_lanes = false;
    for (i32 query = begin; query < end; query += capacity) {
        attend_begin(&block, query, end - query < capacity ? end - query : capacity);
        attend_keys(&block, 0, args->keys, args->tile);
        store(&block);
        if (args->dwc_size > 0 || args->shortcut != 0.0f)
            add_convolution(&block);
    }
}
