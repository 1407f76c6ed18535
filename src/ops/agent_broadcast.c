/*
 * Stage 2: every token reads from the agents. The depthwise convolution and the shortcut are its epilogue where the
 * convolution is small and v lies on the query map; else they run after it as a dwc that adds to the output.
 */
#include "ops/bias.h"
#include "ops/host.h"
#include "ops/plan.h"
#include "ops/steps.h"

enum { CHILD_DWC };

/* The kernels' epilogue keeps the weights of at most this side in registers or private memory. */
#define FUSED_DWC 5

static bool fused(const clattn_plan *plan)
{
    return plan->desc.dwc_size <= FUSED_DWC && !plan->shape.resized;
}

static bool needs_v(const clattn_plan *plan)
{
    return plan->desc.dwc_size > 0 || plan->desc.v_shortcut != 0.0f;
}

static clattn_status plan_dwc(clattn_plan *plan)
{
    const clattn_agent_attention_desc *d = &plan->desc;
    const clattn__shape *s = &plan->shape;
    const clattn_dwc_desc dwc = {.batch = s->batch,
                                 .heads = s->heads,
                                 .head_dim = s->dim_v,
                                 .height = d->height,
                                 .width = d->width,
                                 .in_height = s->k_grid.height,
                                 .in_width = s->k_grid.width,
                                 .class_tokens = d->class_tokens,
                                 .window_height = d->window_height,
                                 .window_width = d->window_width,
                                 .shift_y = d->shift_y,
                                 .shift_x = d->shift_x,
                                 .size = d->dwc_size > 0 ? d->dwc_size : 1,
                                 .has_bias = d->has_dwc_bias,
                                 .accumulate = 1,
                                 .type = d->type};
    clattn_status status = clattn_dwc_plan(plan->ctx, &dwc, &plan->children[CHILD_DWC]);
    /* The shortcut is no part of the public convolution, but its kernel adds it on the way; size 0 does just that. */
    for (clattn_plan *p = plan->children[CHILD_DWC]; p != NULL; p = p->host) {
        p->dwc_args.shortcut = d->v_shortcut;
        p->dwc_args.size = (i32)d->dwc_size;
    }
    return status;
}

clattn_status clattn_agent_broadcast_plan(clattn_context *ctx,
                                          const clattn_agent_attention_desc *desc,
                                          clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "agent_broadcast", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    CLATTN_TRY(clattn__shape_make(&ctx->log, desc, &plan->shape));
    plan->desc = *desc;

    const clattn__shape *s = &plan->shape;
    const bool fuse = fused(plan);
    plan->attend_args = (Attend){.q_grid = s->q_grid,
                                 .k_grid = s->agent_grid,
                                 .heads = (i32)s->heads,
                                 .windows = (i32)s->windows,
                                 .queries = s->q_grid.tokens,
                                 .keys = (i32)s->agents,
                                 .dim = (i32)s->dim,
                                 .dim_v = (i32)s->dim_v,
                                 .scale = s->scale_broadcast * CLATTN__LOG2E,
                                 .out_scale = 1.0f,
                                 .shortcut = fuse ? desc->v_shortcut : 0.0f,
                                 .has_key_bias = desc->has_agent_vector != 0,
                                 .dwc_size = fuse ? (i32)desc->dwc_size : 0,
                                 .has_dwc_bias = fuse && desc->has_dwc_bias,
                                 .leaf_tokens = (i32)s->agents,
                                 .leaves = 1};
    CLATTN_TRY(clattn__attend_plan(plan, 2, s->batch));
    if (needs_v(plan) && !fuse)
        CLATTN_TRY(plan_dwc(plan));
out:
    return plan == NULL
               ? status
               : clattn__plan_finish(plan, clattn__host_plan(plan, desc, status), out_plan);
}

/* v, and the convolution's weights, where the plan uses them. */
static clattn_status bind_tap(const clattn_plan *plan, const clattn_agent_attention_args *args,
                              clattn__attend_bounds *b)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__shape *s = &plan->shape;
    const int64_t channels = s->heads * s->dim_v;
    const int64_t taps = plan->desc.dwc_size * plan->desc.dwc_size;

    if (needs_v(plan))
        CLATTN_TRY(clattn__bind(ctx, args->v,
                                &(clattn__want){.name = "v",
                                                .type = plan->desc.type,
                                                .batch = s->batch,
                                                .tokens = s->k_tokens,
                                                .heads = s->heads,
                                                .dim = s->dim_v,
                                                .grid = &s->k_grid},
                                &b->tap));
    if (taps > 0)
        CLATTN_TRY(clattn__bind_array(ctx, "dwc_weight", args->dwc_weight, channels * taps,
                                      &b->dwc_weight));
    else
        CLATTN_TRY(clattn__bind_none(ctx, "dwc_weight", args->dwc_weight, "dwc_size = 0"));
    if (plan->desc.has_dwc_bias)
        CLATTN_TRY(clattn__bind_array(ctx, "dwc_bias", args->dwc_bias, channels, &b->dwc_bias));
    else
        CLATTN_TRY(clattn__bind_none(ctx, "dwc_bias", args->dwc_bias, "has_dwc_bias = 0"));
