/*
 * Tensors of f32 or f16 on a device inside memory that is poisoned: 64 elements on both sides and every gap between elements hold a NaN
 * of a special pattern, and so do outputs before a run. Reading back checks that everything outside the tensor is untouched, bit by bit.
 * Any failed call fails the running test. With CLATTN_TEST_FRESH (contexts.h) the memory ends where the tensor does: Oclgrind sees
 * every access beyond, and what is read from a guard would pass as any other element.
 */
#ifndef CLATTN_TESTS_GUARD_H
#define CLATTN_TESTS_GUARD_H

#include "clattn/tensor.h"

typedef enum guard_layout {
    GUARD_TOKENS, /* (B, T, heads, dim), as a Linear layer writes */
    GUARD_HEADS,  /* (B, heads, T, dim), as PyTorch's attention holds it */
    GUARD_PACKED, /* (B, T, 3, heads, dim): the middle one of three */
    GUARD_ROWS,   /* rows of the map apart from each other, gaps between heads, an odd offset */
    GUARD_LAYOUTS
} guard_layout;

typedef struct guard_tensor {
    clattn_context *ctx;
    clattn_tensor tensor;
    unsigned char *image; /* the whole memory as it must be, but for the elements of an output */
    int64_t elements;
    size_t size;                 /* bytes of an element */
    int64_t class_tokens, width; /* of the map; width 0: no map, row_stride stays 0 */
} guard_tensor;

typedef struct guard_shape {
    int64_t batch, tokens, heads, dim;
    int64_t class_tokens, width; /* 0, 0 for tensors that are no map (agents) */
    clattn_type type;            /* of the memory; values are rounded to it */
} guard_shape;

/* Dense `values` (batch, tokens, heads, dim) are written to the device; NULL: an output, all poison. */
void guard_create(clattn_context *ctx, guard_layout layout, const guard_shape *shape,
                  const float *values, guard_tensor *guard);
void guard_destroy(guard_tensor *guard);

/* Poisons the elements again, for another run. */
void guard_poison(guard_tensor *guard);

/* The elements, dense, after checking that nothing else changed. `what` names the tensor in failures. */
void guard_read(guard_tensor *guard, const char *what, float *values);

/* Checks that the elements of an input still are as written, or that an output still is all poison. */
void guard_check_untouched(guard_tensor *guard, const char *what);

/* A flat array between guards. */
void guard_array(clattn_context *ctx, int64_t count, const float *values, guard_tensor *guard);

#endif
