/*
 * The CPU path's functions, for every instruction set that this machine has, called directly on
 * argument structs: against naive sums in double (cpu_forms.c), and for bits that do not depend on
 * who does which item when.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/dispatch.h"
#include "cpu_forms.h"

/* Sums of up to a few hundred products of numbers around 1, in float. */
#define TOLERANCE (64 * (double)FLT_EPSILON)

static const char *const variants[] = {"baseline", "avx2", "avx512"};
static const clattn__cpu_ops *ops;

static void assert_close(float got, double want, const char *what, int64_t index)
{
    if (!(fabs((double)got - want) <= TOLERANCE * (fabs(want) + 1.0)))
        fail_msg("%s: %s[%lld] is %.9g, should be %.9g", ops->name, what, (long long)index,
                 (double)got, want);
}

/* Item i of `count`: upwards, downwards, or the even ones before the odd ones. */
static int64_t item_in_order(int64_t i, int64_t count, int order)
{
    const int64_t evens = (count + 1) / 2;
    if (order == 0)
        return i;
    if (order == 1)
        return count - 1 - i;
    return i < evens ? 2 * i : 2 * (i - evens) + 1;
}

static void run_aggregate(problem *pr, int order)
{
    const Attend *a = &pr->aggregate;
    const int64_t tiles = (a->queries + a->tile - 1) / a->tile;
    const int64_t agents = (int64_t)pr->problems * a->queries;
    clattn__attend_mem mem = pr->aggregate_mem;
    float *states = NULL;
    if (a->leaves > 1)
        mem.out = states = new_floats((size_t)(agents * a->leaves * (a->dim_v + 2)), NAN);
    /* Order 2 also launches leaves singly. */
    const int launches = order == 2 ? a->leaves : 1;
    for (int launch = 0; launch < launches; launch++) {
        Attend part = *a;
        part.first = launch;
        part.count = order == 2 ? 1 : a->leaves;
        const int64_t items = pr->problems * part.count * tiles;
        for (int64_t i = 0; i < items; i++)
            ops->aggregate(&part, &mem, item_in_order(i, items, order));
    }
    const Merge merge = {.out = a->out,
                         .heads = a->heads,
                         .windows = a->windows,
                         .queries = a->queries,
                         .leaves = a->leaves,
                         .dim_v = a->dim_v,
                         .out_scale = a->out_scale,
                         .count = a->queries};
    for (int64_t i = 0; a->leaves > 1 && i < agents; i++)
        ops->merge(&merge, states, pr->values, item_in_order(i, agents, order));
    free(states);
}

static void run_broadcast(problem *pr, int order)
{
    const Attend *a = &pr->broadcast;
    const int64_t blocks = (a->queries + CLATTN__CPU_QUERY_BLOCK - 1) / CLATTN__CPU_QUERY_BLOCK;
    const int64_t items = pr->problems * blocks;
    for (int64_t i = 0; i < items; i++)
        ops->broadcast(a, &pr->broadcast_mem, item_in_order(i, items, order));
}

static void check_aggregate(const problem *pr)
{
    const Attend *a = &pr->aggregate;
    double want[1024];
    for (int z = 0; z < pr->problems; z++)
        for (int agent = 0; agent < a->queries; agent++) {
            const int p = z / a->heads;
            const int head = z % a->heads;
            const int64_t at = address(&a->out, &a->q_grid, p, a->windows, head, agent);
            attend_reference(a, &pr->aggregate_mem, p, head, agent, true, want);
            for (int j = 0; j < a->dim_v; j++)
                assert_close(pr->values[at + j], want[j], "agent values", at + j);
        }
}

/* Every token of every head is right, and nothing else was written. */
static void check_broadcast(problem *pr)
{
    const Attend *a = &pr->broadcast;
    const clattn__attend_mem *m = &pr->broadcast_mem;
    double want[1024];
    for (int z = 0; z < pr->problems; z++)
        for (int token = 0; token < a->queries; token++) {
            const int p = z / a->heads;
            const int head = z % a->heads;
            const int64_t at = address(&a->out, &a->q_grid, p, a->windows, head, token);
            const float *tap =
                (const float *)m->tap + address(&a->tap, &a->q_grid, p, a->windows, head, token);
            attend_reference(a, m, p, head, token, false, want);
            for (int j = 0; j < a->dim_v; j++) {
                want[j] += (double)a->shortcut * tap[j] +
                           dwc_reference(&a->tap, &a->q_grid, m->tap, m->dwc_weight, a->dwc_size, p,
                                         a->windows, head, a->dim_v, j, token);
                if (a->has_dwc_bias && token >= a->q_grid.class_tokens)
                    want[j] += m->dwc_bias[head * a->dim_v + j];
                assert_close(pr->out[at + j], want[j], "output", at + j);
                pr->out[at + j] = NAN;
            }
        }
    for (size_t i = 0; i < pr->out_count; i++)
        assert_true(isnan(pr->out[i]));
}