out:
    return status;
}

clattn_status clattn__agent_broadcast_bind(const clattn_plan *plan,
                                           const clattn_agent_attention_args *args, Attend *a,
                                           clattn__attend_bounds *b)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__shape *s = &plan->shape;
    clattn__want tokens = {.name = "q",
                           .type = plan->desc.type,
                           .batch = s->batch,
                           .tokens = s->q_tokens,
                           .heads = s->heads,
                           .dim = s->dim,
                           .grid = &s->q_grid};
    clattn__want agents = {.name = "agents",
                           .type = plan->desc.type,
                           .batch = s->batch * s->windows,
                           .tokens = s->agents,
                           .heads = s->heads,
                           .dim = s->dim,
                           .windows = s->windows};

    CLATTN_TRY(clattn__bind(ctx, args->q, &tokens, &b->q));
    CLATTN_TRY(clattn__bind(ctx, args->agents, &agents, &b->k));
    agents.name = "va";
    agents.dim = s->dim_v;
    CLATTN_TRY(clattn__bind(ctx, args->va, &agents, &b->v));
    if (a->has_key_bias) {
        agents.name = "agent_vector";
        agents.type = CLATTN_F32;
        agents.dim = 1;
        CLATTN_TRY(clattn__bind(ctx, args->agent_vector, &agents, &b->key_bias));
    } else {
        CLATTN_TRY(
            clattn__bind_none(ctx, "agent_vector", args->agent_vector, "has_agent_vector = 0"));
    }
    CLATTN_TRY(
        clattn__agent_bias_bind(ctx, args->bias, plan->desc.has_bias, s, 2, &a->bias, &b->bias));
    CLATTN_TRY(bind_tap(plan, args, b));
    tokens.name = "out";
    tokens.dim = s->dim_v;
    tokens.write = true;
    CLATTN_TRY(clattn__bind(ctx, args->out, &tokens, &b->out));
    CLATTN_TRY(clattn__bind_disjoint(ctx,
                                     (clattn__bound[]){b->q, b->k, b->v, b->key_bias, b->tap,
                                                       b->dwc_weight, b->dwc_bias, b->out},
                                     8));

    a->q = b->q.view;
    a->k = b->k.view;
    a->v = b->v.view;
    a->key_bias = b->key_bias.view;
    a->tap = b->tap.view;
    a->out = b->out.view;
    a->q_grid.linear = s->windows == 1 && a->q_grid.shift_y == 0 && a->q_grid.shift_x == 0 &&
                       b->q.linear && b->out.linear && (b->tap.linear || !needs_v(plan));
    a->dwc_weight_offset = b->dwc_weight.view.offset;
    a->dwc_bias_offset = b->dwc_bias.view.offset;
out:
    return status;
}

clattn_status clattn__agent_broadcast_enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                              const void *opaque, clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const clattn_agent_attention_args *args = opaque;
    clattn__attend_bounds b = {0};
    Attend a = plan->attend_args;

    if (plan->host != NULL)
        return clattn__host_run(plan, ws, opaque, chain);
    CLATTN_TRY(clattn__agent_broadcast_bind(plan, args, &a, &b));
    CLATTN_TRY(clattn__attend_enqueue(plan, ws, a, &b, chain));
    if (plan->children[CHILD_DWC] != NULL) {
        const clattn_dwc_args dwc = {
            .v = args->v, .weight = args->dwc_weight, .bias = args->dwc_bias, .out = args->out};
        CLATTN_TRY(
            clattn__dwc_enqueue(plan->children[CHILD_DWC], ws->children[CHILD_DWC], &dwc, chain));
    }
out:
    return status;
}

clattn_status clattn_agent_broadcast_run(const clattn_plan *plan, clattn_workspace *ws,
                                         const clattn_agent_attention_args *args,
                                         const clattn_sync *sync)
{
    return clattn__run(plan, ws, args, sync, "agent_broadcast", clattn__agent_broadcast_enqueue);
}

/* (token, head, dim) without gaps, `width` tokens per row. */
static View rows_of(const Attend *a, i32 dim, int64_t width)
{
    const i64 channels = (i64)a->heads * dim;
    return (View){.head = dim, .row = width * channels, .token = channels};
}

