/*
 * The part of a context that every back end shares: checks, the byte count, and the public calls
 * that hand on to it.
 */
#include "base/context.h"

/*
 * The longest launch where the caller names none: far below the limits at which desktop drivers
 * kill kernels.
 */
#define DEFAULT_LAUNCH_FLOPS UINT64_C(20000000000)

#define MAX_THREADS 1024

bool clattn__context_valid(const clattn_context *ctx)
{
    return ctx && ctx->magic == CLATTN__CONTEXT_MAGIC;
}

static clattn_status check_params(const clattn_context_params *params)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = &params->log;
    CLATTN_CHECK(log, (unsigned)params->shape <= CLATTN_SHAPE_TILE, CLATTN_E_ARG,
                 "params.shape is %d; it must be 0 (auto), 1 (wide) or 2 (tile)",
                 (int)params->shape);
    CLATTN_CHECK(log, (unsigned)params->selftest <= CLATTN_SELFTEST_FORCE, CLATTN_E_ARG,
                 "params.selftest is %d; it must be 0 (first use), 1 (off) or 2 (force)",
                 (int)params->selftest);
    CLATTN_CHECK(log, (unsigned)params->fallback <= CLATTN_FALLBACK_CPU, CLATTN_E_ARG,
                 "params.fallback is %d; it must be 0 (auto), 1 (none) or 2 (CPU path)",
                 (int)params->fallback);
    CLATTN_CHECK(log, params->threads <= MAX_THREADS, CLATTN_E_ARG,
                 "params.threads is %u; the most is %d", (unsigned)params->threads, MAX_THREADS);
    for (size_t i = 0; i < sizeof params->reserved / sizeof params->reserved[0]; i++)
        CLATTN_CHECK(log, params->reserved[i] == 0, CLATTN_E_ARG,
                     "params.reserved[%zu] is %u; it must be 0", i, (unsigned)params->reserved[i]);
out:
    return status;
}

clattn_status clattn__context_new(const clattn_context_params *params, clattn_context **result)
{
    static const clattn_context_params defaults;
    if (!params)
        params = &defaults;
    clattn_status status = check_params(params);
    if (status != CLATTN_OK)
        return status;

    clattn_context *ctx = clattn__alloc(sizeof *ctx);
    if (!ctx || !clattn__mutex_init(&ctx->bytes_lock)) {
        clattn__free(ctx);
        clattn__log(&params->log, CLATTN_LOG_ERROR, "out of host memory for a context");
        return CLATTN_E_NOMEM;
    }
    ctx->magic = CLATTN__CONTEXT_MAGIC;
    ctx->log = params->log;
    ctx->params = *params;
    if (ctx->params.launch_flops == 0)
        ctx->params.launch_flops = DEFAULT_LAUNCH_FLOPS;
    *result = ctx;
    return CLATTN_OK;
}

void clattn__context_delete(clattn_context *ctx)
{
    ctx->magic = 0;
    clattn__mutex_destroy(&ctx->bytes_lock);
    clattn__free(ctx);
}

clattn_status clattn__context_lane(clattn_context *ctx, clattn_context **lane)
{
    return ctx->backend->lane(ctx, lane);
}

void clattn__context_lane_end(clattn_context **lane)
{
    if (*lane != NULL && (*lane)->parent != NULL)
        clattn_context_destroy(lane);
    *lane = NULL;
}

const clattn_context *clattn__context_owner(const clattn_context *ctx)
{
    return ctx->parent != NULL ? ctx->parent : ctx;
}

bool clattn__bytes_fit(clattn_context *ctx, uint64_t bytes)
{
    if (ctx->parent != NULL)
        return clattn__bytes_fit(ctx->parent, bytes);
    clattn__mutex_lock(&ctx->bytes_lock);
    uint64_t cap = ctx->params.byte_cap ? ctx->params.byte_cap : UINT64_MAX;
    bool fits = bytes <= cap && ctx->bytes_now <= cap - bytes;
    if (fits) {
        ctx->bytes_now += bytes;
        if (ctx->bytes_peak < ctx->bytes_now)
            ctx->bytes_peak = ctx->bytes_now;
    }
    clattn__mutex_unlock(&ctx->bytes_lock);
    return fits;
}

clattn_status clattn__bytes_take(clattn_context *ctx, uint64_t bytes)
{
    if (clattn__bytes_fit(ctx, bytes))
        return CLATTN_OK;
    uint64_t now = 0;
    clattn_context_bytes(clattn__context_owner(ctx), &now, NULL);
    clattn__log(&ctx->log, CLATTN_LOG_ERROR,
                "%llu bytes are wanted and %llu are held; params.byte_cap is %llu",
                (unsigned long long)bytes, (unsigned long long)now,
                (unsigned long long)ctx->params.byte_cap);
    return CLATTN_E_BUDGET;
}

void clattn__bytes_give(clattn_context *ctx, uint64_t bytes)
{
    if (ctx->parent != NULL) {
        clattn__bytes_give(ctx->parent, bytes);
        return;
    }
    clattn__mutex_lock(&ctx->bytes_lock);
    ctx->bytes_now -= bytes;
    clattn__mutex_unlock(&ctx->bytes_lock);
}

void clattn_context_destroy(clattn_context **handle)
{
    if (!handle || !clattn__context_valid(*handle))
        return;
    clattn_context *ctx = *handle;
    clattn_context_destroy(&ctx->host);
    ctx->backend->destroy(ctx);
    clattn__context_delete(ctx);
    *handle = NULL;
}

clattn_status clattn_context_finish(clattn_context *ctx)
{
    return clattn__context_valid(ctx) ? ctx->backend->finish(ctx) : CLATTN_E_ARG;
}

const clattn_device *clattn_context_device(const clattn_context *ctx)
{
    return clattn__context_valid(ctx) ? &ctx->device : NULL;
}

int clattn_context_is_cpu(const clattn_context *ctx)
{
    return clattn__context_valid(ctx) && ctx->cpu != NULL;
}

void clattn_context_bytes(const clattn_context *ctx, uint64_t *now, uint64_t *peak)
{
    uint64_t counts[2] = {0, 0};
    if (clattn__context_valid(ctx)) {
        clattn__mutex *lock = (clattn__mutex *)&ctx->bytes_lock;
        clattn__mutex_lock(lock);
        counts[0] = ctx->bytes_now;
        counts[1] = ctx->bytes_peak;
        clattn__mutex_unlock(lock);
    }
    if (now)
        *now = counts[0];
    if (peak)
        *peak = counts[1];
}

int32_t clattn_context_cl_error(const clattn_context *ctx)
{
    if (!clattn__context_valid(ctx))
        return 0;
    clattn__mutex *lock = (clattn__mutex *)&ctx->bytes_lock;
    clattn__mutex_lock(lock);
    int32_t error = ctx->cl_error;
    clattn__mutex_unlock(lock);
    return error;
}
