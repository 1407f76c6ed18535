/* The leaves that cells of the agent pool touch: what its partial sums need room for. CLATTN_TEST_SEED draws other cases. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "fill.h"
#include "ops/shape.h"
#include "tile/plan.h"

/* Leaves that the cell of most of them touches, cell by cell. */
static int64_t naive_slots(int64_t height, int64_t width, int64_t class_tokens, int64_t rows,
                           int64_t columns, int64_t leaf)
{
    int64_t most = 0;

    for (int64_t i = 0; i < rows * columns; i++) {
        const int64_t y = i / columns, x = i % columns;
        const int64_t y0 = y * height / rows, y1 = ((y + 1) * height + rows - 1) / rows - 1;
        const int64_t x0 = x * width / columns, x1 = ((x + 1) * width + columns - 1) / columns - 1;
        const int64_t leaves =
            (class_tokens + y1 * width + x1) / leaf - (class_tokens + y0 * width + x0) / leaf + 1;
        most = leaves > most ? leaves : most;
    }
    return most;
}

/* Slots are exact while cells are few, one too many at most where they are many, and never take long. */
static void test_slots(void **state)
{
    (void)state;
    fill_random random = {fill_seed()};

    for (int i = 0; i < 200; i++) {
        const int64_t height = fill_range(&random, 1, 900), width = fill_range(&random, 1, 900);
        const int64_t rows = fill_range(&random, 1, 400), columns = fill_range(&random, 1, 400);
        const int64_t class_tokens = fill_range(&random, 0, 40);
        const int64_t leaf = INT64_C(1) << fill_range(&random, 0, 10);
        const int64_t slots = clattn__pool_slots(height, width, class_tokens, rows, columns, leaf);
        const int64_t exact = naive_slots(height, width, class_tokens, rows, columns, leaf);
        assert_in_range(slots, exact, exact + (rows * columns > 65536));
    }
}

/* A billion agents are cut at once, or refused. */
static void test_many_agents(void **state)
{
    (void)state;
    const clattn__tile_problem problem = {.problems = 1,
                                          .height = 50000,
                                          .width = 50000,
                                          .kv_height = 50000,
                                          .kv_width = 50000,
                                          .heads = 1,
                                          .dim = 1,
                                          .dim_v = 1,
                                          .agent_height = 30000,
                                          .agent_width = 30000,
                                          .pooled = true,
                                          .aggregates = 1};
    const clattn__tile_limits limits = {.device_bytes = UINT64_C(1) << 60,
                                        .host_bytes = UINT64_C(1) << 60,
                                        .allocation_bytes = UINT64_C(1) << 60,
                                        .devices = 1,
                                        .in_flight = 8};
    clattn__tile_cut cut;
    uint64_t smallest = 0;
    const clock_t start = clock();

    clattn__tile_cut_make(&problem, &limits, &cut, &smallest);
    assert_true(clock() - start < CLOCKS_PER_SEC / 2); /* it took many seconds once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_many_agents),
    };
    print_message("CLATTN_TEST_SEED=%" PRIu64 "\n", fill_seed());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
