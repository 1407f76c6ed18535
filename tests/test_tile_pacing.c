/*
 * Every launch of a tiled run is cut, and a cancelled run launches nothing more. The launches are counted where they are made: in
 * the table of OpenCL functions, or in the loops of the CPU path. One launch is held until progress has been asked and has cancelled,
 * so that it happens in the middle of the step that is meant, whatever the machine's speed. Runs on the first device with its wide
 * shape, and on the CPU path.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "cl/api.h"
#include "contexts.h"
#include "tile_run.h"

#define KERNELS     16
#define CPU_LOOPS   "loops of the CPU path"
#define POINTS      9 /* of the CPU path, whose loops have no names */
#define MILLISECOND 1000000
#define LATER       (50 * MILLISECOND) /* from the answer of progress to the engine's knowing it */
#define TINY_MS     1e-6               /* every block is a launch */

static contexts_entry entry;
static clattn_context *ctx[2];
static clattn__cl_api loaded, counting;
static const clattn__cl_api *real;

/* Launches of lanes, by kernel; those of the calling thread (between passes) are short, and nobody could cancel them. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    pthread_t caller;
    int kernels;
    struct {
        char name[64];
        int launches;
    } of[KERNELS];
    int objects;
    struct {
        cl_kernel kernel;
        int index;
    } object[4096];

    const char *target; /* hold this kernel's launch number `at`, counted from 1 */
    int at;
    bool held, cancelled;
    bool known; /* to the engine, too */
    int after;  /* launches begun since */
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};

static int index_of(const char *name)
{
    for (int i = 0; i < seen.kernels; i++)
        if (strcmp(seen.of[i].name, name) == 0)
            return i;
    assert_true(seen.kernels < KERNELS);
    snprintf(seen.of[seen.kernels].name, sizeof seen.of[0].name, "%s", name);
    return seen.kernels++;
}

/* Devices have kernels of their own for one job: agent_merge, agent_merge_wide. */
static bool does(const char *kernel, const char *job)
{
    return strncmp(kernel, job, strlen(job)) == 0;
}

static int launches_of(const char *job)
{
    int launches = 0;
    for (int i = 0; i < seen.kernels; i++)
        launches += does(seen.of[i].name, job) ? seen.of[i].launches : 0;
    return launches;
}

static void forget(const char *target, int at)
{
    for (int i = 0; i < seen.kernels; i++)
        seen.of[i].launches = 0;
    seen.after = 0;
    seen.target = target;
    seen.at = at;
    seen.held = seen.cancelled = seen.known = false;
    seen.caller = pthread_self();
}

/* A launch of kernel `index` begins. */
static void begins(int index)
{
    if (pthread_equal(pthread_self(), seen.caller))
        return;
    pthread_mutex_lock(&seen.lock);
    const int number = ++seen.of[index].launches;
    seen.after += seen.known;
    if (seen.target != NULL && does(seen.of[index].name, seen.target) && number == seen.at) {
        seen.held = true;
        while (!seen.cancelled)
            pthread_cond_wait(&seen.answered, &seen.lock);
        pthread_mutex_unlock(&seen.lock);
        nanosleep(&(struct timespec){.tv_nsec = LATER}, NULL);
        pthread_mutex_lock(&seen.lock);
        seen.known = true;
    }
    pthread_mutex_unlock(&seen.lock);
}

static int progress(void *user, double fraction)
{
    (void)user, (void)fraction;
    pthread_mutex_lock(&seen.lock);
    const bool cancel = seen.held;
    seen.cancelled |= cancel;
    pthread_cond_broadcast(&seen.answered);
    pthread_mutex_unlock(&seen.lock);
    return cancel;
}

/* ---- where launches are made ---- */

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *error)
{
    const cl_kernel kernel = real->clCreateKernel(program, name, error);
    int at = 0;

    pthread_mutex_lock(&seen.lock);
    while (at < seen.objects && seen.object[at].kernel != kernel)
        at++;
    assert_true(at < (int)(sizeof seen.object / sizeof *seen.object));
    seen.objects = at == seen.objects ? at + 1 : seen.objects;
    seen.object[at].kernel = kernel;
    seen.object[at].index = index_of(name);
    pthread_mutex_unlock(&seen.lock);
    return kernel;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                  const size_t *first, const size_t *global, const size_t *local,
                                  cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    int at = 0;

    pthread_mutex_lock(&seen.lock);
    while (seen.object[at].kernel != kernel)
        at++;
    const int index = seen.object[at].index;
    pthread_mutex_unlock(&seen.lock);
    begins(index);
    return real->clEnqueueNDRangeKernel(queue, kernel, dimensions, first, global, local, wait_count,
                                        wait, event);
}

