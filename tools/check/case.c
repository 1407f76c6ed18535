/*
 * A recorded file's tensors and hyper-parameters in terms of the library: which projections make q,
 * k and v, which descriptor the attention has, and which recorded tensor its result must equal. One
 * function per family of modules.
 */
#include "check/load.h"

#include <stdlib.h>

#define SR_NORM_EPSILON 1e-5 /* of the LayerNorm after PVT's strided convolution */

/* The map, windows and class token of DeiT, PVT and Swin modules with `tokens` tokens. */
static void set_map(Loader *loader, CheckPart *part, const CheckKind *kind, int64_t tokens)
{
    clattn_agent_attention_desc *const desc = &part->desc;
    desc->class_tokens = kind->form == CHECK_DEIT;
    desc->height = load_count(loader, kind->form == CHECK_DEIT ? "window" : "H");
    desc->width = load_count(loader, kind->form == CHECK_DEIT ? "window" : "W");
    if (desc->class_tokens + desc->height * desc->width != tokens)
        load_fail(loader, "a map of %lld x %lld does not have %lld tokens", (long long)desc->height,
                  (long long)desc->width, (long long)tokens);
    if (kind->form == CHECK_SWIN && kind->block) {
        desc->window_height = load_count(loader, "window_size_effective");
        desc->window_width = desc->window_height;
        desc->shift_y = load_count(loader, "shift_size_effective");
        desc->shift_x = desc->shift_y;
        part->in_windows = true;
        if (desc->window_height < 1 || desc->height % desc->window_height != 0 ||
            desc->width % desc->window_width != 0)
            load_fail(loader, "the map is no multiple of its windows");
    }
}

/* q, k and v from one fused projection, left packed. */
static void project_qkv(Loader *loader, CheckPart *part, const float *input, int64_t tokens)
{
    const clattn_memory none = {0};
    const int64_t batch = part->desc.batch, heads = part->desc.heads, dim = part->desc.head_dim;
    const int64_t channels = heads * dim, rows = batch * tokens;
    float *const packed = load_own(loader, &part->arrays[CHECK_ARRAY_Q], rows * 3 * channels);
    load_linear(loader, packed, input, "qkv", rows, channels, 3 * channels);
    part->q = clattn_tensor_packed(none, batch, tokens, heads, dim, 3, 0);
    part->k = clattn_tensor_packed(none, batch, tokens, heads, dim, 3, 1);
    part->v = clattn_tensor_packed(none, batch, tokens, heads, dim, 3, 2);
    part->k_array = part->v_array = CHECK_ARRAY_Q;
}

/*
 * PVT: q from the input; k and v packed, from the input or from its reduced map. Returns the number
 * of keys.
 */
static int64_t project_pvt(Loader *loader, CheckPart *part, const float *input, int64_t ratio)
{
    const clattn_memory none = {0};
    clattn_agent_attention_desc *const desc = &part->desc;
    const int64_t channels = desc->heads * desc->head_dim;
    const int64_t queries = desc->height * desc->width;
    const int64_t kv_height = desc->height / ratio, kv_width = desc->width / ratio;
    const int64_t keys = kv_height * kv_width;
    CheckArray reduced = {.values = input};

    if (ratio > 1) {
        float *const map = load_own(loader, &reduced, desc->batch * keys * channels);
        const float *const weight =
            load_parameter(loader, "sr.weight", channels * channels * ratio * ratio);
        const float *const bias = load_parameter(loader, "sr.bias", channels);
        const float *const gain = load_parameter(loader, "norm.weight", channels);
        const float *const shift = load_parameter(loader, "norm.bias", channels);
        if (!loader->failed) {
            check_reduce(map, input, weight, bias, desc->batch, desc->height, desc->width, channels,
                         ratio);
            check_layer_norm(map, gain, shift, desc->batch * keys, channels, SR_NORM_EPSILON);
        }
        desc->kv_height = kv_height;
        desc->kv_width = kv_width;
    }
    float *const q =
        load_own(loader, &part->arrays[CHECK_ARRAY_Q], desc->batch * queries * channels);
    float *const kv =
        load_own(loader, &part->arrays[CHECK_ARRAY_KV], desc->batch * keys * 2 * channels);
    load_linear(loader, q, input, "q", desc->batch * queries, channels, channels);
    load_linear(loader, kv, reduced.values, "kv", desc->batch * keys, channels, 2 * channels);
    free(reduced.owned);
    part->q = clattn_tensor_tokens(none, desc->batch, queries, desc->heads, desc->head_dim);
    part->k = clattn_tensor_packed(none, desc->batch, keys, desc->heads, desc->head_dim, 2, 0);
    part->v = clattn_tensor_packed(none, desc->batch, keys, desc->heads, desc->head_dim, 2, 1);
    part->k_array = part->v_array = CHECK_ARRAY_KV;
    return keys;
}

