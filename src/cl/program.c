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
#include "cl/stored.h"

const clattn__source *(*clattn__source_hook)(const char *name) = NULL;

/* A program that is built. */
typedef struct program {
    struct program *next;
    cl_program object;
    const clattn__source *source;
    clattn__kernel_spec spec; /* the first that it was asked for with */
    bool stored;              /* it came from the caller's cache, or was offered to it */
    bool launched;
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

/* Longer output of a compiler is not believed. */
#define MAX_OUTPUT ((size_t)64 << 20)

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
        size <= 1 || size > MAX_OUTPUT)
        return NULL;
    char *text = clattn__alloc(size + 1); /* zeroed: terminated whatever the driver writes */
    if (text && api->clGetProgramBuildInfo(object, ctx->cl->device, CL_PROGRAM_BUILD_LOG, size,
                                           text, NULL) != CL_SUCCESS) {
        clattn__free(text);
        return NULL;
    }
    for (size_t end = text ? strlen(text) : 0; end > 0 && strchr(" \r\n", text[end - 1]); end--)
        text[end - 1] = '\0';
    if (text)
        clattn__text_clean(text, true);
    return text;
}

static clattn_status build(clattn_context *ctx, const clattn__recipe *r, cl_program *object)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    cl_int error = CL_SUCCESS;
    char *output = NULL;
    /* OpenCL 1.2 takes the texts as const char **, but writes to none of them. */
    cl_program made = cl->api->clCreateProgramWithSource(
        cl->context, r->source->count, (const char **)r->source->texts, r->source->sizes, &error);
    CLATTN_TRY(clattn__cl_made(ctx, made, error, "clCreateProgramWithSource"));

    error = cl->api->clBuildProgram(made, 1, &cl->device, r->options, NULL, NULL);
    output = build_output(ctx, made);
    if (error != CL_SUCCESS) {
        status = clattn__cl_keep(ctx, error);
        if (status == CLATTN_E_OPENCL)
            status = CLATTN_E_BUILD;
        clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                    "kernel %s of %s.cl could not be built with \"%s\": %s (%d); the compiler "
                    "says: %s",
                    r->spec->name, r->source->name, r->options, clattn__cl_error_name(error),
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

static bool has_cache(const clattn_context *ctx)
{
    return ctx->params.cache.get || ctx->params.cache.put;
}

/*
 * One program serves all kernels of a file with the same options; with a cache, which keeps what the first launch made of
 * it, each kernel and kind of launch has its own.
 */
static bool serves(const clattn_context *ctx, const program *p, const clattn__kernel_spec *spec)
{
    return strcmp(p->spec.file, spec->file) == 0 && strcmp(p->spec.options, spec->options) == 0 &&
           (!has_cache(ctx) || (strcmp(p->spec.name, spec->name) == 0 &&
                                memcmp(p->spec.local, spec->local, sizeof spec->local) == 0 &&
                                p->spec.large == spec->large));
}

/* NULL where there is none. Call with the lock held. */
static program *find(const clattn_context *ctx, const clattn__kernel_spec *spec)
{
    program *p = ctx->cl->programs->first;
    while (p && !serves(ctx, p, spec))
        p = p->next;
    return p;
}

static clattn__recipe recipe_of(const clattn__source *source, const clattn__kernel_spec *spec)
{
    clattn__recipe r = {.source = source, .spec = spec};
    snprintf(r.options, sizeof r.options, CLATTN__COMMON_OPTIONS "%s%s",
             spec->options[0] ? " " : "", spec->options);
    return r;
}

static const clattn__source *source_of(const clattn__kernel_spec *spec)
{
    return clattn__source_hook ? clattn__source_hook(spec->file) : clattn__source_find(spec->file);
}

bool clattn__program_recipe(const clattn__kernel_spec *spec, clattn__recipe *recipe)
{
    const clattn__source *source = source_of(spec);
    if (source)
        *recipe = recipe_of(source, spec);
    return source != NULL;
}

/* A program from the cache, or built. Call with the lock held; it belongs to the context. */
static clattn_status add(clattn_context *ctx, const clattn__kernel_spec *spec, program **added)
{
    clattn_status status = CLATTN_OK;
    struct clattn__programs *programs = ctx->cl->programs;
    program *fresh = NULL;
    const clattn__source *source = source_of(spec);
    CLATTN_CHECK(&ctx->log, source, CLATTN_E_UNSUPPORTED, "this build has no kernels/%s.cl",
                 spec->file);
    fresh = clattn__alloc(sizeof *fresh);
    CLATTN_CHECK(&ctx->log, fresh, CLATTN_E_NOMEM, "out of host memory for the program of %s.cl",
                 spec->file);
    fresh->source = source;
    fresh->spec = *spec;
    const clattn__recipe r = recipe_of(source, spec);
    fresh->object = clattn__stored_load(ctx, &r);
    fresh->stored = fresh->object != NULL;
    if (!fresh->stored)
        CLATTN_TRY(build(ctx, &r, &fresh->object));
    fresh->next = programs->first;
    programs->first = fresh;
    *added = fresh;
    fresh = NULL;
out:
    clattn__free(fresh);
    return status;
}

/* Compilers may build a program, and say nothing, that lacks a kernel. */
static clattn_status check_kernel(clattn_context *ctx, const clattn__kernel_spec *spec,
                                  cl_kernel made, cl_int error)
{
    if (error != CL_INVALID_KERNEL_NAME)
        return clattn__cl_made(ctx, made, error, "clCreateKernel");
    clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                "%s.cl was built with \"%s\", but has no kernel %s: %s (%d)", spec->file,
                spec->options, spec->name, clattn__cl_error_name(error), (int)error);
    return clattn__cl_keep(ctx, error);
}

