/*
 * The cut of a tiled run: random problems and budgets, the edge of the smallest budget, maps beyond 2^31 tokens, and the choices
 * that the cut promises. CLATTN_TEST_SEED draws other cases.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tile_check.h"

#define RANDOM_CASES 4000
#define PLENTY       (UINT64_C(1) << 60)

static const clattn__tile_limits plenty = {.device_bytes = PLENTY,
                                           .host_bytes = PLENTY,
                                           .allocation_bytes = PLENTY,
                                           .devices = 1,
                                           .in_flight = 2};

static clattn_status make(tile_case *c)
{
    return clattn__tile_cut_make(&c->problem, &c->limits, &c->cut, &c->smallest);
}

/* 1 most of the time, so that no case is only about one thing. */
static int64_t seldom(fill_random *random, int64_t chances, int64_t most)
{
    return fill_once_in(random, chances) ? fill_range(random, 1, most) : 1;
}

static void draw_smoothing(fill_random *random, clattn__tile_problem *p)
{
    p->problems = p->heads = 1;
    p->kv_height = p->height;
    p->kv_width = p->width;
    p->class_tokens = p->reach = 0;
    p->dim = 5;
    p->dim_v = 3;
    p->pooled = p->smoothing = true;
    p->key_bias = p->agent_vector = false;
    p->needs_v = fill_once_in(random, 2);
    p->aggregates = fill_range(random, 1, 5);
}

static void draw_problem(fill_random *random, clattn__tile_problem *p)
{
    *p = (clattn__tile_problem){
        .problems = seldom(random, 3, 100),
        .height = fill_once_in(random, 10) ? 1 : fill_range(random, 1, 200),
        .width = fill_once_in(random, 10) ? 1 : fill_range(random, 1, 200),
        .class_tokens = fill_once_in(random, 3) ? fill_range(random, 0, 2000) : 0,
        .heads = fill_range(random, 1, 8),
        .dim = fill_range(random, 1, 64),
        .dim_v = fill_range(random, 1, 64),
        .agent_height = fill_range(random, 1, fill_once_in(random, 10) ? 300 : 12),
        .agent_width = fill_range(random, 1, fill_once_in(random, 10) ? 300 : 12),
        .reach = fill_once_in(random, 2) ? fill_range(random, 0, 4) : 0,
        .pooled = !fill_once_in(random, 4),
        .key_bias = fill_once_in(random, 2),
        .agent_vector = fill_once_in(random, 4),
        .rows_only = fill_once_in(random, 4),
        .aggregates = 1,
        .weight_bytes = (uint64_t)fill_range(random, 0, 100000)};
    if (fill_once_in(random, 8))
        *(fill_once_in(random, 2) ? &p->height : &p->width) = fill_range(random, 1, 5000);
    const bool resized = fill_once_in(random, 4);
    p->kv_height = resized ? fill_range(random, 1, 200) : p->height;
    p->kv_width = resized ? fill_range(random, 1, 200) : p->width;
    p->needs_v = p->reach > 0 || fill_once_in(random, 2);
    if (fill_once_in(random, 5))
        draw_smoothing(random, p);
}

/* Budgets are drawn about `smallest`, from just below it to far above. */
static void draw_limits(fill_random *random, uint64_t smallest, clattn__tile_limits *limits)
{
    const int64_t times = seldom(random, 2, 40);

    limits->device_bytes =
        smallest * (uint64_t)times + (uint64_t)fill_range(random, 0, (int64_t)smallest);
    limits->host_bytes =
        smallest * (uint64_t)seldom(random, 2, 40) + (uint64_t)fill_range(random, 0, 1000000);
    if (fill_once_in(random, 6))
        limits->device_bytes -= limits->device_bytes / 4;
    if (fill_once_in(random, 6))
        limits->host_bytes -= limits->host_bytes / 4;
    limits->allocation_bytes = PLENTY;
    if (fill_once_in(random, 6))
        limits->allocation_bytes = (uint64_t)fill_range(random, 1, (int64_t)smallest * times);
}

