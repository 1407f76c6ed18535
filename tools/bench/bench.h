/*
 * clattn bench: what its parts share. The order of the work, and the files:
 *
 *     bench.c      the command: options, order, exit code
 *     device.c     the device, its queue with profiling, one context per row
 *     binaries.c   the bytes of the programs that a row needs
 *     roofs.c      what the device can do at most: OpenCL kernels (roofs.cl, roofs_launch.c, roofs_forms.c, roofs_cl.c), or C for
 *                  the CPU path (roofs_lanes.c, roofs_cpu.c)
 *     pace.c       how far it is from that while a row runs (pace_cl.c, roofs_cpu.c)
 *     shapes.c     the named shapes, and which rows a filter leaves
 *     cost.c       bytes, operations and exponentials of a row; the bound
 *     data.c       random tensors of a row, rotated over the caches
 *     run.c        plan and run of a row's operator
 *     check.c      right or WRONG: against the CPU path, or oracle.c in double
 *     row.c        one row: plan, check, measure
 *     stats.c      median, 10th and 90th percentile
 *     table.c, json.c, baseline.c, plot.c   what becomes of the numbers
 *
 * docs/bench.md says what is measured and how, and what the JSON holds.
 */
#ifndef CLATTN_TOOLS_BENCH_H
#define CLATTN_TOOLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

/* Operators and shapes. ---------------------------------------------------- */

typedef enum bench_op {
    BENCH_AGENT_ATTENTION,
    BENCH_AGENT_POOL,
    BENCH_AGENT_AGGREGATE,
    BENCH_AGENT_BROADCAST,
    BENCH_ATTENTION,
    BENCH_DWC,
    BENCH_SMOOTH,
    BENCH_OPS
} bench_op;

#define BENCH_BIT(op) (1u << (op))

const char *bench_op_name(bench_op op);

/* One named shape. Maps are whole: no published model has agent attention in windows. */
typedef struct bench_shape {
    const char *name, *group;
    unsigned ops, quick_ops; /* BENCH_BIT of the operators that run on it; those of --quick */
    int64_t batch, heads, dim;
    int64_t height, width, class_tokens;
    int64_t agent_height, agent_width;
    int64_t trained_agents,
        trained_side; /* sides of the grids that the bias was trained for; 0: no bias */
    int64_t dwc_size;
    int32_t agents_given;
    float scale_broadcast, v_shortcut;
} bench_shape;

const bench_shape *bench_shape_list(size_t *count);
int64_t bench_shape_tokens(const bench_shape *shape);
int64_t bench_shape_agents(const bench_shape *shape);

/* What an operator must at least do on a shape; docs/bench.md has the formulas. */
typedef struct bench_cost {
    double bytes, flops, exps;
} bench_cost;

bench_cost bench_cost_of(bench_op op, const bench_shape *shape, clattn_type type);
/* Of an element of the tensors. */
size_t bench_type_bytes(clattn_type type);

/* Statistics. -------------------------------------------------------------- */

/* Seconds. count 0: not measured. */
typedef struct bench_spread {
    double median, p10, p90;
    int count;
} bench_spread;

/* Sorts `seconds`. */
bench_spread bench_spread_of(double *seconds, int count);

/* Roofs. ------------------------------------------------------------------- */

typedef enum bench_roof_name {
    BENCH_ROOF_COPY,   /* bytes per second, read and written together */
    BENCH_ROOF_FMA,    /* flop per second, f32 */
    BENCH_ROOF_FMA16,  /* flop per second in half arithmetic; 0 where the device has none */
    BENCH_ROOF_EXP2,   /* exponentials per second */
    BENCH_ROOF_LOCAL,  /* bytes per second read from local memory; CPU path: from the first cache */
    BENCH_ROOF_LAUNCH, /* seconds from the launch of nothing until the host knows of its end */
    BENCH_ROOF_TO_DEVICE, /* bytes per second */
    BENCH_ROOF_FROM_DEVICE,
    BENCH_ROOFS
} bench_roof_name;

