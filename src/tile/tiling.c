/* The public calls: what a tiling holds between runs. Its checks are in check.c. */
#include "tile/tiling.h"

#include <inttypes.h>

#include "base/machine.h"
#include "tile/check.h"
#include "tile/run.h"

#define TILING_MAGIC UINT64_C(0x636c6174746e546c)

/* Where a machine does not say how much memory it has. */
#define UNKNOWN_BYTES (UINT64_C(4) << 30)

static bool valid(const clattn_tiling *tiling)
{
    return tiling != NULL && tiling->magic == TILING_MAGIC;
}

/* ---- what is cut, and by which limits ---- */

static clattn__bias_maps bias_maps(const clattn__tile_problem *p)
{
    return (clattn__bias_maps){.heads = p->heads,
                               .agents = p->agent_height * p->agent_width,
                               .agent_height = p->agent_height,
                               .agent_width = p->agent_width,
                               .class_tokens = p->class_tokens,
                               .q_height = (int32_t)p->height,
                               .q_width = (int32_t)p->width,
                               .k_height = (int32_t)p->kv_height,
                               .k_width = (int32_t)p->kv_width};
}

static void set_problem(clattn_tiling *t)
{
    const clattn_agent_attention_desc *d = &t->desc;
    const bool windows = d->window_height > 0;

    t->problem = (clattn__tile_problem){
        .problems = d->batch,
        .height = windows ? d->window_height : d->height,
        .width = windows ? d->window_width : d->width,
        .class_tokens = d->class_tokens,
        .heads = d->heads,
        .dim = d->head_dim,
        .dim_v = d->head_dim_v != 0 ? d->head_dim_v : d->head_dim,
        .agent_height = d->agent_height,
        .agent_width = d->agent_width,
        .reach = d->dwc_size / 2,
        .needs_v = d->dwc_size > 0 || d->v_shortcut != 0.0f,
        .pooled = !d->agents_given,
        .key_bias = d->has_key_bias && !t->smoothing,
        .agent_vector = d->has_agent_vector && !t->smoothing,
        .smoothing = t->smoothing,
        .aggregates = 1,
    };
    clattn__tile_problem *p = &t->problem;
    p->kv_height = d->kv_height != 0 && !windows ? d->kv_height : p->height;
    p->kv_width = d->kv_width != 0 && !windows ? d->kv_width : p->width;
    if (windows)
        p->problems *= d->height / d->window_height * (d->width / d->window_width);
}

static clattn_status weigh(clattn_tiling *t, const clattn_tile_weights *w)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_problem *p = &t->problem;
    const int64_t channels = p->heads * p->dim_v;
    const clattn__bias_maps maps = bias_maps(p);
    uint64_t bytes = 0;

    if (w->bias != NULL) {
        CLATTN_TRY(clattn__agent_bias_weigh(&t->log, &maps, w->bias, &bytes));
        p->rows_only = clattn__bias_needs_rows(&w->bias->broadcast, p->width);
    }
    if (w->dwc_weight != NULL)
        bytes += (uint64_t)(channels * t->desc.dwc_size * t->desc.dwc_size) * sizeof(float);
    if (w->dwc_bias != NULL)
        bytes += (uint64_t)channels * sizeof(float);
    p->weight_bytes = bytes;
out:
    return status;
}

/* What a context can still hold. */
static uint64_t context_room(const clattn_context *ctx)
{
    const uint64_t machine = clattn__machine_bytes();
    const uint64_t half = machine > 0 ? machine / 2 : UNKNOWN_BYTES;
    uint64_t room = ctx->cpu != NULL ? half : ctx->device.global_bytes / 4 * 3;
    uint64_t now = 0;

    clattn_context_bytes(ctx, &now, NULL);
    if (ctx->params.byte_cap > 0) {
        const uint64_t left = ctx->params.byte_cap > now ? ctx->params.byte_cap - now : 1;
        room = left < room ? left : room;
    }
    return room;
}

static void set_limits(clattn_tiling *t)
{
    const clattn_tile_options *o = &t->options;
    const uint64_t machine = clattn__machine_bytes();
    clattn__tile_limits *l = &t->limits;

    *l = (clattn__tile_limits){
        .device_bytes = o->device_bytes > 0 ? o->device_bytes : UINT64_MAX / 4,
        .host_bytes = o->host_bytes > 0 ? o->host_bytes
                      : machine > 0     ? machine / 2
                                        : UNKNOWN_BYTES,
        .allocation_bytes = o->allocation_bytes > 0 ? o->allocation_bytes : UINT64_MAX / 4,
        .devices = t->device_count,
        .in_flight = o->in_flight,
        .strips = o->strips != 0};
    for (int i = 0; i < t->device_count; i++) {
        const clattn_context *ctx = t->devices[i].ctx;
        const uint64_t room = context_room(ctx);
        const uint64_t most = ctx->cpu != NULL ? UINT64_MAX / 4 : ctx->device.allocation_bytes;
        l->device_bytes = room < l->device_bytes ? room : l->device_bytes;
        l->allocation_bytes = most < l->allocation_bytes ? most : l->allocation_bytes;
        l->sharing += ctx->cpu != NULL || ctx->device.shares_host_memory;
    }
}

