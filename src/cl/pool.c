/*
 * The device buffers of a context: counted against its byte cap, reused where the queue's order
 * allows it.
 */
#include "cl/pool.h"

#include "cl/device.h"
#include "cl/errors.h"

/*
 * A kept buffer serves a request of at least its size less an eighth and this; more would waste
 * device memory.
 */
#define SLACK_BYTES 4096

/* Kept buffers may hold as much as the ones in use, or this where that is more. */
#define MIN_KEPT_BYTES (UINT64_C(64) << 20)

typedef struct buffer {
    struct buffer *next;
    cl_mem object;
    uint64_t bytes;
    bool in_use;
} buffer;

struct clattn__buffers {
    clattn__mutex lock;
    buffer *first;
    uint64_t used_bytes, kept_bytes;
};

clattn_status clattn__buffers_create(clattn_context *ctx)
{
    struct clattn__buffers *pool = clattn__alloc(sizeof *pool);
    if (!pool || !clattn__mutex_init(&pool->lock)) {
        clattn__free(pool);
        clattn__log(&ctx->log, CLATTN_LOG_ERROR, "out of host memory for the buffer pool");
        return CLATTN_E_NOMEM;
    }
    ctx->cl->buffers = pool;
    return CLATTN_OK;
}

/* Gives buffer *link back to the driver and takes it off the list. */
static void release(clattn_context *ctx, buffer **link)
{
    struct clattn__buffers *pool = ctx->cl->buffers;
    buffer *b = *link;
    *link = b->next;
    *(b->in_use ? &pool->used_bytes : &pool->kept_bytes) -= b->bytes;
    ctx->cl->api->clReleaseMemObject(b->object);
    clattn__bytes_give(ctx, b->bytes);
    clattn__free(b);
}

/* True where there was one. */
static bool release_kept(clattn_context *ctx)
{
    bool any = false;
    for (buffer **link = &ctx->cl->buffers->first; *link;) {
        if ((*link)->in_use) {
            link = &(*link)->next;
        } else {
            release(ctx, link);
            any = true;
        }
    }
    return any;
}

void clattn__buffers_destroy(clattn_context *ctx)
{
    struct clattn__buffers *pool = ctx->cl->buffers;
    if (!pool)
        return;
    while (pool->first)
        release(ctx, &pool->first);
    clattn__mutex_destroy(&pool->lock);
    clattn__free(pool);
    ctx->cl->buffers = NULL;
}

/* The kept buffer that wastes least, or NULL. */
static buffer *find_kept(const struct clattn__buffers *pool, uint64_t bytes)
{
    buffer *best = NULL;
    for (buffer *b = pool->first; b; b = b->next)
        if (!b->in_use && b->bytes >= bytes && b->bytes - bytes <= b->bytes / 8 + SLACK_BYTES &&
            (!best || b->bytes < best->bytes))
            best = b;
    return best;
}

static bool no_room(cl_int error)
{
    return error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_RESOURCES ||
           error == CL_OUT_OF_HOST_MEMORY || error == CL_INVALID_BUFFER_SIZE;
}

/*
 * Asks the driver, and once more after the kept buffers are gone. Where device and host share memory, the driver's own host
 * memory is what both can use without a copy.
 */
static clattn_status create(clattn_context *ctx, uint64_t bytes, cl_mem *object)
{
    struct clattn__cl *cl = ctx->cl;
    const cl_mem_flags flags =
        CL_MEM_READ_WRITE | (ctx->device.shares_host_memory ? CL_MEM_ALLOC_HOST_PTR : 0);
    cl_int error = CL_SUCCESS;
    *object = cl->api->clCreateBuffer(cl->context, flags, (size_t)bytes, NULL, &error);
    if (no_room(error) && release_kept(ctx))
        *object = cl->api->clCreateBuffer(cl->context, flags, (size_t)bytes, NULL, &error);
    if (error == CL_SUCCESS)
        return clattn__cl_made(ctx, *object, error, "clCreateBuffer");
    clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                "clCreateBuffer failed for %llu bytes: %s (%d); the device has %llu bytes",
                (unsigned long long)bytes, clattn__cl_error_name(error), (int)error,
                (unsigned long long)ctx->device.global_bytes);
    clattn_status status = clattn__cl_keep(ctx, error);
    return no_room(error) ? CLATTN_E_DEVICE_NOMEM : status;
}

/* Makes a buffer that is not there yet. Call with the lock held. */
static clattn_status make(clattn_context *ctx, uint64_t bytes, buffer **result)
{
    clattn_status status = CLATTN_OK;
    struct clattn__buffers *pool = ctx->cl->buffers;
    buffer *b = clattn__alloc(sizeof *b);
    bool counted = false;
    CLATTN_CHECK(&ctx->log, b, CLATTN_E_NOMEM, "out of host memory for a buffer's record");
    if (!clattn__bytes_fit(ctx, bytes)) {
        release_kept(ctx);
        CLATTN_TRY(clattn__bytes_take(ctx, bytes));
    }
    counted = true;
    CLATTN_TRY(create(ctx, bytes, &b->object));
    b->bytes = bytes;
    b->next = pool->first;
    pool->first = b;
    *result = b;
    return CLATTN_OK;
out:
    if (counted)
        clattn__bytes_give(ctx, bytes);
    clattn__free(b);
    return status;
}

clattn_status clattn__buffer_take(clattn_context *ctx, uint64_t bytes, cl_mem *object)
{
    clattn_status status = CLATTN_OK;
    struct clattn__buffers *pool = ctx->cl->buffers;
    clattn__mutex_lock(&pool->lock);
    CLATTN_CHECK(&ctx->log, bytes <= ctx->device.allocation_bytes && bytes <= SIZE_MAX,
                 CLATTN_E_DEVICE_NOMEM,
                 "a buffer of %llu bytes is wanted; the largest on this device is %llu",
                 (unsigned long long)bytes, (unsigned long long)ctx->device.allocation_bytes);
    buffer *b = find_kept(pool, bytes);
    if (b) {
        pool->kept_bytes -= b->bytes;
        clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "a buffer of %llu bytes is used again for %llu",
                    (unsigned long long)b->bytes, (unsigned long long)bytes);
    } else {
        CLATTN_TRY(make(ctx, bytes, &b));
    }
    b->in_use = true;
    pool->used_bytes += b->bytes;
    *object = b->object;
out:
    clattn__mutex_unlock(&pool->lock);
    return status;
}

bool clattn__buffer_give(clattn_context *ctx, cl_mem object)
{
    struct clattn__cl *cl = ctx->cl;
    struct clattn__buffers *pool = cl->buffers;
    clattn__mutex_lock(&pool->lock);
    buffer **link = &pool->first;
    while (*link && !((*link)->object == object && (*link)->in_use))
        link = &(*link)->next;
    buffer *b = *link;
    if (b) {
        bool keeps = !cl->wrapped && !cl->out_of_order && ctx->parent == NULL;
        uint64_t used = pool->used_bytes - b->bytes, kept = pool->kept_bytes + b->bytes;
        if (keeps && kept <= (used > MIN_KEPT_BYTES ? used : MIN_KEPT_BYTES)) {
            b->in_use = false;
            pool->used_bytes = used;
            pool->kept_bytes = kept;
        } else {
            release(ctx, link);
        }
    }
    clattn__mutex_unlock(&pool->lock);
    return b != NULL;
}
