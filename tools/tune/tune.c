/* clattn tune: values for the kernels of a device, as rows of text; see tune.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replace.h"
#include "tune/tune.h"

/* The widths at which the tile shape begins with its work-groups of 64, 128 and 256; the wide shape is tuned at the first. */
static const int64_t dims[TUNE_DIMS] = {64, 128, 256};

#define REPORT_BYTES 16384

/* Behind what the time was not enough for. */
#define MORE_TIME "; more --seconds, or fewer names in --op, reach further"

typedef struct session {
    const command *cmd;
    command_device device;
    clattn_context *ctx;
    int64_t seconds;
    double begin;
    const char *path;          /* -o; NULL: none */
    bool wanted[TUNE_KINDS];   /* by the place in tune_kernels */
    char report[REPORT_BYTES]; /* rows and comments: what is printed and written */
    size_t length;
    int wrong; /* kernels whose default row gives wrong results */
} session;

/* Prints a line of the report and keeps it for the file. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
say(session *s, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    command_progress(1);
    printf("%s\n", line);
    fflush(stdout);
    if (s->length + strlen(line) + 2 < sizeof s->report)
        s->length +=
            (size_t)snprintf(s->report + s->length, sizeof s->report - s->length, "%s\n", line);
}

/* What a turn has found: a comment, and the row where it is better than the default. */
static void report(session *s, const tune_turn *turn)
{
    const char *const name = turn->kernel->name;
    char before[32], after[32], gain[32], row[768], problem[80];
    tune_problem_words(turn->kernel->kind, turn->dim, problem, sizeof problem);
    command_number_print(before, sizeof before, 1e3 * turn->default_seconds, 4);
    command_number_print(after, sizeof after, 1e3 * turn->best_seconds, 4);
    if (turn->none) {
        say(s, "# %s: there is nothing to tune in this shape", name);
        return;
    }
    if (turn->wrong) {
        s->wrong++;
        say(s, "# %s, %s: WRONG: the default row's result is not that of the CPU path", name,
            problem);
        return;
    }
    if (turn->tried == 0)
        say(s, "# %s, %s: 0 of %d tried, %d refused" MORE_TIME, name, problem, turn->all,
            turn->refused);
    else if (turn->better)
        say(s, "# %s, %s: default %s ms, tuned %s ms, %s times as fast; %d of %d tried, %d refused",
            name, problem, before, after,
            command_number_print(gain, sizeof gain, turn->default_seconds / turn->best_seconds, 3),
            turn->tried, turn->all, turn->refused);
    else
        say(s, "# %s, %s: default %s ms, nothing faster; %d of %d tried, %d refused", name, problem,
            before, turn->tried, turn->all, turn->refused);
    if (turn->refused > 0)
        say(s, "#   refused: %s", turn->trouble);
    if (turn->better) {
        tune_point_row(&turn->best, clattn_context_device(s->ctx)->name, row, sizeof row);
        say(s, "%s", row);
    }
}

static clattn_status advise(session *s, const tune_kernel *kernel, double end)
{
    tune_advice advice;
    char gain[32], problem[80];
    const clattn_status status = tune_advise(s->cmd, &s->device, s->ctx, kernel, end, &advice);
    tune_problem_words(kernel->kind, TUNE_ADVICE_DIM, problem, sizeof problem);
    for (int i = 0; i < advice.count && status == CLATTN_OK; i++)
        say(s,
            "# advice: %s, %s is %s times as fast with clattn_context_params.work_group = %u; it "
            "changes the last bits of results",
            kernel->name, problem, command_number_print(gain, sizeof gain, advice.gain[i], 3),
            (unsigned)advice.work_group[i]);
    if (status == CLATTN_OK && !advice.whole)
        say(s, "# %s, other work-groups: not all tried" MORE_TIME, kernel->name);
    else if (status == CLATTN_OK && advice.count == 0)
        say(s, "# %s, other work-groups: none is faster", kernel->name);
    return status;
}

/* One kernel within so many seconds: in the tile shape each width and the advice get equal parts of them. */
static clattn_status tune_kernel_turns(session *s, const tune_kernel *kernel, double seconds)
{
    const double end = command_now() + seconds;
    for (int d = 0; d < TUNE_DIMS; d++) {
        const double left = end - command_now();
        tune_turn turn = {
            .kernel = kernel, .dim = dims[d], .seconds = left, .parts = TUNE_DIMS - d + 1};
        if (left <= 0) {
            say(s, "# %s, head_dim %d%s: not reached" MORE_TIME, kernel->name, (int)dims[d],
                d < TUNE_DIMS - 1 ? " and wider" : "");
            return CLATTN_OK;
        }
        const clattn_status status = tune_search(s->ctx, &turn);
        if (status != CLATTN_OK)
            return status;
        report(s, &turn);
        if (turn.best.work_group == 0)
            return CLATTN_OK;
    }
    return advise(s, kernel, end);
}

