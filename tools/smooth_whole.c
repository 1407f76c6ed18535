/* clattn smooth with the whole picture in the memory of one device. */
#include <stdlib.h>

#include "smooth.h"

#define PIXEL_BYTES (3 * sizeof(float))
/* The filter's largest buffer: the five features of every pixel (filter.h). */
#define FEATURE_BYTES (5 * sizeof(float))

/* What the run holds; zeros are accepted by release(). */
typedef struct whole {
    smooth_work *work;
    clattn_context *ctx;
    clattn_workspace *workspace;
    clattn_memory input, output;
    float *rgb;
} whole;

/* The bar: reading, computing and writing take about as long each for a picture that a user waits for. */
static void show_reading(double done)
{
    command_progress(done * 0.3);
}

static void show_writing(double done)
{
    command_progress(0.7 + done * 0.3);
}

/* A limit of 0 is not known. Where the device works in the host's memory, the picture on its way to it lies there as well. */
bool smooth_fits(const smooth_work *work)
{
    clattn_plan_info info;
    clattn_plan_get_info(work->plan, &info);
    const clattn_device *device = clattn_context_device(work->contexts.list[0]);
    const picture *picture = &work->picture;
    const uint64_t pixels = (uint64_t)picture->height * (uint64_t)picture->width;
    const uint64_t samples = (uint64_t)picture->colours + (picture->alpha ? 1 : 0);
    const uint64_t host = pixels * (PIXEL_BYTES + samples * (uint64_t)(picture->bits / 8));
    const uint64_t all =
        2 * pixels * PIXEL_BYTES + info.scratch_bytes + (device->shares_host_memory ? host : 0);
    return (device->allocation_bytes == 0 || pixels * FEATURE_BYTES <= device->allocation_bytes) &&
           (device->global_bytes == 0 || all <= device->global_bytes);
}

static clattn_status make_memory(whole *whole)
{
    const picture *picture = &whole->work->picture;
    const uint64_t bytes = (uint64_t)picture->height * (uint64_t)picture->width * PIXEL_BYTES;
    clattn_status status = clattn_workspace_create(whole->work->plan, &whole->workspace);
    if (status == CLATTN_OK)
        status = clattn_memory_alloc(whole->ctx, bytes, &whole->input);
    if (status == CLATTN_OK)
        status = clattn_memory_alloc(whole->ctx, bytes, &whole->output);
    whole->rgb = malloc((size_t)bytes);
    return status == CLATTN_OK && !whole->rgb ? CLATTN_E_NOMEM : status;
}

/* The pixels of whole->rgb to the device, through the filter, and back. */
static clattn_status filter(whole *whole)
{
    smooth_work *work = whole->work;
    const int64_t pixels = work->picture.height * work->picture.width;
    const uint64_t bytes = (uint64_t)pixels * PIXEL_BYTES;
    const double start = command_now();
    clattn_status status = clattn_memory_write(whole->ctx, &whole->input, 0, whole->rgb, bytes);
    if (status == CLATTN_OK) {
        const clattn_tensor input = clattn_tensor_tokens(whole->input, 1, pixels, 1, 3);
        const clattn_tensor output = clattn_tensor_tokens(whole->output, 1, pixels, 1, 3);
        status = clattn_smooth_run(work->plan, whole->workspace, &input, &output, NULL, NULL);
    }
    if (status == CLATTN_OK)
        status = clattn_memory_read(whole->ctx, &whole->output, 0, whole->rgb, bytes);
    work->seconds = command_now() - start;
    return status;
}

static int run(whole *whole)
{
    smooth_work *work = whole->work;
    picture_error error;
    clattn_status status = make_memory(whole);
    if (status != CLATTN_OK)
        return smooth_fail_library(work, status);
    if (!picture_read(&work->picture, whole->rgb, show_reading, &error))
        return smooth_fail(work, error.text);
    status = filter(whole);
    if (status != CLATTN_OK)
        return smooth_fail_library(work, status);
    if (!picture_write(&work->picture, whole->rgb, show_writing, &error))
        return smooth_fail(work, error.text);
    return 0;
}

int smooth_whole(smooth_work *work)
{
    whole whole = {.work = work, .ctx = work->contexts.list[0]};
    const int code = run(&whole);
    free(whole.rgb);
    clattn_context_finish(whole.ctx);
    clattn_memory_free(whole.ctx, &whole.output);
    clattn_memory_free(whole.ctx, &whole.input);
    clattn_workspace_destroy(&whole.workspace);
    return code;
}
