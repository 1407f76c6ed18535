/*
 * Eight threads at once. Each with contexts of its own, which come and go; all of them on one context, with plans of their own and with
 * one that they share; tiled runs that are cancelled. And what is waited for fails. Every result that is told to be right has the same
 * bits as when it was alone. Meant for thread sanitizers, too: tests/sanitizers.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/cl.h"
#include "clattn/tile.h"
#include "contexts.h"
#include "fault_ops.h"

#define THREADS 8

static contexts_entry entry;
static float alone[FAULT_OPS][FAULT_RESULT];

/* What a thread works on; cmocka's assertions are for the main thread, so threads tell what went wrong. */
typedef struct worker {
    pthread_t thread;
    int number;
    clattn_context *shared;
    clattn_plan *plan; /* of agent pooling, shared */
    const char *wrong;
    clattn_status status;
} worker;

static clattn_context *open_context(void)
{
    const clattn_context_params params = {.shape = entry.shape, .threads = 2};
    clattn_context *ctx = NULL;
    if (entry.device != NULL)
        clattn_context_create(entry.device, &params, &ctx);
    else
        clattn_context_create_cpu(&params, &ctx);
    return ctx;
}

static void tell(worker *w, const char *what, clattn_status status)
{
    if (w->wrong == NULL) {
        w->wrong = what;
        w->status = status;
    }
}

/* Plans, runs twice, compares, frees. With tensors of its own. */
static void use(worker *w, clattn_context *ctx, fault_op op)
{
    float result[FAULT_RESULT];
    fault_tensors t;
    fault_job job;

    if (fault_tensors_make(&t, ctx) != CLATTN_OK) {
        tell(w, "tensors", CLATTN_E_NOMEM);
        return;
    }
    clattn_status status = fault_job_make(ctx, op, &job);
    for (int i = 0; i < 2 && status == CLATTN_OK; i++)
        status = fault_job_run(&job, &t);
    if (status == CLATTN_OK)
        status = clattn_memory_read(ctx, &t.memory[FAULT_OUT], 0, result, sizeof result);
    if (status != CLATTN_OK)
        tell(w, fault_op_names[op], status);
    else if (memcmp(result, alone[op], sizeof result) != 0)
        tell(w, fault_op_names[op], CLATTN_OK);
    fault_job_end(&job);
    fault_tensors_close(&t);
}

static void *with_contexts(void *user)
{
    worker *w = user;
    for (int turn = 0; turn < 2; turn++) {
        clattn_context *ctx = open_context();
        if (ctx == NULL) {
            tell(w, "no context", CLATTN_E_NODEVICE);
            break;
        }
        use(w, ctx, (fault_op)((w->number + turn) % FAULT_OPS));
        clattn_context_destroy(&ctx);
    }
    return NULL;
}

static void *on_one_context(void *user)
{
    worker *w = user;
    for (int turn = 0; turn < 6; turn++)
        use(w, w->shared, (fault_op)((w->number + turn) % FAULT_OPS));
    return NULL;
}

/* A workspace each. */
static void *with_one_plan(void *user)
{
    worker *w = user;
    float result[FAULT_RESULT];
    fault_tensors t;
    fault_job job = {.op = FAULT_POOL, .plan = w->plan};

    if (fault_tensors_make(&t, w->shared) != CLATTN_OK) {
        tell(w, "tensors", CLATTN_E_NOMEM);
        return NULL;
    }
    for (int turn = 0; turn < 10; turn++) {
        clattn_status status = clattn_workspace_create(w->plan, &job.ws);
        for (int i = 0; i < 3 && status == CLATTN_OK; i++)
            status = fault_job_run(&job, &t);
        if (status == CLATTN_OK)
            status = clattn_memory_read(w->shared, &t.memory[FAULT_OUT], 0, result, sizeof result);
        if (status != CLATTN_OK || memcmp(result, alone[FAULT_POOL], sizeof result) != 0)
            tell(w, "a shared plan", status);
        clattn_workspace_destroy(&job.ws);
    }
    fault_tensors_close(&t);
    return NULL;
}