/* The tile's tokens: a rectangle, or class tokens alone. What lies around it in memory never wraps. */
static Grid tile_grid(const clattn__broadcast_tile *t)
{
    const bool map = t->class_count == 0;
    Grid grid = clattn__grid_rect(map ? t->height : 1, map ? t->width : 1);
    if (!map)
        grid.tokens = grid.class_tokens = (i32)t->class_count;
    grid.linear = !map || t->v_width == t->width;
    return grid;
}

static void tile_bias(const clattn__steps *steps, const clattn__broadcast_tile *t, Bias *bias)
{
    if (t->class_count > 0)
        clattn__bias_from(bias, t->class_first);
    else if (t->width == steps->problem.width)
        clattn__bias_from(bias, steps->problem.class_tokens + t->y * t->width);
    else
        clattn__bias_rect(bias, t->y, t->x, t->width);
}

/* v of the tile's first token, in a rectangle of its map. */
static View tile_view(const Attend *a, const clattn__broadcast_tile *t, i32 dim)
{
    View view = rows_of(a, dim, t->v_width);
    if (t->class_count == 0)
        view.offset = (t->y - t->v_y) * view.row + (t->x - t->v_x) * view.token;
    return view;
}

/* What is not fused: large or resized convolutions. */
static clattn_status step_dwc(clattn__steps *steps, const clattn__broadcast_tile *t,
                              clattn__chain *chain)
{
    const clattn_plan *plan = steps->plan->children[CLATTN__CHILD_BROADCAST];
    const clattn_workspace *ws = steps->ws->children[CLATTN__CHILD_BROADCAST];
    const clattn__steps_problem *problem = &steps->problem;
    const bool resized = plan->shape.resized;
    const Attend *at = &plan->attend_args;
    Dwc a = plan->children[CHILD_DWC]->dwc_args;

    a.grid = tile_grid(t);
    a.grid.linear = 0;
    a.out = rows_of(at, a.dim, t->width);
    a.v = resized ? rows_of(at, a.dim, t->v_width) : tile_view(at, t, a.dim);
    a.halo = t->halo;
    a.map_h = problem->height;
    a.map_w = problem->width;
    a.top = (i32)t->y;
    a.left = (i32)t->x;
    a.v_h = problem->kv_height;
    a.v_w = problem->kv_width;
    a.v_top = (i32)t->v_y;
    a.v_left = (i32)t->v_x;
    return clattn__dwc_tile(plan->children[CHILD_DWC], ws->children[CHILD_DWC], &a, t->v,
                            t->dwc_weight, t->dwc_bias, t->out, chain);
}

clattn_status clattn__step_broadcast_tile(clattn__steps *steps, const clattn__broadcast_tile *t)
{
    clattn_status status = CLATTN_OK;
    const clattn_plan *plan = steps->plan->children[CLATTN__CHILD_BROADCAST];
    const bool fuse = plan->children[CHILD_DWC] == NULL;
    clattn__attend_bounds b = {.q.memory = t->q,
                               .k.memory = t->agents,
                               .v.memory = t->va,
                               .key_bias.memory = t->agent_vector,
                               .tap.memory = t->v,
                               .dwc_weight.memory = t->dwc_weight,
                               .dwc_bias.memory = t->dwc_bias,
                               .out.memory = t->out};
    clattn__chain chain;
    Attend a = plan->attend_args;

    a.q_grid = tile_grid(t);
    a.queries = a.q_grid.tokens;
    a.q = rows_of(&a, a.dim, t->width);
    a.out = rows_of(&a, a.dim_v, t->width);
    a.k = rows_of(&a, a.dim, a.keys);
    a.v = rows_of(&a, a.dim_v, a.keys);
    a.key_bias = rows_of(&a, 1, a.keys);
    if (fuse && needs_v(plan)) {
        a.tap = tile_view(&a, t, a.dim_v);
        a.halo = t->halo;
    } else {
        a.q_grid.linear = 1;
    }
    clattn__agent_bias_stage(t->bias, 2, &a.bias, &b.bias);
    if (t->bias != NULL)
        tile_bias(steps, t, &a.bias);
    clattn__steps_chain(steps, &chain);
    CLATTN_TRY(clattn__attend_blocks(plan, steps->ws->children[CLATTN__CHILD_BROADCAST], &a, &b,
                                     clattn__ceil_div(a.queries, plan->attend.query_block),
                                     &chain));
    if (!fuse)
        CLATTN_TRY(step_dwc(steps, t, &chain));
out:
    return clattn__chain_end(&chain, status);
}
