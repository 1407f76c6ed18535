/* Runs a probe on the CPU path and on the device, and makes a verdict of it. */
#include "ops/selftest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/machine.h"
#include "cl/device.h"
#include "cl/selftest.h"
#include "cpu/cpu.h"

/* What an output holds before; exact in f16. */
#define MARK -12344.0f

#define UNIT     5.9604645e-8f  /* 2^-24 */
#define F16_HALF 4.8828125e-4f  /* 2^-11: half a place of a normal f16 */
#define F16_TINY 2.98023224e-8f /* 2^-25: half a step between denormal ones */

/* The log of a test's contexts: nobody hears it, but the last sentence may become a verdict's reason. */
static void keep_sentence(void *user, clattn_log_level level, const char *text)
{
    clattn_verdict *verdict = user;
    (void)level;
    snprintf(verdict->reason, sizeof verdict->reason, "%.250s", text);
}

/* The CPU path of a test works in the caller's thread. */
static void one_after_another(void *user, int64_t count, void (*fn)(void *arg, int64_t i),
                              void *arg)
{
    (void)user;
    for (int64_t i = 0; i < count; i++)
        fn(arg, i);
}

void clattn__selftest_adopt(clattn__selftest *test, const clattn_plan *small, clattn_plan *plan)
{
    *plan = *small;
    plan->ctx = test->ctx;
    memcpy(plan->kernels, test->of->kernels, sizeof plan->kernels);
    memcpy(plan->tuned, test->of->tuned, sizeof plan->tuned);
    test->ws.plan = plan;
}

void clattn__selftest_begin(clattn__selftest *test, const char *form)
{
    test->form = form;
    test->scale = 1.0f;
    test->passed = true;
}

void clattn__selftest_clear(clattn__selftest *test)
{
    clattn__selftest_record_problem(test, test->passed);
    while (test->count > 0)
        clattn_memory_free(test->ctx, &test->memory[--test->count]);
}

/* The first difference that rounding does not explain goes into the verdict; the largest in any case. */
static void compare(clattn__selftest *test, float expected, float found, float allowed, size_t at)
{
    clattn_verdict *v = test->verdict;
    const bool same = expected == found || (isnan(expected) && isnan(found));
    const float off = same ? 0.0f : fabsf(found - expected) / allowed;
    const bool right = off <= 1.0f; /* a NaN is not */

    test->passed = test->passed && right;
    if (!(off <= v->error))
        v->error = isfinite(off) ? off : INFINITY;
    if (right || v->code != CLATTN_VERDICT_PASSED)
        return;
    const bool stray = expected == MARK || isnan(expected);
    v->code = stray ? CLATTN_VERDICT_STRAY : CLATTN_VERDICT_WRONG;
    snprintf(v->reason, sizeof v->reason,
             stray ? "%s: element %zu is %g; nothing was to be written there"
                   : "%s: element %zu is %g; the CPU path has %g",
             test->form, at, (double)found, (double)expected);
}

/* Room for `count` more numbers of the run on the CPU path. */
static clattn_status expect(clattn__selftest *test, size_t count)
{
    if (test->reported + count <= test->room)
        return CLATTN_OK;
    const size_t room = 2 * test->room + count;
    float *more = clattn__alloc_array(room, sizeof *more);
    if (more == NULL)
        return CLATTN_E_NOMEM;
    if (test->reported > 0)
        memcpy(more, test->expected, test->reported * sizeof *more);
    clattn__free(test->expected);
    test->expected = more;
    test->room = room;
    return CLATTN_OK;
}

static clattn_status report(clattn__selftest *test, const clattn_memory *memory,
                            const float *values, size_t count, clattn_selftest_check check)
{
    clattn_status status = CLATTN_OK;

    if (test->ctx == test->cpu) {
        CLATTN_TRY(expect(test, count));
        memcpy(test->expected + test->reported, values, count * sizeof *values);
    } else {
        const float *expected = test->expected + test->reported;
        for (size_t i = 0; i < count; i++) {
            const float size = fabsf(expected[i]);
            const float more = check.f16 ? F16_HALF * size + F16_TINY : 0.0f;
            compare(test, expected[i], values[i], check.units * UNIT * (test->scale + size) + more,
                    i);
        }
        check.expected = expected;
        check.count = count;
        check.scale = test->scale;
        clattn__selftest_record_check(test, memory, &check);
    }
    test->reported += count;
out:
    return status;
}

