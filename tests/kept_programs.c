#include "kept_programs.h"

#include <stdlib.h>
#include <string.h>

/* A program that was built. */
typedef struct kept {
    struct kept *next;
    cl_context context;
    char *text, *options;
    cl_program program;
} kept;

/* What the library gets in place of a program: its texts until it is built, then one of the kept ones. */
typedef struct handle {
    cl_context context;
    char *text; /* NULL: made of a binary, and its own */
    cl_program program;
} handle;

static struct {
    clattn__cl_api table;
    const clattn__cl_api *below;
    kept *first;
} programs;

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static handle *of(cl_program program)
{
    return (handle *)(void *)program;
}

static cl_program new_handle(handle h)
{
    handle *made = must(malloc(sizeof *made));
    *made = h;
    return (cl_program)(void *)made;
}

static char *join(cl_uint count, const char **texts, const size_t *sizes)
{
    size_t bytes = 1;
    for (cl_uint i = 0; i < count; i++)
        bytes += sizes[i];
    char *all = must(malloc(bytes)), *to = all;
    for (cl_uint i = 0; i < count; to += sizes[i++])
        memcpy(to, texts[i], sizes[i]);
    *to = '\0';
    return all;
}

static cl_program CL_API_CALL with_source(cl_context context, cl_uint count, const char **texts,
                                          const size_t *sizes, cl_int *error)
{
    *error = CL_SUCCESS;
    return new_handle((handle){.context = context, .text = join(count, texts, sizes)});
}

static cl_program CL_API_CALL with_binary(cl_context context, cl_uint count,
                                          const cl_device_id *devices, const size_t *sizes,
                                          const unsigned char **binaries, cl_int *states,
                                          cl_int *error)
{
    cl_program made = programs.below->clCreateProgramWithBinary(context, count, devices, sizes,
                                                                binaries, states, error);
    return made != NULL ? new_handle((handle){.context = context, .program = made}) : NULL;
}

static kept *find(const handle *h, const char *options)
{
    kept *k = programs.first;
    while (k != NULL && (k->context != h->context || strcmp(k->text, h->text) != 0 ||
                         strcmp(k->options, options) != 0))
        k = k->next;
    return k;
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices,
                                const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                                void *user)
{
    handle *h = of(program);
    if (h->text == NULL)
        return programs.below->clBuildProgram(h->program, count, devices, options, notify, user);
    kept *k = find(h, options);
    if (k == NULL) {
        const char *text = h->text;
        const size_t size = strlen(text);
        cl_int error = CL_SUCCESS;
        cl_program made =
            programs.below->clCreateProgramWithSource(h->context, 1, &text, &size, &error);
        if (error == CL_SUCCESS)
            error = programs.below->clBuildProgram(made, count, devices, options, notify, user);
        if (error != CL_SUCCESS) {
            if (made != NULL)
                programs.below->clReleaseProgram(made);
            return error;
        }
        k = must(malloc(sizeof *k));
        *k = (kept){programs.first, h->context, NULL, NULL, made};
        k->text = join(1, &text, &size);
        k->options = join(1, &options, &(size_t){strlen(options)});
        programs.first = k;
    }
    h->program = k->program;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL build_info(cl_program program, cl_device_id device,
                                     cl_program_build_info name, size_t room, void *value,
                                     size_t *size)
{
    const handle *h = of(program);
    if (h->program == NULL)
        return CL_INVALID_PROGRAM;
    return programs.below->clGetProgramBuildInfo(h->program, device, name, room, value, size);
}

static cl_int CL_API_CALL info(cl_program program, cl_program_info name, size_t room, void *value,
                               size_t *size)
{
    return programs.below->clGetProgramInfo(of(program)->program, name, room, value, size);
}

static cl_kernel CL_API_CALL kernel(cl_program program, const char *name, cl_int *error)
{
    return programs.below->clCreateKernel(of(program)->program, name, error);
}

static cl_int CL_API_CALL release(cl_program program)
{
    handle *h = of(program);
    cl_int error = CL_SUCCESS;
    if (h->text == NULL)
        error = programs.below->clReleaseProgram(h->program);
    free(h->text);
    free(h);
    return error;
}

const clattn__cl_api *kept_programs_begin(const clattn__cl_api *below)
{
    programs.below = below;
    programs.table = *below;
    programs.table.clCreateProgramWithSource = with_source;
    programs.table.clCreateProgramWithBinary = with_binary;
    programs.table.clBuildProgram = build;
    programs.table.clGetProgramBuildInfo = build_info;
    programs.table.clGetProgramInfo = info;
    programs.table.clCreateKernel = kernel;
    programs.table.clReleaseProgram = release;
    return &programs.table;
}

void kept_programs_end(void)
{
    while (programs.first != NULL) {
        kept *k = programs.first;
        programs.first = k->next;
        programs.below->clReleaseProgram(k->program);
        free(k->text);
        free(k->options);
        free(k);
    }
}
