/* The table of one instruction set. */
#include "cpu/table.h"

#include "cpu/dispatch.h"

#define QUOTE(text)        #text
#define QUOTE_EXPAND(text) QUOTE(text)

const clattn__cpu_ops CPU_NAME(ops) = {
    .name = &QUOTE_EXPAND(CLATTN_CPU_VARIANT)[1], /* without the underscore */
    .aggregate = cpu_aggregate,
    .broadcast = cpu_broadcast,
    .merge = cpu_merge,
    .pool_partial = cpu_pool_partial,
    .pool_merge = cpu_pool_merge,
    .dwc = cpu_dwc,
    .smooth_features = cpu_smooth_features,
    .smooth_norms = cpu_smooth_norms,
};