/* The numbers of a memory, from f16 where they are; freed with clattn__free(). */
static clattn_status read_numbers(clattn__selftest *test, const clattn_memory *memory,
                                  clattn_type type, size_t count, float **values)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = test->ctx;
    uint16_t *halves = NULL;
    float *numbers = clattn__alloc_array(count, sizeof *numbers);

    CLATTN_CHECK(&ctx->log, numbers != NULL, CLATTN_E_NOMEM, "no host memory for the self-test");
    if (type == CLATTN_F16) {
        halves = clattn__alloc_array(count, sizeof *halves);
        CLATTN_CHECK(&ctx->log, halves != NULL, CLATTN_E_NOMEM, "no host memory for the self-test");
        CLATTN_TRY(ctx->backend->read(ctx, memory, 0, halves, count * sizeof *halves));
        test->cpu->cpu->ops->widen(halves, (int)count, numbers);
    } else {
        CLATTN_TRY(ctx->backend->read(ctx, memory, 0, numbers, count * sizeof *numbers));
    }
    *values = numbers;
    numbers = NULL;
out:
    clattn__free(halves);
    clattn__free(numbers);
    return status;
}

clattn_status clattn__selftest_report(clattn__selftest *test, const clattn_tensor *tensor,
                                      float units)
{
    clattn_status status = CLATTN_OK;
    const size_t count = (size_t)(tensor->offset + tensor->batch * tensor->batch_stride);
    float *values = NULL;

    CLATTN_TRY(read_numbers(test, &tensor->memory, tensor->type, count, &values));
    CLATTN_TRY(report(test, &tensor->memory, values, count,
                      (clattn_selftest_check){.f16 = tensor->type == CLATTN_F16, .units = units}));
out:
    clattn__free(values);
    return status;
}

clattn_status clattn__selftest_report_states(clattn__selftest *test, const clattn_memory *memory,
                                             int64_t states, int64_t dim_v, float units)
{
    clattn_status status = CLATTN_OK;
    float *values = NULL;

    CLATTN_TRY(read_numbers(test, memory, CLATTN_F32, (size_t)(states * (dim_v + 2)), &values));
    for (int64_t i = 0; i < states; i++) {
        float *acc = values + i * (dim_v + 2);
        const float m = acc[dim_v];
        const float l = acc[dim_v + 1];
        for (int64_t j = 0; j < dim_v && l > 0.0f; j++)
            acc[j] /= l;
        /* The logarithm of the sum; and whether the maximum was a whole number, which merges rely on. */
        acc[dim_v] = l > 0.0f ? m + log2f(l) : m;
        acc[dim_v + 1] = l > 0.0f && m != floorf(m) ? 1.0f : 0.0f;
    }
    CLATTN_TRY(report(test, memory, values, (size_t)(states * (dim_v + 2)),
                      (clattn_selftest_check){.state_sums = (uint32_t)dim_v, .units = units}));
out:
    clattn__free(values);
    return status;
}

/* A run of the probe with a kernel object of its own. */
static clattn_status run(clattn__selftest *test, clattn_context *ctx, clattn__probe *probe)
{
    clattn_status status = CLATTN_OK;

    test->ctx = ctx;
    test->storage = ctx == test->cpu ? CLATTN_F32 : test->of->desc.type;
    test->seed = 1;
    test->reported = 0;
    if (ctx != test->cpu) {
        CLATTN_TRY(clattn__selftest_record_begin(test));
        CLATTN_TRY(clattn__kernel_create(ctx, &test->of->kernels[test->kernel],
                                         &test->ws.kernels[test->kernel]));
    }
    CLATTN_TRY(probe(test));
out:
    clattn__selftest_clear(test);
    clattn__record_end(&test->ws);
    if (ctx != test->cpu)
        clattn__kernel_release(ctx, &test->ws.kernels[test->kernel]);
    return status;
}

static bool no_memory(clattn_status status)
{
    return status == CLATTN_E_NOMEM || status == CLATTN_E_DEVICE_NOMEM || status == CLATTN_E_BUDGET;
}

/* The test on both sides. CLATTN_OK where there is a verdict, whatever it says. */
static clattn_status judge(const clattn_plan *plan, int index, clattn__probe *probe,
                           clattn_verdict *verdict)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    clattn_context *lane = NULL;
    clattn__selftest test = {.of = plan, .kernel = index, .verdict = verdict};
    const clattn_log log = {.fn = keep_sentence, .user = verdict, .level = CLATTN_LOG_ERROR};
    const clattn_context_params serial = {.log = log, .parallel_for = one_after_another};

    CLATTN_TRY(clattn_context_create_cpu(&serial, &test.cpu));
    CLATTN_TRY(run(&test, test.cpu, probe));
    lane = ctx; /* a lane has a queue of its own already */
    if (ctx->parent == NULL)
        CLATTN_TRY(clattn__context_lane(ctx, &lane));
    const clattn_log callers = lane->log;
    lane->log = log;
    status = run(&test, lane, probe);
    lane->log = callers;
