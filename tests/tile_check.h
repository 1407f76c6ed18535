/* Everything that must hold for one cut, looked at tile by tile and token by token. */
#ifndef CLATTN_TESTS_TILE_CHECK_H
#define CLATTN_TESTS_TILE_CHECK_H

#include "fill.h"
#include "tile/plan.h"

typedef struct tile_case {
    clattn__tile_problem problem;
    clattn__tile_limits limits;
    clattn__tile_cut cut;
    uint64_t smallest;
} tile_case;

/* Fails the test with the sentence and the numbers of the case. */
void tile_check_fail(const tile_case *c, const char *what, int line);

/* Runs and rectangles hold every token once and in order; `tokens`: counts each on its own, for small maps. */
void tile_check_cover(const tile_case *c, int tokens);
/* Halos and cell rows against every tap and every cell. */
void tile_check_halos(const tile_case *c);
/* Buffers against what each tile puts into them; sums against the limits. */
void tile_check_bytes(const tile_case *c);
/* The nodes that a pass ever holds, with tiles that come back in a random order. */
void tile_check_nodes(const tile_case *c, fill_random *random);

#endif
