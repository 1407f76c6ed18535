/*
 * clattn: devices and contexts.
 *
 * A context is one device that plans run on: an OpenCL device with a queue, or the CPU path (plain C with threads).
 * Plans, memory, bias handles and workspaces belong to the context they were made with, and must be destroyed before it.
 *
 * threads  A context may be used from several threads at once; objects made from it may be shared where their own page
 *          says so. Nothing in the library is global and mutable.
 * fork     A child of fork() must not use what its parent made, not even to destroy it: neither OpenCL drivers nor the CPU path's
 *          threads live on there. It may exec, or make contexts of its own where the driver had not been used before the fork.
 */
#ifndef CLATTN_CONTEXT_H
#define CLATTN_CONTEXT_H

#include "clattn/base.h"
#include "clattn/cache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The OpenCL handle types, declared as <CL/cl.h> declares them, so that this header needs none of OpenCL's. */
typedef struct _cl_context *cl_context;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_event *cl_event;
typedef struct _cl_mem *cl_mem;

typedef struct clattn_context clattn_context;

typedef enum clattn_device_kind {
    CLATTN_DEVICE_OTHER = 0,
    CLATTN_DEVICE_CPU,
    CLATTN_DEVICE_GPU,
    CLATTN_DEVICE_ACCELERATOR
} clattn_device_kind;

/**
 * One OpenCL device, as clattn_device_list() found it. All strings are terminated, never NULL, and fit to be shown: UTF-8 without
 * control characters. What a driver said otherwise has become question marks.
 */
typedef struct clattn_device {
    cl_device_id id;
    clattn_device_kind kind;
    char name[128];
    char vendor[128];
    char platform[128];
    char version[128]; /* "OpenCL 3.0 PoCL ..." */
    char driver[128];
    char architecture
        [128]; /* what its relatives share ("gfx1030", "haswell"), for tuning rows; empty: unknown */
    uint32_t compute_units;
    uint32_t max_work_group;
    uint32_t vector_width; /* floats that it likes to work on at once; 1: it vectorises by itself */
    uint64_t local_bytes;  /* local memory of one work-group */
    uint64_t global_bytes; /* global memory */
    uint64_t allocation_bytes; /* largest single buffer */
    int shares_host_memory;    /* 1: the device works in the host's memory */
    int usable;                /* 1: clattn can run on it */
    char why_not[128];         /* the reason, when it cannot; else empty */
} clattn_device;

/**
 * Lists the devices of all platforms, in the loader's order; an index into this list is what `--device 0` means.
 * A platform or device that answers with errors is logged and left out (or listed with usable = 0); it never hides another.
 *
 * units    bytes
 * memory   *devices is one allocation, freed with clattn_device_list_free(); NULL when the count is 0
 * async    no
 * threads  safe
 * returns  CLATTN_OK (also for 0 devices), CLATTN_E_NODEVICE when there is no OpenCL loader, CLATTN_E_ARG, CLATTN_E_NOMEM
 */
CLATTN_API clattn_status clattn_device_list(const clattn_log *log, clattn_device **devices,
                                            size_t *count);
CLATTN_API void clattn_device_list_free(clattn_device **devices);

/**
 * The device clattn would choose: a usable GPU (the most compute units first), then an accelerator, then a CPU device.
 * Returns its index, or -1 when none is usable.
 */
CLATTN_API int clattn_device_best(const clattn_device *devices, size_t count);

/**
 * The caller's threads: run fn(arg, i) for every i in [0, count), in any order, on any threads, and return when all
 * are done. Must not fail.
 */
typedef void (*clattn_parallel_for)(void *user, int64_t count, void (*fn)(void *arg, int64_t i),
                                    void *arg);

/** Which of the two kernel shapes runs (see kernels/): one work-item per group, or work-groups with local memory. */
typedef enum clattn_kernel_shape {
    CLATTN_SHAPE_AUTO =
        0, /* wide on CPU devices that like vectors and where work-groups are limited to 1, else tile */
    CLATTN_SHAPE_WIDE,
    CLATTN_SHAPE_TILE
} clattn_kernel_shape;

/** Whether a context proves its kernels before it uses them; see clattn_device_verdict(). */
typedef enum clattn_selftest {
    CLATTN_SELFTEST_FIRST_USE =
        0, /* a plan proves kernels that neither this context nor params.cache has a verdict on */
    CLATTN_SELFTEST_OFF,  /* nothing is proved, and no verdict counts */
    CLATTN_SELFTEST_FORCE /* as FIRST_USE, but verdicts in params.cache are made anew */
} clattn_selftest;

