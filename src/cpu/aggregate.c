/*
 * Stage 1, one leaf of one (problem, agent tile): its state, or, where there is only one leaf, the
 * output.
 */
#include "cpu/attend.h"
#include "cpu/table.h"
#include "cpu/transpose.h"

/* Where the group's rows of dim_v elements go, or of its states' floats. */
static void target_rows(const attend_block *block, i64 leaf, i32 g, void **row)
{
    const Attend *args = block->args;
    const tokens out = tokens_of(&args->out, &args->q_grid, block->p, args->windows, block->head);
    const i64 z = block->p * args->heads + block->head;
    for (i32 i = 0; i < group_queries(block, g); i++) {
        const i32 agent = block->first + g * LANES + i;
        if (args->leaves > 1)
            row[i] = (float *)block->mem->out +
                     ((z * args->leaves + leaf) * args->queries + agent) * (args->dim_v + 2);
        else
            row[i] = (elem *)block->mem->out + out.base + agent * out.token;
    }
}

static void store(attend_block *block, i32 leaf)
{
    const Attend *args = block->args;
    for (i32 g = 0; g < group_count(block); g++) {
        const i32 agents = group_queries(block, g);
        const float *maximum = group_max(block, g);
        const float *sum = group_sum(block, g);
        const bool last = args->leaves == 1;
        float factor[LANES];
        void *row[LANES];
        EACH_LANE (lane)
            factor[lane] = !last ? 1.0f : sum[lane] > 0.0f ? args->out_scale / sum[lane] : 0.0f;
        target_rows(block, leaf, g, row);
        lanes_to_rows(group_acc(block, g), factor, agents, args->dim_v, !last, row);
        for (i32 i = 0; !last && i < agents; i++) {
            float *state = row[i];
            state[args->dim_v] = maximum[i];
            state[args->dim_v + 1] = sum[i];
        }
    }
}

void cpu_aggregate(const Attend *args, const clattn__attend_mem *mem, int64_t item)
{
    const i64 tiles = (args->queries + args->tile - 1) / args->tile;
    const i64 leaf_number = item / tiles / args->heads; /* over all pictures and windows */
    const i32 leaf = args->first + (i32)(leaf_number % args->count);
    const i64 begin = (i64)leaf * args->leaf_tokens;
    const i64 left = args->keys - begin;
    const i32 first_agent = (i32)(item % tiles) * args->tile;
    const i32 end =
        args->queries - first_agent < args->tile ? args->queries : first_agent + args->tile;
    const i32 capacity = attend_capacity(args);
    attend_block block;

    block.args = args;
    block.mem = mem;
    block.p = leaf_number / args->count;
    block.head = (i32)(item / tiles % args->heads);
    block.agents_are_lanes = true;
    for (i32 agent = first_agent; agent < end; agent += capacity) {
        attend_begin(&block, agent, end - agent < capacity ? end - agent : capacity);
        attend_keys(&block, (i32)begin, left < args->leaf_tokens ? (i32)left : args->leaf_tokens,
                    KEYS_MAX);
        store(&block, leaf);
    }
}
