/*
 * clattn: memory, and tensors as views of it.
 *
 * A tensor is memory + offset + shape + strides + type. It is a plain struct of the caller's: clattn copies what it
 * needs during a call and owns none of it. Channels (the elements of one head of one token) are always contiguous; all
 * other strides are free, so packed (B, N, 3C) projections and (B, h, N, d) arrays are read where they lie.
 */
#ifndef CLATTN_TENSOR_H
#define CLATTN_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "clattn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How elements are stored; arithmetic is f32 in any case. A plan's descriptor names one type for q, k, v, agents, va and the
 * results together, also for what lies between its steps; a run refuses tensors of another (CLATTN_E_TYPE). Additive vectors
 * (key_bias, agent_vector), bias tables and weights stay f32 in every plan, and so do sums and softmax states inside.
 *
 * f16 is IEEE binary16, at any address that is a multiple of 2. Results are rounded to nearest even, from 65520 on to
 * infinity; small ones become denormal, down to 6e-8. A result then is off by up to 2^-11 of its size where it is rounded once,
 * and every type needs the same work but half the memory traffic.
 */
typedef enum clattn_type { CLATTN_F32 = 0, CLATTN_F16 = 1 } clattn_type;

/** Memory on the context's device: `mem` for OpenCL, `host` for the CPU path; the other one is NULL. */
typedef struct clattn_memory {
    cl_mem mem;
    void *host;
    uint64_t bytes; /* size of `host`; for `mem`, 0 lets the library ask OpenCL */
} clattn_memory;

/**
 * (batch, tokens, heads, dim) elements. Element (b, t, h, j) of a tensor without rows lies at
 *     offset + b * batch_stride + h * head_stride + t * token_stride + j.
 * A map of H x W tokens may have rows of its own stride: with c class tokens in front, token c + y * W + x lies at
 *     offset + b * batch_stride + h * head_stride + c * token_stride + y * row_stride + x * token_stride.
 * Strides and offset are in elements. row_stride 0 means W * token_stride. A batch_stride or head_stride of 0 repeats
 * the same elements (inputs only). Strides may not be negative.
 */
typedef struct clattn_tensor {
    clattn_memory memory;
    clattn_type type;
    int64_t offset;
    int64_t batch, tokens, heads, dim;
    int64_t batch_stride, row_stride, token_stride, head_stride;
} clattn_tensor;

/**
 * A tensor over (B, N, C) memory, C = heads * dim, as a Linear layer writes it. No checks: the call that uses it checks. Its type is
 * CLATTN_F32; for f16 the caller sets it.
 */
CLATTN_API clattn_tensor clattn_tensor_tokens(clattn_memory memory, int64_t batch, int64_t tokens,
                                              int64_t heads, int64_t dim);

/** A tensor over (B, h, N, d) memory, as PyTorch's attention holds it. */
CLATTN_API clattn_tensor clattn_tensor_heads(clattn_memory memory, int64_t batch, int64_t tokens,
                                             int64_t heads, int64_t dim);

/** The part `index` of `parts` of packed (B, N, parts * C) memory: q, k, v are parts 0, 1, 2 of 3. */
CLATTN_API clattn_tensor clattn_tensor_packed(clattn_memory memory, int64_t batch, int64_t tokens,
                                              int64_t heads, int64_t dim, int64_t parts,
                                              int64_t index);

/**
 * Allocates memory on the context's device (device buffer, or host memory aligned to 64 bytes for the CPU path), counted
 * against its byte cap. Contents are undefined.
 *
 * memory   freed with clattn_memory_free() and the same context
 * returns  CLATTN_OK, CLATTN_E_ARG (0 bytes), CLATTN_E_BUDGET, CLATTN_E_NOMEM, CLATTN_E_DEVICE_NOMEM, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_memory_alloc(clattn_context *ctx, uint64_t bytes,
                                             clattn_memory *memory);
/** Gives memory back and zeroes *memory; work enqueued earlier may still use it. */
CLATTN_API void clattn_memory_free(clattn_context *ctx, clattn_memory *memory);

/**
 * Copies between the caller's array and memory, in queue order; returns when the copy is done.
 *
 * units    bytes
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_SHAPE (outside the memory), CLATTN_E_OPENCL, CLATTN_E_LOST
 */
CLATTN_API clattn_status clattn_memory_write(clattn_context *ctx, const clattn_memory *memory,
                                             uint64_t offset, const void *source, uint64_t bytes);
CLATTN_API clattn_status clattn_memory_read(clattn_context *ctx, const clattn_memory *memory,
                                            uint64_t offset, void *target, uint64_t bytes);

/**
 * Host arrays between the two types of storage, as the operators convert: `count` numbers, rounded as at clattn_type. A NaN stays one.
 * The arrays may not overlap.
 *
 * units    elements
 * threads  safe
 */
CLATTN_API void clattn_f16_from_f32(const float *from, uint16_t *to, size_t count);
CLATTN_API void clattn_f32_from_f16(const uint16_t *from, float *to, size_t count);

#ifdef __cplusplus
}
#endif
#endif
