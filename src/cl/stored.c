/*
 * Between a context's programs and the caller's cache. Nothing here is an error of the library: what
 * cannot be loaded is built, what cannot be saved is built again next time.
 */
#include "cl/stored.h"

#include <stdio.h>
#include <string.h>

#include "cl/binary.h"
#include "cl/device.h"
#include "cl/errors.h"
#include "cl/selftest.h"

/* Longer binaries are not believed. */
#define MAX_BINARY ((size_t)1 << 30)

/* Room for what a key names besides the sources. */
#define HEAD_BYTES 2560

/* All that a program's binary depends on, and the key that follows from it. */
typedef struct identity {
    char *text;
    size_t bytes;
    char key[CLATTN__BINARY_KEY_SIZE];
} identity;

static bool platform_version(clattn_context *ctx, char *text, size_t room)
{
    const clattn__cl_api *api = ctx->cl->api;
    cl_platform_id platform = NULL;
    return api->clGetDeviceInfo(ctx->cl->device, CL_DEVICE_PLATFORM, sizeof platform, &platform,
                                NULL) == CL_SUCCESS &&
           api->clGetPlatformInfo(platform, CL_PLATFORM_VERSION, room, text, NULL) == CL_SUCCESS;
}

/* Names what a program's binary depends on but for its source, behind `what`; the length, or 0 where that cannot be. */
static size_t write_head(clattn_context *ctx, const clattn__recipe *r, const char *what,
                         const char *launches, char *head, size_t room)
{
    const clattn_device *d = &ctx->device;
    const clattn__kernel_spec *spec = r->spec;
    char version[512] = "";
    if (!platform_version(ctx, version, sizeof version - 1))
        return 0;
    const int length =
        snprintf(head, room,
                 "%sclattn %s, pointers of %zu bytes\nplatform %s, %s\nvendor %s\ndevice %s, %s\n"
                 "driver %s\nprogram %s.cl %s\nkernel %s, work-groups %zu x %zu x %zu%s\n",
                 what, clattn_version(), sizeof(void *), d->platform, version, d->vendor, d->name,
                 d->version, d->driver, r->source->name, r->options, spec->name, spec->local[0],
                 spec->local[1], spec->local[2], launches);
    return length > 0 && (size_t)length < room ? (size_t)length : 0;
}

static bool identify(clattn_context *ctx, const clattn__recipe *r, identity *id)
{
    char head[HEAD_BYTES];
    const size_t length =
        write_head(ctx, r, "", r->spec->large ? ", large" : ", small", head, sizeof head);
    if (length == 0)
        return false;
    id->bytes = length;
    for (uint32_t i = 0; i < r->source->count; i++)
        id->bytes += r->source->sizes[i];
    id->text = clattn__alloc(id->bytes);
    if (!id->text)
        return false;
    char *to = id->text;
    memcpy(to, head, length);
    to += length;
    for (uint32_t i = 0; i < r->source->count; i++) {
        memcpy(to, r->source->texts[i], r->source->sizes[i]);
        to += r->source->sizes[i];
    }
    clattn__binary_key(id->text, id->bytes, id->key);
    return true;
}

/* A verdict's: with the sources' hashes in place of the sources, for an entry of a few words. */
static bool identify_verdict(clattn_context *ctx, const clattn__recipe *r, identity *id)
{
    char what[32];
    id->text = clattn__alloc(HEAD_BYTES + r->source->count * CLATTN__BINARY_KEY_SIZE);
    if (!id->text)
        return false;
    snprintf(what, sizeof what, "verdict %d\n", CLATTN__SELFTEST_VERSION);
    id->bytes = write_head(ctx, r, what, "", id->text, HEAD_BYTES);
    for (uint32_t i = 0; i < r->source->count && id->bytes > 0; i++) {
        clattn__binary_key(r->source->texts[i], r->source->sizes[i], id->text + id->bytes);
        id->bytes += CLATTN__BINARY_KEY_SIZE;
    }
    clattn__binary_key(id->text, id->bytes, id->key);
    return id->bytes > 0;
}

