/* Runs a case of attention, dwc or smooth on a context and checks the answer; any surprise fails the running test. */
#ifndef CLATTN_TESTS_CASE_RUN_H
#define CLATTN_TESTS_CASE_RUN_H

#include "case_attention.h"
#include "case_dwc.h"
#include "case_smooth.h"
#include "guard.h"

void case_attention_check(clattn_context *ctx, guard_layout layout, const case_attention *c,
                          const case_attention_data *data);
void case_dwc_check(clattn_context *ctx, guard_layout layout, const case_dwc *c,
                    const case_dwc_data *data);
void case_smooth_check(clattn_context *ctx, guard_layout layout, const case_smooth *c,
                       const case_smooth_data *data);

#endif
