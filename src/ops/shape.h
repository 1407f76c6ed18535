/* The shape of agent attention, checked and with every default filled in. */
#ifndef CLATTN_SRC_OPS_SHAPE_H
#define CLATTN_SRC_OPS_SHAPE_H

#include "base/context.h"
#include "clattn/ops.h"
#include "kernels/args.h"

typedef struct clattn__shape {
    int64_t batch, heads, dim, dim_v;
    int64_t windows;  /* per picture */
    int64_t agents;   /* n */
    int64_t q_tokens; /* per picture, class tokens included */
    int64_t k_tokens;
    Grid q_grid, k_grid, agent_grid;
    bool resized; /* k and v have a map of their own */
    float scale_aggregate, scale_broadcast;
} clattn__shape;

/* Checks every field of `desc` in words and fills `shape`. */
clattn_status clattn__shape_make(const clattn_log *log, const clattn_agent_attention_desc *desc,
                                 clattn__shape *shape);

/* Windows and shift of a map of any size, as in the descriptors: window 0 means the whole map. */
clattn_status clattn__check_windows(const clattn_log *log, int64_t height, int64_t width,
                                    int64_t class_tokens, int64_t window_h, int64_t window_w,
                                    int64_t shift_y, int64_t shift_x);

/* A map with windows and shift as in the descriptors, checked; window 0 means the whole map. */
clattn_status clattn__grid_make(const clattn_log *log, int64_t height, int64_t width,
                                int64_t class_tokens, int64_t window_h, int64_t window_w,
                                int64_t shift_y, int64_t shift_x, Grid *grid);
int64_t clattn__grid_windows(const Grid *grid);

/* `count` tokens one after the other: agents, or keys without a map. */
Grid clattn__grid_line(int64_t count);

/* A rectangle with some of its map around it in memory: no neighbour wraps. */
Grid clattn__grid_rect(int64_t height, int64_t width);

/*
 * Most leaves that any agent cell of a map touches, from its first token to its last. Of more cells than anybody looks at one by one:
 * at least that, and at most one more.
 */
int64_t clattn__pool_slots(int64_t height, int64_t width, int64_t class_tokens,
                           int64_t agent_height, int64_t agent_width, int64_t leaf);

/* Tokens per leaf of the reduction over `keys` tokens for n agents; depends on the problem alone, so that bits do too. */
int64_t clattn__leaf_tokens(int64_t keys, int64_t heads, int64_t n);

/* Common refusals of descriptors: sizes of heads and batch, type, reserved words. */
clattn_status clattn__check_heads(const clattn_log *log, int64_t batch, int64_t heads, int64_t dim,
                                  int64_t dim_v);
clattn_status clattn__check_type(const clattn_log *log, clattn_type type);
/* Bytes of an element. */
int64_t clattn__type_bytes(clattn_type type);
clattn_status clattn__check_reserved(const clattn_log *log, const uint32_t *reserved, size_t count);

#endif
