/* clattn check: runs recorded cases on a device and compares. */
#include "check/check.h"

#include "command.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum CheckVerdict { CHECK_PASS, CHECK_FAIL, CHECK_SKIP, CHECK_UNREADABLE } CheckVerdict;

static const char *const verdict_names[] = {
    [CHECK_PASS] = "pass",
    [CHECK_FAIL] = "FAIL",
    [CHECK_SKIP] = "skip",
    [CHECK_UNREADABLE] = "unreadable",
};

/* What is known of one file after its turn. */
typedef struct CheckOutcome {
    const char *path;
    char name[128]; /* the file's, without folder and suffix */
    CheckVerdict verdict;
    bool measured; /* distance and limits are set */
    bool smooth;   /* judged by the mean error, not by relative L2 */
    CheckDistance distance;
    double max_limit, second_limit; /* the latter of relative L2, or of the mean error */
    CheckError reason;              /* unless it passed or was measured */
} CheckOutcome;

typedef struct CheckSession {
    const command *cmd;
    command_device device;
    clattn_context *ctx;
    clattn_type type;
    int json, verbose;
    cJSON *cases; /* with json */
    int verdicts[4];
} CheckSession;

static void print_intermediate(void *user, const char *name, const CheckDistance *distance)
{
    char max_text[32], l2_text[32];
    (void)user;
    printf("      %-12s  max %s  L2 %s\n", name,
           command_number_print(max_text, sizeof max_text, distance->max_abs, 2),
           command_number_print(l2_text, sizeof l2_text, distance->relative_l2, 2));
}

static void judge(const CheckSession *session, CheckOutcome *outcome, const CheckCase *recorded)
{
    const bool half = session->type == CLATTN_F16;
    const CheckDistance *const distance = &outcome->distance;
    outcome->measured = true;
    outcome->smooth = recorded->form == CHECK_SMOOTH;
    outcome->max_limit = outcome->smooth ? CHECK_SMOOTH_MAX_LIMIT
                                         : (half ? CHECK_F16_MAX_LIMIT : CHECK_MAX_LIMIT) *
                                               fmax(1, distance->max_value);
    outcome->second_limit = outcome->smooth ? CHECK_SMOOTH_MEAN_LIMIT
                            : half          ? CHECK_F16_L2_LIMIT
                                            : CHECK_L2_LIMIT;
    const double second = outcome->smooth ? distance->mean_abs : distance->relative_l2;
    const bool good = distance->max_abs <= outcome->max_limit && second <= outcome->second_limit;
    outcome->verdict = good ? CHECK_PASS : CHECK_FAIL;
}

/* Everything between an open file and a verdict. */
static void check_open_file(CheckSession *session, const clattn_safetensors *file,
                            CheckOutcome *outcome)
{
    const CheckKind kind = check_kind(file);
    CheckCase recorded = {0};
    outcome->verdict = CHECK_UNREADABLE;
    if (!kind.known) {
        check_refuse(&outcome->reason, "its metadata names no known kind of case");
    } else if (kind.skip != NULL) {
        outcome->verdict = CHECK_SKIP;
        check_refuse(&outcome->reason, "%s", kind.skip);
    } else if (kind.form == CHECK_SMOOTH && session->type != CLATTN_F32) {
        outcome->verdict = CHECK_SKIP;
        check_refuse(&outcome->reason, "the smoothing filter stores f32 only");
    } else if (check_case_load(&recorded, file, &kind, &outcome->reason)) {
        session->device.sentence[0] = '\0';
        check_case_set_type(&recorded, session->type);
        const clattn_status status =
            check_case_run(session->ctx, &recorded, session->verbose ? print_intermediate : NULL,
                           NULL, &outcome->distance);
        outcome->verdict = CHECK_FAIL;
        if (status == CLATTN_OK)
            judge(session, outcome, &recorded);
        else
            check_refuse(&outcome->reason, "%s: %s", clattn_status_name(status),
                         session->device.sentence[0] != '\0' ? session->device.sentence
                                                             : clattn_status_text(status));
    }
    check_case_free(&recorded);
}

static void set_name(CheckOutcome *outcome)
{
    const char *const slash = strrchr(outcome->path, '/');
    snprintf(outcome->name, sizeof outcome->name, "%s", slash != NULL ? slash + 1 : outcome->path);
    char *const dot = strrchr(outcome->name, '.');
    if (dot != NULL && dot != outcome->name)
        *dot = '\0';
}

