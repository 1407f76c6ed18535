/* Programs and kernel objects of an OpenCL context. */
#ifndef CLATTN_SRC_CL_PROGRAM_H
#define CLATTN_SRC_CL_PROGRAM_H

#include "base/context.h"
#include "cl/cl.h"

/*
 * Makes a kernel object of its own from kernels/<file>.cl. The program (args.h, the parts that
 * kernels/parts.txt names, the file; options "-cl-std=CL1.2 -cl-mad-enable " + options) is built
 * once per context and kept in memory. A failed build is logged with kernel, options and the
 * compiler's whole output, and gives CLATTN_E_BUILD.
 */
clattn_status clattn__kernel_create(clattn_context *ctx, const char *file, const char *name,
                                    const char *options, cl_kernel *kernel);
void clattn__kernel_release(clattn_context *ctx, cl_kernel *kernel);

#endif
