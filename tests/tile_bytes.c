/* What the tiles of a cut put into its buffers, and what a pass leaves on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tile_check.h"

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            tile_check_fail(c, #condition, __LINE__);                                              \
    } while (0)

#define LEVELS 64

static void expect_room(const tile_case *c, clattn__tile_role role, int64_t floats)
{
    EXPECT(c->cut.role_bytes[role] >= (uint64_t)floats * 4);
}

static int64_t area(const clattn_tile_rect *r)
{
    return r->class_count + r->height * r->width;
}

static int64_t halo_of_run(const tile_case *c, int keys, const clattn__tile_run *run)
{
    clattn_tile_rect rects[4];
    int64_t at[4];
    int64_t tokens = 0;
    const int count = clattn__tile_run_rects(&c->problem, keys, run, rects, at);

    for (int i = 0; i < count; i++) {
        const clattn_tile_rect grown = clattn__tile_grown(&c->problem, &rects[i], 1);
        tokens += area(&grown);
    }
    return tokens;
}

static void check_pool(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;

    for (int64_t i = 0; i < c->cut.pool_tiles; i++) {
        const clattn__tile_run run = clattn__tile_run_at(p, &c->cut, false, i);
        int64_t first, rows;
        clattn__tile_cell_rows(p, &run, &first, &rows);
        expect_room(c, CLATTN__TILE_TOKENS, run.tokens * p->heads * p->dim);
        expect_room(c, CLATTN__TILE_RESULTS, rows * p->agent_width * run.count * p->heads * p->dim);
        if (p->smoothing)
            expect_room(c, CLATTN__TILE_VALUES, halo_of_run(c, 0, &run) * 3);
    }
}

static void check_aggregate(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t width = (p->smoothing ? 5 : p->dim_v) + 2;

    for (int64_t i = 0; i < c->cut.aggregate_tiles; i++) {
        const clattn__tile_run run = clattn__tile_run_at(p, &c->cut, true, i);
        const int64_t values = p->smoothing ? halo_of_run(c, 1, &run) : run.tokens;
        const int64_t states = run.count > 2 ? run.count : 2;
        expect_room(c, CLATTN__TILE_TOKENS, run.tokens * p->heads * p->dim);
        expect_room(c, CLATTN__TILE_VALUES, values * p->heads * p->dim_v);
        if (p->key_bias || p->smoothing)
            expect_room(c, CLATTN__TILE_EXTRA, run.tokens * p->heads);
        if (c->cut.k_leaves > 1)
            expect_room(c, CLATTN__TILE_RESULTS, states * n * p->heads * width);
    }
}

static void check_broadcast(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;

    for (int64_t i = 0; i < c->cut.broadcast_tiles; i++) {
        const clattn_tile_rect r = clattn__tile_rect_at(p, &c->cut, i);
        const clattn_tile_rect halo = clattn__tile_halo(p, &r);
        expect_room(c, CLATTN__TILE_TOKENS, area(&r) * p->heads * p->dim);
        expect_room(c, CLATTN__TILE_RESULTS, area(&r) * p->heads * p->dim_v);
        if (p->needs_v || p->smoothing)
            expect_room(c, CLATTN__TILE_VALUES, area(&halo) * p->heads * p->dim_v);
    }
}

static int64_t most_slots(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;
    int64_t most = 1;

    for (int64_t i = 0; i < p->agent_height; i++)
        for (int64_t j = 0; j < p->agent_width; j++) {
            const int64_t y0 = i * p->height / p->agent_height;
            const int64_t y1 = ((i + 1) * p->height + p->agent_height - 1) / p->agent_height - 1;
            const int64_t x0 = j * p->width / p->agent_width;
            const int64_t x1 = ((j + 1) * p->width + p->agent_width - 1) / p->agent_width - 1;
            const int64_t first = (p->class_tokens + y0 * p->width + x0) / c->cut.q_leaf;
            const int64_t last = (p->class_tokens + y1 * p->width + x1) / c->cut.q_leaf;
            most = last - first + 1 > most ? last - first + 1 : most;
        }
    return most;
}

static void check_whole(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;
    const clattn__tile_cut *t = &c->cut;
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t q = p->class_tokens + p->height * p->width;
    const int64_t k = p->class_tokens + p->kv_height * p->kv_width;
    const int64_t slots = most_slots(c);
    const int64_t per_head[CLATTN__TILE_ROLES] = {
        q * p->dim,
        k * p->dim,
        k * p->dim_v,
        p->key_bias ? k : 0,
        q * p->dim_v,
        (p->pooled ? 0 : n * p->dim) + (p->agent_vector ? n : 0),
        n * p->dim_v + (p->pooled ? n * p->dim * (1 + (slots > 1 ? slots : 0)) : 0) +
            (t->k_leaves > 1 ? t->k_leaves * n * (p->dim_v + 2) : 0),
    };

    for (int i = 0; i < CLATTN__TILE_ROLES; i++)
        EXPECT(t->role_bytes[i] == (uint64_t)(per_head[i] * p->heads * t->group) * 4);
    EXPECT(t->group >= 1 && t->group * q <= INT32_MAX && t->group * k <= INT32_MAX);
    EXPECT(t->tiles * t->group >= p->problems && (t->tiles - 1) * t->group < p->problems);
    EXPECT(t->pool_tiles + t->aggregate_tiles + t->broadcast_tiles == 0);
    EXPECT(t->agent_bytes == 0 && t->nodes == 0);
    const int64_t wanted = 2 * (int64_t)t->in_flight * c->limits.devices;
    EXPECT(t->tiles >= (wanted < p->problems ? wanted : p->problems));
}

static void check_streamed(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;
    const clattn__tile_cut *t = &c->cut;
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t state = n * p->heads * ((p->smoothing ? 5 : p->dim_v) + 2);
    const int64_t sums = n * p->heads * p->dim;
    int64_t agents = sums + n * p->heads * p->dim_v + (sums > state ? sums : state);

    check_pool(c);
    check_aggregate(c);
    check_broadcast(c);
    agents += p->agent_vector ? n * p->heads : 0;
    agents += p->smoothing ? 6 * n : 0;
    EXPECT(t->agent_bytes == (uint64_t)agents * 4);
    EXPECT(t->node_bytes == (uint64_t)(sums > state ? sums : state) * 4);
    EXPECT(t->tiles ==
           p->problems * (t->pool_tiles + p->aggregates * t->aggregate_tiles + t->broadcast_tiles));
    const int64_t out = (int64_t)c->limits.devices * (t->in_flight - 1); /* one less */
    EXPECT(out < t->pool_tiles || out < t->aggregate_tiles || out < t->broadcast_tiles);
    EXPECT((t->role_bytes[CLATTN__TILE_KEYS] == 0) == !p->smoothing &&
           t->role_bytes[CLATTN__TILE_AGENTS] == 0 && t->role_bytes[CLATTN__TILE_SCRATCH] == 0);
}

