#include "lies.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "clattn/tile.h"
#include "kept_programs.h"

cl_device_id lies_device;
static cl_context callers_context;
static cl_command_queue callers_queue;
clattn__cl_api lies_driver;
static clattn__cl_api loaded;
support_log lies_heard = SUPPORT_LOG_INIT;
static float truth[FAULT_OPS][FAULT_RESULT];

/* True where all that was said can be shown: no control characters, and UTF-8 (checked through a decoder that is strict). */
bool lies_can_be_shown(const char *text)
{
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", text);
    clattn__text_clean(copy, true);
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t')
            return false;
    return strcmp(copy, text) == 0;
}

clattn_status lies_open(const clattn__cl_api *api, clattn_kernel_shape shape, clattn_context **ctx)
{
    const clattn_context_params params = {.log = support_listen(&lies_heard, CLATTN_LOG_INFO),
                                          .shape = shape,
                                          .selftest = CLATTN_SELFTEST_OFF};
    clattn__cl_api_hook = api;
    lies_heard.text[0] = '\0';
    const clattn_status status =
        clattn_context_wrap(callers_context, lies_device, callers_queue, &params, ctx);
    clattn__cl_api_hook = NULL;
    return status;
}

static void refused_in_words(clattn_status status, const char *what)
{
    if (!support_heard(&lies_heard, " ") || !lies_can_be_shown(lies_heard.text))
        fail_msg("%s: %s with \"%s\"", what, clattn_status_name(status), lies_heard.text);
}

/* Makes and runs an operator: right, or refused in words. */
static clattn_status try_op(clattn_context *ctx, const fault_tensors *t, fault_op op,
                            const char *what)
{
    float result[FAULT_RESULT];
    fault_job job;
    lies_heard.text[0] = '\0';
    fault_poison(t);
    clattn_status status = fault_job_make(ctx, op, &job);
    if (status == CLATTN_OK)
        status = fault_job_run(&job, t);
    fault_job_end(&job);
    if (status != CLATTN_OK) {
        refused_in_words(status, what);
        return status;
    }
    fault_result(t, result);
    for (int i = 0; i < FAULT_RESULT; i++)
        if (!(isnan(result[i]) && isnan(truth[op][i])) &&
            !(fabsf(result[i] - truth[op][i]) < 1e-5f))
            fail_msg("%s, %s: element %d is %.9g, not %.9g", what, fault_op_names[op], i,
                     (double)result[i], (double)truth[op][i]);
    return status;
}

/* The filter in tiles, whose plan depends on how much memory a device says it has. */
clattn_status lies_try_tiling(clattn_context *ctx, const char *what)
{
    enum { SIDE = 40, PIXELS = SIDE * SIDE };
    static float in[PIXELS * 3], out[PIXELS * 3];
    const clattn_smooth_desc desc = {
        .height = SIDE, .width = SIDE, .agent_height = 2, .agent_width = 2};
    const clattn_memory from = {.host = in, .bytes = sizeof in};
    const clattn_memory to = {.host = out, .bytes = sizeof out};
    const clattn_tensor input = clattn_tensor_tokens(from, 1, PIXELS, 1, 3);
    const clattn_tensor output = clattn_tensor_tokens(to, 1, PIXELS, 1, 3);
    clattn_tile_arrays arrays = {.v = &input, .out = &output, .width = SIDE};
    const clattn_tile_io io = {.source = clattn_tile_arrays_source(&arrays),
                               .sink = clattn_tile_arrays_sink(&arrays)};
    clattn_tiling *tiling = NULL;

    lies_heard.text[0] = '\0';
    for (int i = 0; i < PIXELS * 3; i++)
        in[i] = 0.5f;
    clattn_status status = clattn_smooth_tiling_create(&ctx, 1, &desc, NULL, &tiling);
    if (status == CLATTN_OK)
        status = clattn_tiling_run(tiling, &io);
    clattn_tiling_destroy(&tiling);
    if (status != CLATTN_OK)
        refused_in_words(status, what);
    for (int i = 0; status == CLATTN_OK && i < PIXELS * 3; i++)
        if (!(fabsf(out[i] - 0.5f) < 1e-4f))
            fail_msg("%s: a grey picture became %.9g", what, (double)out[i]);
    return status;
}

/* A list of devices, a context, operators, tiles. */
clattn_status lies_try_all(const clattn__cl_api *api, clattn_kernel_shape shape, const char *what)
{
    clattn_context *ctx = NULL;
    clattn_device *devices = NULL;
    size_t count = 0;
    fault_tensors t;

    clattn__cl_api_hook = api;
    assert_int_equal(clattn_device_list(NULL, &devices, &count), CLATTN_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(lies_can_be_shown(devices[i].name) && lies_can_be_shown(devices[i].why_not));
        assert_true(devices[i].usable || devices[i].why_not[0] != '\0');
    }
    clattn_device_list_free(&devices);
    clattn_status status = lies_open(api, shape, &ctx);
    if (status != CLATTN_OK) {
        refused_in_words(status, what);
        assert_null(ctx);
        return status;
    }
    assert_true(lies_can_be_shown(lies_heard.text));
    /* Tensors may be refused as well. */
    clattn_memory memory = {0};
    status = clattn_memory_alloc(ctx, 1 << 16, &memory);
    clattn_memory_free(ctx, &memory);
    if (status == CLATTN_OK) {
        fault_tensors_open(&t, ctx);
        status = try_op(ctx, &t, FAULT_WHOLE, what);
        if (status == CLATTN_OK)
            status = try_op(ctx, &t, FAULT_SMOOTH, what);
        fault_tensors_close(&t);
        (void)lies_try_tiling(ctx, what);
    } else {
        refused_in_words(status, what);
    }
    clattn_context_destroy(&ctx);
    return status;
}

int lies_set_up(void **state)
{
    (void)state;
    const clattn__cl_api *linked = NULL;
    cl_int error = CL_SUCCESS;
    fault_tensors t;
    clattn_context *ctx = NULL;
    if (clattn__cl_api_get(NULL, &loaded, &linked) != CLATTN_OK)
        return -1;
    callers_context = linked->clCreateContext(NULL, 1, &lies_device, NULL, NULL, &error);
    if (error == CL_SUCCESS)
        callers_queue = linked->clCreateCommandQueue(callers_context, lies_device, 0, &error);
    if (error != CL_SUCCESS)
        return -1;
    lies_driver = *kept_programs_begin(linked);
    if (lies_open(&lies_driver, CLATTN_SHAPE_WIDE, &ctx) != CLATTN_OK)
        return -1;
    fault_tensors_open(&t, ctx);
    for (fault_op op = FAULT_WHOLE; op <= FAULT_SMOOTH; op++) {
        fault_job job;
        fault_poison(&t);
        if (fault_job_make(ctx, op, &job) != CLATTN_OK || fault_job_run(&job, &t) != CLATTN_OK)
            return -1;
        fault_job_end(&job);
        fault_result(&t, truth[op]);
    }
    fault_tensors_close(&t);
    clattn_context_destroy(&ctx);
    return 0;
}

int lies_tear_down(void **state)
{
    (void)state;
    kept_programs_end();
    lies_driver.clReleaseCommandQueue(callers_queue);
    lies_driver.clReleaseContext(callers_context);
    return 0;
}
