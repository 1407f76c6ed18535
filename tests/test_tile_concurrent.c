/*
 * options.concurrent: source and sink are called by several threads, and only then. A call that may overlap waits until another one
 * has come in, so calls that never do are found out; each run gives the right bits, in order where strips are asked for, also when a
 * callback or a device fails. Runs on the first device with its wide shape, and on the CPU path.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "faulty_cl.h"
#include "tile_probe.h"

#define PATIENCE 2 /* seconds for another call to come in */

enum { FILL, TAKE, KINDS };

static contexts_entry entry;
static probe_log heard;
static clattn_context *ctx[2];

/* What the callbacks see; the tile's data comes from and goes to arrays. */
typedef struct watched {
    tile_probe probe; /* the case, its data and its answer */
    clattn_tile_io io;
    pthread_mutex_t lock;
    pthread_cond_t came;
    pthread_t caller;
    int inside[KINDS], most[KINDS];
    bool met; /* a fill and a take overlapped */
    bool other_thread, out_of_order;
    int64_t next_row;
    int waits[KINDS]; /* calls that wait for company: so many at first */
    int calls, failing;
} watched;

static bool enter(watched *w, int kind)
{
    struct timespec until;

    timespec_get(&until, TIME_UTC);
    until.tv_sec += PATIENCE;
    pthread_mutex_lock(&w->lock);
    w->other_thread |= !pthread_equal(pthread_self(), w->caller);
    w->inside[kind]++;
    w->most[kind] = w->inside[kind] > w->most[kind] ? w->inside[kind] : w->most[kind];
    w->met |= w->inside[FILL] > 0 && w->inside[TAKE] > 0;
    pthread_cond_broadcast(&w->came);
    if (w->waits[kind] > 0) {
        w->waits[kind]--;
        while (w->most[kind] < 2)
            if (pthread_cond_timedwait(&w->came, &w->lock, &until) != 0)
                break;
    }
    const bool fails = ++w->calls == w->failing;
    pthread_mutex_unlock(&w->lock);
    return !fails;
}

static void leave(watched *w, int kind)
{
    pthread_mutex_lock(&w->lock);
    w->inside[kind]--;
    pthread_mutex_unlock(&w->lock);
}

static int fill(void *user, clattn_tile_input input, const clattn_tile_rect *rect, float *target,
                int64_t row_stride)
{
    watched *w = user;
    const clattn_tile_source *arrays = &w->probe.all.io.source;
    int code = -9;

    if (enter(w, FILL))
        code = arrays->fill(arrays->user, input, rect, target, row_stride);
    leave(w, FILL);
    return code;
}

static int take(void *user, const clattn_tile_rect *rect, const float *data, int64_t row_stride)
{
    watched *w = user;
    const clattn_tile_sink *arrays = &w->probe.all.io.sink;
    int code = -9;

    if (enter(w, TAKE))
        code = arrays->take(arrays->user, rect, data, row_stride);
    pthread_mutex_lock(&w->lock);
    if (rect->class_count == 0) {
        w->out_of_order |= rect->y != w->next_row || rect->x != 0;
        w->next_row = rect->y + rect->height;
    }
    pthread_mutex_unlock(&w->lock);
    leave(w, TAKE);
    return code;
}

static void open_watched(watched *w, const case_agent *c, const clattn_tile_options *options,
                         double budget)
{
    *w = (watched){.calls = 0};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->came, NULL);
    probe_open(&w->probe, ctx[1], c);
    probe_tiling(&w->probe, ctx, 2, options, budget);
    w->io = w->probe.all.io;
    w->io.source = (clattn_tile_source){.fill = fill, .user = w};
    w->io.sink = (clattn_tile_sink){.take = take, .user = w};
    w->io.callback_code = &w->probe.reported;
}

static void close_watched(watched *w)
{
    probe_close(&w->probe);
    pthread_cond_destroy(&w->came);
    pthread_mutex_destroy(&w->lock);
}

static clattn_status run(watched *w, int waits, int failing)
{
    for (int i = 0; i < KINDS; i++) {
        w->inside[i] = w->most[i] = 0;
        w->waits[i] = waits;
    }
    for (int64_t i = 0; i < w->probe.floats; i++)
        w->probe.tiled[i] = NAN;
    w->caller = pthread_self();
    w->met = w->other_thread = w->out_of_order = false;
    w->next_row = w->calls = w->probe.reported = 0;
    w->failing = failing;
    return clattn_tiling_run(w->probe.tiling, &w->io);
}

