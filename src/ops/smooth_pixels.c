/* The smoothing filter's own kernels: launched for a whole picture (smooth.c), and as steps of a tile (steps.h). */
#include "ops/smooth_pixels.h"
#include "cl/device.h"
#include "cpu/cpu.h"
#include "ops/forms.h"
#include "ops/selftest.h"
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

/* What clattn__form_features() or clattn__form_norms() has made. */
static clattn_status plan_kernel(clattn_plan *plan, int index, const clattn__kernel_spec *spec,
                                 const clattn__trial *trial)
{
    if (plan->ctx->params.shape == CLATTN_SHAPE_WIDE)
        return clattn__plan_kernel(plan, index, spec, trial);
    return clattn__plan_items(plan, index, *spec, PICTURE_ROW, trial);
}

clattn_status clattn__smooth_plan_pixels(clattn_plan *plan)
{
    clattn_status status = CLATTN_OK;
    const clattn_kernel_shape shape = plan->ctx->params.shape;
    const int floats = clattn__vector_floats(plan->ctx->device.vector_width);
    Features no_picture = plan->features_args;
    clattn__trial picture = {.nothing = &no_picture,
                             .bytes = sizeof no_picture,
                             .buffers = 3,
                             .probe = clattn__smooth_probe};
    const Norms no_rows = {.count = 0, .dim = CLATTN__FEATURE};
    const clattn__trial rows = {.nothing = &no_rows,
                                .bytes = sizeof no_rows,
                                .buffers = 2,
                                .items = {(size_t)plan->shape.agents, 1, 1},
                                .probe = clattn__smooth_probe};
    clattn__kernel_spec spec;

    feature_items(plan, &no_picture, picture.items);
    no_picture.width = 0;
    clattn__form_features(&spec, shape, floats);
    CLATTN_TRY(plan_kernel(plan, KERNEL_FEATURES, &spec, &picture));
    clattn__form_norms(&spec, shape, floats);
    CLATTN_TRY(plan_kernel(plan, KERNEL_NORMS, &spec, &rows));
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

/* Features of a rectangle inside a picture, with pixels around it or without. */
static clattn_status probe_features(clattn__selftest *test, const clattn_plan *plan, int32_t inside,
                                    bool dense)
{
    enum { HEIGHT = 5, WIDTH = 139 };
    clattn_status status = CLATTN_OK;
    const int32_t map_h = HEIGHT + 2 * inside;
    const int32_t map_w = WIDTH + 2 * inside;
    clattn_tensor rgb, features, norms;
    clattn__chain chain;
    clattn__selftest_shape s = {.batch = 1,
                                .tokens = map_h * map_w,
                                .heads = 1,
                                .dim = CLATTN__COLOUR,
                                .width = map_w,
                                .dense = dense};

    clattn__selftest_begin(test, inside > 0 ? "features of a rectangle"
                                 : dense    ? "features of a picture without gaps"
                                            : "features of a picture");
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &rgb));
    s = (clattn__selftest_shape){.fill = CLATTN__FILL_NOTHING,
                                 .batch = 1,
                                 .tokens = HEIGHT * WIDTH + 2,
                                 .heads = 1,
                                 .dim = CLATTN__FEATURE,
                                 .dense = true};
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &features));
    s.dim = 1;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &norms));
    const Features args = {
        .rgb = {.offset = rgb.offset + inside * (rgb.row_stride + rgb.token_stride),
                .row = rgb.row_stride,
                .token = rgb.token_stride},
        .feature_offset = CLATTN__FEATURE,
        .height = HEIGHT,
        .width = WIDTH,
        .map_h = map_h,
        .map_w = map_w,
        .top = inside,
        .left = inside,
        .inv_sigma_color = 2.0f,
        .inv_sigma_space = 0.01f,
        .with_norms = 1};
    clattn__chain_begin(&chain, test->ctx, NULL);
    CLATTN_TRY(clattn__chain_end(&chain,
                                 clattn__smooth_features(plan, &test->ws, &args, &rgb.memory,
                                                         &features.memory, &norms.memory, &chain)));
    CLATTN_TRY(clattn__selftest_report(test, &features, 16.0f));
    CLATTN_TRY(clattn__selftest_report(test, &norms, 32.0f));
out:
    clattn__selftest_clear(test);
    return status;
}

static clattn_status probe_norms(clattn__selftest *test, const clattn_plan *plan)
{
    enum { ROWS = 150 };
    clattn_status status = CLATTN_OK;
    clattn_tensor rows, norms;
    clattn__chain chain;
    clattn__selftest_shape s = {
        .batch = 1, .tokens = ROWS, .heads = 1, .dim = CLATTN__FEATURE, .dense = true};

    clattn__selftest_begin(test, "norms");
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &rows));
    s.fill = CLATTN__FILL_NOTHING;
    s.dim = 1;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &norms));
    clattn__chain_begin(&chain, test->ctx, NULL);
    CLATTN_TRY(clattn__smooth_norms(plan, &test->ws, &rows.memory, 0, 70, &norms.memory, &chain));
    /* Not the last row: it must stay. */
    CLATTN_TRY(clattn__chain_end(&chain, clattn__smooth_norms(plan, &test->ws, &rows.memory, 70,
                                                              ROWS - 71, &norms.memory, &chain)));
    CLATTN_TRY(clattn__selftest_report(test, &norms, 32.0f));
out:
    clattn__selftest_clear(test);
    return status;
}

clattn_status clattn__smooth_probe(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;
    clattn_plan plan;

    clattn__selftest_adopt(test, test->of, &plan);
    if (test->kernel == KERNEL_NORMS)
        return probe_norms(test, &plan);
    CLATTN_TRY(probe_features(test, &plan, 0, true));
    CLATTN_TRY(probe_features(test, &plan, 0, false));
    CLATTN_TRY(probe_features(test, &plan, 2, false));
out:
    return status;
}
