/*
 * What tiling costs and what a second device brings, as medians and ratios of turns in one run; judges nothing (no timed test).
 *
 *     speed_tile cost [SIDE] [MIB] [ROUNDS] [default]   smoothing SIDE x SIDE pixels from host array to host array: tiled in MIB, and
 *                                                      untiled; `default`: with the filter's own agents and refinements
 *     speed_tile scale [MIB] [ROUNDS]           smoothing 1 to 64 megapixels in MIB: time per pixel, later runs and the first
 *     speed_tile devices [SIDE] [AGENTS] [ROUNDS]   agent attention on one and on two sub-devices of one core each
 *     speed_tile once HEIGHT WIDTH [MIB]        smoothing once, for whoever watches the memory of the process
 *
 * Defaults: 4096 64 5, 64 3, 384 144 5, 256. Smoothing is by 8 x 8 agents without rounds: as little work per pixel as there is.
 * Each run tells its longest launch on stderr. CL device: CLATTN_TEST_DEVICE's, else the best one.
 */
#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"
#include "speed.h"

#define MOST_ROUNDS 101
#define PATTERN                                                                                    \
    ((size_t)12 << 20) /* bytes of the picture that repeats, at most: it stays in a cache */

static void say(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    if (level < CLATTN_LOG_DEBUG || strstr(text, "launches") != NULL)
        fprintf(stderr, "speed_tile: %s\n", text);
}

static const clattn_context_params params = {.log = {.fn = say, .level = CLATTN_LOG_DEBUG}};

static cl_device_id device_wanted(void)
{
    const char *part = getenv("CLATTN_TEST_DEVICE");
    clattn_device *devices = NULL;
    size_t count = 0;
    cl_device_id id = NULL;

    need(clattn_device_list(NULL, &devices, &count) == CLATTN_OK && count > 0, "the device list");
    const int best = clattn_device_best(devices, count);
    need(best >= 0, "finding a usable device");
    id = devices[best].id;
    for (size_t i = 0; part != NULL && i < count; i++)
        if (strstr(devices[i].name, part) != NULL)
            id = devices[i].id;
    clattn_device_list_free(&devices);
    return id;
}

/* ---- a source that makes its data up: a random picture that repeats, copied row by row ---- */

typedef struct pattern {
    float *values; /* side x side x channels */
    int64_t side, channels;
} pattern;

static pattern pattern_make(int64_t channels)
{
    int64_t side = 1;
    while ((size_t)(4 * side * side * channels) * sizeof(float) <= PATTERN)
        side *= 2;
    const size_t count = (size_t)(side * side * channels);
    pattern p = {malloc(count * sizeof(float)), side, channels};
    uint32_t state = 1;

    need(p.values != NULL, "malloc");
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        p.values[i] = (float)(state >> 8) / 16777216.0f;
    }
    return p;
}

static int pattern_fill(void *user, clattn_tile_input input, const clattn_tile_rect *rect,
                        float *target, int64_t row_stride)
{
    const pattern *p = user;

    (void)input;
    for (int64_t y = 0; y < rect->height; y++) {
        const float *row = p->values + (rect->y + y) % p->side * p->side * p->channels;
        float *to = target + y * row_stride;
        for (int64_t x = 0, run; x < rect->width; x += run) {
            const int64_t at = (rect->x + x) % p->side;
            run = p->side - at < rect->width - x ? p->side - at : rect->width - x;
            memcpy(to + x * p->channels, row + at * p->channels,
                   (size_t)(run * p->channels) * sizeof(float));
        }
    }
    return 0;
}

static int forget(void *user, const clattn_tile_rect *rect, const float *data, int64_t row_stride)
{
    (void)user, (void)rect, (void)data, (void)row_stride;
    return 0;
}

/* ---- cost ---- */

typedef struct untiled {
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_memory in, out;
} untiled;