out:
    clattn__free(test.expected);
    if (lane != ctx)
        clattn__context_lane_end(&lane);
    clattn_context_destroy(&test.cpu);
    if (status == CLATTN_OK || status == CLATTN_E_LOST)
        return status;
    verdict->code = no_memory(status) ? CLATTN_VERDICT_UNTESTED : CLATTN_VERDICT_REFUSED;
    if (verdict->reason[0] == '\0')
        snprintf(verdict->reason, sizeof verdict->reason, "%s", clattn_status_text(status));
    return CLATTN_OK;
}

static clattn_verdict blank_verdict(const clattn__kernel_spec *spec)
{
    clattn_verdict v = {.work_group = (uint32_t)(spec->local[0] * spec->local[1] * spec->local[2])};
    snprintf(v.kernel, sizeof v.kernel, "%s", spec->name);
    snprintf(v.options, sizeof v.options, "%s", spec->options);
    return v;
}

static double now(void)
{
    struct timespec t;
    clattn__machine_time(&t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static clattn_status make_verdict(clattn_plan *plan, int index, clattn__probe *probe,
                                  clattn_verdict *verdict)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = plan->ctx;
    const clattn__kernel_spec *spec = &plan->kernels[index];
    const double begin = now();

    *verdict = blank_verdict(spec);
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "self-test of %s \"%s\", work-group %u begins",
                spec->name, spec->options, (unsigned)verdict->work_group);
    CLATTN_TRY(judge(plan, index, probe, verdict));
    verdict->milliseconds = (float)(1e3 * (now() - begin));
    clattn__log(&ctx->log, CLATTN_LOG_DEBUG, "self-test of %s \"%s\", work-group %u: %s%s, %.3g ms",
                spec->name, spec->options, (unsigned)verdict->work_group,
                verdict->code == CLATTN_VERDICT_PASSED ? "passed" : verdict->reason,
                verdict->code == CLATTN_VERDICT_UNTESTED ? "; it is used untested" : "",
                (double)verdict->milliseconds);
    clattn__verdict_keep(ctx, spec, verdict);
out:
    return status;
}

static bool is_off(const clattn_plan *plan)
{
    return plan->ctx->params.selftest == CLATTN_SELFTEST_OFF;
}

/* A lane that clattn_context_selftest() made: what is known does not count. */
static bool is_by_hand(const clattn_plan *plan)
{
    return plan->ctx->params.selftest == CLATTN__SELFTEST_AGAIN;
}

bool clattn__selftest_condemned(const clattn_plan *plan, int index)
{
    const clattn__kernel_spec *spec = &plan->kernels[index];
    clattn_context *ctx = plan->ctx;
    clattn_verdict verdict;

    if (is_off(plan) || is_by_hand(plan) || !clattn__verdict_find(ctx, spec, &verdict) ||
        clattn__verdict_allows(&verdict))
        return false;
    clattn__log(&ctx->log, CLATTN_LOG_WARN, "%s of %s, work-group %u, is not used on %s: %s",
                spec->name, plan->op, (unsigned)verdict.work_group, ctx->device.name,
                verdict.reason);
    return true;
}

clattn_status clattn__selftest_kernel(clattn_plan *plan, int index, clattn__probe *probe)
{
    clattn_status status = CLATTN_OK;
    const clattn__kernel_spec *spec = &plan->kernels[index];
    clattn_context *ctx = plan->ctx;
    clattn_verdict verdict;

    if (probe == NULL || is_off(plan))
        return CLATTN_OK;
    if (is_by_hand(plan) || !clattn__verdict_find(ctx, spec, &verdict))
        status = make_verdict(plan, index, probe, &verdict);
    CLATTN_CHECK(&ctx->log, status == CLATTN_OK, status, "the self-test of %s ends early: %s",
                 spec->name, clattn_status_text(status));
    if (!clattn__verdict_allows(&verdict)) {
        clattn__log(&ctx->log, CLATTN_LOG_WARN,
                    "%s fails the self-test of %s \"%s\", work-group %u: %s", ctx->device.name,
                    spec->name, spec->options, (unsigned)verdict.work_group, verdict.reason);
        ctx->disproved = is_by_hand(plan);
        status = CLATTN_E_WRONG;
    }
out:
    return status;
}
