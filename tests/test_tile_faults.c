/*
 * What can go wrong around a tiled run, but for its devices (test_tile_devices.c): callbacks that fail, cancelling, no host memory.
 * Each time the status and the log say so, nothing stays behind, and the same tiling then gives the right bits. Runs on the first
 * device with its wide shape, and on the CPU path.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "case_agent_run.h"
#include "tile_probe.h"

/* Generous: machines are shared. What is queued when a run is cancelled are a few launches of milliseconds. */
#define CANCEL_SECONDS 1.0

static contexts_entry entry;
static probe_log heard;
static clattn_context *ctx[2];

static int open_contexts(void **state)
{
    const clattn_context_params params = {.log = probe_listen(&heard)};

    (void)state;
    for (int i = 0; i < 2; i++)
        ctx[i] = contexts_open(&entry, &params);
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        clattn_context_destroy(&ctx[i]);
    return 0;
}

/* After a failed run: both contexts hold what they did before, and another run is right. */
static void check_recovered(tile_probe *p, const uint64_t before[2])
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(probe_bytes(ctx[i]), before[i]);
    assert_false(p->called_after_failure);
    probe_run_right(p);
    for (int i = 0; i < 2; i++)
        assert_int_equal(probe_bytes(ctx[i]), before[i]);
}

static void check_sentence(const tile_probe *p, const char *who, const char *what)
{
    const clattn_tile_rect *r = &p->failure.rect;
    char text[300];

    if (r->class_count > 0)
        snprintf(text, sizeof text,
                 "the %s returned 7 for %s of picture %" PRId64 ", class tokens %" PRId64
                 " to %" PRId64,
                 who, what, r->picture, r->class_first, r->class_first + r->class_count);
    else
        snprintf(text, sizeof text,
                 "the %s returned 7 for %s of picture %" PRId64 ", rows %" PRId64 " to %" PRId64
                 ", columns %" PRId64 " to %" PRId64,
                 who, what, r->picture, r->y, r->y + r->height, r->x, r->x + r->width);
    if (probe_heard(&heard, CLATTN_LOG_ERROR, text) != 1 ||
        probe_heard(&heard, CLATTN_LOG_ERROR, "") != 1) {
        probe_log_print(&heard);
        fail_msg("\"%s\" was not the one error", text);
    }
}

/* Calls to fail: the first, the last, and some between. */
static int64_t call_at(int64_t calls, int i, int count)
{
    return 1 + (calls - 1) * i / (count - 1);
}

static void fail_source(tile_probe *p, size_t devices, double budget)
{
    static const char *const names[] = {"q", "k", "v", "key_bias"};
    enum { POINTS = 10 };
    int passes = 0;

    probe_tiling(p, ctx, devices, NULL, budget);
    probe_run_right(p);
    const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
    const int64_t calls = p->fills;
    for (int i = 0; i < POINTS; i++) {
        probe_log_clear(&heard);
        p->fail_fill = call_at(calls, i, POINTS);
        assert_int_equal(probe_run(p), CLATTN_E_CALLBACK);
        assert_int_equal(p->reported, 7);
        check_sentence(p, "source", names[p->failure.input]);
        passes |= 1 << p->failure.pass;
        check_recovered(p, before);
    }
    assert_true(p->info.passes == 1 || passes == 7);
}

static void fail_sink(tile_probe *p, size_t devices, double budget)
{
    enum { POINTS = 4 };

    probe_tiling(p, ctx, devices, NULL, budget);
    probe_run_right(p);
    const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
    const int64_t calls = p->takes;
    for (int i = 0; i < POINTS; i++) {
        probe_log_clear(&heard);
        p->fail_take = call_at(calls, i, POINTS);
        assert_int_equal(probe_run(p), CLATTN_E_CALLBACK);
        assert_int_equal(p->reported, 7);
        check_sentence(p, "sink", "the output");
        check_recovered(p, before);
    }
}

static void each_form(void (*test)(tile_probe *p, size_t devices, double budget))
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, ctx[0], &cases[i]);
        for (size_t devices = 1; devices <= 2; devices++) {
            test(&p, devices, i == 0 ? 1.0 : 2.0);
            assert_int_equal(p.info.passes, i == 0 ? 3 : 1);
        }
        probe_close(&p);
    }
}

static void failing_sources(void **state)
{
    (void)state;
    each_form(fail_source);
}

