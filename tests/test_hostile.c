/*
 * Bad plans. Every refusal gives its status, says which argument, which value and which limit, and hands out nothing.
 * Runs on every device and on the CPU path.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "clattn/filter.h"
#include "hostile.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One spoilt field of a descriptor. */
typedef struct spoilt {
    const char *what;
    size_t offset, size;
    union {
        int64_t i64;
        int32_t i32;
        float f32;
    } value;
    clattn_status status;
    const char *parts[3];
} spoilt;

#define AGENT(field)                                                                               \
    .what = #field, .offset = offsetof(clattn_agent_attention_desc, field),                        \
    .size = sizeof(((clattn_agent_attention_desc *)0)->field)

static const case_agent plain = {
    .desc = {.batch = 2,
             .heads = 2,
             .head_dim = 8,
             .height = 6,
             .width = 8,
             .agent_height = 2,
             .agent_width = 2,
             .has_bias = 1,
             .has_key_bias = 1,
             .has_agent_vector = 1,
             .dwc_size = 3,
             .has_dwc_bias = 1,
             .v_shortcut = 0.5f},
    .trained_agents_h = 2,
    .trained_agents_w = 2,
    .trained_h = 7,
    .trained_w = 7,
};

#define HUGE_SIDE (INT64_C(1) << 40)

/* clang-format off */
static const spoilt agent_fields[] = {
    {AGENT(batch), .value.i64 = 0, .status = CLATTN_E_SHAPE, .parts = {"batch", "0", "1"}},
    {AGENT(batch), .value.i64 = -3, .status = CLATTN_E_SHAPE, .parts = {"batch", "-3", "1"}},
    {AGENT(batch), .value.i64 = INT64_MAX, .status = CLATTN_E_SHAPE, .parts = {"batch", "9223372036854775807"}},
    {AGENT(heads), .value.i64 = 0, .status = CLATTN_E_SHAPE, .parts = {"heads", "0", "1"}},
    {AGENT(heads), .value.i64 = HUGE_SIDE, .status = CLATTN_E_SHAPE, .parts = {"heads", "1099511627776"}},
    {AGENT(head_dim), .value.i64 = 0, .status = CLATTN_E_SHAPE, .parts = {"head_dim", "0", "1024"}},
    {AGENT(head_dim), .value.i64 = 1025, .status = CLATTN_E_SHAPE, .parts = {"head_dim", "1025", "1024"}},
    {AGENT(head_dim_v), .value.i64 = -1, .status = CLATTN_E_SHAPE, .parts = {"head_dim_v", "-1", "1024"}},
    {AGENT(height), .value.i64 = 0, .status = CLATTN_E_SHAPE, .parts = {"map", "0 x 8", "1"}},
    {AGENT(width), .value.i64 = -8, .status = CLATTN_E_SHAPE, .parts = {"map", "6 x -8", "1"}},
    {AGENT(height), .value.i64 = HUGE_SIDE, .status = CLATTN_E_SHAPE, .parts = {"map", "1099511627776"}},
    {AGENT(height), .value.i64 = INT32_MAX, .status = CLATTN_E_SHAPE, .parts = {"map", "2147483647", "tokens"}},
    {AGENT(kv_height), .value.i64 = -1, .status = CLATTN_E_SHAPE, .parts = {"map", "-1 x 8"}},
    {AGENT(class_tokens), .value.i64 = -1, .status = CLATTN_E_SHAPE, .parts = {"class_tokens", "-1", "0"}},
    {AGENT(class_tokens), .value.i64 = INT32_MAX, .status = CLATTN_E_SHAPE, .parts = {"2147483647", "class tokens"}},
    {AGENT(window_height), .value.i64 = 3, .status = CLATTN_E_ARG, .parts = {"window", "3 x 0", "both"}},
    {AGENT(window_height), .value.i64 = -3, .status = CLATTN_E_ARG, .parts = {"window", "-3 x 0"}},
    {AGENT(shift_y), .value.i64 = 1, .status = CLATTN_E_ARG, .parts = {"shift", "1", "window"}},
    {AGENT(agent_height), .value.i64 = 0, .status = CLATTN_E_SHAPE, .parts = {"agent", "0 x 2", "1"}},
    {AGENT(agent_width), .value.i64 = -1, .status = CLATTN_E_SHAPE, .parts = {"agent", "2 x -1", "1"}},
    {AGENT(agent_width), .value.i64 = INT32_MAX, .status = CLATTN_E_SHAPE, .parts = {"agent", "2147483647"}},
    {AGENT(dwc_size), .value.i64 = 4, .status = CLATTN_E_SHAPE, .parts = {"dwc_size", "4", "odd"}},
    {AGENT(dwc_size), .value.i64 = -3, .status = CLATTN_E_SHAPE, .parts = {"dwc_size", "-3", "63"}},
    {AGENT(dwc_size), .value.i64 = 65, .status = CLATTN_E_SHAPE, .parts = {"dwc_size", "65", "63"}},
    {AGENT(dwc_size), .value.i64 = 0, .status = CLATTN_E_ARG, .parts = {"has_dwc_bias", "dwc_size", "0"}},
    {AGENT(type), .value.i32 = 2, .status = CLATTN_E_TYPE, .parts = {"type", "2", "F16"}},
    {AGENT(type), .value.i32 = 7, .status = CLATTN_E_TYPE, .parts = {"type", "7", "F32"}},
    {AGENT(scale_aggregate), .value.f32 = NAN, .status = CLATTN_E_ARG, .parts = {"scale_aggregate", "nan", "finite"}},
    {AGENT(scale_broadcast), .value.f32 = INFINITY, .status = CLATTN_E_ARG, .parts = {"scale_broadcast", "inf", "finite"}},
    {AGENT(v_shortcut), .value.f32 = -INFINITY, .status = CLATTN_E_ARG, .parts = {"v_shortcut", "-inf", "finite"}},
    {AGENT(reserved[7]), .value.i32 = 1, .status = CLATTN_E_ARG, .parts = {"reserved[7]", "1", "0"}},
};
/* clang-format on */

