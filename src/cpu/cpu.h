/*
 * The CPU path: the kernels again in plain C, on the same argument structs (kernels/args.h). Each function does one
 * item of a counted loop; items are independent and write disjoint memory, so any number of threads gives the same bits.
 * The files below src/cpu are compiled once per instruction set; the best one the machine has is chosen at run time.
 */
#ifndef CLATTN_SRC_CPU_H
#define CLATTN_SRC_CPU_H

#include "base/context.h"
#include "kernels/args.h"

/* Memory of a stage; views hold the offsets, but the weights' and biases' are added here already. */
typedef struct clattn__attend_mem {
    const void *q, *k, *v, *tap; /* elements of the storage */
    const float *key_bias, *bias, *dwc_weight, *dwc_bias;
    void *out; /* likewise; the states, which are floats, in stage 1 with leaves > 1 */
} clattn__attend_mem;

/* Queries per item of `broadcast`. */
#define CLATTN__CPU_QUERY_BLOCK 128

/* Where it says void, elements are floats or halves: each instruction set has one table for either storage. */
typedef struct clattn__cpu_ops clattn__cpu_ops;
struct clattn__cpu_ops {
    const char *name;            /* "baseline", "avx2", "avx512" */
    const clattn__cpu_ops *half; /* the table for storage in f16; there NULL */

    /*
     * item = ((p * count + leaf - first) * heads + h) * ceil(queries / tile) + agent tile;  p = picture * windows + window.
     * Heads come before leaves and blocks, so that neighbouring items share the rows of the picture.
     */
    void (*aggregate)(const Attend *args, const clattn__attend_mem *mem, int64_t item);
    /* item = (p * ceil(queries / CLATTN__CPU_QUERY_BLOCK) + block) * heads + h */
    void (*broadcast)(const Attend *args, const clattn__attend_mem *mem, int64_t item);
    /* item = z * count + agent - first */
    void (*merge)(const Merge *args, float *states, void *out, int64_t item);
    /* item = p * count + place - first; `sums` is the partial buffer, or unused where slots == 1 */
    void (*pool_partial)(const Pool *args, const void *q, float *sums, void *out, int64_t item);
    /* item = p * count + cell - first */
    void (*pool_merge)(const Pool *args, float *sums, void *out, int64_t item);
    /* item = p * rows + row of the output window; class tokens are row 0's work */
    void (*dwc)(const Dwc *args, const void *v, const float *weight, const float *bias, void *out,
                int64_t item);
    /* item = a row of the picture */
    void (*smooth_features)(const Features *args, const float *rgb, float *features, float *norms,
                            int64_t item);
    /* item = a block of CLATTN__CPU_QUERY_BLOCK rows, counted from `first` */
    void (*smooth_norms)(const Norms *args, const float *rows, float *norms, int64_t item);
    /* Between storage in f16 and floats: the conversions that the other functions use. */
    void (*widen)(const uint16_t *half, int count, float *value);
    void (*narrow)(const float *value, int count, uint16_t *half);
};

/* The table of the widest instruction set that this machine has; never NULL. src/cpu/dispatch.c */
const clattn__cpu_ops *clattn__cpu_ops_best(void);

struct clattn__cpu_block;

struct clattn__cpu_path {
    const clattn__cpu_ops *ops;
    clattn__pool *pool;               /* NULL: the caller's parallel_for */
    clattn__mutex lock;               /* guards the list */
    struct clattn__cpu_block *blocks; /* memory handed out; src/cpu/context.c */
};

/* Runs fn(arg, i) for i in [0, count) on the context's threads. */
void clattn__cpu_for(clattn_context *ctx, int64_t count, void (*fn)(void *arg, int64_t i),
                     void *arg);

#endif
