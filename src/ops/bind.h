/* From the caller's tensors to the kernels' views: every check of a run is here. */
#ifndef CLATTN_SRC_OPS_BIND_H
#define CLATTN_SRC_OPS_BIND_H

#include "base/context.h"
#include "clattn/ops.h"
#include "kernels/args.h"

/* What a tensor must be. `grid` is its map (row strides), or NULL where tokens just follow each other. */
typedef struct clattn__want {
    const char *name;
    clattn_type type;
    int64_t batch, tokens, heads, dim;
    const Grid *grid;
    int64_t windows; /* > 1: the batch counts windows too (agents, va) */
    bool write;
} clattn__want;

/* A bound tensor: its view, its memory, and the bytes [first, end) that it touches there. */
typedef struct clattn__bound {
    const char *name;
    View view;
    clattn_memory memory;
    uint64_t first, end;
    bool linear; /* rows follow each other */
    bool write;
} clattn__bound;

clattn_status clattn__bind(clattn_context *ctx, const clattn_tensor *tensor,
                           const clattn__want *want, clattn__bound *bound);

/* The same for a flat array of at least `count` f32 elements. */
clattn_status clattn__bind_array(clattn_context *ctx, const char *name, const clattn_array *array,
                                 int64_t count, clattn__bound *bound);

/* Refuses a tensor where the descriptor says there is none. */
clattn_status clattn__bind_none(clattn_context *ctx, const char *name, const void *given,
                                const char *flag);

/* Refuses outputs that share bytes with another of the `count` tensors. */
clattn_status clattn__bind_disjoint(clattn_context *ctx, const clattn__bound *bounds, int count);

/* The address of element `offset` of host memory; NULL for an unbound tensor. */
void *clattn__bound_host(const clattn__bound *bound);

#endif
