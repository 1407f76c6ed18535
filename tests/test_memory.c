/*
 * The memory of agent attention at the size of a detection backbone: a map of 200 x 334, 28 x 28 agents, bias, DWC. Heads x n x N
 * floats are 5 x 784 x 66800 x 4 = 1047 MB there (one head: 209 MB); nothing of that size may exist. What may:
 *
 *     bias       per stage heads x n x (56 + 1 + rows + columns, padded by 32) + 8 x (rows + columns), floats
 *     scratch    agents and va, heads x n x d each; a state of d + 2 floats per (head, agent, leaf); a pooled sum of d floats
 *                per (head, agent, leaf that the agent's cell touches), where cells are smaller than leaves: at most 2 leaves
 *
 * The first test counts what an OpenCL context holds; the second every allocation that the library makes for the CPU path.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "case_agent_attention.h"
#include "contexts.h"
#include "support.h"

#define HEIGHT 200
#define WIDTH  334
#define SIDE   28
#define DIM    64

#define TOKENS ((uint64_t)(HEIGHT * WIDTH))
#define AGENTS ((uint64_t)(SIDE * SIDE))

/* Buffers are rounded up to pages or powers of two by some pools; small ones to 64 bytes. */
#define SLACK (UINT64_C(1) << 20)

static clattn_agent_attention_desc large(int64_t heads)
{
    return (clattn_agent_attention_desc){.batch = 1,
                                         .heads = heads,
                                         .head_dim = DIM,
                                         .height = HEIGHT,
                                         .width = WIDTH,
                                         .agent_height = SIDE,
                                         .agent_width = SIDE,
                                         .has_bias = 1,
                                         .dwc_size = 3,
                                         .has_dwc_bias = 1};
}

/* Bytes of heads x n x N floats: what the reference builds, twice. */
static uint64_t forbidden_bytes(uint64_t heads)
{
    return heads * AGENTS * TOKENS * sizeof(float);
}

static uint64_t bias_bytes(uint64_t heads)
{
    const uint64_t lines = HEIGHT + WIDTH + 32;
    return 2 * sizeof(float) * (heads * AGENTS * (56 + 1 + lines) + 8 * lines);
}

static uint64_t scratch_bytes(uint64_t heads, const clattn_plan_info *info)
{
    const uint64_t rows = heads * AGENTS;
    const uint64_t leaves = (uint64_t)info->leaves;
    return sizeof(float) * rows * (2 * DIM + leaves * (DIM + 2) + 2 * DIM);
}

static uint64_t tensor_bytes(uint64_t heads)
{
    return sizeof(float) * heads * DIM * (4 * TOKENS + 9 + 1);
}

/* One large run on a context. v is 1 everywhere and the convolution 0: so is the result, and every element must be. */
typedef struct large_run {
    clattn_memory q, k, v, out, weight, dwc_bias;
    case_agent_data weights;
    clattn_agent_bias *bias;
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_plan_info info;
} large_run;

static void put(clattn_context *ctx, uint64_t count, const float *values, clattn_memory *memory)
{
    assert_int_equal(clattn_memory_alloc(ctx, count * sizeof *values, memory), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, memory, 0, values, count * sizeof *values),
                     CLATTN_OK);
}

static void run_large(clattn_context *ctx, int64_t heads, large_run *r)
{
    const case_agent c = {.desc = large(heads),
                          .trained_agents_h = 7,
                          .trained_agents_w = 7,
                          .trained_h = 14,
                          .trained_w = 14};
    const uint64_t channels = (uint64_t)heads * DIM;
    const uint64_t count = TOKENS * channels;
    fill_random random = {1};
    float *values = fill_new(&random, FILL_UNIFORM, (int64_t)count);
    float *zeros = calloc(channels * 9, sizeof *zeros);

    assert_non_null(zeros);
    *r = (large_run){.plan = NULL};
    put(ctx, count, values, &r->q);
    put(ctx, count, values, &r->k);
    for (uint64_t i = 0; i < count; i++)
        values[i] = 1.0f;
    put(ctx, count, values, &r->v);
    put(ctx, count, values, &r->out);
    put(ctx, channels * 9, zeros, &r->weight);
    put(ctx, channels, zeros, &r->dwc_bias);
    free(zeros);
    case_agent_fill_bias(&c, &random, &r->weights.bias);
    assert_int_equal(clattn_agent_bias_create(ctx, &c.desc, &r->weights.bias, &r->bias), CLATTN_OK);
    assert_int_equal(clattn_agent_attention_plan(ctx, &c.desc, &r->plan), CLATTN_OK);
    clattn_plan_get_info(r->plan, &r->info);
    assert_int_equal(clattn_workspace_create(r->plan, &r->ws), CLATTN_OK);

    const clattn_tensor q = clattn_tensor_tokens(r->q, 1, (int64_t)TOKENS, heads, DIM);
    const clattn_tensor k = clattn_tensor_tokens(r->k, 1, (int64_t)TOKENS, heads, DIM);
    const clattn_tensor v = clattn_tensor_tokens(r->v, 1, (int64_t)TOKENS, heads, DIM);
    const clattn_tensor out = clattn_tensor_tokens(r->out, 1, (int64_t)TOKENS, heads, DIM);
    const clattn_array weight = {r->weight, 0, (int64_t)channels * 9};
    const clattn_array dwc_bias = {r->dwc_bias, 0, (int64_t)channels};
    const clattn_agent_attention_args args = {.q = &q,
                                              .k = &k,
                                              .v = &v,
                                              .out = &out,
                                              .bias = r->bias,
                                              .dwc_weight = &weight,
                                              .dwc_bias = &dwc_bias};
    assert_int_equal(clattn_agent_attention_run(r->plan, r->ws, &args, NULL), CLATTN_OK);
    assert_int_equal(clattn_memory_read(ctx, &r->out, 0, values, count * sizeof *values),
                     CLATTN_OK);
    for (uint64_t i = 0; i < count; i++)
        if (!(values[i] > 1.0f - 1e-5f && values[i] < 1.0f + 1e-5f))
            fail_msg("output %" PRIu64 " is %.9g instead of 1", i, (double)values[i]);
    free(values);
}

