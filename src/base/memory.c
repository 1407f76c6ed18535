/* The public calls on memory: check what the caller gave, then let the back end do it. */
#include "base/context.h"

clattn_status clattn_memory_alloc(clattn_context *ctx, uint64_t bytes, clattn_memory *memory)
{
    clattn_status status = CLATTN_E_ARG;
    if (!clattn__context_valid(ctx))
        return status;
    CLATTN_CHECK(&ctx->log, memory, CLATTN_E_ARG, "memory is NULL");
    CLATTN_CHECK(&ctx->log, bytes > 0, CLATTN_E_ARG, "bytes is 0; at least 1 is needed");
    CLATTN_TRY(ctx->backend->alloc(ctx, bytes, memory));
out:
    return status;
}

void clattn_memory_free(clattn_context *ctx, clattn_memory *memory)
{
    if (!clattn__context_valid(ctx) || !memory || (!memory->mem && !memory->host))
        return;
    ctx->backend->free(ctx, memory);
    *memory = (clattn_memory){0};
}

/* Refuses what is not this context's, and any range that leaves the memory. */
static clattn_status check_copy(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                                const void *array, uint64_t bytes)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = &ctx->log;
    CLATTN_CHECK(log, memory, CLATTN_E_ARG, "memory is NULL");
    CLATTN_CHECK(log, array || bytes == 0, CLATTN_E_ARG,
                 "the array to copy from or to is NULL, and bytes is %llu",
                 (unsigned long long)bytes);
    clattn_memory checked = *memory;
    CLATTN_TRY(ctx->backend->check_memory(ctx, "memory", &checked));
    CLATTN_CHECK(log, offset <= checked.bytes && bytes <= checked.bytes - offset, CLATTN_E_SHAPE,
                 "offset is %llu and bytes is %llu; the memory has %llu bytes",
                 (unsigned long long)offset, (unsigned long long)bytes,
                 (unsigned long long)checked.bytes);
out:
    return status;
}

clattn_status clattn_memory_write(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                                  const void *source, uint64_t bytes)
{
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    clattn_status status = check_copy(ctx, memory, offset, source, bytes);
    if (status != CLATTN_OK || bytes == 0)
        return status;
    return ctx->backend->write(ctx, memory, offset, source, bytes);
}

clattn_status clattn_memory_read(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                                 void *target, uint64_t bytes)
{
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    clattn_status status = check_copy(ctx, memory, offset, target, bytes);
    if (status != CLATTN_OK || bytes == 0)
        return status;
    return ctx->backend->read(ctx, memory, offset, target, bytes);
}