/** What becomes of a plan when no kernel variant of an operator passes the self-test. */
typedef enum clattn_fallback {
    CLATTN_FALLBACK_AUTO =
        0, /* the CPU path on contexts with a queue of their own, none on wrapped ones */
    CLATTN_FALLBACK_NONE, /* the plan fails with CLATTN_E_WRONG */
    CLATTN_FALLBACK_CPU /* the operator runs on the CPU path, on the device's buffers, mapped: its runs wait until they are done */
} clattn_fallback;

/** How a context behaves. Zero everywhere is the default; `reserved` must be zero. */
typedef struct clattn_context_params {
    clattn_log log;
    uint64_t
        byte_cap; /* bytes the context may hold in buffers; 0: no cap. Above it: CLATTN_E_BUDGET */
    clattn_kernel_shape shape; /* OpenCL only */
    uint32_t
        max_work_group; /* OpenCL only: treat the device as limited to this; 0: the device's own limit */
    uint32_t max_local_bytes; /* OpenCL only: the same for local memory */
    uint32_t
        work_group; /* OpenCL only: start with work-groups of 16, 32, 64, 128 or 256 where the limits
                                 allow; 0: by the head width. Results depend on it in the last bits */
    uint64_t
        launch_flops; /* longest launch, in floating-point operations; 0: 2e10 (longer work is split) */
    uint32_t threads;                 /* CPU path only: 0: one per core */
    clattn_parallel_for parallel_for; /* CPU path only: NULL: threads of the library's own */
    void *parallel_user;
    clattn_cache
        cache; /* OpenCL only: keeps compiled kernels between processes; zero: nothing does */
    clattn_selftest selftest; /* OpenCL only */
    clattn_fallback fallback; /* OpenCL only */
    uint32_t reserved[6];
} clattn_context_params;

/**
 * A context with an OpenCL context and an in-order queue of its own.
 *
 * device   NULL: the best one (clattn_device_best)
 * params   NULL: all defaults
 * memory   the caller destroys *ctx with clattn_context_destroy()
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_NODEVICE, CLATTN_E_NOMEM, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_context_create(cl_device_id device,
                                               const clattn_context_params *params,
                                               clattn_context **ctx);

/**
 * A context around the caller's OpenCL objects. Each is retained, and released by clattn_context_destroy(); the queue
 * may be in-order or out-of-order and its properties are never changed.
 *
 * returns  CLATTN_OK, CLATTN_E_ARG (also when device or queue do not belong to the context), CLATTN_E_NOMEM, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_context_wrap(cl_context context, cl_device_id device,
                                             cl_command_queue queue,
                                             const clattn_context_params *params,
                                             clattn_context **ctx);

/**
 * The CPU path: every plan runs in plain C on `threads` threads or through the caller's parallel_for, and each run has
 * finished when it returns. Needs no OpenCL.
 *
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_NOMEM
 */
CLATTN_API clattn_status clattn_context_create_cpu(const clattn_context_params *params,
                                                   clattn_context **ctx);

/**
 * Waits for the queue, hands what was compiled to params.cache, frees everything and sets *ctx to NULL. NULL and a pointer to
 * NULL are accepted.
 */
CLATTN_API void clattn_context_destroy(clattn_context **ctx);

/**
 * Hands the kernels compiled since the last call to params.cache, which clattn_context_destroy() does as well: for programs
 * that live long or may end without destroying. Not part of a plan, because drivers that compile at the first launch
 * (PoCL) need about as long for it as for the compilation. Waits for what was enqueued. Without a cache it does nothing.
 *
 * threads  safe; plans of this context that are made meanwhile wait
 * returns  CLATTN_OK (also where the cache does not take them), CLATTN_E_ARG, CLATTN_E_OPENCL, CLATTN_E_LOST
 */
CLATTN_API clattn_status clattn_context_store_programs(clattn_context *ctx);

/** What the self-test found out about a kernel. */
typedef enum clattn_verdict_code {
    CLATTN_VERDICT_PASSED = 0,
    CLATTN_VERDICT_WRONG, /* its results differ from those of the CPU path by more than rounding */
    CLATTN_VERDICT_STRAY, /* it wrote where it had nothing to write */
    CLATTN_VERDICT_REFUSED, /* OpenCL reported an error */
    CLATTN_VERDICT_UNTESTED /* there was no memory for the test: the kernel is used all the same */
} clattn_verdict_code;

