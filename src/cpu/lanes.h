/*
 * What the files of one instruction set share: their names, and arithmetic on lanes.
 *
 * A lane is one token (or one agent) of a group of LANES; loops over lanes have constant trip
 * counts and no branches, so that the compiler turns each into one to four vector instructions. No
 * vector types, no intrinsics.
 */
#ifndef CLATTN_SRC_CPU_LANES_H
#define CLATTN_SRC_CPU_LANES_H

#include <math.h>
#include <stdint.h>

/*
 * Each file is compiled once per instruction set, with CLATTN_CPU_VARIANT = _baseline, _avx2 or
 * _avx512 as a suffix.
 */
#define CPU_PASTE(name, suffix)  clattn__cpu_##name##suffix
#define CPU_EXPAND(name, suffix) CPU_PASTE(name, suffix)
#define CPU_NAME(name)           CPU_EXPAND(name, CLATTN_CPU_VARIANT)

#define LANES 16

/* Output rows of LANES that a register tile of the matrix products holds (rows.h), at most. */
#if defined(__AVX512F__)
#define ROWS 8
#elif defined(__AVX2__) || defined(__aarch64__)
#define ROWS 6
#else
#define ROWS 2
#endif

#if defined(__GNUC__)
#define CPU_PRAGMA(text) _Pragma(text)
#define FORCE_INLINE     static inline __attribute__((always_inline))
#else
#define CPU_PRAGMA(text)
#define FORCE_INLINE static inline
#endif

/* A loop whose turns are independent: vectorise it, before anything unrolls it into scalars. */
#define EACH(i, count)  CPU_PRAGMA("omp simd") for (int i = 0; i < (count); i++)
#define EACH_LANE(lane) EACH (lane, LANES)

/* A short loop around loops over lanes: to be unrolled, never to be vectorised itself. */
#if defined(__clang__)
#define EACH_ROW(i, count)                                                                         \
    _Pragma("clang loop vectorize(disable)") for (int i = 0; i < (count); i++)
#else
#define EACH_ROW(i, count) for (int i = 0; i < (count); i++)
#endif

/* a * b + c: fused where the instruction set can, never by a call. */
static inline float mad(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline float float_of_bits(uint32_t bits)
{
    const union {
        uint32_t bits;
        float value;
    } pun = {.bits = bits};
    return pun.value;
}

static inline uint32_t bits_of_float(float value)
{
    const union {
        float value;
        uint32_t bits;
    } pun = {.value = value};
    return pun.bits;
}

/*
 * 2^x for x <= 127 within 1.5 ulp; exact where x is a whole number; 0 below -126 (-INFINITY
 * included), NaN for NaN. 2^x = 2^i 2^f with i the nearest whole number; the polynomial is the
 * minimax of 2^f on [-1/2, 1/2] with p(0) = 1, relative error 3e-9.
 */
static inline float exp2_lane(float x)
{
    /* 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits. */
    const float rounder = 12582912.0f;
    const float at = x < -126.0f ? -126.0f : x;
    const float rounded = at + rounder;
    const float f = at - (rounded - rounder);
    float power = 0x1.416b16p-13f;
    power = mad(power, f, 0x1.5f082ep-10f);
    power = mad(power, f, 0x1.3b2de0p-7f);
    power = mad(power, f, 0x1.c6af7cp-5f);
    power = mad(power, f, 0x1.ebfbdcp-3f);
    power = mad(power, f, 0x1.62e430p-1f);
    power = mad(power, f, 1.0f);
    const float scale = float_of_bits((bits_of_float(rounded) << 23) + 0x3f800000u);
    return x < -126.0f ? 0.0f : power * scale;
}

/* 2^d for a whole number d <= 0, exactly; 0 below -126. */
static inline float pow2_whole(float d)
{
    const float at = d < -127.0f ? -127.0f : d;
    return float_of_bits((uint32_t)((int32_t)at + 127) << 23);
}

/* ceilf() as additions, since not every instruction set has it. */
static inline float ceil_lane(float x)
{
    const float whole = 8388608.0f; /* 2^23: from here on every float is a whole number */
    const float size = x < 0.0f ? -x : x;
    const float rounded = (size + whole) - whole;
    const float nearest = x < 0.0f ? -rounded : rounded;
    const float up = nearest < x ? nearest + 1.0f : nearest;
    return size < whole ? up : x;
}

static inline float max_lane(float a, float b)
{
    return a > b ? a : b;
}

#endif
