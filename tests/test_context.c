/*
 * Devices, contexts and memory: on the CPU path always, on the OpenCL device of support.h where
 * there is one. Every refusal is checked for its status and for the words that say what was wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "cl/device.h"
#include "contexts.h"
#include "cpu/cpu.h"
#include "support.h"

static clattn_context *open_cpu(clattn_context_params params)
{
    clattn_context *ctx = NULL;
    assert_int_equal(clattn_context_create_cpu(&params, &ctx), CLATTN_OK);
    return ctx;
}

static void handles_that_are_none(void **state)
{
    (void)state;
    /* Neither a context nor freed: memory that never was one. */
    static _Alignas(64) unsigned char zeros[sizeof(clattn_context)];
    clattn_context *handles[] = {NULL, (clattn_context *)(void *)zeros};
    for (size_t i = 0; i < 2; i++) {
        clattn_context *ctx = handles[i];
        clattn_memory memory = {0};
        uint64_t now = 1, peak = 1;
        char byte = 0;
        assert_int_equal(clattn_context_finish(ctx), CLATTN_E_ARG);
        assert_null(clattn_context_device(ctx));
        assert_int_equal(clattn_context_is_cpu(ctx), 0);
        assert_int_equal(clattn_context_cl_error(ctx), 0);
        clattn_context_bytes(ctx, &now, &peak);
        assert_true(now == 0 && peak == 0);
        assert_int_equal(clattn_memory_alloc(ctx, 4, &memory), CLATTN_E_ARG);
        assert_int_equal(clattn_memory_write(ctx, &memory, 0, &byte, 1), CLATTN_E_ARG);
        assert_int_equal(clattn_memory_read(ctx, &memory, 0, &byte, 1), CLATTN_E_ARG);
        clattn_memory_free(ctx, &memory);
        clattn_context_destroy(&ctx);
    }
    clattn_context_destroy(NULL);
    clattn_device_list_free(NULL);
    assert_int_equal(clattn_context_create_cpu(NULL, NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_context_create(NULL, NULL, NULL), CLATTN_E_ARG);
}

static void params_that_are_refused(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_NONE)};
    clattn_context *ctx = NULL;
    params.reserved[3] = 9;
    SUPPORT_REFUSED(&heard, clattn_context_create_cpu(&params, &ctx), CLATTN_E_ARG,
                    "reserved[3] is 9");
    params.reserved[3] = 0;
    params.shape = (clattn_kernel_shape)3;
    SUPPORT_REFUSED(&heard, clattn_context_create_cpu(&params, &ctx), CLATTN_E_ARG,
                    "params.shape is 3");
    params.shape = CLATTN_SHAPE_AUTO;
    params.threads = 100000;
    SUPPORT_REFUSED(&heard, clattn_context_create_cpu(&params, &ctx), CLATTN_E_ARG,
                    "params.threads is 100000");
    assert_null(ctx);
}

static void cpu_context_says_what_it_is(void **state)
{
    (void)state;
    clattn_context *ctx = open_cpu((clattn_context_params){.threads = 2});
    const clattn_device *device = clattn_context_device(ctx);
    assert_int_equal(clattn_context_is_cpu(ctx), 1);
    assert_string_equal(device->name, "CPU path");
    assert_null(device->id);
    assert_int_equal(device->kind, CLATTN_DEVICE_CPU);
    assert_int_equal(device->compute_units, 2);
    assert_true(device->usable && device->shares_host_memory);
    assert_int_equal(clattn_context_finish(ctx), CLATTN_OK);
    clattn_context_destroy(&ctx);
    assert_null(ctx);
    clattn_context_destroy(&ctx);

    ctx = open_cpu((clattn_context_params){0});
    assert_true(clattn_context_device(ctx)->compute_units >= 1);
    clattn_context_destroy(&ctx);
}

/* The caller's threads: here, backwards on one. */
static void backwards(void *user, int64_t count, void (*fn)(void *arg, int64_t i), void *arg)
{
    ++*(int *)user;
    for (int64_t i = count; i > 0; i--)
        fn(arg, i - 1);
}

static void collect(void *arg, int64_t i)
{
    atomic_fetch_add((atomic_llong *)arg, (long long)(i + 1) * (i + 1));
}

