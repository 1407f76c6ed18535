/* The whole of agent attention: its three steps on one chain, with the agents and what they gathered in scratch memory. */
#include "ops/plan.h"
#include "ops/steps.h"

enum { SCRATCH_AGENTS, SCRATCH_VA };

static uint64_t scratch_bytes(const clattn__shape *s, int64_t dim, clattn_type type)
{
    int64_t bytes;
    return clattn__mul(s->batch * s->windows * s->heads, s->agents, &bytes) &&
                   clattn__mul(bytes, dim * clattn__type_bytes(type), &bytes)
               ? (uint64_t)bytes
               : UINT64_MAX;
}

clattn_status clattn_agent_attention_plan(clattn_context *ctx,
                                          const clattn_agent_attention_desc *desc,
                                          clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "agent_attention", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    CLATTN_TRY(clattn__shape_make(&ctx->log, desc, &plan->shape));
    plan->desc = *desc;

    const clattn__shape *s = &plan->shape;
    const uint64_t agents = scratch_bytes(s, s->dim, desc->type);
    const uint64_t va = scratch_bytes(s, s->dim_v, desc->type);
    CLATTN_CHECK(&ctx->log, agents != UINT64_MAX && va != UINT64_MAX, CLATTN_E_SHAPE,
                 "%lld agents of %lld windows do not fit 64 bits", (long long)s->agents,
                 (long long)(s->batch * s->windows));
    plan->scratch[SCRATCH_AGENTS] = desc->agents_given ? 0 : agents;
    plan->scratch[SCRATCH_VA] = va;
    if (!desc->agents_given)
        CLATTN_TRY(clattn_agent_pool_plan(ctx, desc, &plan->children[CLATTN__CHILD_POOL]));
    CLATTN_TRY(clattn_agent_aggregate_plan(ctx, desc, &plan->children[CLATTN__CHILD_AGGREGATE]));
    CLATTN_TRY(clattn_agent_broadcast_plan(ctx, desc, &plan->children[CLATTN__CHILD_BROADCAST]));

    const clattn_plan_info *core = &plan->children[CLATTN__CHILD_AGGREGATE]->info;
    plan->info.leaf_tokens = core->leaf_tokens;
    plan->info.leaves = core->leaves;
    plan->info.work_group = core->work_group;
    plan->info.shape = core->shape;
out:
    return plan == NULL ? status : clattn__plan_finish(plan, status, out_plan);
}

/* Looks at every tensor before the first step runs, so that bad ones leave nothing enqueued and `out` untouched. */
static clattn_status check(const clattn_plan *plan, const clattn_agent_attention_args *args)
{
    clattn_status status = CLATTN_OK;
    const clattn_plan *aggregate = plan->children[CLATTN__CHILD_AGGREGATE];
    const clattn_plan *broadcast = plan->children[CLATTN__CHILD_BROADCAST];
    Attend a = aggregate->attend_args;
    Attend b = broadcast->attend_args;
    clattn__attend_bounds first = {0};
    clattn__attend_bounds last = {0};

    CLATTN_TRY(clattn__agent_aggregate_bind(aggregate, args, &a, &first));
    CLATTN_TRY(clattn__agent_broadcast_bind(broadcast, args, &b, &last));
    CLATTN_TRY(clattn__bind_disjoint(
        plan->ctx, (clattn__bound[]){first.q, first.k, first.v, first.key_bias, last.out}, 5));
out:
    return status;
}

clattn_status clattn__agent_attention_enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                              const void *opaque, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    clattn_agent_attention_args args = *(const clattn_agent_attention_args *)opaque;
    const clattn__shape *s = &plan->shape;
    const int64_t pictures = s->batch * s->windows;
    clattn_tensor agents =
        clattn_tensor_tokens(ws->scratch[SCRATCH_AGENTS], pictures, s->agents, s->heads, s->dim);
    clattn_tensor va =
        clattn_tensor_tokens(ws->scratch[SCRATCH_VA], pictures, s->agents, s->heads, s->dim_v);

    agents.type = va.type = plan->desc.type;
    CLATTN_TRY(clattn__bind_none(ctx, "va", args.va, "a step of its own for it"));
    args.va = &va;
    if (!plan->desc.agents_given) {
        CLATTN_TRY(clattn__bind_none(ctx, "agents", args.agents, "agents_given = 0"));
        args.agents = &agents;
    }
    CLATTN_TRY(check(plan, &args));
    if (!plan->desc.agents_given)
        CLATTN_TRY(clattn__agent_pool_enqueue(plan->children[CLATTN__CHILD_POOL],
                                              ws->children[CLATTN__CHILD_POOL], &args, chain));
    CLATTN_TRY(clattn__agent_aggregate_enqueue(plan->children[CLATTN__CHILD_AGGREGATE],
                                               ws->children[CLATTN__CHILD_AGGREGATE], &args,
                                               chain));
    CLATTN_TRY(clattn__agent_broadcast_enqueue(plan->children[CLATTN__CHILD_BROADCAST],
                                               ws->children[CLATTN__CHILD_BROADCAST], &args,
                                               chain));
out:
    return status;
}

clattn_status clattn_agent_attention_run(const clattn_plan *plan, clattn_workspace *ws,
                                         const clattn_agent_attention_args *args,
                                         const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "agent_attention", clattn__agent_attention_enqueue);
}

clattn_status clattn__agent_attention_part(clattn_plan *plan, clattn_workspace *ws, int64_t batch,
                                           const clattn_agent_attention_args *args,
                                           const clattn__pacer *pacer)
{
    clattn__chain chain;

    clattn__plan_set_batch(plan, batch);
    clattn__chain_begin(&chain, plan->ctx, NULL);
    chain.pacer = pacer;
    return clattn__chain_end(&chain, clattn__agent_attention_enqueue(plan, ws, args, &chain));
}

double clattn__agent_attention_flops(const clattn_plan *plan)
{
    const clattn__shape *s = &plan->shape;
    const double tokens = (double)s->q_tokens + (double)s->k_tokens;
    const double taps = (double)(plan->desc.dwc_size * plan->desc.dwc_size);
    const double attend = 2.0 * tokens * (double)s->agents * (double)(s->dim + s->dim_v);
    return (double)s->heads * (attend + tokens * (double)s->dim + 2.0 * taps * tokens * s->dim_v);
}
