/*
 * The arithmetic of clattn bench: percentiles, costs, comparisons, filters, half precision, and a baseline that is damaged in every
 * way. No times are measured here.
 */
#define _POSIX_C_SOURCE 200809L /* mkstemp, fdopen */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/data.h"
#include "bench/device.h"
#include "bench/pace.h"
#include "bench/roofs.h"

static const command cmd = {.name = "bench"};

static void test_spread(void **state)
{
    double values[] = {5.0, 1.0, 4.0, 2.0, 3.0, 11.0, 7.0, 6.0, 10.0, 8.0, 9.0};
    double one[] = {2.5};
    (void)state;
    const bench_spread eleven = bench_spread_of(values, 11);
    assert_true(eleven.median == 6.0 && eleven.p10 == 2.0 && eleven.p90 == 10.0);
    assert_int_equal(eleven.count, 11);
    const bench_spread single = bench_spread_of(one, 1);
    assert_true(single.median == 2.5 && single.p10 == 2.5 && single.p90 == 2.5);
    assert_int_equal(bench_spread_of(values, 0).count, 0);
}

/* What a driver says of times, in turn: begin, end, begin, end. */
static cl_ulong told[2];
static cl_int told_code;
static int asked;

static cl_int CL_API_CALL tell_time(cl_event event, cl_profiling_info what, size_t size,
                                    void *value, size_t *written)
{
    (void)event;
    (void)what;
    (void)size;
    (void)written;
    memcpy(value, &told[asked++ % 2], sizeof told[0]);
    return told_code;
}

static double seconds_from(cl_ulong begin, cl_ulong end, cl_int code)
{
    const bench_cl cl = {.api = {.clGetEventProfilingInfo = tell_time}};
    told[0] = begin;
    told[1] = end;
    told_code = code;
    asked = 0;
    return bench_cl_seconds(&cl, NULL, CL_PROFILING_COMMAND_START, NULL, CL_PROFILING_COMMAND_END);
}

/* Times that cannot be are below or equal to 0, which nobody divides by. */
static void test_lying_clock(void **state)
{
    (void)state;
    assert_true(fabs(seconds_from(1000, 2500, CL_SUCCESS) - 1.5e-6) < 1e-18);
    assert_true(fabs(seconds_from(7, 8, CL_SUCCESS) - 1e-9) < 1e-18);
    assert_true(seconds_from(5, 5, CL_SUCCESS) <= 0.0);
    assert_true(seconds_from(9, 3, CL_SUCCESS) < 0.0);
    assert_true(seconds_from(0, ~(cl_ulong)0, CL_SUCCESS) > 1e9);
    assert_true(seconds_from(1, 2, CL_PROFILING_INFO_NOT_AVAILABLE) < 0.0);
}

static void test_compare(void **state)
{
    const bench_spread old = {10.0, 9.0, 11.0, 5};
    const bench_spread overlapping = {12.0, 11.0, 13.0, 5};
    const bench_spread slower = {15.0, 11.5, 16.0, 5};
    const bench_spread faster = {5.0, 4.0, 8.9, 5};
    double ratio;
    (void)state;
    assert_int_equal(bench_compare(&old, &overlapping, &ratio), BENCH_SAME);
    assert_true(ratio == 1.2);
    assert_int_equal(bench_compare(&old, &slower, &ratio), BENCH_SLOWER);
    assert_true(ratio == 1.5);
    assert_int_equal(bench_compare(&old, &faster, &ratio), BENCH_FASTER);
    assert_true(ratio == 0.5);
}

/* A device whose rate rises up to 8 chains and is best with 12, at width 4; width 2 is half as good. */
static double made_up_rate(void *user, int width, int chains)
{
    ++*(int *)user;
    if (chains == 12)
        return 11.0 * width;
    return (chains <= 8 ? chains : 8) * width;
}

static void test_search(void **state)
{
    static const int widths[] = {2, 4};
    int calls = 0;
    bench_roof roof = {.value = 0.0};
    bench_roof again = {.value = 0.0};
    bench_search search = {made_up_rate, &calls, widths, 2, "x", NULL};
    (void)state;
    bench_roofs_search(&search, &roof);
    assert_true(roof.value == 44.0);
    assert_string_equal(roof.form, "x4 x 12 chains");
    assert_int_equal(calls, 2 * 5); /* 2, 4, 8, 16 and then 12 */
    search.earlier = &roof;
    calls = 0;
    bench_roofs_search(&search, &again);
    assert_true(again.value == 44.0);
    assert_int_equal(calls, 1);
}

