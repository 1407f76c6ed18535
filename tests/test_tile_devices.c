/*
 * Devices that fail in the middle of a tiled run. One of two: its tiles are done again on the other, and the bits stay the same. All:
 * the run fails with their status. A device with less room than it said: smaller tiles. The first device is made through
 * faulty_cl, so that its OpenCL calls, and its alone, can fail; the second one is sound unless the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "contexts.h"
#include "faulty_cl.h"
#include "tile_probe.h"

static contexts_entry entry;
static probe_log heard;
static clattn_context *ctx[2];

static clattn_context *open_one(const clattn__cl_api *api)
{
    const clattn_context_params params = {.log = probe_listen(&heard)};

    clattn__cl_api_hook = api;
    clattn_context *made = contexts_open(&entry, &params);
    clattn__cl_api_hook = NULL;
    return made;
}

static void open_both(const clattn__cl_api *first, const clattn__cl_api *second)
{
    faulty_cl.failing = faulty_cl.live = 0;
    ctx[0] = open_one(first);
    ctx[1] = open_one(second);
}

static void close_both(void)
{
    faulty_cl.failing = 0;
    clattn_context_destroy(&ctx[0]);
    clattn_context_destroy(&ctx[1]);
    assert_int_equal(faulty_cl.live, 0);
}

/* Call number `failing` of `only` (NULL: of any) fails; 0: none. */
static void arm(const char *only, int failing, cl_int code, bool lasting)
{
    faulty_cl.only = only;
    faulty_cl.failing = failing;
    faulty_cl.code = code;
    faulty_cl.lasting = lasting;
    faulty_cl.calls = 0;
    faulty_cl.failed = NULL;
    probe_log_clear(&heard);
}

static int warnings(void)
{
    char text[200];
    snprintf(text, sizeof text, "\"%.100s\", failed", clattn_context_device(ctx[0])->name);
    return probe_heard(&heard, CLATTN_LOG_WARN, text);
}

/* ---- one of two ---- */

typedef struct call {
    const char *name;
    cl_int code;
    bool noticed; /* the log always says that one of the first has failed */
} call;

static void fail_one(tile_probe *p, const call *c, bool lasting)
{
    static const int parts[] = {0, 1, 8, 25, 50, 75, 100};
    int dropped = 0;

    probe_begin_anew(p);
    arm(c->name, 0, c->code, lasting);
    probe_run_right(p);
    const int calls = faulty_cl.calls;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const int failing = 1 + (int)i % 2 + (calls - 1) * parts[i] / 100;
        probe_begin_anew(p);
        arm(c->name, failing, c->code, lasting);
        const clattn_status status = probe_run(p);
        const char *failed = faulty_cl.failed;
        faulty_cl.failing = 0;
        if (status != CLATTN_OK) {
            probe_log_print(&heard);
            fail_msg("%s after call %d of %s, %s", clattn_status_name(status), failing,
                     c->name != NULL ? c->name : "any", failed != NULL ? failed : "none");
        }
        probe_check_right(p);
        dropped += warnings();
        assert_true(warnings() <= 1);
        /* A launch may be refused once: then another work-group is tried, and the log says that. */
        if (failed != NULL && i < 3 && c->noticed &&
            probe_heard(&heard, CLATTN_LOG_WARN, "") == 0) {
            probe_log_print(&heard);
            fail_msg("nobody was told that call %d of %s failed", failing, failed);
        }
    }
    print_message("    %-26s of %4d calls%s: dropped %d times\n", c->name != NULL ? c->name : "any",
                  calls, lasting ? ", from then on" : "", dropped);
    assert_true(dropped > 0);
}

static void fail_one_of_two(const case_agent *c, const clattn_tile_options *options, double budget)
{
    static const call calls[] = {
        {"clEnqueueMapBuffer", CL_MAP_FAILURE, true},
        {"clEnqueueUnmapMemObject", CL_INVALID_VALUE, false},
        {"clEnqueueNDRangeKernel", CL_OUT_OF_RESOURCES, true},
        {"clSetKernelArg", CL_INVALID_ARG_VALUE, true},
        {"clFinish", CL_OUT_OF_RESOURCES, true},
        {"clFlush", CL_OUT_OF_HOST_MEMORY, true},
        {"clCreateBuffer", CL_INVALID_VALUE, true},
        {"clCreateKernel", CL_OUT_OF_RESOURCES, true},
        {"clCreateCommandQueue", CL_OUT_OF_RESOURCES, true},
    };
    tile_probe p;

    open_both(&faulty_cl_table, NULL);
    probe_open(&p, ctx[1], c);
    probe_tiling(&p, ctx, 2, options, budget);
    probe_run_right(&p);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int lasting = 0; lasting < 2; lasting++)
            fail_one(&p, &calls[i], lasting != 0);
    fail_one(&p, &(call){NULL, CL_DEVICE_NOT_AVAILABLE, false}, true);
    probe_close(&p);
    close_both();
}

