/* The pieces of a recorded case that several families of modules share; see load.h. */
#include "check/load.h"

#include <stdio.h>

CheckArray part_array(const float *values, int64_t count)
{
    return (CheckArray){.values = values, .count = count};
}

void part_dwc(Loader *loader, CheckPart *part, const char *name, int64_t channels)
{
    char weight[32], bias[32];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    const int64_t size = load_extent(loader, weight, 4, 3);
    const int64_t count = channels * size * size;
    part->desc.dwc_size = size;
    part->arrays[CHECK_ARRAY_DWC_WEIGHT] = part_array(load_parameter(loader, weight, count), count);
    part->arrays[CHECK_ARRAY_DWC_BIAS] =
        part_array(load_optional(loader, bias, channels), channels);
    part->desc.has_dwc_bias = part->arrays[CHECK_ARRAY_DWC_BIAS].values != NULL;
}

void part_bias(Loader *loader, CheckPart *part)
{
    const int64_t heads = part->desc.heads;
    const int64_t agents = load_extent(loader, "an_bias", 4, 1);
    clattn_agent_bias_desc *const bias = &part->bias;
    clattn_agent_bias_stage *const first = &bias->aggregate, *const second = &bias->broadcast;

    part->desc.has_bias = 1;
    bias->trained_agents_height = load_root(loader, "the number of trained agents", agents);
    bias->trained_agents_width = bias->trained_agents_height;
    first->trained_height = load_extent(loader, "ah_bias", 5, 3);
    first->trained_width = load_extent(loader, "aw_bias", 5, 4);
    second->trained_height = load_extent(loader, "ha_bias", 5, 2);
    second->trained_width = load_extent(loader, "wa_bias", 5, 3);
    if (loader->failed)
        return;
    first->map = load_parameter(loader, "an_bias", heads * agents * 49);
    first->row = load_parameter(loader, "ah_bias", heads * agents * first->trained_height);
    first->column = load_parameter(loader, "aw_bias", heads * agents * first->trained_width);
    second->map = load_parameter(loader, "na_bias", heads * agents * 49);
    second->row = load_parameter(loader, "ha_bias", heads * agents * second->trained_height);
    second->column = load_parameter(loader, "wa_bias", heads * agents * second->trained_width);
    if (part->desc.class_tokens > 0) {
        first->class_token = load_parameter(loader, "ac_bias", heads * agents);
        second->class_token = load_parameter(loader, "ca_bias", heads * agents);
    }
}

void part_intermediates(Loader *loader, CheckPart *part, bool dense)
{
    const clattn_agent_attention_desc *const desc = &part->desc;
    const int64_t channels = desc->heads * desc->head_dim;
    int64_t windows = 1;
    if (desc->window_height > 0 && desc->window_width > 0)
        windows = (desc->height / desc->window_height) * (desc->width / desc->window_width);
    const int64_t agents =
        desc->batch * windows * desc->agent_height * desc->agent_width * channels;
    const int64_t tokens =
        desc->batch * (desc->class_tokens + desc->height * desc->width) * channels;
    if (!desc->agents_given)
        part->agent_tokens = (CheckResult){load_record(loader, "agent_tokens", agents), dense};
    part->agent_v = (CheckResult){load_record(loader, "agent_v", agents), true};
    part->attn_out = (CheckResult){load_record(loader, "attn_out", tokens), false};
    part->attn_out_has_dwc = !dense;
}

void part_heads(Loader *loader, CheckPart *part, int64_t batch, int64_t channels, int64_t heads)
{
    if (heads < 1 || channels % heads != 0)
        load_fail(loader, "%lld channels cannot be split in %lld heads", (long long)channels,
                  (long long)heads);
    part->desc.batch = batch;
    part->desc.heads = heads;
    part->desc.head_dim = heads > 0 ? channels / heads : 0;
    part->desc.scale_aggregate = (float)load_number(loader, "scale", 0);
    part->desc.scale_broadcast = part->desc.scale_aggregate;
}

void part_softmax(CheckPart *part, int64_t queries, int64_t keys)
{
    part->softmax = true;
    part->attention_desc = (clattn_attention_desc){
        .batch = part->desc.batch,
        .heads = part->desc.heads,
        .head_dim = part->desc.head_dim,
        .queries = queries,
        .keys = keys,
        .scale = part->desc.scale_aggregate,
    };
}

void part_proj(Loader *loader, CheckPart *part, const char *name, int64_t channels)
{
    char text[32];
    snprintf(text, sizeof text, "%s.weight", name);
    part->proj_weight = load_parameter(loader, text, channels * channels);
    snprintf(text, sizeof text, "%s.bias", name);
    part->proj_bias = load_optional(loader, text, channels);
    part->proj_out = channels;
}

void part_expected(Loader *loader, CheckPart *part, const char *name, int64_t count)
{
    part->expected = load_record(loader, name, count);
    if (part->expected == NULL)
        load_fail(loader, "tensor %s is missing", name);
}