static void free_large(clattn_context *ctx, large_run *r)
{
    clattn_workspace_destroy(&r->ws);
    clattn_plan_destroy(&r->plan);
    clattn_agent_bias_destroy(&r->bias);
    case_agent_free(&r->weights);
    clattn_memory *const all[] = {&r->q, &r->k, &r->v, &r->out, &r->weight, &r->dwc_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        clattn_memory_free(ctx, all[i]);
}

/* 5 heads: tensors 342 MB; bias and scratch together must stay near 30 MB, 3 % of heads x n x N. */
static void test_device(void **state)
{
    enum { HEADS = 5 };
    support_log log = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&log);
    large_run r;
    uint64_t peak = 0;

    (void)state;
    if (clattn_context_is_cpu(ctx)) {
        print_message("no OpenCL device: the CPU path is counted below\n");
        clattn_context_destroy(&ctx);
        return;
    }
    run_large(ctx, HEADS, &r);
    clattn_context_bytes(ctx, NULL, &peak);
    const uint64_t allowed = bias_bytes(HEADS) + scratch_bytes(HEADS, &r.info);
    const uint64_t extra = peak - tensor_bytes(HEADS);
    print_message("on %s: %" PRIu64 " bytes beyond the tensors, of %" PRIu64
                  " allowed; heads x n x N floats are %" PRIu64 "\n",
                  clattn_context_device(ctx)->name, extra, allowed + SLACK, forbidden_bytes(HEADS));
    assert_true(peak >= tensor_bytes(HEADS));
    assert_true(extra <= allowed + SLACK);
    assert_true(allowed + SLACK < forbidden_bytes(HEADS) / 16);
    assert_true(r.info.scratch_bytes <= scratch_bytes(HEADS, &r.info) + SLACK);
    free_large(ctx, &r);
    clattn_context_destroy(&ctx);
}

/* Every allocation of the library, summed without ever taking off what was freed. */
static uint64_t allocated, largest;

static bool count_allocation(size_t size)
{
    allocated += size;
    largest = size > largest ? size : largest;
    return true;
}

/* One head: the library's own allocations, its tables on the way to the device included, beside 209 MB of n x N. */
static void test_host(void **state)
{
    clattn_context *ctx = NULL;
    large_run r;

    (void)state;
    assert_int_equal(clattn_context_create_cpu(NULL, &ctx), CLATTN_OK);
    allocated = largest = 0;
    clattn__alloc_hook = count_allocation;
    run_large(ctx, 1, &r);
    clattn__alloc_hook = NULL;
    const uint64_t tensor = TOKENS * DIM * sizeof(float);
    /* Bias tables exist twice while they are made: in the host's array and in the context's memory. */
    const uint64_t allowed = 2 * bias_bytes(1) + scratch_bytes(1, &r.info) + SLACK;
    print_message("on the CPU path: %" PRIu64 " bytes beyond the tensors, of %" PRIu64
                  " allowed; the largest piece %" PRIu64 "; n x N floats are %" PRIu64 "\n",
                  allocated - tensor_bytes(1), allowed, largest, forbidden_bytes(1));
    assert_true(allocated >= tensor_bytes(1));
    assert_true(allocated - tensor_bytes(1) <= allowed);
    assert_true(largest <= tensor + SLACK);
    assert_true(allowed < forbidden_bytes(1) / 8);
    free_large(ctx, &r);
    clattn_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_device), cmocka_unit_test(test_host)};

    if (contexts_reduced()) {
        print_message("too large for an interpreter of kernels\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