typedef struct bench_roof {
    double value;
    char form[64];     /* the variant that reached it */
    int width, chains; /* of it, where it has them */
} bench_roof;

typedef struct bench_roofs {
    bench_roof roof[BENCH_ROOFS];
    bool events; /* the device's own clock can be believed */
} bench_roofs;

/* Name for JSON, unit for people, factor from the value to that unit. */
typedef struct bench_roof_text {
    const char *name, *about, *unit;
    double factor;
} bench_roof_text;

extern const bench_roof_text bench_roof_texts[BENCH_ROOFS];

/* Change from `start` to `end` as a fraction; 0 where either is missing. */
double bench_drift(double start, double end);
#define BENCH_DRIFT_LIMIT 0.05
/* A share at pace may be above 1 by this much: a burst is a sample. */
#define BENCH_PACE_NOISE 0.05

/* The better of two measurements of each roof: what no kernel may exceed. */
bench_roofs bench_roofs_better(const bench_roofs *a, const bench_roofs *b);

/* max(bytes / copy, flops / fma + exps / exp2) in seconds. `warm`: data may come from a cache, which the copy says nothing about. */
double bench_bound(const bench_cost *cost, const bench_roofs *roofs, bool warm);

/* Which of them it is: `copy`, or `fma_f32` for both kinds of operations. */
bench_roof_name bench_bound_roof(const bench_cost *cost, const bench_roofs *roofs, bool warm);

/* The roof that a run of `seconds` would be above, or NULL. */
const char *bench_above_roof(const bench_cost *cost, const bench_roofs *roofs, bool warm,
                             double seconds);

/* The device. -------------------------------------------------------------- */

struct bench_cl; /* device.h */

typedef struct bench_device {
    const command *cmd;
    command_device chosen;
    clattn_device info;
    struct bench_cl *cl;   /* NULL: the CPU path */
    uint64_t cache_bytes;  /* last-level cache */
    uint64_t binary_bytes; /* of the programs that contexts built, since it was last set to 0 */
} bench_device;

/* From now on binary_bytes counts. */
void bench_count_binaries(bench_device *device);

/* Prints the error. Close in any case. */
clattn_status bench_device_open(bench_device *device);
void bench_device_close(bench_device *device);
/* A fresh context: no program of an earlier row is in it. */
clattn_status bench_device_context(bench_device *device, clattn_context **ctx);

/*
 * Measures everything, `seconds` for each form that a roof has; with an earlier result only the forms that were best then. False with an
 * error printed.
 */
bool bench_roofs_measure(bench_device *device, double seconds, const bench_roofs *earlier,
                         bench_roofs *roofs);

/*
 * How fast the device is at the moment, next to `roofs`: clocks fall when a device is warm, and other work takes its share. Where it
 * cannot be known, every pace is 0. pace.h has what is in it.
 */
typedef struct bench_pace bench_pace;
void bench_pace_open(bench_device *device, const bench_roofs *roofs, bench_pace *pace);
void bench_pace_close(bench_pace *pace);

/* Rows. -------------------------------------------------------------------- */

typedef enum bench_outcome {
    BENCH_MEASURED,
    BENCH_SKIPPED, /* `note` says why */
    BENCH_WRONG,   /* no speed; error is above tolerance */
    BENCH_FAILED   /* a call failed; `note` says how */
} bench_outcome;

