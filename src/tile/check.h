/* Every check of what a caller gives to a tiling, in words. */
#ifndef CLATTN_SRC_TILE_CHECK_H
#define CLATTN_SRC_TILE_CHECK_H

#include "tile/tiling.h"

/* Live, and each only once. */
clattn_status clattn__tiling_check_contexts(clattn_context *const *contexts, size_t count);

/* Bits depend on the kind of device and on the kernel variant: without `fast` both must be the same everywhere. */
clattn_status clattn__tiling_check_kinds(clattn_context *const *contexts, size_t count);

/* Fills in the defaults, too. */
clattn_status clattn__tiling_check_options(const clattn_log *log, clattn_tile_options *options);

/*
 * The picture's map, its windows and its batch, which may be larger than the untiled operators'; what is left of the descriptor they
 * check themselves, on a map of a few tokens.
 */
clattn_status clattn__tiling_check_desc(const clattn_log *log,
                                        const clattn_agent_attention_desc *desc, bool strips);
clattn_status clattn__tiling_check_weights(const clattn_log *log,
                                           const clattn_agent_attention_desc *desc,
                                           const clattn_tile_weights *weights);
clattn_status clattn__tiling_check_io(const clattn_tiling *tiling, const clattn_tile_io *io);

#endif