static void untiled_make(clattn_context *ctx, const clattn_smooth_desc *d, untiled *u)
{
    const uint64_t bytes = (uint64_t)(d->height * d->width) * 3 * sizeof(float);

    *u = (untiled){0};
    need(clattn_smooth_plan(ctx, d, &u->plan) == CLATTN_OK, "the untiled plan");
    need(clattn_workspace_create(u->plan, &u->ws) == CLATTN_OK, "the workspace");
    need(clattn_memory_alloc(ctx, bytes, &u->in) == CLATTN_OK &&
             clattn_memory_alloc(ctx, bytes, &u->out) == CLATTN_OK,
         "device memory");
}

static double untiled_run(clattn_context *ctx, const clattn_smooth_desc *d, const untiled *u,
                          const float *rgb, float *result)
{
    const int64_t pixels = d->height * d->width;
    const uint64_t bytes = (uint64_t)pixels * 3 * sizeof(float);
    const clattn_tensor in = clattn_tensor_tokens(u->in, 1, pixels, 1, 3);
    const clattn_tensor out = clattn_tensor_tokens(u->out, 1, pixels, 1, 3);
    const double start = now();

    need(clattn_memory_write(ctx, &u->in, 0, rgb, bytes) == CLATTN_OK, "writing");
    need(clattn_smooth_run(u->plan, u->ws, &in, &out, NULL, NULL) == CLATTN_OK, "the run");
    need(clattn_memory_read(ctx, &u->out, 0, result, bytes) == CLATTN_OK, "reading");
    return now() - start;
}

static double tiled_run(clattn_tiling *tiling, const clattn_tile_io *io)
{
    const double start = now();
    need(clattn_tiling_run(tiling, io) == CLATTN_OK, "the tiled run");
    return now() - start;
}

static void cost(clattn_context *ctx, int64_t side, int64_t mib, int rounds, int defaults)
{
    clattn_smooth_desc d = {
        .height = side, .width = side, .agent_height = 8, .agent_width = 8, .rounds_plus_one = 1};
    const clattn_tile_options options = {.device_bytes = (uint64_t)mib << 20,
                                         .host_bytes = (uint64_t)mib << 20};
    const int64_t pixels = side * side;
    const size_t bytes = (size_t)pixels * 3 * sizeof(float);
    if (defaults)
        d.agent_height = d.agent_width = d.rounds_plus_one = 0;
    float *rgb = malloc(bytes);
    float *a = malloc(bytes);
    float *b = malloc(bytes);
    double whole[MOST_ROUNDS], tiles[MOST_ROUNDS];
    clattn_tiling *tiling = NULL;
    clattn_tiling_info info;
    untiled u;

    need(rgb != NULL && a != NULL && b != NULL, "malloc");
    pattern p = pattern_make(3);
    const clattn_tile_rect all = {.height = side, .width = side};
    pattern_fill(&p, CLATTN_TILE_RGB, &all, rgb, side * 3);
    const clattn_memory from = {.host = rgb, .bytes = bytes};
    const clattn_memory to = {.host = b, .bytes = bytes};
    const clattn_tensor in = clattn_tensor_tokens(from, 1, pixels, 1, 3);
    const clattn_tensor out = clattn_tensor_tokens(to, 1, pixels, 1, 3);
    clattn_tile_arrays arrays = {.v = &in, .out = &out, .width = side};
    const clattn_tile_io io = {.source = clattn_tile_arrays_source(&arrays),
                               .sink = clattn_tile_arrays_sink(&arrays)};

    need(clattn_smooth_tiling_create(&ctx, 1, &d, &options, &tiling) == CLATTN_OK, "the tiling");
    clattn_tiling_get_info(tiling, &info);
    untiled_make(ctx, &d, &u);
    for (int i = -1; i < rounds; i++) { /* the first turn warms up */
        const double seconds[2] = {untiled_run(ctx, &d, &u, rgb, a), tiled_run(tiling, &io)};
        if (i >= 0) {
            whole[i] = seconds[0];
            tiles[i] = seconds[1];
        }
    }
    need(memcmp(a, b, bytes) == 0, "comparing the bits of both");
    const double w = median(whole, rounds);
    const double t = median(tiles, rounds);
    printf("%lld x %lld pixels, %lld tiles in %lld passes, %.1f MiB: tiled %.2f s, untiled %.2f s, "
           "ratio %.3f (medians of %d turns; same bits)\n",
           (long long)side, (long long)side, (long long)info.tiles, (long long)info.passes,
           (double)info.device_bytes / 1048576.0, t, w, t / w, rounds);
    free(rgb);
    free(a);
    free(b);
    free(p.values);
    clattn_tiling_destroy(&tiling);
    clattn_workspace_destroy(&u.ws);
    clattn_plan_destroy(&u.plan);
    clattn_memory_free(ctx, &u.in);
    clattn_memory_free(ctx, &u.out);
}

