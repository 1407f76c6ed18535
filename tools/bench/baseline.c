/* An earlier report, read with suspicion, and what has changed since. */
#include "bench/bench.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A report is some hundred kilobytes. */
#define MOST_BYTES ((size_t)64 << 20)

/* The whole file, terminated; NULL with an error printed. */
static char *read_file(const command *cmd, const char *path)
{
    FILE *const stream = fopen(path, "rb");
    char *text = NULL;
    size_t used = 0, room = 0;
    if (stream == NULL) {
        command_error(cmd, "--baseline %s: %s", path, strerror(errno));
        return NULL;
    }
    while (!feof(stream) && !ferror(stream) && used < MOST_BYTES) {
        if (used + 1 >= room) {
            room = room == 0 ? (size_t)1 << 16 : 2 * room;
            char *const larger = realloc(text, room);
            if (larger == NULL)
                break;
            text = larger;
        }
        used += fread(text + used, 1, room - used - 1, stream);
    }
    const bool whole = feof(stream) && !ferror(stream);
    fclose(stream);
    if (!whole) {
        command_error(cmd, "--baseline %s: it cannot be read as a whole", path);
        free(text);
        return NULL;
    }
    text[used] = '\0';
    return text;
}

static bool copy_text(const cJSON *object, const char *name, char *to, size_t size)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsString(item))
        return false;
    snprintf(to, size, "%s", item->valuestring);
    return true;
}

static bool positive(const cJSON *object, const char *name, double *value)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || item->valuedouble <= 0.0)
        return false;
    *value = item->valuedouble;
    return true;
}

static bool read_spread(const cJSON *row, const char *name, bench_spread *spread)
{
    const cJSON *const object = cJSON_GetObjectItemCaseSensitive(row, name);
    double runs = 0.0;
    if (!cJSON_IsObject(object) || !positive(object, "median", &spread->median) ||
        !positive(object, "p10", &spread->p10) || !positive(object, "p90", &spread->p90) ||
        !positive(object, "runs", &runs))
        return false;
    spread->count = runs < 1e9 ? (int)runs : 1000000000;
    return spread->p10 <= spread->median && spread->median <= spread->p90;
}

/* NULL, or what is wrong. *measured: it has a speed. */
static const char *read_row(const cJSON *json, bench_baseline_row *row, bool *measured)
{
    char op[40], shape[40], outcome[16];
    if (!copy_text(json, "operator", op, sizeof op) ||
        !copy_text(json, "shape", shape, sizeof shape))
        return "has no operator or no shape";
    if (!copy_text(json, "outcome", outcome, sizeof outcome))
        return "has no outcome";
    snprintf(row->name, sizeof row->name, "%s/%s", op, shape);
    *measured = strcmp(outcome, "measured") == 0;
    if (!*measured)
        return NULL;
    const cJSON *const device = cJSON_GetObjectItemCaseSensitive(json, "device_seconds");
    const bool by_device = device != NULL && !cJSON_IsNull(device);
    if (!read_spread(json, by_device ? "device_seconds" : "wall_seconds", &row->time))
        return "has no times that could be";
    if (!copy_text(json, "bits", row->bits, sizeof row->bits))
        return "has no bits";
    /* Reports of before there were bursts have no pace that could be compared. */
    if (!copy_text(json, "pace_roof", row->pace_roof, sizeof row->pace_roof) ||
        !positive(json, "share_at_pace", &row->share_at_pace))
        row->share_at_pace = 0.0;
    return NULL;
}

/* NULL, or what is wrong; `where` receives the row's number then, if it is a row. */
static const char *read_report(const cJSON *json, bench_baseline *baseline, int *where)
{
    const cJSON *const format = cJSON_GetObjectItemCaseSensitive(json, "clattn_bench");
    const cJSON *const device = cJSON_GetObjectItemCaseSensitive(json, "device");
    const cJSON *const rows = cJSON_GetObjectItemCaseSensitive(json, "rows");
    const cJSON *item = NULL;
    *where = -1;
    if (!cJSON_IsNumber(format))
        return "it is no report of clattn bench";
    if (format->valueint != 1)
        return "its format is not 1, the one that this version reads";
    if (!copy_text(json, "clattn", baseline->version, sizeof baseline->version) ||
        !copy_text(json, "date", baseline->date, sizeof baseline->date) ||
        !copy_text(device, "name", baseline->device, sizeof baseline->device) ||
        !copy_text(device, "driver", baseline->driver, sizeof baseline->driver))
        return "it does not say version, date, device and driver";
    if (!cJSON_IsArray(rows))
        return "it has no rows";
    baseline->rows = calloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof *baseline->rows);
    if (baseline->rows == NULL)
        return "out of memory";
    cJSON_ArrayForEach(item, rows)
    {
        bool measured = false;
        ++*where;
        const char *const wrong = read_row(item, &baseline->rows[baseline->count], &measured);
        if (wrong != NULL)
            return wrong;
        baseline->count += measured;
    }
    *where = -1;
    return NULL;
}

