/* Work-groups of the tile shape: a choice of the caller's, since the last bits follow from it; see tune.h. */
#include "tune/tune.h"

#define ROUNDS 5
/* What is less is not worth other bits. */
#define WORTH 0.95

/* The default row at a work-group against that of the width; 0 where it cannot be measured. */
static double ratio_at(const command *cmd, const command_device *device, uint32_t work_group,
                       const tune_problem *problem, tune_runner *runner)
{
    command_device other = *device;
    clattn_context *ctx = NULL;
    tune_problem other_problem = {0};
    tune_runner other_runner = {0};
    double ratio = 0, seconds[2];
    clattn_plan_info info = {0};
    other.params.work_group = work_group;
    other.params.log.user = &other;
    if (command_device_open(cmd, &other, &ctx) != CLATTN_OK)
        return 0;
    if (clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT) == CLATTN_OK &&
        tune_problem_open(&other_problem, ctx, problem->kind, TUNE_ADVICE_DIM) == CLATTN_OK) {
        if (tune_runner_open(&other_runner, &other_problem) == CLATTN_OK) {
            clattn_plan_get_info(other_runner.plan, &info);
            if (info.work_group != work_group ||
                tune_compare(problem, runner, &other_problem, &other_runner, ROUNDS, &ratio,
                             seconds) != CLATTN_OK)
                ratio = 0;
        }
        tune_runner_close(&other_runner);
        tune_problem_close(&other_problem);
    }
    clattn_context_destroy(&ctx);
    return ratio;
}

clattn_status tune_advise(const command *cmd, const command_device *device, clattn_context *ctx,
                          const tune_kernel *kernel, double end, tune_advice *advice)
{
    static const uint32_t work_groups[] = {32, 64, 128, 256};
    const int all = sizeof work_groups / sizeof *work_groups;
    tune_problem problem = {0};
    tune_runner runner = {0};
    clattn_plan_info info = {0};
    int i = 0;
    *advice = (tune_advice){0};
    clattn_status status = clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT);
    if (status == CLATTN_OK)
        status = tune_problem_open(&problem, ctx, kernel->kind, TUNE_ADVICE_DIM);
    if (status != CLATTN_OK)
        return status;
    status = tune_runner_open(&runner, &problem);
    if (status == CLATTN_OK)
        clattn_plan_get_info(runner.plan, &info);
    for (; i < all && status == CLATTN_OK && command_now() < end; i++) {
        if (work_groups[i] == info.work_group)
            continue;
        const double ratio = ratio_at(cmd, device, work_groups[i], &problem, &runner);
        if (ratio > 0 && ratio < WORTH) {
            advice->work_group[advice->count] = work_groups[i];
            advice->gain[advice->count++] = 1 / ratio;
        }
    }
    advice->whole = i == all;
    tune_runner_close(&runner);
    tune_problem_close(&problem);
    return status;
}
