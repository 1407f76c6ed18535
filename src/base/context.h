/*
 * The context as the rest of the library sees it: a device description, a byte count, and a table of what its back end
 * (src/cl or src/cpu) does. Back-end state hangs off it as an opaque pointer.
 */
#ifndef CLATTN_SRC_CONTEXT_H
#define CLATTN_SRC_CONTEXT_H

#include "base/base.h"
#include "base/threads.h"
#include "clattn/tensor.h"

typedef struct clattn__backend {
    void (*destroy)(clattn_context *ctx); /* frees backend state, not the context */
    clattn_status (*finish)(clattn_context *ctx);
    clattn_status (*alloc)(clattn_context *ctx, uint64_t bytes, clattn_memory *memory);
    void (*free)(clattn_context *ctx, clattn_memory *memory);
    clattn_status (*write)(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                           const void *source, uint64_t bytes);
    clattn_status (*read)(clattn_context *ctx, const clattn_memory *memory, uint64_t offset,
                          void *target, uint64_t bytes);
    /*
     * A pointer through which the host sees `bytes` of memory from the start: fresh (nothing of what was there is kept), or as it
     * is; good once finish() has waited for it. Ends with unmap, before anything else uses the memory.
     */
    clattn_status (*map)(clattn_context *ctx, const clattn_memory *memory, uint64_t bytes,
                         bool fresh, void **pointer);
    clattn_status (*unmap)(clattn_context *ctx, const clattn_memory *memory, void *pointer);
    /* See clattn__context_lane(). */
    clattn_status (*lane)(clattn_context *ctx, clattn_context **lane);
    /* Checks that `memory` is of this back end and context; fills memory->bytes. `what` names the argument in the log. */
    clattn_status (*check_memory)(clattn_context *ctx, const char *what, clattn_memory *memory);
} clattn__backend;

struct clattn__cl;       /* src/cl/device.h */
struct clattn__cpu_path; /* src/cpu/cpu.h */

struct clattn_context {
    uint64_t
        magic; /* CLATTN__CONTEXT_MAGIC while alive: a foreign or freed handle is refused, not followed */
    clattn_context *parent; /* of a lane: programs and bytes are the parent's; else NULL */
    clattn_log log;
    /* Defaults filled in; on OpenCL, shape is never AUTO and the limits never exceed the device's. */
    clattn_context_params params;
    clattn_device device;
    const clattn__backend *backend;
    const struct clattn_selftest_recorder *recorder; /* of a lane of clattn_selftest_record() */
    bool disproved;               /* of a lane that tests by hand: a kernel did not pass */
    struct clattn__cl *cl;        /* OpenCL contexts, else NULL */
    struct clattn__cpu_path *cpu; /* CPU path, else NULL */
    clattn__mutex bytes_lock;     /* guards the four below */
    uint64_t bytes_now, bytes_peak;
    int32_t cl_error;
    clattn_context
        *host; /* the CPU path for operators that the device computes wrongly; else NULL */
};

#define CLATTN__CONTEXT_MAGIC UINT64_C(0x636c6174746e4358)

/* True for a live context; NULL and foreign handles are false. */
bool clattn__context_valid(const clattn_context *ctx);

/* Allocates and fills the common part from params (NULL: defaults; refuses non-zero reserved fields). The back end does the rest. */
clattn_status clattn__context_new(const clattn_context_params *params, clattn_context **ctx);
/* Frees the common part alone, for a back end whose creation failed. */
void clattn__context_delete(clattn_context *ctx);

/*
 * A second way to work on the same device beside others: a context with a queue of its own and the programs, memory and byte count
 * of `ctx`, which must outlive it. On the CPU path, whose runs take turns, it is `ctx` itself. Ended with
 * clattn__context_lane_end().
 */
clattn_status clattn__context_lane(clattn_context *ctx, clattn_context **lane);
void clattn__context_lane_end(clattn_context **lane);

/* The context that owns what this one uses: itself, or a lane's parent. */
const clattn_context *clattn__context_owner(const clattn_context *ctx);

/* Counts bytes against the cap; CLATTN_E_BUDGET, with the numbers in the log, when they do not fit. */
clattn_status clattn__bytes_take(clattn_context *ctx, uint64_t bytes);
/* The same, but silent: for a caller that can make room and ask again. */
bool clattn__bytes_fit(clattn_context *ctx, uint64_t bytes);
void clattn__bytes_give(clattn_context *ctx, uint64_t bytes);

#endif