static void test_agent_fields(void **state)
{
    hostile *s = *state;

    for (size_t i = 0; i < COUNT(agent_fields); i++)
        for (case_step step = STEP_POOL; step < CASE_STEPS; step++) {
            const spoilt *x = &agent_fields[i];
            clattn_agent_attention_desc desc = plain.desc;
            clattn_plan *plan = (clattn_plan *)&desc; /* must become NULL */
            memcpy((char *)&desc + x->offset, &x->value, x->size);
            check_refused(s, x->what, x->status, agent_step_plan(step)(s->ctx, &desc, &plan),
                          x->parts);
            assert_null(plan);
        }
}

/* Forms that exclude each other. */
static void test_agent_forms(void **state)
{
    hostile *s = *state;
    static const struct {
        const char *what;
        clattn_agent_attention_desc desc;
        clattn_status status;
        const char *parts[3];
    } forms[] = {
        {"windows with class tokens",
         {.window_height = 3, .window_width = 4, .class_tokens = 2},
         CLATTN_E_UNSUPPORTED,
         {"2 class tokens", "windows", "3 x 4"}},
        {"windows with a key map",
         {.window_height = 3, .window_width = 4, .kv_height = 3, .kv_width = 4},
         CLATTN_E_UNSUPPORTED,
         {"3 x 4", "windows"}},
        {"windows that do not fit",
         {.window_height = 4, .window_width = 4},
         CLATTN_E_UNSUPPORTED,
         {"6 x 8", "4 x 4", "whole windows"}},
        {"a window beyond the map",
         {.window_height = 12, .window_width = 8},
         CLATTN_E_UNSUPPORTED,
         {"6 x 8", "12 x 8"}},
        {"a shift of a whole map",
         {.window_height = 3, .window_width = 4, .shift_x = 8},
         CLATTN_E_SHAPE,
         {"shift", "0, 8", "6 x 8"}},
        {"a negative shift",
         {.window_height = 3, .window_width = 4, .shift_y = -1},
         CLATTN_E_SHAPE,
         {"shift", "-1, 0"}},
        {"windows of negative size",
         {.window_height = -3, .window_width = -4},
         CLATTN_E_SHAPE,
         {"window", "-3 x -4"}},
    };

    for (size_t i = 0; i < COUNT(forms); i++) {
        clattn_agent_attention_desc desc = forms[i].desc;
        clattn_plan *plan = NULL;
        desc.batch = desc.heads = 1;
        desc.head_dim = 8;
        desc.height = 6;
        desc.width = 8;
        desc.agent_height = desc.agent_width = 2;
        check_refused(s, forms[i].what, forms[i].status,
                      clattn_agent_attention_plan(s->ctx, &desc, &plan), forms[i].parts);
        assert_null(plan);
    }
}