/* An entry's bytes, freed with clattn__free(); NULL where there is none, and then *why. */
static unsigned char *fetch(const clattn_cache *cache, const char *key, size_t *bytes,
                            const char **why)
{
    *why = "there is no entry";
    const size_t size = cache->get(cache->user, key, NULL, 0);
    if (size == 0)
        return NULL;
    unsigned char *entry = size <= MAX_BINARY ? clattn__alloc(size) : NULL;
    *why = "there is no host memory for it";
    if (!entry)
        return NULL;
    *bytes = cache->get(cache->user, key, entry, size);
    *why = "it changed while it was read";
    if (*bytes != size) {
        clattn__free(entry);
        entry = NULL;
    }
    return entry;
}

/* Makes a program of a binary and checks that the kernel is in it; NULL where the driver refuses, and then *why. */
static cl_program build_binary(clattn_context *ctx, const clattn__recipe *r,
                               const unsigned char *binary, size_t bytes, const char **why)
{
    struct clattn__cl *cl = ctx->cl;
    cl_int state = CL_SUCCESS, error = CL_SUCCESS;
    cl_program made = cl->api->clCreateProgramWithBinary(cl->context, 1, &cl->device, &bytes,
                                                         &binary, &state, &error);
    if (!made && error == CL_SUCCESS)
        error = CL_INVALID_BINARY;
    if (error == CL_SUCCESS && state == CL_SUCCESS)
        error = cl->api->clBuildProgram(made, 1, &cl->device, r->options, NULL, NULL);
    else if (error == CL_SUCCESS)
        error = state;
    if (error == CL_SUCCESS) {
        cl_kernel kernel = cl->api->clCreateKernel(made, r->spec->name, &error);
        if (kernel)
            cl->api->clReleaseKernel(kernel);
        else if (error == CL_SUCCESS)
            error = CL_INVALID_KERNEL_NAME;
    }
    if (error == CL_SUCCESS)
        return made;
    *why = clattn__cl_error_name(error);
    if (made)
        cl->api->clReleaseProgram(made);
    return NULL;
}

cl_program clattn__stored_load(clattn_context *ctx, const clattn__recipe *r)
{
    const clattn_cache *cache = &ctx->params.cache;
    const char *why = "its key cannot be made";
    identity id = {.text = NULL};
    unsigned char *entry = NULL;
    cl_program program = NULL;
    size_t bytes = 0, binary_bytes = 0;
    if (!cache->get)
        return NULL;
    if (identify(ctx, r, &id))
        entry = fetch(cache, id.key, &bytes, &why);
    if (entry) {
        const unsigned char *binary =
            clattn__binary_read(entry, bytes, id.text, id.bytes, &binary_bytes, &why);
        if (binary)
            program = build_binary(ctx, r, binary, binary_bytes, &why);
    }
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "%s of %s.cl %s the cache's entry %s%s%s",
                r->spec->name, r->source->name, program ? "comes from" : "is not taken from",
                id.key, program ? "" : ": ", program ? "" : why);
    clattn__free(entry);
    clattn__free(id.text);
    return program;
}

/* Which of the program's devices is the context's; a program has one binary for each. */
static cl_uint device_index(clattn_context *ctx, cl_program program, cl_uint *count)
{
    const clattn__cl_api *api = ctx->cl->api;
    size_t size = 0;
    cl_uint index = 0;
    *count = 0;
    if (api->clGetProgramInfo(program, CL_PROGRAM_DEVICES, 0, NULL, &size) != CL_SUCCESS)
        return 0;
    cl_device_id *devices = clattn__alloc(size);
    if (devices &&
        api->clGetProgramInfo(program, CL_PROGRAM_DEVICES, size, devices, NULL) == CL_SUCCESS) {
        const cl_uint all = (cl_uint)(size / sizeof *devices);
        while (index < all && devices[index] != ctx->cl->device)
            index++;
        *count = index < all ? all : 0;
    }
    clattn__free(devices);
    return index;
}

