/*
 * No value that a tuning row sets changes a bit of any result: every kernel runs with rows from all over its space, in both shapes
 * and at every work-group, and gives what it gives without rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "case_run.h"
#include "contexts.h"
#include "support.h"

/* Several leaves and agent tiles, blocks of dv, widths that no vector divides. */
static const case_agent agent_case = {.desc = {.batch = 2,
                                               .heads = 2,
                                               .head_dim = 20,
                                               .head_dim_v = 72,
                                               .height = 19,
                                               .width = 29,
                                               .class_tokens = 1,
                                               .agent_height = 5,
                                               .agent_width = 9,
                                               .has_bias = 1,
                                               .has_key_bias = 1,
                                               .dwc_size = 3,
                                               .has_dwc_bias = 1,
                                               .v_shortcut = 0.5f},
                                      .trained_agents_h = 5,
                                      .trained_agents_w = 9,
                                      .trained_h = 19,
                                      .trained_w = 29};
/* A convolution of its own, pool and merge beside kernels of a width that compiles soon. */
static const case_agent convolution_case = {.desc = {.batch = 1,
                                                     .heads = 3,
                                                     .head_dim = 8,
                                                     .height = 31,
                                                     .width = 43,
                                                     .agent_height = 3,
                                                     .agent_width = 4,
                                                     .dwc_size = 7,
                                                     .has_dwc_bias = 1}};
static const case_attention attention_case = {.desc = {.batch = 1,
                                                       .heads = 2,
                                                       .head_dim = 12,
                                                       .head_dim_v = 24,
                                                       .queries = 150,
                                                       .keys = 170,
                                                       .has_key_bias = 1},
                                              .excluded = 5};
static const case_smooth smooth_case = {
    .desc = {.height = 33, .width = 47, .agent_height = 5, .agent_width = 6}};

enum { AGENT, ATTENTION, CONVOLUTION, SMOOTH, RESULTS };

static case_agent_data agent_data, convolution_data;
static case_attention_data attention_data;
static case_smooth_data smooth_data;

static int64_t result_count(int which)
{
    switch (which) {
    case AGENT:
        return case_agent_count(&agent_case, STEP_WHOLE);
    case ATTENTION:
        return case_attention_count(&attention_case);
    case CONVOLUTION:
        return case_agent_count(&convolution_case, STEP_WHOLE);
    default:
        return 3 * smooth_case.desc.height * smooth_case.desc.width;
    }
}

static void run_agents(clattn_context *ctx, const case_agent *c, const case_agent_data *data,
                       float *result)
{
    agent_run run;
    agent_run_open(&run, ctx, GUARD_TOKENS, c, data);
    agent_run_step(&run, STEP_WHOLE, result);
    agent_run_close(&run);
}

static clattn_memory upload(clattn_context *ctx, const float *values, int64_t count)
{
    clattn_memory memory = {0};
    const uint64_t bytes = (uint64_t)count * sizeof(float);
    assert_int_equal(clattn_memory_alloc(ctx, bytes, &memory), CLATTN_OK);
    if (values != NULL)
        assert_int_equal(clattn_memory_write(ctx, &memory, 0, values, bytes), CLATTN_OK);
    return memory;
}

