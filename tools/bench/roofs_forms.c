/* The forms that roofs of an OpenCL device take: chains in registers, and memory. */
#include "bench/roofs_launch.h"

#include <stdio.h>
#include <string.h>

#define LOCAL_VECTORS 256
#define COPY_BLOCK    64

void roofs_form_close(const roofs_cl *r, roofs_form *form)
{
    if (form->kernel != NULL)
        r->cl->api.clReleaseKernel(form->kernel);
    form->kernel = NULL;
}

static double driver_copy(const roofs_cl *r)
{
    const bench_cl_api *const api = &r->cl->api;
    const double start = command_now();
    if (api->clEnqueueCopyBuffer(r->cl->queue, r->from, r->to, 0, 0, r->floats * sizeof(float), 0,
                                 NULL, NULL) != CL_SUCCESS ||
        api->clFinish(r->cl->queue) != CL_SUCCESS)
        return -1.0;
    return command_now() - start;
}

double roofs_form_once(const roofs_cl *r, const roofs_form *form)
{
    const double seconds = form->kernel != NULL
                               ? roofs_cl_launch(r, form->kernel, form->items, r->events)
                               : driver_copy(r);
    return seconds > 0.0 ? form->amount / seconds : 0.0;
}

double roofs_form_rate(const roofs_cl *r, const roofs_form *form)
{
    const double end = command_now() + r->seconds;
    double best = roofs_form_once(r, form); /* warms up, too */
    for (int turn = 0; turn < ROOFS_CL_LEAST_TURNS || (best > 0.0 && command_now() < end); turn++) {
        const double rate = roofs_form_once(r, form);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Chains. ------------------------------------------------------------------ */

chain_kernel chain_kernel_fma(const roofs_cl *r)
{
    return (chain_kernel){r, "fma_loop", 2.0, true, false, ""};
}

bool chain_form_open(const chain_kernel *c, int width, int chains, double amount, roofs_form *form)
{
    const roofs_cl *const r = c->r;
    const bench_cl_api *const api = &r->cl->api;
    const cl_mem *const first = c->in_from ? &r->from : &r->to;
    const double per_step = c->per_element * (double)r->items * width * chains;
    char options[128];
    cl_uint index = 0;
    *form = (roofs_form){.items = r->items};
    if ((size_t)width * (size_t)chains > r->most_floats)
        return false;
    snprintf(options, sizeof options, "-DWIDTH=%d -DCHAINS=%d -DLOCAL_VECTORS=%d%s%s", width,
             chains, LOCAL_VECTORS, *c->options != '\0' ? " " : "", c->options);
    form->kernel = roofs_cl_build(r, c->name, options);
    if (form->kernel == NULL ||
        api->clSetKernelArg(form->kernel, index++, sizeof *first, first) != CL_SUCCESS ||
        (c->two_buffers &&
         api->clSetKernelArg(form->kernel, index++, sizeof r->from, &r->from) != CL_SUCCESS))
        return false;
    cl_int steps = (cl_int)(amount / per_step) + 1;
    if (amount <= 0.0)
        steps = roofs_cl_choose_steps(r, form->kernel, index);
    else if (api->clSetKernelArg(form->kernel, index, sizeof steps, &steps) != CL_SUCCESS)
        return false;
    form->amount = per_step * (double)steps;
    return steps > 0;
}

/* Memory. ------------------------------------------------------------------ */

/* Operators read more than they write, so the better of copy and gather is what memory can do. */
typedef struct memory_kernel {
    const char *name; /* NULL: the driver's own copy */
    int width, block;
} memory_kernel;

static const memory_kernel for_cpu[] = {
    {"copy", 8, 4 * COPY_BLOCK},
    {"copy", 16, 4 * COPY_BLOCK},
    {"gather", 8, 4 * COPY_BLOCK},
    {"gather", 16, 4 * COPY_BLOCK},
    {NULL, 1, 1},
};
static const memory_kernel for_gpu[] = {
    {"copy", 4, 4},   {"copy", 4, COPY_BLOCK},   {"copy", 1, COPY_BLOCK},
    {"gather", 4, 4}, {"gather", 4, COPY_BLOCK}, {"gather", 1, COPY_BLOCK},
    {NULL, 1, 1},
};

int memory_form_count(const roofs_cl *r)
{
    return (int)(r->cpu ? sizeof for_cpu / sizeof *for_cpu : sizeof for_gpu / sizeof *for_gpu);
}

bool memory_form_open(const roofs_cl *r, int index, const bench_roof *earlier, roofs_form *form)
{
    const bench_cl_api *const api = &r->cl->api;
    const memory_kernel *const kind = r->cpu ? &for_cpu[index] : &for_gpu[index];
    const size_t floats = (size_t)kind->width * (size_t)kind->block;
    const bool copies = kind->name == NULL || strcmp(kind->name, "copy") == 0;
    const size_t written = copies ? floats : (size_t)kind->width;
    char options[128];
    size_t items = r->floats / floats;
    items -= kind->name != NULL ? items % r->group : 0;
    *form = (roofs_form){.items = items,
                         .amount = (double)sizeof(float) * (double)(items * (floats + written))};
    if (kind->name == NULL)
        snprintf(form->name, sizeof form->name, "clEnqueueCopyBuffer");
    else
        snprintf(form->name, sizeof form->name, "%s, float%d x %d", kind->name, kind->width,
                 kind->block);
    if (!bench_roof_wanted(earlier, form->name))
        return false;
    if (kind->name == NULL)
        return true;
    snprintf(options, sizeof options, "-DWIDTH=%d -DBLOCK=%d -DSPREAD=%d", kind->width, kind->block,
             !r->cpu);
    form->kernel = roofs_cl_build(r, kind->name, options);
    return form->kernel != NULL && form->items > 0 &&
           api->clSetKernelArg(form->kernel, 0, sizeof r->from, &r->from) == CL_SUCCESS &&
           api->clSetKernelArg(form->kernel, 1, sizeof r->to, &r->to) == CL_SUCCESS;
}
