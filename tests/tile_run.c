#include "tile_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

clattn_tile_options tile_options_random(fill_random *random)
{
    clattn_tile_options o = {.in_flight = (int32_t)fill_range(random, 0, 3)};

    o.concurrent = fill_once_in(random, 2);
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
                   const case_agent_data *data, const clattn_tile_options *options, double budget,
                   float *result, clattn_tiling_info *info)
{
    clattn_tile_options o = *options;
    clattn_tiling *tiling = NULL;
    tile_case_io all;

    tile_case_open(c, data, result, &all);
    assert_int_equal(clattn_tiling_create(contexts, count, &c->desc, &all.weights, &o, &tiling),
                     CLATTN_OK);
    clattn_tiling_get_info(tiling, info);
    if (budget > 0.0) {
        clattn_tiling_destroy(&tiling);
        o.device_bytes = (uint64_t)((double)info->smallest_bytes * budget);
        assert_int_equal(clattn_tiling_create(contexts, count, &c->desc, &all.weights, &o, &tiling),
                         CLATTN_OK);
        clattn_tiling_get_info(tiling, info);
        assert_true(info->device_bytes <= o.device_bytes);
    }
    const int64_t floats = case_agent_count(c, STEP_WHOLE);
    for (int64_t i = 0; i < floats; i++)
        result[i] = NAN;
    assert_int_equal(clattn_tiling_run(tiling, &all.io), CLATTN_OK);
    clattn_tiling_destroy(&tiling);
}

void tile_run_smooth(clattn_context *const *contexts, size_t count, const clattn_smooth_desc *desc,
                     const float *rgb, const clattn_tile_options *options, double budget,
                     float *result, clattn_tiling_info *info)
{
    const int64_t pixels = desc->height * desc->width;
    clattn_tensor in = clattn_tensor_tokens(host(rgb, pixels * 3), 1, pixels, 1, 3);
    clattn_tensor out = clattn_tensor_tokens(host(result, pixels * 3), 1, pixels, 1, 3);
    clattn_tile_arrays arrays = {.v = &in, .out = &out, .width = desc->width};
    clattn_tile_io io = {.source = clattn_tile_arrays_source(&arrays),
                         .sink = clattn_tile_arrays_sink(&arrays)};
    clattn_tile_options o = *options;
    clattn_tiling *tiling = NULL;

    assert_int_equal(clattn_smooth_tiling_create(contexts, count, desc, &o, &tiling), CLATTN_OK);
    clattn_tiling_get_info(tiling, info);
    if (budget > 0.0) {
        clattn_tiling_destroy(&tiling);
        o.device_bytes = (uint64_t)((double)info->smallest_bytes * budget);
        assert_int_equal(clattn_smooth_tiling_create(contexts, count, desc, &o, &tiling),
                         CLATTN_OK);
        clattn_tiling_get_info(tiling, info);
        assert_true(info->device_bytes <= o.device_bytes);
    }
    for (int64_t i = 0; i < pixels * 3; i++)
        result[i] = NAN;
    assert_int_equal(clattn_tiling_run(tiling, &io), CLATTN_OK);
    clattn_tiling_destroy(&tiling);
}

void tile_smooth_untiled(clattn_context *ctx, const clattn_smooth_desc *desc, const float *rgb,
                         float *result)
{
    const int64_t pixels = desc->height * desc->width;
    const uint64_t bytes = (uint64_t)pixels * 3 * sizeof(float);
    clattn_memory in = {0};
    clattn_memory out = {0};
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    assert_int_equal(clattn_memory_alloc(ctx, bytes, &in), CLATTN_OK);
    assert_int_equal(clattn_memory_alloc(ctx, bytes, &out), CLATTN_OK);
    assert_int_equal(clattn_memory_write(ctx, &in, 0, rgb, bytes), CLATTN_OK);
    const clattn_tensor input = clattn_tensor_tokens(in, 1, pixels, 1, 3);
    const clattn_tensor output = clattn_tensor_tokens(out, 1, pixels, 1, 3);
    assert_int_equal(clattn_smooth_plan(ctx, desc, &plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(plan, &ws), CLATTN_OK);
    assert_int_equal(clattn_smooth_run(plan, ws, &input, &output, NULL, NULL), CLATTN_OK);
    assert_int_equal(clattn_memory_read(ctx, &out, 0, result, bytes), CLATTN_OK);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    clattn_memory_free(ctx, &in);
    clattn_memory_free(ctx, &out);
}