static void start_all(worker *workers, void *(*work)(void *), clattn_context *shared,
                      clattn_plan *plan)
{
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.number = i, .shared = shared, .plan = plan};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void end_all(worker *workers)
{
    const worker *wrong = NULL;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        wrong = workers[i].wrong != NULL ? &workers[i] : wrong;
    }
    if (wrong != NULL)
        fail_msg("thread %d, %s: %s", wrong->number, wrong->wrong,
                 wrong->status == CLATTN_OK ? "other bits" : clattn_status_name(wrong->status));
}

static void contexts_come_and_go(void **state)
{
    worker workers[THREADS];

    (void)state;
    start_all(workers, with_contexts, NULL, NULL);
    end_all(workers);
}

static void one_context(void **state)
{
    worker workers[THREADS];
    clattn_context *ctx = open_context();
    uint64_t now = 1;

    (void)state;
    assert_non_null(ctx);
    start_all(workers, on_one_context, ctx, NULL);
    end_all(workers);
    clattn_context_destroy(&ctx);
    clattn_context_bytes(ctx, &now, NULL);
    assert_true(now == 0);
}

static void one_plan(void **state)
{
    worker workers[THREADS];
    fault_job job;
    clattn_context *ctx = open_context();

    (void)state;
    assert_non_null(ctx);
    assert_int_equal(fault_job_make(ctx, FAULT_POOL, &job), CLATTN_OK);
    start_all(workers, with_one_plan, ctx, job.plan);
    end_all(workers);
    fault_job_end(&job);
    clattn_context_destroy(&ctx);
}

/* ---- cancelled in flight ---- */

enum { SIDE = 96, PIXELS = SIDE * SIDE };
static float grey[PIXELS * 3];

typedef struct canceller {
    int calls, last;
} canceller;

static int cancel(void *user, double done)
{
    canceller *c = user;
    (void)done;
    return ++c->calls >= c->last;
}

/* Runs the filter in small tiles, cancelled sooner or later; then everything is destroyed at once. */
static void *cancelled(void *user)
{
    worker *w = user;
    float *out = malloc(sizeof grey);
    clattn_context *ctx = open_context();
    const clattn_smooth_desc desc = {
        .height = SIDE, .width = SIDE, .agent_height = 2, .agent_width = 2};
    const clattn_memory from = {.host = grey, .bytes = sizeof grey};
    const clattn_memory to = {.host = out, .bytes = sizeof grey};
    const clattn_tensor input = clattn_tensor_tokens(from, 1, PIXELS, 1, 3);
    const clattn_tensor output = clattn_tensor_tokens(to, 1, PIXELS, 1, 3);
    clattn_tile_arrays arrays = {.v = &input, .out = &output, .width = SIDE};
    clattn_tile_options options = {.in_flight = 3, .concurrent = w->number % 2};

    for (int last = 1; last < 40 && ctx != NULL && out != NULL; last += 6) {
        canceller c = {.last = last + w->number};
        const clattn_tile_io io = {.source = clattn_tile_arrays_source(&arrays),
                                   .sink = clattn_tile_arrays_sink(&arrays),
                                   .progress = cancel,
                                   .progress_user = &c};
        clattn_tiling *tiling = NULL;
        clattn_tiling_info info;
        clattn_status status = clattn_smooth_tiling_create(&ctx, 1, &desc, &options, &tiling);
        clattn_tiling_get_info(tiling, &info);
        options.device_bytes = info.smallest_bytes * 3; /* for the next one */
        if (status == CLATTN_OK)
            status = clattn_tiling_run(tiling, &io);
        if (status != CLATTN_OK && status != CLATTN_E_CANCELLED)
            tell(w, "a cancelled run", status);
        clattn_tiling_destroy(&tiling);
    }
    if (ctx == NULL || out == NULL)
        tell(w, "no context", CLATTN_E_NODEVICE);
    clattn_context_destroy(&ctx);
    free(out);
    return NULL;
}

static void cancelling(void **state)
{
    worker workers[THREADS];

    (void)state;
    for (int i = 0; i < PIXELS * 3; i++)
        grey[i] = 0.5f;
    start_all(workers, cancelled, NULL, NULL);
    end_all(workers);
}

