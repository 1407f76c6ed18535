/* The bench's own OpenCL objects, which its contexts wrap. Only for the files that call OpenCL. */
#ifndef CLATTN_TOOLS_BENCH_DEVICE_H
#define CLATTN_TOOLS_BENCH_DEVICE_H

#include "bench/bench.h"
#include "bench/cl.h"

typedef struct bench_cl {
    bench_cl_api api;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue; /* in order, with profiling */
    bool fp16;
} bench_cl;

/* Seconds by the device's clock between two moments of events, or a negative number where it does not say. */
double bench_cl_seconds(const bench_cl *cl, cl_event from, cl_profiling_info from_what, cl_event to,
                        cl_profiling_info to_what);

#endif
