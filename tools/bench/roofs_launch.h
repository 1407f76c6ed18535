/*
 * The kernels of roofs.cl on an OpenCL device: given their buffers, built, launched and timed. roofs_cl.c measures roofs with them,
 * pace_cl.c how far the device is from two of them at the moment.
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
double roofs_cl_launch(const roofs_cl *r, cl_kernel kernel, size_t items, bool events);
#define ROOFS_CL_LEAST_TURNS 3

/* As many steps as make a launch of `kernel` long enough, set as its argument `index`; 0 on failure. */
cl_int roofs_cl_choose_steps(const roofs_cl *r, cl_kernel kernel, cl_uint index);

/* Forms (roofs_forms.c). --------------------------------------------------- */

/* Something that is ready to run. */
typedef struct roofs_form {
    char name[64];
    cl_kernel kernel; /* NULL: the driver's copy */
    size_t items;
    double amount; /* of a launch: bytes read and written, or operations */
} roofs_form;

void roofs_form_close(const roofs_cl *r, roofs_form *form);
/* Amount per second in one launch; 0 on failure. */
double roofs_form_once(const roofs_cl *r, const roofs_form *form);
/* In the fastest launch within the time, and of a few at least. */
double roofs_form_rate(const roofs_cl *r, const roofs_form *form);

/* A kernel of chains: what it is called, and what it counts. */
typedef struct chain_kernel {
    const roofs_cl *r;
    const char *name;
    double per_element; /* amount per step of one element of a vector */
    bool two_buffers;   /* fma_loop: its terms lie in the other one */
    bool in_from;       /* exp2_loop: where the values stay below 1 */
    const char *options;
} chain_kernel;

/* That of `fma_f32`. */
chain_kernel chain_kernel_fma(const roofs_cl *r);
/* Of about `amount`, or where that is 0 of as many steps as take long enough. False where it cannot run here; close in any case. */
bool chain_form_open(const chain_kernel *c, int width, int chains, double amount, roofs_form *form);

/* The forms of `copy`. */
int memory_form_count(const roofs_cl *r);
/* False where it is not the one that was best earlier, or cannot run here; close in any case. */
bool memory_form_open(const roofs_cl *r, int index, const bench_roof *earlier, roofs_form *form);

#endif
