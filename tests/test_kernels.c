/*
 * The list of kernel forms (include/clattn/kernels.h) against what plans compile: every program of every plan is on the list, at its
 * width or another; every form of the list is one that a plan compiles; and each program of it builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "cl/tune.h"
#include "clattn/kernels.h"
#include "clattn/tune.h"
#include "contexts.h"
#include "dry_cl.h"
#include "ops/plan.h"
#include "support.h"

#define MOST_FORMS 4096

static clattn_kernel_form *forms;
static size_t form_count;
static bool reached[MOST_FORMS];

/* Options with '*' in place of the sizes that any plan may have: head widths, and the side of the convolution. */
static void without_sizes(const char *options, char *text, size_t size)
{
    static const char *const sizes[] = {"-DD=", "-DDV=", "-DSIZE="};
    size_t length = 0;

    while (*options != '\0' && length + 8 < size) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            if (strncmp(options, sizes[i], strlen(sizes[i])) == 0) {
                length += (size_t)snprintf(text + length, size - length, "%s*", sizes[i]);
                options += strcspn(options, " ");
            }
        if (*options != '\0')
            text[length++] = *options++;
    }
    text[length] = '\0';
}

static bool is_for(const clattn_kernel_form *form, const char *kernel)
{
    return strcmp(form->kernels[0], kernel) == 0 ||
           (form->kernels[1] != NULL && strcmp(form->kernels[1], kernel) == 0);
}

/* One kernel of a plan. */
static void check_spec(const clattn_context *ctx, const clattn__kernel_spec *spec)
{
    char options[256], wanted[256], listed[256];
    bool covered = false;

    snprintf(options, sizeof options, CLATTN__COMMON_OPTIONS "%s%s", *spec->options ? " " : "",
             spec->options);
    without_sizes(options, wanted, sizeof wanted);
    for (size_t i = 0; i < form_count; i++) {
        const clattn_kernel_form *const form = &forms[i];
        if (strcmp(form->program, spec->file) != 0 || !is_for(form, spec->name))
            continue;
        without_sizes(form->options, listed, sizeof listed);
        if (strcmp(listed, wanted) != 0)
            continue;
        if (form->work_group != 0)
            assert_int_equal(form->work_group, spec->local[0]);
        if (form->shape != CLATTN_SHAPE_AUTO)
            assert_int_equal(form->shape, ctx->params.shape);
        covered = true;
        reached[i] = reached[i] || strcmp(form->options, options) == 0;
    }
    if (!covered)
        fail_msg("%s of %s.cl with \"%s\" is not on the list", spec->name, spec->file, options);
}

static void check_plan(clattn_plan *plan, bool last)
{
    for (int i = 0; i < CLATTN__MAX_KERNELS; i++)
        if (plan->kernels[i].file != NULL)
            check_spec(plan->ctx, &plan->kernels[i]);
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            check_plan(plan->children[i], false);
    if (last)
        clattn_plan_destroy(&plan);
}

static void plan_agents(clattn_context *ctx, clattn_type type, int64_t dim, int64_t dim_v)
{
    clattn_plan *plan = NULL;
    for (int bias = 0; bias < 2; bias++) {
        const clattn_agent_attention_desc desc = {.batch = 1,
                                                  .heads = 2,
                                                  .head_dim = dim,
                                                  .head_dim_v = dim_v,
                                                  .height = 90, /* several leaves */
                                                  .width = 100,
                                                  .agent_height = 3,
                                                  .agent_width = 3,
                                                  .has_bias = bias,
                                                  .dwc_size = bias ? 3 : 0,
                                                  .type = type};
        assert_int_equal(clattn_agent_attention_plan(ctx, &desc, &plan), CLATTN_OK);
        check_plan(plan, true);
    }
}

static void plan_others(clattn_context *ctx, clattn_type type, int64_t dim, int64_t dim_v)
{
    clattn_plan *plan = NULL;
    const clattn_attention_desc attention = {.batch = 1,
                                             .heads = 3,
                                             .head_dim = dim,
                                             .head_dim_v = dim_v,
                                             .queries = 100,
                                             .keys = 50,
                                             .type = type};
    assert_int_equal(clattn_attention_plan(ctx, &attention, &plan), CLATTN_OK);
    check_plan(plan, true);
    for (int64_t size = 1; size <= 9; size += 2) {
        const clattn_dwc_desc dwc = {.batch = 1,
                                     .heads = 2,
                                     .head_dim = dim,
                                     .height = 20,
                                     .width = 30,
                                     .size = size,
                                     .type = type};
        assert_int_equal(clattn_dwc_plan(ctx, &dwc, &plan), CLATTN_OK);
        check_plan(plan, true);
    }
}

static void plan_filter(clattn_context *ctx)
{
    clattn_plan *plan = NULL;
    const clattn_smooth_desc desc = {.height = 90, .width = 100};
    assert_int_equal(clattn_smooth_plan(ctx, &desc, &plan), CLATTN_OK);
    check_plan(plan, true);
}

/* What a context can be asked for, at every width of the list and at others. */
static void plan_everything(clattn_context *ctx)
{
    static const int64_t widths[][2] = {{1, 1},   {6, 2},   {5, 3},   {5, 5},     {8, 8},
                                        {9, 17},  {16, 16}, {24, 24}, {32, 32},   {40, 40},
                                        {64, 64}, {64, 96}, {96, 64}, {128, 128}, {256, 200}};
    for (clattn_type type = CLATTN_F32; type <= CLATTN_F16; type++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            plan_agents(ctx, type, widths[i][0], widths[i][1]);
            plan_others(ctx, type, widths[i][0], widths[i][1]);
        }
    plan_filter(ctx);
}

