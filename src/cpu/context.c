/* Contexts of the CPU path: plain host memory, and the threads that run its loops. */
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "cpu/cpu.h"

/*
 * Memory that clattn_memory_alloc() handed out. The record lies in front of the bytes, in the same
 * allocation; a list of them tells a foreign or stale pointer before it is freed.
 */
struct clattn__cpu_block {
    struct clattn__cpu_block *next;
    uint64_t bytes;
};

/* Keeps the bytes behind the record aligned to 64. */
#define RECORD_BYTES 64
_Static_assert(sizeof(struct clattn__cpu_block) <= RECORD_BYTES, "the record fits in its place");

static void *bytes_of(struct clattn__cpu_block *block)
{
    return (unsigned char *)block + RECORD_BYTES;
}

static void release(clattn_context *ctx, struct clattn__cpu_block **link)
{
    struct clattn__cpu_block *block = *link;
    *link = block->next;
    clattn__bytes_give(ctx, block->bytes);
    clattn__free_aligned(block);
}

static void destroy(clattn_context *ctx)
{
    struct clattn__cpu_path *cpu = ctx->cpu;
    clattn__pool_destroy(&cpu->pool);
    while (cpu->blocks)
        release(ctx, &cpu->blocks);
    clattn__mutex_destroy(&cpu->lock);
    clattn__free(cpu);
    ctx->cpu = NULL;
}

/* Every run has finished when it returns. */
static clattn_status finish(clattn_context *ctx)
{
    (void)ctx;
    return CLATTN_OK;
}

static clattn_status alloc(clattn_context *ctx, uint64_t bytes, clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    struct clattn__cpu_path *cpu = ctx->cpu;
    struct clattn__cpu_block *block = NULL;
    CLATTN_TRY(clattn__bytes_take(ctx, bytes));
    if (bytes <= SIZE_MAX - RECORD_BYTES)
        block = clattn__alloc_aligned((size_t)bytes + RECORD_BYTES);
    if (!block)
        clattn__bytes_give(ctx, bytes);
    CLATTN_CHECK(&ctx->log, block, CLATTN_E_NOMEM, "out of host memory for %llu bytes",
                 (unsigned long long)bytes);
    block->bytes = bytes;
    clattn__mutex_lock(&cpu->lock);
    block->next = cpu->blocks;
    cpu->blocks = block;
    clattn__mutex_unlock(&cpu->lock);
    *memory = (clattn_memory){.host = bytes_of(block), .bytes = bytes};
out:
    return status;
}

static void free_memory(clattn_context *ctx, clattn_memory *memory)
{
    struct clattn__cpu_path *cpu = ctx->cpu;
    clattn__mutex_lock(&cpu->lock);
    struct clattn__cpu_block **link = &cpu->blocks;
    while (*link && bytes_of(*link) != memory->host)
        link = &(*link)->next;
    bool found = *link != NULL;
    if (found)
        release(ctx, link);
    clattn__mutex_unlock(&cpu->lock);
    if (!found)
        clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                    "clattn_memory_free: the memory was not allocated with this context, or is "
                    "free already; nothing is done");
}

static clattn_status write(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                           const void *source, uint64_t bytes)
{
    (void)ctx;
    memmove((unsigned char *)memory->host + offset, source, (size_t)bytes);
    return CLATTN_OK;
}

static clattn_status read(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                          void *target, uint64_t bytes)
{
    (void)ctx;
    memmove(target, (const unsigned char *)memory->host + offset, (size_t)bytes);
    return CLATTN_OK;
}

static clattn_status map(clattn_context *ctx, const clattn_memory *memory, uint64_t bytes,
                         bool fresh, void **pointer)
{
    (void)ctx, (void)bytes, (void)fresh;
    *pointer = memory->host;
    return CLATTN_OK;
}

static clattn_status unmap(clattn_context *ctx, const clattn_memory *memory, void *pointer)
{
    (void)ctx, (void)memory, (void)pointer;
    return CLATTN_OK;
}

static clattn_status lane(clattn_context *ctx, clattn_context **result)
{
    *result = ctx;
    return CLATTN_OK;
}

