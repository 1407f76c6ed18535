/* The depthwise convolution's inside, for its self-test. */
#ifndef CLATTN_SRC_OPS_DWC_H
#define CLATTN_SRC_OPS_DWC_H

#include "ops/bind.h"
#include "ops/plan.h"

enum { CLATTN__DWC_KERNEL };

/* The checks of a run alone: v, weight, bias and out bound, and the views of `a` complete. */
clattn_status clattn__dwc_bind(const clattn_plan *plan, const clattn_dwc_args *args, Dwc *a,
                               clattn__bound b[4]);

/* The convolution of `pictures` maps; memory: v, weight, bias, out. Paced: of one picture without windows. */
clattn_status clattn__dwc_maps(const clattn_plan *plan, const clattn_workspace *ws, const Dwc *a,
                               int64_t pictures, const clattn_memory memory[4],
                               clattn__chain *chain);

#endif
