/* The smoothing filter's own kernels: launched for a whole picture (smooth.c), and as steps of a tile (steps.h). */
#include "ops/smooth_pixels.h"
#include "cl/device.h"
#include "cpu/cpu.h"
#include "ops/forms.h"
#include "ops/steps.h"

enum { KERNEL_FEATURES, KERNEL_NORMS };

/* Neighbouring pixels of a work-group: all of it. */
#define PICTURE_ROW 64

/* Norms are cut into launches of whole blocks of so many rows. */
#define NORM_ROWS CLATTN__CPU_QUERY_BLOCK

/* The items of smooth_features, or of smooth_features_wide. */
static void feature_items(const clattn_plan *plan, const Features *args, size_t items[3])
{
    const bool wide = plan->ctx->params.shape == CLATTN_SHAPE_WIDE;
    items[0] =
        (size_t)(wide ? clattn__ceil_div(args->width, CLATTN__PICTURE_SEGMENT) : args->width);
    items[1] = (size_t)args->height;
    items[2] = 1;
}

static clattn_status plan_features(clattn_plan *plan)
{
    Features no_picture = plan->features_args;
    clattn__trial picture = {.nothing = &no_picture, .bytes = sizeof no_picture, .buffers = 3};
    const clattn_kernel_shape shape = plan->ctx->params.shape;
    clattn__kernel_spec spec;

    feature_items(plan, &no_picture, picture.items);
    no_picture.width = 0;
    clattn__form_features(&spec, shape, clattn__vector_floats(plan->ctx->device.vector_width));
    if (shape == CLATTN_SHAPE_WIDE)
        return clattn__plan_kernel(plan, KERNEL_FEATURES, &spec, &picture);
    return clattn__plan_items(plan, KERNEL_FEATURES, spec, PICTURE_ROW, &picture);
}

clattn_status clattn__smooth_plan_pixels(clattn_plan *plan)
{
    clattn_status status = CLATTN_OK;
    const Norms no_rows = {.count = 0, .dim = CLATTN__FEATURE};
    const clattn__trial rows = {.nothing = &no_rows,
                                .bytes = sizeof no_rows,
                                .buffers = 2,
                                .items = {(size_t)plan->shape.agents, 1, 1}};
    clattn__kernel_spec spec;

    CLATTN_TRY(plan_features(plan));
    clattn__form_norms(&spec);
    CLATTN_TRY(clattn__plan_items(plan, KERNEL_NORMS, spec, PICTURE_ROW, &rows));
out:
    return status;
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

clattn_status clattn__smooth_features(const clattn_plan *plan, const clattn_workspace *ws,
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

clattn_status clattn__smooth_norms(const clattn_plan *plan, const clattn_workspace *ws,
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
    return clattn__smooth_features(w->steps->plan, w->steps->ws, &a, w->in, w->out, w->out_norms,
                                   w->chain);
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
    return clattn__smooth_norms(w->steps->plan, w->steps->ws, w->in, first * NORM_ROWS, rows,
                                w->out, w->chain);
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