/* The agent grid, the bias and its grids, and the convolution. */
static void load_agents(Loader *loader, CheckPart *part, const CheckKind *kind, int64_t ratio)
{
    clattn_agent_attention_desc *const desc = &part->desc;
    if (kind->dense) {
        desc->agent_height = load_count(loader, "agent_h");
        desc->agent_width = load_count(loader, "agent_w");
    } else {
        desc->agent_height = load_root(loader, "agent_num", load_count(loader, "agent_num"));
        desc->agent_width = desc->agent_height;
    }
    part_bias(loader, part);
    if (kind->form == CHECK_PVT && !kind->dense) {
        /*
         * The published module makes its bias for a square map of as many tokens, whatever the
         * map's own shape.
         */
        const int64_t window = load_root(loader, "num_patches", load_count(loader, "num_patches"));
        part->bias.aggregate.grid_height = part->bias.aggregate.grid_width = window / ratio;
        part->bias.broadcast.grid_height = part->bias.broadcast.grid_width = window;
    }
    part_dwc(loader, part, "dwc", desc->heads * desc->head_dim);
    if (!kind->block)
        part_intermediates(loader, part, kind->dense);
}

/* DeiT, PVT and Swin: modules (classification and dense) and the attention parts of blocks. */
static void load_module(Loader *loader, CheckPart *part, const CheckKind *kind)
{
    const clattn_safetensor *const input =
        load_tensor(loader, kind->block ? "feat.norm1" : "input", 3);
    if (input == NULL)
        return;
    const int64_t batch = input->shape[0], tokens = input->shape[1], channels = input->shape[2];
    loader->prefix = kind->block ? "attn." : "";
    part_heads(loader, part, batch, channels, load_count(loader, "num_heads"));
    set_map(loader, part, kind, tokens);
    int64_t ratio = 1, keys = tokens;
    if (kind->form == CHECK_PVT && !kind->dense)
        ratio = load_count(loader, "sr_ratio");
    if (ratio < 1)
        load_fail(loader, "sr_ratio is 0");
    if (loader->failed)
        return;
    if (kind->form == CHECK_PVT)
        keys = project_pvt(loader, part, input->data, ratio);
    else
        project_qkv(loader, part, input->data, tokens);
    if (kind->softmax)
        part_softmax(part, tokens, keys);
    else
        load_agents(loader, part, kind, ratio);
    part_proj(loader, part, "proj", channels);
    part_expected(loader, part, kind->block ? "feat.attn" : "output", input->count);
}

/* CSwin's attention alone: the input is q, k and v, and the stripes are windows of the map. */
static void load_cswin_op(Loader *loader, CheckPart *part)
{
    const clattn_memory none = {0};
    clattn_agent_attention_desc *const desc = &part->desc;
    const clattn_safetensor *const input = load_tensor(loader, "input", 4);
    if (input == NULL)
        return;
    const int64_t batch = input->shape[1], tokens = input->shape[2], channels = input->shape[3];
    part_heads(loader, part, batch, channels, load_count(loader, "num_heads"));
    desc->height = load_count(loader, "H");
    desc->width = load_count(loader, "W");
    desc->window_height = load_count(loader, "H_sp");
    desc->window_width = load_count(loader, "W_sp");
    if (input->shape[0] != 3 || desc->height * desc->width != tokens)
        load_fail(loader, "the input is not q, k and v on the map");
    desc->agent_height = load_root(loader, "agent_num", load_count(loader, "agent_num"));
    desc->agent_width = desc->agent_height;
    part->arrays[CHECK_ARRAY_Q] = part_array(input->data, input->count);
    part->q = clattn_tensor_tokens(none, batch, tokens, desc->heads, desc->head_dim);
    part->k = part->v = part->q;
    part->k.offset = batch * tokens * channels;
    part->v.offset = 2 * batch * tokens * channels;
    part_bias(loader, part);
    part_dwc(loader, part, "get_v", channels);
    part_intermediates(loader, part, false);
    part_expected(loader, part, "output", batch * tokens * channels);
}

