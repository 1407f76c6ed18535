/* What kernels are measured with; see tune.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/tune.h"

/* Tokens of the map and agents, as in the first stages of models. */
#define SIDE   128
#define AGENTS 7
#define HEADS  4
/* The merge weighs most with many agents of few dimensions. */
#define MERGE_SIDE   64
#define MERGE_AGENTS 28
#define MERGE_DIM    16
#define QUERIES      2048
#define KEYS         1024
#define DWC_SIZE     3
#define PICTURE      256

static clattn_agent_attention_desc agent_desc(const tune_problem *p)
{
    const bool merge = p->kind == TUNE_MERGE;
    const int64_t side = merge ? MERGE_SIDE : SIDE, agents = merge ? MERGE_AGENTS : AGENTS;
    return (clattn_agent_attention_desc){.batch = 1,
                                         .heads = HEADS,
                                         .head_dim = p->dim,
                                         .height = side,
                                         .width = side,
                                         .agent_height = agents,
                                         .agent_width = agents};
}

void tune_problem_words(tune_kind kind, int64_t dim, char *words, size_t size)
{
    switch (kind) {
    case TUNE_ATTENTION:
        snprintf(words, size, "%d queries, %d keys, %d x %d", QUERIES, KEYS, HEADS, (int)dim);
        break;
    case TUNE_MERGE:
        snprintf(words, size, "aggregation of %d tokens by %d agents, %d x %d",
                 MERGE_SIDE * MERGE_SIDE, MERGE_AGENTS * MERGE_AGENTS, HEADS, MERGE_DIM);
        break;
    case TUNE_DWC:
        snprintf(words, size, "%d x %d over %d tokens, %d x %d", DWC_SIZE, DWC_SIZE, SIDE * SIDE,
                 HEADS, (int)dim);
        break;
    case TUNE_SMOOTH:
        snprintf(words, size, "%d x %d pixels", PICTURE, PICTURE);
        break;
    default:
        snprintf(words, size, "%d tokens, %d agents, %d x %d", SIDE * SIDE, AGENTS * AGENTS, HEADS,
                 (int)dim);
    }
}

clattn_status tune_problem_plan(const tune_problem *p, clattn_plan **plan)
{
    const clattn_agent_attention_desc agents = agent_desc(p);
    switch (p->kind) {
    case TUNE_POOL:
        return clattn_agent_pool_plan(p->ctx, &agents, plan);
    case TUNE_AGGREGATE:
    case TUNE_MERGE:
        return clattn_agent_aggregate_plan(p->ctx, &agents, plan);
    case TUNE_BROADCAST:
        return clattn_agent_broadcast_plan(p->ctx, &agents, plan);
    case TUNE_ATTENTION:
        return clattn_attention_plan(
            p->ctx,
            &(clattn_attention_desc){
                .batch = 1, .heads = HEADS, .head_dim = p->dim, .queries = QUERIES, .keys = KEYS},
            plan);
    case TUNE_DWC:
        return clattn_dwc_plan(p->ctx,
                               &(clattn_dwc_desc){.batch = 1,
                                                  .heads = HEADS,
                                                  .head_dim = p->dim,
                                                  .height = SIDE,
                                                  .width = SIDE,
                                                  .size = DWC_SIZE},
                               plan);
    default:
        return clattn_smooth_plan(
            p->ctx,
            &(clattn_smooth_desc){.height = PICTURE, .width = PICTURE, .rounds_plus_one = 1}, plan);
    }
}

clattn_status tune_problem_run(const tune_problem *p, const clattn_plan *plan, clattn_workspace *ws)
{
    const clattn_tensor *const t = p->tensors;
    switch (p->kind) {
    case TUNE_POOL:
        return clattn_agent_pool_run(
            plan, ws, &(clattn_agent_attention_args){.q = &t[0], .agents = &t[1]}, NULL);
    case TUNE_AGGREGATE:
    case TUNE_MERGE:
        return clattn_agent_aggregate_run(
            plan, ws,
            &(clattn_agent_attention_args){.agents = &t[0], .k = &t[1], .v = &t[2], .va = &t[3]},
            NULL);
    case TUNE_BROADCAST:
        return clattn_agent_broadcast_run(
            plan, ws,
            &(clattn_agent_attention_args){.q = &t[0], .agents = &t[1], .va = &t[2], .out = &t[3]},
            NULL);
    case TUNE_ATTENTION:
        return clattn_attention_run(
            plan, ws, &(clattn_attention_args){.q = &t[0], .k = &t[1], .v = &t[2], .out = &t[3]},
            NULL);
    case TUNE_DWC:
        return clattn_dwc_run(
            plan, ws, &(clattn_dwc_args){.v = &t[0], .weight = &p->weight, .out = &t[1]}, NULL);
    default:
        return clattn_smooth_run(plan, ws, &t[0], &t[1], NULL, NULL);
    }
}