/* Each of the library's rows that is for these work-groups, 0 for the wide shape, as if it were for this device. */
static void plan_rows(clattn_context *ctx, int32_t work_group)
{
    clattn__tune_row *rows = NULL;
    size_t count = 0;
    char text[512];

    assert_int_equal(
        clattn__tune_read(NULL, clattn__tune_builtin, clattn__tune_builtin_bytes, &rows, &count),
        CLATTN_OK);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].values.work_group != work_group)
            continue;
        const size_t length =
            clattn__tune_write(rows[i].kernel, rows[i].type, rows[i].values, text, sizeof text);
        assert_int_equal(clattn_tune_load(ctx, text, length), CLATTN_OK);
        plan_everything(ctx);
    }
    assert_int_equal(clattn_tune_load(ctx, NULL, 0), CLATTN_OK);
    clattn__free(rows);
}

static void test_plans(void **state)
{
    static const uint32_t vector_widths[] = {1, 8, 16};
    contexts_list list;

    (void)state;
    if (!dry_cl_begin())
        skip();
    contexts_find(true, &list);
    for (int i = 0; i < list.count; i++) {
        if (list.entries[i].device == NULL)
            continue;
        /* Nothing is computed here. */
        clattn_context *ctx = contexts_open(
            &list.entries[i], &(clattn_context_params){.selftest = CLATTN_SELFTEST_OFF});
        assert_int_equal(clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT), CLATTN_OK);
        for (size_t v = 0; v < sizeof vector_widths / sizeof *vector_widths; v++) {
            ctx->device.vector_width = vector_widths[v];
            plan_everything(ctx);
        }
        plan_rows(ctx, (int32_t)list.entries[i].work_group);
        clattn_context_destroy(&ctx);
    }
    dry_cl_end();
}

/* After test_plans, where all shapes and sizes of work-groups were asked for. */
static void test_reached(void **state)
{
    int missed = 0;

    (void)state;
    for (size_t i = 0; i < form_count; i++)
        if (!reached[i]) {
            print_message("    no plan compiles %s.cl with \"%s\"\n", forms[i].program,
                          forms[i].options);
            missed++;
        }
    assert_int_equal(missed, 0);
}

static void test_list(void **state)
{
    (void)state;
    assert_in_range(form_count, 100, MOST_FORMS);
    for (size_t i = 0; i < form_count; i++) {
        const clattn_kernel_form *const form = &forms[i];
        assert_true(strncmp(form->options, "-cl-std=CL1.2 ", 14) == 0);
        assert_null(strstr(form->options, "  "));
        assert_in_range(form->text_count, 2, 16);
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(form->program, forms[k].program) == 0 &&
                         strcmp(form->options, forms[k].options) == 0);
    }
}

static void test_arguments(void **state)
{
    support_log log = SUPPORT_LOG_INIT;
    const clattn_log listen = support_listen(&log, CLATTN_LOG_ERROR);
    clattn_kernel_form *none = NULL;
    size_t count = 1;

    (void)state;
    SUPPORT_REFUSED(&log, clattn_kernel_list(&listen, NULL, &count), CLATTN_E_ARG, "forms is NULL");
    SUPPORT_REFUSED(&log, clattn_kernel_list(&listen, &none, NULL), CLATTN_E_ARG, "count is NULL");
    clattn_kernel_list_free(&none);
    clattn_kernel_list_free(NULL);
}

/* Compiled by the device as an offline compiler would: the source strings and the options, nothing else. */
static void build(const clattn_context *ctx, const clattn_kernel_form *form)
{
    const struct clattn__cl *const cl = ctx->cl;
    cl_int error = CL_SUCCESS;
    cl_program program = cl->api->clCreateProgramWithSource(
        cl->context, form->text_count, (const char **)form->texts, form->text_bytes, &error);
    assert_int_equal(error, CL_SUCCESS);
    error = cl->api->clBuildProgram(program, 1, &cl->device, form->options, NULL, NULL);
    if (error != CL_SUCCESS)
        fail_msg("%s.cl does not build with \"%s\"", form->program, form->options);
    for (int k = 0; k < 2 && form->kernels[k] != NULL; k++) {
        cl_kernel kernel = cl->api->clCreateKernel(program, form->kernels[k], &error);
        assert_int_equal(error, CL_SUCCESS);
        cl->api->clReleaseKernel(kernel);
    }
    cl->api->clReleaseProgram(program);
}

/* One form of each program; the portability ladder compiles all. */
static void test_builds(void **state)
{
    support_log log = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&log);

    (void)state;
    for (size_t i = 0; ctx->cl != NULL && i < form_count; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && strcmp(forms[i].program, forms[k].program) != 0;
        if (first)
            build(ctx, &forms[i]);
    }
    clattn_context_destroy(&ctx);
}

/* Whether the environment leaves every device, shape and work-group. */
static bool sees_all(void)
{
    return getenv("CLATTN_TEST_SHAPE") == NULL && getenv("CLATTN_TEST_WG") == NULL &&
           support_device() != NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),    cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_builds),  cmocka_unit_test(test_plans),
        cmocka_unit_test(test_reached), /* the last: left out where plans of some kinds are */
    };
    if (clattn_kernel_list(NULL, &forms, &form_count) != CLATTN_OK)
        return 1;
    if (support_device() == NULL)
        return contexts_none();
    const size_t count = sizeof tests / sizeof *tests - !sees_all();
    const int result = _cmocka_run_group_tests("kernels", tests, count, NULL, NULL);
    clattn_kernel_list_free(&forms);
    return result;
}
