#include "ops/plan.h"

#include <stdio.h>
#include <string.h>

#include "cl/program.h"

#define PLAN_MAGIC      UINT64_C(0x636c6174746e506c)
#define WORKSPACE_MAGIC UINT64_C(0x636c6174746e5773)

static bool plan_valid(const clattn_plan *plan)
{
    return plan != NULL && plan->magic == PLAN_MAGIC;
}

clattn_status clattn__plan_new(clattn_context *ctx, const void *desc, const char *op,
                               clattn_plan **plan)
{
    clattn_status status = CLATTN_OK;

    if (plan == NULL)
        return CLATTN_E_ARG;
    *plan = NULL;
    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    CLATTN_CHECK(&ctx->log, desc != NULL, CLATTN_E_ARG, "desc of the %s plan is NULL", op);
    clattn_plan *made = clattn__alloc(sizeof *made);
    CLATTN_CHECK(&ctx->log, made != NULL, CLATTN_E_NOMEM, "no host memory for the %s plan", op);
    made->magic = PLAN_MAGIC;
    made->ctx = ctx;
    made->op = op;
    made->info.shape = CLATTN_SHAPE_WIDE;
    made->info.work_group = 1;
    made->info.leaves = 1;
    *plan = made;
out:
    return status;
}

clattn_status clattn__plan_kernel(clattn_plan *plan, int index, const char *file, const char *name,
                                  const char *options)
{
    clattn__kernel_spec *spec = &plan->kernels[index];
    cl_kernel kernel = NULL;

    spec->file = file;
    spec->name = name;
    snprintf(spec->options, sizeof spec->options, "%s", options);
    const clattn_status status =
        clattn__kernel_create(plan->ctx, file, name, spec->options, &kernel);
    clattn__kernel_release(plan->ctx, &kernel);
    return status;
}

