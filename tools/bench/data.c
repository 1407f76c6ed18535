/* See data.h. */
#include "bench/data.h"

#include <stdlib.h>
#include <string.h>

/* Elements written at a time, and what sets begin at a multiple of. */
#define CHUNK ((int64_t)1 << 18)
#define ALIGN 64

/* Sides of the maps in the learned bias. */
#define BIAS_MAP 7

size_t bench_type_bytes(clattn_type type)
{
    return type == CLATTN_F16 ? 2 : 4;
}

float bench_value(bench_tensor tensor, int64_t index, clattn_type type, bool positive)
{
    uint64_t x =
        (uint64_t)index * 0x9e3779b97f4a7c15u + ((uint64_t)tensor + 1) * 0xd1b54a32d192ed03u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    /* 24 bits of [0, 2); for half, 10 bits, which it holds exactly. */
    const float unit =
        type == CLATTN_F16 ? (float)(x >> 54) / 512.0f : (float)(x >> 40) / 8388608.0f;
    return positive ? unit * 0.5f : unit - 1.0f;
}

bench_layout bench_layout_of(bench_op op, const bench_shape *shape, clattn_type type)
{
    bench_layout layout = {
        .type = type, .batch = shape->batch, .heads = shape->heads, .dim = shape->dim};
    const int64_t n = bench_shape_tokens(shape);
    const int64_t agents = bench_shape_agents(shape);
    const bool whole = op == BENCH_AGENT_ATTENTION;
    const bool aggregate = op == BENCH_AGENT_AGGREGATE;
    const bool broadcast = op == BENCH_AGENT_BROADCAST;
    const bool keys = whole || aggregate || op == BENCH_ATTENTION;
    const bool values = broadcast && (shape->dwc_size > 0 || shape->v_shortcut != 0.0f);

    layout.output = op == BENCH_AGENT_POOL ? BENCH_AGENTS : aggregate ? BENCH_VA : BENCH_OUT;
    layout.positive = op == BENCH_SMOOTH;
    layout.tokens[BENCH_Q] = aggregate || op == BENCH_DWC ? 0 : n;
    layout.tokens[BENCH_K] = keys ? n : 0;
    layout.tokens[BENCH_V] = keys || values || op == BENCH_DWC ? n : 0;
    if (aggregate || broadcast || op == BENCH_AGENT_POOL || (whole && shape->agents_given))
        layout.tokens[BENCH_AGENTS] = agents;
    layout.tokens[BENCH_VA] = aggregate || broadcast ? agents : 0;
    layout.tokens[BENCH_OUT] = layout.output == BENCH_OUT ? n : 0;
    for (int t = 0; t < BENCH_TENSORS; t++) {
        layout.elements[t] = shape->batch * layout.tokens[t] * shape->heads * shape->dim;
        layout.stride[t] = (layout.elements[t] + ALIGN - 1) / ALIGN * ALIGN;
    }
    return layout;
}

uint64_t bench_layout_bytes(const bench_layout *layout)
{
    uint64_t elements = 0;
    for (int t = 0; t < BENCH_TENSORS; t++)
        elements += (uint64_t)layout->stride[t];
    return elements * bench_type_bytes(layout->type);
}

/* Weights. ----------------------------------------------------------------- */

static float *new_values(bench_tensor tensor, int64_t count)
{
    float *const values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; values != NULL && i < count; i++)
        values[i] = bench_value(tensor, i, CLATTN_F32, false);
    return values;
}

static clattn_agent_bias_stage stage_of(const bench_shape *shape, float *const *terms)
{
    return (clattn_agent_bias_stage){.map = terms[0],
                                     .row = terms[1],
                                     .column = terms[2],
                                     .class_token = terms[3],
                                     .trained_height = shape->trained_side,
                                     .trained_width = shape->trained_side};
}

bool bench_weights_make(const bench_shape *shape, bench_weights *weights)
{
    *weights = (bench_weights){0};
    if (shape->dwc_size > 0) {
        const int64_t channels = shape->heads * shape->dim;
        weights->dwc_weight =
            new_values(BENCH_DWC_WEIGHT, channels * shape->dwc_size * shape->dwc_size);
        weights->dwc_bias = new_values(BENCH_DWC_BIAS, channels);
        if (weights->dwc_weight == NULL || weights->dwc_bias == NULL)
            return false;
    }
    if (shape->trained_agents == 0)
        return true;
    const int64_t agents = shape->heads * shape->trained_agents * shape->trained_agents;
    const int64_t counts[] = {agents * BIAS_MAP * BIAS_MAP, agents * shape->trained_side,
                              agents * shape->trained_side, agents};
    for (int i = 0; i < 8; i++) {
        weights->terms[i] = new_values((bench_tensor)(BENCH_BIAS + i), counts[i % 4]);
        if (weights->terms[i] == NULL)
            return false;
    }
    weights->bias = (clattn_agent_bias_desc){.trained_agents_height = shape->trained_agents,
                                             .trained_agents_width = shape->trained_agents,
                                             .aggregate = stage_of(shape, weights->terms),
                                             .broadcast = stage_of(shape, weights->terms + 4)};
    return true;
}

