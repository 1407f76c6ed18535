/* The rows of a context: which one a plan takes, which are left out with a warning, and what loading replaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "contexts.h"
#include "support.h"

static support_log log_ = SUPPORT_LOG_INIT;

/* A context of the wide or the tile shape on the OpenCL device, without rows of its own. */
static clattn_context *open_context(clattn_kernel_shape shape, uint32_t max_work_group,
                                    uint32_t max_local_bytes)
{
    clattn_context *ctx = NULL;
    const clattn_context_params params = {.log = support_listen(&log_, CLATTN_LOG_WARN),
                                          .shape = shape,
                                          .max_work_group = max_work_group,
                                          .max_local_bytes = max_local_bytes};
    assert_int_equal(clattn_context_create(support_device(), &params, &ctx), CLATTN_OK);
    assert_int_equal(clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT), CLATTN_OK);
    return ctx;
}

static clattn_status load(clattn_context *ctx, const char *text)
{
    return clattn_tune_load(ctx, text, strlen(text));
}

/* What a plan of the convolution has after loading `text`. */
static void dwc_has(clattn_context *ctx, const char *text, const char *expected)
{
    char tuning[512];
    clattn_plan *plan = NULL;
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 2, .head_dim = 8, .height = 5, .width = 6, .size = 3};
    assert_int_equal(load(ctx, text), CLATTN_OK);
    assert_int_equal(clattn_dwc_plan(ctx, &desc, &plan), CLATTN_OK);
    const size_t length = clattn_plan_tuning(plan, tuning, sizeof tuning);
    assert_string_equal(tuning, expected);
    assert_int_equal(length, strlen(tuning));
    clattn_plan_destroy(&plan);
}

/* Writes a row for exactly this device, architecture or vendor. */
static const char *row_for(clattn_context *ctx, const char *match, int items)
{
    static char rows[4][256];
    static int next;
    const clattn_device *const device = clattn_context_device(ctx);
    char *const row = rows[next++ % 4];
    const char *const text = strcmp(match, "device") == 0   ? device->name
                             : strcmp(match, "vendor") == 0 ? device->vendor
                                                            : device->architecture;
    snprintf(row, sizeof rows[0], "dwc %s=\"%s\" items=%d\n", match, text, items);
    return row;
}

