/* Ordinary softmax attention, described once for tests and bench. */
#ifndef CLATTN_TESTS_CASE_ATTENTION_H
#define CLATTN_TESTS_CASE_ATTENTION_H

#include <stdbool.h>

#include "clattn/ops.h"
#include "fill.h"

typedef struct case_attention {
    clattn_attention_desc desc;
    fill_kind fill;
    int64_t excluded; /* 1 in so many keys is excluded; 0: none */
} case_attention;

/* Dense, token-major. */
typedef struct case_attention_data {
    float *q, *k, *v, *key_bias;
    double *answer; /* (batch, queries, heads, dv) */
} case_attention_data;

/* The shapes to test, or only the small ones. */
const case_attention *case_attention_list(bool small, size_t *count);

void case_attention_text(const case_attention *c, char *text, size_t bytes);
/* Fills the inputs and, unless `answer` is 0, computes the oracle's answer. */
void case_attention_make(const case_attention *c, uint64_t seed, int answer,
                         case_attention_data *data);
void case_attention_free(case_attention_data *data);
int64_t case_attention_count(const case_attention *c);

/* |x - answer| <= tolerance * (|answer| + 1). */
double case_attention_tolerance(const case_attention *c);
double case_attention_flops(const case_attention *c);
double case_attention_bytes(const case_attention *c);

#endif