/* An entry whose binary is filled in and whose head is not; NULL, and then *why. */
static unsigned char *extract(clattn_context *ctx, cl_program program, size_t head,
                              size_t *binary_bytes, const char **why)
{
    const clattn__cl_api *api = ctx->cl->api;
    cl_uint count = 0;
    const cl_uint index = device_index(ctx, program, &count);
    size_t *sizes = clattn__alloc_array(count, sizeof *sizes);
    unsigned char **binaries = clattn__alloc_array(count, sizeof *binaries);
    unsigned char *entry = NULL;
    *why = "the driver does not give its binary";
    if (!sizes || !binaries ||
        api->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes, sizes,
                              NULL) != CL_SUCCESS ||
        sizes[index] == 0 || sizes[index] > MAX_BINARY)
        goto out;
    *binary_bytes = sizes[index];
    entry = clattn__alloc(head + sizes[index]);
    if (!entry) {
        *why = "there is no host memory for it";
        goto out;
    }
    binaries[index] = entry + head; /* NULL for the other devices: not wanted */
    if (api->clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries,
                              NULL) != CL_SUCCESS) {
        clattn__free(entry);
        entry = NULL;
    }
out:
    clattn__free(binaries);
    clattn__free(sizes);
    return entry;
}

void clattn__stored_save(clattn_context *ctx, const clattn__recipe *r, cl_program program)
{
    const clattn_cache *cache = &ctx->params.cache;
    const char *why = "its key cannot be made";
    identity id = {.text = NULL};
    unsigned char *entry = NULL;
    size_t binary_bytes = 0;
    bool kept = false;
    if (identify(ctx, r, &id)) {
        const size_t head = clattn__binary_head_bytes(id.bytes);
        entry = head > 0 ? extract(ctx, program, head, &binary_bytes, &why) : NULL;
        if (entry) {
            clattn__binary_finish(entry, id.text, id.bytes, binary_bytes);
            kept = cache->put(cache->user, id.key, entry, head + binary_bytes) == 0;
            why = "the cache does not take it";
        }
    }
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG,
                "%s of %s.cl, %zu bytes, %s as the cache's entry %s%s%s", r->spec->name,
                r->source->name, binary_bytes, kept ? "is kept" : "is not kept", id.key,
                kept ? "" : ": ", kept ? "" : why);
    clattn__free(entry);
    clattn__free(id.text);
}

bool clattn__stored_verdict_load(clattn_context *ctx, const clattn__recipe *r, char *text,
                                 size_t room)
{
    const clattn_cache *cache = &ctx->params.cache;
    const char *why = "";
    identity id = {.text = NULL};
    unsigned char *entry = NULL;
    size_t bytes = 0, length = 0;
    bool loaded = false;
    if (cache->get && identify_verdict(ctx, r, &id))
        entry = fetch(cache, id.key, &bytes, &why);
    if (entry) {
        const unsigned char *kept =
            clattn__binary_read(entry, bytes, id.text, id.bytes, &length, &why);
        loaded = kept && length < room;
        if (loaded) {
            memcpy(text, kept, length);
            text[length] = '\0';
        }
    }
    clattn__free(entry);
    clattn__free(id.text);
    return loaded;
}

void clattn__stored_verdict_save(clattn_context *ctx, const clattn__recipe *r, const char *text)
{
    const clattn_cache *cache = &ctx->params.cache;
    identity id = {.text = NULL};
    unsigned char *entry = NULL;
    const size_t length = strlen(text);
    if (identify_verdict(ctx, r, &id)) {
        const size_t head = clattn__binary_head_bytes(id.bytes);
        entry = head > 0 ? clattn__alloc(head + length) : NULL;
        if (entry) {
            memcpy(entry + head, text, length);
            clattn__binary_finish(entry, id.text, id.bytes, length);
            const bool kept = cache->put(cache->user, id.key, entry, head + length) == 0;
            clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "the verdict on %s %s as the cache's entry %s",
                        r->spec->name, kept ? "is kept" : "is not kept", id.key);
        }
    }
    clattn__free(entry);
    clattn__free(id.text);
}
