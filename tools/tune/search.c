/* Candidates against the best so far; see tune.h. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/tune.h"

/* A measurement is at least so long, in seconds, and has no more runs than this. */
#define LEAST_SECONDS 0.008
#define MOST_RUNS     4096

/* Turns of a comparison; a candidate wins with a ratio of the medians below the margin. */
#define ROUNDS 9
#define MARGIN 0.98
/* After so many turns a candidate slower than this has lost. */
#define EARLY_ROUNDS 3
#define HOPELESS     1.06

/* Relative L2 against the CPU path, as `clattn check` has it; smoothing has logits of several hundred. */
#define L2_LIMIT        5e-6
#define SMOOTH_L2_LIMIT 2e-5

static clattn_status time_runs(const tune_runner *runner, const tune_problem *problem, int runs,
                               double *seconds)
{
    clattn_status status = clattn_context_finish(problem->ctx);
    const double begin = command_now();
    for (int i = 0; i < runs && status == CLATTN_OK; i++)
        status = tune_problem_run(problem, runner->plan, runner->ws);
    if (status == CLATTN_OK)
        status = clattn_context_finish(problem->ctx);
    *seconds = command_now() - begin;
    return status;
}

clattn_status tune_runner_time(tune_runner *runner, const tune_problem *problem, double *seconds)
{
    clattn_status status = CLATTN_OK;
    if (runner->runs == 0) {
        status = time_runs(runner, problem, 2, seconds);
        for (runner->runs = 1; status == CLATTN_OK && runner->runs < MOST_RUNS; runner->runs *= 2) {
            status = time_runs(runner, problem, runner->runs, seconds);
            if (*seconds >= LEAST_SECONDS)
                break;
        }
    }
    if (status == CLATTN_OK)
        status = time_runs(runner, problem, runner->runs, seconds);
    *seconds /= runner->runs;
    return status;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 != 0 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

clattn_status tune_compare(const tune_problem *one_problem, tune_runner *one,
                           const tune_problem *other_problem, tune_runner *other, int rounds,
                           double *ratio, double seconds[2])
{
    double ones[ROUNDS], others[ROUNDS], ratios[ROUNDS], sorted[ROUNDS];
    int done = 0;
    clattn_status status = CLATTN_OK;
    rounds = rounds < ROUNDS ? rounds : ROUNDS;
    while (done < rounds && status == CLATTN_OK) {
        status = tune_runner_time(one, one_problem, &ones[done]);
        if (status == CLATTN_OK)
            status = tune_runner_time(other, other_problem, &others[done]);
        ratios[done] = others[done] / ones[done];
        done++;
        memcpy(sorted, ratios, (size_t)done * sizeof *sorted);
        if (done >= EARLY_ROUNDS && median(sorted, done) > HOPELESS)
            break;
    }
    if (status != CLATTN_OK)
        return status;
    *ratio = median(ratios, done);
    seconds[0] = median(ones, done);
    seconds[1] = median(others, done);
    return CLATTN_OK;
}

/* What a search works with. */
typedef struct search {
    tune_turn *turn;
    tune_problem problem;
    tune_runner standard, best; /* the default row; best.plan NULL: the same */
    uint64_t private_bytes;     /* of the default row */
    float *expected,
        *result; /* the default row's, which the CPU path has agreed to; a candidate's */
} search;

static tune_runner *incumbent(search *s)
{
    return s->best.plan != NULL ? &s->best : &s->standard;
}

/* The default row's result, or false with the reason where the CPU path does not agree. */
static clattn_status check_default(search *s, bool *right)
{
    clattn_context *cpu = NULL;
    tune_problem problem = {0};
    tune_runner runner = {0};
    double error = 0, size = 0;
    const tune_turn *const turn = s->turn;
    clattn_status status = tune_runner_result(&s->standard, &s->problem, s->expected);
    if (status == CLATTN_OK)
        status = clattn_context_create_cpu(NULL, &cpu);
    if (status == CLATTN_OK)
        status = tune_problem_open(&problem, cpu, turn->kernel->kind, turn->dim);
    if (status == CLATTN_OK)
        status = tune_runner_open(&runner, &problem);
    if (status == CLATTN_OK)
        status = tune_runner_result(&runner, &problem, s->result);
    for (int64_t i = 0; i < s->problem.out_count && status == CLATTN_OK; i++) {
        const double difference = (double)s->expected[i] - (double)s->result[i];
        error += difference * difference;
        size += (double)s->result[i] * (double)s->result[i];
    }
    const double limit = turn->kernel->kind == TUNE_SMOOTH ? SMOOTH_L2_LIMIT : L2_LIMIT;
    *right = sqrt(error) <= limit * sqrt(size); /* false for what is no number */
    tune_runner_close(&runner);
    if (cpu != NULL)
        tune_problem_close(&problem);
    clattn_context_destroy(&cpu);
    return status;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static bool
refuse(tune_turn *turn, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(turn->trouble, sizeof turn->trouble, format, arguments);
    va_end(arguments);
    turn->refused++;
    return false;
}

/* Makes a runner of a candidate; false, and a reason, where it cannot be used, spills more than the default, or gives other bits. */
static bool open_candidate(search *s, const tune_point *point, tune_runner *runner)
{
    char row[512], tuning[2048];
    clattn_plan_info info;
    tune_turn *const turn = s->turn;
    tune_point_row(point, NULL, row, sizeof row);
    if (clattn_tune_load(s->problem.ctx, row, strlen(row)) != CLATTN_OK)
        return refuse(turn, "%s: not a row", row);
    const clattn_status status = tune_runner_open(runner, &s->problem);
    if (status != CLATTN_OK)
        return refuse(turn, "%s: %s", row, clattn_status_text(status));
    clattn_plan_tuning(runner->plan, tuning, sizeof tuning);
    clattn_plan_get_info(runner->plan, &info);
    if (!tune_point_used(point, tuning))
        refuse(turn, "%s: beyond a limit of the device", row);
    else if (s->private_bytes > 0 && info.private_bytes > s->private_bytes)
        refuse(turn, "%s: %llu bytes of private memory, the default %llu", row,
               (unsigned long long)info.private_bytes, (unsigned long long)s->private_bytes);
    else if (tune_runner_result(runner, &s->problem, s->result) != CLATTN_OK)
        refuse(turn, "%s: it cannot be run", row);
    else if (memcmp(s->result, s->expected, (size_t)s->problem.out_count * sizeof(float)) != 0)
        refuse(turn, "%s: WRONG: other bits than the default row's", row);
    else
        return true;
    tune_runner_close(runner);
    return false;
}

/* Measures a candidate, and makes it the best where it is faster. */
static clattn_status try_point(search *s, const tune_point *point)
{
    tune_runner runner;
    double ratio = 0, seconds[2];
    if (!open_candidate(s, point, &runner))
        return CLATTN_OK;
    const clattn_status status =
        tune_compare(&s->problem, incumbent(s), &s->problem, &runner, ROUNDS, &ratio, seconds);
    s->turn->tried++;
    if (status == CLATTN_OK && ratio < MARGIN) {
        tune_runner_close(&s->best);
        s->best = runner;
        s->turn->best = *point;
    } else {
        tune_runner_close(&runner);
    }
    return status;
}

/* Goes along each axis with the others at their best, and again where that has changed something. */
static clattn_status descend(search *s)
{
    tune_turn *const turn = s->turn;
    const tune_point standard = turn->best;
    clattn_status status = CLATTN_OK;
    for (int round = 0; round < 3 && status == CLATTN_OK; round++) {
        const tune_point before = turn->best;
        for (int a = 0; a < standard.axis_count; a++) {
            for (int i = 0; i < standard.axes[a].count && status == CLATTN_OK; i++) {
                tune_point point = turn->best;
                memcpy(point.values[a], standard.axes[a].values[i], sizeof point.values[a]);
                if (command_now() >= turn->end)
                    return CLATTN_OK;
                if (!tune_point_equal(&point, &turn->best) && !tune_point_equal(&point, &standard))
                    status = try_point(s, &point);
            }
        }
        if (tune_point_equal(&before, &turn->best) || standard.axis_count == 1)
            break;
    }
    return status;
}

/* The default against the best once more: what the report says, and whether there is a row. */
static clattn_status conclude(search *s)
{
    tune_turn *const turn = s->turn;
    double ratio = 1, seconds[2] = {0};
    clattn_status status = CLATTN_OK;
    if (s->best.plan == NULL) {
        status = tune_runner_time(&s->standard, &s->problem, &turn->default_seconds);
        turn->best_seconds = turn->default_seconds;
        return status;
    }
    status =
        tune_compare(&s->problem, &s->standard, &s->problem, &s->best, ROUNDS, &ratio, seconds);
    turn->better = ratio < MARGIN;
    turn->default_seconds = seconds[0];
    turn->best_seconds = turn->better ? seconds[1] : seconds[0];
    return status;
}

/* The default row: planned alone, and checked. */
static clattn_status begin(search *s, clattn_context *ctx)
{
    tune_turn *const turn = s->turn;
    char tuning[2048];
    clattn_plan_info info;
    bool right = false;
    const double now = command_now();
    clattn_status status = clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT);
    if (status == CLATTN_OK)
        status = tune_problem_open(&s->problem, ctx, turn->kernel->kind, turn->dim);
    if (status == CLATTN_OK)
        status = tune_runner_open(&s->standard, &s->problem);
    if (status != CLATTN_OK)
        return status;
    const size_t bytes = (size_t)s->problem.out_count * sizeof(float);
    s->expected = malloc(bytes);
    s->result = malloc(bytes);
    if (s->expected == NULL || s->result == NULL)
        return CLATTN_E_NOMEM;
    clattn_plan_get_info(s->standard.plan, &info);
    s->private_bytes = info.private_bytes;
    clattn_plan_tuning(s->standard.plan, tuning, sizeof tuning);
    turn->none = !tune_point_read(&turn->best, turn->kernel, tuning);
    if (turn->none)
        return CLATTN_OK;
    turn->end = now + turn->seconds / (turn->best.work_group > 0 ? turn->parts : 1);
    status = check_default(s, &right);
    turn->wrong = status == CLATTN_OK && !right;
    return status;
}

clattn_status tune_search(clattn_context *ctx, tune_turn *turn)
{
    search s = {.turn = turn};
    clattn_status status = begin(&s, ctx);
    turn->all = 1;
    for (int a = 0; a < turn->best.axis_count; a++)
        turn->all *= turn->best.axes[a].count;
    const bool search_it = !turn->wrong && !turn->none;
    if (status == CLATTN_OK && search_it)
        status = descend(&s);
    if (status == CLATTN_OK && turn->tried > 0)
        status = conclude(&s);
    free(s.expected);
    free(s.result);
    tune_runner_close(&s.best);
    tune_runner_close(&s.standard);
    tune_problem_close(&s.problem);
    return status;
}
