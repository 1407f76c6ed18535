/* clattn bench: the command. What is measured and how: docs/bench.md. */
#include "bench/bench.h"
#include "bench/pace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SECONDS 0.5
#define QUICK_SECONDS   0.1
/* A roof has tens of forms: each gets this part of a row's time. */
#define ROOF_PART 0.2

typedef struct options {
    const char *ops, *shapes, *cache, *type, *json, *baseline, *plot;
    double seconds, fail_above;
    int quick;
} options;

/* Names to values; false with an error printed. */
static bool read_options(const command *cmd, const options *o, const command_device *device,
                         bench_settings *settings)
{
    settings->quick = o->quick != 0;
    settings->seconds = o->seconds > 0.0 ? o->seconds : o->quick ? QUICK_SECONDS : DEFAULT_SECONDS;
    settings->warm = strcmp(o->cache, "warm") == 0;
    settings->type = strcmp(o->type, "f16") == 0 ? CLATTN_F16 : CLATTN_F32;
    settings->tuning = device->tuning;
    if (!settings->warm && strcmp(o->cache, "cold") != 0)
        command_error(cmd, "--cache takes warm or cold, not '%s'", o->cache);
    else if (settings->type == CLATTN_F32 && strcmp(o->type, "f32") != 0)
        command_error(cmd, "--type takes f32 or f16, not '%s'", o->type);
    else if (o->fail_above >= 0.0 && o->baseline == NULL)
        command_error(cmd, "--fail-above needs --baseline");
    else if (o->plot != NULL && !bench_plot_name_fits(o->plot))
        command_error(cmd, "--plot takes a name that ends in .svg or .png, not '%s'", o->plot);
    else
        return true;
    return false;
}

static void measure_rows(bench_device *device, bench_report *report)
{
    bench_pace pace;
    bench_pace_open(device, &report->start, &pace);
    for (size_t i = 0; i < report->count; i++) {
        command_progress(((double)i + 1.0) / ((double)report->count + 2.0));
        bench_row_measure(device, &pace, report->settings, &report->rows[i]);
    }
    bench_pace_close(&pace);
}

/* Measures all rows between two measurements of the roofs. False when that broke off, with an error printed. */
static bool measure(bench_device *device, bench_report *report)
{
    const bench_settings *const settings = report->settings;
    const double steps = (double)report->count + 2.0;
    command_progress(0.0);
    if (!bench_roofs_measure(device, ROOF_PART * settings->seconds, NULL, &report->start))
        return false;
    measure_rows(device, report);
    command_progress((steps - 1.0) / steps);
    if (!bench_roofs_measure(device, ROOF_PART * settings->seconds, &report->start, &report->end))
        return false;
    command_progress(1.0);
    report->best = bench_roofs_better(&report->start, &report->end);
    for (size_t i = 0; i < report->count; i++)
        bench_row_share(&report->start, &report->best, settings, &report->rows[i]);
    return true;
}

/* 1 where a result was wrong, a call failed, or a roof was not one; each with an error printed. */
static int judge(const command *cmd, const bench_report *report)
{
    int code = 0;
    char name[96];
    for (size_t i = 0; i < report->count; i++) {
        const bench_row *const row = &report->rows[i];
        (void)bench_row_name(row, name, sizeof name);
        if (row->outcome == BENCH_WRONG || row->outcome == BENCH_FAILED) {
            command_error(cmd, "%s: %s: %s", name, row->outcome == BENCH_WRONG ? "WRONG" : "failed",
                          row->note);
            code = 1;
        }
        if (row->outcome != BENCH_MEASURED)
            continue;
        const char *const above = bench_above_roof(
            &row->cost, &report->best, report->settings->warm, bench_row_time(row)->median);
        if (above == NULL)
            continue;
        command_error(cmd, "%s runs at more than 100 %% of the roof '%s': the roof is wrong", name,
                      above);
        code = 1;
    }
    return code;
}