/* Branch `index` of a CSwin block: its channels of each third of the packed qkv. */
static void load_branch(Loader *loader, CheckPart *part, const CheckKind *kind, int index,
                        int branches, const clattn_safetensor *qkv)
{
    const clattn_memory none = {0};
    clattn_agent_attention_desc *const desc = &part->desc;
    const int64_t batch = qkv->shape[0], tokens = qkv->shape[1], channels = qkv->shape[2] / 3;
    const int64_t own = channels / branches;
    static const char *const prefixes[] = {"attns.0.", "attns.1."};
    static const char *const results[] = {"feat.attns.0", "feat.attns.1"};
    loader->prefix = prefixes[index];
    part_heads(loader, part, batch, own, load_count(loader, "branch_heads"));
    desc->height = load_count(loader, "H");
    desc->width = load_count(loader, "W");
    if (branches == 2) {
        const int64_t split = load_count(loader, "split_size");
        desc->window_height = index == 0 ? desc->height : split;
        desc->window_width = index == 0 ? split : desc->width;
    }
    if (channels * 3 != qkv->shape[2] || own * branches != channels ||
        desc->height * desc->width != tokens)
        load_fail(loader, "feat.qkv does not fit the map and the branches");
    if (loader->failed)
        return;
    part->arrays[CHECK_ARRAY_Q] = part_array(qkv->data, qkv->count);
    clattn_tensor *const tensors[] = {&part->q, &part->k, &part->v};
    for (int third = 0; third < 3; third++) {
        clattn_tensor *const tensor = tensors[third];
        *tensor = clattn_tensor_packed(none, batch, tokens, channels / desc->head_dim,
                                       desc->head_dim, 3, third);
        tensor->heads = desc->heads;
        tensor->offset += index * own;
    }
    part_dwc(loader, part, "get_v", own);
    if (kind->softmax) {
        part_softmax(part, tokens, tokens);
    } else {
        desc->agent_height = load_root(loader, "agent_num", load_count(loader, "agent_num"));
        desc->agent_width = desc->agent_height;
        part_bias(loader, part);
    }
    part_expected(loader, part, results[index], batch * tokens * own);
    loader->prefix = "";
}

static void load_cswin_block(Loader *loader, CheckCase *recorded, const CheckKind *kind)
{
    const clattn_safetensor *const qkv = load_tensor(loader, "feat.qkv", 3);
    const int64_t branches = load_count(loader, "branch_num");
    if (branches != 1 && branches != 2)
        load_fail(loader, "branch_num is %lld, not 1 or 2", (long long)branches);
    if (loader->failed)
        return;
    recorded->part_count = (int)branches;
    for (int i = 0; i < recorded->part_count; i++)
        load_branch(loader, &recorded->parts[i], kind, i, recorded->part_count, qkv);
}