static void failing_sinks(void **state)
{
    (void)state;
    each_form(fail_sink);
}

static void cancel(tile_probe *p, size_t devices, double budget)
{
    enum { POINTS = 9 };
    double longest = 0.0;

    probe_tiling(p, ctx, devices, NULL, budget);
    probe_run_right(p);
    const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
    const int64_t calls = p->polls - 1; /* the last one comes when all is done */
    int cancelled = 0;
    for (int i = 0; i < POINTS; i++) {
        probe_log_clear(&heard);
        p->fail_poll = call_at(calls, i, POINTS);
        const clattn_status status = probe_run(p);
        if (!p->failure.happened) /* fewer calls than before: the lanes were quicker */
            continue;
        const double seconds = p->returned_at - p->failed_at;
        longest = seconds > longest ? seconds : longest;
        if (p->last_fraction < 1.0) {
            assert_int_equal(status, CLATTN_E_CANCELLED);
            cancelled++;
        }
        assert_int_equal(p->reported, 0);
        check_recovered(p, before);
    }
    print_message("    cancelled %d times, %zu devices, %d passes: at most %.1f ms\n", cancelled,
                  devices, (int)p->info.passes, 1e3 * longest);
    assert_true(cancelled > POINTS / 2);
    assert_true(longest < CANCEL_SECONDS);
}

/* What a run has made stays for the next one, also after callbacks that fail, and goes with the tiling. */
static void stay(tile_probe *p, size_t devices, double budget)
{
    probe_tiling(p, ctx, devices, NULL, budget);
    const uint64_t without = probe_bytes(ctx[0]);
    probe_run_right(p);
    const uint64_t all = probe_bytes(ctx[0]);
    assert_true(all > without && all - without <= p->info.device_bytes);
    p->fail_fill = 3;
    assert_int_equal(probe_run(p), CLATTN_E_CALLBACK);
    assert_int_equal(probe_bytes(ctx[0]), all);
    p->fail_poll = 2;
    assert_int_equal(probe_run(p), CLATTN_E_CANCELLED);
    assert_int_equal(probe_bytes(ctx[0]), all);
    probe_run_right(p);
    assert_int_equal(probe_bytes(ctx[0]), all);
    probe_begin_anew(p);
    assert_int_equal(probe_bytes(ctx[0]), without);
    probe_run_right(p);
    clattn_tiling_destroy(&p->tiling);
    assert_true(probe_bytes(ctx[0]) <= without);
}

static void lanes_stay(void **state)
{
    (void)state;
    each_form(stay);
}

static void cancelling(void **state)
{
    (void)state;
    each_form(cancel);
}

/* ---- strips ---- */

static void strips_come_in_order(void **state)
{
    const case_agent c = probe_case_streamed();
    const clattn_tile_options options = {.strips = 1, .in_flight = 3};
    tile_probe p;

    (void)state;
    probe_open(&p, ctx[0], &c);
    for (size_t devices = 1; devices <= 2; devices++) {
        probe_tiling(&p, ctx, devices, &options, 1.5);
        for (int i = 0; i < 3; i++) {
            probe_run_right(&p);
            assert_false(p.out_of_order);
        }
    }
    probe_close(&p);
}

/* ---- the smoothing filter ---- */

typedef struct failing_picture {
    clattn_tile_source arrays;
    int calls, failing;
} failing_picture;

static int fill_picture(void *user, clattn_tile_input input, const clattn_tile_rect *rect,
                        float *target, int64_t row_stride)
{
    failing_picture *f = user;

    assert_int_equal(input, CLATTN_TILE_RGB);
    if (++f->calls == f->failing)
        return -3;
    return f->arrays.fill(f->arrays.user, input, rect, target, row_stride);
}

