#include "ops/plan.h"

#include <string.h>

#include "cl/selftest.h"
#include "cpu/cpu.h"
#include "ops/record.h"
#include "ops/selftest.h"

#define PLAN_MAGIC      UINT64_C(0x636c6174746e506c)
#define WORKSPACE_MAGIC UINT64_C(0x636c6174746e5773)

/* Items along one axis from which PoCL's small launches end. */
#define GENERAL_ITEMS 65536

bool clattn__plan_valid(const clattn_plan *plan)
{
    return plan != NULL && plan->magic == PLAN_MAGIC;
}

bool clattn__workspace_valid(const clattn_workspace *ws)
{
    return ws != NULL && ws->magic == WORKSPACE_MAGIC;
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

static size_t whole_groups(size_t items, size_t local)
{
    return (items + local - 1) / local * local;
}

/* The axis along which the largest launch has GENERAL_ITEMS or more; -1: none. */
static int long_axis(const clattn__kernel_spec *spec, const clattn__trial *trial)
{
    for (int i = 0; i < 3; i++)
        if (whole_groups(trial->items[i], spec->local[i]) >= GENERAL_ITEMS)
            return i;
    return -1;
}

/*
 * The launch of nothing. PoCL compiles a kernel once for launches of fewer than GENERAL_ITEMS along every axis and once for any:
 * the second also serves what is small, so the largest launch decides.
 */
static clattn_status try_launch(clattn_plan *plan, int index, const clattn__trial *trial)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__kernel_spec *spec = &plan->kernels[index];
    clattn_workspace ws = {.plan = plan};
    clattn_memory dummy = {0};
    cl_mem buffers[CLATTN__MAX_BUFFERS] = {0};
    size_t items[3] = {1, 1, 1};
    clattn__chain chain;

    CLATTN_TRY(clattn__kernel_create(ctx, spec, &ws.kernels[index]));
    const uint64_t private_bytes = clattn__kernel_private_bytes(ctx, ws.kernels[index]);
    if (plan->info.private_bytes < private_bytes)
        plan->info.private_bytes = private_bytes;
    CLATTN_TRY(ctx->backend->alloc(ctx, 64, &dummy));
    buffers[0] = dummy.mem;
    if (spec->large)
        items[long_axis(spec, trial)] = GENERAL_ITEMS;
    clattn__chain_begin(&chain, ctx, NULL);
    CLATTN_TRY(
        clattn__chain_end(&chain, clattn__launch(&chain, &ws, index, trial->nothing, trial->bytes,
                                                 buffers, trial->buffers, items)));
out:
    clattn_memory_free(ctx, &dummy);
    clattn__kernel_release(ctx, &ws.kernels[index]);
    return status;
}

clattn_status clattn__plan_kernel(clattn_plan *plan, int index, const clattn__kernel_spec *spec,
                                  const clattn__trial *trial)
{
    clattn__kernel_spec *own = &plan->kernels[index];
    *own = *spec;
    own->large = long_axis(spec, trial) >= 0;
    if (clattn__selftest_condemned(plan, index))
        return CLATTN_E_WRONG;
    clattn_status status = try_launch(plan, index, trial);
    if (clattn__kernel_tried(plan->ctx, own, status == CLATTN_OK)) {
        status = try_launch(plan, index, trial);
        clattn__kernel_tried(plan->ctx, own, status == CLATTN_OK);
    }
    return status == CLATTN_OK ? clattn__selftest_kernel(plan, index, trial->probe) : status;
}

/* Work-groups of at most `most` items. */
static clattn_status try_items(clattn_plan *plan, int index, clattn__kernel_spec *spec, size_t most,
                               size_t row, const clattn__trial *trial)
{
    for (size_t group = most;; group /= 2) {
        spec->local[0] = row < group ? row : group;
        spec->local[1] = group / spec->local[0];
        spec->local[2] = 1;
        plan->tuned[index].values.items = (int32_t)group;
        const clattn_status status = clattn__plan_kernel(plan, index, spec, trial);
        const bool tuned = strcmp(plan->tuned[index].source, "default") != 0;
        if (!clattn__plan_shrinks(status) || status == CLATTN_E_BUILD || group == 1 ||
            (status == CLATTN_E_WRONG && tuned))
            return status;
        clattn__plan_refused(plan, index, status);
    }
}

clattn_status clattn__plan_items(clattn_plan *plan, int index, clattn__kernel_spec spec, size_t row,
                                 const clattn__trial *trial)
{
    const size_t limit = plan->ctx->params.max_work_group;
    const bool own = plan->tuned[index].kernel == NULL;
    clattn_status status = CLATTN_OK;

    do {
        if (own)
            clattn__plan_tune(plan, index, spec.file,
                              (clattn__tune_values){.items = CLATTN__GROUP_ITEMS});
        const size_t wanted = (size_t)plan->tuned[index].values.items;
        status = try_items(plan, index, &spec, limit < wanted ? limit : wanted, row, trial);
    } while (own && status == CLATTN_E_WRONG && clattn__plan_untune(plan, index));
    return status;
}

const clattn__cpu_ops *clattn__plan_cpu(const clattn_plan *plan)
{
    const clattn__cpu_ops *ops = plan->ctx->cpu->ops;
    return plan->desc.type == CLATTN_F16 ? ops->half : ops;
}

clattn__tune_values *clattn__plan_tune(clattn_plan *plan, int index, const char *kernel,
                                       clattn__tune_values defaults)
{
    plan->tuned[index] = clattn__tune_find(plan->ctx, kernel, plan->desc.type, defaults);
    if (plan->plain[index]) {
        plan->tuned[index].values = defaults;
        plan->tuned[index].source = "default";
    }
    return &plan->tuned[index].values;
}

