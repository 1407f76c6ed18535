/*
 * How elements of q, k, v, agents and results lie in memory: all that differs between the types of storage. The files of src/cpu
 * are compiled once for each, and arithmetic is f32 in both.
 *
 * macros   CLATTN_CPU_HALF {0,1}   default 0: f32; 1: f16
 *
 * f16 rounds to nearest even, beyond 65504 to infinity; small numbers become denormal; a NaN stays one, quiet, with the upper
 * bits of its payload: what x86 and ARM do in hardware, bit for bit.
 */
#ifndef CLATTN_SRC_CPU_STORAGE_H
#define CLATTN_SRC_CPU_STORAGE_H

#include <string.h>

#include "cpu/lanes.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

#ifndef CLATTN_CPU_HALF
#define CLATTN_CPU_HALF 0
#endif

static inline float float_of_half(uint16_t half)
{
    const uint32_t size = (half & 0x7fffu) << 13; /* exponent and fraction where a float has them */
    const uint32_t normal = size + (112u << 23);
    const uint32_t special = (size + (224u << 23)) | (size > 0x0f800000u ? 0x400000u : 0u);
    const float denormal = float_of_bits(size + (113u << 23)) - 0x1p-14f;
    const uint32_t bits = size < 0x00800000u    ? bits_of_float(denormal)
                          : size >= 0x0f800000u ? special
                                                : normal;
    return float_of_bits(bits | (half & 0x8000u) << 16);
}

static inline uint16_t half_of_float(float value)
{
    const uint32_t bits = bits_of_float(value);
    const uint32_t size = bits & 0x7fffffffu;
    const uint32_t rounded = (size - (112u << 23) + 0xfffu + (size >> 13 & 1u)) >> 13;
    const uint32_t finite = size < 0x47800000u ? rounded : 0x7c00u; /* from 2^16 on: infinity */
    /* The last bit of 1/2 is that of a denormal half: adding it rounds there. */
    const uint32_t denormal = bits_of_float(float_of_bits(size) + 0.5f) - 0x3f000000u;
    const uint32_t nan = 0x7e00u | (size >> 13 & 0x1ffu);
    const uint32_t half = size > 0x7f800000u ? nan : size < 0x38800000u ? denormal : finite;
    return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

static inline void widen_halves(const uint16_t *half, int count, float *value)
{
    int i = 0;
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(value + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(half + i))));
    for (; i < count; i++)
        value[i] = _cvtsh_ss(half[i]);
#else
    for (; i + LANES <= count; i += LANES)
        EACH_LANE (lane)
            value[i + lane] = float_of_half(half[i + lane]);
    for (; i < count; i++)
        value[i] = float_of_half(half[i]);
#endif
}

static inline void narrow_floats(const float *value, int count, uint16_t *half)
{
    int i = 0;
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((void *)(half + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(value + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < count; i++)
        half[i] = _cvtss_sh(value[i], _MM_FROUND_TO_NEAREST_INT);
#else
    for (; i + LANES <= count; i += LANES)
        EACH_LANE (lane)
            half[i + lane] = half_of_float(value[i + lane]);
    for (; i < count; i++)
        half[i] = half_of_float(value[i]);
#endif
}

/* Elements of one head's row, at most: CLATTN_MAX_HEAD_DIM. */
#define ROW_MAX 1024

#if CLATTN_CPU_HALF
typedef uint16_t elem;
#else
typedef float elem;
#endif

/* `count` elements as floats: where they lie, or in `room`. */
static inline const float *read_row(const elem *row, int count, float *room)
{
#if CLATTN_CPU_HALF
    widen_halves(row, count, room);
    return room;
#else
    (void)count, (void)room;
    return row;
#endif
}

/* Copies, so that `to` holds them in any case. */
static inline void load_row(const elem *row, int count, float *to)
{
#if CLATTN_CPU_HALF
    widen_halves(row, count, to);
#else
    memcpy(to, row, (size_t)count * sizeof *to);
#endif
}

static inline void store_row(const float *from, int count, elem *row)
{
#if CLATTN_CPU_HALF
    narrow_floats(from, count, row);
#else
    memcpy(row, from, (size_t)count * sizeof *from);
#endif
}

#endif