/** What the last plan that met a verdict went on with. */
typedef enum clattn_verdict_step {
    CLATTN_STEP_NONE = 0, /* the kernel itself */
    CLATTN_STEP_PLAIN,    /* the same kernel without the values of a tuning row */
    CLATTN_STEP_SMALLER, /* a smaller work-group; below the smallest of the tile shape, the wide shape */
    CLATTN_STEP_CPU, /* the CPU path */
    CLATTN_STEP_FAIL /* nothing: it failed with CLATTN_E_WRONG */
} clattn_verdict_step;

/** The verdict on one kernel variant. All strings are terminated. */
typedef struct clattn_verdict {
    clattn_verdict_code code;
    clattn_verdict_step step;
    char kernel[32];     /* its name */
    char options[160];   /* what its program is compiled with, besides the options of all */
    uint32_t work_group; /* items */
    int32_t from_cache;  /* 1: params.cache knew it */
    float
        error; /* the largest difference from the CPU path, in units of what rounding explains; 1 and less passes */
    float milliseconds; /* that the test took; 0: it comes from the cache */
    char reason[256];   /* in words where it did not pass; else empty */
} clattn_verdict;

/**
 * Drivers have compiled kernels wrongly, and without a word. So before a plan uses a kernel variant (a program with its options
 * and work-group) for the first time on a context, small problems of every form that it may meet run through it, and their
 * results are compared with those of the CPU path: under a millisecond per variant on most devices. Verdicts are kept in the
 * context, and in params.cache, where they hold for this version of clattn, its kernels, the device and its driver. A plan does not use
 * a variant that did not pass, but takes, in this order: the kernel without the values of a tuning row; smaller work-groups; what
 * params.fallback says. Each step is a sentence in the log. Tilings (tile.h) never take the CPU path for a device: they fail.
 *
 * The test runs on a queue of its own, so that a caller's queue is left alone; its memory, below 1 MiB for common head widths, counts
 * against params.byte_cap while a plan is made.
 *
 * Gives verdict `index` of those that the context has so far, in the order in which they were made.
 *
 * memory   *verdict is filled where it is not NULL and there is such a verdict; else it stays as it is
 * async    no
 * threads  safe
 * returns  the number of verdicts; 0 on the CPU path, and for a context that is none
 */
CLATTN_API size_t clattn_device_verdict(const clattn_context *ctx, size_t index,
                                        clattn_verdict *verdict);

/**
 * Proves, by hand, the kernels that the published models need (head widths of 32 and 64, f32 and f16, the convolution, the smoothing
 * filter) and those of an odd width, whatever params.selftest says and whatever verdicts there are already; clattn_device_verdict()
 * gives the new ones.
 * Compiles what is not compiled yet, which may take seconds.
 *
 * async    returns when all is done
 * threads  safe
 * returns  CLATTN_OK (also on the CPU path), CLATTN_E_ARG, CLATTN_E_WRONG when a variant did not pass (all are tested nevertheless),
 *          CLATTN_E_BUDGET, CLATTN_E_NOMEM, CLATTN_E_DEVICE_NOMEM, CLATTN_E_BUILD, CLATTN_E_OPENCL, CLATTN_E_LOST
 */
CLATTN_API clattn_status clattn_context_selftest(clattn_context *ctx);

/** Waits until everything enqueued so far is done. returns CLATTN_OK, CLATTN_E_ARG, CLATTN_E_OPENCL, CLATTN_E_LOST */
CLATTN_API clattn_status clattn_context_finish(clattn_context *ctx);

/** What the context runs on. For the CPU path: name "CPU path", id NULL. The pointer lives as long as the context. */
CLATTN_API const clattn_device *clattn_context_device(const clattn_context *ctx);

/** 1 for the CPU path, 0 for an OpenCL device. */
CLATTN_API int clattn_context_is_cpu(const clattn_context *ctx);

/** Bytes of buffers (device memory, or host memory on the CPU path) the context holds now, and held at most. Either pointer may be NULL. */
CLATTN_API void clattn_context_bytes(const clattn_context *ctx, uint64_t *now, uint64_t *peak);

/** The last raw OpenCL error code (cl_int) of this context, 0 when there was none. */
CLATTN_API int32_t clattn_context_cl_error(const clattn_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