static void test_stages_against_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        problem pr;
        make_problem(&pr, &forms[i]);
        run_aggregate(&pr, 0);
        check_aggregate(&pr);
        run_broadcast(&pr, 0);
        check_broadcast(&pr);
        free_problem(&pr);
    }
}

static void test_any_order_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        problem pr;
        make_problem(&pr, &forms[i]);
        run_aggregate(&pr, 0);
        run_broadcast(&pr, 0);
        float *values = new_floats(pr.list_count, 1.0f);
        float *out = new_floats(pr.out_count, 1.0f);
        memcpy(values, pr.values, pr.list_count * sizeof *values);
        memcpy(out, pr.out, pr.out_count * sizeof *out);
        for (int order = 1; order < 3; order++) {
            run_aggregate(&pr, order);
            run_broadcast(&pr, order);
            assert_memory_equal(values, pr.values, pr.list_count * sizeof *values);
            assert_memory_equal(out, pr.out, pr.out_count * sizeof *out);
        }
        free(values);
        free(out);
        free_problem(&pr);
    }
}

static void test_leaves_equal_one_leaf(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        problem pr;
        make_problem(&pr, &forms[i]);
        run_aggregate(&pr, 0);
        float *values = new_floats(pr.list_count, 1.0f);
        memcpy(values, pr.values, pr.list_count * sizeof *values);
        pr.aggregate.leaf_tokens = pr.tokens;
        pr.aggregate.leaves = pr.aggregate.count = 1;
        run_aggregate(&pr, 0);
        for (size_t j = 0; j < pr.list_count; j++)
            if (!isnan(values[j]))
                assert_true(fabsf(values[j] - pr.values[j]) <= 1e-6f * (fabsf(values[j]) + 1.0f));
        free(values);
        free_problem(&pr);
    }
}

/* The node of leaves [first, first + size), size a power of two, as far as there are leaves. */
static float tree_sum(const float *leaf, int first, int size, int leaves)
{
    if (size == 1)
        return leaf[first];
    const float left = tree_sum(leaf, first, size / 2, leaves);
    return first + size / 2 < leaves ? left + tree_sum(leaf, first + size / 2, size / 2, leaves)
                                     : left;
}

/*
 * With equal maxima and a sum of 1, a merge of states is the tree's float additions and nothing
 * else.
 */
static void test_merge_adds_along_the_tree(void **state)
{
    (void)state;
    for (int leaves = 2; leaves <= 33; leaves++) {
        float states[33][3];
        float leaf[33];
        float out = NAN;
        for (int i = 0; i < leaves; i++) {
            leaf[i] = states[i][0] = ldexpf(random_float(), i * 7 % 11);
            states[i][1] = 0.0f;
            states[i][2] = i == 0 ? 1.0f : 0.0f;
        }
        const Merge a = {.out = {.token = 1},
                         .heads = 1,
                         .windows = 1,
                         .queries = 1,
                         .leaves = leaves,
                         .dim_v = 1,
                         .out_scale = 1.0f,
                         .count = 1};
        ops->merge(&a, states[0], &out, 0);
        assert_true(out == tree_sum(leaf, 0, 64, leaves));
    }
}

/*
 * With every key masked, stage 1 gives zeros through leaves and through one leaf, and stage 2
 * leaves DWC and shortcut alone.
 */
static void test_all_keys_masked(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        form f = forms[i];
        problem pr;
        f.key_bias = 1;
        make_problem(&pr, &f);
        for (size_t j = 0; j < pr.out_count; j++)
            pr.key_bias[j] = -INFINITY;
        for (int j = 0; j < f.batch * f.heads * f.agents; j++)
            pr.agent_bias[j] = -INFINITY;
        run_aggregate(&pr, 0);
        check_aggregate(&pr);
        for (size_t j = 0; j < pr.list_count; j++)
            assert_true(isnan(pr.values[j]) || pr.values[j] == 0.0f);
        run_broadcast(&pr, 0);
        check_broadcast(&pr);
        free_problem(&pr);
    }
}

