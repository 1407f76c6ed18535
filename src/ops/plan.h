/*
 * What a plan is made of. A simple operator fills `args` structs, names its kernels and scratch buffers, and gives an
 * `enqueue`; a composed one (agent_attention, smooth) has child plans and enqueues them on one chain.
 */
#ifndef CLATTN_SRC_OPS_PLAN_H
#define CLATTN_SRC_OPS_PLAN_H

#include "base/context.h"
#include "cl/launch.h"
#include "cl/program.h"
#include "cl/tune.h"
#include "clattn/filter.h"
#include "kernels/args.h"
#include "ops/attend.h"
#include "ops/shape.h"

/* Work-group of the kernels that take any: whole waves of every GPU. */
#define CLATTN__GROUP_ITEMS 64

#define CLATTN__MAX_BUFFERS  9
#define CLATTN__MAX_CHILDREN 5
#define CLATTN__MAX_KERNELS  2
#define CLATTN__MAX_SCRATCH  6

/* Children of agent_attention and of smooth, so that src/ops/steps.c finds them. */
enum { CLATTN__CHILD_POOL, CLATTN__CHILD_AGGREGATE, CLATTN__CHILD_BROADCAST, CLATTN__CHILD_REFINE };

/* Runs small problems through a kernel: ops/selftest.h. */
typedef struct clattn__selftest clattn__selftest;
typedef clattn_status clattn__probe(clattn__selftest *test);

/* What a kernel is tried with: arguments that leave it nothing to do or read, and the items of the plan's largest launch. */
typedef struct clattn__trial {
    const void *nothing;
    size_t bytes;
    int buffers;
    size_t items[3];
    clattn__probe *probe; /* for the self-test */
} clattn__trial;

struct clattn_plan {
    uint64_t magic;
    clattn_context *ctx;
    const char *op; /* its name in messages; runs compare the pointer's text */
    clattn_plan_info info;

    clattn_plan *children[CLATTN__MAX_CHILDREN];
    clattn__kernel_spec kernels[CLATTN__MAX_KERNELS];
    clattn__tuned tuned[CLATTN__MAX_KERNELS]; /* where a kernel has values that tuning sets */
    bool plain[CLATTN__MAX_KERNELS];          /* no row of tuning is looked for any more */
    uint64_t scratch[CLATTN__MAX_SCRATCH];    /* bytes; 0: none */

    clattn_plan
        *host; /* of the CPU path, which runs in place of this one (ops/host.h); else NULL */

    /* What the operator needs at run time; each uses its own part. */
    clattn_agent_attention_desc desc; /* `type` is set by every operator */
    clattn__shape shape;
    clattn__attend attend;
    Attend attend_args;
    Merge merge_args;
    Pool pool_args;
    Dwc dwc_args;
    Features features_args;
    clattn_attention_desc attention_desc;
    clattn_dwc_desc dwc_desc;
    int32_t rounds; /* of the smoothing filter */
};

struct clattn_workspace {
    uint64_t magic;
    const clattn_plan *plan;
    clattn_workspace *children[CLATTN__MAX_CHILDREN];
    clattn_workspace *host; /* of plan->host */
    clattn_memory scratch[CLATTN__MAX_SCRATCH];
    cl_kernel kernels[CLATTN__MAX_KERNELS];
    struct clattn__record
        *record; /* hears of every launch; children have their parent's (ops/record.h) */
};

bool clattn__plan_valid(const clattn_plan *plan);
bool clattn__workspace_valid(const clattn_workspace *ws);

/* A blank plan for `ctx`, or the reason there is none. */
clattn_status clattn__plan_new(clattn_context *ctx, const void *desc, const char *op,
                               clattn_plan **plan);

/*
 * Makes `spec` the kernel `index`: builds its program now, so that a run never does, and enqueues it once with nothing to do. A
 * driver that refuses the work-group says so then, and one that compiles at the first launch has done so before the first run.
 * `spec->large` follows from the trial. CLATTN_E_WRONG where the kernel does not pass the self-test: another may be tried.
 */
clattn_status clattn__plan_kernel(clattn_plan *plan, int index, const clattn__kernel_spec *spec,
                                  const clattn__trial *trial);

/*
 * The same for a kernel that takes any work-group: as many items as clattn__plan_tune() has said, by the name of spec.file where it has not
 * been asked before; up to `row` of them along the first axis (items that belong together in memory; the model fixes their number,
 * not the picture), the others along the second. Fewer where the device refuses them.
 */
