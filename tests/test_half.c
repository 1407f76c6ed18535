/*
 * Between floats and halves, for every instruction set that this machine has: all halves, and floats at, beside and between the
 * borders of rounding, against arithmetic in double that shares nothing with the library.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clattn/tensor.h"
#include "cpu/dispatch.h"
#include "fill.h"

#define HALVES 65536

static const char *const variants[] = {"baseline", "avx2", "avx512"};
static const clattn__cpu_ops *ops;

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* What a half says, NaN included. */
static double value_of_half(unsigned half)
{
    const int exponent = (int)(half >> 10 & 31);
    const double fraction = half & 1023;
    const double sign = half & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31)
        return fraction > 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
}

/* The nearest half, the even one of two: the whole number nearest to |x| in units of the last place, where the units are right. */
static unsigned half_of_value(float x)
{
    const unsigned sign = bits_of(x) >> 31 << 15;
    const double size = fabs((double)x);
    int exponent = 0;
    if (isnan(x))
        return sign | 0x7e00 | (bits_of(x) >> 13 & 0x1ff);
    frexp(size, &exponent);
    if (size >= 65536.0)
        return sign | 0x7c00;
    const int unit = size == 0.0 || exponent < -13 ? -24 : exponent - 11;
    const double units = nearbyint(ldexp(size, -unit)); /* to nearest even: the default rounding */
    /* A carry into the next exponent, or from the denormals, is the addition's. */
    return sign | ((unsigned)(unit + 24) * 1024 + (unsigned)units);
}

static void test_widen_all(void **state)
{
    uint16_t *half = malloc(HALVES * sizeof *half);
    float *got = malloc(HALVES * sizeof *got);
    (void)state;
    assert_non_null(half);
    assert_non_null(got);
    for (unsigned i = 0; i < HALVES; i++)
        half[i] = (uint16_t)i;
    ops->widen(half, HALVES, got);
    for (unsigned i = 0; i < HALVES; i++) {
        const double want = value_of_half(i);
        const bool nan = (i & 0x7fff) > 0x7c00;
        const uint32_t nan_bits = (i & 0x8000) << 16 | 0x7fc00000 | (i & 0x3ff) << 13;
        if (nan ? bits_of(got[i]) != nan_bits : bits_of(got[i]) != bits_of((float)want))
            fail_msg("%s: half %04x becomes %g (%08x), should be %g", ops->name, i, (double)got[i],
                     (unsigned)bits_of(got[i]), want);
    }
    /* And back: what was a half stays one. */
    memset(half, 0, HALVES * sizeof *half);
    ops->narrow(got, HALVES, half);
    for (unsigned i = 0; i < HALVES; i++) {
        const unsigned quiet = (i & 0x7fff) > 0x7c00 ? 0x200 : 0;
        if (half[i] != (i | quiet))
            fail_msg("%s: half %04x comes back as %04x", ops->name, i, (unsigned)half[i]);
    }
    free(got);
    free(half);
}

static void check_narrow(const float *x, int count)
{
    uint16_t *got = malloc((size_t)count * sizeof *got);
    assert_non_null(got);
    ops->narrow(x, count, got);
    for (int i = 0; i < count; i++)
        if (got[i] != half_of_value(x[i]))
            fail_msg("%s: %.9g (%08x) becomes %04x, should be %04x", ops->name, (double)x[i],
                     (unsigned)bits_of(x[i]), (unsigned)got[i], half_of_value(x[i]));
    free(got);
}

/* Every half, the middle to the next one, and the floats beside both. */
static void test_narrow_borders(void **state)
{
    float *x = malloc((size_t)HALVES * 6 * sizeof *x);
    int count = 0;
    (void)state;
    assert_non_null(x);
    for (unsigned i = 0; i < 0x7c00; i++) {
        const float at = (float)value_of_half(i);
        const float next = i == 0x7bff ? 65536.0f : (float)value_of_half(i + 1);
        const float middle = (float)(((double)at + (double)next) / 2);
        const float near[] = {at,     nextafterf(at, -1.0f),    nextafterf(at, INFINITY),
                              middle, nextafterf(middle, 0.0f), nextafterf(middle, INFINITY)};
        for (size_t j = 0; j < sizeof near / sizeof *near; j++)
            x[count++] = i % 2 == 0 ? near[j] : -near[j];
    }
    check_narrow(x, count);
    free(x);
}

