/* The self-test by hand: plans of the shapes that published models have, and of an odd one, each made and thrown away. */
#include "cl/selftest.h"
#include "ops/selftest.h"

/* Goes on after a failure: the first one counts. */
static clattn_status worse(clattn_status before, clattn_status now)
{
    return before != CLATTN_OK ? before : now;
}

/* The steps of agent attention, whose kernels are attention's too; a convolution of 7 x 7 has a kernel of its own. */
static clattn_status plan_attention(clattn_context *lane, int64_t width, clattn_type type)
{
    static clattn_status (*const steps[])(clattn_context *, const clattn_agent_attention_desc *,
                                          clattn_plan **) = {
        clattn_agent_pool_plan, clattn_agent_aggregate_plan, clattn_agent_broadcast_plan};
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = 2,
                                              .head_dim = width,
                                              .height = 28,
                                              .width = 28,
                                              .agent_height = 7,
                                              .agent_width = 7,
                                              .dwc_size = 7,
                                              .type = type};
    clattn_status status = CLATTN_OK;

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        clattn_plan *plan = NULL;
        status = worse(status, steps[i](lane, &desc, &plan));
        clattn_plan_destroy(&plan);
    }
    return status;
}

static clattn_status plan_smooth(clattn_context *lane)
{
    const clattn_smooth_desc desc = {.height = 64, .width = 64};
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_smooth_plan(lane, &desc, &plan);
    clattn_plan_destroy(&plan);
    return status;
}

static clattn_status run_all(clattn_context *ctx, const clattn_selftest_recorder *recorder)
{
    static const struct {
        int64_t width;
        clattn_type type;
    } forms[] = {{32, CLATTN_F32},
                 {64, CLATTN_F32},
                 {32, CLATTN_F16},
                 {64, CLATTN_F16},
                 {31, CLATTN_F32}}; /* rests of every kind of vector */
    clattn_status status = CLATTN_OK;
    clattn_context *lane = NULL;

    if (ctx->cl == NULL)
        return CLATTN_OK;
    status = clattn__context_lane(ctx, &lane);
    if (status != CLATTN_OK)
        return status;
    lane->params.selftest = CLATTN__SELFTEST_AGAIN;
    lane->recorder = recorder;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        status = worse(status, plan_attention(lane, forms[i].width, forms[i].type));
    status = worse(status, plan_smooth(lane));
    /* A plan that stepped down to another variant is well, the device is not. */
    if (lane->disproved)
        status = worse(status, CLATTN_E_WRONG);
    clattn__context_lane_end(&lane);
    return status;
}

clattn_status clattn_context_selftest(clattn_context *ctx)
{
    return clattn__context_valid(ctx) ? run_all(ctx, NULL) : CLATTN_E_ARG;
}

clattn_status clattn_selftest_record(clattn_context *ctx, const clattn_selftest_recorder *recorder)
{
    clattn_status status = CLATTN_OK;

    if (!clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    CLATTN_CHECK(&ctx->log, recorder != NULL && recorder->take != NULL, CLATTN_E_ARG, "%s is NULL",
                 recorder == NULL ? "recorder" : "take of the recorder");
    status = run_all(ctx, recorder);
out:
    return status;
}
