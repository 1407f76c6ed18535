/* The agent bias on lanes of tokens. */
#ifndef CLATTN_SRC_CPU_BIAS_H
#define CLATTN_SRC_CPU_BIAS_H

#include "cpu/lanes.h"
#include "kernels/args.h"

#define bias_lanes CPU_NAME(bias_lanes)

/*
 * out[i][lane] = bias of (head, agent first + i, token + lane) for i < agents, times log2(e); lanes
 * beyond the last token get any finite value.
 */
void bias_lanes(const Bias *bias, const float *buf, i32 head, i32 first, i32 agents, i32 token,
                float *out);

#endif
