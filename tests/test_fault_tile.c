/*
 * Every OpenCL call and every allocation of a tiling and its run fails once (fault_trial.h), with one device: streamed in passes, in
 * whole windows, and the smoothing filter. (Of several devices, one that fails is done without: test_tile_devices.c.)
 *
 *     CLATTN_TEST_FULL=1   each call with all its codes; else some of the calls with one of them
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "contexts.h"
#include "fault_codes.h"
#include "fault_trial.h"
#include "kept_programs.h"
#include "tile_run.h"

enum { STREAMED, WINDOWS, SMOOTH, FORMS };

static const char *const names[FORMS] = {"streamed", "windows", "smooth"};

static const case_agent cases[] = {{.desc = {.batch = 1,
                                             .heads = 2,
                                             .head_dim = 5,
                                             .head_dim_v = 3,
                                             .height = 22,
                                             .width = 24,
                                             .class_tokens = 1,
                                             .agent_height = 2,
                                             .agent_width = 2,
                                             .has_bias = 1,
                                             .has_key_bias = 1,
                                             .dwc_size = 3,
                                             .has_dwc_bias = 1},
                                    .trained_agents_h = 2,
                                    .trained_agents_w = 2,
                                    .trained_h = 7,
                                    .trained_w = 7},
                                   {.desc = {.batch = 1,
                                             .heads = 2,
                                             .head_dim = 5,
                                             .head_dim_v = 3,
                                             .height = 8,
                                             .width = 12,
                                             .window_height = 4,
                                             .window_width = 4,
                                             .agent_height = 2,
                                             .agent_width = 2,
                                             .dwc_size = 3}}};
static const clattn_smooth_desc smooth = {
    .height = 22, .width = 24, .agent_height = 2, .agent_width = 2};

static cl_device_id device;
static cl_context callers_context;
static cl_command_queue callers_queue;

static struct {
    int form;
    bool cpu, knows;
    clattn_context *ctx;
    clattn_tile_options options;
    case_agent_data data;
    tile_case_io all;
    clattn_tensor in, out; /* of the filter */
    float *rgb, *result, *known;
    int64_t floats;
} now;

static clattn_memory host(float *array, int64_t floats)
{
    return (clattn_memory){.host = array, .bytes = (uint64_t)floats * sizeof *array};
}

/* The arrays that a run reads and writes. */
static void open_arrays(int form)
{
    const int64_t pixels = smooth.height * smooth.width;

    now.form = form;
    now.knows = false;
    now.floats = form == SMOOTH ? pixels * 3 : case_agent_count(&cases[form], STEP_WHOLE);
    now.result = calloc((size_t)now.floats, sizeof *now.result);
    now.known = calloc((size_t)now.floats, sizeof *now.known);
    assert_true(now.result != NULL && now.known != NULL);
    if (form != SMOOTH) {
        case_agent_fill(&cases[form], 3, &now.data);
        tile_case_open(&cases[form], &now.data, now.result, &now.all);
        return;
    }
    now.rgb = fill_new(&(fill_random){5}, FILL_UNIFORM, pixels * 3);
    now.in = clattn_tensor_tokens(host(now.rgb, pixels * 3), 1, pixels, 1, 3);
    now.out = clattn_tensor_tokens(host(now.result, pixels * 3), 1, pixels, 1, 3);
    now.all.arrays = (clattn_tile_arrays){.v = &now.in, .out = &now.out, .width = smooth.width};
    now.all.io = (clattn_tile_io){.source = clattn_tile_arrays_source(&now.all.arrays),
                                  .sink = clattn_tile_arrays_sink(&now.all.arrays)};
}

static void close_arrays(void)
{
    if (now.form == SMOOTH)
        free(now.rgb);
    else
        case_agent_free(&now.data);
    free(now.result);
    free(now.known);
}

static void open_context(void *user)
{
    const clattn_context_params params = {.log = fault_trial_log(),
                                          .shape = CLATTN_SHAPE_WIDE,
                                          .threads = 1,
                                          .selftest = CLATTN_SELFTEST_OFF};

    (void)user;
    if (now.cpu) {
        assert_int_equal(clattn_context_create_cpu(&params, &now.ctx), CLATTN_OK);
        return;
    }
    clattn__cl_api_hook = &faulty_cl_table;
    assert_int_equal(clattn_context_wrap(callers_context, device, callers_queue, &params, &now.ctx),
                     CLATTN_OK);
    clattn__cl_api_hook = NULL;
}

static void close_context(void *user)
{
    (void)user;
    clattn_context_destroy(&now.ctx);
}

static clattn_status create(clattn_tiling **tiling)
{
    if (now.form == SMOOTH)
        return clattn_smooth_tiling_create(&now.ctx, 1, &smooth, &now.options, tiling);
    return clattn_tiling_create(&now.ctx, 1, &cases[now.form].desc, &now.all.weights, &now.options,
                                tiling);
}