void tile_check_bytes(const tile_case *c)
{
    const clattn__tile_cut *t = &c->cut;
    uint64_t tile = 0;

    if (t->whole)
        check_whole(c);
    else
        check_streamed(c);
    for (int i = 0; i < CLATTN__TILE_ROLES; i++) {
        EXPECT(t->role_bytes[i] <= c->limits.allocation_bytes);
        tile += t->role_bytes[i];
    }
    EXPECT(t->in_flight >= 1 && t->in_flight <= c->limits.in_flight);
    EXPECT(t->device_bytes ==
           c->problem.weight_bytes + t->agent_bytes + (uint64_t)t->in_flight * tile);
    EXPECT(t->host_bytes ==
           (uint64_t)t->nodes * t->node_bytes + (uint64_t)c->limits.sharing * t->device_bytes);
    EXPECT(t->device_bytes <= c->limits.device_bytes && t->host_bytes <= c->limits.host_bytes);
    EXPECT(c->smallest > 0);
}

/* A tree whose leaves are tiles. */
typedef struct tree {
    int64_t tiles, held, most;
    unsigned char *complete[LEVELS];
    int64_t size[LEVELS];
    int levels;
} tree;

static void tree_open(tree *t, int64_t tiles)
{
    *t = (tree){.tiles = tiles};
    for (int64_t size = tiles;; size = (size + 1) / 2) {
        t->complete[t->levels] = calloc((size_t)size, 1);
        assert_non_null(t->complete[t->levels]);
        t->size[t->levels++] = size;
        if (size == 1)
            break;
    }
}

/* A tile comes in and climbs: with a sibling that waits the two become one node, without any it passes through. */
static void tree_add(tree *t, int64_t node)
{
    t->held++;
    t->most = t->held > t->most ? t->held : t->most;
    for (int level = 0; level < t->levels; level++, node /= 2) {
        t->complete[level][node] = 1;
        const int64_t sibling = node ^ 1;
        if (level == t->levels - 1 || (sibling < t->size[level] && !t->complete[level][sibling]))
            break;
        t->held -= sibling < t->size[level];
    }
}

/* Tiles go out in order; which of those that are out comes back is random, or the newest while `stuck` of them never do. */
static void check_pass(const tile_case *c, int64_t tiles, int64_t places, int64_t stuck,
                       fill_random *random)
{
    int64_t *out = calloc((size_t)places, sizeof *out);
    int64_t count = 0;
    int64_t next = 0;
    tree t;

    assert_non_null(out);
    tree_open(&t, tiles);
    while (next < tiles || count > 0) {
        if (next < tiles && count < places && (count <= stuck || fill_once_in(random, 2))) {
            out[count++] = next;
            next += 1;
            continue;
        }
        int64_t back = fill_range(random, 0, count - 1);
        if (stuck > 0 && next < tiles && !fill_once_in(random, 50))
            back = count - 1;
        tree_add(&t, out[back]);
        out[back] = out[--count];
    }
    EXPECT(t.held == 1);
    EXPECT(t.most + 1 <= c->cut.nodes);
    for (int i = 0; i < t.levels; i++)
        free(t.complete[i]);
    free(out);
}

void tile_check_nodes(const tile_case *c, fill_random *random)
{
    const int64_t places = (int64_t)c->limits.devices * c->cut.in_flight;
    for (int64_t stuck = 0; stuck<places; stuck += places> 4 ? places / 4 : 1) {
        if (c->cut.pool_tiles > 0)
            check_pass(c, c->cut.pool_tiles, places, stuck, random);
        check_pass(c, c->cut.aggregate_tiles, places, stuck, random);
    }
}