static void set_info(clattn_tiling *t, uint64_t smallest)
{
    const clattn__tile_cut *c = &t->cut;
    const clattn__tile_problem *p = &t->problem;
    const int32_t reductions = (int32_t)p->aggregates;

    t->info = (clattn_tiling_info){.device_bytes = c->device_bytes,
                                   .host_bytes = c->host_bytes,
                                   .smallest_bytes = smallest,
                                   .leaf_tokens = c->k_leaf,
                                   .leaves = c->k_leaves,
                                   .tiles = c->tiles,
                                   .passes = 1,
                                   .reads_q = 1,
                                   .reads_k = 1,
                                   .reads_v = 1,
                                   .in_flight = c->in_flight};
    if (c->whole)
        return;
    t->info.passes = (p->pooled ? 2 : 1) + reductions;
    t->info.tile_height = (int32_t)c->rect_height;
    t->info.tile_width = (int32_t)c->rect_width;
    t->info.reads_q = p->pooled ? 2 : 1;
    t->info.reads_v = p->needs_v ? 2 : 1;
    if (t->smoothing) {
        t->info.reads_q = t->info.reads_k = t->info.reads_v = 0;
        t->info.reads_rgb = t->info.passes;
    }
}

/* ---- the weights on the devices ---- */

static clattn_status put(clattn_context *ctx, const float *array, int64_t count,
                         clattn_memory *memory)
{
    clattn_status status = CLATTN_OK;
    const uint64_t bytes = (uint64_t)count * sizeof(float);

    if (array == NULL)
        return CLATTN_OK;
    CLATTN_TRY(ctx->backend->alloc(ctx, bytes, memory));
    CLATTN_TRY(ctx->backend->write(ctx, memory, 0, array, bytes));
out:
    return status;
}

static clattn_status put_weights(clattn_tiling *t, const clattn_tile_weights *w)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &t->problem;
    const int64_t channels = p->heads * p->dim_v;
    const int64_t taps = t->desc.dwc_size * t->desc.dwc_size;
    const clattn__bias_maps maps = bias_maps(p);

    for (int i = 0; i < t->device_count; i++) {
        clattn__tile_device *device = &t->devices[i];
        CLATTN_TRY(put(device->ctx, w->dwc_weight, channels * taps, &device->dwc_weight));
        CLATTN_TRY(put(device->ctx, w->dwc_bias, channels, &device->dwc_bias));
        if (w->bias != NULL)
            CLATTN_TRY(clattn__agent_bias_make(device->ctx, &maps, w->bias, &device->bias));
    }
out:
    return status;
}

/* ---- create, destroy, run ---- */

static clattn_status begin(clattn_context *const *contexts, size_t count, const void *desc,
                           const clattn_tile_options *options, clattn_tiling **tiling)
{
    clattn_status status = CLATTN_OK;
    static const clattn_tile_options defaults;
    clattn_tiling *t = NULL;

    if (tiling == NULL)
        return CLATTN_E_ARG;
    *tiling = NULL;
    CLATTN_TRY(clattn__tiling_check_contexts(contexts, count));
    const clattn_log *log = &contexts[0]->log;
    CLATTN_CHECK(log, desc != NULL, CLATTN_E_ARG, "desc of the tiling is NULL");
    t = clattn__alloc(sizeof *t + count * sizeof t->devices[0]);
    CLATTN_CHECK(log, t != NULL, CLATTN_E_NOMEM, "no host memory for a tiling");
    t->magic = TILING_MAGIC;
    t->log = *log;
    t->options = options != NULL ? *options : defaults;
    t->device_count = (int)count;
    for (size_t i = 0; i < count; i++)
        t->devices[i].ctx = contexts[i];
    *tiling = t;
    CLATTN_TRY(clattn__tiling_check_options(log, &t->options));
    if (!t->options.fast)
        CLATTN_TRY(clattn__tiling_check_kinds(contexts, count));
out:
    return status;
}

