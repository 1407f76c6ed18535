/*
 * The smoothing filter: features of the picture, agents pooled from them, `rounds` of agent aggregation of the features
 * themselves, one of the colours, and the broadcast. -|f|^2 / 2 and -|a|^2 / 2 ride along as key vectors.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cl/device.h"
#include "cl/tune_rows.h"
#include "cpu/cpu.h"
#include "ops/plan.h"
#include "ops/steps.h"

enum { KERNEL_FEATURES, KERNEL_NORMS };
enum {
    SCRATCH_FEATURES,
    SCRATCH_NORMS,
    SCRATCH_AGENTS,
    SCRATCH_REFINED,
    SCRATCH_AGENT_NORMS,
    SCRATCH_VA
};

/* Neighbouring pixels of a work-group: all of it. */
#define PICTURE_ROW 64

/* Norms are cut into launches of whole blocks of so many rows. */
#define NORM_ROWS CLATTN__CPU_QUERY_BLOCK

/* Pixels per work-item of smooth_features_wide. */
#define PICTURE_SEGMENT 128

#define DEFAULT_AGENTS      24
#define DEFAULT_SIGMA_COLOR 0.08f
#define DEFAULT_SIGMA_SPACE 0.04f
#define DEFAULT_ROUNDS      3

clattn_status clattn__smooth_check(const clattn_log *log, const clattn_smooth_desc *d)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, (d->agent_height == 0) == (d->agent_width == 0), CLATTN_E_ARG,
                 "agents are %" PRId64 " x %" PRId64 "; give both sides, or 0 x 0 for %d x %d",
                 d->agent_height, d->agent_width, DEFAULT_AGENTS, DEFAULT_AGENTS);
    CLATTN_CHECK(log, isfinite(d->sigma_color) && d->sigma_color >= 0.0f, CLATTN_E_ARG,
                 "sigma_color is %g; it must be above 0, or 0 for %g", (double)d->sigma_color,
                 (double)DEFAULT_SIGMA_COLOR);
    CLATTN_CHECK(log, isfinite(d->sigma_space) && d->sigma_space >= 0.0f, CLATTN_E_ARG,
                 "sigma_space is %g; it must be above 0, or 0 for %g", (double)d->sigma_space,
                 (double)DEFAULT_SIGMA_SPACE);
    CLATTN_CHECK(log, d->rounds_plus_one >= 0 && d->rounds_plus_one <= 1001, CLATTN_E_ARG,
                 "rounds_plus_one is %d; it must be 1 to 1001, or 0 for %d rounds",
                 (int)d->rounds_plus_one, DEFAULT_ROUNDS);
    CLATTN_CHECK(log, d->detail >= 0.0f && d->detail <= 1.0f, CLATTN_E_ARG,
                 "detail is %g; it must be 0 to 1", (double)d->detail);
    CLATTN_TRY(clattn__check_reserved(log, d->reserved, sizeof d->reserved / sizeof *d->reserved));
out:
    return status;
}

static clattn_agent_attention_desc core_desc(const clattn_smooth_desc *d, int64_t dim_v)
{
    return (clattn_agent_attention_desc){
        .batch = 1,
        .heads = 1,
        .head_dim = CLATTN__FEATURE,
        .head_dim_v = dim_v,
        .height = d->height,
        .width = d->width,
        .agent_height = d->agent_height != 0 ? d->agent_height : DEFAULT_AGENTS,
        .agent_width = d->agent_width != 0 ? d->agent_width : DEFAULT_AGENTS,
        .has_key_bias = 1,
        .has_agent_vector = 1,
        .scale_aggregate = 1.0f,
        .scale_broadcast = 1.0f,
        .v_shortcut = dim_v == CLATTN__COLOUR ? d->detail : 0.0f};
}

void clattn__smooth_features_of(clattn_plan *plan, const clattn_smooth_desc *desc)
{
    const float color = desc->sigma_color != 0.0f ? desc->sigma_color : DEFAULT_SIGMA_COLOR;
    const float space = desc->sigma_space != 0.0f ? desc->sigma_space : DEFAULT_SIGMA_SPACE;
    const int64_t longer = desc->height > desc->width ? desc->height : desc->width;

    plan->features_args =
        (Features){.height = (i32)desc->height,
                   .width = (i32)desc->width,
                   .map_h = (i32)desc->height,
                   .map_w = (i32)desc->width,
                   .inv_sigma_color = 1.0f / color,
                   .inv_sigma_space = (float)(1.0 / ((double)longer * (double)space))};
}