/* ---- scale ---- */

static clattn_tiling *square_tiling(clattn_context *ctx, int64_t side, int64_t mib)
{
    const clattn_smooth_desc d = {
        .height = side, .width = side, .agent_height = 8, .agent_width = 8, .rounds_plus_one = 1};
    const clattn_tile_options options = {.device_bytes = (uint64_t)mib << 20,
                                         .host_bytes = (uint64_t)mib << 20};
    clattn_tiling *tiling = NULL;

    need(clattn_smooth_tiling_create(&ctx, 1, &d, &options, &tiling) == CLATTN_OK, "the tiling");
    return tiling;
}

/* The first run of a tiling makes its buffers. Later ones of small pictures count as one turn together, about as long as any. */
static void scale(clattn_context *ctx, int64_t mib, int rounds)
{
    static const int64_t sides[] = {1024, 1448, 2048, 2896, 4096, 5792, 8192};
    enum { SIDES = sizeof sides / sizeof *sides };
    const double turn = 8e6; /* pixels, at least */
    clattn_tiling *tilings[SIDES];
    double first[SIDES], seconds[SIDES][MOST_ROUNDS];
    pattern p = pattern_make(3);
    const clattn_tile_io io = {.source = {.fill = pattern_fill, .user = &p},
                               .sink = {.take = forget}};
    clattn_tiling *builds_programs = square_tiling(ctx, sides[0], mib);

    tiled_run(builds_programs, &io);
    clattn_tiling_destroy(&builds_programs);
    for (int i = 0; i < SIDES; i++) {
        tilings[i] = square_tiling(ctx, sides[i], mib);
        first[i] = tiled_run(tilings[i], &io);
    }
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < SIDES; i++) {
            const int runs = (int)ceil(turn / (double)(sides[i] * sides[i]));
            double sum = 0.0;
            for (int k = 0; k < runs; k++)
                sum += tiled_run(tilings[i], &io);
            seconds[i][r] = sum / runs;
        }
    printf("| megapixels | tiles | seconds | ns per pixel | in the first run "
           "|\n|---|---|---|---|---|\n");
    for (int i = 0; i < SIDES; i++) {
        clattn_tiling_info info;
        const double pixels = (double)(sides[i] * sides[i]);
        clattn_tiling_get_info(tilings[i], &info);
        const double s = median(seconds[i], rounds);
        printf("| %.0f | %lld | %.2f | %.1f | %.1f |\n", pixels / 1048576.0, (long long)info.tiles,
               s, 1e9 * s / pixels, 1e9 * first[i] / pixels);
        clattn_tiling_destroy(&tilings[i]);
    }
    free(p.values);
}

/* ---- once ---- */

static void once(clattn_context *ctx, int64_t height, int64_t width, int64_t mib)
{
    const clattn_smooth_desc d = {.height = height,
                                  .width = width,
                                  .agent_height = 8,
                                  .agent_width = 8,
                                  .rounds_plus_one = 1};
    const clattn_tile_options options = {.device_bytes = (uint64_t)mib << 20,
                                         .host_bytes = (uint64_t)mib << 20};
    clattn_tiling *tiling = NULL;
    clattn_tiling_info info;
    pattern p = pattern_make(3);
    const clattn_tile_io io = {.source = {.fill = pattern_fill, .user = &p},
                               .sink = {.take = forget}};

    need(clattn_smooth_tiling_create(&ctx, 1, &d, &options, &tiling) == CLATTN_OK, "the tiling");
    clattn_tiling_get_info(tiling, &info);
    const double seconds = tiled_run(tiling, &io);
    printf("%lld x %lld pixels, %lld tiles, %.1f MiB: %.1f s\n", (long long)height,
           (long long)width, (long long)info.tiles, (double)info.host_bytes / 1048576.0, seconds);
    clattn_tiling_destroy(&tiling);
    free(p.values);
}

