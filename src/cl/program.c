/*
 * Programs built from the embedded sources, kept for the life of the context, and kernel objects
 * made from them.
 */
#include "cl/program.h"

#include <stdio.h>
#include <string.h>

#include "cl/device.h"
#include "cl/errors.h"
#include "cl/programs.h"

/*
 * What every program is compiled with. No space before or after: some compilers refuse an empty
 * option.
 */
#define COMMON_OPTIONS "-cl-std=CL1.2 -cl-mad-enable"

const clattn__source *(*clattn__source_hook)(const char *name) = NULL;

/* A built program. `key` is the file's name, a line feed, and the whole option string. */
typedef struct program {
    struct program *next;
    cl_program object;
    char key[];
} program;

struct clattn__programs {
    clattn__mutex lock; /* also held during a build, so that nobody builds the same program twice */
    program *first;
};

clattn_status clattn__programs_create(clattn_context *ctx)
{
    struct clattn__programs *cache = clattn__alloc(sizeof *cache);
    if (!cache || !clattn__mutex_init(&cache->lock)) {
        clattn__free(cache);
        clattn__log(&ctx->log, CLATTN_LOG_ERROR, "out of host memory for the program cache");
        return CLATTN_E_NOMEM;
    }
    ctx->cl->programs = cache;
    return CLATTN_OK;
}

void clattn__programs_destroy(clattn_context *ctx)
{
    struct clattn__programs *cache = ctx->cl->programs;
    if (!cache)
        return;
    for (program *p = cache->first, *next; p; p = next) {
        next = p->next;
        ctx->cl->api->clReleaseProgram(p->object);
        clattn__free(p);
    }
    clattn__mutex_destroy(&cache->lock);
    clattn__free(cache);
    ctx->cl->programs = NULL;
}

/*
 * The compiler's output without the line ends behind it; NULL where there is none. Freed with
 * clattn__free().
 */
static char *build_output(clattn_context *ctx, cl_program object)
{
    const clattn__cl_api *api = ctx->cl->api;
    size_t size = 0;
    if (api->clGetProgramBuildInfo(object, ctx->cl->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
            CL_SUCCESS ||
        size <= 1 || size == SIZE_MAX)
        return NULL;
    char *text = clattn__alloc(size + 1); /* zeroed: terminated whatever the driver writes */
    if (text && api->clGetProgramBuildInfo(object, ctx->cl->device, CL_PROGRAM_BUILD_LOG, size,
                                           text, NULL) != CL_SUCCESS) {
        clattn__free(text);
        return NULL;
    }
    for (size_t end = text ? strlen(text) : 0; end > 0 && strchr(" \r\n", text[end - 1]); end--)
        text[end - 1] = '\0';
    return text;
}

/* The sources and options of one build. */
typedef struct recipe {
    const clattn__source *source;
    const char *kernel; /* for messages */
    const char *options;
} recipe;

static clattn_status build(clattn_context *ctx, const recipe *r, cl_program *object)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    cl_int error = CL_SUCCESS;
    char *output = NULL;
    /* OpenCL 1.2 takes the texts as const char **, but writes to none of them. */
    cl_program made = cl->api->clCreateProgramWithSource(
        cl->context, r->source->count, (const char **)r->source->texts, r->source->sizes, &error);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clCreateProgramWithSource"));

    error = cl->api->clBuildProgram(made, 1, &cl->device, r->options, NULL, NULL);
    output = build_output(ctx, made);
    if (error != CL_SUCCESS) {
        status = clattn__cl_keep(ctx, error);
        if (status == CLATTN_E_OPENCL)
            status = CLATTN_E_BUILD;
        clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                    "kernel %s of %s.cl could not be built with \"%s\": %s (%d); the compiler "
                    "says: %s",
                    r->kernel, r->source->name, r->options, clattn__cl_error_name(error),
                    (int)error, output ? output : "nothing");
        goto out;
    }
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "built %s.cl with \"%s\"%s%s", r->source->name,
                r->options, output && output[0] ? "; the compiler says: " : "",
                output ? output : "");
    *object = made;
    made = NULL;
out:
    clattn__free(output);
    if (made)
        cl->api->clReleaseProgram(made);
    return status;
}

/*
 * The program of `key`, built if it is not there. Call with the lock held; it belongs to the cache.
 */
static clattn_status find_or_build(clattn_context *ctx, const recipe *r, const char *key,
                                   cl_program *object)
{
    clattn_status status = CLATTN_OK;
    struct clattn__programs *cache = ctx->cl->programs;
    for (program *p = cache->first; p; p = p->next)
        if (strcmp(p->key, key) == 0) {
            *object = p->object;
            return CLATTN_OK;
        }
    size_t length = strlen(key) + 1;
    program *fresh = clattn__alloc(sizeof *fresh + length);
    CLATTN_CHECK(&ctx->log, fresh, CLATTN_E_NOMEM, "out of host memory for the program of %s.cl",
                 r->source->name);
    memcpy(fresh->key, key, length);
    CLATTN_TRY(build(ctx, r, &fresh->object));
    fresh->next = cache->first;
    cache->first = fresh;
    *object = fresh->object;
    fresh = NULL;
out:
    clattn__free(fresh);
    return status;
}

clattn_status clattn__kernel_create(clattn_context *ctx, const char *file, const char *name,
                                    const char *options, cl_kernel *kernel)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    cl_int error = CL_SUCCESS;
    cl_program object = NULL;
    recipe r = {.kernel = name};
    char *key = NULL;

    r.source = clattn__source_hook ? clattn__source_hook(file) : clattn__source_find(file);
    CLATTN_CHECK(&ctx->log, r.source, CLATTN_E_UNSUPPORTED, "this build has no kernels/%s.cl",
                 file);
    if (!options)
        options = "";
    size_t size = strlen(file) + sizeof "\n" COMMON_OPTIONS " " + strlen(options);
    key = clattn__alloc(size);
    CLATTN_CHECK(&ctx->log, key, CLATTN_E_NOMEM, "out of host memory for the options of %s.cl",
                 file);
    snprintf(key, size, "%s\n" COMMON_OPTIONS "%s%s", file, options[0] ? " " : "", options);
    r.options = key + strlen(file) + 1;

    clattn__mutex_lock(&cl->programs->lock);
    status = find_or_build(ctx, &r, key, &object);
    clattn__mutex_unlock(&cl->programs->lock);
    if (status != CLATTN_OK)
        goto out;
    cl_kernel made = cl->api->clCreateKernel(object, name, &error);
    CLATTN_TRY(clattn__cl_check(ctx, error, "clCreateKernel"));
    *kernel = made;
out:
    clattn__free(key);
    return status;
}

void clattn__kernel_release(clattn_context *ctx, cl_kernel *kernel)
{
    if (*kernel)
        ctx->cl->api->clReleaseKernel(*kernel);
    *kernel = NULL;
}