/*
 * More keys than one step, huge logits in the middle: the running maximum jumps, and what came
 * before vanishes exactly.
 */
static void test_long_attention_with_a_huge_logit(void **state)
{
    (void)state;
    const form f = {.batch = 1,
                    .heads = 1,
                    .dim = 8,
                    .dim_v = 19,
                    .height = 10,
                    .width = 20,
                    .agents = 500,
                    .key_bias = 1};
    problem pr;
    make_problem(&pr, &f);
    pr.broadcast.tile = 64;
    run_aggregate(&pr, 0);
    run_broadcast(&pr, 0);
    check_broadcast(&pr);
    pr.agent_bias[301] = 3.0e4f;
    run_broadcast(&pr, 0);
    for (int token = 0; token < pr.tokens; token++)
        for (int j = 0; j < f.dim_v; j++) {
            const Attend *a = &pr.broadcast;
            const float value = pr.values[address(&a->v, &a->k_grid, 0, 1, 0, 301) + j];
            assert_true(pr.out[address(&a->out, &a->q_grid, 0, 1, 0, token) + j] ==
                        value * a->out_scale);
        }
    free_problem(&pr);
}

/*
 * exp2 over its whole range, seen through a leaf's state: key 0 has logit 0, so m = 0, and key j
 * has logit x[j] and a one in value j, so acc[j] = exp2(x[j]).
 */
static void exp2_of(const float x[64], float power[66])
{
    float k[64];
    float v[64 * 64] = {0.0f};
    const float q = 1.0f;
    memcpy(k, x, sizeof k);
    k[0] = 0.0f;
    for (int j = 1; j < 64; j++)
        v[64 * j + j] = 1.0f;
    const Attend a = {.q = {.token = 1},
                      .k = {.token = 1},
                      .v = {.token = 64},
                      .q_grid = {.linear = 1},
                      .k_grid = {.linear = 1},
                      .heads = 1,
                      .windows = 1,
                      .queries = 1,
                      .keys = 128,
                      .scale = 1.0f,
                      .out_scale = 1.0f,
                      .leaf_tokens = 64,
                      .leaves = 2,
                      .count = 1,
                      .tile = 1,
                      .dim = 1,
                      .dim_v = 64};
    const clattn__attend_mem mem = {.q = &q, .k = k, .v = v, .out = power};
    ops->aggregate(&a, &mem, 0);
    assert_true(power[64] == 0.0f);
}

static void test_exp2(void **state)
{
    (void)state;
    double worst = 0.0;
    for (int block = 0; block < 4000; block++) {
        float x[64];
        float power[66];
        for (int j = 0; j < 64; j++)
            x[j] = -130.0f * (float)(block * 64 + j) / (4000.0f * 64.0f);
        exp2_of(x, power);
        for (int j = 1; j < 64; j++) {
            if (x[j] < -126.0f) {
                assert_true(power[j] == 0.0f);
                continue;
            }
            const double want = exp2((double)x[j]);
            const double ulp = ldexp(1.0, ilogb(want) - 23);
            worst = fmax(worst, fabs((double)power[j] - want) / ulp);
        }
    }
    printf("%s: exp2 within %.3f ulp\n", ops->name, worst);
    assert_true(worst <= 1.5);

    for (int first = 0; first < 256; first += 63) {
        float x[64];
        float power[66];
        for (int j = 1; j < 64; j++)
            x[j] = -(float)(first + j - 1);
        x[63] = first == 0 ? -INFINITY : -3.0e38f;
        exp2_of(x, power);
        for (int j = 1; j < 64; j++)
            assert_true(power[j] == (x[j] < -126.0f ? 0.0f : (float)exp2((double)x[j])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_against_reference),
        cmocka_unit_test(test_any_order_same_bits),
        cmocka_unit_test(test_leaves_equal_one_leaf),
        cmocka_unit_test(test_merge_adds_along_the_tree),
        cmocka_unit_test(test_all_keys_masked),
        cmocka_unit_test(test_long_attention_with_a_huge_logit),
        cmocka_unit_test(test_exp2),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        ops = clattn__cpu_ops_named(variants[i]);
        if (ops != NULL)
            failed += cmocka_run_group_tests_name(variants[i], tests, NULL, NULL);
    }
    return failed;
}