/* The smallest budget does, and one byte less does not, whatever was asked for. */
static void check_smallest(const tile_case *of)
{
    tile_case c = *of;
    clattn__tile_cut untouched;

    c.limits.allocation_bytes = PLENTY;
    c.limits.device_bytes = c.limits.host_bytes = of->smallest;
    if (make(&c) != CLATTN_OK || c.smallest != of->smallest)
        tile_check_fail(&c, "the smallest budget does", __LINE__);
    if (c.cut.tiles < 100000)
        tile_check_bytes(&c);
    memset(&c.cut, 0x5a, sizeof c.cut);
    memset(&untouched, 0x5a, sizeof untouched);
    c.limits.device_bytes--;
    c.limits.host_bytes--;
    if (make(&c) != CLATTN_E_BUDGET || c.smallest != of->smallest)
        tile_check_fail(&c, "a byte less does not", __LINE__);
    assert_memory_equal(&c.cut, &untouched, sizeof untouched);
}

static void check_case(tile_case *c, fill_random *random, int *whole, int *streamed)
{
    const uint64_t smallest = c->smallest;
    const clattn_status status = make(c);

    if (c->smallest != smallest)
        tile_check_fail(c, "the smallest budget depends on the budget", __LINE__);
    if (status == CLATTN_E_BUDGET) {
        if (c->limits.allocation_bytes == PLENTY && c->limits.device_bytes >= smallest &&
            c->limits.host_bytes >= smallest)
            tile_check_fail(c, "refused above the smallest budget", __LINE__);
        return;
    }
    if (status != CLATTN_OK ||
        (c->limits.device_bytes < smallest && c->limits.host_bytes < smallest))
        tile_check_fail(c, "taken below the smallest budget", __LINE__);
    tile_check_bytes(c);
    *(c->cut.whole ? whole : streamed) += 1;
    if (c->cut.whole)
        return;
    tile_check_cover(c, 1);
    tile_check_halos(c);
    tile_check_nodes(c, random);
}

static void test_random(void **state)
{
    (void)state;
    fill_random random = {fill_seed()};
    int whole = 0;
    int streamed = 0;

    for (int i = 0; i < RANDOM_CASES; i++) {
        tile_case c = {.limits = plenty};
        draw_problem(&random, &c.problem);
        c.limits.devices = (int32_t)seldom(&random, 2, 5);
        c.limits.sharing = (int32_t)fill_range(&random, 0, c.limits.devices);
        c.limits.in_flight = (int32_t)fill_range(&random, 1, 4);
        c.limits.strips = fill_once_in(&random, 4);
        /* One large picture is shared by several devices rather than given to one. */
        const clattn__tile_problem *p = &c.problem;
        const bool shared =
            p->problems < c.limits.devices && p->class_tokens + p->height * p->width >= 131072;
        if (make(&c) != CLATTN_OK || (p->smoothing || shared) == c.cut.whole)
            tile_check_fail(&c, "refused, or not in the mode expected, with plenty", __LINE__);
        tile_check_bytes(&c);
        check_smallest(&c);
        draw_limits(&random, c.smallest, &c.limits);
        check_case(&c, &random, &whole, &streamed);
    }
    assert_true(whole > RANDOM_CASES / 20 && streamed > RANDOM_CASES / 4);
}

static const clattn__tile_problem picture = {.problems = 1,
                                             .height = 100000,
                                             .width = 100000,
                                             .kv_height = 100000,
                                             .kv_width = 100000,
                                             .heads = 4,
                                             .dim = 32,
                                             .dim_v = 32,
                                             .agent_height = 12,
                                             .agent_width = 12,
                                             .reach = 1,
                                             .needs_v = true,
                                             .pooled = true,
                                             .aggregates = 1};