bool bench_baseline_read(const command *cmd, const char *path, bench_baseline *baseline)
{
    *baseline = (bench_baseline){.count = 0};
    char *const text = read_file(cmd, path);
    if (text == NULL)
        return false;
    const char *end = NULL;
    int where = -1;
    cJSON *const json = cJSON_ParseWithOpts(text, &end, 1);
    const char *wrong = NULL;
    if (json == NULL)
        command_error(cmd, "--baseline %s: damaged: no JSON from byte %zu on", path,
                      (size_t)(end != NULL ? end - text : 0));
    else if ((wrong = read_report(json, baseline, &where)) != NULL && where >= 0)
        command_error(cmd, "--baseline %s: damaged: row %d %s", path, where, wrong);
    else if (wrong != NULL)
        command_error(cmd, "--baseline %s: damaged: %s", path, wrong);
    const bool good = json != NULL && wrong == NULL;
    cJSON_Delete(json);
    free(text);
    if (!good)
        bench_baseline_free(baseline);
    return good;
}

void bench_baseline_free(bench_baseline *baseline)
{
    free(baseline->rows);
    *baseline = (bench_baseline){.count = 0};
}

/* Comparing. --------------------------------------------------------------- */

bench_change bench_compare(const bench_spread *old, const bench_spread *now, double *ratio)
{
    *ratio = now->median / old->median;
    if (now->p10 > old->p90)
        return BENCH_SLOWER;
    return now->p90 < old->p10 ? BENCH_FASTER : BENCH_SAME;
}

static const bench_baseline_row *find_row(const bench_baseline *baseline, const char *name)
{
    for (size_t i = 0; i < baseline->count; i++)
        if (strcmp(baseline->rows[i].name, name) == 0)
            return &baseline->rows[i];
    return NULL;
}

/* The new time over the old, each at the pace of its moment: 0 where that is not known of both, or not by the same roof. */
static double ratio_at_pace(const bench_baseline_row *old, const bench_row *row)
{
    const bool same = strcmp(old->pace_roof, bench_roof_texts[row->pace_roof].name) == 0;
    return same && row->share_at_pace > 0.0 ? old->share_at_pace / row->share_at_pace : 0.0;
}

/* Returns 1 where the row is too slow. */
static int print_row(const bench_baseline_row *old, const bench_row *row, const char *name,
                     double percent)
{
    static const char *const words[] = {
        [BENCH_SAME] = "", [BENCH_FASTER] = "  faster", [BENCH_SLOWER] = "  SLOWER"};
    char bits[20], text[4][32];
    const double at_pace = ratio_at_pace(old, row);
    double ratio = 0.0;
    const bench_spread *const now = bench_row_time(row);
    const bench_change change = bench_compare(&old->time, now, &ratio);
    const bool fails = change == BENCH_SLOWER && percent >= 0.0 && ratio > 1.0 + percent / 100.0;
    snprintf(bits, sizeof bits, "%016llx", (unsigned long long)row->bits);
    printf("%-30s %9s %9s %7s %7s%s%s%s\n", name,
           command_number_print(text[0], 32, 1e3 * old->time.median, 4),
           command_number_print(text[1], 32, 1e3 * now->median, 4),
           command_number_print(text[2], 32, ratio, 4),
           at_pace > 0.0 ? command_number_print(text[3], 32, at_pace, 4) : "-", words[change],
           fails ? ", above --fail-above" : "", strcmp(bits, old->bits) != 0 ? "  other bits" : "");
    return fails;
}

int bench_baseline_print(const bench_baseline *baseline, const bench_report *report, double percent)
{
    char name[96];
    int failing = 0;
    const clattn_device *const info = &report->device->info;
    printf("\nagainst clattn %s of %s on %s, driver %s\n", baseline->version, baseline->date,
           baseline->device, baseline->driver);
    if (strcmp(baseline->device, info->name) != 0)
        printf("that was another device than %s\n", info->name);
    printf("%-30s %9s %9s %7s %7s\n", "operator/shape", "old ms", "new ms", "new/old", "at pace");
    for (size_t i = 0; i < report->count; i++) {
        const bench_row *const row = &report->rows[i];
        const bench_baseline_row *const old =
            find_row(baseline, bench_row_name(row, name, sizeof name));
        if (row->outcome != BENCH_MEASURED)
            continue;
        if (old == NULL)
            printf("%-30s not in the baseline\n", name);
        else
            failing += print_row(old, row, name, percent);
    }
    if (failing > 0)
        printf("%d %s slower than the baseline by more than the spread and %g %%\n", failing,
               failing == 1 ? "row is" : "rows are", percent);
    return failing;
}
