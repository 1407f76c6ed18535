/*
 * Recordings of problems (clattn/selftest.h): launches as they are made, buffers as they are before the first that has them, checks as
 * they are judged.
 */
#ifndef CLATTN_SRC_OPS_RECORD_H
#define CLATTN_SRC_OPS_RECORD_H

#include "clattn/selftest.h"
#include "ops/plan.h"

typedef struct clattn__record clattn__record;

/* A recording for `ws` and its children. */
clattn_status clattn__record_begin(clattn_workspace *ws, const clattn_selftest_recorder *recorder);
/* Ends the recording that began with `ws`; nothing where another has it, or none. */
void clattn__record_end(clattn_workspace *ws);

/* A launch that is about to be made. */
void clattn__record_launch(clattn_context *ctx, clattn__record *record,
                           const clattn__kernel_spec *spec, const void *args, size_t args_bytes,
                           const cl_mem *buffers, int count, const size_t global[3],
                           const size_t local[3]);
void clattn__record_check(clattn__record *record, const clattn_memory *memory,
                          const clattn_selftest_check *check);
/* Hands out the problem in hand, if it is whole, and forgets it. False where it was not. */
bool clattn__record_take(clattn__record *record, const char *form, bool passed);
/* The same for a run of a workspace that is recorded; it has ended well. */
void clattn__record_run(const clattn_workspace *ws);

#endif
