/*
 * The steps of agent attention one by one, to see where an error comes in: `clattn check
 * --verbose`.
 */
#include "check/run.h"

#include <stdlib.h>

/* The tensors between the steps, laid out as the file has them; they own their memory. */
typedef struct Steps {
    clattn_tensor agents, va;
    clattn_agent_attention_args args;
    int64_t problems; /* pictures times windows */
} Steps;

static clattn_status tell_tensor(Run *run, const clattn_tensor *tensor, const float *expected,
                                 const char *name, check_intermediate tell, void *user)
{
    if (expected == NULL)
        return CLATTN_OK;
    const int64_t count = tensor_count(tensor);
    float *const values = malloc((size_t)count * sizeof *values);
    if (values == NULL)
        return CLATTN_E_NOMEM;
    const clattn_status status = tensor_read(run->ctx, tensor, values);
    if (status == CLATTN_OK) {
        const CheckDistance distance = check_distance(values, expected, count);
        tell(user, name, &distance);
    }
    free(values);
    return status;
}

static clattn_status pool(Run *run, Steps *steps, check_intermediate tell, void *user)
{
    const clattn_agent_attention_desc *const desc = &run->part->desc;
    const CheckResult *const recorded = &run->part->agent_tokens;
    const clattn_memory none = {0};
    const int64_t agents = desc->agent_height * desc->agent_width;
    steps->args.agents = &run->agents;
    if (desc->agents_given)
        return CLATTN_OK;
    steps->agents =
        recorded->heads_first
            ? clattn_tensor_heads(none, steps->problems, agents, desc->heads, desc->head_dim)
            : clattn_tensor_tokens(none, steps->problems, agents, desc->heads, desc->head_dim);
    steps->agents.type = desc->type;
    steps->args.agents = &steps->agents;
    clattn_status status = tensor_make(run->ctx, &steps->agents);
    if (status == CLATTN_OK)
        status = run_agent(run, clattn_agent_pool_plan, clattn_agent_pool_run, desc, &steps->args);
    if (status == CLATTN_OK)
        status = tell_tensor(run, &steps->agents, recorded->values, "agent_tokens", tell, user);
    return status;
}

static clattn_status aggregate(Run *run, Steps *steps, check_intermediate tell, void *user)
{
    const clattn_agent_attention_desc *const desc = &run->part->desc;
    const clattn_memory none = {0};
    steps->va = clattn_tensor_heads(none, steps->problems, desc->agent_height * desc->agent_width,
                                    desc->heads, desc->head_dim);
    steps->va.type = desc->type;
    steps->args.va = &steps->va;
    clattn_status status = tensor_make(run->ctx, &steps->va);
    if (status == CLATTN_OK)
        status = run_agent(run, clattn_agent_aggregate_plan, clattn_agent_aggregate_run, desc,
                           &steps->args);
    if (status == CLATTN_OK)
        status = tell_tensor(run, &steps->va, run->part->agent_v.values, "agent_v", tell, user);
    return status;
}

static clattn_status broadcast(Run *run, Steps *steps, check_intermediate tell, void *user)
{
    const CheckPart *const part = run->part;
    clattn_agent_attention_desc desc = part->desc;
    CheckDistance distance = {0};
    if (part->attn_out.values == NULL)
        return CLATTN_OK;
    if (!part->attn_out_has_dwc) {
        desc.dwc_size = 0;
        desc.has_dwc_bias = 0;
        steps->args.dwc_weight = steps->args.dwc_bias = NULL;
    }
    clattn_status status = run_agent(run, clattn_agent_broadcast_plan, clattn_agent_broadcast_run,
                                     &desc, &steps->args);
    if (status == CLATTN_OK)
        status = tensor_read(run->ctx, &run->out, run->host);
    if (status == CLATTN_OK)
        status = run_compare(part, run->host, part->attn_out.values, desc.heads * desc.head_dim,
                             steps->problems > desc.batch, &distance);
    if (status == CLATTN_OK)
        tell(user, "attn_out", &distance);
    return status;
}

clattn_status run_steps(Run *run, check_intermediate tell, void *user)
{
    const clattn_agent_attention_desc *const desc = &run->part->desc;
    Steps steps = {.args = run->args, .problems = desc->batch};
    if (desc->window_height > 0)
        steps.problems *= (desc->height / desc->window_height) * (desc->width / desc->window_width);
    clattn_status status = pool(run, &steps, tell, user);
    if (status == CLATTN_OK)
        status = aggregate(run, &steps, tell, user);
    if (status == CLATTN_OK)
        status = broadcast(run, &steps, tell, user);
    clattn_memory_free(run->ctx, &steps.agents.memory);
    clattn_memory_free(run->ctx, &steps.va.memory);
    return status;
}