clattn_agent_attention_desc clattn__smooth_core(const clattn_smooth_desc *desc)
{
    return core_desc(desc, CLATTN__COLOUR);
}

int32_t clattn__smooth_rounds(const clattn_smooth_desc *desc)
{
    return desc->rounds_plus_one != 0 ? desc->rounds_plus_one - 1 : DEFAULT_ROUNDS;
}

/* The items of smooth_features, or of smooth_features_wide. */
static void feature_items(const clattn_plan *plan, const Features *args, size_t items[3])
{
    const bool wide = plan->ctx->params.shape == CLATTN_SHAPE_WIDE;
    items[0] = (size_t)(wide ? clattn__ceil_div(args->width, PICTURE_SEGMENT) : args->width);
    items[1] = (size_t)args->height;
    items[2] = 1;
}

/* A kernel of the filter's own: of smooth.cl, or in the wide shape the one of smooth_wide.cl, whose work-groups are single items. */
static clattn_status plan_kernel(clattn_plan *plan, int index, const char *name,
                                 const char *wide_name, const clattn__trial *trial)
{
    if (plan->ctx->params.shape != CLATTN_SHAPE_WIDE)
        return clattn__plan_items(plan, index, "smooth", name, "", PICTURE_ROW, trial);

    clattn__kernel_spec wide = {.file = "smooth_wide", .name = wide_name, .local = {1, 1, 1}};
    snprintf(wide.options, sizeof wide.options, "-DWIDTH=%d -DSEGMENT=%d",
             clattn__vector_floats(plan->ctx->device.vector_width), PICTURE_SEGMENT);
    return clattn__plan_kernel(plan, index, &wide, trial);
}

static clattn_status plan_kernels(clattn_plan *plan)
{
    clattn_status status = CLATTN_OK;
    Features no_picture = plan->features_args;
    clattn__trial picture = {.nothing = &no_picture, .bytes = sizeof no_picture, .buffers = 3};
    const Norms no_rows = {.count = 0, .dim = CLATTN__FEATURE};
    const clattn__trial rows = {.nothing = &no_rows,
                                .bytes = sizeof no_rows,
                                .buffers = 2,
                                .items = {(size_t)plan->shape.agents, 1, 1}};

    feature_items(plan, &no_picture, picture.items);
    no_picture.width = 0;
    CLATTN_TRY(
        plan_kernel(plan, KERNEL_FEATURES, "smooth_features", "smooth_features_wide", &picture));
    CLATTN_TRY(plan_kernel(plan, KERNEL_NORMS, "smooth_norms", "smooth_norms_wide", &rows));
out:
    return status;
}

