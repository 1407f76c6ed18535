/* The report for people. */
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Numbers with a point in every locale, as wide as they are. */
static const char *number(char *buffer, size_t size, double value, int digits)
{
    return command_number_print(buffer, size, value, digits);
}

void bench_table_roofs(const bench_report *report)
{
    char start[32], end[32], drift[32];
    printf("%-24s %10s %10s %-8s %8s  %s\n", "roof", "start", "end", "", "drift", "form");
    for (int i = 0; i < BENCH_ROOFS; i++) {
        const bench_roof_text *const text = &bench_roof_texts[i];
        const bench_roof *const first = &report->start.roof[i];
        const bench_roof *const last = &report->end.roof[i];
        if (first->value <= 0.0)
            continue;
        const double change = bench_drift(first->value, last->value);
        printf("%-24s %10s %10s %-8s %6s %%%s  %s\n", text->about,
               number(start, sizeof start, first->value * text->factor, 4),
               number(end, sizeof end, last->value * text->factor, 4), text->unit,
               number(drift, sizeof drift, 100.0 * change, 2),
               fabs(change) > BENCH_DRIFT_LIMIT ? " !" : "  ", report->best.roof[i].form);
    }
    for (int i = 0; i < BENCH_ROOFS; i++) {
        const double change = bench_drift(report->start.roof[i].value, report->end.roof[i].value);
        if (fabs(change) > BENCH_DRIFT_LIMIT)
            printf("drift: %s changed by %s %% during the run, more than %.0f %%\n",
                   bench_roof_texts[i].about, number(drift, sizeof drift, 100.0 * change, 2),
                   100.0 * BENCH_DRIFT_LIMIT);
    }
    if (!report->start.events && report->device->cl != NULL)
        printf("the device's own times cannot be believed; all times are those of the host\n");
}

static void print_measured(const bench_row *row)
{
    char text[12][32];
    const bench_spread *const time = bench_row_time(row);
    const double median = time->median;
    const double pixels = (double)(row->shape->height * row->shape->width);
    printf(" %9s %9s %9s %9s %8s %7s %6s %6s %5s %8s %7s %6s  %016llx",
           number(text[0], 32, 1e3 * median, 4), number(text[1], 32, 1e3 * time->p10, 4),
           number(text[2], 32, 1e3 * time->p90, 4), number(text[3], 32, 1e3 * row->wall.median, 4),
           number(text[4], 32, 1e-9 * row->cost.flops / median, 4),
           number(text[5], 32, 1e-9 * row->cost.bytes / median, 3),
           number(text[6], 32, 100.0 * row->share, 3),
           row->pace > 0.0 ? number(text[11], 32, 100.0 * row->share_at_pace, 3) : "-",
           row->pace > 0.0 ? number(text[10], 32, 100.0 * row->pace, 3) : "-",
           number(text[7], 32, row->error, 2), number(text[8], 32, 1e3 * row->plan_seconds, 4),
           row->binary_bytes > 0 ? number(text[9], 32, (double)row->binary_bytes / 1024.0, 4) : "-",
           (unsigned long long)row->bits);
    if (row->op == BENCH_SMOOTH)
        printf("  %s Mpixel/s", number(text[0], 32, 1e-6 * pixels / median, 3));
}

/* The rows that were measured while the device was slower than when its roofs were, and those whose pace cannot have been right. */
static void print_pace(const bench_report *report)
{
    size_t slow = 0, above = 0;
    for (size_t i = 0; i < report->count; i++) {
        const bench_row *const row = &report->rows[i];
        if (row->outcome != BENCH_MEASURED || row->pace <= 0.0)
            continue;
        slow += row->pace < 1.0 - BENCH_DRIFT_LIMIT;
        above += row->share_at_pace > 1.0 + BENCH_PACE_NOISE && row->share <= 1.0;
    }
    if (slow > 0)
        printf("pace: in %zu rows the device was slower than when its roofs were measured\n", slow);
    if (above > 0)
        printf("pace: %zu rows are above %.0f %% of the bound at their pace: it changed too fast\n",
               above, 100.0 * (1.0 + BENCH_PACE_NOISE));
}

void bench_table_rows(const bench_report *report)
{
    char name[96];
    printf("%-30s %9s %9s %9s %9s %8s %7s %6s %6s %5s %8s %7s %6s  %s\n", "operator/shape", "ms",
           "p10", "p90", "wall ms", "GFLOP/s", "GB/s", "bound%", "paced%", "pace%", "error",
           "plan ms", "KiB", "bits");
    for (size_t i = 0; i < report->count; i++) {
        const bench_row *const row = &report->rows[i];
        printf("%-30s", bench_row_name(row, name, sizeof name));
        switch (row->outcome) {
        case BENCH_MEASURED:
            print_measured(row);
            break;
        case BENCH_WRONG:
            printf(" WRONG: %s", row->note);
            break;
        case BENCH_FAILED:
            printf(" FAILED: %s", row->note);
            break;
        default:
            printf(" skipped: %s", row->note);
        }
        printf("\n");
    }
    print_pace(report);
}