static void loop(void *user, int64_t count, void (*fn)(void *arg, int64_t i), void *arg)
{
    begins(*(int *)user);
    for (int64_t i = 0; i < count; i++)
        fn(arg, i);
}

static int cpu_index;
static int open_contexts(void **state)
{
    const clattn_context_params params = {.parallel_for = entry.device == NULL ? loop : NULL,
                                          .parallel_user = &cpu_index};
    (void)state;
    seen.kernels = seen.objects = 0;
    if (entry.device == NULL)
        cpu_index = index_of(CPU_LOOPS);
    else
        clattn__cl_api_hook = &counting;
    for (int i = 0; i < 2; i++)
        ctx[i] = contexts_open(&entry, &params);
    clattn__cl_api_hook = NULL;
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        clattn_context_destroy(&ctx[i]);
    return 0;
}

/* ---- runs ---- */

typedef struct paced {
    clattn_tiling *tiling;
    clattn_tile_io io;
    clattn_tiling_info info;
    size_t devices;
    float *untiled, *tiled;
    int64_t floats;
} paced;

static void run_right(paced *p)
{
    for (int64_t i = 0; i < p->floats; i++)
        p->tiled[i] = NAN;
    assert_int_equal(clattn_tiling_run(p->tiling, &p->io), CLATTN_OK);
    check_same_bits("paced", "tiled", p->tiled, p->untiled, p->floats);
}

/* In the middle of `kernel`'s launches, of which each run makes another number: nothing follows but what lanes had in hand. */
static void cancel_at(paced *p, const char *kernel, int at, int total)
{
    const int lanes = (int)p->devices * p->info.in_flight;

    forget(kernel, at);
    assert_int_equal(clattn_tiling_run(p->tiling, &p->io), CLATTN_E_CANCELLED);
    if (seen.after > lanes)
        fail_msg("%d launches after a run of %d lanes was cancelled in launch %d of %d of %s",
                 seen.after, lanes, at, total, kernel);
    forget(NULL, 0);
    run_right(p);
}

/* Each kernel must have been launched at least `least` times: it is cut. */
static void cancel_everywhere(paced *p, const char *const *kernels, int least)
{
    static const char *const loops[] = {CPU_LOOPS, NULL};

    p->io.progress = progress;
    forget(NULL, 0);
    run_right(p);
    int points = 1;
    if (entry.device == NULL) {
        kernels = loops;
        points = POINTS;
    }
    for (; *kernels != NULL; kernels++) {
        forget(NULL, 0);
        run_right(p);
        const int total = launches_of(*kernels);
        print_message("    %5d launches of %s\n", total, *kernels);
        if (total < least)
            fail_msg("%s was launched %d times; it is not cut", *kernels, total);
        for (int i = 1; i <= points; i++)
            cancel_at(p, *kernels, total * i / (points + 1), total);
    }
    clattn_tiling_destroy(&p->tiling);
}

/* ---- forms ---- */

/* A convolution that is not fused, and several leaves. */
static case_agent large_case(void)
{
    return (case_agent){.desc = {.batch = 1,
                                 .heads = 2,
                                 .head_dim = 8,
                                 .height = 96,
                                 .width = 75,
                                 .class_tokens = 2,
                                 .agent_height = 4,
                                 .agent_width = 4,
                                 .dwc_size = 7}};
}

/* `whole`: with as much memory as there is; else in the least. */
static void run_case(const case_agent *c, size_t devices, bool whole, const char *const *kernels,
                     int least)
{
    clattn_tile_options options = {.launch_ms = TINY_MS};
    paced p = {.devices = devices, .floats = case_agent_count(c, STEP_WHOLE)};
    case_agent_data data;
    tile_case_io all;
    agent_run run;

    p.tiled = calloc((size_t)p.floats, sizeof *p.tiled);
    p.untiled = calloc((size_t)p.floats, sizeof *p.untiled);
    case_agent_fill(c, fill_seed(), &data);
    agent_run_open(&run, ctx[0], GUARD_TOKENS, c, &data);
    agent_run_step(&run, STEP_WHOLE, p.untiled);
    agent_run_close(&run);
    tile_case_open(c, &data, p.tiled, &all);
    p.io = all.io;
    for (int turn = 0; turn < 2; turn++) {
        clattn_tiling_destroy(&p.tiling);
        assert_int_equal(
            clattn_tiling_create(ctx, devices, &c->desc, &all.weights, &options, &p.tiling),
            CLATTN_OK);
        clattn_tiling_get_info(p.tiling, &p.info);
        options.device_bytes = whole ? 0 : 2 * p.info.smallest_bytes;
    }
    assert_int_equal(p.info.passes, whole ? 1 : 3);
    cancel_everywhere(&p, kernels, least);
    free(p.untiled);
    free(p.tiled);
    case_agent_free(&data);
}

