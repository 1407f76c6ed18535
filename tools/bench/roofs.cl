/*
 * bench_roofs: what a device can do, for `clattn bench`. Each kernel does one thing and nothing else.
 *
 * Two rules keep the numbers honest. Every accumulator starts from a loaded value of its own, since compilers merge equal
 * chains; and every one is stored, since they drop what nobody reads.
 *
 * map      copy, gather: item = BLOCK vectors, side by side (SPREAD 0: caches of CPUs) or a whole range apart (SPREAD 1: so
 *          that neighbouring items read neighbouring vectors); fma_loop, exp2_loop, local_read: item = CHAINS vectors
 * local    local_read: LOCAL_VECTORS vectors
 * private  CHAINS vectors
 * traffic  copy: each vector read and written once; gather: read once, one vector per item written
 * flops    fma_loop: 2 * WIDTH * CHAINS * steps per item; exp2_loop: as many exponentials without the 2
 * barriers local_read: one after the fill
 * macros   WIDTH {1, 2, 4, 8, 16}, CHAINS, BLOCK, SPREAD {0, 1}, LOCAL_VECTORS a power of 2; HALF {0, 1}: arithmetic of
 *          fma_loop in half, where cl_khr_fp16 is; NATIVE_EXP2 {0, 1} as the operators' kernels have it; POLYNOMIAL {0, 1}:
 *          exponentials as in the kernels for CPU devices (kernels/vectors.clh)
 */
#pragma OPENCL FP_CONTRACT OFF
/* See kernels/common.clh. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpsabi"
#endif

#ifndef WIDTH
#define WIDTH 4
#endif
#ifndef CHAINS
#define CHAINS 4
#endif
#ifndef BLOCK
#define BLOCK 1
#endif
#ifndef SPREAD
#define SPREAD 1
#endif
#ifndef LOCAL_VECTORS
#define LOCAL_VECTORS 256
#endif
#ifndef HALF
#define HALF 0
#endif
#ifndef NATIVE_EXP2
#define NATIVE_EXP2 0
#endif
#ifndef POLYNOMIAL
#define POLYNOMIAL 0
#endif

#define PASTE(a, b) a##b
#define JOIN(a, b)  PASTE(a, b)
#define ROOF_UNROLL _Pragma("unroll")

#if WIDTH == 1
typedef float floats;
#define READ(p, i)     ((p)[i])
#define WRITE(x, p, i) ((p)[i] = (x))
#else
typedef JOIN(float, WIDTH) floats;
#define READ(p, i)     JOIN(vload, WIDTH)(i, p)
#define WRITE(x, p, i) JOIN(vstore, WIDTH)(x, i, p)
#endif

/* As the operators' kernels multiply and add (kernels/common.clh). */
#if defined(FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA) || HALF
#define MAD(a, b, c) fma(a, b, c)
#else
#define MAD(a, b, c) ((a) * (b) + (c))
#endif
#if POLYNOMIAL
#define EXP2(x) polynomial_exp2(x)
#elif NATIVE_EXP2
#define EXP2(x) native_exp2(x)
#else
#define EXP2(x) exp2(x)
#endif

#if HALF
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#if WIDTH == 1
typedef half reals;
#define TO_REALS(x)  convert_half(x)
#define TO_FLOATS(x) convert_float(x)
#else
typedef JOIN(half, WIDTH) reals;
#define TO_REALS(x)  JOIN(convert_half, WIDTH)(x)
#define TO_FLOATS(x) JOIN(convert_float, WIDTH)(x)
#endif
#else
typedef floats reals;
#define TO_REALS(x)  (x)
#define TO_FLOATS(x) (x)
#endif

/* The i-th vector of this item. */
static inline size_t place(size_t i)
{
#if SPREAD
    return i * get_global_size(0) + get_global_id(0);
#else
    return get_global_id(0) * BLOCK + i;
#endif
}

__kernel void copy(__global const float *restrict from, __global float *restrict to)
{
    for (int i = 0; i < BLOCK; i++)
        WRITE(READ(from, place((size_t)i)), to, place((size_t)i));
}