/* ---- devices ---- */

static void devices(cl_device_id device, int64_t side, int64_t agents, int rounds)
{
    const cl_device_partition_property by_one[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_device_id parts[2];
    cl_uint count = 0;
    clattn_context *ctx[2];
    clattn_tiling *one = NULL;
    clattn_tiling *two = NULL;
    double alone[MOST_ROUNDS], both[MOST_ROUNDS], ratio[MOST_ROUNDS];
    int64_t agent_side = 1;

    while (agent_side * agent_side < agents)
        agent_side++;
    const clattn_agent_attention_desc d = {.batch = 1,
                                           .heads = 4,
                                           .head_dim = 64,
                                           .height = side,
                                           .width = side,
                                           .agent_height = agent_side,
                                           .agent_width = agent_side};
    pattern p = pattern_make(d.heads * d.head_dim);
    const clattn_tile_io io = {.source = {.fill = pattern_fill, .user = &p},
                               .sink = {.take = forget}};

    need(clCreateSubDevices(device, by_one, 2, parts, &count) == CL_SUCCESS && count >= 2,
         "splitting the device in two (it needs two cores)");
    for (int i = 0; i < 2; i++)
        need(clattn_context_create(parts[i], &params, &ctx[i]) == CLATTN_OK, "a context");
    need(clattn_tiling_create(ctx, 1, &d, NULL, NULL, &one) == CLATTN_OK &&
             clattn_tiling_create(ctx, 2, &d, NULL, NULL, &two) == CLATTN_OK,
         "the tilings");
    tiled_run(two, &io);
    for (int i = 0; i < rounds; i++) {
        alone[i] = tiled_run(one, &io);
        both[i] = tiled_run(two, &io);
        ratio[i] = alone[i] / both[i];
    }
    const double a = median(alone, rounds);
    const double b = median(both, rounds);
    printf(
        "%lld x %lld tokens, 4 heads x 64, %lld agents: one core %.2f s, two sub-devices %.2f s, "
        "%.2f x (median of %d pairs)\n",
        (long long)side, (long long)side, (long long)(agent_side * agent_side), a, b,
        median(ratio, rounds), rounds);
    clattn_tiling_destroy(&one);
    clattn_tiling_destroy(&two);
    clattn_context_destroy(&ctx[0]);
    clattn_context_destroy(&ctx[1]);
    clReleaseDevice(parts[0]);
    clReleaseDevice(parts[1]);
    free(p.values);
}

static int64_t number(int argc, char **argv, int i, int64_t otherwise)
{
    return argc > i ? atoll(argv[i]) : otherwise;
}

static int rounds_of(int argc, char **argv, int i, int64_t otherwise)
{
    const int64_t rounds = number(argc, argv, i, otherwise);
    need(rounds >= 1 && rounds <= MOST_ROUNDS, "reading ROUNDS");
    return (int)rounds;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    clattn_context *ctx = NULL;
    const cl_device_id device = device_wanted();

    if (strcmp(what, "devices") == 0) {
        devices(device, number(argc, argv, 2, 384), number(argc, argv, 3, 144),
                rounds_of(argc, argv, 4, 5));
        return 0;
    }
    need(strcmp(what, "cost") == 0 || strcmp(what, "scale") == 0 || strcmp(what, "once") == 0,
         "reading the first argument (cost, scale, devices or once)");
    need(clattn_context_create(device, &params, &ctx) == CLATTN_OK, "the context");
    if (strcmp(what, "once") == 0)
        once(ctx, number(argc, argv, 2, 64), number(argc, argv, 3, 64), number(argc, argv, 4, 256));
    else if (strcmp(what, "cost") == 0)
        cost(ctx, number(argc, argv, 2, 4096), number(argc, argv, 3, 64),
             rounds_of(argc, argv, 4, 5), argc > 5);
    else
        scale(ctx, number(argc, argv, 2, 64), rounds_of(argc, argv, 3, 3));
    clattn_context_destroy(&ctx);
    return 0;
}
