#include "tile/tree.h"

#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

typedef struct node {
    float *data;
    int64_t index;
    int level; /* below 0: taken, or free */
} node;

struct clattn__tree {
    clattn__tree_node kind;
    int64_t capacity, leaves;
    size_t floats; /* of a node's place */
    float *memory;
    node nodes[]; /* data NULL: free */
};

clattn_status clattn__tree_create(uint64_t bytes, int64_t capacity, clattn__tree **tree)
{
    clattn__tree *made = NULL;

    if (bytes > SIZE_MAX / (uint64_t)capacity ||
        (uint64_t)capacity > (SIZE_MAX - sizeof *made) / sizeof(node))
        return CLATTN_E_NOMEM;
    made = clattn__alloc(sizeof *made + (size_t)capacity * sizeof(node));
    if (made == NULL)
        return CLATTN_E_NOMEM;
    made->capacity = capacity;
    made->floats = (size_t)bytes / sizeof(float);
    made->memory = clattn__alloc((size_t)bytes * (size_t)capacity);
    if (made->memory == NULL) {
        clattn__free(made);
        return CLATTN_E_NOMEM;
    }
    *tree = made;
    return CLATTN_OK;
}

void clattn__tree_destroy(clattn__tree **tree)
{
    if (*tree == NULL)
        return;
    clattn__free((*tree)->memory);
    clattn__free(*tree);
    *tree = NULL;
}

void clattn__tree_begin(clattn__tree *tree, const clattn__tree_node *kind, int64_t leaves)
{
    tree->kind = *kind;
    tree->leaves = leaves;
    for (int64_t i = 0; i < tree->capacity; i++)
        tree->nodes[i].data = NULL;
}

float *clattn__tree_take(clattn__tree *tree)
{
    for (int64_t i = 0; i < tree->capacity; i++) {
        if (tree->nodes[i].data != NULL)
            continue;
        tree->nodes[i].data = tree->memory + (size_t)i * tree->floats;
        tree->nodes[i].level = -1;
        return tree->nodes[i].data;
    }
    return NULL;
}

static node *node_of(clattn__tree *tree, const float *data)
{
    return &tree->nodes[(size_t)(data - tree->memory) / tree->floats];
}

void clattn__tree_drop(clattn__tree *tree, float *data)
{
    node_of(tree, data)->data = NULL;
}

static node *find(clattn__tree *tree, int level, int64_t index)
{
    for (int64_t i = 0; i < tree->capacity; i++) {
        node *n = &tree->nodes[i];
        if (n->data != NULL && n->level == level && n->index == index)
            return n;
    }
    return NULL;
}

/* Nodes of a level: ceil(leaves / 2^level). */
static int64_t level_nodes(const clattn__tree *tree, int level)
{
    return (tree->leaves - 1) / ((int64_t)1 << level) + 1;
}

/* 2^e for a whole e <= 0, 0 below -126: pow2_exact() of the kernels. */
static float pow2_exact(float e)
{
    return e >= -126.0f ? ldexpf(1.0f, (int)e) : 0.0f;
}

/* Both factors are powers of two, so that each sum rounds once, with or without a fused multiply-add. */
static void merge_state(float *left, const float *right, int64_t dim_v)
{
    const float m_left = left[dim_v];
    const float m_right = right[dim_v];
    const float scale = pow2_exact(-fabsf(m_left - m_right));
    const float scale_left = m_left < m_right ? scale : 1.0f;
    const float scale_right = m_left < m_right ? 1.0f : scale;

    for (int64_t j = 0; j < dim_v; j++)
        left[j] = left[j] * scale_left + right[j] * scale_right;
    left[dim_v] = m_left < m_right ? m_right : m_left;
    left[dim_v + 1] = left[dim_v + 1] * scale_left + right[dim_v + 1] * scale_right;
}

/* into = merge(into, right), row by row. */
static void merge(const clattn__tree_node *kind, float *into, const float *right)
{
    for (int64_t row = 0; row < kind->rows; row++) {
        float *to = into + row * kind->width;
        const float *from = right + row * kind->width;
        if (kind->states)
            merge_state(to, from, kind->width - 2);
        else
            for (int64_t j = 0; j < kind->width; j++)
                to[j] += from[j];
    }
}

void clattn__tree_fold(const clattn__tree_node *kind, float *nodes, int64_t count, int64_t distance)
{
    for (int64_t step = 1; step < count; step *= 2)
        for (int64_t left = 0; left + step < count; left += 2 * step)
            merge(kind, nodes + left * distance, nodes + (left + step) * distance);
}

void clattn__tree_insert(clattn__tree *tree, int level, int64_t index, float *data)
{
    node *own = node_of(tree, data);

    own->level = -1; /* not to be found */
    while (level_nodes(tree, level) > 1) {
        if (index % 2 != 0 || index + 1 < level_nodes(tree, level)) {
            node *sibling = find(tree, level, index ^ 1);
            if (sibling == NULL)
                break;
            node *left = index % 2 == 0 ? own : sibling;
            node *right = index % 2 == 0 ? sibling : own;
            merge(&tree->kind, left->data, right->data);
            right->data = NULL;
            left->level = -1;
            own = left;
        }
        level++;
        index /= 2;
    }
    own->level = level;
    own->index = index;
}

const float *clattn__tree_root(const clattn__tree *tree)
{
    for (int64_t i = 0; i < tree->capacity; i++) {
        const node *n = &tree->nodes[i];
        if (n->data != NULL && n->level >= 0 && level_nodes(tree, n->level) == 1)
            return n->data;
    }
    return NULL;
}
