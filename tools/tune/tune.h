/*
 * `clattn tune`: finds values for the kernels of a device.
 *
 *     space.c    what is tuned in each kernel, the values that are tried, and rows as text
 *     problem.c  what a kernel is measured with, on any context
 *     search.c   candidates against the best so far: right bits first, then time
 *     advice.c   work-groups of the tile shape, which no row sets
 *     tune.c     the command: options, the kernels' turns, the file
 */
#ifndef CLATTN_TOOLS_TUNE_H
#define CLATTN_TOOLS_TUNE_H

#include "command.h"

/* ---- the space ---- */

#define TUNE_NAMES 2 /* most values that are tried together */
#define TUNE_AXES  3
#define TUNE_DIMS  3

/* Values that are tried together, for all of which the others stay. */
typedef struct tune_axis {
    const char *names[TUNE_NAMES]; /* NULL: only one */
    int count;
    int values[16][TUNE_NAMES];
} tune_axis;

typedef enum tune_kind {
    TUNE_POOL,
    TUNE_AGGREGATE,
    TUNE_MERGE, /* measured with the aggregation that it ends */
    TUNE_BROADCAST,
    TUNE_ATTENTION,
    TUNE_DWC,
    TUNE_SMOOTH,
    TUNE_KINDS
} tune_kind;

typedef struct tune_kernel {
    const char *name;
    tune_kind kind;
    int share;             /* of the time */
    const tune_axis *axes; /* of the wide shape, and of kernels without shapes */
    int axis_count;
    bool has_tile; /* its axes in the tile shape are tune_tile_axes() */
} tune_kernel;

extern const tune_kernel tune_kernels[TUNE_KINDS];

/* The kernel of that name; NULL where there is none. */
const tune_kernel *tune_kernel_find(const char *name, size_t length);
/* "agent_pool, agent_aggregate, ..." */
void tune_kernel_names(char *text, size_t size);

/* A point of the space. */
typedef struct tune_point {
    const tune_kernel *kernel;
    int work_group; /* of the tile shape, else 0 */
    const tune_axis *axes;
    int axis_count;
    int values[TUNE_AXES][TUNE_NAMES];
} tune_point;

/* The point that a plan has, out of clattn_plan_tuning()'s text; false where it has none. */
bool tune_point_read(tune_point *point, const tune_kernel *kernel, const char *tuning);
/* Whether the plan's text says that it has this point from a loaded row. */
bool tune_point_used(const tune_point *point, const char *tuning);
bool tune_point_equal(const tune_point *a, const tune_point *b);
/* A row without a line end. device NULL: for any. */
void tune_point_row(const tune_point *point, const char *device, char *row, size_t size);

/* ---- problems ---- */

/* What a kernel is measured with. The same numbers on every context. */
typedef struct tune_problem {
    clattn_context *ctx;
    tune_kind kind;
    int64_t dim;
    clattn_memory memory[6];
    clattn_tensor tensors[6];
    clattn_array weight;
    int out;           /* which of them is the result */
    int64_t out_count; /* floats of the result */
} tune_problem;

clattn_status tune_problem_open(tune_problem *problem, clattn_context *ctx, tune_kind kind,
                                int64_t dim);
void tune_problem_close(tune_problem *problem);
/* What is measured, in words: "16384 tokens, 49 agents, 4 x 64". */
void tune_problem_words(tune_kind kind, int64_t dim, char *words, size_t size);
clattn_status tune_problem_plan(const tune_problem *problem, clattn_plan **plan);
/* Enqueues one run. */
clattn_status tune_problem_run(const tune_problem *problem, const clattn_plan *plan,
                               clattn_workspace *ws);

/* A plan that can be run, and how many runs one measurement has. */
typedef struct tune_runner {
    clattn_plan *plan;
    clattn_workspace *ws;
    int runs;
} tune_runner;

clattn_status tune_runner_open(tune_runner *runner, const tune_problem *problem);
void tune_runner_close(tune_runner *runner);
/* Runs once and reads out_count floats; what the run does not write is not a number. */
clattn_status tune_runner_result(const tune_runner *runner, const tune_problem *problem,
                                 float *result);
/* Seconds of one run; finds out how many make a measurement long enough. */
clattn_status tune_runner_time(tune_runner *runner, const tune_problem *problem, double *seconds);

/* ---- search ---- */

/* One kernel's turn. */
typedef struct tune_turn {
    const tune_kernel *kernel;
    int64_t dim;
    double seconds; /* of the kernel, from now on */
    int parts;      /* of these in the tile shape, of which this turn gets one; else it gets all */
    double end;     /* by command_now() */
    tune_point best;
    double default_seconds, best_seconds; /* medians of one comparison */
    bool better;                          /* than the default */
    bool none;                            /* the kernel has no values in this shape */
    bool wrong;              /* the default row's result is not the CPU path's: nothing was tried */
    int tried, refused, all; /* candidates: measured, wrong or not runnable, of the space */
    char trouble[256];       /* of the last refused one */
} tune_turn;

/* Searches until the turn's end. The context's rows are replaced. A failure of the default row is an error. */
clattn_status tune_search(clattn_context *ctx, tune_turn *turn);

/*
 * Measures `other` against `one`, by turns, so that what else the machine does touches both: *ratio = the median of other / one, and
 * medians of both. Ends early where the first rounds leave no doubt that `other` is slower.
 */
clattn_status tune_compare(const tune_problem *one_problem, tune_runner *one,
                           const tune_problem *other_problem, tune_runner *other, int rounds,
                           double *ratio, double seconds[2]);

#define TUNE_ADVICE_DIM 64

/* Work-groups that are faster than the one that the head width chooses, and how many times. */
typedef struct tune_advice {
    int count;
    uint32_t work_group[4];
    double gain[4];
    bool whole; /* the time was enough to try all */
} tune_advice;

/* Tries work-groups at TUNE_ADVICE_DIM until `end`. Tile shape only. */
clattn_status tune_advise(const command *cmd, const command_device *device, clattn_context *ctx,
                          const tune_kernel *kernel, double end, tune_advice *advice);

#endif