/* Device before architecture before vendor before default, wherever they stand; the type decides between equals. */
static void search_order(void **state)
{
    (void)state;
    clattn_context *ctx = open_context(CLATTN_SHAPE_WIDE, 0, 0);
    char text[1024];
    dwc_has(ctx, "", "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    dwc_has(ctx, "dwc items=2", "dwc type=f32 channels=8 tokens=4 items=2 # loaded\n");
    dwc_has(ctx, "dwc items=2\ndwc type=f32 items=3",
            "dwc type=f32 channels=8 tokens=4 items=3 # loaded\n");
    dwc_has(ctx, "dwc type=f32 items=3\ndwc items=2\ndwc type=f16 items=4",
            "dwc type=f32 channels=8 tokens=4 items=3 # loaded\n");
    snprintf(text, sizeof text, "%sdwc type=f32 items=3\n", row_for(ctx, "vendor", 5));
    dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=5 # loaded\n");
    snprintf(text, sizeof text, "dwc items=2\n%s%s", row_for(ctx, "device", 7),
             row_for(ctx, "vendor", 5));
    dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=7 # loaded\n");
    if (clattn_context_device(ctx)->architecture[0] != '\0') {
        snprintf(text, sizeof text, "%s%s", row_for(ctx, "vendor", 5),
                 row_for(ctx, "architecture", 6));
        dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=6 # loaded\n");
        snprintf(text, sizeof text, "%s%s", row_for(ctx, "architecture", 6),
                 row_for(ctx, "device", 7));
        dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=7 # loaded\n");
    }
    clattn_context_destroy(&ctx);
}

/* A row is for what it names as a whole, and for all that it names. */
static void other_devices(void **state)
{
    (void)state;
    clattn_context *ctx = open_context(CLATTN_SHAPE_WIDE, 0, 0);
    char text[512];
    snprintf(text, sizeof text, "dwc device=\"%.5s\" items=7\n", clattn_context_device(ctx)->name);
    dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    snprintf(text, sizeof text, "dwc vendor=other device=\"%s\" items=7\n",
             clattn_context_device(ctx)->name);
    dwc_has(ctx, text, "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    dwc_has(ctx, "smooth items=7", "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    clattn_context_destroy(&ctx);
}

/* What the row sets, and no more; no item has channels of two heads. */
static void values(void **state)
{
    (void)state;
    clattn_context *ctx = open_context(CLATTN_SHAPE_TILE, 0, 0);
    dwc_has(ctx, "", "dwc type=f32 channels=4 tokens=4 items=64 # default\n");
    dwc_has(ctx, "dwc tokens=2", "dwc type=f32 channels=4 tokens=2 items=64 # loaded\n");
    dwc_has(ctx, "dwc channels=16 tokens=7 items=9",
            "dwc type=f32 channels=8 tokens=7 items=9 # loaded\n");
    clattn_context_destroy(&ctx);
}

/* The second text replaces the first, a damaged one nothing; reset forgets. */
static void loading_again(void **state)
{
    (void)state;
    clattn_context *ctx = open_context(CLATTN_SHAPE_WIDE, 0, 0);
    static const char first[] = "dwc type=f32 channels=8 tokens=4 items=5 # loaded\n";
    dwc_has(ctx, "dwc items=5\nsmooth items=3", first);
    dwc_has(ctx, "smooth items=7", "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    dwc_has(ctx, "dwc items=5", first);
    SUPPORT_REFUSED(&log_, load(ctx, "dwc items=6\ndwc"), CLATTN_E_IO, "line 2, column 1");
    SUPPORT_REFUSED(&log_, clattn_tune_load(ctx, NULL, 1), CLATTN_E_ARG, "text");
    SUPPORT_REFUSED(&log_, clattn_tune_reset(ctx, (clattn_tuning)2), CLATTN_E_ARG, "rows is 2");

    char tuning[128];
    clattn_plan *plan = NULL;
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 2, .head_dim = 8, .height = 5, .width = 6, .size = 3};
    assert_int_equal(clattn_dwc_plan(ctx, &desc, &plan), CLATTN_OK);
    assert_int_equal(clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT), CLATTN_OK);
    /* A plan keeps what it was made with. */
    assert_int_equal(clattn_plan_tuning(plan, tuning, sizeof tuning), strlen(first));
    assert_string_equal(tuning, first);
    assert_int_equal(clattn_plan_tuning(plan, tuning, 4), strlen(first));
    assert_string_equal(tuning, "dwc");
    assert_int_equal(clattn_plan_tuning(plan, NULL, 0), strlen(first));
    clattn_plan_destroy(&plan);
    dwc_has(ctx, "", "dwc type=f32 channels=8 tokens=4 items=64 # default\n");
    clattn_context_destroy(&ctx);
}

/* Rows that this device cannot run are left out and said so; the next one serves. */
static void left_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"\ndwc items=65", "the loaded tuning row of line 2 is left out on "},
        {"dwc items=65", "items is 65; this device's work-groups have at most 64 items"},
        {"dwc items=1025", "items is 1025; it must be from 1 to 1024"},
        {"dwc channels=32", "channels is 32; it must be from 1 to 16"},
        {"dwc channels=6", "channels is 6; it must be 1, 2, 4, 8 or 16"},
        {"dwc tokens=17", "tokens is 17; it must be from 1 to 16"},
        {"agent_aggregate rows=13", "rows is 13; it must be from 1 to 12"},
        {"agent_aggregate agents=65", "agents is 65; it must be from 1 to 64"},
        {"attention vectors=3", "vectors is 3; it must be from 1 to 2"},
        {"attention query_block=48", "query_block is 48; it must be a multiple of 32 from 32"},
        {"attention query_block=8192", "query_block is 8192"},
        {"attention work_group=48 chunk_d=16", "work_group is 48; it must be 16, 32, 64, 128"},
        {"attention work_group=128 chunk_d=16", "work_group is 128; this device's work-groups"},
        {"attention work_group=64 chunk_d=18", "chunk_d is 18; it must be a multiple of 4 from"},
        {"attention work_group=64 chunk_d=68", "chunk_d is 68"},
        {"attention work_group=64 block_dv=28", "block_dv is 28; it must be a multiple of 4 from "
                                                "32 to 64"},
        {"attention work_group=64 block_dv=68", "block_dv is 68"},
        {"attention work_group=64 chunk_d=64", "it needs 25344 bytes of local memory; this device "
                                               "has 20000"},
    };
    clattn_context *ctx = open_context(CLATTN_SHAPE_TILE, 64, 20000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        SUPPORT_REFUSED(&log_, load(ctx, rows[i].text), CLATTN_OK, rows[i].words);
        assert_int_equal(log_.level, CLATTN_LOG_WARN);
    }
    log_.text[0] = '\0';
    dwc_has(ctx, "dwc device=other items=1000000\ndwc items=64\ndwc type=f32 items=65",
            "dwc type=f32 channels=4 tokens=4 items=64 # loaded\n");
    assert_true(support_heard(&log_, "line 3"));
    log_.text[0] = '\0';
    assert_int_equal(load(ctx, "attention work_group=64 chunk_d=40 block_dv=64\n"), CLATTN_OK);
    assert_string_equal(log_.text, "");
    clattn_context_destroy(&ctx);
}