static void loops_run_on_either_threads(void **state)
{
    (void)state;
    int calls = 0;
    clattn_context *contexts[] = {
        open_cpu((clattn_context_params){.parallel_for = backwards, .parallel_user = &calls}),
        open_cpu((clattn_context_params){.threads = 3}),
    };
    for (int i = 0; i < 2; i++) {
        atomic_llong sum;
        atomic_init(&sum, 0);
        clattn__cpu_for(contexts[i], 100, collect, &sum);
        assert_true(atomic_load(&sum) == 338350); /* 100 * 101 * 201 / 6 */
        assert_int_equal(calls, 1);
        clattn_context_destroy(&contexts[i]);
    }
}

/* Everything about memory that both back ends promise. */
static void check_copies(clattn_context *ctx, support_log *log)
{
    clattn_memory memory = {0};
    unsigned char source[100], target[100];
    for (int i = 0; i < 100; i++)
        source[i] = (unsigned char)(i * 7 + 1);
    SUPPORT_REFUSED(log, clattn_memory_alloc(ctx, 0, &memory), CLATTN_E_ARG, "bytes is 0");
    SUPPORT_REFUSED(log, clattn_memory_alloc(ctx, 100, NULL), CLATTN_E_ARG, "memory is NULL");
    assert_int_equal(clattn_memory_alloc(ctx, 100, &memory), CLATTN_OK);
    assert_true(memory.bytes == 100 && (memory.mem != NULL) == (memory.host == NULL));

    assert_int_equal(clattn_memory_write(ctx, &memory, 0, source, 100), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, &memory, 40, source, 8), CLATTN_OK);
    memset(target, 0, sizeof target);
    assert_int_equal(clattn_memory_read(ctx, &memory, 1, target, 99), CLATTN_OK);
    memcpy(source + 40, (unsigned char[8]){1, 8, 15, 22, 29, 36, 43, 50}, 8);
    assert_memory_equal(target, source + 1, 99);
    assert_int_equal(clattn_memory_read(ctx, &memory, 100, NULL, 0), CLATTN_OK);

    SUPPORT_REFUSED(log, clattn_memory_read(ctx, &memory, 0, target, 101), CLATTN_E_SHAPE,
                    "bytes is 101");
    SUPPORT_REFUSED(log, clattn_memory_write(ctx, &memory, 101, source, 0), CLATTN_E_SHAPE,
                    "offset is 101");
    SUPPORT_REFUSED(log, clattn_memory_write(ctx, &memory, 2, source, UINT64_MAX), CLATTN_E_SHAPE,
                    "100 bytes");
    SUPPORT_REFUSED(log, clattn_memory_write(ctx, &memory, 0, NULL, 1), CLATTN_E_ARG, "array");
    SUPPORT_REFUSED(log, clattn_memory_read(ctx, NULL, 0, target, 1), CLATTN_E_ARG,
                    "memory is NULL");
    SUPPORT_REFUSED(log, clattn_memory_read(ctx, &(clattn_memory){0}, 0, target, 1), CLATTN_E_ARG,
                    "is NULL");
    clattn_memory both = {.mem = (cl_mem)(void *)source, .host = source, .bytes = 100};
    SUPPORT_REFUSED(log, clattn_memory_read(ctx, &both, 0, target, 1), CLATTN_E_ARG,
                    "must be NULL");

    clattn_memory copy = memory;
    clattn_memory_free(ctx, &memory);
    assert_true(!memory.mem && !memory.host && memory.bytes == 0);
    clattn_memory_free(ctx, &memory);
    log->text[0] = '\0';
    clattn_memory_free(ctx, &copy);
    assert_true(support_heard(log, "free already"));
}

static void cpu_memory(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx =
        open_cpu((clattn_context_params){.log = support_listen(&heard, CLATTN_LOG_NONE)});
    check_copies(ctx, &heard);

    float values[4] = {0};
    clattn_memory memory = {.host = (char *)values + 1, .bytes = 8};
    SUPPORT_REFUSED(&heard, clattn_memory_read(ctx, &memory, 0, values, 1), CLATTN_E_ARG,
                    "no multiple of 2");
    memory = (clattn_memory){.host = values};
    SUPPORT_REFUSED(&heard, clattn_memory_read(ctx, &memory, 0, values, 1), CLATTN_E_ARG,
                    "bytes is 0");
    SUPPORT_REFUSED(&heard, clattn_memory_alloc(ctx, UINT64_MAX, &memory), CLATTN_E_NOMEM,
                    "out of host");
    assert_int_equal(clattn_memory_alloc(ctx, 200, &memory), CLATTN_OK);
    assert_int_equal((uintptr_t)memory.host % 64, 0);
    clattn_context_destroy(&ctx); /* frees what the caller forgot */
}

