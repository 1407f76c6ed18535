#include "tile/check.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DEFAULT_LAUNCH_MS 50.0
#define DEFAULT_IN_FLIGHT 2
#define MOST_IN_FLIGHT    8
#define MOST_DEVICES      64

clattn_status clattn__tiling_check_contexts(clattn_context *const *contexts, size_t count)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = NULL;

    if (contexts == NULL || count == 0 || !clattn__context_valid(contexts[0]))
        return CLATTN_E_ARG;
    log = &contexts[0]->log;
    CLATTN_CHECK(log, count <= MOST_DEVICES, CLATTN_E_ARG,
                 "count is %zu; at most %d contexts are possible", count, MOST_DEVICES);
    for (size_t i = 1; i < count; i++) {
        CLATTN_CHECK(log, clattn__context_valid(contexts[i]), CLATTN_E_ARG,
                     "contexts[%zu] is NULL or no context", i);
        for (size_t j = 0; j < i; j++)
            CLATTN_CHECK(log, contexts[i] != contexts[j], CLATTN_E_ARG,
                         "contexts[%zu] is contexts[%zu]; each device takes one", i, j);
    }
out:
    return status;
}

clattn_status clattn__tiling_check_kinds(clattn_context *const *contexts, size_t count)
{
    clattn_status status = CLATTN_OK;
    const clattn_device *first = &contexts[0]->device;
    const clattn_context_params *p = &contexts[0]->params;

    for (size_t i = 1; i < count; i++) {
        const clattn_device *other = &contexts[i]->device;
        const clattn_context_params *q = &contexts[i]->params;
        CLATTN_CHECK(
            &contexts[0]->log,
            strcmp(first->name, other->name) == 0 && strcmp(first->vendor, other->vendor) == 0 &&
                strcmp(first->driver, other->driver) == 0,
            CLATTN_E_ARG,
            "contexts[%zu] is \"%s\" and contexts[0] \"%s\"; devices of different kinds need"
            " options.fast, since bits depend on them",
            i, other->name, first->name);
        CLATTN_CHECK(
            &contexts[0]->log,
            p->shape == q->shape && p->work_group == q->work_group &&
                p->max_work_group == q->max_work_group && p->max_local_bytes == q->max_local_bytes,
            CLATTN_E_ARG,
            "contexts[%zu] has another kernel shape, work-group or limit than contexts[0]; that"
            " needs options.fast, since bits depend on them",
            i);
    }
out:
    return status;
}

clattn_status clattn__tiling_check_options(const clattn_log *log, clattn_tile_options *o)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, isfinite(o->launch_ms) && o->launch_ms >= 0.0, CLATTN_E_ARG,
                 "launch_ms is %g; it must be above 0, or 0 for %g", o->launch_ms,
                 DEFAULT_LAUNCH_MS);
    CLATTN_CHECK(log, o->in_flight >= 0 && o->in_flight <= MOST_IN_FLIGHT, CLATTN_E_ARG,
                 "in_flight is %d; it must be 1 to %d, or 0 for %d", (int)o->in_flight,
                 MOST_IN_FLIGHT, DEFAULT_IN_FLIGHT);
    CLATTN_TRY(clattn__check_reserved(log, o->reserved, sizeof o->reserved / sizeof *o->reserved));
    if (o->launch_ms == 0.0)
        o->launch_ms = DEFAULT_LAUNCH_MS;
    if (o->in_flight == 0)
        o->in_flight = DEFAULT_IN_FLIGHT;
out:
    return status;
}

