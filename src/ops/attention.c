/* Ordinary softmax attention: stage 2's core with keys where the agents were. */
#include <inttypes.h>
#include <math.h>

#include "ops/host.h"
#include "ops/plan.h"

clattn_status clattn_attention_plan(clattn_context *ctx, const clattn_attention_desc *desc,
                                    clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "attention", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    plan->attention_desc = *desc;
    clattn_attention_desc *d = &plan->attention_desc;
    d->head_dim_v = d->head_dim_v != 0 ? d->head_dim_v : d->head_dim;
    CLATTN_TRY(clattn__check_heads(&ctx->log, d->batch, d->heads, d->head_dim, d->head_dim_v));
    CLATTN_CHECK(&ctx->log,
                 d->queries >= 1 && d->queries <= INT32_MAX && d->keys >= 1 && d->keys <= INT32_MAX,
                 CLATTN_E_SHAPE,
                 "queries is %" PRId64 " and keys %" PRId64 "; each must be 1 to %d", d->queries,
                 d->keys, INT32_MAX);
    CLATTN_CHECK(&ctx->log, d->batch <= INT32_MAX / d->heads, CLATTN_E_SHAPE,
                 "batch %" PRId64 " x heads %" PRId64 " are more than %d", d->batch, d->heads,
                 INT32_MAX);
    CLATTN_CHECK(&ctx->log, isfinite(d->scale), CLATTN_E_ARG, "scale is %g; it must be finite",
                 (double)d->scale);
    CLATTN_TRY(clattn__check_type(&ctx->log, d->type));
    CLATTN_TRY(
        clattn__check_reserved(&ctx->log, d->reserved, sizeof d->reserved / sizeof *d->reserved));

    const float scale = d->scale != 0.0f ? d->scale : 1.0f / sqrtf((float)d->head_dim);
    plan->attend_args = (Attend){.q_grid = clattn__grid_line(d->queries),
                                 .k_grid = clattn__grid_line(d->keys),
                                 .heads = (i32)d->heads,
                                 .windows = 1,
                                 .queries = (i32)d->queries,
                                 .keys = (i32)d->keys,
                                 .dim = (i32)d->head_dim,
                                 .dim_v = (i32)d->head_dim_v,
                                 .scale = scale * CLATTN__LOG2E,
                                 .out_scale = 1.0f,
                                 .has_key_bias = d->has_key_bias != 0,
                                 .leaf_tokens = (i32)d->keys,
                                 .leaves = 1};
    plan->desc.type = d->type;
    CLATTN_TRY(clattn__attend_plan(plan, 2, d->batch));
out:
    return plan == NULL
               ? status
               : clattn__plan_finish(plan, clattn__host_plan(plan, desc, status), out_plan);
}

static clattn_status enqueue(const clattn_plan *plan, clattn_workspace *ws, const void *opaque,
                             clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const clattn_attention_args *args = opaque;
    clattn_context *ctx = plan->ctx;
    const clattn_attention_desc *d = &plan->attention_desc;
    clattn__attend_bounds b = {0};
    Attend a = plan->attend_args;
    clattn__want queries = {.name = "q",
                            .type = d->type,
                            .batch = d->batch,
                            .tokens = d->queries,
                            .heads = d->heads,
                            .dim = d->head_dim};
    clattn__want keys = queries;

    keys.name = "k";
    keys.tokens = d->keys;
    if (plan->host != NULL)
        return clattn__host_run(plan, ws, opaque, chain);
    CLATTN_TRY(clattn__bind(ctx, args->q, &queries, &b.q));
    CLATTN_TRY(clattn__bind(ctx, args->k, &keys, &b.k));
    keys.name = "v";
    keys.dim = d->head_dim_v;
    CLATTN_TRY(clattn__bind(ctx, args->v, &keys, &b.v));
    if (a.has_key_bias) {
        keys.name = "key_bias";
        keys.type = CLATTN_F32;
        keys.dim = 1;
        CLATTN_TRY(clattn__bind(ctx, args->key_bias, &keys, &b.key_bias));
    } else {
        CLATTN_TRY(clattn__bind_none(ctx, "key_bias", args->key_bias, "has_key_bias = 0"));
    }
    queries.name = "out";
    queries.dim = d->head_dim_v;
    queries.write = true;
    CLATTN_TRY(clattn__bind(ctx, args->out, &queries, &b.out));
    CLATTN_TRY(clattn__bind_disjoint(ctx, (clattn__bound[]){b.q, b.k, b.v, b.key_bias, b.out}, 5));

    a.q = b.q.view;
    a.k = b.k.view;
    a.v = b.v.view;
    a.key_bias = b.key_bias.view;
    a.out = b.out.view;
    CLATTN_TRY(clattn__attend_enqueue(plan, ws, a, &b, chain));
out:
    return status;
}

clattn_status clattn_attention_run(const clattn_plan *plan, clattn_workspace *ws,
                                   const clattn_attention_args *args, const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "attention", enqueue);
}