clattn_status clattn__plan_finish(clattn_plan *plan, clattn_status status, clattn_plan **out)
{
    if (status != CLATTN_OK) {
        clattn_plan_destroy(&plan);
        return status;
    }
    for (int i = 0; i < CLATTN__MAX_SCRATCH; i++)
        plan->info.scratch_bytes += plan->scratch[i];
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++) {
        if (plan->children[i] == NULL)
            continue;
        plan->info.scratch_bytes += plan->children[i]->info.scratch_bytes;
        plan->info.launches += plan->children[i]->info.launches;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_plan_get_info(const clattn_plan *plan, clattn_plan_info *info)
{
    if (info != NULL)
        *info = plan_valid(plan) ? plan->info : (clattn_plan_info){0};
}

void clattn_plan_destroy(clattn_plan **plan)
{
    if (plan == NULL || !plan_valid(*plan))
        return;
    for (int i = CLATTN__MAX_CHILDREN - 1; i >= 0; i--)
        clattn_plan_destroy(&(*plan)->children[i]);
    (*plan)->magic = 0;
    clattn__free(*plan);
    *plan = NULL;
}

clattn_status clattn_workspace_create(clattn_plan *plan, clattn_workspace **workspace)
{
    clattn_status status = CLATTN_OK;
    clattn_workspace *ws = NULL;

    if (workspace == NULL)
        return CLATTN_E_ARG;
    *workspace = NULL;
    if (!plan_valid(plan))
        return CLATTN_E_ARG;
    clattn_context *ctx = plan->ctx;
    ws = clattn__alloc(sizeof *ws);
    CLATTN_CHECK(&ctx->log, ws != NULL, CLATTN_E_NOMEM, "no host memory for a workspace");
    ws->magic = WORKSPACE_MAGIC;
    ws->plan = plan;
    for (int i = 0; i < CLATTN__MAX_SCRATCH; i++)
        if (plan->scratch[i] > 0)
            CLATTN_TRY(ctx->backend->alloc(ctx, plan->scratch[i], &ws->scratch[i]));
    for (int i = 0; i < CLATTN__MAX_KERNELS; i++) {
        const clattn__kernel_spec *spec = &plan->kernels[i];
        if (spec->file != NULL)
            CLATTN_TRY(
                clattn__kernel_create(ctx, spec->file, spec->name, spec->options, &ws->kernels[i]));
    }
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            CLATTN_TRY(clattn_workspace_create(plan->children[i], &ws->children[i]));
    *workspace = ws;
    ws = NULL;
out:
    clattn_workspace_destroy(&ws);
    return status;
}

void clattn_workspace_destroy(clattn_workspace **workspace)
{
    if (workspace == NULL || *workspace == NULL || (*workspace)->magic != WORKSPACE_MAGIC)
        return;
    clattn_workspace *ws = *workspace;
    clattn_context *ctx = ws->plan->ctx;

    for (int i = CLATTN__MAX_CHILDREN - 1; i >= 0; i--)
        clattn_workspace_destroy(&ws->children[i]);
    for (int i = CLATTN__MAX_KERNELS - 1; i >= 0; i--)
        clattn__kernel_release(ctx, &ws->kernels[i]);
    for (int i = CLATTN__MAX_SCRATCH - 1; i >= 0; i--)
        clattn_memory_free(ctx, &ws->scratch[i]);
    ws->magic = 0;
    clattn__free(ws);
    *workspace = NULL;
}

clattn_status clattn__run(const clattn_plan *plan, clattn_workspace *ws, const void *args,
                          const clattn_sync *sync, const char *op, clattn__enqueue *enqueue)
{
    clattn_status status = CLATTN_OK;
    clattn__chain chain;

    if (!plan_valid(plan))
        return CLATTN_E_ARG;
    clattn_context *ctx = plan->ctx;
    CLATTN_CHECK(&ctx->log, strcmp(plan->op, op) == 0, CLATTN_E_ARG,
                 "the plan is one of %s; %s needs its own", plan->op, op);
    CLATTN_CHECK(&ctx->log, ws != NULL && ws->magic == WORKSPACE_MAGIC, CLATTN_E_ARG,
                 "workspace of %s is NULL or no workspace", op);
    CLATTN_CHECK(&ctx->log, ws->plan == plan, CLATTN_E_ARG,
                 "workspace of %s was made for another plan", op);
    CLATTN_CHECK(&ctx->log, args != NULL, CLATTN_E_ARG, "args of %s is NULL", op);
    if (clattn_context_is_cpu(ctx)) {
        CLATTN_CHECK(
            &ctx->log, sync == NULL || (sync->wait_count == 0 && sync->done == NULL), CLATTN_E_ARG,
            "sync of %s has events; the CPU path has none and is done when it returns", op);
        return enqueue(plan, ws, args, NULL);
    }
    CLATTN_CHECK(&ctx->log, sync == NULL || sync->wait_count == 0 || sync->wait != NULL,
                 CLATTN_E_ARG, "sync of %s has wait_count %u but wait is NULL", op,
                 sync == NULL ? 0 : (unsigned)sync->wait_count);
    clattn__chain_begin(&chain, ctx, sync);
    return clattn__chain_end(&chain, enqueue(plan, ws, args, &chain));
out:
    return status;
}

clattn_status clattn__launch(clattn__chain *chain, const clattn_workspace *ws, int index,
                             const void *args, size_t args_bytes, const cl_mem *buffers, int count,
                             const size_t global[3], const size_t local[3])
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = ws->plan->ctx;
    cl_kernel kernel = ws->kernels[index];

    CLATTN_TRY(clattn__kernel_arg(ctx, kernel, 0, args_bytes, args));
    for (int i = 0; i < count; i++) {
        const cl_mem *buffer = buffers[i] != NULL ? &buffers[i] : &buffers[0];
        CLATTN_TRY(clattn__kernel_arg(ctx, kernel, (uint32_t)i + 1, sizeof *buffer, buffer));
    }
    CLATTN_TRY(clattn__chain_launch(chain, kernel, global, local));
out:
    return status;
}
