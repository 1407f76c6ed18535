/* What one device is, whether its kernels compute what they should, and how long things take. */
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS 7

static void hear(void *user, clattn_log_level level, const char *text)
{
    const doctor_ear *const ear = user;
    if (level <= CLATTN_LOG_WARN)
        cJSON_AddItemToArray(ear->list, cJSON_CreateString(text));
    if (ear->last != NULL)
        snprintf(ear->last, DOCTOR_LAST, "%s", text);
}

clattn_log doctor_listen(doctor_ear *ear)
{
    return (clattn_log){.fn = hear, .user = ear, .level = CLATTN_LOG_DEBUG};
}

static void add_verdicts(cJSON *report, const clattn_context *ctx)
{
    static const char *const codes[] = {[CLATTN_VERDICT_PASSED] = "passed",
                                        [CLATTN_VERDICT_WRONG] = "wrong",
                                        [CLATTN_VERDICT_STRAY] = "stray",
                                        [CLATTN_VERDICT_REFUSED] = "refused",
                                        [CLATTN_VERDICT_UNTESTED] = "untested"};
    static const char *const steps[] = {[CLATTN_STEP_NONE] = "none",
                                        [CLATTN_STEP_PLAIN] = "plain",
                                        [CLATTN_STEP_SMALLER] = "smaller",
                                        [CLATTN_STEP_CPU] = "cpu",
                                        [CLATTN_STEP_FAIL] = "fail"};
    cJSON *const list = cJSON_AddArrayToObject(report, "kernels");
    clattn_verdict v;
    for (size_t i = 0; i < clattn_device_verdict(ctx, i, &v); i++) {
        cJSON *const item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "kernel", v.kernel);
        cJSON_AddStringToObject(item, "options", v.options);
        cJSON_AddNumberToObject(item, "work_group", v.work_group);
        cJSON_AddStringToObject(item, "verdict", codes[v.code]);
        cJSON_AddStringToObject(item, "step", steps[v.step]);
        cJSON_AddNumberToObject(item, "error", v.error < 1e30f ? (double)v.error : 1e30);
        cJSON_AddNumberToObject(item, "milliseconds", (double)v.milliseconds);
        cJSON_AddStringToObject(item, "reason", v.reason);
        cJSON_AddItemToArray(list, item);
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Agent attention as most models have it, on zeros: seconds of the plan, of the first run, and the median of others. Until an element
 * has been read: there are drivers whose clFinish() returns before results are there.
 */
static clattn_status time_attention(clattn_context *ctx, cJSON *times)
{
    enum { SIDE = 64, HEADS = 4, WIDTH = 64 };
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = HEADS,
                                              .head_dim = WIDTH,
                                              .height = SIDE,
                                              .width = SIDE,
                                              .agent_height = 7,
                                              .agent_width = 7};
    const uint64_t bytes = sizeof(float) * SIDE * SIDE * HEADS * WIDTH;
    clattn_memory memory[4] = {{0}};
    clattn_tensor t[4];
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    clattn_plan_info info = {0};
    double seconds[TURNS + 1];
    const clattn_agent_attention_args args = {.q = &t[0], .k = &t[1], .v = &t[2], .out = &t[3]};
    float *const zeros = calloc(1, (size_t)bytes);
    clattn_status status = zeros != NULL ? CLATTN_OK : CLATTN_E_NOMEM;
    for (int i = 0; i < 4 && status == CLATTN_OK; i++) {
        status = clattn_memory_alloc(ctx, bytes, &memory[i]);
        if (status == CLATTN_OK)
            status = clattn_memory_write(ctx, &memory[i], 0, zeros, bytes);
        t[i] = clattn_tensor_tokens(memory[i], 1, SIDE * SIDE, HEADS, WIDTH);
    }
    double begin = command_now();
    if (status == CLATTN_OK)
        status = clattn_agent_attention_plan(ctx, &desc, &plan);
    const double planned = command_now() - begin;
    if (status == CLATTN_OK)
        status = clattn_workspace_create(plan, &ws);
    for (int i = 0; i <= TURNS && status == CLATTN_OK; i++) {
        begin = command_now();
        status = clattn_agent_attention_run(plan, ws, &args, NULL);
        if (status == CLATTN_OK)
            status = clattn_memory_read(ctx, &memory[3], 0, zeros, sizeof *zeros);
        seconds[i] = command_now() - begin;
    }
    if (status == CLATTN_OK) {
        qsort(seconds + 1, TURNS, sizeof *seconds, by_value);
        clattn_plan_get_info(plan, &info);
        cJSON_AddStringToObject(times, "what",
                                "agent attention, 4096 tokens, 4 heads of 64, 49 agents");
        cJSON_AddNumberToObject(times, "plan_ms", 1e3 * planned);
        cJSON_AddNumberToObject(times, "first_run_ms", 1e3 * seconds[0]);
        cJSON_AddNumberToObject(times, "run_ms", 1e3 * seconds[1 + TURNS / 2]);
        cJSON_AddNumberToObject(times, "work_group", info.work_group);
        cJSON_AddNumberToObject(times, "operators_on_cpu_path", info.on_cpu_path);
    }
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    for (int i = 0; i < 4; i++)
        clattn_memory_free(ctx, &memory[i]);
    free(zeros);
    return status;
}

static void test_kernels(const doctor *d, clattn_context *ctx, cJSON *report)
{
    doctor_writer writer = {.doctor = d};
    const clattn_selftest_recorder recorder = {.take = doctor_write_problem, .user = &writer};
    const clattn_status status = d->reproducer != NULL ? clattn_selftest_record(ctx, &recorder)
                                                       : clattn_context_selftest(ctx);
    cJSON_AddStringToObject(report, "selftest", clattn_status_name(status));
    add_verdicts(report, ctx);
    if (d->reproducer == NULL)
        return;
    doctor_write_rows(&writer, ctx);
    cJSON *const programs = cJSON_AddObjectToObject(report, "reproducers");
    cJSON_AddNumberToObject(programs, "written", writer.written);
    cJSON_AddNumberToObject(programs, "failed", writer.failed);
    cJSON_AddStringToObject(programs, "error", writer.error);
}

void doctor_examine(doctor *d, const clattn_device *device, doctor_ear *ear, cJSON *report)
{
    clattn_context *ctx = NULL;
    if (!device->usable)
        return;
    clattn_context_params params = d->device.params;
    params.log = doctor_listen(ear);
    clattn_status status = clattn_context_create(device->id, &params, &ctx);
    cJSON_AddStringToObject(report, "context", clattn_status_name(status));
    if (status != CLATTN_OK)
        return;
    test_kernels(d, ctx, report);
    cJSON *const times = cJSON_AddObjectToObject(report, "times");
    status = time_attention(ctx, times);
    cJSON_AddStringToObject(times, "status", clattn_status_name(status));
    clattn_context_destroy(&ctx);
}
