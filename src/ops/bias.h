/* What plans need to know of a bias handle. */
#ifndef CLATTN_SRC_OPS_BIAS_H
#define CLATTN_SRC_OPS_BIAS_H

#include "ops/bind.h"
#include "ops/shape.h"

/* Checks that the handle was made for this shape (required: the plan has a bias) and gives stage 1 or 2's tables. */
clattn_status clattn__agent_bias_bind(clattn_context *ctx, const clattn_agent_bias *bias,
                                      bool required, const clattn__shape *shape, int stage,
                                      Bias *args, clattn__bound *bound);

#endif
