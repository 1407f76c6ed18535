/* Roofs, the bound that follows from them, and the turns that rows take with them. No times are measured here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "bench/pace.h"
#include "bench/roofs.h"

static bench_roofs simple_roofs(void)
{
    bench_roofs roofs = {.events = false};
    roofs.roof[BENCH_ROOF_COPY].value = 10.0;
    roofs.roof[BENCH_ROOF_FMA].value = 100.0;
    roofs.roof[BENCH_ROOF_EXP2].value = 5.0;
    roofs.roof[BENCH_ROOF_LAUNCH].value = 2.0;
    return roofs;
}

static void test_bound(void **state)
{
    const bench_roofs roofs = simple_roofs();
    const bench_cost moving = {.bytes = 1000.0, .flops = 100.0, .exps = 5.0};
    const bench_cost computing = {.bytes = 10.0, .flops = 300.0, .exps = 20.0};
    (void)state;
    assert_true(bench_bound(&moving, &roofs, false) == 100.0);
    assert_true(bench_bound(&moving, &roofs, true) == 2.0);
    assert_true(bench_bound(&computing, &roofs, false) == 7.0);
    assert_null(bench_above_roof(&computing, &roofs, false, 7.0));
    assert_string_equal(bench_above_roof(&computing, &roofs, false, 6.9), "bound");
    assert_string_equal(bench_above_roof(&computing, &roofs, false, 3.9), "exp2");
    assert_string_equal(bench_above_roof(&computing, &roofs, false, 2.9), "fma_f32");
    assert_string_equal(bench_above_roof(&moving, &roofs, false, 99.0), "copy");
    assert_null(bench_above_roof(&moving, &roofs, true, 99.0));
    assert_int_equal(bench_bound_roof(&moving, &roofs, false), BENCH_ROOF_COPY);
    assert_int_equal(bench_bound_roof(&moving, &roofs, true), BENCH_ROOF_FMA);
    assert_int_equal(bench_bound_roof(&computing, &roofs, false), BENCH_ROOF_FMA);
}

/* Bursts of a device that falls to half its speed, and to nothing in the end. */
typedef struct made_up_bursts {
    const double *rates;
    int count, asked;
    bench_roof_name roof;
} made_up_bursts;

static double made_up_burst(void *state, bench_roof_name roof)
{
    made_up_bursts *const bursts = state;
    assert_int_equal(roof, bursts->roof);
    assert_true(bursts->asked < bursts->count);
    return bursts->rates[bursts->asked++];
}

static void test_turns(void **state)
{
    static const double rates[] = {10.0, 5.0, 5.0, 10.0, 0.0};
    const bench_roofs roofs = simple_roofs();
    made_up_bursts bursts = {rates, 5, 0, BENCH_ROOF_COPY};
    const bench_pace pace = {.roofs = &roofs, .bursts = {&bursts, made_up_burst, NULL}};
    double paces[7];
    (void)state;
    /* Runs that are long enough: a burst after each. */
    bench_turns turns = bench_turns_begin(&pace, BENCH_ROOF_COPY, paces);
    turns.least = turns.part = 0.0;
    assert_int_equal(bursts.asked, 1);
    turns.took = 0.0;
    assert_true(bench_turns_after(&turns, 1, false) >= 0.0);
    turns.took = 0.0;
    (void)bench_turns_after(&turns, 2, false);
    assert_true(paces[0] == 0.75 && paces[1] == 0.5);
    /* Short ones: none until it is time, or the end. */
    turns.least = 1e6;
    assert_true(bench_turns_after(&turns, 3, false) == 0.0);
    assert_true(bench_turns_after(&turns, 4, false) == 0.0);
    turns.least = 0.0;
    turns.took = 1e6; /* bursts that take long come seldom */
    assert_true(bench_turns_after(&turns, 5, false) == 0.0);
    assert_int_equal(bursts.asked, 3);
    (void)bench_turns_after(&turns, 6, true);
    assert_int_equal(bursts.asked, 4);
    for (int i = 2; i < 6; i++)
        assert_true(paces[i] == 0.75);
    /* A burst that fails says nothing. */
    (void)bench_turns_after(&turns, 7, true);
    assert_true(paces[6] == 0.0);
    const bench_pace none = {.roofs = &roofs};
    assert_true(bench_pace_burst(&none, BENCH_ROOF_COPY) == 0.0);
}

/* The roof rose by a fifth from the start to the end: paces were told by the start's. */
static void test_share(void **state)
{
    const bench_settings settings = {.warm = false};
    const bench_roofs start = simple_roofs();
    bench_roofs best = start;
    bench_row row = {.outcome = BENCH_MEASURED,
                     .cost = {.bytes = 1200.0, .flops = 100.0},
                     .wall = {200.0, 200.0, 200.0, 5},
                     .pace_roof = BENCH_ROOF_COPY,
                     .pace = 0.75,
                     .paced_seconds = 150.0};
    bench_row unknown = row;
    (void)state;
    best.roof[BENCH_ROOF_COPY].value = 12.0;
    bench_row_share(&start, &best, &settings, &row);
    assert_true(fabs(row.share - 0.5) < 1e-12);
    assert_true(fabs(row.pace - 0.625) < 1e-12);
    assert_true(fabs(row.share_at_pace - 0.8) < 1e-12);
    unknown.pace = unknown.paced_seconds = 0.0;
    bench_row_share(&start, &best, &settings, &unknown);
    assert_true(unknown.pace == 0.0 && unknown.share_at_pace == 0.0);
}

static void test_roofs(void **state)
{
    const bench_roofs start = simple_roofs();
    bench_roofs end = start;
    (void)state;
    end.roof[BENCH_ROOF_COPY].value = 12.0;
    end.roof[BENCH_ROOF_FMA].value = 90.0;
    end.roof[BENCH_ROOF_LAUNCH].value = 1.0;
    const bench_roofs better = bench_roofs_better(&start, &end);
    assert_true(better.roof[BENCH_ROOF_COPY].value == 12.0);
    assert_true(better.roof[BENCH_ROOF_FMA].value == 100.0);
    assert_true(better.roof[BENCH_ROOF_LAUNCH].value == 1.0);
    assert_true(better.roof[BENCH_ROOF_FMA16].value == 0.0);
    assert_true(fabs(bench_drift(100.0, 90.0) + 0.1) < 1e-12);
    assert_true(bench_drift(0.0, 90.0) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_roofs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