clattn_status clattn_smooth_plan(clattn_context *ctx, const clattn_smooth_desc *desc,
                                 clattn_plan **out_plan)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *plan = NULL;

    CLATTN_TRY(clattn__plan_new(ctx, desc, "smooth", out_plan));
    plan = *out_plan;
    *out_plan = NULL;
    CLATTN_TRY(clattn__smooth_check(&ctx->log, desc));
    const clattn_agent_attention_desc refine = core_desc(desc, CLATTN__FEATURE);
    const clattn_agent_attention_desc colours = core_desc(desc, CLATTN__COLOUR);
    CLATTN_TRY(clattn__shape_make(&ctx->log, &colours, &plan->shape));
    plan->rounds = clattn__smooth_rounds(desc);

    clattn__smooth_features_of(plan, desc);
    const uint64_t row = sizeof(float);
    const uint64_t pixels = (uint64_t)plan->shape.q_tokens;
    const uint64_t agents = (uint64_t)plan->shape.agents;
    plan->scratch[SCRATCH_FEATURES] = pixels * CLATTN__FEATURE * row;
    plan->scratch[SCRATCH_NORMS] = pixels * row;
    plan->scratch[SCRATCH_AGENTS] = agents * CLATTN__FEATURE * row;
    plan->scratch[SCRATCH_REFINED] = agents * CLATTN__FEATURE * row;
    plan->scratch[SCRATCH_AGENT_NORMS] = agents * row;
    plan->scratch[SCRATCH_VA] = agents * CLATTN__COLOUR * row;
    if (!clattn_context_is_cpu(ctx))
        CLATTN_TRY(plan_kernels(plan));
    CLATTN_TRY(clattn_agent_pool_plan(ctx, &colours, &plan->children[CLATTN__CHILD_POOL]));
    CLATTN_TRY(clattn_agent_aggregate_plan(ctx, &refine, &plan->children[CLATTN__CHILD_REFINE]));
    CLATTN_TRY(
        clattn_agent_aggregate_plan(ctx, &colours, &plan->children[CLATTN__CHILD_AGGREGATE]));
    CLATTN_TRY(
        clattn_agent_broadcast_plan(ctx, &colours, &plan->children[CLATTN__CHILD_BROADCAST]));
    /* result = out + detail * (input - out): the broadcast's output shrinks as its shortcut grows. */
    plan->children[CLATTN__CHILD_BROADCAST]->attend_args.out_scale = 1.0f - desc->detail;

    const clattn_plan_info *core = &plan->children[CLATTN__CHILD_AGGREGATE]->info;
    plan->info = *core;
    plan->info.scratch_bytes = 0;
    plan->info.launches = 2 + plan->children[CLATTN__CHILD_REFINE]->info.launches;
    for (int32_t i = 1; i < plan->rounds; i++)
        plan->info.launches += plan->children[CLATTN__CHILD_REFINE]->info.launches;
out:
    return plan == NULL ? status : clattn__plan_finish(plan, status, out_plan);
}

typedef struct cpu_job {
    const clattn__cpu_ops *ops;
    const Features *features;
    const Norms *norms;
    const float *in;
    float *out;
    float *out_norms; /* of features */
} cpu_job;

static void cpu_features(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->smooth_features(job->features, job->in, job->out, job->out_norms, i);
}

static void cpu_norms(void *arg, int64_t i)
{
    const cpu_job *job = arg;
    job->ops->smooth_norms(job->norms, job->in, job->out, i);
}

static clattn_status features(const clattn_plan *plan, const clattn_workspace *ws,
                              const Features *args, const clattn_memory *rgb,
                              const clattn_memory *out, const clattn_memory *out_norms,
                              clattn__chain *chain)
{
    if (plan->ctx->cpu != NULL) {
        cpu_job job = {.ops = plan->ctx->cpu->ops,
                       .features = args,
                       .in = rgb->host,
                       .out = out->host,
                       .out_norms = out_norms->host};
        clattn__cpu_for(plan->ctx, args->height, cpu_features, &job);
        return CLATTN_OK;
    }
    size_t items[3];
    feature_items(plan, args, items);
    return clattn__launch(chain, ws, KERNEL_FEATURES, args, sizeof *args,
                          (cl_mem[]){rgb->mem, out->mem, out_norms->mem}, 3, items);
}

static clattn_status norms(const clattn_plan *plan, const clattn_workspace *ws,
                           const clattn_memory *rows, int64_t first, int64_t count,
                           const clattn_memory *out, clattn__chain *chain)
{
    const Norms args = {.first = first, .count = count, .dim = CLATTN__FEATURE};
    if (plan->ctx->cpu != NULL) {
        cpu_job job = {
            .ops = plan->ctx->cpu->ops, .norms = &args, .in = rows->host, .out = out->host};
        clattn__cpu_for(plan->ctx, (count + CLATTN__CPU_QUERY_BLOCK - 1) / CLATTN__CPU_QUERY_BLOCK,
                        cpu_norms, &job);
        return CLATTN_OK;
    }
    const size_t items[3] = {(size_t)count, 1, 1};
    return clattn__launch(chain, ws, KERNEL_NORMS, &args, sizeof args,
                          (cl_mem[]){rows->mem, out->mem}, 2, items);
}

/* What smooth_run's arguments become on the way to the enqueue. */
typedef struct smooth_args {
    const clattn_tensor *input, *output, *agents;
} smooth_args;

