/*
 * A table of OpenCL functions (cl/api.h) that pass every call on, count objects, and let one chosen
 * call fail. Calls may come from several threads; the settings are changed while none do.
 */
#ifndef CLATTN_TESTS_FAULTY_CL_H
#define CLATTN_TESTS_FAULTY_CL_H

#include <stdbool.h>

#include "cl/api.h"

typedef struct faulty_cl_state {
    clattn__cl_api loaded;
    const clattn__cl_api *real; /* to be set before the first call */

    int failing;      /* number of the call that fails, from 1; 0: none */
    const char *only; /* count this function's calls alone; NULL: all */
    cl_int code;      /* what the call fails with */
    bool lasting;     /* so do all calls after it, but for releases */

    int calls;          /* so far */
    const char *failed; /* the function that failed; NULL: none yet */

    const char **
        trace; /* gets the names of the first calls after arming, `trace_room` of them; NULL: it is not wanted */
    int trace_room;

    /* What was made or retained and is not released; the bytes of its buffers; buffers mapped. */
    int live, live_programs;
    int64_t live_bytes;
    int mapped;
    const char *misused; /* released what was not there, or unmapped; NULL: nobody did */
} faulty_cl_state;

extern faulty_cl_state faulty_cl;
extern const clattn__cl_api faulty_cl_table;

/* From the next call on, call number `failing` of `name` (NULL: of any) fails with `code`; 0: none, they are only counted. */
void faulty_cl_arm(const char *name, int failing, cl_int code);
void faulty_cl_disarm(void);

/* Loads OpenCL, and makes what a caller would wrap, by the real functions; false where that fails. */
bool faulty_cl_begin(cl_device_id device, cl_context *context, cl_command_queue *queue);
void faulty_cl_end(cl_context context, cl_command_queue queue);

#endif
