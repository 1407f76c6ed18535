/*
 * A plan leaves nothing to compile to its runs. PoCL shows it: it keeps each kernel that it has specialised at a launch as a file
 * "<kernel>.so" below POCL_CACHE_DIR, and this test gives it an empty folder to count them in. Other drivers do not tell: skipped.
 */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp, setenv */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "case_smooth.h"
#include "contexts.h"

static char folder[512];
static int compiled;

static int count_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    const size_t length = strlen(path);
    (void)info;
    (void)where;
    compiled += kind == FTW_F && length > 3 && strcmp(path + length - 3, ".so") == 0;
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

/* Kernels compiled so far, once everything enqueued has run. */
static int compiled_after(clattn_context *ctx)
{
    assert_int_equal(clattn_context_finish(ctx), CLATTN_OK);
    compiled = 0;
    assert_int_equal(nftw(folder, count_one, 16, FTW_PHYS), 0);
    return compiled;
}

static void check_nothing_compiled(clattn_context *ctx, const char *op, int64_t height,
                                   int64_t width, int planned)
{
    const int now = compiled_after(ctx);
    if (planned == 0)
        fail_msg("%s was planned, but nothing lies in %s", op, folder);
    if (now != planned)
        fail_msg("a run of %s at %d x %d compiled %d kernels", op, (int)height, (int)width,
                 now - planned);
}

/* Every kernel of agent attention: several leaves where the map is large, a convolution too wide to be fused; head widths of smooth. */
static void run_attention(clattn_context *ctx, int64_t height, int64_t width)
{
    const case_agent c = {.desc = {.batch = 1,
                                   .heads = 2,
                                   .head_dim = 5,
                                   .head_dim_v = 3,
                                   .height = height,
                                   .width = width,
                                   .agent_height = 2,
                                   .agent_width = 2,
                                   .dwc_size = 7}};
    case_agent_data data;
    agent_run run;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    case_agent_fill(&c, 1, &data);
    agent_run_open(&run, ctx, GUARD_TOKENS, &c, &data);
    assert_int_equal(clattn_agent_attention_plan(ctx, &c.desc, &plan), CLATTN_OK);
    const int planned = compiled_after(ctx);
    const clattn_agent_attention_args args = agent_step_args(&run, STEP_WHOLE);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_agent_attention_run(plan, ws, &args, NULL), CLATTN_OK);
    check_nothing_compiled(ctx, "agent_attention", height, width, planned);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    agent_run_close(&run);
    case_agent_free(&data);
}

static void run_smooth(clattn_context *ctx, int64_t height, int64_t width)
{
    const case_smooth c = {
        .desc = {.height = height, .width = width, .agent_height = 2, .agent_width = 2}};
    const guard_shape shape = {1, height * width, 1, 3, 0, width, CLATTN_F32};
    case_smooth_data data;
    guard_tensor in, out;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    case_smooth_make(&c, 1, 0, &data);
    guard_create(ctx, GUARD_TOKENS, &shape, data.rgb, &in);
    guard_create(ctx, GUARD_TOKENS, &shape, NULL, &out);
    assert_int_equal(clattn_smooth_plan(ctx, &c.desc, &plan), CLATTN_OK);
    const int planned = compiled_after(ctx);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_smooth_run(plan, ws, &in.tensor, &out.tensor, NULL, NULL), CLATTN_OK);
    check_nothing_compiled(ctx, "smooth", height, width, planned);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    guard_destroy(&out);
    guard_destroy(&in);
    case_smooth_free(&data);
}

/* One leaf, several leaves, and launches of more than 65535 items, for which PoCL compiles once more. */
static void test_runs(void **state)
{
    static const int64_t sizes[][2] = {{9, 11}, {41, 52}, {260, 257}, {43, 7}};
    clattn_context *ctx = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        run_attention(ctx, sizes[i][0], sizes[i][1]);
        run_smooth(ctx, sizes[i][0], sizes[i][1]);
    }
}

/* The work-groups do not depend on the picture: a plan for another size, small as the first, compiles nothing either. */
static void test_plans(void **state)
{
    clattn_context *ctx = *state;
    clattn_smooth_desc desc = {.height = 30, .width = 50};
    int planned = 0;

    for (int i = 0; i < 3; i++) {
        clattn_plan *plan = NULL;
        assert_int_equal(clattn_smooth_plan(ctx, &desc, &plan), CLATTN_OK);
        clattn_plan_destroy(&plan);
        const int now = compiled_after(ctx);
        if (i > 0)
            assert_int_equal(now, planned);
        planned = now;
        desc.height += 37;
        desc.width += 11;
    }
}

static const contexts_entry *entry;

static int open_context(void **state)
{
    *state = contexts_open_proving(entry, NULL);
    return 0;
}

static int close_context(void **state)
{
    clattn_context *ctx = *state;
    clattn_context_destroy(&ctx);
    return 0;
}

static bool is_pocl(const contexts_entry *e)
{
    clattn_context *ctx = contexts_open_proving(e, NULL);
    const bool is =
        strcmp(clattn_context_device(ctx)->platform, "Portable Computing Language") == 0;
    clattn_context_destroy(&ctx);
    return is;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs), cmocka_unit_test(test_plans)};
    const char *temporary = getenv("TMPDIR");
    contexts_list list;
    int failed = 0;
    int found = 0;

    snprintf(folder, sizeof folder, "%s/clattn-warm-XXXXXX", temporary ? temporary : "/tmp");
    if (mkdtemp(folder) == NULL || setenv("POCL_CACHE_DIR", folder, 1) != 0)
        return 1;
    contexts_find(false, &list);
    for (int i = 0; i < list.count; i++) {
        entry = &list.entries[i];
        if (!is_pocl(entry))
            continue;
        found++;
        print_message("on %s\n", entry->name);
        failed += cmocka_run_group_tests(tests, open_context, close_context);
    }
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (found == 0)
        return 77;
    return failed != 0;
}