static void check_cap(clattn_context *ctx, support_log *log)
{
    clattn_memory a = {0}, b = {0};
    uint64_t now = 0, peak = 0;
    assert_int_equal(clattn_memory_alloc(ctx, 60000, &a), CLATTN_OK);
    SUPPORT_REFUSED(log, clattn_memory_alloc(ctx, 50000, &b), CLATTN_E_BUDGET,
                    "50000 bytes are wanted and 60000 are held; params.byte_cap is 100000");
    assert_int_equal(clattn_memory_alloc(ctx, 40000, &b), CLATTN_OK);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 100000 && peak == 100000);
    SUPPORT_REFUSED(log, clattn_memory_alloc(ctx, UINT64_C(1) << 20, &(clattn_memory){0}),
                    CLATTN_E_BUDGET, "1048576");
    clattn_memory_free(ctx, &a);
    clattn_memory_free(ctx, &b);
    /* Whatever was kept for reuse makes room. */
    assert_int_equal(clattn_memory_alloc(ctx, 100000, &a), CLATTN_OK);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 100000 && peak == 100000);
    clattn_memory_free(ctx, &a);
}

static void cpu_byte_cap(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = open_cpu((clattn_context_params){
        .log = support_listen(&heard, CLATTN_LOG_NONE), .byte_cap = 100000});
    check_cap(ctx, &heard);
    clattn_context_destroy(&ctx);
}

static void list_names_the_device(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_log log = support_listen(&heard, CLATTN_LOG_NONE);
    clattn_device *devices = NULL;
    size_t count = 0;
    SUPPORT_REFUSED(&heard, clattn_device_list(&log, NULL, &count), CLATTN_E_ARG,
                    "devices is NULL");
    SUPPORT_REFUSED(&heard, clattn_device_list(&log, &devices, NULL), CLATTN_E_ARG,
                    "count is NULL");
    assert_int_equal(clattn_device_list(NULL, &devices, &count), CLATTN_OK);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        const clattn_device *device = &devices[i];
        found = found || device->id == support_device();
        assert_int_equal(device->usable, device->why_not[0] == '\0');
        if (device->usable) {
            assert_true(strncmp(device->version, "OpenCL ", 7) == 0 && device->name[0]);
            assert_true(device->platform[0] && device->compute_units > 0);
            assert_true(device->local_bytes >= 16384 && device->max_work_group > 0);
            assert_true(device->allocation_bytes > 0 && device->global_bytes > 0);
        }
    }
    assert_true(found);
    int best = clattn_device_best(devices, count);
    assert_true(best >= 0 && devices[best].usable);
    clattn_device_list_free(&devices);
    assert_null(devices);
}

static void best_is_the_largest_usable_gpu(void **state)
{
    (void)state;
    clattn_device devices[] = {
        {.kind = CLATTN_DEVICE_CPU, .usable = 1, .compute_units = 64},
        {.kind = CLATTN_DEVICE_ACCELERATOR, .usable = 1, .compute_units = 500},
        {.kind = CLATTN_DEVICE_GPU, .usable = 1, .compute_units = 20},
        {.kind = CLATTN_DEVICE_GPU, .usable = 1, .compute_units = 40},
        {.kind = CLATTN_DEVICE_GPU, .usable = 0, .compute_units = 80},
    };
    assert_int_equal(clattn_device_best(devices, 5), 3);
    assert_int_equal(clattn_device_best(devices, 3), 2);
    assert_int_equal(clattn_device_best(devices, 2), 1);
    assert_int_equal(clattn_device_best(devices, 1), 0);
    assert_int_equal(clattn_device_best(devices, 0), -1);
    assert_int_equal(clattn_device_best(NULL, 0), -1);
    assert_int_equal(clattn_device_best(&devices[4], 1), -1);
}

static void limits_and_shape_are_resolved(void **state)
{
    (void)state;
    clattn_context *ctx = NULL;
    clattn_context_params params = {.max_work_group = 1, .max_local_bytes = 20000};
    assert_int_equal(clattn_context_create(support_device(), &params, &ctx), CLATTN_OK);
    const clattn_device *device = clattn_context_device(ctx);
    assert_int_equal(clattn_context_is_cpu(ctx), 0);
    assert_ptr_equal(device->id, support_device());
    assert_int_equal(ctx->params.shape, CLATTN_SHAPE_WIDE);
    assert_int_equal(ctx->params.max_work_group, 1);
    assert_int_equal(ctx->params.max_local_bytes,
                     device->local_bytes < 20000 ? device->local_bytes : 20000);
    assert_true(device->max_work_group > 1);
    clattn_context_destroy(&ctx);

    params = (clattn_context_params){.shape = CLATTN_SHAPE_TILE, .max_work_group = UINT32_MAX};
    assert_int_equal(clattn_context_create(support_device(), &params, &ctx), CLATTN_OK);
    assert_int_equal(ctx->params.shape, CLATTN_SHAPE_TILE);
    assert_int_equal(ctx->params.max_work_group, clattn_context_device(ctx)->max_work_group);
    clattn_context_destroy(&ctx);
}