static clattn_status tune_all(session *s)
{
    clattn_status status = CLATTN_OK;
    int shares = 0;
    for (int k = 0; k < TUNE_KINDS; k++)
        shares += s->wanted[k] ? tune_kernels[k].share : 0;
    for (int k = 0; k < TUNE_KINDS && status == CLATTN_OK; k++) {
        if (!s->wanted[k])
            continue;
        const tune_kernel *const kernel = &tune_kernels[k];
        const double gone = command_now() - s->begin, left = (double)s->seconds - gone;
        command_progress(left > 0 ? gone / (double)s->seconds : 0.99);
        if (left > 0)
            status = tune_kernel_turns(s, kernel, left * kernel->share / shares);
        else
            say(s, "# %s: not reached" MORE_TIME, kernel->name);
        shares -= kernel->share;
    }
    command_progress(1);
    return status;
}

/* --op: names between commas. False, with the error printed, where one is unknown. */
static bool choose(session *s, const char *names)
{
    char known[160];
    for (int k = 0; k < TUNE_KINDS; k++)
        s->wanted[k] = names == NULL;
    for (const char *name = names; name != NULL;) {
        const size_t length = strcspn(name, ",");
        const tune_kernel *const kernel = tune_kernel_find(name, length);
        if (kernel == NULL) {
            tune_kernel_names(known, sizeof known);
            command_error(s->cmd, "unknown operator '%.*s'; there are %s", (int)length, name,
                          known);
            return false;
        }
        s->wanted[kernel - tune_kernels] = true;
        name = name[length] == ',' ? name + length + 1 : NULL;
    }
    return true;
}

static bool write_all(int file, const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(file, text, size);
        if (written < 0 && errno != EINTR)
            return false;
        text += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* Prints why the file could not be written; an exit code. */
static int fail_file(const session *s)
{
    command_error(s->cmd, "-o '%s': %s", s->path, strerror(errno));
    replace_discard();
    return 1;
}

/*
 * The file is begun once ahead, so that what cannot be written is known before the search, and not kept open meanwhile: a compiler
 * in the driver may take over the signals that end the program, and would leave it.
 */
static int run(session *s)
{
    if (s->path != NULL && replace_begin(s->path) < 0)
        return fail_file(s);
    replace_discard();
    const clattn_device *const device = clattn_context_device(s->ctx);
    say(s, "# clattn %s on %s, driver %s, in %d s", clattn_version(), device->name, device->driver,
        (int)s->seconds);
    s->begin = command_now();
    const clattn_status status = tune_all(s);
    if (status != CLATTN_OK || s->wrong > 0) {
        if (status != CLATTN_OK)
            return command_fail(s->cmd, &s->device, status);
        command_error(s->cmd, "%s computes %d kernels wrongly; no rows are written", device->name,
                      s->wrong);
        return 1;
    }
    if (s->path == NULL)
        return 0;
    const int file = replace_begin(s->path);
    if (file < 0 || !write_all(file, s->report, s->length) || !replace_commit())
        return fail_file(s);
    return 0;
}

static const char about[] =
    "Finds the values of the kernels' parameters with which they are fastest on a device, and "
    "prints\n"
    "them as rows for --tuning and clattn_tune_load(). Every candidate must give the very bits of "
    "the\n"
    "default row, whose result must be that of the CPU path. Kernels take turns within --seconds, "
    "each\n"
    "candidate is measured by turns with the best one so far, and wins by at least 2 %.\n"
    "The output as a whole is a file of rows: what explains them are comments.\n";

int clattn_command_tune(int argc, char **argv)
{
    session s = {.seconds = 30};
    const char *names = NULL, *shape = NULL;
    int operands = 0;
    command_device_init(&s.device);
    const command_option options[] = {
        COMMAND_DEVICE_OPTION(s.device),
        COMMAND_SHAPE_OPTION(shape),
        {"--seconds", "S", COMMAND_COUNT, &s.seconds, 1, 86400,
         "how long to search (30); more tries more"},
        {"--op", "NAME,...", COMMAND_TEXT, &names, 0, 0, "these operators only"},
        {"-o", "FILE", COMMAND_TEXT, &s.path, 0, 0, "write the rows to FILE as well"},
    };
    const command cmd = {
        .name = "tune",
        .operands = "",
        .about = about,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    const int code = command_parse(&cmd, argc, argv, &operands);
    if (code != COMMAND_CONTINUE)
        return code;
    s.cmd = &cmd;
    if (!choose(&s, names) || !command_device_shape(&cmd, &s.device, shape))
        return 2;
    /* Candidates beyond the device's limits are counted here, not warned of. */
    s.device.params.log.level = CLATTN_LOG_ERROR;
    if (command_device_open(&cmd, &s.device, &s.ctx) != CLATTN_OK)
        return 1;
    int result = 1;
    if (clattn_context_is_cpu(s.ctx))
        command_error(&cmd, "the CPU path has nothing to tune; --device names an OpenCL device");
    else
        result = run(&s);
    clattn_context_destroy(&s.ctx);
    return result;
}
