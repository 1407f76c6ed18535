/* The depthwise convolution alone; agent_broadcast also uses it where it cannot fuse its own. */
#include <inttypes.h>

#include "cpu/cpu.h"
#include "ops/dwc.h"
#include "ops/forms.h"
#include "ops/host.h"

/* Tokens and channels per item, as tuned; no item has channels of two heads. */
static const clattn__tune_values *item_values(clattn_plan *plan)
{
    const bool wide = plan->ctx->params.shape == CLATTN_SHAPE_WIDE;
    clattn__tune_values *values =
        clattn__plan_tune(plan, CLATTN__DWC_KERNEL, "dwc",
                          (clattn__tune_values){.channels = wide ? CLATTN__DWC_WIDE_CHANNELS
                                                                 : CLATTN__DWC_TILE_CHANNELS,
                                                .tokens = CLATTN__DWC_TOKENS,
                                                .items = CLATTN__GROUP_ITEMS});
    while (plan->dwc_args.dim % values->channels != 0)
        values->channels /= 2;
    return values;
}

static void launch_items(const clattn_plan *plan, const Dwc *a, int64_t pictures, size_t items[3])
{
    const clattn__tune_values *values = &plan->tuned[CLATTN__DWC_KERNEL].values;
    const size_t runs = (size_t)clattn__ceil_div(a->grid.window_w, values->tokens);
    items[0] = (size_t)a->heads * (size_t)(a->dim / values->channels);
    items[1] = (size_t)a->grid.class_tokens + (size_t)a->grid.window_h * runs;
    items[2] = (size_t)pictures;
}

static clattn_status try_values(clattn_plan *plan)
{
    const clattn__tune_values *values = item_values(plan);
    Dwc nothing = plan->dwc_args;
    clattn__trial trial = {
        .nothing = &nothing, .bytes = sizeof nothing, .buffers = 4, .probe = clattn__dwc_probe};
    clattn__kernel_spec spec;

    nothing.heads = 0;
    launch_items(plan, &plan->dwc_args, plan->dwc_desc.batch * plan->dwc_args.windows, trial.items);
    clattn__form_dwc(&spec, plan->dwc_desc.type, (int)values->channels, (int)values->tokens,
                     (int)nothing.size);
    return clattn__plan_items(plan, CLATTN__DWC_KERNEL, spec, trial.items[0], &trial);
}

static clattn_status plan_kernel(clattn_plan *plan)
{
    clattn_status status = try_values(plan);
    if (status == CLATTN_E_WRONG && clattn__plan_untune(plan, CLATTN__DWC_KERNEL))
        status = try_values(plan);
    return status;
}

