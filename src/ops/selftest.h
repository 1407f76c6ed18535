/*
 * The self-test: small problems that show whether a kernel computes what the CPU path computes, run when a plan uses the kernel's
 * variant for the first time. Each operator has a probe for its kernels:
 *
 *     the probe runs on the CPU path, and what it reports is kept;
 *     the same probe runs on the device, through the very kernel of the plan, and what it reports is compared.
 *
 * So a probe makes its problem twice, alike, on whichever context it is given. The CPU path has f32 storage where the kernel has f16, of
 * the same numbers: its results are not rounded. Problems are chosen to show a lost tail (odd sizes, beyond a
 * tile and below one), a wrong stride (gaps everywhere, filled with NaN), a missing barrier or a lost merge (several tiles and
 * leaves), masks that leak, a broken exponential (wide and narrow logits), halves that are misread or
 * flushed (denormal ones that decide), a wrong work-group (sums that all items share).
 */
#ifndef CLATTN_SRC_OPS_SELFTEST_H
#define CLATTN_SRC_OPS_SELFTEST_H

#include "clattn/selftest.h"
#include "ops/plan.h"
#include "ops/record.h"

#define CLATTN__SELFTEST_TENSORS 12

/* One run of a probe. */
struct clattn__selftest {
    clattn_context *ctx;   /* where it runs: `cpu`, or a lane of the device */
    clattn_context *cpu;   /* plans of small problems are made here: nothing is built for them */
    const clattn_plan *of; /* the plan whose kernel is tested */
    int kernel;            /* its index */
    clattn_workspace ws;   /* holds the kernel object; for clattn__launch() */
    clattn_memory memory[CLATTN__SELFTEST_TENSORS]; /* of the problem in hand */
    int count;
    clattn_type storage; /* on this side */
    uint32_t seed;
    const char *form; /* of the problem in hand, for the verdict */
    float scale;      /* about the size of its results */
    bool passed;      /* so far */

    float *expected; /* what the run on the CPU path reported */
    size_t room, reported;
    clattn_verdict *verdict;
};

/* What a tensor's numbers are like. */
typedef enum clattn__selftest_fill {
    CLATTN__FILL_EVEN,   /* evenly from -1 to 1 */
    CLATTN__FILL_WHOLE,  /* whole numbers from -4 to 4: products that are exact */
    CLATTN__FILL_TINY,   /* EVEN times 2^-18: denormal halves; for f32 as EVEN */
    CLATTN__FILL_VECTOR, /* per-token terms: rising from -3 to 3, -INFINITY for every seventh token and for all of head 1, picture 0 */
    CLATTN__FILL_MASK,   /* 0, or -INFINITY likewise */
    CLATTN__FILL_NOTHING, /* an output: marked, so that what is written shows */
} clattn__selftest_fill;

/* A tensor to make: gaps between its heads, tokens and pictures, unless it is `dense`; between the rows of a map where width > 0. */
typedef struct clattn__selftest_shape {
    clattn__selftest_fill fill;
    bool plain; /* f32 in any case, not as the plan stores its tensors */
    int64_t batch, tokens, heads, dim;
    int64_t class_tokens, width;
    bool dense;
} clattn__selftest_shape;

/* Memory of the problem, freed with it. */
clattn_status clattn__selftest_tensor(clattn__selftest *test, const clattn__selftest_shape *shape,
                                      clattn_tensor *tensor);
clattn_status clattn__selftest_array(clattn__selftest *test, int64_t count, clattn_array *array);
clattn_status clattn__selftest_memory(clattn__selftest *test, const float *values, int64_t count,
                                      clattn_memory *memory);

/* Makes a small plan of the CPU path one for the test's context: it gets the tested kernel, and the values it is tuned with. */
void clattn__selftest_adopt(clattn__selftest *test, const clattn_plan *small, clattn_plan *plan);

/*
 * Reports all elements of a tensor's memory, gaps too: on the device they are compared. `units` is what rounding may explain, in units
 * of 2^-24 (test->scale + |x|); elements in f16 may be off by half a place more.
 */
clattn_status clattn__selftest_report(clattn__selftest *test, const clattn_tensor *tensor,
                                      float units);
/* Reports softmax states (kernels/args.h) of dim_v sums each, in a form that does not depend on their maxima. */
clattn_status clattn__selftest_report_states(clattn__selftest *test, const clattn_memory *memory,
                                             int64_t states, int64_t dim_v, float units);

/* Begins a problem. */
void clattn__selftest_begin(clattn__selftest *test, const char *form);

/* Ends a problem. */
void clattn__selftest_clear(clattn__selftest *test);

/* An even number in [-1, 1); the next of the test's. */
float clattn__selftest_number(clattn__selftest *test);

/* The recording for clattn_selftest_record(), where the context has a recorder: begun and ended with the test. */
clattn_status clattn__selftest_record_begin(clattn__selftest *test);
/* A check that is being made, on the device alone; and the problem in hand is complete. */
void clattn__selftest_record_check(clattn__selftest *test, const clattn_memory *memory,
                                   const clattn_selftest_check *check);
void clattn__selftest_record_problem(clattn__selftest *test, bool passed);

/* Tests kernel `index` of a plan; CLATTN_E_WRONG where a plan may not use it, and a sentence in the log. */
clattn_status clattn__selftest_kernel(clattn_plan *plan, int index, clattn__probe *probe);
/* True where it is known already that a plan may not use the kernel. */
bool clattn__selftest_condemned(const clattn_plan *plan, int index);

#endif
