/* Runs a recorded case of the smoothing filter. */
#include "check/run.h"

#include <stdlib.h>

typedef struct SmoothRun {
    clattn_tensor input, output, agents;
    clattn_plan *plan;
    clattn_workspace *workspace;
    float *host; /* room for the output or the agents */
} SmoothRun;

static clattn_status run_filter(clattn_context *ctx, const CheckCase *recorded, SmoothRun *run)
{
    const clattn_memory none = {0};
    const int64_t pixels = recorded->smooth.height * recorded->smooth.width;
    const int64_t agents = recorded->smooth.agent_height * recorded->smooth.agent_width;
    clattn_status status;

    run->input = clattn_tensor_tokens(none, 1, pixels, 1, 3);
    run->output = run->input;
    run->agents = clattn_tensor_tokens(none, 1, agents, 1, 5);
    run->host = malloc((size_t)(pixels * 3 + agents * 5) * sizeof *run->host);
    if (run->host == NULL)
        return CLATTN_E_NOMEM;
    status = tensor_make(ctx, &run->input);
    if (status == CLATTN_OK)
        status = clattn_memory_write(ctx, &run->input.memory, 0, recorded->picture.values,
                                     (uint64_t)recorded->picture.count * sizeof(float));
    if (status == CLATTN_OK)
        status = tensor_make(ctx, &run->output);
    if (status == CLATTN_OK)
        status = tensor_make(ctx, &run->agents);
    if (status == CLATTN_OK)
        status = clattn_smooth_plan(ctx, &recorded->smooth, &run->plan);
    if (status == CLATTN_OK)
        status = clattn_workspace_create(run->plan, &run->workspace);
    if (status == CLATTN_OK)
        status = clattn_smooth_run(run->plan, run->workspace, &run->input, &run->output,
                                   &run->agents, NULL);
    return run_finish(ctx, status, &run->plan, &run->workspace);
}

clattn_status run_smooth(clattn_context *ctx, const CheckCase *recorded, check_intermediate tell,
                         void *user, CheckDistance *distance)
{
    SmoothRun run = {0};
    clattn_status status = run_filter(ctx, recorded, &run);
    if (status == CLATTN_OK)
        status = tensor_read(ctx, &run.output, run.host);
    if (status == CLATTN_OK)
        *distance = check_distance(run.host, recorded->smooth_expected, tensor_count(&run.output));
    if (status == CLATTN_OK && tell != NULL && recorded->smooth_agents != NULL) {
        status = tensor_read(ctx, &run.agents, run.host);
        const CheckDistance agents =
            check_distance(run.host, recorded->smooth_agents, tensor_count(&run.agents));
        if (status == CLATTN_OK)
            tell(user, "agents", &agents);
    }
    clattn_memory_free(ctx, &run.input.memory);
    clattn_memory_free(ctx, &run.output.memory);
    clattn_memory_free(ctx, &run.agents.memory);
    free(run.host);
    return status;
}
