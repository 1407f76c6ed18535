/*
 * A driver whose compiler is wrong, for programs as they are: preloaded, it leaves the addition out of the convolutions that it is
 * given, where a form takes one channel at a time (one form of the self-test's, for time).
 */
#define _GNU_SOURCE              /* RTLD_NEXT */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define TEXT  "args.accumulate ? LOADS(out) + sum"
#define FAULT "CHANNELS > 1 && args.accumulate ? LOADS(out) + sum"

/* The text with the fault, its size changed accordingly; freed by nobody. */
static const char *translate(const char *text, size_t *size)
{
    char *const copy = calloc(*size + sizeof FAULT, 1);
    if (copy == NULL)
        return text;
    memcpy(copy, text, *size);
    char *const at = strstr(copy, TEXT);
    if (at != NULL) {
        memmove(at + strlen(FAULT), at + strlen(TEXT), strlen(at + strlen(TEXT)));
        memcpy(at, FAULT, strlen(FAULT));
        *size += strlen(FAULT) - strlen(TEXT);
    }
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
    size_t wrong_sizes[16];
    void *const found = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
    memcpy(&real, &found, sizeof real); /* no cast from an object to a function in C */
    if (count > 16)
        return real(context, count, texts, sizes, error);
    for (cl_uint i = 0; i < count; i++) {
        wrong_sizes[i] = sizes[i];
        wrong[i] = translate(texts[i], &wrong_sizes[i]);
    }
    return real(context, count, wrong, wrong_sizes, error);
}