static void run_right(watched *w, int waits)
{
    assert_int_equal(run(w, waits, 0), CLATTN_OK);
    check_same_bits("tiled", "concurrent", w->probe.tiled, w->probe.untiled, w->probe.floats);
}

static int open_contexts(void **state)
{
    const clattn_context_params params = {.log = probe_listen(&heard)};

    (void)state;
    faulty_cl.failing = 0;
    for (int i = 0; i < 2; i++) {
        clattn__cl_api_hook = entry.device != NULL && i == 0 ? &faulty_cl_table : NULL;
        ctx[i] = contexts_open(&entry, &params);
    }
    clattn__cl_api_hook = NULL;
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    faulty_cl.failing = 0;
    for (int i = 0; i < 2; i++)
        clattn_context_destroy(&ctx[i]);
    return 0;
}

/* ---- who meets whom ---- */

static void one_at_a_time(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    for (int i = 0; i < 2; i++) {
        watched w;
        open_watched(&w, &cases[i], NULL, 2.0);
        run_right(&w, 0);
        assert_false(w.other_thread || w.met);
        assert_true(w.most[FILL] == 1 && w.most[TAKE] == 1);
        close_watched(&w);
    }
}

static void calls_overlap(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    const clattn_tile_options options = {.concurrent = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        watched w;
        open_watched(&w, &cases[i], &options, 2.0);
        const int lanes = 2 * w.probe.info.in_flight;
        for (int turn = 0; turn < 5; turn++) {
            run_right(&w, 100);
            assert_true(w.other_thread);
            assert_in_range(w.most[FILL], 2, lanes);
            assert_in_range(w.most[TAKE], 2, lanes);
        }
        close_watched(&w);
    }
}

static void strips_stay_in_order(void **state)
{
    const case_agent c = probe_case_streamed();

    (void)state;
    for (int in_flight = 1; in_flight <= 3; in_flight++) {
        const clattn_tile_options options = {.concurrent = 1, .strips = 1, .in_flight = in_flight};
        watched w;
        open_watched(&w, &c, &options, in_flight);
        for (int turn = 0; turn < 5; turn++) {
            run_right(&w, 0);
            assert_true(w.other_thread && !w.out_of_order);
            assert_int_equal(w.most[TAKE], 1);
        }
        close_watched(&w);
    }
}

/* ---- what fails ---- */

static void failing_callbacks(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    for (int i = 0; i < 4; i++) {
        const clattn_tile_options options = {.concurrent = 1, .strips = i == 1, .in_flight = 3};
        watched w;
        open_watched(&w, &cases[i / 2], &options, 3.0);
        run_right(&w, 0);
        const int calls = w.calls;
        const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
        for (int part = 0; part <= 10; part++) {
            assert_int_equal(run(&w, 0, 1 + (calls - 1) * part / 10), CLATTN_E_CALLBACK);
            assert_int_equal(w.probe.reported, -9);
            for (int k = 0; k < 2; k++)
                assert_int_equal(probe_bytes(ctx[k]), before[k]);
        }
        run_right(&w, 0);
        close_watched(&w);
    }
}

/* The first device fails in each of its calls in turn, for good or once: the other one does its tiles. */
static void failing_devices(void **state)
{
    static const char *const calls[] = {"clEnqueueNDRangeKernel", "clEnqueueMapBuffer", "clFinish"};
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    if (entry.device == NULL)
        return;
    for (int i = 0; i < 6; i++) {
        const clattn_tile_options options = {
            .concurrent = 1, .strips = i < 3, .in_flight = 1 + i % 3};
        watched w;
        open_watched(&w, &cases[i % 2 == 1 && i > 2], &options, 1.0 + i % 3);
        for (size_t call = 0; call < sizeof calls / sizeof *calls; call++) {
            faulty_cl.only = calls[call];
            faulty_cl.code = CL_OUT_OF_RESOURCES;
            faulty_cl.failing = faulty_cl.calls = 0;
            run_right(&w, 0);
            const int all = faulty_cl.calls;
            for (int part = 0; part < 100; part += 9) {
                probe_log_clear(&heard);
                faulty_cl.calls = 0;
                faulty_cl.lasting = part % 2 == 0;
                faulty_cl.failing = 1 + all * part / 100;
                run_right(&w, 0);
                faulty_cl.failing = 0;
                assert_false(options.strips && w.out_of_order);
            }
        }
        close_watched(&w);
    }
}

static int tests_of(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_at_a_time, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(calls_overlap, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(strips_stay_in_order, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(failing_callbacks, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(failing_devices, open_contexts, close_contexts),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    if (clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real) != CLATTN_OK)
        print_message("no OpenCL\n");
    return probe_main(&entry, &heard, tests_of);
}
