/*
 * Makes every buffer of a context a new one, for tools that watch memory that nobody wrote: a freed
 * buffer is not used again by the library, and goes back to the driver only when the context does,
 * so that the driver cannot use it again either. For one thread.
 */
#ifndef CLATTN_TESTS_FRESH_CL_H
#define CLATTN_TESTS_FRESH_CL_H

#include "clattn/clattn.h"

/* Call it before the context's first buffer. Does nothing on the CPU path. */
void fresh_cl_begin(clattn_context *ctx);

#endif
