/*
 * The kernels of roofs.cl on an OpenCL device: built, given their buffers, launched and timed. roofs_cl.c measures roofs with them, pace.c
 * how far the device is from one of them at the moment.
 */
#ifndef CLATTN_TOOLS_BENCH_ROOFS_LAUNCH_H
#define CLATTN_TOOLS_BENCH_ROOFS_LAUNCH_H

#include "bench/device.h"
#include "bench/roofs.h"

typedef struct roofs_cl {
    bench_device *device;
    const bench_cl *cl;
    double seconds; /* per form */
    const bench_roofs *earlier;
    bool events;
    bool cpu;            /* one item per group, wide vectors */
    size_t group, items; /* of kernels of chains */
    size_t most_floats;  /* in the chains of an item */
    size_t floats;       /* of each of the two buffers */
    cl_mem from, to;     /* random */
} roofs_cl;

/*
 * Sizes, and two buffers of `bytes` each, or of what chains need if that is more. *host: as many random floats, for the caller to free.
 * False with an error printed; roofs_cl_end() in any case.
 */
bool roofs_cl_begin(roofs_cl *r, uint64_t bytes, float **host);
void roofs_cl_end(roofs_cl *r);

/* A kernel of its own; NULL where this device's compiler refuses the form. */
cl_kernel roofs_cl_build(const roofs_cl *r, const char *name, const char *options);
/* Seconds of one launch, by events where they are believed; negative on failure. */
double roofs_cl_launch(const roofs_cl *r, cl_kernel kernel, size_t items, size_t group,
                       bool events);
/* Seconds of the fastest launch within the time, and of a few at least; negative on failure. */
double roofs_cl_fastest(const roofs_cl *r, cl_kernel kernel, size_t items, size_t group);
#define ROOFS_CL_LEAST_TURNS 3

/* A kernel of chains: what it is called, and what it counts. */
typedef struct chain_kernel {
    const roofs_cl *r;
    const char *name;
    double per_element; /* amount per step of one element of a vector */
    bool two_buffers;   /* fma_loop: its terms lie in the other one */
    bool in_from;       /* exp2_loop: where the values stay below 1 */
    const char *options;
} chain_kernel;

/* One form of it, of as many steps as make a launch long enough. */
typedef struct chain_form {
    cl_kernel kernel;
    double amount; /* of one launch */
} chain_form;

/* False where the form cannot run here; close in any case. */
bool chain_form_open(const chain_kernel *c, int width, int chains, chain_form *form);
void chain_form_close(const chain_kernel *c, chain_form *form);
/* Amount per second, 0 on failure. */
double chain_form_rate(const chain_kernel *c, const chain_form *form);

/* As many steps as make a launch of `kernel` long enough, set as its argument `index`; 0 on failure. */
cl_int roofs_cl_choose_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index);

#endif