static void test_giants(void **state)
{
    (void)state;
    static const struct {
        int64_t height, width, kv_height, kv_width, class_tokens, agent_height;
        uint64_t megabytes;
    } maps[] = {
        {100000, 100000, 100000, 100000, 0, 12, 1024},
        {100000, 100000, 25000, 25000, 3, 28, 4096},
        {1, INT32_MAX, 1, INT32_MAX, 1, 5, 2048},
        {INT32_MAX, 1, INT32_MAX, 1, 0, 5, 2048},
        {INT32_MAX, 1, INT32_MAX - 7, 1, 0, 5, 2048},
        {INT32_MAX, 3, 5000000, 70, 0, 5, 4096},
        {65536, 65536, 65537, 32769, INT32_MAX, 1, 2048},
    };
    fill_random random = {fill_seed()};

    for (size_t i = 0; i < 2 * sizeof maps / sizeof maps[0]; i++) {
        const size_t m = i / 2;
        tile_case c = {.problem = picture, .limits = plenty};
        c.problem.height = maps[m].height;
        c.problem.width = maps[m].width;
        c.problem.kv_height = maps[m].kv_height;
        c.problem.kv_width = maps[m].kv_width;
        c.problem.class_tokens = maps[m].class_tokens;
        c.problem.agent_height = maps[m].agent_height;
        if (i % 2 == 1) {
            c.limits.devices = 3;
            c.limits.device_bytes = c.limits.host_bytes = maps[m].megabytes << 20;
        }
        if (i % 2 == 0)
            c.limits.device_bytes /= 1 << 19; /* 2 TiB: not whole, and as large as is useful */
        if (make(&c) != CLATTN_OK || c.cut.whole)
            tile_check_fail(&c, "a giant", __LINE__);
        tile_check_cover(&c, 0);
        tile_check_halos(&c);
        tile_check_bytes(&c);
        tile_check_nodes(&c, &random);
        check_smallest(&c);
    }
}

#define EXPECT_STATUS(expected, ...)                                                               \
    do {                                                                                           \
        tile_case c = {.problem = picture, .limits = plenty};                                      \
        __VA_ARGS__;                                                                               \
        assert_int_equal(make(&c), expected);                                                      \
        assert_true(c.smallest == 0);                                                              \
        assert_int_equal(c.cut.in_flight, 0);                                                      \
    } while (0)

static void test_refusals(void **state)
{
    (void)state;
    /* Numbers that leave 64 bits. */
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.problems = INT64_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.class_tokens = INT64_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.class_tokens = INT64_MAX - 10000000000);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.weight_bytes = UINT64_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.weight_bytes = INT64_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.aggregates = INT64_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.heads = INT32_MAX / 32;
                  c.problem.agent_height = INT32_MAX / 12);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.height = c.problem.width = c.problem.kv_height =
                                      c.problem.kv_width = INT32_MAX;
                  c.problem.heads = 100000);
    /* And what is out of range in itself. */
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.height = 0);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.width = INT64_C(1) << 31);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.kv_height = -1);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.agent_width = INT32_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.heads = INT32_MAX);
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.reach = -1);
    /* A row with its halo is more than a launch can count. */
    EXPECT_STATUS(CLATTN_E_SHAPE, c.problem.width = c.problem.kv_width = INT32_MAX;
                  c.problem.rows_only = true);
    EXPECT_STATUS(CLATTN_E_ARG, c.limits.devices = 0);
    EXPECT_STATUS(CLATTN_E_ARG, c.limits.sharing = 2);
    EXPECT_STATUS(CLATTN_E_ARG, c.limits.in_flight = 9);
}

static int64_t cut_area(const clattn__tile_cut *t)
{
    return t->rect_height * t->rect_width;
}

/* 24 megapixels; every budget but the last is too small for all of them at once. */
static tile_case photo(uint64_t megabytes)
{
    tile_case c = {.problem = picture, .limits = plenty};
    c.problem.height = c.problem.kv_height = 4000;
    c.problem.width = c.problem.kv_width = 6000;
    c.limits.device_bytes = megabytes << 20;
    return c;
}

