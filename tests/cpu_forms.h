/*
 * Problems for the tests of the CPU path's functions: forms of agent attention as argument structs,
 * and naive references.
 */
#ifndef CLATTN_TESTS_CPU_FORMS_H
#define CLATTN_TESTS_CPU_FORMS_H

#include <stdint.h>

#include "cpu/cpu.h"

/* A form of agent attention; fields that are 0 are left out. */
typedef struct form {
    int batch, heads, dim, dim_v, height, width, window_h, window_w, shift_y, shift_x, class_tokens;
    int agents, leaf, bias_mode, key_bias, dwc, dwc_bias;
    float shortcut;
} form;

extern const form forms[];
extern const size_t forms_count;

/*
 * A form's buffers and both stages' arguments. Rows of the maps have a gap of 3 elements where
 * there are no windows.
 */
typedef struct problem {
    form f;
    int windows, tokens, problems;
    Attend aggregate, broadcast;
    clattn__attend_mem aggregate_mem, broadcast_mem;
    float *map, *agents, *values, *key_bias, *agent_bias, *bias, *weight, *out;
    size_t out_count, list_count;
} problem;

void make_problem(problem *pr, const form *f);
void free_problem(problem *pr);

/* In [-1, 1), from a fixed seed. */
float random_float(void);

/* `count` floats: all `fill`, or random in [-1, 1) where that is 0. Freed with free(). */
float *new_floats(size_t count, float fill);

/* The element of a token, word for word as View and Grid of kernels/args.h say. */
int64_t address(const View *v, const Grid *g, int p, int windows, int head, int t);

/* out[dim_v] = the softmax attention of one query, in double; agents are the queries in stage 1. */
void attend_reference(const Attend *a, const clattn__attend_mem *m, int p, int head, int query,
                      bool stage1, double *out);

/* The depthwise convolution of v on the grid, channel j of the head; 0 for class tokens. */
double dwc_reference(const View *view, const Grid *g, const float *v, const float *weight, int size,
                     int p, int windows, int head, int dim, int j, int token);

#endif