/* Four sums per item, so that no addition waits for the one before. BLOCK is a multiple of 4. */
__kernel void gather(__global const float *restrict from, __global float *restrict to)
{
    floats sum[4];
    ROOF_UNROLL
    for (int j = 0; j < 4; j++)
        sum[j] = READ(from, place((size_t)j));
    for (int i = 4; i < BLOCK; i += 4) {
        ROOF_UNROLL
        for (int j = 0; j < 4; j++)
            sum[j] += READ(from, place((size_t)(i + j)));
    }
    WRITE((sum[0] + sum[1]) + (sum[2] + sum[3]), to, get_global_id(0));
}

/* x <- x * factor + addend: stays bounded for |factor| < 1. */
__kernel void fma_loop(__global float *data, __global const float *restrict terms, int steps)
{
    const reals factor = TO_REALS(READ(terms, 0));
    const reals addend = TO_REALS(READ(terms, 1));
    const size_t first = get_global_id(0) * CHAINS;
    reals x[CHAINS];
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        x[i] = TO_REALS(READ(data, first + (size_t)i));
    for (int s = 0; s < steps; s++) {
        ROOF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            x[i] = MAD(x[i], factor, addend);
    }
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        WRITE(TO_FLOATS(x[i]), data, first + (size_t)i);
}

#if POLYNOMIAL
/* 2^x for x <= 127 to the last bit or two; 0 from -126.5 down. 1.5 * 2^23 + 127 rounds, and leaves the exponent in the low bits. */
static inline floats polynomial_exp2(floats x)
{
    const floats rounder = (floats)(12583039.0f);
    const floats lowest = (floats)(-127.0f);
    const floats at = select(lowest, x, lowest < x);
    const floats rounded = at + rounder;
    const floats f = at - (rounded - rounder);
    floats power = (floats)(0x1.416b16p-13f);
    power = MAD(power, f, (floats)(0x1.5f082ep-10f));
    power = MAD(power, f, (floats)(0x1.3b2de0p-7f));
    power = MAD(power, f, (floats)(0x1.c6af7cp-5f));
    power = MAD(power, f, (floats)(0x1.ebfbdcp-3f));
    power = MAD(power, f, (floats)(0x1.62e430p-1f));
    power = MAD(power, f, (floats)(1.0f));
    return power * JOIN(as_float, WIDTH)(JOIN(as_int, WIDTH)(rounded) << 23);
}
#endif

/* x <- 2^(x - 1.25), as softmax subtracts a maximum: from [0, 1) it goes to about 0.67, where nothing is special. */
__kernel void exp2_loop(__global float *data, int steps)
{
    const size_t first = get_global_id(0) * CHAINS;
    floats x[CHAINS];
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        x[i] = READ(data, first + (size_t)i);
    for (int s = 0; s < steps; s++) {
        ROOF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            x[i] = EXP2(x[i] - 1.25f);
    }
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        WRITE(x[i], data, first + (size_t)i);
}

/* Every item walks over the group's vectors, neighbours over neighbours. */
__kernel void local_read(__global float *data, int steps)
{
    __local float tile[LOCAL_VECTORS * WIDTH];
    const int item = (int)get_local_id(0);
    const size_t first = get_global_id(0) * CHAINS;
    floats x[CHAINS];
    for (int i = item; i < LOCAL_VECTORS; i += (int)get_local_size(0))
        WRITE(READ(data, (size_t)i), tile, i);
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        x[i] = READ(data, first + (size_t)i);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < steps; s++) {
        ROOF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            x[i] += READ(tile, (item + s * CHAINS + i) & (LOCAL_VECTORS - 1));
    }
    ROOF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        WRITE(x[i], data, first + (size_t)i);
}

/* Nothing: what a launch costs. */
__kernel void nothing(__global float *data)
{
    if (get_global_id(0) == (size_t)-1)
        data[0] = 0.0f;
}
