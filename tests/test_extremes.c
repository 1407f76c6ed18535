/*
 * Where a softmax is easily wrong: all logits alike, one that dwarfs all others, logits far outside the range of an exponential,
 * rows and whole leaves of excluded keys. Known results are checked against themselves, the rest against the oracle.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "contexts.h"

/* 523 tokens and one class token: three leaves. Four agents, no wider than a head: they can be unit vectors. */
#define HEIGHT   1
#define WIDTH    523
#define TOKENS   (WIDTH + 1)
#define HEADS    2
#define DIM      8
#define AGENTS   4
#define PICTURES 2

static const case_agent base = {
    .desc = {.batch = PICTURES,
             .heads = HEADS,
             .head_dim = DIM,
             .height = HEIGHT,
             .width = WIDTH,
             .class_tokens = 1,
             .agent_height = 2,
             .agent_width = 2,
             .agents_given = 1},
};

static const contexts_entry *current;

/* Row (b, t, h) of q, k or v, and (b, a, h) of the agents or va. */
static float *token_row(float *tensor, int b, int t, int h)
{
    return tensor + ((b * TOKENS + t) * HEADS + h) * DIM;
}

static float *agent_row(float *tensor, int b, int a, int h)
{
    return tensor + ((b * AGENTS + a) * HEADS + h) * DIM;
}

/* The result of a step, on the device. Freed by the caller. */
static float *run_step(clattn_context *ctx, const case_agent *c, const case_agent_data *data,
                       case_step step)
{
    float *result = malloc((size_t)case_agent_count(c, step) * sizeof *result);
    agent_run run;

    assert_non_null(result);
    agent_run_open(&run, ctx, GUARD_TOKENS, c, data);
    agent_run_step(&run, step, result);
    agent_run_close(&run);
    return result;
}

static void check_row(const char *what, const float *got, const double *expected)
{
    check_close(what, "known result", got, expected, DIM,
                case_agent_tolerance(STEP_AGGREGATE, CLATTN_F32));
}

/* The mean of head h of picture b over `count` tokens or agents. */
static void mean_row(const float *rows, int b, int h, int count, double *mean)
{
    for (int j = 0; j < DIM; j++) {
        mean[j] = 0.0;
        for (int t = 0; t < count; t++)
            mean[j] += (double)rows[((b * count + t) * HEADS + h) * DIM + j] / count;
    }
}

/* All keys alike: every agent gets the mean of V. All agents alike: every token gets the mean of Va. */
static void test_equal(void **state)
{
    clattn_context *ctx = *state;
    case_agent_data data;
    double mean[DIM];

    case_agent_fill(&base, 11, &data);
    for (int i = 0; i < PICTURES * TOKENS * HEADS * DIM; i++)
        data.k[i] = 0.125f * (float)(i % DIM);
    float *va = run_step(ctx, &base, &data, STEP_AGGREGATE);
    for (int b = 0; b < PICTURES; b++)
        for (int h = 0; h < HEADS; h++) {
            mean_row(data.v, b, h, TOKENS, mean);
            for (int a = 0; a < AGENTS; a++)
                check_row("agent_aggregate of equal keys", agent_row(va, b, a, h), mean);
        }
    free(va);

    for (int i = 0; i < PICTURES * AGENTS * HEADS * DIM; i++)
        data.agents[i] = 0.125f * (float)(i % DIM);
    float *out = run_step(ctx, &base, &data, STEP_BROADCAST);
    for (int b = 0; b < PICTURES; b++)
        for (int h = 0; h < HEADS; h++) {
            mean_row(data.va, b, h, AGENTS, mean);
            for (int t = 0; t < TOKENS; t++)
                check_row("agent_broadcast of equal agents", token_row(out, b, t, h), mean);
        }
    free(out);
    case_agent_free(&data);
}

/*
 * Agents are unit vectors, so element a of key t is agent a's logit. Agent 0 has one logit of 3e4, agent 1 one of 1e30 (in
 * another leaf): they get that token's v. Agent 2 has one of -1e30, which counts for nothing; all of agent 3's are -1e30: the mean.
 */