static void one_of_two_streamed(void **state)
{
    const case_agent c = probe_case_streamed();
    (void)state;
    fail_one_of_two(&c, NULL, 1.0);
}

static void one_of_two_whole(void **state)
{
    const case_agent c = probe_case_windows();
    (void)state;
    fail_one_of_two(&c, NULL, 1.5);
}

/* Between passes the devices are given what all of them found; at the start, agents are written to them. */
static void one_of_two_between_passes(void **state)
{
    static const call calls[] = {{"clEnqueueWriteBuffer", CL_OUT_OF_RESOURCES, true},
                                 {"clEnqueueReadBuffer", CL_OUT_OF_RESOURCES, true}};
    case_agent c = probe_case_streamed();
    tile_probe p;

    (void)state;
    c.desc.has_agent_vector = 1;
    for (int i = 0; i < 2; i++) {
        if (i == 1) { /* one leaf, whose device hands va on */
            c.desc.height = 9;
            c.desc.class_tokens = 0;
        }
        open_both(&faulty_cl_table, NULL);
        probe_open(&p, ctx[1], &c);
        probe_tiling(&p, ctx, 2, NULL, 1.0);
        probe_run_right(&p);
        fail_one(&p, &calls[0], false);
        fail_one(&p, &calls[0], true);
        if (p.info.leaves == 1 && p.info.passes == 3)
            fail_one(&p, &calls[1], false);
        probe_close(&p);
        close_both();
    }
}

/* Programs are built once per context, at the start of its first run. */
static void failing_builds(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    for (int i = 0; i < 6; i++) {
        tile_probe p;
        open_both(&faulty_cl_table, NULL);
        probe_open(&p, ctx[1], &cases[i / 3]);
        probe_tiling(&p, ctx, 2, NULL, 1.0);
        arm("clBuildProgram", 1 + i % 3, CL_BUILD_PROGRAM_FAILURE, true);
        probe_run_right(&p);
        assert_non_null(faulty_cl.failed);
        assert_int_equal(warnings(), 1);
        probe_close(&p);
        close_both();
    }
}

/*
 * A work-group that a device refuses once, while kernels are tried: plans then take a smaller one, whose bits are not those of the
 * other lanes.
 */
static void refused_work_groups(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    const contexts_entry whole_entry = entry;

    (void)state;
    if (entry.shape == CLATTN_SHAPE_TILE)
        entry.work_group = 128; /* the next one down sums in another order */
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        open_both(&faulty_cl_table, NULL);
        probe_open(&p, ctx[1], &cases[i]);
        probe_tiling(&p, ctx, 2, NULL, 1.5);
        int refused_groups = 0;
        for (int failing = 1; failing < 30; failing++) {
            probe_begin_anew(&p);
            arm("clEnqueueNDRangeKernel", failing, CL_OUT_OF_RESOURCES, false);
            probe_run_right(&p);
            refused_groups += probe_heard(&heard, CLATTN_LOG_WARN, "refused a work-group");
        }
        assert_true(refused_groups > 0);
        probe_close(&p);
        close_both();
    }
    entry = whole_entry;
}

/* ---- strips ---- */

static void strips_with_a_failing_device(void **state)
{
    static const call calls[] = {{"clEnqueueNDRangeKernel", CL_OUT_OF_RESOURCES, true},
                                 {"clEnqueueMapBuffer", CL_MAP_FAILURE, true},
                                 {"clFinish", CL_OUT_OF_RESOURCES, true}};
    const case_agent c = probe_case_streamed();
    tile_probe p;

    (void)state;
    open_both(&faulty_cl_table, NULL);
    probe_open(&p, ctx[1], &c);
    for (int in_flight = 1; in_flight <= 3; in_flight++) {
        const clattn_tile_options options = {.strips = 1, .in_flight = in_flight};
        probe_tiling(&p, ctx, 2, &options, in_flight);
        assert_int_equal(p.info.in_flight, in_flight);
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            arm(calls[i].name, 0, calls[i].code, true);
            probe_run_right(&p);
            const int n = faulty_cl.calls;
            for (int part = 30; part < 100; part += 6) {
                arm(calls[i].name, 1 + n * part / 100, calls[i].code, part % 4 == 0);
                probe_run_right(&p);
                assert_false(p.out_of_order);
            }
        }
    }
    probe_close(&p);
    close_both();
}

/* ---- all of them ---- */