static const bench_shape *shape_of(const char *name)
{
    size_t count;
    const bench_shape *const shapes = bench_shape_list(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    fail_msg("there is no shape %s", name);
    return NULL;
}

/* By hand for 128 x 128 tokens, 4 heads x 64, 49 agents. */
static void test_cost(void **state)
{
    const double tokens = 128.0 * 128.0, channels = 256.0, agents = 49.0;
    const bench_shape *const shape = shape_of("stages-n49");
    const bench_cost whole = bench_cost_of(BENCH_AGENT_ATTENTION, shape, CLATTN_F32);
    const bench_cost stage = bench_cost_of(BENCH_AGENT_AGGREGATE, shape, CLATTN_F32);
    const bench_cost half = bench_cost_of(BENCH_AGENT_AGGREGATE, shape, CLATTN_F16);
    (void)state;
    assert_true(whole.flops == 8.0 * agents * tokens * channels);
    assert_true(whole.exps == 2.0 * agents * tokens * 4.0);
    assert_true(whole.bytes == 4.0 * channels * (4.0 * tokens + agents));
    assert_true(stage.flops == whole.flops / 2.0 && stage.exps == whole.exps / 2.0);
    assert_true(stage.bytes == 4.0 * channels * (2.0 * tokens + 2.0 * agents));
    assert_true(half.bytes == stage.bytes / 2.0 && half.flops == stage.flops);
    const bench_cost smooth = bench_cost_of(BENCH_SMOOTH, shape_of("smooth-256"), CLATTN_F32);
    assert_true(smooth.exps == 65536.0 * 576.0 * 5.0);
    assert_true(smooth.flops == 65536.0 * 576.0 * 2.0 * (3.0 * 10.0 + 2.0 * 8.0));
}

static void test_choose(void **state)
{
    size_t count;
    (void)state;
    bench_row *rows = bench_rows_choose(&cmd, "agent_attention,dwc", "pvt-s3-b1,sd", false, &count);
    assert_non_null(rows);
    assert_int_equal(count, 2 + 3); /* both operators; no convolution in Stable Diffusion */
    assert_int_equal(rows[1].op, BENCH_DWC);
    assert_string_equal(rows[4].shape->name, "sd-128");
    free(rows);
    rows = bench_rows_choose(&cmd, NULL, NULL, true, &count);
    assert_non_null(rows);
    assert_in_range(count, 5, 20);
    free(rows);
    assert_null(bench_rows_choose(&cmd, "agent_atention", NULL, false, &count));
    assert_null(bench_rows_choose(&cmd, NULL, "pvt,", false, &count));
    assert_null(bench_rows_choose(&cmd, "smooth", "pvt", false, &count));
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000u; h++) {
        const float value = bench_half_value((uint16_t)h);
        if (isnan(value))
            assert_true((h & 0x7c00u) == 0x7c00u && (bench_half_of(value) & 0x7fffu) > 0x7c00u);
        else
            assert_int_equal(bench_half_of(value), h);
    }
    assert_true(bench_half_value(0x3c00) == 1.0f && bench_half_value(0x0001) == 0x1p-24f);
    assert_int_equal(bench_half_of(1.0f + 0x1p-11f), 0x3c00);            /* ties to even */
    assert_int_equal(bench_half_of(1.0f + 0x3p-11f), 0x3c02);            /* the other way */
    assert_int_equal(bench_half_of(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01); /* above the tie */
    assert_int_equal(bench_half_of(65519.0f), 0x7bff);
    assert_int_equal(bench_half_of(65520.0f), 0x7c00);
    assert_int_equal(bench_half_of(0x1p-25f), 0x0000);
    assert_int_equal(bench_half_of(-0x1.8p-25f), 0x8001);
}

/* The oracle in double against the CPU path, for every operator: each finds the other's faults. */
static void test_oracle(void **state)
{
    static const char *const names[] = {"deit-t-b1", "pvt-s4-b1", "sd-64", "smooth-128"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int op = 0; op < BENCH_OPS; op++) {
            const bench_shape *const shape = shape_of(names[i]);
            if ((shape->ops & BENCH_BIT(op)) == 0)
                continue;
            bench_row row = {.op = (bench_op)op, .shape = shape};
            const bench_roofs roofs = {.events = false};
            const bench_pace pace = {.roofs = &roofs};
            const bench_settings settings = {.seconds = 1e-6, .warm = true, .tuning = "builtin"};
            bench_device device = {.cmd = &cmd};
            command_device_init(&device.chosen);
            device.chosen.text = "cpu";
            assert_int_equal(bench_device_open(&device), CLATTN_OK);
            bench_row_measure(&device, &pace, &settings, &row);
            bench_device_close(&device);
            if (row.outcome != BENCH_MEASURED)
                fail_msg("%s/%s: %s", bench_op_name(row.op), names[i], row.note);
            assert_string_equal(row.checked_with, "double");
            assert_true(row.checked > 0 && row.error <= row.tolerance);
        }
}

/* Baselines. --------------------------------------------------------------- */

static const char good[] =
    "{\"clattn_bench\": 1, \"clattn\": \"0.1.0\", \"date\": \"2026-01-01T00:00:00Z\","
    " \"device\": {\"name\": \"a\", \"driver\": \"b\"}, \"rows\": ["
    "{\"operator\": \"dwc\", \"shape\": \"s\", \"outcome\": \"measured\", \"bits\": \"00\","
    " \"share_at_pace\": 0.5, \"pace_roof\": \"copy\","
    " \"device_seconds\": {\"median\": 2.0, \"p10\": 1.0, \"p90\": 3.0, \"runs\": 7},"
    " \"wall_seconds\": {\"median\": 20.0, \"p10\": 10.0, \"p90\": 30.0, \"runs\": 7}},"
    "{\"operator\": \"attention\", \"shape\": \"s\", \"outcome\": \"skipped\"},"
    "{\"operator\": \"smooth\", \"shape\": \"s\", \"outcome\": \"measured\", \"bits\": \"01\","
    " \"device_seconds\": null,"
    " \"wall_seconds\": {\"median\": 5.0, \"p10\": 5.0, \"p90\": 5.0, \"runs\": 1}}]}\n";

static bool read_text(const char *text, size_t size, bench_baseline *baseline)
{
    char path[] = "/tmp/clattn-bench-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    FILE *const stream = fdopen(file, "w");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, size, stream), size);
    fclose(stream);
    const bool read = bench_baseline_read(&cmd, path, baseline);
    remove(path);
    return read;
}

static void test_baseline(void **state)
{
    bench_baseline baseline;
    (void)state;
    assert_true(read_text(good, sizeof good - 1, &baseline));
    assert_string_equal(baseline.device, "a");
    assert_int_equal(baseline.count, 2);
    assert_string_equal(baseline.rows[0].name, "dwc/s");
    assert_true(baseline.rows[0].time.median == 2.0);
    assert_true(baseline.rows[0].share_at_pace == 0.5);
    assert_string_equal(baseline.rows[0].pace_roof, "copy");
    assert_true(baseline.rows[1].time.median == 5.0); /* without a device's time, wall */
    assert_true(baseline.rows[1].share_at_pace == 0.0);
    bench_baseline_free(&baseline);
}

static void test_baseline_cut(void **state)
{
    bench_baseline baseline;
    (void)state;
    /* Cut anywhere; the last two bytes are the brace and the end of the line. */
    for (size_t size = 0; size < sizeof good - 2; size += 7)
        assert_false(read_text(good, size, &baseline));
    assert_false(bench_baseline_read(&cmd, "/nonexistent/file", &baseline));
}

static void test_baseline_damaged(void **state)
{
    static const char *const changes[][2] = {
        {"clattn_bench\": 1", "clattn_bench\": 2"},
        {"clattn_bench\": 1", "clattn_bench\": \"\""},
        {"\"operator\": \"dwc\"", "\"operator\": 1"},
        {"\"shape\"", "\"shade\""},
        {"\"outcome\"", "\"income\""},
        {"\"median\": 2.0", "\"median\": -2.0"},
        {"\"median\": 2.0", "\"median\": 9.0"},
        {"\"p90\": 3.0", "\"p90\": \"\""},
        {"\"runs\": 7", "\"runs\": 0"},
        {"\"bits\": \"00\"", "\"bits\": null"},
        {"\"rows\": [", "\"cows\": ["},
        {"\"date\"", "\"data\""},
        {"\"driver\": \"b\"", "\"driver\": 0"},
        {"\"wall_seconds\": {\"median\": 5.0", "\"wall_seconds\": {\"median\": null"},
    };
    bench_baseline baseline;
    char text[sizeof good + 64];
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *const at = strstr(good, changes[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, changes[i][1],
                 at + strlen(changes[i][0]));
        if (read_text(text, strlen(text), &baseline))
            fail_msg("accepted with %s", changes[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_lying_clock),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_baseline_cut),
        cmocka_unit_test(test_baseline_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