clattn_status clattn_dwc_plan(clattn_context *ctx, const clattn_dwc_desc *desc,
                              clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;
    Grid grid, v_grid;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "dwc", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    plan->dwc_desc = *desc;
    clattn_dwc_desc *d = &plan->dwc_desc;
    d->in_height = d->in_height != 0 ? d->in_height : d->height;
    d->in_width = d->in_width != 0 ? d->in_width : d->width;
    const bool resized = d->in_height != d->height || d->in_width != d->width;
    CLATTN_TRY(clattn__check_heads(&ctx->log, d->batch, d->heads, d->head_dim, d->head_dim));
    CLATTN_TRY(clattn__grid_make(&ctx->log, d->height, d->width, d->class_tokens, d->window_height,
                                 d->window_width, d->shift_y, d->shift_x, &grid));
    CLATTN_CHECK(&ctx->log, !resized || d->window_height == 0, CLATTN_E_UNSUPPORTED,
                 "v on a map of its own (%" PRId64 " x %" PRId64
                 ") together with windows; windows need one map",
                 d->in_height, d->in_width);
    CLATTN_TRY(clattn__grid_make(&ctx->log, d->in_height, d->in_width, d->class_tokens, 0, 0, 0, 0,
                                 &v_grid));
    CLATTN_CHECK(&ctx->log, d->size >= 1 && d->size <= CLATTN_MAX_DWC && d->size % 2 == 1,
                 CLATTN_E_SHAPE, "size is %" PRId64 "; it must be odd and 1 to %d", d->size,
                 CLATTN_MAX_DWC);
    const int64_t windows = clattn__grid_windows(&grid);
    CLATTN_CHECK(&ctx->log, d->batch <= INT32_MAX / windows, CLATTN_E_SHAPE,
                 "batch %" PRId64 " x windows %" PRId64 " are more than %d", d->batch, windows,
                 INT32_MAX);
    CLATTN_TRY(clattn__check_type(&ctx->log, d->type));
    CLATTN_TRY(
        clattn__check_reserved(&ctx->log, d->reserved, sizeof d->reserved / sizeof *d->reserved));
    plan->desc.type = d->type;
    plan->dwc_args = (Dwc){.grid = grid,
                           .map_h = grid.height,
                           .map_w = grid.width,
                           .v_h = (i32)d->in_height,
                           .v_w = (i32)d->in_width,
                           .heads = (i32)d->heads,
                           .dim = (i32)d->head_dim,
                           .windows = (i32)windows,
                           .size = (i32)d->size,
                           .has_bias = d->has_bias != 0,
                           .accumulate = d->accumulate != 0};
    plan->info.launches = 1;
    if (!clattn_context_is_cpu(ctx))
        CLATTN_TRY(plan_kernel(plan));
out:
    return plan == NULL
               ? status
               : clattn__plan_finish(plan, clattn__host_plan(plan, desc, status), out_plan);
}

typedef struct cpu_job {
    const clattn__cpu_ops *ops;
    const Dwc *args;
    const void *v;
    const float *weight, *bias;
    void *out;
} cpu_job;

static void cpu_row(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->dwc(job->args, job->v, job->weight, job->bias, job->out, i);
}

clattn_status clattn__dwc_bind(const clattn_plan *plan, const clattn_dwc_args *args, Dwc *a,
                               clattn__bound b[4])
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn_dwc_desc *d = &plan->dwc_desc;
    const int64_t channels = d->heads * d->head_dim;
    Grid v_grid = a->grid;
    clattn__want want = {.name = "v",
                         .type = d->type,
                         .batch = d->batch,
                         .tokens = d->class_tokens + d->in_height * d->in_width,
                         .heads = d->heads,
                         .dim = d->head_dim,
                         .grid = &v_grid};

    v_grid.height = a->v_h;
    v_grid.width = a->v_w;
    CLATTN_TRY(clattn__bind(ctx, args->v, &want, &b[0]));
    if (a->size > 0)
        CLATTN_TRY(
            clattn__bind_array(ctx, "weight", args->weight, channels * a->size * a->size, &b[1]));
    if (a->has_bias)
        CLATTN_TRY(clattn__bind_array(ctx, "bias", args->bias, channels, &b[2]));
    else
        CLATTN_TRY(clattn__bind_none(ctx, "bias", args->bias, "has_bias = 0"));
    want.name = "out";
    want.tokens = d->class_tokens + d->height * d->width;
    want.grid = &a->grid;
    want.write = true;
    CLATTN_TRY(clattn__bind(ctx, args->out, &want, &b[3]));
    CLATTN_TRY(clattn__bind_disjoint(ctx, b, 4));
    a->v = b[0].view;
    a->out = b[3].view;
    a->weight_offset = b[1].view.offset;
    a->bias_offset = b[2].view.offset;
out:
    return status;
}

typedef struct dwc_work {
    const clattn_plan *plan;
    const clattn_workspace *ws;
    const Dwc *args;
    int64_t pictures;
    const clattn_memory *memory; /* v, weight, bias, out */
    clattn__chain *chain;
} dwc_work;

