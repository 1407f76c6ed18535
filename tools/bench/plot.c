/*
 * The roofline with every operator on it, and time against tokens, through gnuplot. The program is called with a script on its
 * standard input; where it is missing the numbers stand as they are.
 */
#define _POSIX_C_SOURCE 200809L /* popen */

#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sys/stat.h>
#include <unistd.h>
#endif

/* The shapes of the second picture: the same layer on ever larger maps. */
#define TOKENS_GROUP "hires"

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), wanted = strlen(end);
    return length > wanted && strcmp(text + length - wanted, end) == 0;
}

bool bench_plot_name_fits(const char *path)
{
    return ends_with(path, ".svg") || ends_with(path, ".png");
}

#ifdef _WIN32

static bool have_gnuplot(void)
{
    return true; /* popen() says */
}

#else

/* Whether a folder of PATH has it. */
static bool have_gnuplot(void)
{
    const char *const path = getenv("PATH");
    char file[4096];
    for (const char *part = path != NULL ? path : ""; *part != '\0';) {
        const size_t length = strcspn(part, ":");
        snprintf(file, sizeof file, "%.*s/gnuplot", (int)length, part);
        if (length < sizeof file - sizeof "/gnuplot" && access(file, X_OK) == 0)
            return true;
        part += length;
        part += *part == ':';
    }
    return false;
}

#endif

/* Text in quotes as gnuplot reads it: a quote inside is written twice. */
static void quote(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', script);
        if ((unsigned char)*text >= 0x20)
            fputc(*text, script);
    }
    fputc('\'', script);
}

/* A number with a point, whatever the locale. */
static void put(FILE *script, double value)
{
    char text[32];
    fprintf(script, " %s", command_number_print(text, sizeof text, value, 8));
}

static double row_intensity(const bench_row *row)
{
    return row->cost.flops / row->cost.bytes;
}

/* In GFLOP/s. */
static double row_rate(const bench_row *row)
{
    return 1e-9 * row->cost.flops / bench_row_time(row)->median;
}

static bool in_roofline(const bench_row *row)
{
    return row->outcome == BENCH_MEASURED && row->cost.flops > 0.0;
}

static bool in_tokens(const bench_row *row)
{
    return row->outcome == BENCH_MEASURED && strcmp(row->shape->group, TOKENS_GROUP) == 0 &&
           (row->op == BENCH_AGENT_ATTENTION || row->op == BENCH_ATTENTION);
}

/* One block of data per operator and picture: $roofline0, $tokens0 ... Returns a bit per operator that has any. */
static unsigned write_data(FILE *script, const bench_report *report, const char *name,
                           bool (*in)(const bench_row *))
{
    unsigned any = 0;
    for (int op = 0; op < BENCH_OPS; op++) {
        fprintf(script, "$%s%d << END\n", name, op);
        for (size_t i = 0; i < report->count; i++) {
            const bench_row *const row = &report->rows[i];
            if ((int)row->op != op || !in(row))
                continue;
            any |= BENCH_BIT(op);
            if (in == in_roofline) {
                put(script, row_intensity(row));
                put(script, row_rate(row));
            } else {
                put(script, (double)bench_shape_tokens(row->shape));
                put(script, 1e3 * bench_row_time(row)->median);
            }
            fputc('\n', script);
        }
        fprintf(script, "END\n");
    }
    return any;
}

static void plot_operators(FILE *script, const char *name, unsigned ops, const char *style,
                           bool first)
{
    for (int op = 0; op < BENCH_OPS; op++) {
        if ((ops & BENCH_BIT(op)) == 0)
            continue;
        fprintf(script, "%s$%s%d using 1:2 with %s lt %d pt %d ps 1.2 lw 2 title ",
                first ? "" : ", ", name, op, style, op + 1, op + 4);
        quote(script, bench_op_name((bench_op)op));
        first = false;
    }
    fputc('\n', script);
}

