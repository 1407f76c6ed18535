/*
 * The exponentials that the kernels for CPU devices bring along, exp2_vectors() of vectors.clh, against double: on every OpenCL
 * device, over all that a softmax hands them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/launch.h"
#include "cl/program.h"
#include "cl/programs.h"
#include "cl/source.h"
#include "contexts.h"

#define COUNT     (1 << 18) /* a multiple of what one item takes */
#define MOST_ULPS 1.5       /* what it promises */
#define MAX_TEXTS 16

static const char text[] = "__kernel void groups(__global float *x)\n"
                           "{\n"
                           "    __global float *p = x + get_global_id(0) * GROUP * WIDTH;\n"
                           "    floats at[GROUP];\n"
                           "    for (int g = 0; g < GROUP; g++)\n"
                           "        at[g] = load_floats(g, p);\n"
                           "    exp2_vectors(at, GROUP);\n"
                           "    for (int g = 0; g < GROUP; g++)\n"
                           "        store_floats(at[g], g, p);\n"
                           "}\n";

/* A kernel of the text, how it is built, how many floats an item takes, and below what it says zero. */
typedef struct form {
    const char *kernel, *options;
    size_t floats;
    float zero_below;
} form;

static contexts_list list;

/* The parts of a program that has both functions, without its own file, and then the text. */
static const clattn__source *test_source(const char *name)
{
    static const char *texts[MAX_TEXTS];
    static size_t sizes[MAX_TEXTS];
    static clattn__source source = {.name = "exponentials", .texts = texts, .sizes = sizes};
    const clattn__source *parts = clattn__source_find("smooth_wide");

    if (strcmp(name, source.name) != 0 || parts == NULL || parts->count > MAX_TEXTS)
        return NULL;
    for (uint32_t i = 0; i + 1 < parts->count; i++) {
        texts[i] = parts->texts[i];
        sizes[i] = parts->sizes[i];
    }
    source.count = parts->count;
    texts[parts->count - 1] = text;
    sizes[parts->count - 1] = sizeof text - 1;
    return &source;
}

/*
 * Numbers from 0 to -126 in even steps, and at the end of the array: whole numbers, whose powers are exact; halves, where one piece of
 * the polynomial meets the next, with their neighbours; numbers near zero; what has to become zero.
 */
static float *arguments(void)
{
    float *x = malloc(COUNT * sizeof *x);
    int i = COUNT - 4 * 128;

    assert_non_null(x);
    for (int k = 0; k < i; k++)
        x[k] = (float)(-126.0 * k / i);
    for (int k = 0; k < 126; k++) {
        const float half = -0.5f - (float)k;
        x[i++] = (float)-k;
        x[i++] = half;
        x[i++] = nextafterf(half, 0.0f);
        x[i++] = nextafterf(half, -200.0f);
    }
    for (float tiny = 0.25f; i < COUNT - 5; tiny *= 0.0625f)
        x[i++] = -tiny;
    x[i++] = -127.0f;
    x[i++] = -1000.0f;
    x[i++] = -3.0e38f;
    x[i++] = -INFINITY;
    x[i++] = -126.0f;
    assert_int_equal(i, COUNT);
    return x;
}

/* What the device makes of x. */
static float *run(clattn_context *ctx, const form *f, const float *x)
{
    const size_t bytes = COUNT * sizeof(float);
    const size_t global[3] = {COUNT / f->floats, 1, 1};
    const size_t local[3] = {1, 1, 1};
    clattn__kernel_spec spec = {.file = "exponentials", .name = f->kernel, .local = {1, 1, 1}};
    cl_kernel kernel = NULL;
    clattn_memory memory;
    clattn__chain chain;
    float *y = malloc(bytes);

    assert_non_null(y);
    snprintf(spec.options, sizeof spec.options, "%s", f->options);
    assert_int_equal(clattn_memory_alloc(ctx, bytes, &memory), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, &memory, 0, x, bytes), CLATTN_OK);
    assert_int_equal(clattn__kernel_create(ctx, &spec, &kernel), CLATTN_OK);
    assert_int_equal(clattn__kernel_arg(ctx, kernel, 0, sizeof memory.mem, &memory.mem), CLATTN_OK);
    clattn__chain_begin(&chain, ctx, NULL);
    const clattn_status status = clattn__chain_launch(&chain, kernel, global, local);
    assert_int_equal(clattn__chain_end(&chain, status), CLATTN_OK);
    assert_int_equal(clattn_memory_read(ctx, &memory, 0, y, bytes), CLATTN_OK);
    clattn__kernel_release(ctx, &kernel);
    clattn_memory_free(ctx, &memory);
    return y;
}

/* Distance of `got` from 2^x, in units of the last place of a float of that size. */
static double ulps(float got, float x)
{
    int exponent = 0;
    const double exact = exp2((double)x);
    frexp(exact, &exponent); /* exact = f * 2^exponent with f from 1/2 up */
    return fabs((double)got - exact) / ldexp(1.0, exponent - 24);
}

static void check_form(clattn_context *ctx, const form *f)
{
    float *x = arguments();
    float *y = run(ctx, f, x);
    double worst = 0.0;
    float worst_at = 0.0f;

    for (int i = 0; i < COUNT; i++) {
        if (x[i] < f->zero_below) {
            assert_true(y[i] == 0.0f);
        } else if (x[i] >= -126.0f) {
            const double error = ulps(y[i], x[i]);
            if (!(error <= worst)) { /* no number is the worst of all */
                worst = error;
                worst_at = x[i];
            }
            if (x[i] == floorf(x[i]))
                assert_true(error == 0.0);
        }
    }
    printf("    %s %s: at most %.3f ulp, at %.9g\n", f->kernel, f->options, worst,
           (double)worst_at);
    assert_true(worst <= MOST_ULPS);
    free(x);
    free(y);
}

static void test_exponentials(void **state)
{
    const form forms[] = {
        {.kernel = "groups", .options = "-DWIDTH=8", .floats = 32, .zero_below = -126.5f},
        {.kernel = "groups", .options = "-DWIDTH=16", .floats = 64, .zero_below = -126.5f},
    };
    const clattn_context_params params = {0};

    (void)state;
    for (int i = 0; i < list.count; i++) {
        const contexts_entry *entry = &list.entries[i];
        if (entry->device == NULL || (i > 0 && entry->device == list.entries[i - 1].device))
            continue;
        clattn_context *ctx = contexts_open(entry, &params);
        printf("  %s\n", entry->name);
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
            check_form(ctx, &forms[k]);
        clattn_context_destroy(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exponentials)};
    bool devices = false;

    contexts_find(false, &list);
    for (int i = 0; i < list.count; i++)
        devices = devices || list.entries[i].device != NULL;
    if (!devices)
        return contexts_none();
    clattn__source_hook = test_source;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
