/*
 * A table of OpenCL functions (cl/api.h) under faulty_cl that compiles no program twice: one that was built before from the same
 * texts with the same options, for the same context of OpenCL, is there at once. So thousands of plans cost no compilation.
 * For one thread at a time; the contexts of OpenCL must live until kept_programs_end().
 */
#ifndef CLATTN_TESTS_KEPT_PROGRAMS_H
#define CLATTN_TESTS_KEPT_PROGRAMS_H

#include "cl/api.h"

/* The table on top of `below`, which must live as long. */
const clattn__cl_api *kept_programs_begin(const clattn__cl_api *below);
void kept_programs_end(void);

#endif
