/* What the tables of one stage of an agent bias are made from, how they are laid out, and their numbers. */
#ifndef CLATTN_SRC_OPS_BIAS_TABLES_H
#define CLATTN_SRC_OPS_BIAS_TABLES_H

#include "base/base.h"
#include "clattn/ops.h"
#include "kernels/args.h"

/* Maps narrower than this may get the plain table. */
#define CLATTN__BIAS_PLAIN_WIDTH 32

typedef struct clattn__bias_maker {
    const clattn_agent_bias_desc *w;
    const clattn_agent_bias_stage *s;
    int64_t heads, agents, agent_h, agent_w, class_tokens;
    int64_t grid_h, grid_w;
    bool second;
} clattn__bias_maker;

/* Lays out the stage's buffer; returns its floats, or -1 where they cannot be counted in 64 bits. */
int64_t clattn__bias_lay_out(const clattn__bias_maker *maker, Bias *bias);

/* Writes the laid out tables; `table` is zeroed, `values` has room for clattn__bias_values() numbers. */
void clattn__bias_fill(const clattn__bias_maker *maker, const Bias *bias, float *table,
                       double *values);
int64_t clattn__bias_values(const clattn__bias_maker *maker);

#endif
