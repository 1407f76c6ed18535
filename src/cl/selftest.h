/*
 * What is known about the kernels of a context: the verdicts of the self-test, kept in the context and in the caller's cache. The
 * problems that kernels are tested with are in src/ops/selftest.h.
 */
#ifndef CLATTN_SRC_CL_SELFTEST_H
#define CLATTN_SRC_CL_SELFTEST_H

#include "base/context.h"
#include "cl/program.h"

/* Part of a verdict's key: to be raised when the problems find more than before. */
#define CLATTN__SELFTEST_VERSION 1

/* params.selftest of a lane of clattn_context_selftest(): every kernel is tested, whatever is known. */
#define CLATTN__SELFTEST_AGAIN ((clattn_selftest)(CLATTN_SELFTEST_FORCE + 1))

/* Make and free ctx->cl->verdicts; a lane uses its parent's. Destroying what was not made does nothing. */
clattn_status clattn__verdicts_create(clattn_context *ctx);
void clattn__verdicts_destroy(clattn_context *ctx);

/* Hands new verdicts to the caller's cache, each once. */
void clattn__verdicts_store(clattn_context *ctx);

/* The verdict on a kernel, from this context or, without `FORCE`, from the caller's cache; false where there is none. */
bool clattn__verdict_find(clattn_context *ctx, const clattn__kernel_spec *spec,
                          clattn_verdict *verdict);

/* Keeps a verdict that was made now; in place of an older one. Without memory for it the kernel is tested again next time. */
void clattn__verdict_keep(clattn_context *ctx, const clattn__kernel_spec *spec,
                          const clattn_verdict *verdict);

/* What the plan went on with, where the kernel did not pass. */
void clattn__verdict_step(clattn_context *ctx, const clattn__kernel_spec *spec,
                          clattn_verdict_step step);

/* True where a plan may use the kernel. */
static inline bool clattn__verdict_allows(const clattn_verdict *verdict)
{
    return verdict->code == CLATTN_VERDICT_PASSED || verdict->code == CLATTN_VERDICT_UNTESTED;
}

#endif