clattn_status clattn__plan_items(clattn_plan *plan, int index, clattn__kernel_spec spec, size_t row,
                                 const clattn__trial *trial);

/* The CPU path's operators for the plan's storage. */
const struct clattn__cpu_ops *clattn__plan_cpu(const clattn_plan *plan);

/* The values of kernel `index`, named `kernel` in tuning rows, for the plan's type; kept for clattn_plan_tuning(). */
clattn__tune_values *clattn__plan_tune(clattn_plan *plan, int index, const char *kernel,
                                       clattn__tune_values defaults);

/*
 * True where a kernel of a smaller work-group may work instead: OpenCL or its compiler refused this one, or it computes wrongly. Not
 * after a lost device, or for want of memory: results would depend on it.
 */
bool clattn__plan_shrinks(clattn_status status);

/*
 * After a kernel that did not pass the self-test: true where it was tuned, and is worth a try with the values that follow from the
 * device; the next clattn__plan_tune() gives those.
 */
bool clattn__plan_untune(clattn_plan *plan, int index);

/* For the log and the verdict: kernel `index` was refused, or is wrong, and a smaller work-group is tried next. */
void clattn__plan_refused(const clattn_plan *plan, int index, clattn_status status);

/* Adds the children's scratch and launches to the plan's own and hands it out; on a failed status destroys it instead. */
clattn_status clattn__plan_finish(clattn_plan *plan, clattn_status status, clattn_plan **out);

/* The inside of a run: reads its args struct, enqueues on `chain` (CPU path: computes). */
typedef clattn_status clattn__enqueue(const clattn_plan *plan, clattn_workspace *ws,
                                      const void *args, clattn__chain *chain);

/*
 * A public run: refuses handles that are no plan or workspace, not of operator `op` or not of each other, and a sync that the
 * CPU path cannot keep; then `enqueue` on a chain of its own.
 */
clattn_status clattn__run(const clattn_plan *plan, clattn_workspace *ws, const void *args,
                          const clattn_sync *sync, const char *op, clattn__enqueue *enqueue);

/*
 * Makes a plan one for `batch` pictures, at most as many as it was made for: its scratch memory stays. Bits of a picture do not
 * depend on it. No run may be in the making.
 */
void clattn__plan_set_batch(clattn_plan *plan, int64_t batch);

/*
 * One launch of kernel `index`: args by value, then `count` buffers; unused ones (NULL) are replaced by the first. `items` are
 * filled up to whole work-groups: the kernel leaves out what is too many.
 */
clattn_status clattn__launch(clattn__chain *chain, const clattn_workspace *ws, int index,
                             const void *args, size_t args_bytes, const cl_mem *buffers, int count,
                             const size_t items[3]);

/* What the arguments of clattn_smooth_run() become on the way to its enqueue. */
typedef struct clattn__smooth_args {
    const clattn_tensor *input, *output, *agents;
} clattn__smooth_args;

/* The checks of a run alone: the tensors bound, and the views and forms of `a` complete. */
clattn_status clattn__agent_aggregate_bind(const clattn_plan *plan,
                                           const clattn_agent_attention_args *args, Attend *a,
                                           clattn__attend_bounds *b);
clattn_status clattn__agent_broadcast_bind(const clattn_plan *plan,
                                           const clattn_agent_attention_args *args, Attend *a,
                                           clattn__attend_bounds *b);

/* The merge kernels, for a plan that needs none itself: a tile has states and sums where the plan's few tokens are one leaf. */
clattn_status clattn__agent_pool_plan_merge(clattn_plan *plan);
clattn_status clattn__agent_aggregate_plan_merge(clattn_plan *plan);

/* The convolution of one tile of a larger map; `args` is complete. */
clattn_status clattn__dwc_tile(const clattn_plan *plan, const clattn_workspace *ws, const Dwc *args,
                               clattn_memory v, clattn_memory weight, clattn_memory bias,
                               clattn_memory out, clattn__chain *chain);

/* Gives a filter's plan the picture of `desc` for its features; src/ops/smooth.c. */
void clattn__smooth_features_of(clattn_plan *plan, const clattn_smooth_desc *desc);

/* The self-test's problems. */
clattn__probe clattn__attend_probe, clattn__agent_pool_probe, clattn__agent_merge_probe,
    clattn__dwc_probe, clattn__smooth_probe;

clattn__enqueue clattn__agent_pool_enqueue, clattn__agent_aggregate_enqueue,
    clattn__agent_broadcast_enqueue, clattn__agent_attention_enqueue, clattn__dwc_enqueue;

#endif
