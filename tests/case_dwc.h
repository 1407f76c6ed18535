/* The depthwise convolution, described once for tests and bench. */
#ifndef CLATTN_TESTS_CASE_DWC_H
#define CLATTN_TESTS_CASE_DWC_H

#include <stdbool.h>

#include "clattn/ops.h"
#include "fill.h"

typedef struct case_dwc {
    clattn_dwc_desc desc;
    fill_kind fill;
} case_dwc;

/* Dense, token-major. */
typedef struct case_dwc_data {
    float *v, *weight, *bias;
    float *before;  /* what the output holds before the run; matters where desc.accumulate */
    double *answer; /* (batch, class_tokens + height * width, heads, head_dim) */
} case_dwc_data;

/* The shapes to test, or only the small ones. */
const case_dwc *case_dwc_list(bool small, size_t *count);

void case_dwc_text(const case_dwc *c, char *text, size_t bytes);
void case_dwc_make(const case_dwc *c, uint64_t seed, int answer, case_dwc_data *data);
void case_dwc_free(case_dwc_data *data);

/* Elements of v, of the weights and of the output. */
int64_t case_dwc_values(const case_dwc *c);
int64_t case_dwc_weights(const case_dwc *c);
int64_t case_dwc_count(const case_dwc *c);

/* |x - answer| <= tolerance * (|answer| + 1). */
double case_dwc_tolerance(const case_dwc *c);
double case_dwc_flops(const case_dwc *c);
double case_dwc_bytes(const case_dwc *c);

#endif
