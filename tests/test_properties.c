/*
 * What must hold for any input: random shapes and forms agree with the oracle, and neither the run, nor the way the work is cut,
 * nor the company of other pictures, nor the layout of the tensors changes a bit. Runs on every device with its wide
 * shape and its tile shape, and on the CPU path, in both types of storage. CLATTN_TEST_SEED draws other cases.
 */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_random.h"
#include "case_agent_run.h"
#include "contexts.h"

#define TEXT         512
#define RANDOM_CASES 60
#define RANDOM_SMALL 6
#define THREADS      3

/* The group's state: one entry of the list, a context for it, and a second one that cuts launches as finely as it can. */
typedef struct setup {
    const contexts_entry *entry;
    clattn_context *ctx, *fine;
    case_agent bits; /* what the tests of bits run */
} setup;

static setup current;

static float *results(int64_t count)
{
    float *array = malloc((size_t)count * sizeof *array);
    assert_non_null(array);
    return array;
}

static void test_random(void **state)
{
    const setup *s = *state;
    const bool small = contexts_reduced_for(s->bits.desc.type);
    const int count = small ? RANDOM_SMALL : RANDOM_CASES;
    fill_random random = {fill_seed()};

    for (int i = 0; i < count; i++) {
        case_agent c;
        case_agent_data data;
        case_agent_random(&random, small, &c);
        c.desc.type = s->bits.desc.type;
        const guard_layout layout = (guard_layout)fill_range(&random, 0, GUARD_LAYOUTS - 1);
        case_agent_fill(&c, fill_next(&random), &data);
        case_agent_answer(&c, &data);
        agent_run_check(s->ctx, layout, &c, &data);
        case_agent_free(&data);
    }
}

/* Several leaves, every term, two pictures and a bit. */
static const case_agent bits_case = {
    .desc = {.batch = 3,
             .heads = 1,
             .head_dim = 8,
             .height = 37,
             .width = 35,
             .class_tokens = 1,
             .agent_height = 2,
             .agent_width = 5,
             .has_bias = 1,
             .has_key_bias = 1,
             .has_agent_vector = 1,
             .dwc_size = 3,
             .has_dwc_bias = 1,
             .v_shortcut = 0.5f},
    .trained_agents_h = 3,
    .trained_agents_w = 3,
    .trained_h = 14,
    .trained_w = 14,
    .excluded = 5,
};

/* Runs a step of the case; freed by the caller. */
static float *run_step(clattn_context *ctx, guard_layout layout, const case_agent *c,
                       const case_agent_data *data, case_step step)
{
    float *result = results(case_agent_count(c, step));
    agent_run run;

    agent_run_open(&run, ctx, layout, c, data);
    agent_run_step(&run, step, result);
    agent_run_close(&run);
    return result;
}

static void check_step_bits(const char *text, const case_agent *c, case_step step, const float *a,
                            float *b)
{
    check_same_bits(case_step_name(step), text, a, b, case_agent_count(c, step));
    free(b);
}

/* Twice on one context, on one that launches leaves and blocks singly, and from every layout: the same bits. */
static void test_same_bits(void **state)
{
    const setup *s = *state;
    const case_agent *c = &s->bits;
    case_agent_data data;

    case_agent_fill(c, fill_seed(), &data);
    for (case_step step = STEP_POOL; step < CASE_STEPS; step++) {
        float *first = run_step(s->ctx, GUARD_TOKENS, c, &data, step);
        check_step_bits("run again", c, step, first,
                        run_step(s->ctx, GUARD_TOKENS, c, &data, step));
        check_step_bits("many launches", c, step, first,
                        run_step(s->fine, GUARD_TOKENS, c, &data, step));
        for (guard_layout layout = GUARD_HEADS; layout < GUARD_LAYOUTS; layout++)
            check_step_bits("another layout", c, step, first,
                            run_step(s->ctx, layout, c, &data, step));
        free(first);
    }
    case_agent_free(&data);
}

