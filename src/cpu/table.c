/* The table of one instruction set. */
#include "cpu/table.h"

#include "cpu/dispatch.h"
#include "cpu/storage.h"

#define QUOTE(text)        #text
#define QUOTE_EXPAND(text) QUOTE(text)

void cpu_widen(const uint16_t *half, int count, float *value)
{
    widen_halves(half, count, value);
}

void cpu_narrow(const float *value, int count, uint16_t *half)
{
    narrow_floats(value, count, half);
}

#if !CLATTN_CPU_HALF
/* The same files, compiled for the other storage. */
#define HALF_PASTE(name)  name##_half
#define HALF_EXPAND(name) HALF_PASTE(name)
#define HALF_OPS          HALF_EXPAND(CPU_NAME(ops))
extern const clattn__cpu_ops HALF_OPS;
#endif

const clattn__cpu_ops CPU_NAME(ops) = {
    .name = &QUOTE_EXPAND(CLATTN_CPU_VARIANT)[1], /* without the underscore */
#if !CLATTN_CPU_HALF
    .half = &HALF_OPS,
#endif
    .aggregate = cpu_aggregate,
    .broadcast = cpu_broadcast,
    .merge = cpu_merge,
    .pool_partial = cpu_pool_partial,
    .pool_merge = cpu_pool_merge,
    .dwc = cpu_dwc,
    .smooth_features = cpu_smooth_features,
    .smooth_norms = cpu_smooth_norms,
    .widen = cpu_widen,
    .narrow = cpu_narrow,
};
