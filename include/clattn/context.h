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
    uint32_t reserved[8];
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