/* Stable Diffusion's attention: tokens and agents are given, no map, no bias, no convolution. */
static void load_agentsd(Loader *loader, CheckPart *part, const CheckKind *kind)
{
    const clattn_memory none = {0};
    clattn_agent_attention_desc *const desc = &part->desc;
    const bool merged = clattn_safetensors_find(loader->file, "merge.feature") != NULL;
    const clattn_safetensor *const input =
        load_tensor(loader, merged ? "merge.feature" : "input", 3);
    if (input == NULL)
        return;
    const int64_t batch = input->shape[0], tokens = input->shape[1], channels = input->shape[2];
    const int64_t rows = batch * tokens;
    part_heads(loader, part, batch, channels, load_count(loader, "num_heads"));
    float *const q = load_own(loader, &part->arrays[CHECK_ARRAY_Q], rows * channels);
    float *const kv = load_own(loader, &part->arrays[CHECK_ARRAY_KV], 2 * rows * channels);
    load_linear(loader, q, input->data, "to_q", rows, channels, channels);
    load_linear(loader, kv, input->data, "to_k", rows, channels, channels);
    if (!loader->failed)
        load_linear(loader, kv + rows * channels, input->data, "to_v", rows, channels, channels);
    part->q = clattn_tensor_tokens(none, batch, tokens, desc->heads, desc->head_dim);
    part->k = part->v = part->q;
    part->v.offset = rows * channels;
    part->k_array = part->v_array = CHECK_ARRAY_KV;
    part_proj(loader, part, "to_out.0", channels);
    part_expected(loader, part, merged ? "unmerge.input" : "output", rows * channels);
    if (kind->softmax) {
        part_softmax(part, tokens, tokens);
        return;
    }
    const clattn_safetensor *const agent = load_tensor(loader, merged ? "merge.agent" : "agent", 3);
    if (agent == NULL || agent->shape[0] != batch || agent->shape[2] != channels) {
        load_fail(loader, "the agents do not fit the tokens");
        return;
    }
    float *const agents = load_own(loader, &part->arrays[CHECK_ARRAY_AGENTS], agent->count);
    load_linear(loader, agents, agent->data, "to_q", batch * agent->shape[1], channels, channels);
    part->agents = clattn_tensor_tokens(none, batch, agent->shape[1], desc->heads, desc->head_dim);
    desc->agents_given = 1;
    desc->height = desc->agent_height = 1;
    desc->width = tokens;
    desc->agent_width = agent->shape[1];
    desc->scale_broadcast = (float)load_number(loader, "scale2", 0);
    desc->v_shortcut = (float)load_number(loader, "k_shortcut", 0);
    part_intermediates(loader, part, false);
}

/* The smoothing filter: a picture of bytes. */
static void load_smooth(Loader *loader, CheckCase *recorded)
{
    clattn_smooth_desc *const desc = &recorded->smooth;
    const clattn_safetensor *const input = clattn_safetensors_find(loader->file, "input");
    if (input == NULL || input->dtype != CLATTN_DTYPE_U8 || input->dims != 3 ||
        input->shape[2] != 3) {
        load_fail(loader, "tensor input is missing or not (height, width, 3) of U8");
        return;
    }
    desc->height = input->shape[0];
    desc->width = input->shape[1];
    desc->agent_height = load_count(loader, "agents_h");
    desc->agent_width = load_count(loader, "agents_w");
    desc->sigma_color = (float)load_number(loader, "sigma_color", 0);
    desc->sigma_space = (float)load_number(loader, "sigma_space", 0);
    desc->rounds_plus_one = (int32_t)load_count(loader, "rounds") + 1;
    desc->detail = (float)load_number(loader, "detail", 0);
    recorded->smooth_agents =
        load_record(loader, "agents", desc->agent_height * desc->agent_width * 5);
    recorded->smooth_expected = load_record(loader, "output", input->count);
    if (recorded->smooth_expected == NULL)
        load_fail(loader, "tensor output is missing");
    float *const picture = load_own(loader, &recorded->picture, input->count);
    const unsigned char *const bytes = input->data;
    for (int64_t i = 0; picture != NULL && i < input->count; i++)
        picture[i] = (float)bytes[i] / 255;
}

bool check_case_load(CheckCase *recorded, const clattn_safetensors *file, const CheckKind *kind,
                     CheckError *error)
{
    Loader loader = {.file = file, .prefix = "", .error = error};
    *recorded = (CheckCase){.form = kind->form, .part_count = 1};
    switch (kind->form) {
    case CHECK_SMOOTH:
        recorded->part_count = 0;
        load_smooth(&loader, recorded);
        break;
    case CHECK_AGENTSD:
        load_agentsd(&loader, &recorded->parts[0], kind);
        break;
    case CHECK_CSWIN:
        if (kind->block)
            load_cswin_block(&loader, recorded, kind);
        else
            load_cswin_op(&loader, &recorded->parts[0]);
        break;
    case CHECK_DEIT:
    case CHECK_PVT:
    case CHECK_SWIN:
        load_module(&loader, &recorded->parts[0], kind);
        break;
    }
    return !loader.failed;
}

void check_case_free(CheckCase *recorded)
{
    free(recorded->picture.owned);
    for (int p = 0; p < 2; p++)
        for (int a = 0; a < CHECK_ARRAYS; a++)
            free(recorded->parts[p].arrays[a].owned);
    *recorded = (CheckCase){0};
}
