/*
 * clattn: the kernel programs as source, for offline compilers, code reviews and drivers' test suites.
 *
 * A program is compiled in many forms: for each head width, storage type, shape and tuning row its macros have other values. The
 * list has every form that plans build, at the head widths of published models (a plan takes any width). `clattn kernels -o DIR`
 * writes each as a file of its own.
 */
#ifndef CLATTN_KERNELS_H
#define CLATTN_KERNELS_H

#include "clattn/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One form of a program. All pointers are to memory of the library that lives as long as it. */
typedef struct clattn_kernel_form {
    const char *program;       /* its file in kernels/, without the ending: "attend_tile" */
    const char *kernels[2];    /* what it is compiled for; the second may be NULL */
    char options[192];         /* exactly what clBuildProgram() gets */
    clattn_kernel_shape shape; /* whose plans build it; CLATTN_SHAPE_AUTO: of both */
    uint32_t work_group;       /* items of every work-group, along the first axis; 0: any number */
    uint32_t text_count;
    const char *const *texts; /* the source: strings for clCreateProgramWithSource() ... */
    const size_t *text_bytes; /* ... and their lengths; they have no terminating zero */
} clattn_kernel_form;

/**
 * Lists the forms of all programs; none stands there twice.
 *
 * shapes   none
 * units    bytes
 * types    none
 * limits   none
 * memory   *forms is one allocation, freed with clattn_kernel_list_free()
 * async    no; needs no device
 * threads  safe
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_NOMEM
 */
CLATTN_API clattn_status clattn_kernel_list(const clattn_log *log, clattn_kernel_form **forms,
                                            size_t *count);
/** Sets *forms to NULL; NULL and a pointer to NULL are accepted. */
CLATTN_API void clattn_kernel_list_free(clattn_kernel_form **forms);

#ifdef __cplusplus
}
#endif
#endif
