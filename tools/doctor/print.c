/* The report for people: the same values as the JSON, in lines that fit a mail. */
#include "doctor.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0.0;
}

static const char *digits(char buffer[32], const cJSON *object, const char *name)
{
    return command_number_print(buffer, 32, number_of(object, name), 3);
}

/* What a plan goes on with in place of a kernel that did not pass. */
static const char *next_of(const char *step)
{
    static const char *const texts[][2] = {
        {"plain", "the kernel without its tuning row takes its place"},
        {"smaller", "a smaller work-group takes its place, or the wide shape"},
        {"cpu", "the CPU path takes its place"},
        {"fail", "nothing on this device takes its place"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(step, texts[i][0]) == 0)
            return texts[i][1];
    return NULL;
}

static void print_kernel(FILE *stream, const cJSON *kernel)
{
    char error[32], time[32];
    const char *const reason = text_of(kernel, "reason");
    const char *const next = next_of(text_of(kernel, "step"));
    fprintf(stream, "  %-8s  %-9s  %6s ms  %s, work-group %d  %s\n", text_of(kernel, "verdict"),
            digits(error, kernel, "error"), digits(time, kernel, "milliseconds"),
            text_of(kernel, "kernel"), (int)number_of(kernel, "work_group"),
            text_of(kernel, "options"));
    if (reason[0] != '\0')
        fprintf(stream, "            %s\n", reason);
    if (next != NULL)
        fprintf(stream, "            %s\n", next);
}

static bool has_passed(const cJSON *kernel)
{
    return strcmp(text_of(kernel, "verdict"), "passed") == 0;
}

/* Those that failed first. */
static void print_kernels(FILE *stream, const cJSON *d)
{
    const cJSON *const kernels = cJSON_GetObjectItemCaseSensitive(d, "kernels");
    const cJSON *item = NULL;
    const int count = cJSON_GetArraySize(kernels);
    double milliseconds = 0.0;
    char time[32];
    int passed = 0;
    cJSON_ArrayForEach(item, kernels)
    {
        passed += has_passed(item);
        milliseconds += number_of(item, "milliseconds");
    }
    command_number_print(time, sizeof time, milliseconds, 3);
    fprintf(stream,
            "  self-test %s: %d of %d kernels passed, in %s ms with what is compiled meanwhile\n",
            text_of(d, "selftest"), passed, count, time);
    if (count > 0)
        fprintf(stream, "  verdict   error (1 is what rounding explains), time, kernel\n");
    for (int wanted = 0; wanted < 2; wanted++)
        cJSON_ArrayForEach(item, kernels) if (has_passed(item) == (wanted == 1))
            print_kernel(stream, item);
}

static void print_times(FILE *stream, const cJSON *times)
{
    char plan[32], first[32], run[32];
    if (strcmp(text_of(times, "status"), "CLATTN_OK") != 0) {
        fprintf(stream, "  times     %s\n", text_of(times, "status"));
        return;
    }
    fprintf(stream, "  times     plan %s ms, first run %s ms, then %s ms (%s)\n",
            digits(plan, times, "plan_ms"), digits(first, times, "first_run_ms"),
            digits(run, times, "run_ms"), text_of(times, "what"));
    if (number_of(times, "operators_on_cpu_path") > 0)
        fprintf(stream, "            %d of its operators on the CPU path\n",
                (int)number_of(times, "operators_on_cpu_path"));
}

static void print_programs(FILE *stream, const cJSON *programs)
{
    if (programs == NULL)
        return;
    fprintf(stream, "  programs  %d written\n", (int)number_of(programs, "written"));
    if (number_of(programs, "failed") > 0)
        fprintf(stream, "            %d not: %s\n", (int)number_of(programs, "failed"),
                text_of(programs, "error"));
}

static void print_log(FILE *stream, const char *indent, const cJSON *object)
{
    const cJSON *line = NULL;
    cJSON_ArrayForEach(line, cJSON_GetObjectItemCaseSensitive(object, "log"))
        fprintf(stream, "%s%s\n", indent, line->valuestring);
}

static void print_device(FILE *stream, const cJSON *d)
{
    fprintf(stream, "\ndevice %d: %s\n", (int)number_of(d, "index"), text_of(d, "name"));
    if (text_of(d, "icd")[0] != '\0')
        fprintf(stream, "  vendor    %s\n", text_of(d, "icd"));
    fprintf(stream, "  platform  %s, %s\n  driver    %s (%s)\n", text_of(d, "platform"),
            text_of(d, "version"), text_of(d, "driver"), text_of(d, "vendor"));
    fprintf(stream,
            "  limits    %s, %d compute units, work-groups up to %d, vectors of %d,\n"
            "            %.0f bytes local, %.0f global, %.0f in one buffer\n",
            text_of(d, "kind"), (int)number_of(d, "compute_units"),
            (int)number_of(d, "max_work_group"), (int)number_of(d, "vector_width"),
            number_of(d, "local_bytes"), number_of(d, "global_bytes"),
            number_of(d, "allocation_bytes"));
    if (text_of(d, "lost")[0] != '\0')
        fprintf(stream, "  lost      %s\n", text_of(d, "lost"));
    if (text_of(d, "why_not")[0] != '\0')
        fprintf(stream, "  unusable  %s\n", text_of(d, "why_not"));
    if (text_of(d, "context")[0] != '\0' && strcmp(text_of(d, "context"), "CLATTN_OK") != 0)
        fprintf(stream, "  context   %s\n", text_of(d, "context"));
    if (text_of(d, "selftest")[0] != '\0')
        print_kernels(stream, d);
    const cJSON *const times = cJSON_GetObjectItemCaseSensitive(d, "times");
    if (times != NULL)
        print_times(stream, times);
    print_programs(stream, cJSON_GetObjectItemCaseSensitive(d, "reproducers"));
    print_log(stream, "  log       ", d);
}

void doctor_print(FILE *stream, const cJSON *report)
{
    const cJSON *item = NULL;
    const cJSON *const cache = cJSON_GetObjectItemCaseSensitive(report, "cache");
    fprintf(stream, "clattn %s, commit %s, kernels %s\nsystem   %s\n", text_of(report, "clattn"),
            text_of(report, "commit"), text_of(report, "kernels"), text_of(report, "os"));
    fprintf(stream, "cache    %s, %d entries, %.0f bytes\n", text_of(cache, "folder"),
            (int)number_of(cache, "entries"), number_of(cache, "bytes"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(report, "settings"))
        fprintf(stream, "setting  %s=%s\n", item->string, item->valuestring);
    if (text_of(report, "problem")[0] != '\0')
        fprintf(stream, "problem  %s\n", text_of(report, "problem"));
    print_log(stream, "log      ", report);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(report, "platforms")) fprintf(
        stream, "\nplatform of %s\n  lost      %s\n", text_of(item, "icd"), text_of(item, "lost"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(report, "devices"))
        print_device(stream, item);
}