static void failing_pictures(void **state)
{
    enum { H = 75, W = 52, PIXELS = H * W, POINTS = 12 };
    const clattn_smooth_desc d = {.height = H, .width = W, .agent_height = 3, .agent_width = 2};
    fill_random random = {fill_seed()};
    float *rgb = fill_new(&random, FILL_UNIFORM, PIXELS * 3);
    float *untiled = calloc(PIXELS * 3, sizeof *untiled);
    float *tiled = calloc(PIXELS * 3, sizeof *tiled);
    const clattn_memory from = {.host = rgb, .bytes = PIXELS * 3 * sizeof *rgb};
    const clattn_memory to = {.host = tiled, .bytes = PIXELS * 3 * sizeof *rgb};
    const clattn_tensor in = clattn_tensor_tokens(from, 1, PIXELS, 1, 3);
    const clattn_tensor out = clattn_tensor_tokens(to, 1, PIXELS, 1, 3);
    clattn_tile_arrays arrays = {.v = &in, .out = &out, .width = W};
    failing_picture picture = {.arrays = clattn_tile_arrays_source(&arrays)};
    int32_t code = 0;
    const clattn_tile_io io = {.source = {.fill = fill_picture, .user = &picture},
                               .sink = clattn_tile_arrays_sink(&arrays),
                               .callback_code = &code};
    clattn_tiling *tiling = NULL;
    clattn_tiling_info info;

    (void)state;
    tile_smooth_untiled(ctx[0], &d, rgb, untiled);
    tile_run_smooth(ctx, 2, &d, rgb, &(clattn_tile_options){.strips = 1}, 1.0, tiled, &info);
    const clattn_tile_options options = {.device_bytes = info.device_bytes, .strips = 1};
    assert_int_equal(clattn_smooth_tiling_create(ctx, 2, &d, &options, &tiling), CLATTN_OK);
    assert_int_equal(clattn_tiling_run(tiling, &io), CLATTN_OK);
    const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
    const int calls = picture.calls;
    for (int i = 0; i < POINTS; i++) {
        picture.calls = code = 0;
        picture.failing = (int)call_at(calls, i, POINTS);
        probe_log_clear(&heard);
        assert_int_equal(clattn_tiling_run(tiling, &io), CLATTN_E_CALLBACK);
        assert_int_equal(code, -3);
        assert_int_equal(picture.calls, picture.failing);
        assert_int_equal(probe_heard(&heard, CLATTN_LOG_ERROR, "source returned -3 for RGB"), 1);
        assert_true(probe_bytes(ctx[0]) == before[0] && probe_bytes(ctx[1]) == before[1]);
    }
    picture.failing = 0;
    memset(tiled, 0xff, PIXELS * 3 * sizeof *tiled);
    assert_int_equal(clattn_tiling_run(tiling, &io), CLATTN_OK);
    check_same_bits("smooth", "after failures", tiled, untiled, PIXELS * 3);
    clattn_tiling_destroy(&tiling);
    free(rgb);
    free(untiled);
    free(tiled);
}

/* ---- host memory ---- */

static atomic_int allocations;
static int failing_allocation;

static bool nth_allocation_fails(size_t size)
{
    (void)size;
    return atomic_fetch_add(&allocations, 1) + 1 != failing_allocation;
}

static void failing_host_memory(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    int refused = 0, passed = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, ctx[0], &cases[i]);
        probe_tiling(&p, ctx, 2, NULL, 1.5);
        probe_run_right(&p); /* builds programs, for the runs below not to */
        const clattn_tile_options options = {.device_bytes = p.info.device_bytes};
        clattn_tiling_destroy(&p.tiling);
        const uint64_t before = probe_bytes(ctx[0]);
        for (failing_allocation = 1;; failing_allocation++) {
            atomic_store(&allocations, 0);
            clattn__alloc_hook = nth_allocation_fails;
            clattn_status status = probe_create(&p, ctx, 2, &options);
            if (status == CLATTN_OK)
                status = probe_run(&p);
            clattn__alloc_hook = NULL;
            if (status == CLATTN_OK)
                probe_check_right(&p);
            else
                assert_int_equal(status, CLATTN_E_NOMEM);
            *(status == CLATTN_OK ? &passed : &refused) += 1;
            clattn_tiling_destroy(&p.tiling);
            /* Less where kept buffers had to go. */
            assert_true(probe_bytes(ctx[0]) <= before && probe_bytes(ctx[1]) <= before);
            if (atomic_load(&allocations) < failing_allocation)
                break;
        }
        probe_close(&p);
    }
    print_message("    %d runs refused, %d went on\n", refused, passed);
    assert_true(refused > 5 && passed > 5);
}

static int tests_of(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failing_sources, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(failing_sinks, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(lanes_stay, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(cancelling, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(strips_come_in_order, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(failing_pictures, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(failing_host_memory, open_contexts, close_contexts),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return probe_main(&entry, &heard, tests_of);
}