static int tell(const command *cmd, const options *o, const bench_baseline *baseline,
                const bench_report *report)
{
    int code = judge(cmd, report);
    if (o->json == NULL || strcmp(o->json, "-") != 0) {
        printf("%s, driver %s, clattn %s\n", report->device->info.name, report->device->info.driver,
               clattn_version());
        bench_table_roofs(report);
        printf("\n");
        bench_table_rows(report);
        if (o->baseline != NULL && bench_baseline_print(baseline, report, o->fail_above) > 0)
            code = 1;
    }
    if (o->json != NULL && !bench_json_write(cmd, report, o->json))
        code = 1;
    if (o->plot != NULL && bench_plot_write(cmd, report, o->plot) != 0)
        code = 1;
    return code;
}

static int run(const command *cmd, bench_device *device, const options *o)
{
    bench_settings settings = {0};
    bench_report report = {.device = device, .settings = &settings};
    bench_baseline baseline = {.count = 0};
    int code = 2;
    /* What can be wrong with the call is found before minutes go by. */
    if (!read_options(cmd, o, &device->chosen, &settings))
        return code;
    bench_count_binaries(device);
    report.rows = bench_rows_choose(cmd, o->ops, o->shapes, settings.quick, &report.count);
    if (report.rows != NULL &&
        (o->baseline == NULL || bench_baseline_read(cmd, o->baseline, &baseline))) {
        code = 1;
        if (bench_device_open(device) == CLATTN_OK && measure(device, &report))
            code = tell(cmd, o, &baseline, &report);
    }
    bench_device_close(device);
    bench_baseline_free(&baseline);
    free(report.rows);
    return code;
}

int clattn_command_bench(int argc, char **argv)
{
    int operands = 0;
    options o = {.cache = "cold", .type = "f32", .fail_above = -1.0};
    bench_device device = {.cl = NULL};
    command_device_init(&device.chosen);
    device.chosen.tuning = "builtin";
    const command_option table[] = {
        COMMAND_DEVICE_OPTION(device.chosen),
        {"--quick", NULL, COMMAND_FLAG, &o.quick, 0, 0, "a dozen rows, less than a minute"},
        {"--ops", "OP,...", COMMAND_TEXT, &o.ops, 0, 0, "only these operators"},
        {"--shapes", "S,...", COMMAND_TEXT, &o.shapes, 0, 0,
         "only these shapes, or groups of them"},
        {"--seconds", "S", COMMAND_NUMBER, &o.seconds, 0.001, 600, "per row (0.5; --quick 0.1)"},
        {"--cache", "STATE", COMMAND_TEXT, &o.cache, 0, 0,
         "cold: other tensors for each run (default); warm: the same"},
        {"--type", "TYPE", COMMAND_TEXT, &o.type, 0, 0, "of the tensors: f32 (default) or f16"},
        COMMAND_TUNING_OPTION(device.chosen),
        {"--json", "FILE", COMMAND_TEXT, &o.json, 0, 0, "write the report as JSON; - for stdout"},
        {"--baseline", "FILE", COMMAND_TEXT, &o.baseline, 0, 0,
         "compare with the JSON of an earlier run"},
        {"--fail-above", "PERCENT", COMMAND_NUMBER, &o.fail_above, 0, 10000,
         "exit code 1 where a row is slower by more, beyond its spread"},
        {"--plot", "FILE", COMMAND_TEXT, &o.plot, 0, 0, "draw FILE.svg or FILE.png by gnuplot"},
    };
    const command cmd = {
        .name = "bench",
        .operands = "",
        .about =
            "Measures what the device can do at most, then every operator at named shapes against\n"
            "that. Each result is checked before its speed is told. docs/bench.md says how.\n"
            "Exit code 1: a result is wrong, a roof is, or a row is slower than --fail-above "
            "allows.\n",
        .options = table,
        .option_count = sizeof table / sizeof *table,
    };
    const int parsed = command_parse(&cmd, argc, argv, &operands);
    if (parsed != COMMAND_CONTINUE)
        return parsed;
    device.cmd = &cmd;
    return run(&cmd, &device, &o);
}