/* The fine context does launch leaf by leaf; else the test above would compare a thing with itself. */
static void test_launches(void **state)
{
    const setup *s = *state;
    clattn_plan *whole = NULL;
    clattn_plan *split = NULL;
    clattn_plan_info few, many;

    assert_int_equal(clattn_agent_aggregate_plan(s->ctx, &s->bits.desc, &whole), CLATTN_OK);
    assert_int_equal(clattn_agent_aggregate_plan(s->fine, &s->bits.desc, &split), CLATTN_OK);
    clattn_plan_get_info(whole, &few);
    clattn_plan_get_info(split, &many);
    assert_int_equal(few.leaf_tokens, 256);
    assert_int_equal(few.leaves, 6);
    assert_int_equal(many.leaves, few.leaves);
    if (!clattn_context_is_cpu(s->ctx))
        assert_true(many.launches >= few.launches + 5);
    clattn_plan_destroy(&split);
    clattn_plan_destroy(&whole);
}

/* Copies of the pictures `order` names; only what differs from picture to picture. Freed with pictures_free(). */
static case_agent_data pictures(const case_agent *c, const case_agent_data *data, int count,
                                const int *order)
{
    const case_agent_sizes z = case_agent_size(&c->desc);
    case_agent_data some = *data;
    float **const arrays[] = {&some.q,  &some.k,        &some.v,           &some.agents,
                              &some.va, &some.key_bias, &some.agent_vector};
    const int64_t keys = c->desc.batch * z.k_tokens * z.heads;
    const int64_t totals[] = {z.q, z.k, z.v, z.agent, z.va, keys, z.problems * z.agents * z.heads};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        const int64_t each = totals[i] / c->desc.batch;
        const float *from = *arrays[i];
        *arrays[i] = results(each * count);
        for (int p = 0; p < count; p++)
            memcpy(*arrays[i] + p * each, from + order[p] * each, (size_t)each * sizeof *from);
    }
    return some;
}

static void pictures_free(case_agent_data *some)
{
    float *const arrays[] = {some->q,  some->k,        some->v,           some->agents,
                             some->va, some->key_bias, some->agent_vector};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* A picture's result has the same bits alone, and at any place of any batch. */
static void test_batches(void **state)
{
    static const struct {
        int count, order[5];
    } batches[] = {{1, {0}}, {1, {2}}, {3, {2, 0, 1}}, {5, {1, 1, 0, 2, 1}}};
    const setup *s = *state;
    case_agent_data data;

    case_agent_fill(&s->bits, fill_seed() + 1, &data);
    for (case_step step = STEP_POOL; step < CASE_STEPS; step++) {
        float *all = run_step(s->ctx, GUARD_TOKENS, &s->bits, &data, step);
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            case_agent c = s->bits;
            case_agent_data some = pictures(&c, &data, batches[i].count, batches[i].order);
            const int64_t each = case_agent_count(&c, step) / c.desc.batch;
            c.desc.batch = batches[i].count;
            float *result = run_step(s->ctx, GUARD_TOKENS, &c, &some, step);
            for (int p = 0; p < batches[i].count; p++)
                check_same_bits(case_step_name(step), "in another batch",
                                all + batches[i].order[p] * each, result + p * each, each);
            free(result);
            pictures_free(&some);
        }
        free(all);
    }
    case_agent_free(&data);
}