static void opencl_memory_and_cap(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    check_copies(ctx, &heard);
    uint64_t largest = clattn_context_device(ctx)->allocation_bytes;
    clattn_memory memory = {0};
    SUPPORT_REFUSED(&heard, clattn_memory_alloc(ctx, largest + 1, &memory), CLATTN_E_DEVICE_NOMEM,
                    "the largest");
    assert_true(!memory.mem && !memory.host);
    clattn_context_destroy(&ctx);

    clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_NONE),
                                    .byte_cap = 100000};
    assert_int_equal(clattn_context_create(support_device(), &params, &ctx), CLATTN_OK);
    check_cap(ctx, &heard);
    clattn_context_destroy(&ctx);
}

static void freed_buffers_are_used_again(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard);
    clattn_memory a = {0}, b = {0};
    uint64_t now = 0, peak = 0;
    assert_int_equal(clattn_memory_alloc(ctx, 100000, &a), CLATTN_OK);
    cl_mem buffer = a.mem;
    clattn_memory_free(ctx, &a);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 100000 && peak == 100000);                     /* still held */
    assert_int_equal(clattn_memory_alloc(ctx, 10000, &b), CLATTN_OK); /* a tenth: not from it */
    assert_true(b.mem != buffer);
    assert_int_equal(clattn_memory_alloc(ctx, 95000, &a), CLATTN_OK);
    assert_ptr_equal(a.mem, buffer);
    assert_true(a.bytes == 95000);
    clattn_context_bytes(ctx, &now, &peak);
    assert_true(now == 110000 && peak == 110000);
    clattn_memory_free(ctx, &a);
    clattn_memory_free(ctx, &b);
    clattn_context_destroy(&ctx);
}

static void foreign_memory_is_refused(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&heard), *other = support_context(&heard);
    clattn_memory memory = {0};
    char byte = 0;
    assert_int_equal(clattn_memory_alloc(other, 64, &memory), CLATTN_OK);
    SUPPORT_REFUSED(&heard, clattn_memory_read(ctx, &memory, 0, &byte, 1), CLATTN_E_ARG,
                    "another OpenCL context");
    clattn_memory copy = memory;
    heard.text[0] = '\0';
    clattn_memory_free(ctx, &copy);
    assert_true(support_heard(&heard, "not allocated with this context"));

    memory.bytes = 65;
    SUPPORT_REFUSED(&heard, clattn_memory_read(other, &memory, 0, &byte, 1), CLATTN_E_SHAPE,
                    "buffer has 64");
    memory.bytes = 32;
    SUPPORT_REFUSED(&heard, clattn_memory_read(other, &memory, 32, &byte, 1), CLATTN_E_SHAPE,
                    "has 32 bytes");
    memory.bytes = 0;
    assert_int_equal(clattn_memory_read(other, &memory, 63, &byte, 1), CLATTN_OK);
    clattn_memory host = {.host = &byte, .bytes = 1};
    SUPPORT_REFUSED(&heard, clattn_memory_read(ctx, &host, 0, &byte, 1), CLATTN_E_ARG,
                    "no OpenCL buffer");
    clattn_memory_free(other, &memory);
    clattn_context_destroy(&other);
    clattn_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(handles_that_are_none),
        cmocka_unit_test(params_that_are_refused),
        cmocka_unit_test(best_is_the_largest_usable_gpu),
        cmocka_unit_test(cpu_context_says_what_it_is),
        cmocka_unit_test(loops_run_on_either_threads),
        cmocka_unit_test(cpu_memory),
        cmocka_unit_test(cpu_byte_cap),
    };
    const struct CMUnitTest opencl[] = {
        cmocka_unit_test(list_names_the_device),
        cmocka_unit_test(limits_and_shape_are_resolved),
        cmocka_unit_test(opencl_memory_and_cap),
        cmocka_unit_test(freed_buffers_are_used_again),
        cmocka_unit_test(foreign_memory_is_refused),
    };
    int failed = cmocka_run_group_tests(everywhere, NULL, NULL);
    if (failed || support_only_cpu())
        return failed;
    if (!support_device())
        return contexts_none();
    return cmocka_run_group_tests(opencl, NULL, NULL);
}