static clattn_status bind(const clattn_plan *plan, const smooth_args *args, Features *features_args,
                          clattn__bound b[3])
{
    clattn_status status = CLATTN_OK;
    const clattn__shape *s = &plan->shape;
    clattn__want want = {.name = "input",
                         .batch = 1,
                         .tokens = s->q_tokens,
                         .heads = 1,
                         .dim = CLATTN__COLOUR,
                         .grid = &s->q_grid};

    CLATTN_TRY(clattn__bind(plan->ctx, args->input, &want, &b[0]));
    want.name = "output";
    want.write = true;
    CLATTN_TRY(clattn__bind(plan->ctx, args->output, &want, &b[1]));
    if (args->agents != NULL)
        CLATTN_TRY(clattn__bind(plan->ctx, args->agents,
                                &(clattn__want){.name = "agents",
                                                .batch = 1,
                                                .tokens = s->agents,
                                                .heads = 1,
                                                .dim = CLATTN__FEATURE,
                                                .write = true},
                                &b[2]));
    CLATTN_TRY(clattn__bind_disjoint(plan->ctx, b, args->agents != NULL ? 3 : 2));
    features_args->rgb = b[0].view;
out:
    return status;
}

static clattn_tensor rows_of(const clattn_memory *memory, int64_t tokens, int64_t dim)
{
    return clattn_tensor_tokens(*memory, 1, tokens, 1, dim);
}

static clattn_status enqueue(const clattn_plan *plan, clattn_workspace *ws, const void *opaque,
                             clattn__chain *chain)
{
    clattn_status status = CLATTN_OK;
    const smooth_args *args = opaque;
    const int64_t pixels = plan->shape.q_tokens;
    const int64_t n = plan->shape.agents;
    const clattn_tensor f = rows_of(&ws->scratch[SCRATCH_FEATURES], pixels, CLATTN__FEATURE);
    const clattn_tensor f_norms = rows_of(&ws->scratch[SCRATCH_NORMS], pixels, 1);
    const clattn_tensor a_norms = rows_of(&ws->scratch[SCRATCH_AGENT_NORMS], n, 1);
    const clattn_tensor va = rows_of(&ws->scratch[SCRATCH_VA], n, CLATTN__COLOUR);
    clattn_tensor now = rows_of(&ws->scratch[SCRATCH_AGENTS], n, CLATTN__FEATURE);
    clattn_tensor next = rows_of(&ws->scratch[SCRATCH_REFINED], n, CLATTN__FEATURE);
    clattn__bound b[3] = {0};
    Features features_args = plan->features_args;

    CLATTN_TRY(bind(plan, args, &features_args, b));
    features_args.with_norms = 1;
    CLATTN_TRY(features(plan, ws, &features_args, &b[0].memory, &f.memory, &f_norms.memory, chain));
    CLATTN_TRY(clattn__agent_pool_enqueue(
        plan->children[CLATTN__CHILD_POOL], ws->children[CLATTN__CHILD_POOL],
        &(clattn_agent_attention_args){.q = &f, .agents = &now}, chain));
    if (plan->rounds == 0 && args->agents != NULL)
        CLATTN_TRY(clattn__agent_pool_enqueue(
            plan->children[CLATTN__CHILD_POOL], ws->children[CLATTN__CHILD_POOL],
            &(clattn_agent_attention_args){.q = &f, .agents = args->agents}, chain));
    for (int32_t round = 0; round < plan->rounds; round++) {
        clattn_agent_attention_args refine = {
            .agents = &now, .k = &f, .v = &f, .key_bias = &f_norms, .va = &next};
        CLATTN_TRY(clattn__agent_aggregate_enqueue(plan->children[CLATTN__CHILD_REFINE],
                                                   ws->children[CLATTN__CHILD_REFINE], &refine,
                                                   chain));
        if (round == plan->rounds - 1 && args->agents != NULL) {
            /* Who asks for the agents pays for a second pass: their layout is the caller's. */
            refine.va = args->agents;
            CLATTN_TRY(clattn__agent_aggregate_enqueue(plan->children[CLATTN__CHILD_REFINE],
                                                       ws->children[CLATTN__CHILD_REFINE], &refine,
                                                       chain));
        }
        const clattn_tensor swap = now;
        now = next;
        next = swap;
    }
    const clattn_agent_attention_args colours = {
        .agents = &now, .k = &f, .v = args->input, .key_bias = &f_norms, .va = &va};
    CLATTN_TRY(clattn__agent_aggregate_enqueue(plan->children[CLATTN__CHILD_AGGREGATE],
                                               ws->children[CLATTN__CHILD_AGGREGATE], &colours,
                                               chain));
    CLATTN_TRY(norms(plan, ws, &now.memory, 0, n, &a_norms.memory, chain));
    const clattn_agent_attention_args broadcast = {.q = &f,
                                                   .agents = &now,
                                                   .va = &va,
                                                   .agent_vector = &a_norms,
                                                   .v = args->input,
                                                   .out = args->output};
    CLATTN_TRY(clattn__agent_broadcast_enqueue(plan->children[CLATTN__CHILD_BROADCAST],
                                               ws->children[CLATTN__CHILD_BROADCAST], &broadcast,
                                               chain));
out:
    return status;
}

