/*
 * The tensors of a row: dense, token-major, random, and as many sets of them as it takes to leave no set in a cache when its turn
 * comes again. Every value follows from its tensor and index alone, so that other code can make the same value again.
 */
#ifndef CLATTN_TOOLS_BENCH_DATA_H
#define CLATTN_TOOLS_BENCH_DATA_H

#include "bench/bench.h"

typedef enum bench_tensor {
    BENCH_Q, /* the picture of smooth */
    BENCH_K,
    BENCH_V,
    BENCH_AGENTS,
    BENCH_VA,
    BENCH_OUT,
    BENCH_DWC_WEIGHT,
    BENCH_DWC_BIAS,
    BENCH_BIAS /* and the following ones: the terms of the agent bias */
} bench_tensor;

#define BENCH_TENSORS (BENCH_OUT + 1)

/* Value `index` of a tensor's first set: [-1, 1), or [0, 1) for `positive`; one that the type holds. */
float bench_value(bench_tensor tensor, int64_t index, clattn_type type, bool positive);

/* Which tensors an operator reads and writes, and how large one set is. */
typedef struct bench_layout {
    clattn_type type;
    int64_t batch, heads, dim;
    int64_t tokens[BENCH_TENSORS];   /* 0: not used */
    int64_t elements[BENCH_TENSORS]; /* of the tensor */
    int64_t stride[BENCH_TENSORS];   /* from set to set */
    bench_tensor output;
    bool positive; /* inputs in [0, 1) */
} bench_layout;

bench_layout bench_layout_of(bench_op op, const bench_shape *shape, clattn_type type);
/* Bytes of one set. */
uint64_t bench_layout_bytes(const bench_layout *layout);

/* What a model would have learned, in host memory. All NULL where the shape has none. */
typedef struct bench_weights {
    float *dwc_weight, *dwc_bias; /* (heads * dim, 1, size, size), (heads * dim) */
    float *terms[8];              /* of both stages: map, row, column, class_token */
    clattn_agent_bias_desc bias;  /* points into terms */
} bench_weights;

/* False when memory ran out. Free in any case. */
bool bench_weights_make(const bench_shape *shape, bench_weights *weights);
void bench_weights_free(bench_weights *weights);

typedef struct bench_data {
    clattn_context *ctx;
    const bench_shape *shape;
    bench_layout layout;
    int64_t sets;
    clattn_memory memory[BENCH_TENSORS];
    clattn_memory weight_memory;
    clattn_array dwc_weight, dwc_bias;
    clattn_agent_bias *bias;
} bench_data;

/* Allocates and fills all sets; the first set's output is NaN. Free in any case. */
clattn_status bench_data_make(clattn_context *ctx, bench_op op, const bench_shape *shape,
                              clattn_type type, int64_t sets, const bench_weights *weights,
                              bench_data *data);
void bench_data_free(bench_data *data);

clattn_tensor bench_data_tensor(const bench_data *data, bench_tensor tensor, int64_t set);

/* The shape as descriptors. */
clattn_agent_attention_desc bench_agent_desc(bench_op op, const bench_shape *shape,
                                             clattn_type type);

typedef struct bench_run {
    bench_op op;
    const bench_shape *shape;
    const bench_data *data;
    clattn_plan *plan;
    clattn_workspace *workspace;
} bench_run;

/* `data` may come later, before the first run. Close in any case. */
clattn_status bench_run_plan(clattn_context *ctx, bench_op op, const bench_shape *shape,
                             clattn_type type, bench_run *run);
clattn_status bench_run_once(const bench_run *run, int64_t set, const clattn_sync *sync);
void bench_run_close(bench_run *run);

/* Half precision, IEEE binary16, rounded to nearest even. */
uint16_t bench_half_of(float value);
float bench_half_value(uint16_t half);

/* Largest |x - y| / (|y| + 1) of a result x and the CPU path's y. */
double bench_tolerance(bench_op op, const bench_shape *shape, clattn_type type);

/* Compares the first set's result, which has been computed, and fills the row's error, tolerance, checked, checked_with and bits. */
clattn_status bench_check(const bench_run *run, const bench_weights *weights, bench_row *row);

/* Some elements of the result in double: index[i] of the output, in rising order, is value[i]. */
typedef struct bench_answer {
    int64_t count;
    int64_t *index;
    double *value;
} bench_answer;

/* False when memory ran out. Free in any case. */
bool bench_oracle(bench_op op, const bench_shape *shape, clattn_type type,
                  const bench_weights *weights, bench_answer *answer);
void bench_answer_free(bench_answer *answer);

#endif