static void test_other_plans(void **state)
{
    hostile *s = *state;
    const clattn_attention_desc attention = {
        .batch = 1, .heads = 1, .head_dim = 4, .queries = 3, .keys = 5};
    const clattn_dwc_desc dwc = {
        .batch = 1, .heads = 1, .head_dim = 4, .height = 4, .width = 4, .size = 3};
    const clattn_smooth_desc smooth = {.height = 4, .width = 4};
    clattn_attention_desc a = attention;
    clattn_dwc_desc d = dwc;
    clattn_smooth_desc f = smooth;
    clattn_plan *plan = NULL;

#define REFUSED(call, status, ...)                                                                 \
    check_refused(s, #call, status, call, (const char *const[3]){__VA_ARGS__});                    \
    assert_null(plan)

    a.keys = 0;
    REFUSED(clattn_attention_plan(s->ctx, &a, &plan), CLATTN_E_SHAPE, "keys", "0", "1");
    a = attention;
    a.queries = INT64_C(1) << 31;
    REFUSED(clattn_attention_plan(s->ctx, &a, &plan), CLATTN_E_SHAPE, "queries", "2147483648");
    a = attention;
    a.head_dim_v = 4096;
    REFUSED(clattn_attention_plan(s->ctx, &a, &plan), CLATTN_E_SHAPE, "head_dim_v", "4096", "1024");
    a = attention;
    a.reserved[0] = 9;
    REFUSED(clattn_attention_plan(s->ctx, &a, &plan), CLATTN_E_ARG, "reserved[0]", "9");
    d.size = 2;
    REFUSED(clattn_dwc_plan(s->ctx, &d, &plan), CLATTN_E_SHAPE, "size", "2", "odd");
    d.size = 0;
    REFUSED(clattn_dwc_plan(s->ctx, &d, &plan), CLATTN_E_SHAPE, "size", "0", "63");
    d = dwc;
    d.in_height = 2;
    d.in_width = 2;
    d.window_height = d.window_width = 2;
    REFUSED(clattn_dwc_plan(s->ctx, &d, &plan), CLATTN_E_UNSUPPORTED, "2 x 2", "windows");
    d = dwc;
    d.type = (clattn_type)2;
    REFUSED(clattn_dwc_plan(s->ctx, &d, &plan), CLATTN_E_TYPE, "type", "2");
    f.width = 0;
    REFUSED(clattn_smooth_plan(s->ctx, &f, &plan), CLATTN_E_SHAPE, "4 x 0", "1");
    f = smooth;
    f.sigma_color = -1.0f;
    REFUSED(clattn_smooth_plan(s->ctx, &f, &plan), CLATTN_E_ARG, "sigma_color", "-1");
    f = smooth;
    f.detail = 1.5f;
    REFUSED(clattn_smooth_plan(s->ctx, &f, &plan), CLATTN_E_ARG, "detail", "1.5", "1");
    f = smooth;
    f.rounds_plus_one = -1;
    REFUSED(clattn_smooth_plan(s->ctx, &f, &plan), CLATTN_E_ARG, "rounds_plus_one", "-1");
    f = smooth;
    f.agent_width = 3;
    REFUSED(clattn_smooth_plan(s->ctx, &f, &plan), CLATTN_E_ARG, "agents", "0 x 3");
#undef REFUSED
}

static void test_plan_handles(void **state)
{
    hostile *s = *state;
    static const char stranger[4096]; /* memory that never was a handle */
    clattn_plan *plan = (clattn_plan *)(uintptr_t)stranger;
    clattn_workspace *ws = (clattn_workspace *)(uintptr_t)stranger;
    clattn_plan_info info = {.launches = 77};
    const char *const nothing[3] = {NULL};
    const char *const desc[3] = {"desc", "agent_attention", "NULL"};

    check_refused(s, "no context", CLATTN_E_ARG,
                  clattn_agent_attention_plan(NULL, &plain.desc, &plan), nothing);
    assert_null(plan);
    check_refused(
        s, "foreign context", CLATTN_E_ARG,
        clattn_agent_attention_plan((clattn_context *)(uintptr_t)stranger, &plain.desc, &plan),
        nothing);
    check_refused(s, "no descriptor", CLATTN_E_ARG,
                  clattn_agent_attention_plan(s->ctx, NULL, &plan), desc);
    check_refused(s, "nowhere to put the plan", CLATTN_E_ARG,
                  clattn_agent_attention_plan(s->ctx, &plain.desc, NULL), nothing);
    check_refused(s, "workspace of nothing", CLATTN_E_ARG, clattn_workspace_create(NULL, &ws),
                  nothing);
    assert_null(ws);
    check_refused(s, "workspace of a stranger", CLATTN_E_ARG,
                  clattn_workspace_create((clattn_plan *)(uintptr_t)stranger, &ws), nothing);
    check_refused(
        s, "run of a stranger", CLATTN_E_ARG,
        clattn_agent_attention_run((const clattn_plan *)(const void *)stranger, NULL, NULL, NULL),
        nothing);
    clattn_plan_get_info(NULL, &info);
    clattn_plan_destroy(NULL);
    clattn_plan_destroy(&plan);
    clattn_workspace_destroy(NULL);
    clattn_workspace_destroy(&ws);
    clattn_agent_bias_destroy(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_agent_fields),
    cmocka_unit_test(test_agent_forms),
    cmocka_unit_test(test_other_plans),
    cmocka_unit_test(test_plan_handles),
};

HOSTILE_MAIN(tests)
