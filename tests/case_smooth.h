/* The smoothing filter, described once for tests and bench. */
#ifndef CLATTN_TESTS_CASE_SMOOTH_H
#define CLATTN_TESTS_CASE_SMOOTH_H

#include <stdbool.h>

#include "clattn/filter.h"
#include "fill.h"

typedef struct case_smooth {
    clattn_smooth_desc desc;
} case_smooth;

typedef struct case_smooth_data {
    float *rgb;              /* (height * width, 3): soft gradients, edges and noise */
    double *answer, *agents; /* (height * width, 3), (n, 5) */
} case_smooth_data;

/* The shapes to test, or only the small ones. */
const case_smooth *case_smooth_list(bool small, size_t *count);

void case_smooth_text(const case_smooth *c, char *text, size_t bytes);
void case_smooth_make(const case_smooth *c, uint64_t seed, int answer, case_smooth_data *data);
void case_smooth_free(case_smooth_data *data);
int64_t case_smooth_agents(const case_smooth *c);

/* Largest and mean |x - answer| of the picture allowed. */
double case_smooth_tolerance(void);
double case_smooth_tolerance_mean(void);
double case_smooth_flops(const case_smooth *c);
double case_smooth_bytes(const case_smooth *c);

#endif
