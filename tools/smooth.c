/* clattn smooth: edge-preserving smoothing of a picture by agent attention (include/clattn/filter.h). */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clattn/clattn.h"
#include "command.h"
#include "picture.h"

#define MOST_PIXELS INT64_C(0x7fffffff)
#define PIXEL_BYTES (3 * sizeof(float))
/* The filter's largest buffer: the five features of every pixel (filter.h). */
#define FEATURE_BYTES (5 * sizeof(float))

/* The options, as --help shows them; the defaults are those of the filter. */
typedef struct settings {
    int64_t agents[2]; /* rows, columns */
    double sigma_color, sigma_space, detail;
    int64_t rounds;
    command_device device;
} settings;

/* Everything that a run holds; zeros are accepted by release(). */
typedef struct work {
    const command *cmd;
    settings *settings;
    picture picture;
    clattn_context *ctx;
    clattn_plan *plan;
    clattn_workspace *workspace;
    clattn_memory input, output;
    float *rgb;
    double seconds; /* from the pixels in memory to the result in memory */
} work;

/* The bar: reading, computing and writing take about as long each for a picture that a user waits for. */
static void show_reading(double done)
{
    command_progress(done * 0.3);
}

static void show_writing(double done)
{
    command_progress(0.7 + done * 0.3);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int fail(work *work, const char *sentence)
{
    command_progress(1);
    command_error(work->cmd, "%s", sentence);
    return 1;
}

static int fail_library(work *work, clattn_status status)
{
    command_progress(1);
    return command_fail(work->cmd, &work->settings->device, status);
}

/* Refuses a picture that the device cannot hold before any of it is decoded. A limit of 0 is not known. */
static bool fits(work *work, picture_error *error)
{
    clattn_plan_info info;
    clattn_plan_get_info(work->plan, &info);
    const clattn_device *device = clattn_context_device(work->ctx);
    const int64_t height = work->picture.height, width = work->picture.width;
    const uint64_t pixels = (uint64_t)height * (uint64_t)width;
    const uint64_t largest = pixels * FEATURE_BYTES;
    const uint64_t all = 2 * pixels * PIXEL_BYTES + info.scratch_bytes;
    if (device->allocation_bytes != 0 && largest > device->allocation_bytes)
        snprintf(error->text, sizeof error->text,
                 "%s: too large for %s: %" PRId64 " x %" PRId64 " pixels take a buffer of %" PRIu64
                 " bytes, and one may have %" PRIu64,
                 work->picture.input, device->name, width, height, largest,
                 device->allocation_bytes);
    else if (device->global_bytes != 0 && all > device->global_bytes)
        snprintf(error->text, sizeof error->text,
                 "%s: too large for %s: %" PRId64 " x %" PRId64 " pixels take %" PRIu64
                 " bytes, and it has %" PRIu64,
                 work->picture.input, device->name, width, height, all, device->global_bytes);
    else
        return true;
    return false;
}

static clattn_status make_plan(work *work)
{
    const settings *s = work->settings;
    const clattn_smooth_desc desc = {
        .height = work->picture.height,
        .width = work->picture.width,
        .agent_height = s->agents[0],
        .agent_width = s->agents[1],
        .sigma_color = (float)s->sigma_color,
        .sigma_space = (float)s->sigma_space,
        .rounds_plus_one = (int32_t)s->rounds + 1,
        .detail = (float)s->detail,
    };
    return clattn_smooth_plan(work->ctx, &desc, &work->plan);
}

/* The pixels of work->rgb to the device, through the filter, and back. */
static clattn_status filter(work *work)
{
    const int64_t pixels = work->picture.height * work->picture.width;
    const uint64_t bytes = (uint64_t)pixels * PIXEL_BYTES;
    const double start = seconds_now();
    clattn_status status = clattn_memory_write(work->ctx, &work->input, 0, work->rgb, bytes);
    if (status == CLATTN_OK) {
        const clattn_tensor input = clattn_tensor_tokens(work->input, 1, pixels, 1, 3);
        const clattn_tensor output = clattn_tensor_tokens(work->output, 1, pixels, 1, 3);
        status = clattn_smooth_run(work->plan, work->workspace, &input, &output, NULL, NULL);
    }
    if (status == CLATTN_OK)
        status = clattn_memory_read(work->ctx, &work->output, 0, work->rgb, bytes);
    work->seconds = seconds_now() - start;
    return status;
}

/* Device memory for the picture. */
static clattn_status make_memory(work *work)
{
    const uint64_t bytes =
        (uint64_t)work->picture.height * (uint64_t)work->picture.width * PIXEL_BYTES;
    clattn_status status = clattn_workspace_create(work->plan, &work->workspace);
    if (status == CLATTN_OK)
        status = clattn_memory_alloc(work->ctx, bytes, &work->input);
    if (status == CLATTN_OK)
        status = clattn_memory_alloc(work->ctx, bytes, &work->output);
    return status;
}

/* Opens both pictures and the device: all that can be refused is refused before the first pixel is decoded. */
static int prepare(work *work, const char *in, const char *out)
{
    picture_error error;
    if (!picture_open(&work->picture, in, &error) ||
        !picture_output_begin(&work->picture, out, &error))
        return fail(work, error.text);
    const int64_t height = work->picture.height, width = work->picture.width;
    if (height > MOST_PIXELS / width) {
        snprintf(error.text, sizeof error.text,
                 "%s: too large: %" PRId64 " x %" PRId64 " pixels, and at most %" PRId64
                 " can be smoothed",
                 in, width, height, MOST_PIXELS);
        return fail(work, error.text);
    }
    clattn_status status = command_device_open(work->cmd, &work->settings->device, &work->ctx);
    if (status != CLATTN_OK)
        return 1;
    status = make_plan(work);
    if (status != CLATTN_OK)
        return fail_library(work, status);
    if (!fits(work, &error))
        return fail(work, error.text);
    status = make_memory(work);
    if (status != CLATTN_OK)
        return fail_library(work, status);
    work->rgb = malloc((size_t)height * (size_t)width * PIXEL_BYTES);
    return work->rgb ? 0 : fail_library(work, CLATTN_E_NOMEM);
}

static int smooth(work *work, const char *in, const char *out)
{
    picture_error error;
    const int code = prepare(work, in, out);
    if (code != 0)
        return code;
    if (!picture_read(&work->picture, work->rgb, show_reading, &error))
        return fail(work, error.text);
    const clattn_status status = filter(work);
    if (status != CLATTN_OK)
        return fail_library(work, status);
    if (!picture_write(&work->picture, work->rgb, show_writing, &error))
        return fail(work, error.text);
    command_progress(1);

    char seconds[32];
    const clattn_device *device = clattn_context_device(work->ctx);
    printf("%s: %" PRId64 " x %" PRId64 " pixels smoothed through %" PRId64 " x %" PRId64
           " agents on %s in %s s\n",
           out, work->picture.width, work->picture.height, work->settings->agents[0],
           work->settings->agents[1], device->name,
           command_number_print(seconds, sizeof seconds, work->seconds, 3));
    if (work->picture.pages > 1)
        printf("%s: the first of %" PRId64 " pages was read\n", in, work->picture.pages);
    return 0;
}

static void release(work *work)
{
    free(work->rgb);
    if (work->ctx) {
        clattn_context_finish(work->ctx);
        clattn_memory_free(work->ctx, &work->output);
        clattn_memory_free(work->ctx, &work->input);
    }
    clattn_workspace_destroy(&work->workspace);
    clattn_plan_destroy(&work->plan);
    clattn_context_destroy(&work->ctx);
    picture_close(&work->picture);
}

int clattn_command_smooth(int argc, char **argv)
{
    settings s = {
        .agents = {24, 24}, .sigma_color = 0.08, .sigma_space = 0.04, .detail = 0, .rounds = 3};
    command_device_init(&s.device);
    const command_option options[] = {
        {"--agents", "AxB", COMMAND_PAIR, s.agents, 1, 1024,
         "rows x columns of agents; more keep more (24x24)"},
        {"--sigma-color", "S", COMMAND_NUMBER, &s.sigma_color, 1e-3, 1e3,
         "colour difference that counts as an edge, of 0 .. 1 (0.08)"},
        {"--sigma-space", "S", COMMAND_NUMBER, &s.sigma_space, 1e-3, 1e3,
         "reach, as a part of the longer side (0.04)"},
        {"--rounds", "R", COMMAND_COUNT, &s.rounds, 0, 100, "refinements of the agents (3)"},
        {"--detail", "D", COMMAND_NUMBER, &s.detail, 0, 1,
         "how much of what was smoothed away to put back, 0 .. 1 (0)"},
        COMMAND_DEVICE_OPTION(s.device),
    };
    const command cmd = {
        .name = "smooth",
        .operands = "IN OUT",
        .about = "Smooths a picture and keeps its edges. Reads JPEG, PNG, TIFF, WebP and what else "
                 "libvips knows;\n"
                 "writes what the suffix of OUT says. OUT may be IN.\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_operands = 2,
        .most_operands = 2,
    };
    int operands = 0;
    const int code = command_parse(&cmd, argc, argv, &operands);
    if (code != COMMAND_CONTINUE)
        return code;

    work work = {.cmd = &cmd, .settings = &s, .picture = {.output = -1}};
    picture_error error;
    if (!picture_library_begin(argv[0], &error))
        return fail(&work, error.text);
    const int result = smooth(&work, argv[1], argv[2]);
    release(&work);
    picture_library_end();
    return result;
}