#define IN_PASSES "agent_pool_partial", "agent_aggregate", "agent_broadcast", "dwc"
static const char *const in_passes[] = {IN_PASSES, NULL};

static void streamed(void **state)
{
    const case_agent c = large_case();

    (void)state;
    for (size_t devices = 1; devices <= 2; devices++)
        run_case(&c, devices, false, in_passes, 16);
}

static void whole_picture(void **state)
{
    static const char *const kernels[] = {IN_PASSES, "agent_pool_merge", "agent_merge", NULL};
    const case_agent c = large_case();

    (void)state;
    run_case(&c, 1, true, kernels, 16);
}

static void windows(void **state)
{
    case_agent c = large_case();

    (void)state;
    c.desc.batch = 2;
    c.desc.height = 96;
    c.desc.width = 64;
    c.desc.class_tokens = 0;
    c.desc.window_height = c.desc.window_width = 16;
    c.desc.shift_y = 3;
    for (size_t devices = 1; devices <= 2; devices++)
        run_case(&c, devices, true, in_passes, 48); /* windows */
}

static void smoothing(void **state)
{
    enum { H = 120, W = 97, FLOATS = H * W * 3 };
    /* Features come with their norms. */
    static const char *const kernels[] = {"smooth_features", "agent_pool_partial",
                                          "agent_aggregate", "agent_broadcast", NULL};
    const clattn_smooth_desc d = {
        .height = H, .width = W, .agent_height = 3, .agent_width = 3, .rounds_plus_one = 2};
    fill_random random = {fill_seed()};
    float *rgb = fill_new(&random, FILL_UNIFORM, FLOATS);
    float *untiled = calloc(FLOATS, sizeof *untiled);
    float *tiled = calloc(FLOATS, sizeof *tiled);
    const clattn_memory from = {.host = rgb, .bytes = FLOATS * sizeof *rgb};
    const clattn_memory to = {.host = tiled, .bytes = FLOATS * sizeof *rgb};
    const clattn_tensor in = clattn_tensor_tokens(from, 1, H * W, 1, 3);
    const clattn_tensor out = clattn_tensor_tokens(to, 1, H * W, 1, 3);
    clattn_tile_arrays arrays = {.v = &in, .out = &out, .width = W};
    const clattn_tile_options options = {.launch_ms = TINY_MS};
    paced p = {.devices = 1,
               .io = {.source = clattn_tile_arrays_source(&arrays),
                      .sink = clattn_tile_arrays_sink(&arrays)},
               .untiled = untiled,
               .tiled = tiled,
               .floats = FLOATS};

    (void)state;
    tile_smooth_untiled(ctx[0], &d, rgb, untiled);
    assert_int_equal(clattn_smooth_tiling_create(ctx, 1, &d, &options, &p.tiling), CLATTN_OK);
    clattn_tiling_get_info(p.tiling, &p.info);
    cancel_everywhere(&p, kernels, 16);
    free(rgb);
    free(untiled);
    free(tiled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(streamed, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(whole_picture, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(windows, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(smoothing, open_contexts, close_contexts),
    };
    contexts_list list;
    int failed = 0;

    alarm(280);
    contexts_find(false, &list);
    for (int i = 0; i < list.count; i++) {
        entry = list.entries[i];
        if (entry.device != NULL) {
            if (entry.shape != CLATTN_SHAPE_WIDE)
                continue;
            if (clattn__cl_api_get(NULL, &loaded, &real) != CLATTN_OK)
                return 1;
            counting = *real;
            counting.clCreateKernel = create_kernel;
            counting.clEnqueueNDRangeKernel = enqueue;
        }
        print_message("%s\n", entry.name);
        failed += cmocka_run_group_tests_name(entry.name, tests, NULL, NULL);
    }
    return list.count == 0 ? contexts_none() : failed;
}
