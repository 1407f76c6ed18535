/*
 * A table of OpenCL functions (cl/api.h) in which every new buffer is full of NaN, so that whoever reads what nobody wrote shows
 * in the result. For simulators, too: Oclgrind 21.10 believes that a buffer is as long as the last write of the host to it or to one
 * that had its number before (Uninitialized::hostMemoryStore, ShadowMemory::isAddressValid), forgets what kernels write beyond, and
 * then reports reading that; a write of the whole buffer sets it right.
 */
#ifndef CLATTN_TESTS_POISON_CL_H
#define CLATTN_TESTS_POISON_CL_H

#include "cl/api.h"

/* The table, over the real one; NULL where there is no OpenCL. */
const clattn__cl_api *poison_cl(void);

#endif
