#include "tile_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

clattn_tile_options tile_options_random(fill_random *random)
{
    clattn_tile_options o = {.in_flight = (int32_t)fill_range(random, 0, 3)};

    o.device_bytes = UINT64_C(8192) << fill_range(random, 0, 9);
    o.device_bytes += (uint64_t)fill_range(random, 0, (int64_t)o.device_bytes);
    o.host_bytes = UINT64_C(1) << 40;
    if (fill_once_in(random, 3))
        o.allocation_bytes = o.device_bytes / (uint64_t)fill_range(random, 2, 5);
    if (fill_once_in(random, 3))
        o.launch_ms = 0.001 * (double)fill_range(random, 1, 1000);
    return o;
}

static clattn_memory host(const float *array, int64_t floats)
{
    return (clattn_memory){.host = (void *)array, .bytes = (uint64_t)floats * sizeof(float)};
}

void tile_case_open(const case_agent *c, const case_agent_data *data, float *result,
                    tile_case_io *all)
{
    const clattn_agent_attention_desc *d = &c->desc;
    const case_agent_sizes z = case_agent_size(d);

    *all = (tile_case_io){
        .q = clattn_tensor_tokens(host(data->q, z.q), d->batch, z.q_tokens, z.heads, z.dim),
        .k = clattn_tensor_tokens(host(data->k, z.k), d->batch, z.k_tokens, z.heads, z.dim),
        .v = clattn_tensor_tokens(host(data->v, z.v), d->batch, z.k_tokens, z.heads, z.dim_v),
        .key_bias = clattn_tensor_tokens(host(data->key_bias, 0), d->batch, z.k_tokens, z.heads, 1),
        .out = clattn_tensor_tokens(host(result, z.out), d->batch, z.q_tokens, z.heads, z.dim_v),
    };
    all->arrays = (clattn_tile_arrays){.q = &all->q,
                                       .k = &all->k,
                                       .v = &all->v,
                                       .key_bias = d->has_key_bias ? &all->key_bias : NULL,
                                       .out = &all->out,
                                       .width = d->width,
                                       .kv_width = d->kv_width,
                                       .class_tokens = d->class_tokens};
    all->weights = (clattn_tile_weights){.bias = d->has_bias ? &data->bias : NULL,
                                         .dwc_weight = d->dwc_size > 0 ? data->dwc_weight : NULL,
                                         .dwc_bias = d->has_dwc_bias ? data->dwc_bias : NULL};
    all->io = (clattn_tile_io){.source = clattn_tile_arrays_source(&all->arrays),
                               .sink = clattn_tile_arrays_sink(&all->arrays),
                               .agents = d->agents_given ? data->agents : NULL,
                               .agent_vector = d->has_agent_vector ? data->agent_vector : NULL};
}

void tile_run_case(clattn_context *const *contexts, size_t count, const case_agent *c,
                   const case_agent_data *data, const clattn_tile_options *options, float *result,
                   clattn_tiling_info *info)
{
    clattn_tile_options o = *options;
    clattn_tiling *tiling = NULL;
    clattn_status status = CLATTN_E_BUDGET;
    tile_case_io all;

    tile_case_open(c, data, result, &all);
    while (status == CLATTN_E_BUDGET) {
        status = clattn_tiling_create(contexts, count, &c->desc, &all.weights, &o, &tiling);
        o.device_bytes *= 2;
        o.allocation_bytes *= 2;
    }
    assert_int_equal(status, CLATTN_OK);
    clattn_tiling_get_info(tiling, info);
    const int64_t floats = case_agent_count(c, STEP_WHOLE);
    for (int64_t i = 0; i < floats; i++)
        result[i] = NAN;
    assert_int_equal(clattn_tiling_run(tiling, &all.io), CLATTN_OK);
    clattn_tiling_destroy(&tiling);
}
