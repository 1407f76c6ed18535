#include "ops/host.h"

#include <string.h>

#include "cl/device.h"
#include "cl/errors.h"
#include "cl/selftest.h"
#include "ops/bias.h"

/* Most tensors and arrays of a run. */
#define MOST 12

/* The CPU path of a device's context, made when it is first needed. */
static clattn_status host_context(clattn_context *ctx, clattn_context **host)
{
    clattn_status status = CLATTN_OK;
    clattn_context *made = NULL;
    const clattn_context_params params = {.log = ctx->params.log,
                                          .threads = ctx->params.threads,
                                          .parallel_for = ctx->params.parallel_for,
                                          .parallel_user = ctx->params.parallel_user};

    clattn__mutex_lock(&ctx->bytes_lock);
    *host = ctx->host;
    clattn__mutex_unlock(&ctx->bytes_lock);
    if (*host != NULL)
        return CLATTN_OK;
    CLATTN_TRY(clattn_context_create_cpu(&params, &made));
    clattn__mutex_lock(&ctx->bytes_lock);
    if (ctx->host == NULL) {
        ctx->host = made;
        made = NULL;
    }
    *host = ctx->host;
    clattn__mutex_unlock(&ctx->bytes_lock);
out:
    clattn_context_destroy(&made); /* another thread was first */
    return status;
}

static clattn_status plan_on(clattn_context *host, const char *op, const void *desc,
                             clattn_plan **plan)
{
    if (strcmp(op, "agent_pool") == 0)
        return clattn_agent_pool_plan(host, desc, plan);
    if (strcmp(op, "agent_aggregate") == 0)
        return clattn_agent_aggregate_plan(host, desc, plan);
    if (strcmp(op, "agent_broadcast") == 0)
        return clattn_agent_broadcast_plan(host, desc, plan);
    if (strcmp(op, "attention") == 0)
        return clattn_attention_plan(host, desc, plan);
    if (strcmp(op, "dwc") == 0)
        return clattn_dwc_plan(host, desc, plan);
    return clattn_smooth_plan(host, desc, plan);
}

static bool may_fall_back(const clattn_context *ctx)
{
    /* A tiling has one lane per device, whose bytes and speed it knows. */
    if (ctx->parent != NULL)
        return false;
    return ctx->params.fallback == CLATTN_FALLBACK_CPU ||
           (ctx->params.fallback == CLATTN_FALLBACK_AUTO && !ctx->cl->wrapped);
}

static void note_step(const clattn_plan *plan, clattn_verdict_step step)
{
    for (int i = 0; i < CLATTN__MAX_KERNELS; i++)
        if (plan->kernels[i].file != NULL)
            clattn__verdict_step(plan->ctx, &plan->kernels[i], step);
}

clattn_status clattn__host_plan(clattn_plan *plan, const void *desc, clattn_status status)
{
    clattn_context *ctx = plan->ctx;
    clattn_context *host = NULL;
    const bool falls = status == CLATTN_E_WRONG && may_fall_back(ctx);

    if (status == CLATTN_E_WRONG)
        note_step(plan, falls ? CLATTN_STEP_CPU : CLATTN_STEP_FAIL);
    CLATTN_CHECK(&ctx->log, status != CLATTN_E_WRONG || falls, CLATTN_E_WRONG,
                 "%s computes %s wrongly, whatever the kernel; params.fallback does not allow the "
                 "CPU path",
                 ctx->device.name, plan->op);
    if (!falls)
        return status;
    clattn__log(&ctx->log, CLATTN_LOG_WARN, "%s of %s runs on the CPU path", plan->op,
                ctx->device.name);
    CLATTN_TRY(host_context(ctx, &host));
    CLATTN_TRY(plan_on(host, plan->op, desc, &plan->host));
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        clattn_plan_destroy(&plan->children[i]);
    memset(plan->kernels, 0, sizeof plan->kernels);
    memset(plan->tuned, 0, sizeof plan->tuned);
    memset(plan->scratch, 0, sizeof plan->scratch);
    plan->info = plan->host->info;
    plan->info.launches = 0;
    plan->info.on_cpu_path = 1;
out:
    return status;
}

/* A device's buffer that the host sees. */
typedef struct mapping {
    clattn_memory memory;
    void *pointer;
} mapping;

/* A run's arguments, as the CPU path takes them. */
typedef struct host_args {
    clattn_context *ctx;
    mapping maps[MOST];
    int map_count;
    clattn_tensor tensors[MOST];
    int tensor_count;
    clattn_array arrays[2];
    int array_count;
    clattn_agent_bias *bias;
} host_args;

/* Memory of the device becomes memory of the host; buffers that several tensors share are mapped once. */
static clattn_status map_memory(host_args *h, clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = h->ctx;
    mapping *m = h->maps;

    while (m < h->maps + h->map_count && m->memory.mem != memory->mem)
        m++;
    if (m == h->maps + h->map_count) {
        m->memory = (clattn_memory){.mem = memory->mem, .host = memory->host};
        CLATTN_TRY(ctx->backend->check_memory(ctx, "a tensor", &m->memory));
        CLATTN_TRY(ctx->backend->map(ctx, &m->memory, m->memory.bytes, false, &m->pointer));
        h->map_count++;
        CLATTN_TRY(ctx->backend->finish(ctx));
    }
    *memory = (clattn_memory){.host = m->pointer, .bytes = m->memory.bytes};
out:
    return status;
}

