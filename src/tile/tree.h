/*
 * The binary tree over leaf numbers, on the host: node(k, i) = merge(node(k - 1, 2 i), node(k - 1, 2 i + 1)), where a missing
 * right child passes through. Nodes come in any order; those whose sibling is still to come wait.
 */
#ifndef CLATTN_SRC_TILE_TREE_H
#define CLATTN_SRC_TILE_TREE_H

#include "base/base.h"

/* What a node is: sums that are added, or states (acc[width - 2], m, l) that are merged as kernels/agent_merge.cl does. */
typedef struct clattn__tree_node {
    int64_t rows, width; /* floats per row; states: dim_v + 2 */
    bool states;
} clattn__tree_node;

typedef struct clattn__tree clattn__tree;

/* Room for `capacity` nodes at once, of at most `bytes` each. */
clattn_status clattn__tree_create(uint64_t bytes, int64_t capacity, clattn__tree **tree);
void clattn__tree_destroy(clattn__tree **tree);

/* Begins anew, for `leaves` leaves of this kind; what waits is dropped. */
void clattn__tree_begin(clattn__tree *tree, const clattn__tree_node *kind, int64_t leaves);

/* A node to fill, rows * width floats; NULL above the capacity. Goes back with insert or drop. */
float *clattn__tree_take(clattn__tree *tree);
void clattn__tree_drop(clattn__tree *tree, float *node);

/* node(level, index); merged with whatever is there. */
void clattn__tree_insert(clattn__tree *tree, int level, int64_t index, float *node);

/* The whole, once every leaf is in it; else NULL. Stays the tree's. */
const float *clattn__tree_root(const clattn__tree *tree);

/*
 * The same for `count` nodes that lie `distance` floats apart, from a multiple of a power of two >= count on: the first becomes the node
 * of all.
 */
void clattn__tree_fold(const clattn__tree_node *kind, float *nodes, int64_t count,
                       int64_t distance);

#endif
