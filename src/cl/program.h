/* Programs and kernel objects of an OpenCL context. */
#ifndef CLATTN_SRC_CL_PROGRAM_H
#define CLATTN_SRC_CL_PROGRAM_H

#include "base/context.h"
#include "cl/cl.h"

/*
 * What every program is compiled with. No space before or after: some compilers refuse an empty
 * option.
 */
#define CLATTN__COMMON_OPTIONS "-cl-std=CL1.2 -cl-mad-enable"

/* A kernel, and what compilers that specialise at the first launch (PoCL) do so by. */
typedef struct clattn__kernel_spec {
    const char *file, *name; /* literals: they are kept */
    char options[160];
    size_t local[3]; /* of every launch */
    bool large;      /* launches may have 65536 items or more along an axis */
} clattn__kernel_spec;

/*
 * Makes a kernel object of its own from kernels/<file>.cl. The program (args.h, the parts that
 * kernels/parts.txt names, the file; options CLATTN__COMMON_OPTIONS " " + options) is taken
 * from the caller's cache or built, once per context, and kept in memory. A failed build is logged
 * with kernel, options and the compiler's whole output, and gives CLATTN_E_BUILD.
 */
clattn_status clattn__kernel_create(clattn_context *ctx, const clattn__kernel_spec *spec,
                                    cl_kernel *kernel);

/*
 * How the first launch of a kernel went. Once it has worked, the program is fit for the caller's
 * cache. True where it has not, and the program came from there: it is built from source now, and
 * the kernel worth another try.
 */
bool clattn__kernel_tried(clattn_context *ctx, const clattn__kernel_spec *spec, bool worked);

/* What a kernel's program is made from; false where this build has no such file. */
struct clattn__recipe;
bool clattn__program_recipe(const clattn__kernel_spec *spec, struct clattn__recipe *recipe);

/* Private memory of a work-item as the driver reports it, spilled registers too; 0 where it says nothing. */
uint64_t clattn__kernel_private_bytes(const clattn_context *ctx, cl_kernel kernel);
void clattn__kernel_release(clattn_context *ctx, cl_kernel *kernel);

#endif