static clattn_status map_tensor(host_args *h, const clattn_tensor **tensor)
{
    if (*tensor == NULL)
        return CLATTN_OK;
    clattn_tensor *own = &h->tensors[h->tensor_count++];
    *own = **tensor;
    *tensor = own;
    return map_memory(h, &own->memory);
}

static clattn_status map_array(host_args *h, const clattn_array **array)
{
    if (*array == NULL)
        return CLATTN_OK;
    clattn_array *own = &h->arrays[h->array_count++];
    *own = **array;
    *array = own;
    return map_memory(h, &own->memory);
}

typedef clattn_status agent_run(const clattn_plan *, clattn_workspace *,
                                const clattn_agent_attention_args *, const clattn_sync *);

static clattn_status run_agent(host_args *h, const clattn_plan *plan, clattn_workspace *ws,
                               const clattn_agent_attention_args *args, agent_run *run)
{
    clattn_status status = CLATTN_OK;
    clattn_agent_attention_args a = *args;
    const clattn_tensor **const tensors[] = {
        &a.q, &a.k, &a.v, &a.agents, &a.key_bias, &a.agent_vector, &a.va, &a.out};

    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        CLATTN_TRY(map_tensor(h, tensors[i]));
    CLATTN_TRY(map_array(h, &a.dwc_weight));
    CLATTN_TRY(map_array(h, &a.dwc_bias));
    if (a.bias != NULL) {
        CLATTN_TRY(clattn__agent_bias_to_host(a.bias, plan->ctx, &h->bias));
        a.bias = h->bias;
    }
    CLATTN_TRY(run(plan, ws, &a, NULL));
out:
    return status;
}

static clattn_status run_attention(host_args *h, const clattn_plan *plan, clattn_workspace *ws,
                                   const clattn_attention_args *args)
{
    clattn_status status = CLATTN_OK;
    clattn_attention_args a = *args;
    const clattn_tensor **const tensors[] = {&a.q, &a.k, &a.v, &a.key_bias, &a.out};

    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        CLATTN_TRY(map_tensor(h, tensors[i]));
    CLATTN_TRY(clattn_attention_run(plan, ws, &a, NULL));
out:
    return status;
}

static clattn_status run_dwc(host_args *h, const clattn_plan *plan, clattn_workspace *ws,
                             const clattn_dwc_args *args)
{
    clattn_status status = CLATTN_OK;
    clattn_dwc_args a = *args;

    CLATTN_TRY(map_tensor(h, &a.v));
    CLATTN_TRY(map_tensor(h, &a.out));
    CLATTN_TRY(map_array(h, &a.weight));
    CLATTN_TRY(map_array(h, &a.bias));
    CLATTN_TRY(clattn_dwc_run(plan, ws, &a, NULL));
out:
    return status;
}

static clattn_status run_smooth(host_args *h, const clattn_plan *plan, clattn_workspace *ws,
                                const clattn__smooth_args *args)
{
    clattn_status status = CLATTN_OK;
    clattn__smooth_args a = *args;

    CLATTN_TRY(map_tensor(h, &a.input));
    CLATTN_TRY(map_tensor(h, &a.output));
    CLATTN_TRY(map_tensor(h, &a.agents));
    CLATTN_TRY(clattn_smooth_run(plan, ws, a.input, a.output, a.agents, NULL));
out:
    return status;
}

static clattn_status run_op(host_args *h, const clattn_plan *plan, clattn_workspace *ws,
                            const void *args)
{
    if (strcmp(plan->op, "agent_pool") == 0)
        return run_agent(h, plan, ws, args, clattn_agent_pool_run);
    if (strcmp(plan->op, "agent_aggregate") == 0)
        return run_agent(h, plan, ws, args, clattn_agent_aggregate_run);
    if (strcmp(plan->op, "agent_broadcast") == 0)
        return run_agent(h, plan, ws, args, clattn_agent_broadcast_run);
    if (strcmp(plan->op, "attention") == 0)
        return run_attention(h, plan, ws, args);
    if (strcmp(plan->op, "dwc") == 0)
        return run_dwc(h, plan, ws, args);
    return run_smooth(h, plan, ws, args);
}

/* What the caller wants to be waited for holds back the mappings too. */
static clattn_status wait_for_caller(const clattn__chain *chain)
{
    const clattn_sync *sync = chain->sync;
    struct clattn__cl *cl = chain->ctx->cl;
    if (chain->started || sync == NULL || sync->wait_count == 0)
        return CLATTN_OK;
    return clattn__cl_check(
        chain->ctx,
        cl->api->clEnqueueBarrierWithWaitList(cl->queue, sync->wait_count, sync->wait, NULL),
        "clEnqueueBarrierWithWaitList");
}

clattn_status clattn__host_run(const clattn_plan *plan, clattn_workspace *ws, const void *args,
                               clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    host_args h = {.ctx = ctx};

    CLATTN_TRY(wait_for_caller(chain));
    CLATTN_TRY(run_op(&h, plan->host, ws->host, args));
out:
    clattn_agent_bias_destroy(&h.bias);
    while (h.map_count > 0) {
        const mapping *m = &h.maps[--h.map_count];
        const clattn_status unmapped = ctx->backend->unmap(ctx, &m->memory, m->pointer);
        status = status == CLATTN_OK ? unmapped : status;
    }
    return status == CLATTN_OK ? ctx->backend->finish(ctx) : status;
}
