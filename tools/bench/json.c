/* The report for programs. docs/bench.md describes every field. */
#include "bench/bench.h"
#include "bench_build.h"
#include "bench_kernels_hash.h"
#include "device_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <sys/utsname.h>
#endif

/* Raised when a field changes its meaning or goes. */
#define FORMAT 1

/* JSON has no infinity: null. */
static void add_number(cJSON *object, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_device(cJSON *json, const bench_device *device)
{
    const clattn_device *const info = &device->info;
    cJSON *const object = cJSON_AddObjectToObject(json, "device");
    cJSON_AddStringToObject(object, "name", info->name);
    cJSON_AddStringToObject(object, "kind", device_kind_name(info->kind));
    cJSON_AddStringToObject(object, "vendor", info->vendor);
    cJSON_AddStringToObject(object, "platform", info->platform);
    cJSON_AddStringToObject(object, "version", info->version);
    cJSON_AddStringToObject(object, "driver", info->driver);
    cJSON_AddNumberToObject(object, "compute_units", info->compute_units);
    cJSON_AddNumberToObject(object, "global_bytes", (double)info->global_bytes);
    cJSON_AddNumberToObject(object, "cache_bytes", (double)device->cache_bytes);
    cJSON_AddBoolToObject(object, "opencl", device->cl != NULL);
}

static void add_run(cJSON *json, const bench_settings *settings)
{
    char text[128] = "unknown";
    const time_t now = time(NULL);
    const struct tm *const utc = gmtime(&now);
#ifndef _WIN32
    struct utsname system;
    if (uname(&system) == 0)
        snprintf(text, sizeof text, "%.40s %.40s %.40s", system.sysname, system.release,
                 system.machine);
#endif
    cJSON_AddStringToObject(json, "os", text);
    if (utc == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", utc) == 0)
        text[0] = '\0';
    cJSON_AddStringToObject(json, "date", text);
    cJSON_AddStringToObject(json, "tuning", settings->tuning);
    cJSON *const object = cJSON_AddObjectToObject(json, "settings");
    cJSON_AddNumberToObject(object, "seconds", settings->seconds);
    cJSON_AddBoolToObject(object, "quick", settings->quick);
    cJSON_AddStringToObject(object, "cache", settings->warm ? "warm" : "cold");
    cJSON_AddStringToObject(object, "type", settings->type == CLATTN_F16 ? "f16" : "f32");
}

static void add_roofs(cJSON *json, const bench_report *report)
{
    cJSON *const object = cJSON_AddObjectToObject(json, "roofs");
    for (int i = 0; i < BENCH_ROOFS; i++) {
        const double start = report->start.roof[i].value;
        const double drift = bench_drift(start, report->end.roof[i].value);
        cJSON *const roof = cJSON_AddObjectToObject(object, bench_roof_texts[i].name);
        cJSON_AddNumberToObject(roof, "start", start);
        cJSON_AddNumberToObject(roof, "end", report->end.roof[i].value);
        cJSON_AddNumberToObject(roof, "drift", drift);
        cJSON_AddBoolToObject(roof, "drifted", fabs(drift) > BENCH_DRIFT_LIMIT);
        cJSON_AddStringToObject(roof, "form", report->best.roof[i].form);
    }
    cJSON_AddBoolToObject(json, "device_clock", report->start.events);
}

static void add_spread(cJSON *json, const char *name, const bench_spread *spread)
{
    if (spread->count == 0) {
        cJSON_AddNullToObject(json, name);
        return;
    }
    cJSON *const object = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(object, "median", spread->median);
    cJSON_AddNumberToObject(object, "p10", spread->p10);
    cJSON_AddNumberToObject(object, "p90", spread->p90);
    cJSON_AddNumberToObject(object, "runs", spread->count);
}

static void add_shape(cJSON *json, const bench_shape *shape)
{
    cJSON *const object = cJSON_AddObjectToObject(json, "sizes");
    cJSON_AddNumberToObject(object, "batch", (double)shape->batch);
    cJSON_AddNumberToObject(object, "heads", (double)shape->heads);
    cJSON_AddNumberToObject(object, "head_dim", (double)shape->dim);
    cJSON_AddNumberToObject(object, "height", (double)shape->height);
    cJSON_AddNumberToObject(object, "width", (double)shape->width);
    cJSON_AddNumberToObject(object, "class_tokens", (double)shape->class_tokens);
    cJSON_AddNumberToObject(object, "agents", (double)bench_shape_agents(shape));
}

/* Speeds are told of right results only. */
static void add_speed(cJSON *json, const bench_row *row)
{
    const double median = bench_row_time(row)->median;
    add_spread(json, "device_seconds", &row->device);
    add_spread(json, "wall_seconds", &row->wall);
    add_number(json, "gflops", 1e-9 * row->cost.flops / median);
    add_number(json, "gbytes_per_second", 1e-9 * row->cost.bytes / median);
    add_number(json, "share_of_bound", row->share);
    add_number(json, "share_at_pace", row->share_at_pace);
    add_number(json, "pace", row->pace);
    cJSON_AddStringToObject(json, "pace_roof", bench_roof_texts[row->pace_roof].name);
    if (row->op == BENCH_SMOOTH)
        add_number(json, "megapixels_per_second",
                   1e-6 * (double)(row->shape->height * row->shape->width) / median);
}

static void add_row(cJSON *rows, const bench_row *row)
{
    static const char *const outcomes[] = {[BENCH_MEASURED] = "measured",
                                           [BENCH_SKIPPED] = "skipped",
                                           [BENCH_WRONG] = "WRONG",
                                           [BENCH_FAILED] = "failed"};
    char bits[20];
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, json);
    cJSON_AddStringToObject(json, "operator", bench_op_name(row->op));
    cJSON_AddStringToObject(json, "shape", row->shape->name);
    add_shape(json, row->shape);
    cJSON_AddStringToObject(json, "outcome", outcomes[row->outcome]);
    if (row->note[0] != '\0')
        cJSON_AddStringToObject(json, "note", row->note);
    cJSON_AddNumberToObject(json, "bytes", row->cost.bytes);
    cJSON_AddNumberToObject(json, "flops", row->cost.flops);
    cJSON_AddNumberToObject(json, "exponentials", row->cost.exps);
    if (row->outcome != BENCH_MEASURED && row->outcome != BENCH_WRONG)
        return;
    if (row->outcome == BENCH_MEASURED)
        add_speed(json, row);
    cJSON_AddNumberToObject(json, "plan_seconds", row->plan_seconds);
    if (row->binary_bytes > 0)
        cJSON_AddNumberToObject(json, "binary_bytes", (double)row->binary_bytes);
    else
        cJSON_AddNullToObject(json, "binary_bytes");
    cJSON_AddNumberToObject(json, "launches", row->info.launches);
    cJSON_AddNumberToObject(json, "scratch_bytes", (double)row->info.scratch_bytes);
    cJSON_AddNumberToObject(json, "work_group", row->info.work_group);
    cJSON_AddNumberToObject(json, "sets", (double)row->sets);
    add_number(json, "max_error", row->error);
    cJSON_AddNumberToObject(json, "tolerance", row->tolerance);
    cJSON_AddNumberToObject(json, "checked", (double)row->checked);
    cJSON_AddStringToObject(json, "checked_with", row->checked_with);
    snprintf(bits, sizeof bits, "%016llx", (unsigned long long)row->bits);
    cJSON_AddStringToObject(json, "bits", bits);
}

static char *report_text(const bench_report *report)
{
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "clattn_bench", FORMAT);
    cJSON_AddStringToObject(json, "clattn", clattn_version());
    cJSON_AddStringToObject(json, "commit", BENCH_COMMIT);
    cJSON_AddStringToObject(json, "kernels", BENCH_KERNELS_HASH);
    add_device(json, report->device);
    add_run(json, report->settings);
    add_roofs(json, report);
    cJSON *const rows = cJSON_AddArrayToObject(json, "rows");
    for (size_t i = 0; i < report->count; i++)
        add_row(rows, &report->rows[i]);
    char *const text = cJSON_Print(json);
    cJSON_Delete(json);
    return text;
}

bool bench_json_write(const command *cmd, const bench_report *report, const char *path)
{
    char *const text = report_text(report);
    if (text == NULL) {
        command_error(cmd, "out of memory for the JSON");
        return false;
    }
    const bool to_stdout = strcmp(path, "-") == 0;
    FILE *const stream = to_stdout ? stdout : fopen(path, "w");
    bool written = stream != NULL && fprintf(stream, "%s\n", text) > 0;
    if (stream != NULL && !to_stdout)
        written = fclose(stream) == 0 && written;
    if (!written)
        command_error(cmd, "--json %s: %s", path, strerror(errno));
    cJSON_free(text);
    return written;
}
