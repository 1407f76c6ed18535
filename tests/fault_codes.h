/* What each OpenCL function can fail with, and what the library must say then. */
#ifndef CLATTN_TESTS_FAULT_CODES_H
#define CLATTN_TESTS_FAULT_CODES_H

#include <stdbool.h>

#include "cl/cl.h"
#include "clattn/base.h"

#define FAULT_MOST_CODES 8

/* The plausible codes of a function of the table; CL_SUCCESS ends them. */
const cl_int *fault_codes(const char *name);

/*
 * True where the library may end so after a call of that name failed with that code. CLATTN_OK is right where what failed is not
 * needed, or there is another way; any other status says what happened, and never CLATTN_E_OPENCL where OpenCL said more.
 */
bool fault_right(const char *name, cl_int code, clattn_status status);

#endif