/* q, k and v in one packed (B, N, 3C) array, as one Linear layer writes them: the same bits as from three arrays. */
static void test_packed(void **state)
{
    const setup *s = *state;
    const case_agent *c = &s->bits;
    const case_agent_sizes z = case_agent_size(&c->desc);
    const int64_t channels = z.heads * z.dim;
    const int64_t tokens = c->desc.batch * z.q_tokens;
    case_agent_data data;
    guard_tensor packed;
    agent_run run;
    clattn_tensor parts[3];

    case_agent_fill(c, fill_seed() + 2, &data);
    float *separate = run_step(s->ctx, GUARD_TOKENS, c, &data, STEP_WHOLE);
    float *qkv = results(3 * tokens * channels);
    const float *const from[3] = {data.q, data.k, data.v};
    for (int64_t t = 0; t < tokens; t++)
        for (int i = 0; i < 3; i++)
            memcpy(qkv + (3 * t + i) * channels, from[i] + t * channels,
                   (size_t)channels * sizeof *qkv);
    const guard_shape all = {1, 1, 1, 3 * tokens * channels, 0, 0, c->desc.type};
    guard_create(s->ctx, GUARD_TOKENS, &all, qkv, &packed);
    for (int i = 0; i < 3; i++) {
        parts[i] = clattn_tensor_packed(packed.tensor.memory, c->desc.batch, z.q_tokens, z.heads,
                                        z.dim, 3, i);
        parts[i].offset += packed.tensor.offset;
        parts[i].type = c->desc.type;
    }
    agent_run_open(&run, s->ctx, GUARD_TOKENS, c, &data);
    run.args.q = &parts[0];
    run.args.k = &parts[1];
    run.args.v = &parts[2];
    float *result = results(z.out);
    agent_run_step(&run, STEP_WHOLE, result);
    check_same_bits("agent_attention", "packed", separate, result, z.out);
    guard_check_untouched(&packed, "qkv");
    agent_run_close(&run);
    guard_destroy(&packed);
    free(result);
    free(qkv);
    free(separate);
    case_agent_free(&data);
}

typedef struct worker {
    const clattn_plan *plan;
    clattn_workspace *ws;
    clattn_agent_attention_args args;
    clattn_status status;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    for (int i = 0; i < 3 && w->status == CLATTN_OK; i++)
        w->status = clattn_agent_attention_run(w->plan, w->ws, &w->args, NULL);
    return NULL;
}

/* One plan, several threads at once, a workspace each: all get the bits of a run alone. */
static void test_threads(void **state)
{
    const setup *s = *state;
    const case_agent *c = &s->bits;
    const int64_t count = case_agent_count(c, STEP_WHOLE);
    case_agent_data data;
    agent_run runs[THREADS];
    worker workers[THREADS];
    pthread_t threads[THREADS];
    clattn_plan *plan = NULL;
    float *result = results(count);

    case_agent_fill(c, fill_seed() + 3, &data);
    float *alone = run_step(s->ctx, GUARD_TOKENS, c, &data, STEP_WHOLE);
    assert_int_equal(clattn_agent_attention_plan(s->ctx, &c->desc, &plan), CLATTN_OK);
    for (int i = 0; i < THREADS; i++) {
        agent_run_open(&runs[i], s->ctx, GUARD_TOKENS, c, &data);
        workers[i] = (worker){.plan = plan, .args = agent_step_args(&runs[i], STEP_WHOLE)};
        assert_int_equal(clattn_workspace_create(plan, &workers[i].ws), CLATTN_OK);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(clattn_context_finish(s->ctx), CLATTN_OK);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].status, CLATTN_OK);
        guard_read(&runs[i].out[STEP_WHOLE], "out", result);
        check_same_bits("agent_attention", "beside other threads", alone, result, count);
        clattn_workspace_destroy(&workers[i].ws);
        agent_run_close(&runs[i]);
    }
    clattn_plan_destroy(&plan);
    free(result);
    free(alone);
    case_agent_free(&data);
}

static int open_contexts(void **state)
{
    const clattn_context_params fine = {.launch_flops = 1, .threads = 1};
    current.ctx = contexts_open(current.entry, NULL);
    current.fine = contexts_open(current.entry, &fine);
    *state = &current;
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    clattn_context_destroy(&current.fine);
    clattn_context_destroy(&current.ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),    cmocka_unit_test(test_launches),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_packed),    cmocka_unit_test(test_threads),
    };
    contexts_list list;
    int failed = 0;

    contexts_find(false, &list);
    if (list.count == 0)
        return contexts_none();
    print_message("CLATTN_TEST_SEED=%" PRIu64 "\n", fill_seed());
    for (int i = 0; i < 2 * list.count; i++) {
        const contexts_entry *entry = &list.entries[i / 2];
        current = (setup){.entry = entry, .bits = bits_case};
        current.bits.desc.type = i % 2 == 0 ? CLATTN_F32 : CLATTN_F16;
        print_message("on %s, %s\n", entry->name, i % 2 == 0 ? "f32" : "f16");
        failed += cmocka_run_group_tests(tests, open_contexts, close_contexts);
    }
    return failed != 0;
}
