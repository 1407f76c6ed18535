/* Random numbers that are the same on every machine, and the kinds of data the tests fill tensors with. */
#ifndef CLATTN_TESTS_FILL_H
#define CLATTN_TESTS_FILL_H

#include <stdint.h>

#include "clattn/tensor.h"

typedef struct fill_random {
    uint64_t state; /* the seed */
} fill_random;

uint64_t fill_next(fill_random *random);
/* Whole numbers from low to high, both included. */
int64_t fill_range(fill_random *random, int64_t low, int64_t high);
/* 1 in `chances` calls is true. */
int fill_once_in(fill_random *random, int64_t chances);

typedef enum fill_kind {
    FILL_UNIFORM,     /* [-1, 1) */
    FILL_EQUAL,       /* all 0.5 */
    FILL_TINY,        /* [-1, 1) times 1e-30: products leave the normal range */
    FILL_ALTERNATING, /* +1, -1, +1 ...: sums cancel */
    FILL_KINDS
} fill_kind;

const char *fill_name(fill_kind kind);
void fill_floats(fill_random *random, fill_kind kind, int64_t count, float *values);

/* A new array, freed with free(); out of memory ends the program. */
float *fill_new(fill_random *random, fill_kind kind, int64_t count);

#define CASE_F16_EPSILON 0x1p-10 /* between 1 and the next half */

/* Makes values what memory of the type holds. */
void fill_round(clattn_type type, int64_t count, float *values);

/* Additive vectors: [-1, 1), and 1 in `excluded` values is -INFINITY (0: none). */
void fill_additive(fill_random *random, int64_t excluded, int64_t count, float *values);

/* CLATTN_TEST_SEED, or the fixed default; printed once by the test that uses it. */
uint64_t fill_seed(void);

#endif
