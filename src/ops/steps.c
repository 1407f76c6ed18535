/*
 * The plans that the steps run: the whole operator on a map of a few tokens. Kernel variants depend on widths and agents alone,
 * so they are the ones that an untiled run of any map takes.
 */
#include "ops/steps.h"

#include "ops/plan.h"

#define TINY 2 /* side of that map */

/* No step uses scratch memory of the plan's: its caller owns sums and states. */
static void drop_scratch(clattn_plan *plan)
{
    for (int i = 0; i < CLATTN__MAX_SCRATCH; i++)
        plan->scratch[i] = 0;
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            drop_scratch(plan->children[i]);
}

static clattn_status finish(clattn_context *lane, const clattn__steps_problem *problem,
                            clattn_plan *plan, clattn__steps **out_steps)
{
    clattn_status status = CLATTN_OK;
    clattn__steps *steps = clattn__alloc(sizeof *steps);

    CLATTN_CHECK(&lane->log, steps != NULL, CLATTN_E_NOMEM, "no host memory for the steps");
    steps->ctx = lane;
    steps->problem = *problem;
    steps->plan = plan;
    plan = NULL;
    drop_scratch(steps->plan);
    if (!clattn_context_is_cpu(lane)) {
        clattn_plan *const *children = steps->plan->children;
        if (children[CLATTN__CHILD_POOL] != NULL)
            CLATTN_TRY(clattn__agent_pool_plan_merge(children[CLATTN__CHILD_POOL]));
        CLATTN_TRY(clattn__agent_aggregate_plan_merge(children[CLATTN__CHILD_AGGREGATE]));
        if (children[CLATTN__CHILD_REFINE] != NULL)
            CLATTN_TRY(clattn__agent_aggregate_plan_merge(children[CLATTN__CHILD_REFINE]));
    }
    CLATTN_TRY(clattn_workspace_create(steps->plan, &steps->ws));
    *out_steps = steps;
    steps = NULL;
out:
    clattn__steps_destroy(&steps);
    clattn_plan_destroy(&plan);
    return status;
}

clattn_status clattn__steps_create(clattn_context *lane, const clattn_agent_attention_desc *desc,
                                   const clattn__steps_problem *problem, clattn__steps **steps)
{
    const bool resized =
        problem->kv_height != problem->height || problem->kv_width != problem->width;
    clattn_agent_attention_desc tiny = *desc;
    clattn_plan *plan = NULL;

    tiny.batch = 1;
    tiny.height = tiny.width = TINY;
    tiny.kv_height = tiny.kv_width = resized ? TINY - 1 : 0;
    tiny.class_tokens = 0;
    tiny.window_height = tiny.window_width = tiny.shift_y = tiny.shift_x = 0;
    const clattn_status status = clattn_agent_attention_plan(lane, &tiny, &plan);
    return status == CLATTN_OK ? finish(lane, problem, plan, steps) : status;
}

clattn_status clattn__steps_create_smooth(clattn_context *lane, const clattn_smooth_desc *desc,
                                          const clattn__steps_problem *problem,
                                          clattn__steps **steps)
{
    clattn_smooth_desc tiny = *desc;
    clattn_plan *plan = NULL;

    tiny.height = tiny.width = TINY;
    const clattn_status status = clattn_smooth_plan(lane, &tiny, &plan);
    if (status != CLATTN_OK)
        return status;
    clattn__smooth_features_of(plan, desc);
    return finish(lane, problem, plan, steps);
}

void clattn__steps_destroy(clattn__steps **steps)
{
    if (*steps == NULL)
        return;
    clattn_workspace_destroy(&(*steps)->ws);
    clattn_plan_destroy(&(*steps)->plan);
    clattn__free(*steps);
    *steps = NULL;
}

int64_t clattn__plan_work_groups(const clattn_plan *plan)
{
    int64_t sum = plan->attend.work_group;

    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            sum += clattn__plan_work_groups(plan->children[i]);
    return sum;
}

void clattn__steps_chain(const clattn__steps *steps, clattn__chain *chain)
{
    clattn__chain_begin(chain, steps->ctx, NULL);
    chain->pacer = steps->pacer;
}
