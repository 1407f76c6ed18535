/*
 * A driver whose compiler is wrong, for programs as they are: preloaded, it leaves the addition out of the convolutions that it is
 * given.
 */
#define _GNU_SOURCE              /* RTLD_NEXT */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define TEXT  "args.accumulate ? LOADS(out) + sum"
#define FAULT "args.accumulate ? sum + 0.0f      "

/* The text with the fault; freed by nobody. */
static const char *translate(const char *text, size_t size)
{
    char *const copy = calloc(size + 1, 1);
    if (copy == NULL)
        return text;
    memcpy(copy, text, size);
    char *const at = strstr(copy, TEXT);
    if (at != NULL)
        memcpy(at, FAULT, strlen(TEXT));
    return copy;
}

cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count,
                                                 const char **texts, const size_t *sizes,
                                                 cl_int *error)
{
    typedef cl_program CL_API_CALL create(cl_context, cl_uint, const char **, const size_t *,
                                          cl_int *);
    create *real = NULL;
    const char *wrong[16];
    void *const found = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
    memcpy(&real, &found, sizeof real); /* no cast from an object to a function in C */
    for (cl_uint i = 0; i < count && i < 16; i++)
        wrong[i] = translate(texts[i], sizes[i]);
    return real(context, count, count <= 16 ? wrong : texts, sizes, error);
}