static void test_huge(void **state)
{
    enum { FIRST = 500, SECOND = 17, THIRD = 300 };
    clattn_context *ctx = *state;
    case_agent c = base;
    case_agent_data data;
    double expected[DIM];

    c.desc.scale_aggregate = 1.0f;
    case_agent_fill(&c, 12, &data);
    for (int b = 0; b < PICTURES; b++)
        for (int h = 0; h < HEADS; h++) {
            for (int a = 0; a < AGENTS; a++)
                for (int j = 0; j < DIM; j++)
                    agent_row(data.agents, b, a, h)[j] = a == j ? 1.0f : 0.0f;
            for (int t = 0; t < TOKENS; t++)
                token_row(data.k, b, t, h)[3] = -1e30f;
            token_row(data.k, b, FIRST, h)[0] = 3e4f;
            token_row(data.k, b, SECOND, h)[1] = 1e30f;
            token_row(data.k, b, THIRD, h)[2] = -1e30f;
        }
    case_agent_answer(&c, &data);
    agent_run_check(ctx, GUARD_ROWS, &c, &data);

    float *va = run_step(ctx, &c, &data, STEP_AGGREGATE);
    for (int b = 0; b < PICTURES; b++)
        for (int h = 0; h < HEADS; h++) {
            for (int j = 0; j < DIM; j++)
                expected[j] = (double)token_row(data.v, b, FIRST, h)[j];
            check_row("one huge logit", agent_row(va, b, 0, h), expected);
            for (int j = 0; j < DIM; j++)
                expected[j] = (double)token_row(data.v, b, SECOND, h)[j];
            check_row("one logit of 1e30", agent_row(va, b, 1, h), expected);
            mean_row(data.v, b, h, TOKENS, expected);
            check_row("all logits -1e30", agent_row(va, b, 3, h), expected);
        }
    free(va);
    case_agent_free(&data);
}

static void exclude_keys(case_agent_data *data, int b, int h, int first, int end)
{
    for (int t = first; t < end; t++)
        data->key_bias[(b * TOKENS + t) * HEADS + h] = -INFINITY;
}

/*
 * Picture 0, head 0: every key excluded; its agents get zeros. Head 1: the first leaf and a half, so a leaf without any key is
 * merged with others. Picture 1, head 0: all but the last key. Agent vector: none left for picture 1, head 1.
 */
static void test_excluded(void **state)
{
    clattn_context *ctx = *state;
    case_agent c = base;
    case_agent_data data;

    c.desc.has_key_bias = 1;
    c.desc.has_agent_vector = 1;
    case_agent_fill(&c, 13, &data);
    exclude_keys(&data, 0, 0, 0, TOKENS);
    exclude_keys(&data, 0, 1, 0, 384);
    exclude_keys(&data, 1, 0, 0, TOKENS - 1);
    for (int a = 0; a < AGENTS; a++)
        data.agent_vector[(1 * AGENTS + a) * HEADS + 1] = -INFINITY;
    case_agent_answer(&c, &data);
    agent_run_check(ctx, GUARD_HEADS, &c, &data);

    float *va = run_step(ctx, &c, &data, STEP_AGGREGATE);
    float *out = run_step(ctx, &c, &data, STEP_BROADCAST);
    for (int j = 0; j < DIM; j++) {
        for (int a = 0; a < AGENTS; a++)
            assert_true(agent_row(va, 0, a, 0)[j] == 0.0f);
        for (int t = 0; t < TOKENS; t++)
            assert_true(token_row(out, 1, t, 1)[j] == 0.0f);
    }
    free(out);
    free(va);

    /* With the local terms: they remain. */
    c.desc.dwc_size = 3;
    c.desc.has_dwc_bias = 1;
    c.desc.v_shortcut = 0.5f;
    case_agent_free(&data);
    case_agent_fill(&c, 14, &data);
    for (int i = 0; i < PICTURES * AGENTS * HEADS; i++)
        data.agent_vector[i] = -INFINITY;
    case_agent_answer(&c, &data);
    agent_run_check(ctx, GUARD_TOKENS, &c, &data);
    case_agent_free(&data);
}

static int open_context(void **state)
{
    *state = contexts_open(current, NULL);
    return 0;
}

static int close_context(void **state)
{
    clattn_context *ctx = *state;
    clattn_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_excluded),
    };
    contexts_list list;
    int failed = 0;

    contexts_find(!contexts_reduced(), &list);
    if (list.count == 0)
        return contexts_none();
    for (int i = 0; i < list.count; i++) {
        current = &list.entries[i];
        print_message("on %s\n", current->name);
        failed += cmocka_run_group_tests(tests, open_context, close_context);
    }
    return failed != 0;
}