/* From a problem to a tiling that can run; on a failed status destroys it. */
static clattn_status end(clattn_tiling *t, clattn_status status, const clattn_tile_weights *weights,
                         clattn_tiling **tiling)
{
    uint64_t smallest = 0;

    if (status != CLATTN_OK)
        goto out;
    set_limits(t);
    status = clattn__tile_cut_make(&t->problem, &t->limits, &t->cut, &smallest);
    CLATTN_CHECK(
        &t->log, status != CLATTN_E_BUDGET, CLATTN_E_BUDGET,
        "one tile does not fit %" PRIu64 " bytes on a device, %" PRIu64 " on the host and %" PRIu64
        " in a buffer; %" PRIu64 " on device and host would do",
        t->limits.device_bytes, t->limits.host_bytes, t->limits.allocation_bytes, smallest);
    CLATTN_CHECK(&t->log, status == CLATTN_OK, status,
                 "a map of %" PRId64 " x %" PRId64 " cannot be cut: its sizes leave 64 bits",
                 t->problem.height, t->problem.width);
    set_info(t, smallest);
    CLATTN_TRY(put_weights(t, weights));
out:
    if (status != CLATTN_OK)
        clattn_tiling_destroy(&t);
    else
        *tiling = t;
    return status;
}

clattn_status clattn_tiling_create(clattn_context *const *contexts, size_t count,
                                   const clattn_agent_attention_desc *desc,
                                   const clattn_tile_weights *weights,
                                   const clattn_tile_options *options, clattn_tiling **tiling)
{
    clattn_status status = CLATTN_OK;
    static const clattn_tile_weights none;
    clattn_tiling *t = NULL;

    CLATTN_TRY(begin(contexts, count, desc, options, tiling));
    if (weights == NULL)
        weights = &none;
    CLATTN_TRY(clattn__tiling_check_desc(&(*tiling)->log, desc, (*tiling)->options.strips != 0));
    CLATTN_TRY(clattn__tiling_check_weights(&(*tiling)->log, desc, weights));
    (*tiling)->desc = *desc;
    set_problem(*tiling);
    CLATTN_TRY(weigh(*tiling, weights));
out:
    if (tiling == NULL || *tiling == NULL)
        return status;
    t = *tiling;
    *tiling = NULL;
    return end(t, status, weights, tiling);
}

clattn_status clattn_smooth_tiling_create(clattn_context *const *contexts, size_t count,
                                          const clattn_smooth_desc *desc,
                                          const clattn_tile_options *options,
                                          clattn_tiling **tiling)
{
    clattn_status status = CLATTN_OK;
    static const clattn_tile_weights none;
    clattn_tiling *t = NULL;

    CLATTN_TRY(begin(contexts, count, desc, options, tiling));
    CLATTN_TRY(clattn__smooth_check(&(*tiling)->log, desc));
    (*tiling)->smoothing = true;
    (*tiling)->smooth = *desc;
    (*tiling)->desc = clattn__smooth_core(desc);
    CLATTN_TRY(clattn__tiling_check_desc(&(*tiling)->log, &(*tiling)->desc,
                                         (*tiling)->options.strips != 0));
    set_problem(*tiling);
    (*tiling)->problem.aggregates = clattn__smooth_rounds(desc) + 1;
out:
    if (tiling == NULL || *tiling == NULL)
        return status;
    t = *tiling;
    *tiling = NULL;
    return end(t, status, &none, tiling);
}

void clattn_tiling_get_info(const clattn_tiling *tiling, clattn_tiling_info *info)
{
    if (info != NULL)
        *info = valid(tiling) ? tiling->info : (clattn_tiling_info){0};
}

void clattn_tiling_destroy(clattn_tiling **tiling)
{
    if (tiling == NULL || !valid(*tiling))
        return;
    clattn_tiling *t = *tiling;
    clattn__tiling_forget(t);
    for (int i = 0; i < t->device_count; i++) {
        clattn__tile_device *device = &t->devices[i];
        clattn_agent_bias_destroy(&device->bias);
        clattn_memory_free(device->ctx, &device->dwc_bias);
        clattn_memory_free(device->ctx, &device->dwc_weight);
    }
    t->magic = 0;
    clattn__free(t);
    *tiling = NULL;
}

clattn_status clattn_tiling_run(clattn_tiling *tiling, const clattn_tile_io *io)
{
    clattn_status status = CLATTN_OK;

    if (!valid(tiling))
        return CLATTN_E_ARG;
    CLATTN_TRY(clattn__tiling_check_io(tiling, io));
    CLATTN_TRY(clattn__tiling_execute(tiling, io));
out:
    return status;
}