static void all_devices_fail(void **state)
{
    static const struct {
        cl_int code;
        clattn_status status;
    } codes[] = {{CL_DEVICE_NOT_AVAILABLE, CLATTN_E_LOST}, {CL_INVALID_VALUE, CLATTN_E_OPENCL}};
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    for (int i = 0; i < 4; i++) {
        tile_probe p;
        open_both(&faulty_cl_table, &faulty_cl_table);
        probe_open(&p, ctx[1], &cases[i / 2]);
        probe_tiling(&p, ctx, 2, NULL, 1.5);
        arm(NULL, 0, codes[i % 2].code, true);
        probe_run_right(&p);
        const int calls = faulty_cl.calls;
        probe_begin_anew(&p);
        const int live = faulty_cl.live;
        const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
        for (int part = 0; part < 90; part += 5) {
            probe_begin_anew(&p);
            arm(NULL, 1 + calls * part / 100, codes[i % 2].code, true);
            const clattn_status status = probe_run(&p);
            faulty_cl.failing = 0;
            if (status == CLATTN_OK) { /* this run made fewer calls */
                probe_check_right(&p);
                continue;
            }
            /* A compiler that is not there is one that cannot build. */
            if (status != CLATTN_E_BUILD)
                assert_int_equal(status, codes[i % 2].status);
            assert_int_equal(probe_heard(&heard, CLATTN_LOG_WARN, "failed"), 2);
            assert_int_equal(faulty_cl.live, live);
            for (int k = 0; k < 2; k++)
                assert_true(probe_bytes(ctx[k]) <= before[k]);
            probe_run_right(&p);
        }
        probe_close(&p);
        close_both();
    }
}

/* ---- a device with less room than it said ---- */

static size_t most_bytes; /* of a buffer */
static int refused;

static cl_mem CL_API_CALL small_buffers(cl_context context, cl_mem_flags flags, size_t size,
                                        void *host, cl_int *error)
{
    if (size <= most_bytes)
        return faulty_cl_table.clCreateBuffer(context, flags, size, host, error);
    refused++;
    *error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return NULL;
}

/* `devices` of them are small, of two that run. */
static void run_small(const case_agent *c, int devices, double budget)
{
    clattn__cl_api small = faulty_cl_table;
    int finer = 0;
    int failed = 0;
    tile_probe p;

    small.clCreateBuffer = small_buffers;
    most_bytes = SIZE_MAX;
    open_both(&small, devices == 2 ? &small : NULL);
    probe_open(&p, ctx[1], c);
    probe_tiling(&p, ctx, 2, NULL, budget);
    probe_run_right(&p);
    const uint64_t before[2] = {probe_bytes(ctx[0]), probe_bytes(ctx[1])};
    for (most_bytes = (size_t)p.info.device_bytes; most_bytes > 16; most_bytes -= most_bytes / 4) {
        probe_begin_anew(&p);
        probe_log_clear(&heard);
        refused = 0;
        const clattn_status status = probe_run(&p);
        const bool warned = probe_heard(&heard, CLATTN_LOG_WARN, "found no room") > 0;
        if (status == CLATTN_OK)
            probe_check_right(&p);
        else
            assert_int_equal(status, CLATTN_E_DEVICE_NOMEM);
        assert_true(refused == 0 || warned || warnings() == 1 || status != CLATTN_OK);
        finer += status == CLATTN_OK && warned;
        failed += status != CLATTN_OK;
        assert_true(status == CLATTN_OK || devices == 2);
        for (int k = 0; k < 2; k++)
            assert_true(probe_bytes(ctx[k]) <= before[k]);
        /* A finer cut may have built a program, which the context keeps; the second time it does not. */
        const int live = faulty_cl.live;
        assert_int_equal(probe_run(&p), status);
        assert_int_equal(faulty_cl.live, live);
    }
    print_message("    finer tiles %d times, failed %d times, %d passes\n", finer, failed,
                  (int)p.info.passes);
    assert_true(finer > 0 && (failed > 0) == (devices == 2));
    most_bytes = SIZE_MAX;
    probe_run_right(&p);
    probe_close(&p);
    close_both();
}

static void devices_with_less_room(void **state)
{
    case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    cases[1].desc.batch = 16; /* groups of several windows */
    for (int i = 0; i < 2; i++)
        for (int devices = 1; devices <= 2; devices++)
            run_small(&cases[i], devices, i == 0 ? 4.0 : 40.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_two_streamed),       cmocka_unit_test(one_of_two_whole),
        cmocka_unit_test(one_of_two_between_passes), cmocka_unit_test(failing_builds),
        cmocka_unit_test(refused_work_groups),       cmocka_unit_test(strips_with_a_failing_device),
        cmocka_unit_test(all_devices_fail),          cmocka_unit_test(devices_with_less_room),
    };
    contexts_list list;

    probe_no_hang();
    contexts_find(false, &list);
    for (int i = 0; i < list.count && entry.device == NULL; i++)
        entry = list.entries[i];
    if (entry.device == NULL)
        return contexts_none();
    if (clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real) != CLATTN_OK)
        return 1;
    probe_log_open(&heard);
    print_message("%s\n", entry.name);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