void bench_weights_free(bench_weights *weights)
{
    free(weights->dwc_weight);
    free(weights->dwc_bias);
    for (int i = 0; i < 8; i++)
        free(weights->terms[i]);
    *weights = (bench_weights){0};
}

/* On a device. ------------------------------------------------------------- */

/* Both as elements of the type; `buffer` holds CHUNK of the larger. */
static void make_chunk(const bench_layout *layout, bench_tensor tensor, int64_t first,
                       int64_t count, void *buffer)
{
    float *const floats = buffer;
    uint16_t *const halves = buffer;
    for (int64_t i = 0; i < count; i++) {
        const float value = bench_value(tensor, first + i, layout->type, layout->positive);
        if (layout->type == CLATTN_F16)
            halves[i] = bench_half_of(value);
        else
            floats[i] = value;
    }
}

static clattn_status fill(bench_data *data, bench_tensor tensor, void *buffer)
{
    const bench_layout *const layout = &data->layout;
    const int64_t all = data->sets * layout->stride[tensor];
    const uint64_t size = bench_type_bytes(layout->type);
    clattn_status status = CLATTN_OK;
    for (int64_t i = 0; i < all && status == CLATTN_OK; i += CHUNK) {
        const int64_t count = all - i < CHUNK ? all - i : CHUNK;
        /* All bits set is NaN in both types: what is not written shows. */
        if (tensor == layout->output)
            memset(buffer, 0xff, (size_t)count * size);
        else
            make_chunk(layout, tensor, i, count, buffer);
        status = clattn_memory_write(data->ctx, &data->memory[tensor], (uint64_t)i * size, buffer,
                                     (uint64_t)count * size);
    }
    return status;
}

static clattn_status make_tensors(bench_data *data)
{
    void *const buffer = malloc((size_t)CHUNK * sizeof(float));
    clattn_status status = buffer != NULL ? CLATTN_OK : CLATTN_E_NOMEM;
    for (int t = 0; t < BENCH_TENSORS && status == CLATTN_OK; t++) {
        const uint64_t bytes =
            (uint64_t)(data->sets * data->layout.stride[t]) * bench_type_bytes(data->layout.type);
        if (bytes == 0)
            continue;
        status = clattn_memory_alloc(data->ctx, bytes, &data->memory[t]);
        if (status == CLATTN_OK)
            status = fill(data, (bench_tensor)t, buffer);
    }
    free(buffer);
    return status;
}

/* The convolution's weights and then its bias, in one buffer. */
static clattn_status make_dwc(bench_data *data, const bench_weights *weights)
{
    const bench_shape *const shape = data->shape;
    const int64_t channels = shape->heads * shape->dim;
    const int64_t count = channels * shape->dwc_size * shape->dwc_size;
    const uint64_t first = (uint64_t)count * sizeof(float);
    const uint64_t second = (uint64_t)channels * sizeof(float);
    clattn_status status = clattn_memory_alloc(data->ctx, first + second, &data->weight_memory);
    if (status == CLATTN_OK)
        status =
            clattn_memory_write(data->ctx, &data->weight_memory, 0, weights->dwc_weight, first);
    if (status == CLATTN_OK)
        status =
            clattn_memory_write(data->ctx, &data->weight_memory, first, weights->dwc_bias, second);
    data->dwc_weight = (clattn_array){data->weight_memory, 0, count};
    data->dwc_bias = (clattn_array){data->weight_memory, count, channels};
    return status;
}

clattn_status bench_data_make(clattn_context *ctx, bench_op op, const bench_shape *shape,
                              clattn_type type, int64_t sets, const bench_weights *weights,
                              bench_data *data)
{
    *data = (bench_data){.ctx = ctx, .shape = shape, .sets = sets};
    data->layout = bench_layout_of(op, shape, type);
    const clattn_agent_attention_desc desc = bench_agent_desc(op, shape, type);
    clattn_status status = make_tensors(data);
    if (status == CLATTN_OK && (desc.dwc_size > 0 || op == BENCH_DWC))
        status = make_dwc(data, weights);
    if (status == CLATTN_OK && desc.has_bias && op != BENCH_AGENT_POOL)
        status = clattn_agent_bias_create(ctx, &desc, &weights->bias, &data->bias);
    return status;
}

void bench_data_free(bench_data *data)
{
    clattn_agent_bias_destroy(&data->bias);
    if (data->weight_memory.mem != NULL || data->weight_memory.host != NULL)
        clattn_memory_free(data->ctx, &data->weight_memory);
    for (int t = 0; t < BENCH_TENSORS; t++)
        if (data->memory[t].mem != NULL || data->memory[t].host != NULL)
            clattn_memory_free(data->ctx, &data->memory[t]);
}

clattn_tensor bench_data_tensor(const bench_data *data, bench_tensor tensor, int64_t set)
{
    const bench_layout *const layout = &data->layout;
    clattn_tensor made = clattn_tensor_tokens(data->memory[tensor], layout->batch,
                                              layout->tokens[tensor], layout->heads, layout->dim);
    made.type = layout->type;
    made.offset = set * layout->stride[tensor];
    return made;
}