/* Rows of one map without windows, as a tile of it; the class tokens go with row 0. */
static Dwc rows_of(const Dwc *whole, int64_t first, int64_t count)
{
    Dwc a = *whole;
    const int64_t below = whole->grid.window_h - first - count;

    a.grid.height = a.grid.width = INT32_MAX; /* nothing wraps */
    a.grid.window_h = (i32)count;
    a.grid.linear = 0;
    a.halo.bottom += (i32)below;
    if (first == 0)
        return a;
    a.grid.class_tokens = 0;
    a.halo.top += (i32)first;
    a.top += (i32)first;
    a.out.offset += whole->grid.class_tokens * a.out.token + first * a.out.row;
    a.v.offset += whole->grid.class_tokens * a.v.token;
    if (a.v_h == a.map_h && a.v_w == a.map_w)
        a.v.offset += first * a.v.row;
    return a;
}

static clattn_status enqueue_rows(void *user, int64_t first, int64_t count)
{
    const dwc_work *w = user;
    clattn_context *ctx = w->plan->ctx;
    const clattn_memory *memory = w->memory;
    const int64_t pictures = w->pictures;
    const Dwc part = count < w->args->grid.window_h ? rows_of(w->args, first, count) : *w->args;
    const Dwc *a = &part;

    if (ctx->cpu != NULL) {
        const float *weight = memory[1].host;
        const float *bias = memory[2].host;
        cpu_job job = {clattn__plan_cpu(w->plan),
                       a,
                       memory[0].host,
                       weight == NULL ? NULL : weight + a->weight_offset,
                       bias == NULL ? NULL : bias + a->bias_offset,
                       memory[3].host};
        clattn__cpu_for(ctx, pictures * a->grid.window_h, cpu_row, &job);
        return CLATTN_OK;
    }
    const cl_mem buffers[] = {memory[0].mem, memory[1].mem, memory[2].mem, memory[3].mem};
    size_t items[3];
    launch_items(w->plan, a, pictures, items);
    return clattn__launch(w->chain, w->ws, CLATTN__DWC_KERNEL, a, sizeof *a, buffers, 4, items);
}

clattn_status clattn__dwc_maps(const clattn_plan *plan, const clattn_workspace *ws, const Dwc *a,
                               int64_t pictures, const clattn_memory memory[4],
                               clattn__chain *chain)
{
    dwc_work w = {plan, ws, a, pictures, memory, chain};
    const bool resized = a->v_h != a->map_h || a->v_w != a->map_w;
    const double row = (double)a->grid.window_w * a->heads * a->dim;
    return clattn__pace(
        chain != NULL ? chain->pacer : NULL,
        &(clattn__paced_work){.kind = CLATTN__PACE_CONVOLVE,
                              .blocks = a->grid.window_h,
                              .flops = row * (2.0 + (resized ? 10.0 : 2.0) * a->size * a->size),
                              .piece = enqueue_rows,
                              .user = &w});
}

clattn_status clattn__dwc_enqueue(const clattn_plan *plan, clattn_workspace *ws, const void *opaque,
                                  clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    clattn__bound b[4] = {0};
    Dwc a = plan->dwc_args;

    if (plan->host != NULL)
        return clattn__host_run(plan, ws, opaque, chain);
    CLATTN_TRY(clattn__dwc_bind(plan, opaque, &a, b));
    const clattn_memory memory[] = {b[0].memory, b[1].memory, b[2].memory, b[3].memory};
    CLATTN_TRY(clattn__dwc_maps(plan, ws, &a, plan->dwc_desc.batch * a.windows, memory, chain));
out:
    return status;
}

clattn_status clattn__dwc_tile(const clattn_plan *plan, const clattn_workspace *ws, const Dwc *args,
                               clattn_memory v, clattn_memory weight, clattn_memory bias,
                               clattn_memory out, clattn__chain *chain)
{
    const clattn_memory memory[] = {v, weight, bias, out};
    return clattn__dwc_maps(plan, ws, args, 1, memory, chain);
}

clattn_status clattn_dwc_run(const clattn_plan *plan, clattn_workspace *ws,
                             const clattn_dwc_args *args, const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "dwc", clattn__dwc_enqueue);
}