static clattn_status check_memory(clattn_context *ctx, const char *what, clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = &ctx->log;
    CLATTN_CHECK(log, memory->host, CLATTN_E_ARG,
                 "%s has no host memory (host is NULL), which the CPU path needs", what);
    CLATTN_CHECK(log, !memory->mem, CLATTN_E_ARG,
                 "%s has an OpenCL buffer besides its host memory; mem must be NULL", what);
    CLATTN_CHECK(log, (uintptr_t)memory->host % sizeof(uint16_t) == 0, CLATTN_E_ARG,
                 "%s lies at an address that is no multiple of %zu", what, sizeof(uint16_t));
    CLATTN_CHECK(log, memory->bytes > 0 && memory->bytes <= SIZE_MAX, CLATTN_E_ARG,
                 "%s.bytes is %llu; it must be the size of its host memory", what,
                 (unsigned long long)memory->bytes);
out:
    return status;
}

static const clattn__backend cpu_backend = {
    .destroy = destroy,
    .finish = finish,
    .alloc = alloc,
    .free = free_memory,
    .write = write,
    .read = read,
    .map = map,
    .unmap = unmap,
    .lane = lane,
    .check_memory = check_memory,
};

/*
 * Where the caller runs the loops, how many threads there are is the caller's to say, and else
 * unknown: the cores.
 */
static uint32_t thread_count(const clattn_context *ctx)
{
    if (ctx->cpu->pool)
        return clattn__pool_threads(ctx->cpu->pool);
    return ctx->params.threads > 0 ? ctx->params.threads : clattn__machine_cores();
}

static void describe(clattn_context *ctx)
{
    uint64_t memory = clattn__machine_bytes();
    clattn_device *device = &ctx->device;
    *device = (clattn_device){
        .kind = CLATTN_DEVICE_CPU,
        .name = "CPU path",
        .vendor = "clattn",
        .platform = "clattn",
        .compute_units = thread_count(ctx),
        .max_work_group = 1,
        .global_bytes = memory,
        .allocation_bytes = memory,
        .shares_host_memory = 1,
        .usable = 1,
    };
    snprintf(device->version, sizeof device->version, "clattn %s", clattn_version());
    snprintf(device->driver, sizeof device->driver, "%s", ctx->cpu->ops->name);
    clattn__log(&ctx->log, CLATTN_LOG_INFO, "CPU path, %s code, %u threads", device->driver,
                (unsigned)device->compute_units);
}

clattn_status clattn_context_create_cpu(const clattn_context_params *params,
                                        clattn_context **result)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = NULL;
    struct clattn__cpu_path *cpu = NULL;
    CLATTN_CHECK(params ? &params->log : NULL, result, CLATTN_E_ARG, "ctx is NULL");
    *result = NULL;
    CLATTN_TRY(clattn__context_new(params, &ctx));
    cpu = clattn__alloc(sizeof *cpu);
    CLATTN_CHECK(&ctx->log, cpu && clattn__mutex_init(&cpu->lock), CLATTN_E_NOMEM,
                 "out of host memory for a context");
    ctx->backend = &cpu_backend;
    ctx->cpu = cpu;
    cpu->ops = clattn__cpu_ops_best();
    if (!ctx->params.parallel_for) {
        status = clattn__pool_create(ctx->params.threads, &cpu->pool);
        CLATTN_CHECK(&ctx->log, status == CLATTN_OK, status, "out of host memory for %u threads",
                     (unsigned)ctx->params.threads);
        if (clattn__pool_threads(cpu->pool) < ctx->params.threads)
            clattn__log(&ctx->log, CLATTN_LOG_WARN, "only %u of %u threads could be started",
                        (unsigned)clattn__pool_threads(cpu->pool), (unsigned)ctx->params.threads);
    }
    describe(ctx);
    *result = ctx;
    ctx = NULL;
out:
    if (ctx) {
        if (ctx->cpu)
            destroy(ctx);
        else
            clattn__free(cpu);
        clattn__context_delete(ctx);
    }
    return status;
}

void clattn__cpu_for(clattn_context *ctx, int64_t count, void (*fn)(void *arg, int64_t i),
                     void *arg)
{
    const clattn_context_params *params = &ctx->params;
    if (ctx->cpu->pool)
        clattn__pool_run(ctx->cpu->pool, count, fn, arg);
    else
        params->parallel_for(params->parallel_user, count, fn, arg);
}