bool clattn__plan_shrinks(clattn_status status)
{
    return status == CLATTN_E_OPENCL || status == CLATTN_E_BUILD || status == CLATTN_E_WRONG;
}

bool clattn__plan_untune(clattn_plan *plan, int index)
{
    const clattn__tuned *tuned = &plan->tuned[index];
    if (plan->plain[index] || tuned->kernel == NULL || strcmp(tuned->source, "default") == 0)
        return false;
    clattn__log(&plan->ctx->log, CLATTN_LOG_WARN, "the %s tuning row of %s is not used on %s",
                tuned->source, tuned->kernel, plan->ctx->device.name);
    clattn__verdict_step(plan->ctx, &plan->kernels[index], CLATTN_STEP_PLAIN);
    plan->plain[index] = true;
    return true;
}

void clattn__plan_refused(const clattn_plan *plan, int index, clattn_status status)
{
    clattn_context *ctx = plan->ctx;
    const size_t *local = plan->kernels[index].local;
    const size_t group = local[0] * local[1] * local[2];
    if (status == CLATTN_E_WRONG) {
        clattn__verdict_step(ctx, &plan->kernels[index], CLATTN_STEP_SMALLER);
        clattn__log(&ctx->log, CLATTN_LOG_WARN, "a work-group smaller than %zu is tried for %s",
                    group, plan->op);
    } else {
        clattn__log(&ctx->log, CLATTN_LOG_WARN,
                    "%s refused a work-group of %zu for %s (OpenCL error %d); trying less",
                    ctx->device.name, group, plan->op, (int)ctx->cl_error);
    }
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
        plan->info.on_cpu_path += plan->children[i]->info.on_cpu_path;
        if (plan->info.private_bytes < plan->children[i]->info.private_bytes)
            plan->info.private_bytes = plan->children[i]->info.private_bytes;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_plan_get_info(const clattn_plan *plan, clattn_plan_info *info)
{
    if (info != NULL)
        *info = clattn__plan_valid(plan) ? plan->info : (clattn_plan_info){0};
}

void clattn_plan_destroy(clattn_plan **plan)
{
    if (plan == NULL || !clattn__plan_valid(*plan))
        return;
    for (int i = CLATTN__MAX_CHILDREN - 1; i >= 0; i--)
        clattn_plan_destroy(&(*plan)->children[i]);
    clattn_plan_destroy(&(*plan)->host);
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
    if (!clattn__plan_valid(plan))
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
            CLATTN_TRY(clattn__kernel_create(ctx, spec, &ws->kernels[i]));
    }
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            CLATTN_TRY(clattn_workspace_create(plan->children[i], &ws->children[i]));
    if (plan->host != NULL)
        CLATTN_TRY(clattn_workspace_create(plan->host, &ws->host));
    *workspace = ws;
    ws = NULL;
out:
    clattn_workspace_destroy(&ws);
    return status;
}

void clattn_workspace_destroy(clattn_workspace **workspace)
{
    if (workspace == NULL || !clattn__workspace_valid(*workspace))
        return;
    clattn_workspace *ws = *workspace;
    clattn_context *ctx = ws->plan->ctx;

    clattn__record_end(ws);
    for (int i = CLATTN__MAX_CHILDREN - 1; i >= 0; i--)
        clattn_workspace_destroy(&ws->children[i]);
    clattn_workspace_destroy(&ws->host);
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

    if (!clattn__plan_valid(plan))
        return CLATTN_E_ARG;
    clattn_context *ctx = plan->ctx;
    CLATTN_CHECK(&ctx->log, strcmp(plan->op, op) == 0, CLATTN_E_ARG,
                 "the plan is one of %s; %s needs its own", plan->op, op);
    CLATTN_CHECK(&ctx->log, clattn__workspace_valid(ws), CLATTN_E_ARG,
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
    status = clattn__chain_end(&chain, enqueue(plan, ws, args, &chain));
    if (status == CLATTN_OK && ws->record != NULL)
        clattn__record_run(ws);
out:
    return status;
}

void clattn__plan_set_batch(clattn_plan *plan, int64_t batch)
{
    plan->desc.batch = plan->shape.batch = plan->dwc_desc.batch = batch;
    plan->attend.pictures = batch * plan->attend_args.windows;
    plan->attend.problems = plan->attend.pictures * plan->attend_args.heads;
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            clattn__plan_set_batch(plan->children[i], batch);
}

clattn_status clattn__launch(clattn__chain *chain, const clattn_workspace *ws, int index,
                             const void *args, size_t args_bytes, const cl_mem *buffers, int count,
                             const size_t items[3])
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = ws->plan->ctx;
    cl_kernel kernel = ws->kernels[index];
    const size_t *local = ws->plan->kernels[index].local;
    size_t global[3];

    CLATTN_TRY(clattn__kernel_arg(ctx, kernel, 0, args_bytes, args));
    for (int i = 0; i < count; i++) {
        const cl_mem *buffer = buffers[i] != NULL ? &buffers[i] : &buffers[0];
        CLATTN_TRY(clattn__kernel_arg(ctx, kernel, (uint32_t)i + 1, sizeof *buffer, buffer));
    }
    for (int i = 0; i < 3; i++)
        global[i] = whole_groups(items[i], local[i]);
    if (ws->record != NULL)
        clattn__record_launch(ctx, ws->record, &ws->plan->kernels[index], args, args_bytes, buffers,
                              count, global, local);
    CLATTN_TRY(clattn__chain_launch(chain, kernel, global, local));
out:
    return status;
}
