/* The operators of one instruction set, under its names, and their table. */
#ifndef CLATTN_SRC_CPU_TABLE_H
#define CLATTN_SRC_CPU_TABLE_H

#include "cpu/cpu.h"
#include "cpu/lanes.h"

#define cpu_aggregate       CPU_NAME(aggregate)
#define cpu_broadcast       CPU_NAME(broadcast)
#define cpu_merge           CPU_NAME(merge)
#define cpu_pool_partial    CPU_NAME(pool_partial)
#define cpu_pool_merge      CPU_NAME(pool_merge)
#define cpu_dwc             CPU_NAME(dwc)
#define cpu_smooth_features CPU_NAME(smooth_features)
#define cpu_smooth_norms    CPU_NAME(smooth_norms)
#define cpu_widen           CPU_NAME(widen)
#define cpu_narrow          CPU_NAME(narrow)

void cpu_aggregate(const Attend *args, const clattn__attend_mem *mem, int64_t item);
void cpu_broadcast(const Attend *args, const clattn__attend_mem *mem, int64_t item);
void cpu_merge(const Merge *args, float *states, void *out, int64_t item);
void cpu_pool_partial(const Pool *args, const void *q, float *sums, void *out, int64_t item);
void cpu_pool_merge(const Pool *args, float *sums, void *out, int64_t item);
/*
 * weight and bias start at channel 0, like dwc_weight and dwc_bias of clattn__attend_mem: their
 * offsets in args are the host's to add.
 */
void cpu_dwc(const Dwc *args, const void *v, const float *weight, const float *bias, void *out,
             int64_t item);
void cpu_smooth_features(const Features *args, const float *rgb, float *features, float *norms,
                         int64_t item);
void cpu_smooth_norms(const Norms *args, const float *rows, float *norms, int64_t item);
void cpu_widen(const uint16_t *half, int count, float *value);
void cpu_narrow(const float *value, int count, uint16_t *half);

#endif
