/* clattn smooth: edge-preserving smoothing of a picture by agent attention (include/clattn/filter.h). */
#include "smooth.h"

#include <inttypes.h>
#include <stdio.h>

#include "replace.h"
#include "stop.h"

/* As a whole; in tiles there may be more. */
#define MOST_PIXELS INT64_C(0x7fffffff)

int smooth_fail(smooth_work *work, const char *sentence)
{
    command_progress(1);
    command_error(work->cmd, "%s", sentence);
    return 1;
}

int smooth_fail_library(smooth_work *work, clattn_status status)
{
    command_progress(1);
    return command_fail(work->cmd, &work->settings->device, status);
}

clattn_smooth_desc smooth_desc(const smooth_work *work)
{
    const smooth_settings *s = work->settings;
    return (clattn_smooth_desc){
        .height = work->picture.height,
        .width = work->picture.width,
        .agent_height = s->agents[0],
        .agent_width = s->agents[1],
        .sigma_color = (float)s->sigma_color,
        .sigma_space = (float)s->sigma_space,
        .rounds_plus_one = (int32_t)s->rounds + 1,
        .detail = (float)s->detail,
    };
}

/* Opens both pictures and the devices. What can be refused is refused before the first pixel is decoded. */
static int prepare(smooth_work *work, const char *in)
{
    picture_error error;
    if (!picture_open(&work->picture, in, &error) ||
        !picture_output_begin(&work->picture, work->out, &error))
        return smooth_fail(work, error.text);
    const clattn_status status =
        command_devices_open(work->cmd, &work->settings->device, &work->contexts);
    replace_guard();
    return status == CLATTN_OK ? 0 : 1;
}

/* As a whole where nothing speaks against it: it is read once. */
static int smooth(smooth_work *work)
{
    const bool asked = work->settings->memory != 0 || work->contexts.count > 1;
    if (asked || work->picture.height > MOST_PIXELS / work->picture.width)
        return smooth_tiled(work);
    const clattn_smooth_desc desc = smooth_desc(work);
    const clattn_status status = clattn_smooth_plan(work->contexts.list[0], &desc, &work->plan);
    if (status != CLATTN_OK)
        return smooth_fail_library(work, status);
    if (smooth_fits(work))
        return smooth_whole(work);
    clattn_plan_destroy(&work->plan);
    return smooth_tiled(work);
}

static void report(const smooth_work *work)
{
    char seconds[32];
    const clattn_tiling_info *tiling = &work->tiling;
    printf("%s: %" PRId64 " x %" PRId64 " pixels smoothed through %" PRId64 " x %" PRId64
           " agents on ",
           work->out, work->picture.width, work->picture.height, work->settings->agents[0],
           work->settings->agents[1]);
    for (size_t i = 0; i < work->contexts.count; i++)
        printf("%s%s", i > 0 ? ", " : "", clattn_context_device(work->contexts.list[i])->name);
    printf(" in %s s\n", command_number_print(seconds, sizeof seconds, work->seconds, 3));
    if (tiling->tiles > 0)
        printf("%s: %" PRId64 " tiles in %" PRId32 " passes; %" PRIu64
               " bytes on each device, %" PRIu64 " on the host, about %" PRIu64
               " for reading and writing\n",
               work->out, tiling->tiles, tiling->passes, tiling->device_bytes, tiling->host_bytes,
               work->stream_bytes);
    if (work->picture.pages > 1)
        printf("%s: the first of %" PRId64 " pages was read\n", work->picture.input,
               work->picture.pages);
}

static int run(smooth_work *work, const char *in)
{
    int code = prepare(work, in);
    if (code == 0)
        code = smooth(work);
    command_progress(1);
    if (code == 0)
        report(work);
    clattn_plan_destroy(&work->plan);
    command_devices_close(&work->contexts);
    command_device_end(&work->settings->device);
    picture_close(&work->picture);
    return code;
}

static const char about[] =
    "Smooths a picture and keeps its edges. Reads JPEG, PNG, TIFF, WebP and what else libvips "
    "knows;\n"
    "writes what the suffix of OUT says. OUT may be IN.\n"
    "With --memory, with several devices, and when it is too large for the device, the picture "
    "goes\n"
    "through in tiles, with the same result, and is read several times. JPEG, PNG and TIFF then "
    "need\n"
    "the memory of some hundreds of rows; WebP, AVIF, HEIC, interlaced PNG, progressive JPEG, and\n"
    "what is stored turned unless it is a tiled TIFF, are held whole and must fit into the "
    "budget.\n";

int clattn_command_smooth(int argc, char **argv)
{
    smooth_settings s = {
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
        {"--memory", "BYTES", COMMAND_BYTES, &s.memory, 0, 0,
         "most bytes on each device and on the host, as 800000, 512M or 2G"},
        {"--fast", NULL, COMMAND_FLAG, &s.fast, 0, 0,
         "lets devices of different kinds share a run; its last bits depend on which did what"},
        COMMAND_DEVICES_OPTION(s.device),
        COMMAND_CACHE_OPTION(s.device),
        COMMAND_TUNING_OPTION(s.device),
    };
    const command cmd = {
        .name = "smooth",
        .operands = "IN OUT",
        .about = about,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_operands = 2,
        .most_operands = 2,
    };
    int operands = 0;
    const int code = command_parse(&cmd, argc, argv, &operands);
    if (code != COMMAND_CONTINUE)
        return code;

    smooth_work work = {.cmd = &cmd, .settings = &s, .picture = {.output = -1}, .out = argv[2]};
    picture_error error;
    stop_begin();
    if (!picture_library_begin(argv[0], &error))
        return smooth_fail(&work, error.text);
    const int result = run(&work, argv[1]);
    picture_library_end();
    return result;
}
