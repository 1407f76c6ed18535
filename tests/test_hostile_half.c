/*
 * Types of storage that do not belong together: every tensor of a plan has the descriptor's type, additive vectors are f32 in any
 * plan, and halves may lie where floats may not. Runs on every device and on the CPU path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "hostile.h"

/* Every tensor is used. */
static const case_agent half_case = {
    .desc = {.batch = 1,
             .heads = 2,
             .head_dim = 8,
             .height = 5,
             .width = 6,
             .agent_height = 2,
             .agent_width = 2,
             .agents_given = 1,
             .has_key_bias = 1,
             .has_agent_vector = 1,
             .type = CLATTN_F16},
};

typedef struct bench {
    hostile *h;
    case_agent_data data;
    agent_run run;
    clattn_plan *plan;
    clattn_workspace *ws;
} bench;

static void bench_open(bench *b, hostile *h)
{
    *b = (bench){.h = h};
    case_agent_fill(&half_case, 1, &b->data);
    agent_run_open(&b->run, h->ctx, GUARD_TOKENS, &half_case, &b->data);
    assert_int_equal(clattn_agent_attention_plan(h->ctx, &half_case.desc, &b->plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(b->plan, &b->ws), CLATTN_OK);
}

static void bench_close(bench *b)
{
    clattn_workspace_destroy(&b->ws);
    clattn_plan_destroy(&b->plan);
    agent_run_close(&b->run);
    case_agent_free(&b->data);
}

static void refuse(bench *b, const clattn_agent_attention_args *args, clattn_status expected,
                   const char *name, const char *value, const char *limit)
{
    check_refused(b->h, name, expected, clattn_agent_attention_run(b->plan, b->ws, args, NULL),
                  (const char *const[3]){name, value, limit});
    assert_int_equal(clattn_context_finish(b->h->ctx), CLATTN_OK);
    guard_check_untouched(&b->run.out[STEP_WHOLE], name);
}

static void test_types(void **state)
{
    bench b;
    bench_open(&b, *state);
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);
    clattn_agent_attention_args args = good;
    clattn_tensor q = *good.q, k = *good.k, v = *good.v, agents = *good.agents, out = *good.out;
    clattn_tensor key_bias = *good.key_bias, agent_vector = *good.agent_vector;

    q.type = k.type = v.type = agents.type = out.type = CLATTN_F32;
    args.q = &q;
    refuse(&b, &args, CLATTN_E_TYPE, "q has type", "0", "CLATTN_F16 (1)");
    args = good;
    args.k = &k;
    refuse(&b, &args, CLATTN_E_TYPE, "k has type", "0", "CLATTN_F16 (1)");
    args = good;
    args.v = &v;
    refuse(&b, &args, CLATTN_E_TYPE, "v has type", "0", "CLATTN_F16 (1)");
    args = good;
    args.agents = &agents;
    refuse(&b, &args, CLATTN_E_TYPE, "agents has type", "0", "CLATTN_F16 (1)");
    args = good;
    args.out = &out;
    refuse(&b, &args, CLATTN_E_TYPE, "out has type", "0", "CLATTN_F16 (1)");
    args = good;
    key_bias.type = agent_vector.type = CLATTN_F16;
    args.key_bias = &key_bias;
    refuse(&b, &args, CLATTN_E_TYPE, "key_bias has type", "1", "CLATTN_F32 (0)");
    args = good;
    args.agent_vector = &agent_vector;
    refuse(&b, &args, CLATTN_E_TYPE, "agent_vector has type", "1", "CLATTN_F32 (0)");
    bench_close(&b);
}

/* A tensor of halves may reach to the end of its memory, and not one beyond. */
static void test_sizes(void **state)
{
    bench b;
    bench_open(&b, *state);
    clattn_agent_attention_args args = agent_step_args(&b.run, STEP_WHOLE);
    clattn_tensor out = *args.out;

    out.memory.bytes = (uint64_t)b.run.out[STEP_WHOLE].elements * 2;
    out.offset = b.run.out[STEP_WHOLE].elements - 5 * 6 * 2 * 8 + 1;
    args.out = &out;
    refuse(&b, &args, CLATTN_E_SHAPE, "out reaches", "memory has", NULL);
    out.offset--;
    assert_int_equal(clattn_agent_attention_run(b.plan, b.ws, &args, NULL), CLATTN_OK);
    assert_int_equal(clattn_context_finish(b.h->ctx), CLATTN_OK);
    bench_close(&b);
}

/* Host memory of halves needs an even address; floats need a multiple of 4 as before. */
static void test_addresses(void **state)
{
    bench b;
    bench_open(&b, *state);
    if (clattn_context_is_cpu(b.h->ctx)) {
        clattn_agent_attention_args args = agent_step_args(&b.run, STEP_WHOLE);
        clattn_tensor q = *args.q, key_bias = *args.key_bias;
        const clattn_memory q_memory = q.memory;

        args.q = &q;
        q.memory.host = (char *)q_memory.host + 1;
        q.memory.bytes = q_memory.bytes - 2;
        refuse(&b, &args, CLATTN_E_ARG, "q lies", "multiple of 2", NULL);
        args.key_bias = &key_bias;
        q.memory = q_memory;
        key_bias.memory.host = (char *)key_bias.memory.host + 2;
        key_bias.memory.bytes -= 4;
        refuse(&b, &args, CLATTN_E_ARG, "key_bias lies", "multiple of 4", NULL);
        key_bias.memory.host = (char *)key_bias.memory.host - 2;
        q.memory.host = (char *)q_memory.host + 2;
        q.memory.bytes = q_memory.bytes - 2;
        q.offset--;
        assert_int_equal(clattn_agent_attention_run(b.plan, b.ws, &args, NULL), CLATTN_OK);
    }
    bench_close(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_types),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_addresses),
};

HOSTILE_MAIN(tests)
