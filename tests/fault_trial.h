/*
 * Tries something again and again, each time with another failure: each of its OpenCL calls in turn, with each code that its
 * function can fail with, or each of its allocations of host memory. Every time
 *     the status must be the right one (fault_codes.h), with a sentence in the log;
 *     objects of OpenCL, bytes of buffers and pieces of host memory must be back to what they were;
 *     and the same thing, done again without a failure, must work.
 * Contexts under test are made with clattn__cl_api_hook set to fault_trial_table().
 */
#ifndef CLATTN_TESTS_FAULT_TRIAL_H
#define CLATTN_TESTS_FAULT_TRIAL_H

#include <stdbool.h>

#include "faulty_cl.h"
#include "support.h"

typedef struct fault_scenario {
    const char *name;
    void *user;
    /* What is there before and after, made and ended without failures; either may be NULL. */
    void (*begin)(void *user);
    void (*end)(void *user);
    /* What fails. Leaves nothing behind, whatever happens; where it says CLATTN_OK, it has checked that the result is right. */
    clattn_status (*attempt)(void *user);
    /* Whether this status, too, is right after a call that failed; NULL: only what fault_codes.h says. */
    bool (*right)(const char *name, cl_int code, clattn_status status);
    bool keeps;   /* it may leave bytes of buffers: kept ones of a context of its own */
    bool threads; /* its calls come in another order each time */
} fault_scenario;

/* How many of the failures to try: every call, or every `stride`-th; one code for each, or all. */
typedef struct fault_depth {
    int stride;
    bool all_codes;
} fault_depth;

/* The log of contexts under test, for clattn_context_params.log. */
clattn_log fault_trial_log(void);

void fault_trial_calls(const fault_scenario *scenario, fault_depth depth);
void fault_trial_allocations(const fault_scenario *scenario, int stride);
/* Failures that were tried so far are printed, with how many were survived. */
void fault_trial_print_total(void);

/* Ends the failures of the attempt that is in progress, which wants to go on without. */
void fault_trial_enough(void);

#endif