/* A composed plan tells of each kernel once, and what it tells can be loaded. */
static void composed(void **state)
{
    (void)state;
    char tuning[2048];
    const clattn_kernel_shape shapes[] = {CLATTN_SHAPE_WIDE, CLATTN_SHAPE_TILE};
    for (int s = 0; s < 2; s++) {
        clattn_context *ctx = open_context(shapes[s], 0, 0);
        clattn_plan *plan = NULL;
        /* The convolution is too large to be fused, and the pool has two kernels of one name. */
        const clattn_agent_attention_desc desc = {.batch = 1,
                                                  .heads = 2,
                                                  .head_dim = 16,
                                                  .height = 30,
                                                  .width = 40,
                                                  .agent_height = 3,
                                                  .agent_width = 3,
                                                  .dwc_size = 7};
        assert_int_equal(clattn_agent_attention_plan(ctx, &desc, &plan), CLATTN_OK);
        assert_true(clattn_plan_tuning(plan, tuning, sizeof tuning) < sizeof tuning);
        assert_non_null(strstr(tuning, "dwc "));
        /* In the wide shape there is nothing to tune in the pool. */
        assert_true((strstr(tuning, "agent_pool ") != NULL) == (shapes[s] == CLATTN_SHAPE_TILE));
        assert_non_null(strstr(tuning, "agent_aggregate "));
        assert_non_null(strstr(tuning, "agent_broadcast "));
        assert_true((strstr(tuning, "chunk_d") != NULL) == (shapes[s] == CLATTN_SHAPE_TILE));
        log_.text[0] = '\0';
        assert_int_equal(load(ctx, tuning), CLATTN_OK);
        assert_string_equal(log_.text, "");
        clattn_plan_destroy(&plan);
        clattn_context_destroy(&ctx);
    }
}

/* The CPU path checks the text and has no rows; handles that are none are refused. */
static void no_device(void **state)
{
    (void)state;
    clattn_context *ctx = NULL;
    clattn_plan *plan = NULL;
    const clattn_context_params params = {.log = support_listen(&log_, CLATTN_LOG_WARN)};
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 2, .head_dim = 8, .height = 5, .width = 6, .size = 3};
    assert_int_equal(clattn_context_create_cpu(&params, &ctx), CLATTN_OK);
    assert_int_equal(load(ctx, "dwc items=5"), CLATTN_OK);
    SUPPORT_REFUSED(&log_, load(ctx, "dwc items=x"), CLATTN_E_IO, "items is 'x'");
    assert_int_equal(clattn_tune_reset(ctx, CLATTN_TUNING_BUILTIN), CLATTN_OK);
    assert_int_equal(clattn_dwc_plan(ctx, &desc, &plan), CLATTN_OK);
    assert_int_equal(clattn_plan_tuning(plan, NULL, 0), 0);
    clattn_plan_destroy(&plan);
    clattn_context_destroy(&ctx);
    assert_int_equal(clattn_tune_load(NULL, "", 0), CLATTN_E_ARG);
    assert_int_equal(clattn_tune_reset(NULL, CLATTN_TUNING_BUILTIN), CLATTN_E_ARG);
    assert_int_equal(clattn_plan_tuning(NULL, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_order), cmocka_unit_test(other_devices),
        cmocka_unit_test(values),       cmocka_unit_test(loading_again),
        cmocka_unit_test(left_out),     cmocka_unit_test(composed),
        cmocka_unit_test(no_device),
    };
    if (support_device() == NULL) {
        if (support_only_cpu())
            return 77;
        return contexts_none();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