typedef struct bench_row {
    bench_op op;
    const bench_shape *shape;
    bench_outcome outcome;
    char note[1152];
    bench_cost cost;
    bench_spread device, wall; /* device: without events, of no runs */
    double error, tolerance;   /* the largest |x - answer| / (|answer| + 1), and what is accepted */
    int64_t checked;           /* values compared */
    const char *checked_with;  /* "CPU path" or "double" */
    double plan_seconds;       /* planning in a fresh context, which builds the kernels */
    uint64_t binary_bytes;     /* of the programs; 0: not known */
    uint64_t bits;             /* hash of the whole result */
    clattn_plan_info info;
    int64_t sets; /* of tensors that the runs rotate over */
    bench_roof_name
        pace_roof;        /* the roof whose bursts took turns with the runs: what bounds the row */
    double pace;          /* median over the runs, as a part of that roof; 0: not known */
    double paced_seconds; /* median of time x pace */
    double share; /* of the bound, 1 is all of it; set when all roofs are known, as the next */
    double share_at_pace; /* of what the bound was while the row ran; 0: not known */
} bench_row;

/* The time that rates are computed from: the device's, or wall where that is not known. */
const bench_spread *bench_row_time(const bench_row *row);
/* "operator/shape" */
const char *bench_row_name(const bench_row *row, char *buffer, size_t size);

typedef struct bench_settings {
    double seconds; /* of measuring per row, and per roof */
    bool warm;      /* no rotation */
    bool quick;
    clattn_type type;
    const char *tuning; /* "default", "builtin" or a file */
} bench_settings;

/* Fills the rest of a row that has op and shape. Only BENCH_FAILED means that more rows make no sense. */
void bench_row_measure(bench_device *device, const bench_pace *pace, const bench_settings *settings,
                       bench_row *row);
/* Its shares of the bound, and its pace as a part of the better roofs. */
void bench_row_share(const bench_roofs *start, const bench_roofs *best,
                     const bench_settings *settings, bench_row *row);

typedef struct bench_report {
    const bench_device *device;
    const bench_settings *settings;
    bench_roofs start, end, best;
    bench_row *rows;
    size_t count;
} bench_report;

/*
 * The rows that names leave: `ops` and `shapes` are lists with commas, or NULL for all; a shape's group names all of its shapes.
 * NULL with an error printed where a name is unknown, nothing is left, or memory ran out.
 */
bench_row *bench_rows_choose(const command *cmd, const char *ops, const char *shapes, bool quick,
                             size_t *count);
/* The same for both parts of `doctor --case bench:OPS/SHAPES`, which the errors name. */
bench_row *bench_rows_of_case(const command *cmd, const char *ops, const char *shapes,
                              size_t *count);

/* Output. ------------------------------------------------------------------ */

void bench_table_roofs(const bench_report *report);
void bench_table_rows(const bench_report *report);

/* False with an error printed. */
bool bench_json_write(const command *cmd, const bench_report *report, const char *path);

/* A report of an earlier run; rows in the order of the file. */
typedef struct bench_baseline_row {
    char name[96]; /* operator/shape */
    bench_spread time;
    double share_at_pace; /* 0: not known */
    char pace_roof[16];
    char bits[20];
} bench_baseline_row;

typedef struct bench_baseline {
    char device[128], driver[128], version[32], date[32];
    bench_baseline_row *rows;
    size_t count;
} bench_baseline;

/* False with an error printed that says what is wrong with the file. */
bool bench_baseline_read(const command *cmd, const char *path, bench_baseline *baseline);
void bench_baseline_free(bench_baseline *baseline);

typedef enum bench_change {
    BENCH_SAME, /* the ranges from the 10th to the 90th percentile overlap */
    BENCH_FASTER,
    BENCH_SLOWER
} bench_change;

/* *ratio: new time over old. */
bench_change bench_compare(const bench_spread *old, const bench_spread *now, double *ratio);

/* Prints one line per row that both have. Returns how many are slower beyond their spread by more than `percent`; none where that is < 0. */
int bench_baseline_print(const bench_baseline *baseline, const bench_report *report,
                         double percent);

/* 0, or an exit code with an error printed. A missing gnuplot is said in one line and is no error. */
int bench_plot_write(const command *cmd, const bench_report *report, const char *path);
/* Whether gnuplot can write a file of that name: .svg or .png. */
bool bench_plot_name_fits(const char *path);

#endif
