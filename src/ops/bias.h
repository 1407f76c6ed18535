/* What plans need to know of a bias handle. */
#ifndef CLATTN_SRC_OPS_BIAS_H
#define CLATTN_SRC_OPS_BIAS_H

#include "ops/bind.h"
#include "ops/shape.h"

/* Checks that the handle was made for this shape (required: the plan has a bias) and gives stage 1 or 2's tables. */
clattn_status clattn__agent_bias_bind(clattn_context *ctx, const clattn_agent_bias *bias,
                                      bool required, const clattn__shape *shape, int stage,
                                      Bias *args, clattn__bound *bound);

/* The same tables for a problem whose map may have more than 2^31 tokens: class tokens, then a map of q and one of k. */
typedef struct clattn__bias_maps {
    int64_t heads, agents, agent_height, agent_width, class_tokens;
    int32_t q_height, q_width, k_height, k_width;
} clattn__bias_maps;

clattn_status clattn__agent_bias_make(clattn_context *ctx, const clattn__bias_maps *maps,
                                      const clattn_agent_bias_desc *weights,
                                      clattn_agent_bias **bias);

/* Device bytes of a handle made so, without making it; CLATTN_E_SHAPE where it cannot be. */
clattn_status clattn__agent_bias_weigh(const clattn_log *log, const clattn__bias_maps *maps,
                                       const clattn_agent_bias_desc *weights, uint64_t *bytes);

/* Stage 1 or 2's tables of a handle; a NULL handle has none. */
void clattn__agent_bias_stage(const clattn_agent_bias *bias, int stage, Bias *args,
                              clattn__bound *bound);

/* A handle of the CPU path's with the same tables, read from the device; freed with clattn_agent_bias_destroy(). */
clattn_status clattn__agent_bias_to_host(const clattn_agent_bias *bias, clattn_context *host,
                                         clattn_agent_bias **copy);

/* The tables for a tile whose token 0 is token `token` of the problem, class tokens first. */
void clattn__bias_from(Bias *bias, int64_t token);

/* The tables for a rectangle of `width` columns at (y, x), where the bias is laid out on the map: mode 2, grid_w columns. */
void clattn__bias_rect(Bias *bias, int64_t y, int64_t x, int64_t width);

/* True where clattn__bias_rect() cannot be: narrow maps that may have a plain table, and grids of another width than the map. */
bool clattn__bias_needs_rows(const clattn_agent_bias_stage *stage, int64_t map_width);

#endif
