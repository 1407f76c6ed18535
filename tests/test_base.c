/*
 * The foundations that need no device: status codes, log, checked sizes, tensors over the usual
 * layouts, and the thread pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/threads.h"
#include "clattn/clattn.h"
#include "support.h"

static void every_status_has_words(void **state)
{
    (void)state;
#define CHECK(name, value, text)                                                                   \
    assert_int_equal(name, value);                                                                 \
    assert_string_equal(clattn_status_name(name), #name);                                          \
    assert_string_equal(clattn_status_text(name), text);
    CLATTN_STATUS_LIST(CHECK)
#undef CHECK
    assert_string_equal(clattn_status_name((clattn_status)-99), "CLATTN_E_UNKNOWN");
    assert_true(strlen(clattn_status_text((clattn_status)-99)) > 0);

    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", CLATTN_VERSION_MAJOR, CLATTN_VERSION_MINOR,
             CLATTN_VERSION_PATCH);
    assert_string_equal(clattn_version(), version);
}

static void log_keeps_to_its_level(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_log log = support_listen(&heard, CLATTN_LOG_NONE);
    clattn__log(&log, CLATTN_LOG_INFO, "info");
    assert_int_equal(heard.count, 0);
    clattn__log(&log, CLATTN_LOG_WARN, "%s %d", "warning", 7);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.level, CLATTN_LOG_WARN);
    assert_string_equal(heard.text, "warning 7");
    log.level = CLATTN_LOG_ERROR;
    clattn__log(&log, CLATTN_LOG_WARN, "warning");
    assert_int_equal(heard.count, 1);

    clattn__log(NULL, CLATTN_LOG_ERROR, "nobody listens");
    clattn__log(&(clattn_log){.fn = NULL}, CLATTN_LOG_ERROR, "nobody listens");
}

static bool no_memory(size_t size)
{
    (void)size;
    return false;
}

static void log_takes_long_texts(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    clattn_log log = support_listen(&heard, CLATTN_LOG_ERROR);
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clattn__log(&log, CLATTN_LOG_ERROR, "%s", text);
    assert_string_equal(heard.text, text);

    clattn__alloc_hook = no_memory; /* cut, but not lost */
    clattn__log(&log, CLATTN_LOG_ERROR, "%s", text);
    clattn__alloc_hook = NULL;
    assert_int_equal(heard.count, 2);
    assert_true(strlen(heard.text) > 100 && strlen(heard.text) < sizeof text - 1);
}

static void sizes_that_do_not_fit(void **state)
{
    (void)state;
    int64_t r = 5;
    assert_true(clattn__mul(INT64_C(3037000499), INT64_C(3037000499), &r));
    assert_true(r == INT64_C(9223372030926249001));
    assert_true(clattn__mul(INT64_MAX, 1, &r) && r == INT64_MAX);
    assert_true(clattn__mul(INT64_MAX, 0, &r) && r == 0);
    assert_true(clattn__add(INT64_MAX - 1, 1, &r) && r == INT64_MAX);
    r = 5;
    assert_false(clattn__mul(INT64_MAX / 2 + 1, 2, &r));
    assert_false(clattn__mul(-1, 2, &r));
    assert_false(clattn__mul(2, -1, &r));
    assert_false(clattn__add(INT64_MAX, 1, &r));
    assert_false(clattn__add(-1, 1, &r));
    assert_true(r == 5);
    assert_null(clattn__alloc_array(SIZE_MAX / 4, 8));
    assert_null(clattn__alloc(0));
    assert_null(clattn__alloc_aligned(SIZE_MAX));
}

static void allocations_are_zeroed_or_aligned(void **state)
{
    (void)state;
    unsigned char *zeroed = clattn__alloc_array(33, 3);
    for (int i = 0; i < 99; i++)
        assert_int_equal(zeroed[i], 0);
    clattn__free(zeroed);
    for (size_t size = 1; size < 300; size += 37) {
        void *aligned = clattn__alloc_aligned(size);
        assert_non_null(aligned);
        assert_int_equal((uintptr_t)aligned % 64, 0);
        clattn__free_aligned(aligned);
    }
}

/* The element number of (b, t, h, j), as clattn/tensor.h defines it. */
static int64_t element(const clattn_tensor *x, int64_t b, int64_t t, int64_t h, int64_t j)
{
    return x->offset + b * x->batch_stride + h * x->head_stride + t * x->token_stride + j;
}