/* ---- destroyed in flight ---- */

/* Memory is freed, and the context destroyed, while runs that use them are queued. */
static void destroying(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        const fault_op op = (fault_op)(i % FAULT_OPS);
        clattn_context *ctx = open_context();
        fault_tensors t;
        fault_job job;
        assert_non_null(ctx);
        fault_tensors_open(&t, ctx);
        assert_int_equal(fault_job_make(ctx, op, &job), CLATTN_OK);
        for (int k = 0; k < 3; k++)
            assert_int_equal(fault_job_enqueue(&job, &t, NULL), CLATTN_OK);
        fault_tensors_close(&t);
        fault_job_end(&job);
        clattn_context_destroy(&ctx);
    }
}

#ifndef CLATTN_OPENCL_RUNTIME
/* A run waits for something that fails: the queue goes on, `done` says so, and the next run is right. */
static void what_is_waited_for_fails(void **state)
{
    clattn_context *ctx = NULL;
    float result[FAULT_RESULT];
    fault_tensors t;
    fault_job job;
    cl_int error = CL_SUCCESS, outcome = CL_SUCCESS;
    cl_event done = NULL;

    (void)state;
    if (entry.device == NULL)
        return;
    cl_device_id device = entry.device;
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &error);
    assert_int_equal(error, CL_SUCCESS);
    const clattn_context_params params = {.shape = entry.shape};
    assert_int_equal(clattn_context_wrap(context, device, queue, &params, &ctx), CLATTN_OK);
    fault_tensors_open(&t, ctx);
    assert_int_equal(fault_job_make(ctx, FAULT_DWC, &job), CLATTN_OK);

    cl_event failing = clCreateUserEvent(context, &error);
    assert_int_equal(error, CL_SUCCESS);
    const clattn_sync sync = {.wait_count = 1, .wait = &failing, .done = &done};
    assert_int_equal(fault_job_enqueue(&job, &t, &sync), CLATTN_OK);
    assert_int_equal(clSetUserEventStatus(failing, -5), CL_SUCCESS);
    (void)clattn_context_finish(ctx); /* drivers differ in what they say of a queue */
    assert_int_equal(
        clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof outcome, &outcome, NULL),
        CL_SUCCESS);
    assert_true(outcome < 0);
    clReleaseEvent(done);
    clReleaseEvent(failing);

    assert_int_equal(fault_job_run(&job, &t), CLATTN_OK);
    fault_result(&t, result);
    assert_memory_equal(result, alone[FAULT_DWC], sizeof result);
    fault_job_end(&job);
    fault_tensors_close(&t);
    clattn_context_destroy(&ctx);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
}
#endif

static int alone_first(void **state)
{
    clattn_context *ctx = open_context();

    (void)state;
    if (ctx == NULL)
        return -1;
    for (fault_op op = FAULT_POOL; op < FAULT_OPS; op++) {
        fault_tensors t;
        fault_job job;
        fault_tensors_open(&t, ctx);
        if (fault_job_make(ctx, op, &job) != CLATTN_OK || fault_job_run(&job, &t) != CLATTN_OK)
            return -1;
        fault_result(&t, alone[op]);
        fault_job_end(&job);
        fault_tensors_close(&t);
    }
    clattn_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_come_and_go),
        cmocka_unit_test(one_context),
        cmocka_unit_test(one_plan),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(destroying),
#ifndef CLATTN_OPENCL_RUNTIME
        cmocka_unit_test(what_is_waited_for_fails),
#endif
    };
    contexts_list list;
    int failed = 0, devices = 0;

    contexts_find(false, &list);
    if (list.count == 0)
        return contexts_none();
    /* The first device with its first shape, and the CPU path. */
    for (int i = 0; i < list.count; i++) {
        entry = list.entries[i];
        if (entry.device != NULL && devices++ > 0)
            continue;
        print_message("on %s\n", entry.name);
        failed += cmocka_run_group_tests(tests, alone_first, NULL);
    }
    return failed != 0;
}
