/* One run of a tiling: makes the lanes, runs the passes, frees everything. */
#ifndef CLATTN_SRC_TILE_RUN_H
#define CLATTN_SRC_TILE_RUN_H

#include "tile/tiling.h"

clattn_status clattn__tiling_execute(clattn_tiling *tiling, const clattn_tile_io *io);

#endif