static void test_narrow_hard(void **state)
{
    const float hard[] = {0.0f,
                          -0.0f,
                          INFINITY,
                          -INFINITY,
                          FLT_MAX,
                          -FLT_MAX,
                          65504.0f,
                          65519.996f,
                          65520.0f,
                          -65520.0f,
                          65536.0f,
                          131008.0f,
                          FLT_MIN,
                          float_of(1),
                          float_of(0x80000001),
                          float_of(0x007fffff),
                          0x1p-24f,
                          0x1p-25f,
                          0x1.000002p-25f,
                          -0x1p-25f,
                          0x1.8p-24f,
                          0x1p-14f,
                          0x1.ffcp-15f,
                          0x1.ffep-15f,
                          float_of(0x7fc00000),
                          float_of(0x7f800001),
                          float_of(0xffffffff),
                          float_of(0xff812345)};
    (void)state;
    check_narrow(hard, sizeof hard / sizeof *hard);
}

/* Any bits at all; a count that is no multiple of any vector. */
static void test_narrow_random(void **state)
{
    enum { COUNT = 1000003 };
    fill_random random = {fill_seed()};
    float *x = malloc(COUNT * sizeof *x);
    (void)state;
    assert_non_null(x);
    for (int i = 0; i < COUNT; i++) {
        const uint64_t bits = fill_next(&random);
        /* Half of them where halves are: exponents 100 .. 146. */
        const uint32_t exponent = (uint32_t)(100 + (bits >> 32) % 47) << 23;
        x[i] = float_of(i % 2 == 0 ? (uint32_t)bits : ((uint32_t)bits & 0x807fffff) | exponent);
    }
    check_narrow(x, COUNT);
    free(x);
}

/* Rows of every short length: nothing beyond them is read or written. */
static void test_lengths(void **state)
{
    (void)state;
    for (int count = 0; count <= 40; count++) {
        uint16_t *half = malloc((size_t)count * sizeof *half + 1); /* a sanitizer sees more */
        float wide[42];
        uint16_t narrow[42];
        assert_non_null(half);
        for (int i = 0; i < count; i++)
            half[i] = (uint16_t)(0x3c00 + i);
        for (int i = 0; i < 42; i++) {
            wide[i] = -1.0f;
            narrow[i] = 0xdead;
        }
        ops->widen(half, count, wide);
        ops->narrow(wide, count, narrow);
        for (int i = 0; i < 42; i++) {
            assert_true(wide[i] == (i < count ? (float)value_of_half(0x3c00u + (unsigned)i) : -1));
            assert_int_equal(narrow[i], i < count ? 0x3c00 + i : 0xdead);
        }
        free(half);
    }
}

static void test_public(void **state)
{
    const float x[] = {1.0f, -2.5f, 65520.0f, 0x1p-25f, 0.1f};
    const uint16_t want[] = {0x3c00, 0xc100, 0x7c00, 0x0000, 0x2e66};
    uint16_t half[5];
    float back[5];
    (void)state;
    clattn_f16_from_f32(x, half, 5);
    assert_memory_equal(half, want, sizeof want);
    clattn_f32_from_f16(half, back, 5);
    for (int i = 0; i < 5; i++)
        assert_true((double)back[i] == value_of_half(want[i]));
    clattn_f16_from_f32(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widen_all),   cmocka_unit_test(test_narrow_borders),
        cmocka_unit_test(test_narrow_hard), cmocka_unit_test(test_narrow_random),
        cmocka_unit_test(test_lengths),     cmocka_unit_test(test_public),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        ops = clattn__cpu_ops_named(variants[i]);
        if (ops == NULL)
            continue;
        failed += cmocka_run_group_tests_name(variants[i], tests, NULL, NULL);
    }
    return failed;
}