static void tensors_over_usual_layouts(void **state)
{
    (void)state;
    const clattn_memory memory = {.bytes = 4};
    const int64_t B = 2, N = 7, H = 3, D = 5, b = 1, t = 4, h = 2, j = 3;
    clattn_tensor x = clattn_tensor_tokens(memory, B, N, H, D);
    assert_true(element(&x, b, t, h, j) == ((b * N + t) * H + h) * D + j);
    x = clattn_tensor_heads(memory, B, N, H, D);
    assert_true(element(&x, b, t, h, j) == ((b * H + h) * N + t) * D + j);
    x = clattn_tensor_packed(memory, B, N, H, D, 3, 1);
    assert_true(element(&x, b, t, h, j) == (((b * N + t) * 3 + 1) * H + h) * D + j);
    assert_true(x.batch == B && x.tokens == N && x.heads == H && x.dim == D);
    assert_true(x.row_stride == 0 && x.memory.bytes == 4 && x.type == CLATTN_F32);

    /* What overflows becomes a stride that every check refuses, not a small number. */
    x = clattn_tensor_tokens(memory, 1, INT64_MAX, 1, INT64_MAX);
    assert_true(x.batch_stride == INT64_MAX);
    x = clattn_tensor_heads(memory, 1, -4, 2, 8);
    assert_true(x.tokens == -4 && x.head_stride == INT64_MAX);
}

#define MAX_COUNT 1000

typedef struct tally {
    clattn__pool *pool;
    atomic_int runs[MAX_COUNT];
    int64_t inner; /* numbers of a loop inside each number */
    atomic_int inner_runs;
} tally;

static void inner_number(void *arg, int64_t i)
{
    (void)i;
    atomic_fetch_add(&((tally *)arg)->inner_runs, 1);
}

static void number(void *arg, int64_t i)
{
    tally *t = arg;
    atomic_fetch_add(&t->runs[i], 1);
    if (t->inner > 0)
        clattn__pool_run(t->pool, t->inner, inner_number, t);
}

static void expect_each_once(tally *t, int64_t count)
{
    for (int64_t i = 0; i < MAX_COUNT; i++)
        assert_int_equal(atomic_load(&t->runs[i]), i < count ? 1 : 0);
    assert_int_equal(atomic_load(&t->inner_runs), t->inner * count);
}

static void pool_runs_each_number_once(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 17, MAX_COUNT};
    for (uint32_t threads = 0; threads <= 4; threads++) {
        clattn__pool *pool = NULL;
        assert_int_equal(clattn__pool_create(threads, &pool), CLATTN_OK);
        if (threads > 0)
            assert_int_equal(clattn__pool_threads(pool), threads);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            for (int64_t inner = 0; inner <= 3; inner += 3) {
                tally t = {.pool = pool, .inner = inner};
                clattn__pool_run(pool, counts[i], number, &t);
                expect_each_once(&t, counts[i]);
            }
        clattn__pool_destroy(&pool);
        assert_null(pool);
        clattn__pool_destroy(&pool);
    }
}

static void *run_many(void *user)
{
    clattn__pool *pool = user;
    for (int round = 0; round < 50; round++) {
        tally t = {.pool = pool, .inner = round % 2};
        clattn__pool_run(pool, 40, number, &t);
        for (int i = 0; i < 40; i++)
            if (atomic_load(&t.runs[i]) != 1)
                return "a number was lost or run twice";
    }
    return NULL;
}

static void pool_serves_several_callers(void **state)
{
    (void)state;
    clattn__pool *pool = NULL;
    assert_int_equal(clattn__pool_create(3, &pool), CLATTN_OK);
    pthread_t callers[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_many, pool), 0);
    for (int i = 0; i < 3; i++) {
        void *fault = NULL;
        pthread_join(callers[i], &fault);
        assert_null(fault);
    }
    clattn__pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_words),
        cmocka_unit_test(log_keeps_to_its_level),
        cmocka_unit_test(log_takes_long_texts),
        cmocka_unit_test(sizes_that_do_not_fit),
        cmocka_unit_test(allocations_are_zeroed_or_aligned),
        cmocka_unit_test(tensors_over_usual_layouts),
        cmocka_unit_test(pool_runs_each_number_once),
        cmocka_unit_test(pool_serves_several_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
