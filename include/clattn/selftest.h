/*
 * clattn: the problems of the self-test (context.h), or any run, laid open, for reports to whoever writes a driver. Each is what a program
 * without clattn needs to see the same: kernels' sources, buffers and launches, and what must be in the buffers then. `clattn doctor
 * --reproducer` writes such programs.
 */
#ifndef CLATTN_SELFTEST_H
#define CLATTN_SELFTEST_H

#include "clattn/context.h"
#include "clattn/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Most buffers of a launch; most programs, buffers, launches and checks of a problem. */
#define CLATTN_SELFTEST_ARGUMENTS 12
#define CLATTN_SELFTEST_PROGRAMS  16
#define CLATTN_SELFTEST_BUFFERS   32
#define CLATTN_SELFTEST_LAUNCHES  64
#define CLATTN_SELFTEST_CHECKS    4

/** A kernel of a program. */
typedef struct clattn_selftest_program {
    const char *kernel;
    const char *options;      /* exactly what clBuildProgram() gets */
    uint32_t text_count;      /* the source: strings for clCreateProgramWithSource() ... */
    const char *const *texts; /* ... without terminating zeros ... */
    const size_t *text_bytes; /* ... and their lengths */
} clattn_selftest_program;

/** What a buffer holds before the first launch. */
typedef struct clattn_selftest_buffer {
    cl_mem mem; /* the buffer itself */
    const void *bytes;
    uint64_t size;
} clattn_selftest_buffer;

/** Argument 0 of the kernel is `args`, by value; then buffers, by their numbers. */
typedef struct clattn_selftest_launch {
    const void *args;
    size_t args_size;
    uint32_t program;
    uint32_t buffer_count;
    uint32_t buffers[CLATTN_SELFTEST_ARGUMENTS];
    size_t global[3], local[3];
} clattn_selftest_launch;

/**
 * A buffer after the last launch: element i, found x and expected y, is right where x = y, both are NaN, or
 *     |x - y| <= units * 2^-24 * (scale + |y|), and for f16 2^-11 * |y| + 2^-25 more.
 * state_sums > 0: the buffer holds softmax states of so many sums, a maximum m and a weight l each. Before the comparison the sums
 * are divided by l, m becomes m + log2(l), and l becomes 0 where m was a whole number, else 1; a state with l <= 0 keeps its sums and m and
 * gets l = 0.
 */
typedef struct clattn_selftest_check {
    uint32_t buffer;
    int32_t f16; /* 1: elements are halves; `expected` are floats in any case */
    uint32_t state_sums;
    const float *expected;
    size_t count;
    float units, scale;
} clattn_selftest_check;

/** One problem, with what came of it on this device. All memory is the library's, during the call. */
typedef struct clattn_selftest_problem {
    const char
        *form; /* of the kernel's arguments: "shifted windows"; of a run: the operator's name */
    uint32_t program_count, buffer_count, launch_count, check_count;
    const clattn_selftest_program *programs; /* of the self-test: one */
    const clattn_selftest_buffer *buffers;
    const clattn_selftest_launch *launches;
    const clattn_selftest_check *checks; /* of a run: none */
    int32_t passed;                      /* 1: it came out right; of a run: that is not known */
} clattn_selftest_problem;

/** Who gets the problems. They come one at a time, from the calling thread. */
typedef struct clattn_selftest_recorder {
    void (*take)(void *user, const clattn_selftest_problem *problem);
    void *user;
} clattn_selftest_recorder;

/**
 * clattn_context_selftest(), which also hands every problem that could be launched to `recorder`.
 *
 * shapes   none
 * units    bytes
 * types    none
 * limits   none
 * memory   buffers are copied to the host: some MB during the call
 * async    returns when all is done
 * threads  safe
 * returns  as clattn_context_selftest(); CLATTN_E_ARG also where recorder or its function is NULL
 */
CLATTN_API clattn_status clattn_selftest_record(clattn_context *ctx,
                                                const clattn_selftest_recorder *recorder);

/**
 * Hands every run of a workspace to `recorder` from now on, when its launches have been enqueued: any operator, on any of the caller's
 * tensors. The buffers of each launch are read before it, so the run waits. Whoever records knows what should come out, and adds
 * the checks. Recorder NULL ends it.
 *
 * shapes   none
 * units    bytes
 * types    none
 * limits   OpenCL with an in-order queue; plans no part of which is on the CPU path. Runs beyond the numbers above are not handed
 *          out, with a warning
 * memory   every buffer of the run is copied to the host; the recorder is the caller's, until the recording ends
 * async    the runs wait
 * threads  as runs of the workspace
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_UNSUPPORTED on the CPU path, CLATTN_E_NOMEM
 */
CLATTN_API clattn_status clattn_workspace_record(clattn_workspace *workspace,
                                                 const clattn_selftest_recorder *recorder);

#ifdef __cplusplus
}
#endif
#endif