/* The ranges of the roofline, with room around the points, so that the ridge is in it too. */
static void set_ranges(FILE *script, const bench_report *report, double copy, double fma)
{
    double left = fma / copy, right = left, low = fma;
    for (size_t i = 0; i < report->count; i++) {
        const bench_row *const row = &report->rows[i];
        if (!in_roofline(row))
            continue;
        left = row_intensity(row) < left ? row_intensity(row) : left;
        right = row_intensity(row) > right ? row_intensity(row) : right;
        low = row_rate(row) < low ? row_rate(row) : low;
    }
    fprintf(script, "set xrange [");
    put(script, left / 2.0);
    fprintf(script, " :");
    put(script, right * 2.0);
    fprintf(script, " ]\nset yrange [");
    put(script, low / 2.0);
    fprintf(script, " :");
    put(script, fma * 2.0);
    fprintf(script, " ]\n");
}

static void write_roofline(FILE *script, const bench_report *report)
{
    const double copy = 1e-9 * report->best.roof[BENCH_ROOF_COPY].value;
    const double fma = 1e-9 * report->best.roof[BENCH_ROOF_FMA].value;
    const unsigned ops = write_data(script, report, "roofline", in_roofline);
    char text[256];
    fprintf(script, "set title ");
    snprintf(text, sizeof text, "Roofline: %s, clattn %s", report->device->info.name,
             clattn_version());
    quote(script, text);
    fprintf(script, "\nset xlabel 'flop per byte of compulsory traffic'\nset ylabel 'GFLOP/s'\n"
                    "set key bottom right\n");
    set_ranges(script, report, copy, fma);
    fprintf(script, "copy =");
    put(script, copy);
    fprintf(script, "\nfma =");
    put(script, fma);
    fprintf(script, "\nplot (x * copy < fma ? x * copy : fma) with lines lt -1 lw 2 title 'roof'%s",
            ops != 0 ? ", " : "");
    plot_operators(script, "roofline", ops, "points", true);
}

static void write_tokens(FILE *script, const bench_report *report)
{
    const unsigned ops = write_data(script, report, "tokens", in_tokens);
    fprintf(script,
            "set title 'Time against tokens: 4 heads x 64, agents 7 x 7'\nset xlabel 'tokens'\n"
            "set ylabel 'ms'\nset key top left\nset xrange [*:*]\nset yrange [*:*]\nplot ");
    plot_operators(script, "tokens", ops, "linespoints", true);
}

static void write_script(FILE *script, const bench_report *report, const char *path)
{
    bool tokens = false;
    for (size_t i = 0; i < report->count; i++)
        tokens = tokens || in_tokens(&report->rows[i]);
    fprintf(script, "set terminal %s size 900,%d noenhanced\nset output ",
            ends_with(path, ".svg") ? "svg background rgb 'white'" : "pngcairo",
            tokens ? 1200 : 600);
    quote(script, path);
    fprintf(script, "\nset logscale xy\nset grid\nset samples 500\nset rmargin 5\n"
                    "set linetype 5 lc rgb '#b8860b'\n"); /* yellow on white cannot be seen */
    if (tokens)
        fprintf(script, "set multiplot layout 2,1\n");
    write_roofline(script, report);
    if (tokens)
        write_tokens(script, report);
    fprintf(script, "%sunset output\n", tokens ? "unset multiplot\n" : "");
}

int bench_plot_write(const command *cmd, const bench_report *report, const char *path)
{
    if (!have_gnuplot()) {
        command_error(cmd,
                      "--plot: gnuplot is not installed (Debian: apt-get install gnuplot-nox), "
                      "so there is no %s",
                      path);
        return 0;
    }
    FILE *const script = popen("gnuplot", "w");
    if (script == NULL) {
        command_error(cmd, "--plot: gnuplot cannot be started");
        return 1;
    }
    write_script(script, report, path);
    if (pclose(script) != 0) {
        command_error(cmd, "--plot %s: gnuplot failed", path);
        return 1;
    }
    return 0;
}