static void print_outcome(const CheckSession *session, const CheckOutcome *outcome)
{
    const CheckDistance *const distance = &outcome->distance;
    const char *const device = clattn_context_device(session->ctx)->name;
    char texts[4][32];
    if (outcome->verdict == CHECK_UNREADABLE) {
        command_error(session->cmd, "%s: %s", outcome->path, outcome->reason.text);
    } else if (!outcome->measured) {
        printf("%s  %-44s  %s\n", verdict_names[outcome->verdict], outcome->name,
               outcome->reason.text);
    } else {
        const double second = outcome->smooth ? distance->mean_abs : distance->relative_l2;
        printf("%s  %-44s  max %s of %s  %s %s of %s  on %s\n", verdict_names[outcome->verdict],
               outcome->name, command_number_print(texts[0], 32, distance->max_abs, 2),
               command_number_print(texts[1], 32, outcome->max_limit, 2),
               outcome->smooth ? "mean" : "L2", command_number_print(texts[2], 32, second, 2),
               command_number_print(texts[3], 32, outcome->second_limit, 2), device);
    }
}

static void add_json(CheckSession *session, const CheckOutcome *outcome)
{
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddItemToArray(session->cases, json);
    cJSON_AddStringToObject(json, "name", outcome->name);
    cJSON_AddStringToObject(json, "file", outcome->path);
    cJSON_AddStringToObject(json, "verdict", verdict_names[outcome->verdict]);
    if (!outcome->measured) {
        cJSON_AddStringToObject(json, "reason", outcome->reason.text);
        return;
    }
    cJSON_AddNumberToObject(json, "max_abs", outcome->distance.max_abs);
    cJSON_AddNumberToObject(json, "mean_abs", outcome->distance.mean_abs);
    cJSON_AddNumberToObject(json, "relative_l2", outcome->distance.relative_l2);
    cJSON *const tolerance = cJSON_AddObjectToObject(json, "tolerance");
    cJSON_AddNumberToObject(tolerance, "max_abs", outcome->max_limit);
    cJSON_AddNumberToObject(tolerance, outcome->smooth ? "mean_abs" : "relative_l2",
                            outcome->second_limit);
}

static void check_file(CheckSession *session, const char *path)
{
    CheckOutcome outcome = {.path = path, .verdict = CHECK_UNREADABLE};
    clattn_safetensors *file = NULL;
    set_name(&outcome);
    const clattn_status status = clattn_safetensors_open(path, &session->device.params.log, &file);
    if (status == CLATTN_OK) {
        check_open_file(session, file, &outcome);
    } else {
        /* The reader's sentence begins with the path, which print_outcome() adds. */
        const char *const text = session->device.sentence;
        const size_t length = strlen(path);
        const bool named = strncmp(text, path, length) == 0 && text[length] == ':';
        check_refuse(&outcome.reason, "%s", named ? text + length + 2 : text);
    }
    clattn_safetensors_close(&file);
    session->verdicts[outcome.verdict]++;
    if (session->json)
        add_json(session, &outcome);
    if (!session->json || outcome.verdict == CHECK_UNREADABLE)
        print_outcome(session, &outcome);
    fflush(stdout); /* a case may take long, and stderr must not overtake */
}

/* False when memory ran out. */
static bool print_json(const CheckSession *session)
{
    const clattn_device *const device = clattn_context_device(session->ctx);
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "clattn", clattn_version());
    cJSON *const on = cJSON_AddObjectToObject(json, "device");
    cJSON_AddStringToObject(on, "name", device->name);
    cJSON_AddStringToObject(on, "platform", device->platform);
    cJSON_AddStringToObject(on, "driver", device->driver);
    cJSON_AddStringToObject(json, "type", session->type == CLATTN_F16 ? "f16" : "f32");
    cJSON_AddItemReferenceToObject(json, "cases", session->cases);
    cJSON_AddNumberToObject(json, "passed", session->verdicts[CHECK_PASS]);
    cJSON_AddNumberToObject(json, "failed", session->verdicts[CHECK_FAIL]);
    cJSON_AddNumberToObject(json, "skipped", session->verdicts[CHECK_SKIP]);
    cJSON_AddNumberToObject(json, "unreadable", session->verdicts[CHECK_UNREADABLE]);
    char *const text = cJSON_Print(json);
    if (text != NULL)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
    return text != NULL;
}

