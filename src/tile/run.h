/* A run of a tiling: makes the lanes, where the run before has left none, and runs the passes. */
#ifndef CLATTN_SRC_TILE_RUN_H
#define CLATTN_SRC_TILE_RUN_H

#include "tile/tiling.h"

clattn_status clattn__tiling_execute(clattn_tiling *tiling, const clattn_tile_io *io);

/* Frees what runs have left for the next one. */
void clattn__tiling_forget(clattn_tiling *tiling);

#endif
