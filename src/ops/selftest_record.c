/* The recording of self-test problems. */
#include "cl/selftest.h"
#include "ops/selftest.h"

clattn_status clattn__selftest_record_begin(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = test->of->ctx;

    if (ctx->recorder == NULL)
        return CLATTN_OK;
    status = clattn__record_begin(&test->ws, ctx->recorder);
    CLATTN_CHECK(&ctx->log, status == CLATTN_OK, status, "no host memory for a recording");
out:
    return status;
}

void clattn__selftest_record_check(clattn__selftest *test, const clattn_memory *memory,
                                   const clattn_selftest_check *check)
{
    if (test->ws.record != NULL && test->ctx != test->cpu)
        clattn__record_check(test->ws.record, memory, check);
}

void clattn__selftest_record_problem(clattn__selftest *test, bool passed)
{
    if (test->ws.record != NULL && test->ctx != test->cpu)
        clattn__record_take(test->ws.record, test->form, passed);
}