clattn_status clattn__tiling_check_desc(const clattn_log *log, const clattn_agent_attention_desc *d,
                                        bool strips)
{
    clattn_status status = CLATTN_OK;
    clattn_agent_attention_desc few = *d;
    clattn__shape shape;
    const int64_t sides[] = {d->height, d->width, d->kv_height, d->kv_width};
    const char *const names[] = {"height", "width", "kv_height", "kv_width"};

    CLATTN_CHECK(log, d->type != CLATTN_F16, CLATTN_E_UNSUPPORTED,
                 "type is CLATTN_F16; sources and sinks of a tiling have CLATTN_F32 only");
    for (int i = 0; i < 4; i++)
        CLATTN_CHECK(log, sides[i] >= (i < 2) && sides[i] <= INT32_MAX, CLATTN_E_SHAPE,
                     "%s is %" PRId64 "; it must be %d to %d", names[i], sides[i], i < 2,
                     INT32_MAX);
    CLATTN_CHECK(log, d->batch >= 1 && d->batch <= INT32_MAX, CLATTN_E_SHAPE,
                 "batch is %" PRId64 "; it must be 1 to %d", d->batch, INT32_MAX);
    CLATTN_TRY(clattn__check_windows(log, d->height, d->width, d->class_tokens, d->window_height,
                                     d->window_width, d->shift_y, d->shift_x));
    if (d->window_height > 0) {
        CLATTN_CHECK(log, !strips, CLATTN_E_UNSUPPORTED,
                     "strips is 1 with windows of %" PRId64 " x %" PRId64
                     "; results of windows come window by window",
                     d->window_height, d->window_width);
        few.height = few.window_height = few.width = few.window_width = 2;
        few.shift_y = few.shift_x = 0;
    } else {
        few.height = few.width = 2;
    }
    few.batch = 1;
    if (d->kv_height != 0 && d->kv_height != d->height)
        few.kv_height = 1;
    else
        few.kv_height = d->kv_height != 0 ? 2 : 0;
    if (d->kv_width != 0 && d->kv_width != d->width)
        few.kv_width = 1;
    else
        few.kv_width = d->kv_width != 0 ? 2 : 0;
    CLATTN_TRY(clattn__shape_make(log, &few, &shape));
out:
    return status;
}

clattn_status clattn__tiling_check_weights(const clattn_log *log,
                                           const clattn_agent_attention_desc *d,
                                           const clattn_tile_weights *w)
{
    clattn_status status = CLATTN_OK;
    const struct {
        const char *name, *flag;
        bool given, wanted;
    } all[] = {
        {"bias", "has_bias", w->bias != NULL, d->has_bias != 0},
        {"dwc_weight", "dwc_size", w->dwc_weight != NULL, d->dwc_size > 0},
        {"dwc_bias", "has_dwc_bias", w->dwc_bias != NULL, d->has_dwc_bias != 0},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CLATTN_CHECK(log, all[i].given == all[i].wanted, CLATTN_E_ARG,
                     "weights.%s is %s, but %s says %s", all[i].name,
                     all[i].given ? "given" : "NULL", all[i].flag,
                     all[i].wanted ? "there is one" : "there is none");
out:
    return status;
}

clattn_status clattn__tiling_check_io(const clattn_tiling *t, const clattn_tile_io *io)
{
    clattn_status status = CLATTN_OK;
    const clattn_log *log = &t->log;
    const clattn_tile_source *source = NULL;

    CLATTN_CHECK(log, io != NULL, CLATTN_E_ARG, "io of the tiling is NULL");
    source = &io->source;
    CLATTN_CHECK(log, source->fill != NULL, CLATTN_E_ARG, "io.source.fill is NULL");
    CLATTN_CHECK(log, io->sink.take != NULL, CLATTN_E_ARG, "io.sink.take is NULL");
    CLATTN_CHECK(log,
                 (source->height == 0 || source->height == t->desc.height) &&
                     (source->width == 0 || source->width == t->desc.width),
                 CLATTN_E_SHAPE,
                 "the source says it has %" PRId64 " x %" PRId64
                 " tokens; the tiling was made for %" PRId64 " x %" PRId64,
                 source->height, source->width, t->desc.height, t->desc.width);
    CLATTN_CHECK(log, (io->agents != NULL) == !t->problem.pooled, CLATTN_E_ARG,
                 "io.agents is %s, but agents_given is %d", io->agents != NULL ? "given" : "NULL",
                 (int)t->desc.agents_given);
    CLATTN_CHECK(log, (io->agent_vector != NULL) == t->problem.agent_vector, CLATTN_E_ARG,
                 "io.agent_vector is %s, but has_agent_vector is %d",
                 io->agent_vector != NULL ? "given" : "NULL", (int)t->desc.has_agent_vector);
out:
    return status;
}