/* The tokens of each tensor of a kind, the output last; returns how many there are. */
static int tensor_tokens(const tune_problem *p, int64_t tokens[4])
{
    const clattn_agent_attention_desc desc = agent_desc(p);
    const int64_t map = desc.height * desc.width, agents = desc.agent_height * desc.agent_width;
    switch (p->kind) {
    case TUNE_POOL:
        memcpy(tokens, (int64_t[]){map, agents}, 2 * sizeof *tokens);
        return 2;
    case TUNE_AGGREGATE:
    case TUNE_MERGE:
        memcpy(tokens, (int64_t[]){agents, map, map, agents}, 4 * sizeof *tokens);
        return 4;
    case TUNE_BROADCAST:
        memcpy(tokens, (int64_t[]){map, agents, agents, map}, 4 * sizeof *tokens);
        return 4;
    case TUNE_ATTENTION:
        memcpy(tokens, (int64_t[]){QUERIES, KEYS, KEYS, QUERIES}, 4 * sizeof *tokens);
        return 4;
    case TUNE_DWC:
        memcpy(tokens, (int64_t[]){map, map}, 2 * sizeof *tokens);
        return 2;
    default:
        memcpy(tokens, (int64_t[]){PICTURE * PICTURE, PICTURE * PICTURE}, 2 * sizeof *tokens);
        return 2;
    }
}

/* Numbers of [low, 1), the same for the same seed. */
static void fill(float *values, int64_t count, float low, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 12345u;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = low + (1.0f - low) * (float)(state >> 8) / 16777216.0f;
    }
}

/* Memory of `count` floats; filled with numbers unless seed is 0. */
static clattn_status make_memory(const tune_problem *p, clattn_memory *memory, int64_t count,
                                 uint32_t seed)
{
    const uint64_t bytes = (uint64_t)count * sizeof(float);
    clattn_status status = clattn_memory_alloc(p->ctx, bytes, memory);
    if (status != CLATTN_OK || seed == 0)
        return status;
    float *const values = malloc((size_t)bytes);
    if (values == NULL)
        return CLATTN_E_NOMEM;
    fill(values, count, p->kind == TUNE_SMOOTH ? 0.0f : -1.0f, seed);
    status = clattn_memory_write(p->ctx, memory, 0, values, bytes);
    free(values);
    return status;
}

clattn_status tune_problem_open(tune_problem *p, clattn_context *ctx, tune_kind kind, int64_t dim)
{
    int64_t tokens[4];
    clattn_status status = CLATTN_OK;
    *p = (tune_problem){.ctx = ctx, .kind = kind, .dim = kind == TUNE_MERGE ? MERGE_DIM : dim};
    const int64_t heads = kind == TUNE_SMOOTH ? 1 : HEADS;
    const int64_t width = kind == TUNE_SMOOTH ? 3 : p->dim;
    const int tensors = tensor_tokens(p, tokens);
    for (int i = 0; i < tensors && status == CLATTN_OK; i++) {
        const int64_t count = tokens[i] * heads * width;
        status = make_memory(p, &p->memory[i], count, i + 1 < tensors ? (uint32_t)i + 1 : 0);
        p->tensors[i] = clattn_tensor_tokens(p->memory[i], 1, tokens[i], heads, width);
        p->out_count = count;
        p->out = i;
    }
    if (kind == TUNE_DWC && status == CLATTN_OK) {
        const int64_t count = heads * width * DWC_SIZE * DWC_SIZE;
        status = make_memory(p, &p->memory[tensors], count, 9);
        p->weight = (clattn_array){.memory = p->memory[tensors], .count = count};
    }
    if (status != CLATTN_OK)
        tune_problem_close(p);
    return status;
}

void tune_problem_close(tune_problem *p)
{
    for (size_t i = 0; i < sizeof p->memory / sizeof p->memory[0]; i++)
        clattn_memory_free(p->ctx, &p->memory[i]);
}

clattn_status tune_runner_open(tune_runner *runner, const tune_problem *problem)
{
    *runner = (tune_runner){.runs = 0};
    clattn_status status = tune_problem_plan(problem, &runner->plan);
    if (status == CLATTN_OK)
        status = clattn_workspace_create(runner->plan, &runner->ws);
    if (status != CLATTN_OK)
        tune_runner_close(runner);
    return status;
}

void tune_runner_close(tune_runner *runner)
{
    clattn_workspace_destroy(&runner->ws);
    clattn_plan_destroy(&runner->plan);
}

clattn_status tune_runner_result(const tune_runner *runner, const tune_problem *p, float *result)
{
    const uint64_t bytes = (uint64_t)p->out_count * sizeof *result;
    memset(result, 0xff, (size_t)bytes);
    clattn_status status = clattn_memory_write(p->ctx, &p->memory[p->out], 0, result, bytes);
    if (status == CLATTN_OK)
        status = tune_problem_run(p, runner->plan, runner->ws);
    return status == CLATTN_OK ? clattn_memory_read(p->ctx, &p->memory[p->out], 0, result, bytes)
                               : status;
}
