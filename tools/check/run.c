/* Runs a recorded case on a context: uploads, plans, runs, projects on the host, compares. */
#include "check/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t tensor_count(const clattn_tensor *tensor)
{
    return tensor->batch * tensor->tokens * tensor->heads * tensor->dim;
}

/* Memory of the values in `type`. */
static clattn_status upload(clattn_context *ctx, const float *values, int64_t count,
                            clattn_type type, clattn_memory *memory)
{
    const bool half = type == CLATTN_F16;
    const uint64_t bytes = (uint64_t)count * (half ? sizeof(uint16_t) : sizeof(float));
    uint16_t *const halves = half ? malloc((size_t)bytes) : NULL;
    if (half && halves == NULL)
        return CLATTN_E_NOMEM;
    if (half)
        clattn_f16_from_f32(values, halves, (size_t)count);
    const void *const stored = half ? (const void *)halves : values;
    clattn_status status = clattn_memory_alloc(ctx, bytes, memory);
    if (status == CLATTN_OK)
        status = clattn_memory_write(ctx, memory, 0, stored, bytes);
    free(halves);
    return status;
}

clattn_status tensor_make(clattn_context *ctx, clattn_tensor *tensor)
{
    const int64_t count = tensor_count(tensor);
    float *const poison = malloc((size_t)count * sizeof *poison);
    if (poison == NULL)
        return CLATTN_E_NOMEM;
    for (int64_t i = 0; i < count; i++)
        poison[i] = NAN;
    const clattn_status status = upload(ctx, poison, count, tensor->type, &tensor->memory);
    free(poison);
    return status;
}

clattn_status tensor_read(clattn_context *ctx, const clattn_tensor *tensor, float *values)
{
    const size_t count = (size_t)tensor_count(tensor);
    if (tensor->type == CLATTN_F32)
        return clattn_memory_read(ctx, &tensor->memory, 0, values, count * sizeof *values);
    uint16_t *const halves = malloc(count * sizeof *halves);
    if (halves == NULL)
        return CLATTN_E_NOMEM;
    const clattn_status status =
        clattn_memory_read(ctx, &tensor->memory, 0, halves, count * sizeof *halves);
    if (status == CLATTN_OK)
        clattn_f32_from_f16(halves, values, count);
    free(halves);
    return status;
}

clattn_status run_finish(clattn_context *ctx, clattn_status status, clattn_plan **plan,
                         clattn_workspace **workspace)
{
    if (status == CLATTN_OK)
        status = clattn_context_finish(ctx);
    clattn_workspace_destroy(workspace);
    clattn_plan_destroy(plan);
    return status;
}