/* A launch that was refused while kernels are tried makes the work-groups smaller, which sum in another order. */
static bool sums_may_differ(void)
{
    const char *name = faulty_cl.failed;
    return name != NULL && (fault_right(name, faulty_cl.code, CLATTN_E_OPENCL) ||
                            fault_right(name, faulty_cl.code, CLATTN_E_BUILD));
}

static void check_result(void)
{
    const bool exact = !sums_may_differ();

    if (!now.knows)
        memcpy(now.known, now.result, (size_t)now.floats * sizeof *now.known);
    now.knows = true;
    for (int64_t i = 0; i < now.floats; i++)
        if (memcmp(&now.result[i], &now.known[i], sizeof *now.known) != 0 &&
            (exact || !(fabsf(now.result[i] - now.known[i]) < 1e-5f)))
            fail_msg("%s: element %d is %.9g and was %.9g", names[now.form], (int)i,
                     (double)now.result[i], (double)now.known[i]);
}

static clattn_status run_once(const clattn_tiling *tiling)
{
    for (int64_t i = 0; i < now.floats; i++)
        now.result[i] = NAN;
    return clattn_tiling_run((clattn_tiling *)tiling, &now.all.io);
}

static clattn_status run(void *user)
{
    clattn_tiling *tiling = NULL;
    clattn_status status = create(&tiling);

    (void)user;
    assert_int_equal(status == CLATTN_OK, tiling != NULL);
    if (tiling != NULL) {
        status = run_once(tiling);
        if (status == CLATTN_OK)
            check_result();
        fault_trial_enough();
        if (status != CLATTN_OK) /* the tiling is as good as before */
            assert_int_equal(run_once(tiling), CLATTN_OK);
    }
    clattn_tiling_destroy(&tiling);
    return status;
}

/* Memory that is not there is done without, by finer tiles; nobody needs what comes after the last tile; smaller work-groups work. */
static bool another_way(const char *name, cl_int code, clattn_status status)
{
    if (status != CLATTN_OK)
        return false;
    return fault_right(name, code, CLATTN_E_NOMEM) ||
           fault_right(name, code, CLATTN_E_DEVICE_NOMEM) ||
           strcmp(name, "clEnqueueUnmapMemObject") == 0 || strcmp(name, "clFinish") == 0 ||
           sums_may_differ();
}

/* Enough memory for the smallest tiles but in passes, or for some of the windows. */
static void choose_budget(void)
{
    clattn_tiling *tiling = NULL;
    clattn_tiling_info info;

    now.options = (clattn_tile_options){.in_flight = 1, .launch_ms = 1000.0};
    open_context(NULL);
    assert_int_equal(create(&tiling), CLATTN_OK);
    clattn_tiling_get_info(tiling, &info);
    now.options.device_bytes = info.smallest_bytes + info.smallest_bytes / 4;
    clattn_tiling_destroy(&tiling);
    assert_int_equal(create(&tiling), CLATTN_OK);
    clattn_tiling_get_info(tiling, &info);
    clattn_tiling_destroy(&tiling);
    close_context(NULL);
    print_message("  %s: %d passes, %d tiles\n", names[now.form], (int)info.passes,
                  (int)info.tiles);
}

static void each_form(int call_stride, int allocation_stride, bool all_codes)
{
    for (int form = 0; form < FORMS; form++) {
        const fault_scenario tried = {.name = names[form],
                                      .begin = open_context,
                                      .end = close_context,
                                      .attempt = run,
                                      .right = another_way,
                                      .threads = true};
        open_arrays(form);
        choose_budget();
        if (call_stride > 0)
            fault_trial_calls(&tried, (fault_depth){call_stride, all_codes});
        if (allocation_stride > 0)
            fault_trial_allocations(&tried, allocation_stride);
        close_arrays();
    }
}

static void failing_calls(void **state)
{
    const bool full = getenv("CLATTN_TEST_FULL") != NULL;

    (void)state;
    each_form(full ? 1 : 3, 0, full);
}

static void failing_allocations(void **state)
{
    (void)state;
    each_form(0, 1, false);
}

static void failing_allocations_of_the_cpu_path(void **state)
{
    (void)state;
    now.cpu = true;
    each_form(0, 1, false);
    now.cpu = false;
}

static int set_up(void **state)
{
    (void)state;
    if (!faulty_cl_begin(device, &callers_context, &callers_queue))
        return -1;
    faulty_cl.real = kept_programs_begin(faulty_cl.real);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fault_trial_print_total();
    kept_programs_end();
    faulty_cl_end(callers_context, callers_queue);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(failing_allocations_of_the_cpu_path),
    };
    device = support_device();
    if (!device)
        return contexts_none();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