clattn_status clattn_smooth_run(const clattn_plan *plan, clattn_workspace *ws,
                                const clattn_tensor *input, const clattn_tensor *output,
                                const clattn_tensor *agents, const clattn_sync *sync)
{
    const smooth_args args = {input, output, agents};
    return clattn__run(plan, ws, &args, sync, "smooth", enqueue);
}

/* A step of the filter's own, piece by piece. */
typedef struct step_work {
    const clattn__steps *steps;
    const Features *features;
    int64_t rows; /* of norms */
    const clattn_memory *in, *out;
    const clattn_memory *out_norms; /* of features */
    clattn__chain *chain;
} step_work;

/* Rows of a rectangle. */
static clattn_status features_piece(void *user, int64_t first, int64_t count)
{
    const step_work *w = user;
    Features a = *w->features;

    a.rgb.offset += first * a.rgb.row;
    a.feature_offset += first * a.width * CLATTN__FEATURE;
    a.top += (i32)first;
    a.height = (i32)count;
    return features(w->steps->plan, w->steps->ws, &a, w->in, w->out, w->out_norms, w->chain);
}

clattn_status clattn__step_features(clattn__steps *steps, const clattn__features_rect *rect)
{
    clattn__chain chain;
    Features a = steps->plan->features_args;
    step_work w = {steps, &a, 0, &rect->rgb, &rect->features, &rect->norms, &chain};

    a.rgb = (View){.offset = rect->rgb_offset * CLATTN__COLOUR,
                   .row = rect->pitch * CLATTN__COLOUR,
                   .token = CLATTN__COLOUR};
    a.feature_offset = rect->feature_offset * CLATTN__FEATURE;
    a.height = (i32)rect->height;
    a.width = (i32)rect->width;
    a.top = (i32)rect->y;
    a.left = (i32)rect->x;
    a.with_norms = rect->norms.mem != NULL || rect->norms.host != NULL;
    clattn__steps_chain(steps, &chain);
    return clattn__chain_end(
        &chain, clattn__pace(chain.pacer, &(clattn__paced_work){.kind = CLATTN__PACE_FEATURES,
                                                                .blocks = rect->height,
                                                                .flops = 40.0 * (double)rect->width,
                                                                .piece = features_piece,
                                                                .user = &w}));
}

static clattn_status norms_piece(void *user, int64_t first, int64_t count)
{
    const step_work *w = user;
    const int64_t left = w->rows - first * NORM_ROWS;
    const int64_t rows = count * NORM_ROWS < left ? count * NORM_ROWS : left;
    return norms(w->steps->plan, w->steps->ws, w->in, first * NORM_ROWS, rows, w->out, w->chain);
}

clattn_status clattn__step_norms(clattn__steps *steps, clattn_memory rows, int64_t count,
                                 clattn_memory out)
{
    clattn__chain chain;
    step_work w = {steps, NULL, count, &rows, &out, NULL, &chain};

    clattn__steps_chain(steps, &chain);
    return clattn__chain_end(
        &chain, clattn__pace(chain.pacer,
                             &(clattn__paced_work){.kind = CLATTN__PACE_NORMS,
                                                   .blocks = clattn__ceil_div(count, NORM_ROWS),
                                                   .flops = 2.0 * CLATTN__FEATURE * NORM_ROWS,
                                                   .piece = norms_piece,
                                                   .user = &w}));
}
