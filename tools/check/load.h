/*
 * Typed access to a recorded file. Nothing in it is trusted: every tensor's type and size are
 * checked before use. The first fault is kept and makes the loader fail; what later calls return is
 * then not to be used, but does no harm.
 */
#ifndef CLATTN_TOOLS_CHECK_LOAD_H
#define CLATTN_TOOLS_CHECK_LOAD_H

#include "check/check.h"

typedef struct Loader {
    const clattn_safetensors *file;
    const char *prefix; /* of the parameters' names: "", "attn.", "attns.0." */
    CheckError *error;
    bool failed;
} Loader;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void load_fail(Loader *loader, const char *format, ...);

/* A whole number of the metadata, 0 .. 65536; a missing one is a fault. */
int64_t load_count(Loader *loader, const char *key);
/* A number of the metadata, or `otherwise` where it is missing. */
double load_number(Loader *loader, const char *key, double otherwise);
/* The whole square root; a fault when there is none. */
int64_t load_root(Loader *loader, const char *what, int64_t square);

/* An F32 tensor with `dims` extents by its full name; a fault when missing. NULL on failure. */
const clattn_safetensor *load_tensor(Loader *loader, const char *name, int dims);
/* The values of a parameter (prefix + name) with `count` elements of F32; a fault when missing. */
const float *load_parameter(Loader *loader, const char *name, int64_t count);
/* The same for what may be missing: NULL then. */
const float *load_optional(Loader *loader, const char *name, int64_t count);
/* The same without the prefix: recorded intermediates and results. */
const float *load_record(Loader *loader, const char *name, int64_t count);
/* An extent of a parameter's shape. */
int64_t load_extent(Loader *loader, const char *name, int dims, int axis);

/* Gives the array memory of its own; NULL, and a fault, when there is none. */
float *load_own(Loader *loader, CheckArray *array, int64_t count);
/*
 * input -> name.weight, name.bias: rows of `in` features become rows of `out`. A missing bias is
 * none.
 */
void load_linear(Loader *loader, float *result, const float *input, const char *name, int64_t rows,
                 int64_t in, int64_t out);

/* The pieces of a part that several families share (part.c). */

/* Values of the file as an array that the part uploads. */
CheckArray part_array(const float *values, int64_t count);
/*
 * batch, heads and head_dim of a part of `channels` channels, and the scale where the file has one.
 */
void part_heads(Loader *loader, CheckPart *part, int64_t batch, int64_t channels, int64_t heads);
/* Ordinary softmax attention in place of the agents of part->desc. */
void part_softmax(CheckPart *part, int64_t queries, int64_t keys);
/* The depthwise convolution `name`, on `channels` channels. */
void part_dwc(Loader *loader, CheckPart *part, const char *name, int64_t channels);
/* The learned bias of both stages, with the terms of the class token where there is one. */
void part_bias(Loader *loader, CheckPart *part);
/* What the file has of the steps between q and the output. */
void part_intermediates(Loader *loader, CheckPart *part, bool dense);
/* The output projection. */
void part_proj(Loader *loader, CheckPart *part, const char *name, int64_t channels);
/* The tensor that the result must equal. */
void part_expected(Loader *loader, CheckPart *part, const char *name, int64_t count);

#endif
