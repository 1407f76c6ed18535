/*
 * A table of OpenCL functions (cl/api.h) that answers questions about a real device, but compiles nothing and runs nothing: plans
 * of every kind are made in no time, and hold what they would have compiled.
 */
#ifndef CLATTN_TESTS_DRY_CL_H
#define CLATTN_TESTS_DRY_CL_H

#include <stdbool.h>

/* From then on, new contexts use it. False where there is no OpenCL. Not for concurrent use. */
bool dry_cl_begin(void);
void dry_cl_end(void);

#endif