clattn_status run_agent(Run *run, PlanAgent plan_agent, RunAgent run_plan,
                        const clattn_agent_attention_desc *desc,
                        const clattn_agent_attention_args *args)
{
    clattn_plan *plan = NULL;
    clattn_workspace *workspace = NULL;
    clattn_status status = plan_agent(run->ctx, desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_workspace_create(plan, &workspace);
    if (status == CLATTN_OK)
        status = run_plan(plan, workspace, args, NULL);
    return run_finish(run->ctx, status, &plan, &workspace);
}

static clattn_status run_softmax(Run *run)
{
    const clattn_attention_args args = {.q = &run->q, .k = &run->k, .v = &run->v, .out = &run->out};
    clattn_plan *plan = NULL;
    clattn_workspace *workspace = NULL;
    clattn_status status = clattn_attention_plan(run->ctx, &run->part->attention_desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_workspace_create(plan, &workspace);
    if (status == CLATTN_OK)
        status = clattn_attention_run(plan, workspace, &args, NULL);
    return run_finish(run->ctx, status, &plan, &workspace);
}

/* Adds the convolution of v to the output of softmax attention. */
static clattn_status run_dwc(Run *run)
{
    const clattn_agent_attention_desc *const desc = &run->part->desc;
    const clattn_dwc_desc dwc = {
        .batch = desc->batch,
        .heads = desc->heads,
        .head_dim = desc->head_dim,
        .height = desc->height,
        .width = desc->width,
        .size = desc->dwc_size,
        .has_bias = desc->has_dwc_bias,
        .accumulate = 1,
        .type = desc->type,
    };
    const clattn_dwc_args args = {
        .v = &run->v, .weight = run->args.dwc_weight, .bias = run->args.dwc_bias, .out = &run->out};
    clattn_plan *plan = NULL;
    clattn_workspace *workspace = NULL;
    clattn_status status = clattn_dwc_plan(run->ctx, &dwc, &plan);
    if (status == CLATTN_OK)
        status = clattn_workspace_create(plan, &workspace);
    if (status == CLATTN_OK)
        status = clattn_dwc_run(plan, workspace, &args, NULL);
    return run_finish(run->ctx, status, &plan, &workspace);
}

/* Uploads the inputs, makes the bias and the output, and points `args` at them. */
static clattn_status begin(Run *run)
{
    const CheckPart *const part = run->part;
    const clattn_agent_attention_desc *const desc = &part->desc;
    const clattn_memory none = {0};
    clattn_status status = CLATTN_OK;

    for (int i = 0; i < CHECK_ARRAYS && status == CLATTN_OK; i++) {
        const bool weights = i == CHECK_ARRAY_DWC_WEIGHT || i == CHECK_ARRAY_DWC_BIAS;
        const CheckArray *const array = &part->arrays[i];
        if (array->values != NULL)
            status = upload(run->ctx, array->values, array->count,
                            weights ? CLATTN_F32 : desc->type, &run->arrays[i]);
    }
    if (status == CLATTN_OK && desc->has_bias)
        status = clattn_agent_bias_create(run->ctx, desc, &part->bias, &run->bias);
    run->q = part->q;
    run->k = part->k;
    run->v = part->v;
    run->agents = part->agents;
    run->q.memory = run->arrays[CHECK_ARRAY_Q];
    run->k.memory = run->arrays[part->k_array];
    run->v.memory = run->arrays[part->v_array];
    run->agents.memory = run->arrays[CHECK_ARRAY_AGENTS];
    run->out = clattn_tensor_tokens(none, desc->batch, part->q.tokens, desc->heads, desc->head_dim);
    run->q.type = run->k.type = run->v.type = run->agents.type = run->out.type = desc->type;
    run->host = malloc((size_t)tensor_count(&run->out) * sizeof *run->host);
    if (status == CLATTN_OK)
        status = run->host != NULL ? tensor_make(run->ctx, &run->out) : CLATTN_E_NOMEM;
    run->dwc_weight.memory = run->arrays[CHECK_ARRAY_DWC_WEIGHT];
    run->dwc_weight.count = part->arrays[CHECK_ARRAY_DWC_WEIGHT].count;
    run->dwc_bias.memory = run->arrays[CHECK_ARRAY_DWC_BIAS];
    run->dwc_bias.count = part->arrays[CHECK_ARRAY_DWC_BIAS].count;
    run->args = (clattn_agent_attention_args){
        .q = &run->q,
        .k = &run->k,
        .v = &run->v,
        .agents = desc->agents_given ? &run->agents : NULL,
        .bias = run->bias,
        .dwc_weight = desc->dwc_size > 0 ? &run->dwc_weight : NULL,
        .dwc_bias = desc->has_dwc_bias ? &run->dwc_bias : NULL,
        .out = &run->out,
    };
    return status;
}

static void end(Run *run)
{
    clattn_memory_free(run->ctx, &run->out.memory);
    clattn_agent_bias_destroy(&run->bias);
    for (int i = 0; i < CHECK_ARRAYS; i++)
        clattn_memory_free(run->ctx, &run->arrays[i]);
    free(run->host);
}

/*
 * Puts map order into window order: picture, window by window after the shift, tokens row by row.
 */
static void cut_windows(float *cut, const float *map, const clattn_agent_attention_desc *desc,
                        int64_t channels)
{
    const int64_t rows = desc->height / desc->window_height;
    const int64_t columns = desc->width / desc->window_width;
    const int64_t inner = desc->window_height * desc->window_width;
    for (int64_t i = 0; i < desc->batch * rows * columns * inner; i++) {
        const int64_t token = i % inner, window = i / inner % (rows * columns);
        const int64_t batch = i / inner / (rows * columns);
        const int64_t y =
            window / columns * desc->window_height + token / desc->window_width + desc->shift_y;
        const int64_t x =
            window % columns * desc->window_width + token % desc->window_width + desc->shift_x;
        const int64_t source =
            (batch * desc->height + y % desc->height) * desc->width + x % desc->width;
        memcpy(cut + i * channels, map + source * channels, (size_t)channels * sizeof *cut);
    }
}

clattn_status run_compare(const CheckPart *part, const float *map, const float *expected,
                          int64_t channels, bool in_windows, CheckDistance *distance)
{
    const int64_t count = part->desc.batch * part->q.tokens * channels;
    if (!in_windows) {
        *distance = check_distance(map, expected, count);
        return CLATTN_OK;
    }
    float *const cut = malloc((size_t)count * sizeof *cut);
    if (cut == NULL)
        return CLATTN_E_NOMEM;
    cut_windows(cut, map, &part->desc, channels);
    *distance = check_distance(cut, expected, count);
    free(cut);
    return CLATTN_OK;
}

/* Reads the output back, projects it, and compares it with the recorded one. */
static clattn_status judge(Run *run, CheckDistance *distance)
{
    const CheckPart *const part = run->part;
    const int64_t channels = part->desc.heads * part->desc.head_dim;
    const int64_t rows = part->desc.batch * part->q.tokens;
    clattn_status status = tensor_read(run->ctx, &run->out, run->host);
    if (status != CLATTN_OK)
        return status;
    if (part->proj_weight == NULL)
        return run_compare(part, run->host, part->expected, channels, part->in_windows, distance);
    float *const projected = malloc((size_t)(rows * part->proj_out) * sizeof *projected);
    if (projected == NULL)
        return CLATTN_E_NOMEM;
    check_linear(projected, run->host, part->proj_weight, part->proj_bias, rows, channels,
                 part->proj_out);
    status =
        run_compare(part, projected, part->expected, part->proj_out, part->in_windows, distance);
    free(projected);
    return status;
}

static clattn_status run_part(clattn_context *ctx, const CheckPart *part, check_intermediate tell,
                              void *user, CheckDistance *distance)
{
    Run run = {.ctx = ctx, .part = part};
    clattn_status status = begin(&run);
    if (status == CLATTN_OK && part->softmax)
        status = run_softmax(&run);
    else if (status == CLATTN_OK)
        status = run_agent(&run, clattn_agent_attention_plan, clattn_agent_attention_run,
                           &part->desc, &run.args);
    if (status == CLATTN_OK && part->softmax && part->desc.dwc_size > 0)
        status = run_dwc(&run);
    if (status == CLATTN_OK)
        status = judge(&run, distance);
    if (status == CLATTN_OK && tell != NULL && !part->softmax)
        status = run_steps(&run, tell, user);
    end(&run);
    return status;
}

void check_case_set_type(CheckCase *recorded, clattn_type type)
{
    for (int i = 0; i < recorded->part_count; i++) {
        recorded->parts[i].desc.type = type;
        recorded->parts[i].attention_desc.type = type;
    }
}

clattn_status check_case_run(clattn_context *ctx, const CheckCase *recorded,
                             check_intermediate tell, void *user, CheckDistance *worst)
{
    *worst = (CheckDistance){0};
    if (recorded->form == CHECK_SMOOTH)
        return run_smooth(ctx, recorded, tell, user, worst);
    clattn_status status = CLATTN_OK;
    for (int i = 0; i < recorded->part_count && status == CLATTN_OK; i++) {
        CheckDistance distance = {0};
        status = run_part(ctx, &recorded->parts[i], tell, user, &distance);
        worst->max_abs = fmax(worst->max_abs, distance.max_abs);
        worst->mean_abs = fmax(worst->mean_abs, distance.mean_abs);
        worst->relative_l2 = fmax(worst->relative_l2, distance.relative_l2);
        worst->max_value = fmax(worst->max_value, distance.max_value);
    }
    return status;
}
