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

static void print_kernel(FILE *stream, const cJSON *kernel)
{
    char error[32];
    const char *const reason = text_of(kernel, "reason");
    fprintf(stream, "  %-8s  error %-9s  %s, work-group %d  %s\n", text_of(kernel, "verdict"),
            digits(error, kernel, "error"), text_of(kernel, "kernel"),
            (int)number_of(kernel, "work_group"), text_of(kernel, "options"));
    if (reason[0] != '\0')
        fprintf(stream, "            %s\n", reason);
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

static void print_device(FILE *stream, const cJSON *d)
{
    const cJSON *item = NULL;
    fprintf(stream, "\ndevice %d: %s\n", (int)number_of(d, "index"), text_of(d, "name"));
    if (text_of(d, "lost")[0] != '\0') {
        fprintf(stream, "  lost      %s\n", text_of(d, "lost"));
        return;
    }
    fprintf(stream, "  platform  %s, %s\n  driver    %s (%s)\n", text_of(d, "platform"),
            text_of(d, "version"), text_of(d, "driver"), text_of(d, "vendor"));
    fprintf(stream,
            "  limits    %s, %d compute units, work-groups up to %d, vectors of %d,\n"
            "            %.0f bytes local, %.0f global, %.0f in one buffer\n",
            text_of(d, "kind"), (int)number_of(d, "compute_units"),
            (int)number_of(d, "max_work_group"), (int)number_of(d, "vector_width"),
            number_of(d, "local_bytes"), number_of(d, "global_bytes"),
            number_of(d, "allocation_bytes"));
    if (text_of(d, "why_not")[0] != '\0')
        fprintf(stream, "  unusable  %s\n", text_of(d, "why_not"));
    if (text_of(d, "selftest")[0] != '\0')
        fprintf(stream, "  self-test %s\n", text_of(d, "selftest"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(d, "kernels"))
        print_kernel(stream, item);
    item = cJSON_GetObjectItemCaseSensitive(d, "times");
    if (item != NULL)
        print_times(stream, item);
    print_programs(stream, cJSON_GetObjectItemCaseSensitive(d, "reproducers"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(d, "log"))
        fprintf(stream, "  log       %s\n", item->valuestring);
}

void doctor_print(FILE *stream, const cJSON *report)
{
    const cJSON *device = NULL;
    const cJSON *const cache = cJSON_GetObjectItemCaseSensitive(report, "cache");
    fprintf(stream, "clattn %s, commit %s, kernels %s\nsystem   %s\n", text_of(report, "clattn"),
            text_of(report, "commit"), text_of(report, "kernels"), text_of(report, "os"));
    fprintf(stream, "cache    %s, %d entries, %.0f bytes\n", text_of(cache, "folder"),
            (int)number_of(cache, "entries"), number_of(cache, "bytes"));
    if (text_of(report, "problem")[0] != '\0')
        fprintf(stream, "problem  %s\n", text_of(report, "problem"));
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(report, "devices"))
        print_device(stream, device);
}