#define EXPECT(c, condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            tile_check_fail(&(c), #condition, __LINE__);                                           \
    } while (0)

static void test_sizes(void **state)
{
    (void)state;
    tile_case c = photo(512);
    EXPECT(c, make(&c) == CLATTN_OK && !c.cut.whole && c.cut.in_flight == 2);
    EXPECT(c, c.cut.k_run * c.cut.k_leaf >= 65536 && cut_area(&c.cut) >= 65536);
    EXPECT(c, c.cut.device_bytes > c.limits.device_bytes / 4 * 3);
    EXPECT(c, c.cut.rect_height < 2 * c.cut.rect_width && c.cut.rect_width < 2 * c.cut.rect_height);

    c.limits.strips = true;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.rect_columns == 1 && c.cut.rect_height > 1);
    c = photo(512);
    c.problem.reach = 0;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.rect_columns == 1 && c.cut.rect_height > 1);
    c = photo(512);
    c.limits.allocation_bytes = 16 << 20;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.k_run * c.cut.k_leaf == 32768);

    /* Two small tiles rather than a large one, and one tile where two of the smallest do not fit. */
    c = photo(12);
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.in_flight == 2 && c.cut.k_run == 1);
    c = photo(7);
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.in_flight == 1);

    /* No more than is useful, and enough for every device. */
    c = photo(1 << 15);
    EXPECT(c, make(&c) == CLATTN_OK && !c.cut.whole && c.cut.aggregate_tiles >= 4);
    EXPECT(c, c.cut.device_bytes < c.limits.device_bytes / 4 * 3);
    c.limits.devices = 3;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.in_flight == 2);
    EXPECT(c, c.cut.aggregate_tiles >= 24 && c.cut.broadcast_tiles >= 24);
    EXPECT(c, c.cut.k_run * c.cut.k_leaf >= 65536 && cut_area(&c.cut) >= 65536);
}

/* Where the host has no room for the nodes of many tiles, there are fewer. */
static void test_host(void **state)
{
    (void)state;
    tile_case c = photo(512);
    EXPECT(c, make(&c) == CLATTN_OK);
    const clattn__tile_cut before = c.cut;
    c.limits.host_bytes = before.host_bytes - 1;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.host_bytes < before.host_bytes);
    EXPECT(c, c.cut.in_flight < before.in_flight || c.cut.nodes < before.nodes);
    tile_check_bytes(&c);
    c.limits.host_bytes = c.cut.node_bytes;
    EXPECT(c, make(&c) == CLATTN_E_BUDGET);
}

static void test_whole(void **state)
{
    (void)state;
    tile_case c = photo(1 << 20);
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.whole && c.cut.tiles == 1 && c.cut.in_flight == 1);
    /* Half a megapixel fits once, not twice: whole, with one tile out, before it is streamed. */
    c = photo(1 << 10);
    c.problem.height = c.problem.kv_height = 512;
    c.problem.width = c.problem.kv_width = 512;
    c.problem.problems = 8;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.whole && c.cut.in_flight == 1 && c.cut.tiles == 8);
    /* Windows: many at a time, but something for all devices. */
    c.problem.height = c.problem.kv_height = c.problem.width = c.problem.kv_width = 14;
    c.problem.problems = 10000;
    c.limits.devices = 2;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.whole && c.cut.in_flight == 2);
    EXPECT(c, c.cut.tiles >= 8 && c.cut.group > 100);
    tile_check_bytes(&c);
    c.limits.allocation_bytes = 1 << 20;
    EXPECT(c, make(&c) == CLATTN_OK && c.cut.whole && c.cut.group > 1);
    tile_check_bytes(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),   cmocka_unit_test(test_giants),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_host),     cmocka_unit_test(test_whole),
    };
    print_message("CLATTN_TEST_SEED=%" PRIu64 "\n", fill_seed());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