static void run_attention(clattn_context *ctx, float *result)
{
    const clattn_attention_desc *const d = &attention_case.desc;
    const int64_t q = d->batch * d->queries * d->heads, k = d->batch * d->keys * d->heads;
    clattn_memory memory[5] = {upload(ctx, attention_data.q, q * d->head_dim),
                               upload(ctx, attention_data.k, k * d->head_dim),
                               upload(ctx, attention_data.v, k * d->head_dim_v),
                               upload(ctx, attention_data.key_bias, k),
                               upload(ctx, NULL, q * d->head_dim_v)};
    const clattn_tensor tensors[5] = {
        clattn_tensor_tokens(memory[0], d->batch, d->queries, d->heads, d->head_dim),
        clattn_tensor_tokens(memory[1], d->batch, d->keys, d->heads, d->head_dim),
        clattn_tensor_tokens(memory[2], d->batch, d->keys, d->heads, d->head_dim_v),
        clattn_tensor_tokens(memory[3], d->batch, d->keys, d->heads, 1),
        clattn_tensor_tokens(memory[4], d->batch, d->queries, d->heads, d->head_dim_v)};
    const clattn_attention_args args = {&tensors[0], &tensors[1], &tensors[2], &tensors[3],
                                        &tensors[4]};
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    assert_int_equal(clattn_attention_plan(ctx, d, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_attention_run(plan, ws, &args, NULL), CLATTN_OK);
    assert_int_equal(clattn_memory_read(ctx, &memory[4], 0, result,
                                        (uint64_t)(q * d->head_dim_v) * sizeof(float)),
                     CLATTN_OK);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    for (int i = 0; i < 5; i++)
        clattn_memory_free(ctx, &memory[i]);
}

static void run_smooth(clattn_context *ctx, float *result)
{
    const clattn_smooth_desc *const d = &smooth_case.desc;
    const int64_t pixels = d->height * d->width;
    clattn_memory in = upload(ctx, smooth_data.rgb, 3 * pixels);
    clattn_memory out = upload(ctx, NULL, 3 * pixels);
    const clattn_tensor input = clattn_tensor_tokens(in, 1, pixels, 1, 3);
    const clattn_tensor output = clattn_tensor_tokens(out, 1, pixels, 1, 3);
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    assert_int_equal(clattn_smooth_plan(ctx, d, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_smooth_run(plan, ws, &input, &output, NULL, NULL), CLATTN_OK);
    assert_int_equal(
        clattn_memory_read(ctx, &out, 0, result, (uint64_t)(3 * pixels) * sizeof(float)),
        CLATTN_OK);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    clattn_memory_free(ctx, &in);
    clattn_memory_free(ctx, &out);
}

/* The result of a case, in a new array. */
static float *run_case(clattn_context *ctx, int which)
{
    float *const result = malloc((size_t)result_count(which) * sizeof(float));
    assert_non_null(result);
    if (which == AGENT)
        run_agents(ctx, &agent_case, &agent_data, result);
    else if (which == ATTENTION)
        run_attention(ctx, result);
    else if (which == CONVOLUTION)
        run_agents(ctx, &convolution_case, &convolution_data, result);
    else
        run_smooth(ctx, result);
    return result;
}

/* The attention kernels, which take long to compile; then the others, for which they are compiled once. */
static const char *const wide_rows[] = {
    "agent_aggregate rows=1 vectors=2 agents=1\nagent_broadcast rows=1 vectors=2 query_block=32\n"
    "attention rows=1 vectors=2 query_block=32\n",
    "agent_aggregate rows=5 vectors=1 agents=7\nagent_broadcast rows=5 vectors=1 query_block=96\n"
    "attention rows=5 vectors=1 query_block=96\n",
    "agent_aggregate rows=12 vectors=2 agents=40\nagent_broadcast rows=12 vectors=2 "
    "query_block=256\nattention rows=12 vectors=2 query_block=256\n",
};
static const char *const other_rows[] = {
    "dwc channels=1 tokens=1 items=1\nagent_pool items=1\nagent_merge items=1\nsmooth items=1",
    "dwc channels=2 tokens=3 items=17\nagent_pool items=17\nagent_merge items=17\n"
    "smooth items=17",
    "dwc channels=16 tokens=16 items=256\nagent_pool items=256\nagent_merge items=256\n"
    "smooth items=256",
};

/* chunk_d and, as a part of the range from TK to 2 TK, block_dv. */
static const struct {
    int chunk_d, eighths;
} tile_values[] = {{4, 0}, {12, 3}, {32, 8}};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static support_log heard = SUPPORT_LOG_INIT;
static const contexts_entry *entry;

/* Runs with the rows; none of them may be left out. */
static void check_rows(clattn_context *ctx, const char *rows, int which, const float *expected)
{
    static const char *const names[RESULTS] = {"agent_attention", "attention", "agent_attention",
                                               "smooth"};
    heard.count = 0;
    assert_int_equal(clattn_tune_load(ctx, rows, strlen(rows)), CLATTN_OK);
    float *const result = run_case(ctx, which);
    assert_int_equal(heard.count, 0);
    check_same_bits(names[which], rows, result, expected, result_count(which));
    free(result);
}

/* A text for the tile with work-groups of `items`; false where the device has not the local memory. */
static bool tile_rows(const clattn_context *ctx, int items, int chunk_d, int eighths, char *text,
                      size_t size)
{
    const int tile_k = items <= 16 ? 16 : items <= 64 ? 32 : 64;
    const int block_dv = tile_k + tile_k * eighths / 8 / 4 * 4;
    static const char *const kernels[] = {"agent_aggregate", "agent_broadcast", "attention"};
    size_t length = 0;
    for (int k = 0; k < 3; k++)
        length += (size_t)snprintf(text + length, size - length,
                                   "%s work_group=%d chunk_d=%d block_dv=%d\n", kernels[k], items,
                                   chunk_d, block_dv);
    return clattn_context_device(ctx)->local_bytes >= (items > 128 ? 49152 : 32768);
}

/* Opens the context with the default rows alone, and runs the case with them. */
static clattn_context *open_default(int which, float **expected)
{
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
    clattn_context *ctx = contexts_open(entry, &params);
    assert_int_equal(clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT), CLATTN_OK);
    *expected = run_case(ctx, which);
    return ctx;
}

static void check_attention(int which)
{
    float *expected;
    char text[512];
    clattn_context *ctx = open_default(which, &expected);
    for (size_t i = 0; i < COUNT(wide_rows) && entry->shape == CLATTN_SHAPE_WIDE; i++)
        check_rows(ctx, wide_rows[i], which, expected);
    for (size_t i = 0; i < COUNT(tile_values) && entry->shape == CLATTN_SHAPE_TILE; i++)
        if (tile_rows(ctx, (int)entry->work_group, tile_values[i].chunk_d, tile_values[i].eighths,
                      text, sizeof text))
            check_rows(ctx, text, which, expected);
    free(expected);
    clattn_context_destroy(&ctx);
}

static void test_agent_attention(void **state)
{
    (void)state;
    check_attention(AGENT);
}

static void test_attention(void **state)
{
    (void)state;
    check_attention(ATTENTION);
}

/* These kernels know no shapes: once is enough for the tile. */
static void test_others(void **state)
{
    (void)state;
    if (entry->shape == CLATTN_SHAPE_TILE && entry->work_group != 64)
        return;
    for (int which = CONVOLUTION; which <= SMOOTH; which++) {
        float *expected;
        clattn_context *ctx = open_default(which, &expected);
        for (size_t i = 0; i < COUNT(other_rows); i++)
            check_rows(ctx, other_rows[i], which, expected);
        free(expected);
        clattn_context_destroy(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agent_attention),
                                       cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_others)};
    contexts_list list;
    int failed = 0, found = 0;
    case_agent_fill(&agent_case, fill_seed(), &agent_data);
    case_agent_fill(&convolution_case, fill_seed(), &convolution_data);
    case_attention_make(&attention_case, fill_seed(), 0, &attention_data);
    case_smooth_make(&smooth_case, fill_seed(), 0, &smooth_data);
    contexts_find(true, &list);
    for (int i = 0; i < list.count; i++) {
        entry = &list.entries[i];
        if (entry->device == NULL)
            continue;
        found++;
        print_message("on %s\n", entry->name);
        failed += cmocka_run_group_tests_name("tune_bits", tests, NULL, NULL);
    }
    case_agent_free(&agent_data);
    case_agent_free(&convolution_data);
    case_attention_free(&attention_data);
    case_smooth_free(&smooth_data);
    return found == 0 ? contexts_none() : failed != 0;
}
