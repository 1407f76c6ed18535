/*
 * Programs that a caller's cache keeps: an entry that fits is used, every other is built from source
 * and replaced, and no failure on the way is one of the library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cache_probe.h"
#include "cl/binary.h"
#include "cl/device.h"
#include "contexts.h"

static void an_entry_is_used(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
    assert_int_equal(memory.count, 1);
    cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");
    cache_probe_expect(&memory, &cache_probe_thrice, 1, "is kept");
    cache_probe_expect(&memory, &cache_probe_thrice, 0, "comes from the cache");
    cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");

    /* What the first launch is specialised by, and options, make other entries. */
    clattn__kernel_spec other = cache_probe_twice;
    other.local[0] = 2;
    cache_probe_expect(&memory, &other, 1, "there is no entry");
    other.large = true;
    cache_probe_expect(&memory, &other, 1, "there is no entry");
    strcpy(other.options, "-DANY=2");
    cache_probe_expect(&memory, &other, 1, "there is no entry");
    cache_probe_expect(&memory, &other, 0, "comes from the cache");
    assert_int_equal(memory.count, 5);
    cache_memory_free(&memory);
}

static void a_wrapped_context_shares_it(void **state)
{
    (void)state;
    const clattn__cl_api *api = faulty_cl.real;
    cl_int error = CL_SUCCESS;
    cl_context context = api->clCreateContext(NULL, 1, &cache_probe_device, NULL, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    cl_command_queue queue = api->clCreateCommandQueue(context, cache_probe_device, 0, &error);
    assert_int_equal(error, CL_SUCCESS);
    cache_memory memory = {.count = 0};
    const clattn_context_params params = {.cache = cache_memory_callbacks(&memory)};
    for (int turn = 0; turn < 2; turn++) {
        clattn_context *ctx = NULL;
        bool right = false;
        cache_probe_sources = 0;
        clattn__cl_api_hook = &cache_probe_table;
        assert_int_equal(clattn_context_wrap(context, cache_probe_device, queue, &params, &ctx),
                         CLATTN_OK);
        clattn__cl_api_hook = NULL;
        assert_int_equal(cache_probe_use(ctx, &cache_probe_twice, &right), CLATTN_OK);
        assert_true(right && cache_probe_sources == (turn == 0));
        assert_int_equal(memory.count, turn); /* saved when asked for, or at the end */
        assert_int_equal(clattn_context_store_programs(ctx), CLATTN_OK);
        assert_int_equal(clattn_context_store_programs(ctx), CLATTN_OK);
        assert_int_equal(memory.puts, 1);
        clattn_context_destroy(&ctx);
        assert_int_equal(memory.puts, 1);
    }
    cache_probe_expect(&memory, &cache_probe_twice, 0,
                       "comes from the cache"); /* and one of its own, too */
    cache_memory_free(&memory);
    api->clReleaseCommandQueue(queue);
    api->clReleaseContext(context);
}

static void storing_without_a_cache(void **state)
{
    (void)state;
    clattn_context *ctx = NULL;
    assert_int_equal(clattn_context_store_programs(NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_context_create_cpu(NULL, &ctx), CLATTN_OK);
    assert_int_equal(clattn_context_store_programs(ctx), CLATTN_OK);
    clattn_context_destroy(&ctx);
    assert_int_equal(cache_probe_live((clattn_cache){.user = NULL}, &cache_probe_twice), CLATTN_OK);
    assert_null(strstr(cache_probe_heard, "cache"));
    /* One callback alone. */
    cache_memory memory = {.count = 0};
    clattn_cache cache = cache_memory_callbacks(&memory);
    cache.get = NULL;
    assert_int_equal(cache_probe_live(cache, &cache_probe_twice), CLATTN_OK);
    assert_int_equal(memory.puts, 1);
    cache = cache_memory_callbacks(&memory);
    cache.put = NULL;
    assert_int_equal(cache_probe_live(cache, &cache_probe_twice), CLATTN_OK);
    assert_int_equal(cache_probe_sources, 0);
    cache_memory_free(&memory);
}

/* Where an entry's binary begins. */
static size_t head_of(const unsigned char *entry)
{
    return clattn__binary_head_bytes(entry[12] | (size_t)entry[13] << 8 | (size_t)entry[14] << 16);
}

static void damaged_entries_are_replaced(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
    const size_t head = head_of(memory.entries[0].bytes);
    const struct {
        size_t flipped, cut; /* a byte's place, or the bytes that are left */
        const char *words;
    } damages[] = {
        {0, 0, "it is no cache entry"},
        {8, 0, "it has another format"},
        {12, 0, "its length is wrong"},
        {17, 0, "its length is wrong"},
        {24, 0, "its checksum is wrong"},
        {40, 0, "it is of another program, version, device or driver"},
        {head - 1, 0, "it is of another program, version, device or driver"},
        {head, 0, "its checksum is wrong"},
        {memory.entries[0].count - 1, 0, "its checksum is wrong"},
        {0, 1, "it is no cache entry"},
        {0, 32, "its length is wrong"},
        {0, head + 1, "its length is wrong"},
        {0, memory.entries[0].count - 1, "its length is wrong"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        if (damages[i].cut > 0)
            memory.entries[0].count = damages[i].cut;
        else
            memory.entries[0].bytes[damages[i].flipped] ^= 1;
        cache_probe_expect(&memory, &cache_probe_twice, 1, damages[i].words);
        cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");
    }
    assert_int_equal(memory.count, 1);
    cache_memory_free(&memory);
}

/* A whole entry whose binary is not this program's. */
static void foreign_binaries_are_replaced(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
    cache_probe_expect(&memory, &cache_probe_thrice, 1, "there is no entry");
    for (int turn = 0; turn < 2; turn++) {
        unsigned char *own = memory.entries[0].bytes;
        const unsigned char *other = memory.entries[1].bytes;
        const size_t head = head_of(own), other_head = head_of(other);
        const size_t count = turn == 0 ? memory.entries[1].count - other_head : 5000;
        unsigned char *mixed = malloc(head + count);
        assert_non_null(mixed);
        memset(mixed, 'x', head + count);
        if (turn == 0) /* of the right device, without the kernel; else nonsense */
            memcpy(mixed + head, other + other_head, count);
        clattn__binary_finish(mixed, (const char *)own + 32, head - 32, count);
        free(own);
        memory.entries[0].bytes = mixed;
        memory.entries[0].count = head + count;
        cache_probe_expect(&memory, &cache_probe_twice, 1,
                           turn == 0 ? "CL_INVALID_KERNEL_NAME"
                                     : "is not taken from the cache's entry");
        cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");
    }
    cache_memory_free(&memory);
}

/* Each call that loading and saving make fails once. */
static void refusals_of_the_driver(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int number,
            built; /* which call of it in a context's life; programs built then, from a warm cache */
    } refusals[] = {
        {"clCreateProgramWithBinary", 1, 1},
        {"clBuildProgram", 1, 1},
        {"clCreateKernel", 1, 1},
        {"clGetProgramInfo", 1, 0},
    };
    cache_memory memory = {.count = 0};
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        faulty_cl.only = refusals[i].call;
        faulty_cl.failing = refusals[i].number;
        faulty_cl.code = CL_INVALID_BINARY;
        cache_probe_expect(&memory, &cache_probe_twice, refusals[i].built,
                           refusals[i].built ? "CL_INVALID_BINARY" : "comes from the cache");
        faulty_cl.failing = 0;
        faulty_cl.only = NULL;
        cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");
    }
    for (int number = 1; number <= 4; number++) { /* queries of the binary, from a cold cache */
        cache_memory_free(&memory);
        faulty_cl.only = "clGetProgramInfo";
        faulty_cl.failing = number;
        assert_int_equal(cache_probe_live(cache_memory_callbacks(&memory), &cache_probe_twice),
                         CLATTN_OK);
        assert_int_equal(memory.count, 0);
        assert_non_null(strstr(cache_probe_heard, "the driver does not give its binary"));
    }
    faulty_cl.failing = 0;
    faulty_cl.only = NULL;
    cache_memory_free(&memory);
}

static void a_refused_first_launch(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    const clattn_context_params params = {.cache = cache_memory_callbacks(&memory),
                                          .selftest = CLATTN_SELFTEST_OFF};
    const clattn_dwc_desc desc = {
        .batch = 1, .heads = 1, .head_dim = 4, .height = 4, .width = 4, .size = 3};
    for (int turn = 0; turn < 2; turn++) {
        clattn_context *ctx = NULL;
        clattn_plan *plan = NULL;
        clattn__source_hook = NULL;
        clattn__cl_api_hook = &cache_probe_table;
        assert_int_equal(clattn_context_create(cache_probe_device, &params, &ctx), CLATTN_OK);
        cache_probe_sources = faulty_cl.calls = 0;
        faulty_cl.only = "clEnqueueNDRangeKernel";
        faulty_cl.code = CL_INVALID_WORK_GROUP_SIZE;
        faulty_cl.failing = turn; /* the first launch of the cached program */
        assert_int_equal(clattn_dwc_plan(ctx, &desc, &plan), CLATTN_OK);
        assert_int_equal(cache_probe_sources, 1);
        assert_int_equal(faulty_cl.calls, 1 + turn);
        clattn_plan_destroy(&plan);
        clattn_context_destroy(&ctx);
        assert_int_equal(memory.puts, 1 + turn);
        assert_int_equal(memory.count, 1);
        clattn__cl_api_hook = NULL;
        clattn__source_hook = cache_probe_source;
        faulty_cl.failing = 0;
        faulty_cl.only = NULL;
    }
    cache_memory_free(&memory);
}

/* Callbacks that do not do as the header says. */
static void callbacks_that_misbehave(void **state)
{
    (void)state;
    cache_memory memory = {.refuses = true};
    assert_int_equal(cache_probe_live(cache_memory_callbacks(&memory), &cache_probe_twice),
                     CLATTN_OK);
    assert_non_null(strstr(cache_probe_heard, "the cache does not take it"));
    assert_int_equal(memory.puts, 1);
    memory.refuses = false;
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
    memory.larger = 10;
    cache_probe_expect(&memory, &cache_probe_twice, 1, "it changed while it was read");
    memory.larger = SIZE_MAX / 2;
    cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no host memory for it");
    memory.larger = 0;
    memory.fails_to_read = true;
    cache_probe_expect(&memory, &cache_probe_twice, 1, "it changed while it was read");
    memory.fails_to_read = false;
    cache_probe_expect(&memory, &cache_probe_twice, 0, "comes from the cache");
    cache_memory_free(&memory);
}

/* Another driver or device is another entry. */
static void other_drivers_have_their_own(void **state)
{
    (void)state;
    cache_memory memory = {.count = 0};
    const clattn_context_params params = {.cache = cache_memory_callbacks(&memory)};
    for (int turn = 0; turn < 4; turn++) {
        clattn_context *ctx = NULL;
        bool right = false;
        clattn__cl_api_hook = &cache_probe_table;
        assert_int_equal(clattn_context_create(cache_probe_device, &params, &ctx), CLATTN_OK);
        clattn__cl_api_hook = NULL;
        char *const fields[] = {ctx->device.driver, ctx->device.name, ctx->device.vendor,
                                ctx->device.version};
        strcpy(fields[turn], "another");
        cache_probe_sources = 0;
        assert_int_equal(cache_probe_use(ctx, &cache_probe_twice, &right), CLATTN_OK);
        assert_true(right && cache_probe_sources == 1);
        clattn_context_destroy(&ctx);
        assert_int_equal(memory.count, turn + 1);
    }
    cache_memory_free(&memory);
}

static struct {
    int calls, failing;
} allocations;

static bool nth_allocation_fails(size_t size)
{
    (void)size;
    return ++allocations.calls != allocations.failing;
}

static void failing_host_memory(void **state)
{
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        for (allocations.failing = 1;; allocations.failing++) {
            cache_memory memory = {.count = 0};
            if (warm)
                cache_probe_expect(&memory, &cache_probe_twice, 1, "there is no entry");
            allocations.calls = 0;
            clattn__alloc_hook = nth_allocation_fails;
            const clattn_status status =
                cache_probe_live(cache_memory_callbacks(&memory), &cache_probe_twice);
            clattn__alloc_hook = NULL;
            cache_memory_free(&memory);
            if (allocations.calls < allocations.failing) {
                assert_int_equal(status, CLATTN_OK);
                break;
            }
            assert_true(status == CLATTN_OK || status == CLATTN_E_NOMEM);
        }
        assert_true(allocations.failing > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_used),
        cmocka_unit_test(a_wrapped_context_shares_it),
        cmocka_unit_test(storing_without_a_cache),
        cmocka_unit_test(damaged_entries_are_replaced),
        cmocka_unit_test(foreign_binaries_are_replaced),
        cmocka_unit_test(refusals_of_the_driver),
        cmocka_unit_test(a_refused_first_launch),
        cmocka_unit_test(callbacks_that_misbehave),
        cmocka_unit_test(other_drivers_have_their_own),
        cmocka_unit_test(failing_host_memory),
    };
    if (!cache_probe_begin())
        return contexts_none();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
