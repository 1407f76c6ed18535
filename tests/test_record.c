/* Recordings: of the self-test's problems, and of runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/context.h"
#include "contexts.h"
#include "planted.h"
#include "support.h"

static contexts_list list;

static const planted_fault bad_pool = {"agent_pool", "sum += LOAD(q", "sum -= LOAD(q"};

static int recorded_passed, recorded_failed;

static void take(void *user, const clattn_selftest_problem *p)
{
    (void)user;
    assert_true(p->launch_count > 0 && p->buffer_count > 0 && p->check_count > 0);
    assert_int_equal(p->program_count, 1);
    for (uint32_t i = 0; i < p->check_count; i++)
        assert_true(p->checks[i].buffer < p->buffer_count && p->checks[i].count > 0);
    recorded_passed += p->passed;
    recorded_failed += !p->passed;
}

/* Every problem is handed out, with what came of it. */
static void problems_are_recorded(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
    const clattn_selftest_recorder recorder = {.take = take};
    const clattn_selftest_recorder none = {.take = NULL};
    clattn_context *ctx = contexts_open_first(&list, CLATTN_SHAPE_WIDE, &params);
    if (ctx == NULL)
        return;
    assert_int_equal(clattn_selftest_record(ctx, NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_selftest_record(ctx, &none), CLATTN_E_ARG);
    planted_begin(&bad_pool);
    assert_int_equal(clattn_selftest_record(ctx, &recorder), CLATTN_E_WRONG);
    planted_end();
    assert_true(recorded_failed > 0 && recorded_passed > 60);
    clattn_context_destroy(&ctx);
}

/* What a recorder of runs sees. */
typedef struct run_seen {
    cl_mem q, out;
    int runs, launches, outputs;
} run_seen;

static void take_run(void *user, const clattn_selftest_problem *p)
{
    run_seen *const seen = user;
    seen->runs++;
    seen->launches += (int)p->launch_count;
    assert_true(p->program_count > 0 && p->check_count == 0);
    assert_string_equal(p->form, "agent_attention");
    for (uint32_t i = 0; i < p->launch_count; i++)
        assert_true(p->launches[i].program < p->program_count);
    for (uint32_t i = 0; i < p->buffer_count; i++) {
        const float *const values = p->buffers[i].bytes;
        if (p->buffers[i].mem == seen->q)
            assert_true(values[0] == 0.25f);
        seen->outputs += p->buffers[i].mem == seen->out;
    }
}

/* A run with all its launches and buffers, as they were before it. */
static void runs_are_recorded(void **state)
{
    (void)state;
    enum { FLOATS = 30 * 31 * 2 * 24 };
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = 2,
                                              .head_dim = 24,
                                              .height = 30,
                                              .width = 31,
                                              .agent_height = 3,
                                              .agent_width = 3};
    clattn_context *contexts[2] = {contexts_open_first(&list, CLATTN_SHAPE_WIDE, NULL)};
    assert_int_equal(clattn_context_create_cpu(NULL, &contexts[1]), CLATTN_OK);
    for (int i = 0; i < 2; i++) {
        clattn_context *const ctx = contexts[i];
        support_log heard = SUPPORT_LOG_INIT;
        clattn_memory memory[4];
        clattn_tensor t[4];
        clattn_plan *plan = NULL;
        clattn_workspace *ws = NULL;
        clattn_plan_info info;
        const float quarter = 0.25f;
        if (ctx == NULL)
            continue;
        ctx->log = support_listen(&heard, CLATTN_LOG_WARN);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(clattn_memory_alloc(ctx, FLOATS * sizeof(float), &memory[k]),
                             CLATTN_OK);
            assert_int_equal(clattn_memory_write(ctx, &memory[k], 0, &quarter, sizeof quarter),
                             CLATTN_OK);
            t[k] = clattn_tensor_tokens(memory[k], 1, 30 * 31, 2, 24);
        }
        assert_int_equal(clattn_agent_attention_plan(ctx, &desc, &plan), CLATTN_OK);
        assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
        run_seen seen = {.q = memory[0].mem, .out = memory[3].mem};
        const clattn_selftest_recorder recorder = {.take = take_run, .user = &seen};
        const clattn_selftest_recorder none = {.take = NULL};
        const clattn_agent_attention_args args = {.q = &t[0], .k = &t[1], .v = &t[2], .out = &t[3]};
        assert_int_equal(clattn_workspace_record(NULL, &recorder), CLATTN_E_ARG);
        assert_int_equal(clattn_workspace_record(ws, &none), CLATTN_E_ARG);
        assert_int_equal(clattn_workspace_record(ws, &recorder),
                         i == 0 ? CLATTN_OK : CLATTN_E_UNSUPPORTED);
        for (int run = 0; run < 2 && i == 0; run++)
            assert_int_equal(clattn_agent_attention_run(plan, ws, &args, NULL), CLATTN_OK);
        clattn_plan_get_info(plan, &info);
        assert_int_equal(seen.runs, i == 0 ? 2 : 0);
        assert_int_equal(seen.launches, i == 0 ? 2 * (int)info.launches : 0);
        assert_int_equal(seen.outputs, i == 0 ? 2 : 0);
        assert_int_equal(clattn_workspace_record(ws, NULL), CLATTN_OK);
        assert_int_equal(clattn_agent_attention_run(plan, ws, &args, NULL), CLATTN_OK);
        assert_int_equal(seen.runs, i == 0 ? 2 : 0);
        clattn_workspace_record(ws, &recorder); /* the workspace ends it */
        clattn_workspace_destroy(&ws);
        clattn_plan_destroy(&plan);
        for (int k = 0; k < 4; k++)
            clattn_memory_free(ctx, &memory[k]);
        clattn_context_destroy(&contexts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_recorded),
        cmocka_unit_test(runs_are_recorded),
    };
    contexts_find(false, &list);
    if (support_device() == NULL)
        return contexts_none();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