/* Runs all files; returns the exit code. */
static int run_session(CheckSession *session, const CheckFiles *files, bool all_found)
{
    if (command_device_open(session->cmd, &session->device, &session->ctx) != CLATTN_OK)
        return 1;
    bool printed = true;
    if (session->json) {
        session->cases = cJSON_CreateArray();
        for (size_t i = 0; i < files->count; i++) {
            command_progress((double)i / (double)files->count);
            check_file(session, files->paths[i]);
        }
        command_progress(1);
        printed = print_json(session);
        cJSON_Delete(session->cases);
    } else {
        for (size_t i = 0; i < files->count; i++)
            check_file(session, files->paths[i]);
        printf("%d passed, %d failed, %d skipped, %d unreadable\n", session->verdicts[CHECK_PASS],
               session->verdicts[CHECK_FAIL], session->verdicts[CHECK_SKIP],
               session->verdicts[CHECK_UNREADABLE]);
    }
    clattn_context_destroy(&session->ctx);
    command_device_end(&session->device);
    if (!printed)
        command_error(session->cmd, "no memory to print JSON");
    if (!all_found || session->verdicts[CHECK_UNREADABLE] > 0)
        return 2;
    return printed && session->verdicts[CHECK_FAIL] == 0 ? 0 : 1;
}

/* --type: f32 or f16. */
static bool set_type(CheckSession *session, const char *type)
{
    if (type == NULL)
        return true;
    session->type = strcmp(type, "f16") == 0 ? CLATTN_F16 : CLATTN_F32;
    return session->type == CLATTN_F16 || strcmp(type, "f32") == 0;
}

static const char about[] =
    "Runs recorded results of agent attention again on a device, and compares: pass where\n"
    "relative L2 is at most 5e-6 and the largest error at most 3e-5 * max(1, max|output|);\n"
    "smoothing: largest 2e-4, mean 4e-6; storage in f16: 1.5e-3 and 2e-3. Cases that this version "
    "cannot run are skipped with\n"
    "the reason. A folder stands for all .safetensors files in it and below.\n"
    "Exit code: 0, 1 if a case fails, 2 if a file is unreadable or of unknown kind.\n";

int clattn_command_check(int argc, char **argv)
{
    CheckSession session = {0};
    int operands = 0;
    const char *shape = NULL;
    const char *type = NULL;
    int64_t work_group = 0;
    command_device_init(&session.device);
    const command_option options[] = {
        COMMAND_DEVICE_OPTION(session.device),
        COMMAND_CACHE_OPTION(session.device),
        COMMAND_TUNING_OPTION(session.device),
        COMMAND_SHAPE_OPTION(shape),
        {"--work-group", "N", COMMAND_COUNT, &work_group, 1, 4096,
         "work-groups of N items, or of the next smaller size that the kernels have"},
        {"--type", "T", COMMAND_TEXT, &type, 0, 0,
         "how inputs and results are stored: f32 (default) or f16"},
        {"--json", NULL, COMMAND_FLAG, &session.json, 0, 0, "print JSON"},
        {"--verbose", NULL, COMMAND_FLAG, &session.verbose, 0, 0,
         "also compare the steps in between, where a file records them"},
    };
    const command cmd = {
        .name = "check",
        .operands = "FILE|FOLDER...",
        .about = about,
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_operands = 1,
        .most_operands = argc,
    };
    const int parsed = command_parse(&cmd, argc, argv, &operands);
    if (parsed != COMMAND_CONTINUE)
        return parsed;
    session.cmd = &cmd;
    session.verbose = session.verbose && !session.json;
    session.device.params.work_group = (uint32_t)work_group;
    if (!command_device_shape(&cmd, &session.device, shape))
        return 2;

    if (!set_type(&session, type)) {
        command_error(&cmd, "--type is f32 or f16, not '%s'", type);
        return 2;
    }

    CheckFiles files = {0};
    CheckError error;
    bool all_found = true;
    for (int i = 1; i <= operands; i++) {
        if (!check_files_add(&files, argv[i], &error)) {
            command_error(&cmd, "%s", error.text);
            all_found = false;
        }
    }
    const int code = files.count > 0 ? run_session(&session, &files, all_found) : 2;
    check_files_free(&files);
    return code;
}