clattn_status clattn__kernel_create(clattn_context *ctx, const clattn__kernel_spec *spec,
                                    cl_kernel *kernel)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cl *cl = ctx->cl;
    cl_int error = CL_SUCCESS;

    clattn__mutex_lock(&cl->programs->lock);
    program *p = find(ctx, spec);
    if (!p)
        CLATTN_TRY(add(ctx, spec, &p));
    cl_kernel made = cl->api->clCreateKernel(p->object, spec->name, &error);
    CLATTN_TRY(check_kernel(ctx, spec, made, error));
    *kernel = made;
out:
    clattn__mutex_unlock(&cl->programs->lock);
    return status;
}

/* Builds from source what came from the cache, in its place. Kernels made of the old one hold it. */
static bool replace(clattn_context *ctx, program *p)
{
    cl_program built = NULL;
    const clattn__recipe r = recipe_of(p->source, &p->spec);
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "the cache's program of %s.cl is replaced: %s failed",
                p->spec.file, p->spec.name);
    if (build(ctx, &r, &built) != CLATTN_OK)
        return false;
    ctx->cl->api->clReleaseProgram(p->object);
    p->object = built;
    p->stored = false;
    return true;
}

bool clattn__kernel_tried(clattn_context *ctx, const clattn__kernel_spec *spec, bool worked)
{
    struct clattn__cl *cl = ctx->cl;
    bool again = false;
    clattn__mutex_lock(&cl->programs->lock);
    program *p = find(ctx, spec);
    if (p && worked)
        p->launched = true;
    else if (p && p->stored && !p->launched)
        again = replace(ctx, p);
    clattn__mutex_unlock(&cl->programs->lock);
    return again;
}

void clattn__programs_store(clattn_context *ctx)
{
    struct clattn__programs *programs = ctx->cl->programs;
    if (!programs || !ctx->params.cache.put)
        return;
    clattn__mutex_lock(&programs->lock);
    for (program *p = programs->first; p; p = p->next) {
        if (p->stored || !p->launched)
            continue;
        const clattn__recipe r = recipe_of(p->source, &p->spec);
        clattn__stored_save(ctx, &r, p->object);
        p->stored = true;
    }
    clattn__mutex_unlock(&programs->lock);
}

uint64_t clattn__kernel_private_bytes(const clattn_context *ctx, cl_kernel kernel)
{
    cl_ulong bytes = 0;
    const cl_int error = ctx->cl->api->clGetKernelWorkGroupInfo(
        kernel, ctx->cl->device, CL_KERNEL_PRIVATE_MEM_SIZE, sizeof bytes, &bytes, NULL);
    return error == CL_SUCCESS ? bytes : 0;
}

void clattn__kernel_release(clattn_context *ctx, cl_kernel *kernel)
{
    if (*kernel)
        ctx->cl->api->clReleaseKernel(*kernel);
    *kernel = NULL;
}
