/* What a cut weighs: the buffers of a tile in flight, those of a problem on each device, and the host's part. */
#include "base/base.h"
#include "ops/shape.h"
#include "tile/cut.h"

/* Products and sums that remember whether all of them did fit. */
typedef struct count {
    bool fits;
} count;

static int64_t mul(count *c, int64_t a, int64_t b)
{
    int64_t result = 0;
    if (!clattn__mul(a, b, &result))
        c->fits = false;
    return result;
}

static int64_t add(count *c, int64_t a, int64_t b)
{
    int64_t result = 0;
    if (!clattn__add(a, b, &result))
        c->fits = false;
    return result;
}

/* Launches count tokens, cells and leaves in 32 bits. */
static int64_t launch(count *c, int64_t value)
{
    if (value > INT32_MAX)
        c->fits = false;
    return value;
}

/* Role `role` must hold `floats`, and what it held before. */
static void hold(count *c, clattn__tile_cut *cut, clattn__tile_role role, int64_t floats)
{
    const uint64_t bytes = (uint64_t)mul(c, floats, (int64_t)sizeof(float));
    if (cut->role_bytes[role] < bytes)
        cut->role_bytes[role] = bytes;
}

static int64_t state_width(const clattn__tile_problem *p)
{
    return (p->smoothing ? p->dim : p->dim_v) + 2; /* the features are values too */
}

static void pool_tile(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut)
{
    const int64_t tokens =
        clattn__tile_min(mul(c, cut->q_run, cut->q_leaf), clattn__tile_tokens(p, false));
    const int64_t channels = p->heads * p->dim;
    int64_t sums = mul(c, clattn__tile_most_cell_rows(p, tokens), p->agent_width);

    hold(c, cut, CLATTN__TILE_TOKENS, mul(c, launch(c, tokens), channels));
    sums = launch(c, mul(c, sums, cut->q_run));
    hold(c, cut, CLATTN__TILE_RESULTS, mul(c, sums, channels));
    if (p->smoothing)
        hold(c, cut, CLATTN__TILE_VALUES, mul(c, clattn__tile_most_run_halo(p, tokens), p->dim_v));
}

static void aggregate_tile(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut)
{
    const int64_t tokens =
        clattn__tile_min(mul(c, cut->k_run, cut->k_leaf), clattn__tile_tokens(p, true));
    const int64_t values = p->smoothing ? clattn__tile_most_run_halo(p, tokens) : tokens;

    hold(c, cut, CLATTN__TILE_TOKENS, mul(c, launch(c, tokens), p->heads * p->dim));
    hold(c, cut, CLATTN__TILE_VALUES, mul(c, values, p->heads * p->dim_v));
    if (p->key_bias || p->smoothing)
        hold(c, cut, CLATTN__TILE_EXTRA, mul(c, tokens, p->heads));
    if (p->smoothing)
        hold(c, cut, CLATTN__TILE_KEYS, mul(c, tokens, p->dim_v)); /* the colours alone */
    if (cut->k_leaves > 1) {
        const int64_t n = p->agent_height * p->agent_width;
        const int64_t states = mul(c, mul(c, p->heads, clattn__tile_max(2, cut->k_run)), n);
        hold(c, cut, CLATTN__TILE_RESULTS, mul(c, states, state_width(p)));
    }
}

/* Class tokens take no more than a rectangle: see clattn__tile_cut.class_tile. */
static void broadcast_tile(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut)
{
    const int64_t tokens = launch(c, mul(c, cut->rect_height, cut->rect_width));

    hold(c, cut, CLATTN__TILE_TOKENS, mul(c, tokens, p->heads * p->dim));
    hold(c, cut, CLATTN__TILE_RESULTS, mul(c, tokens, p->heads * p->dim_v));
    if (p->needs_v || p->smoothing) {
        int64_t height, width;
        clattn__tile_most_halo(p, cut->rect_height, cut->rect_width, &height, &width);
        const int64_t halo = launch(c, mul(c, height, width));
        hold(c, cut, CLATTN__TILE_VALUES, mul(c, halo, p->heads * p->dim_v));
    }
}

/* The workspace of clattn_agent_attention_plan() for one problem, in floats. */
static int64_t scratch(count *c, const clattn__tile_problem *p, const clattn__tile_cut *cut)
{
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t agents = mul(c, n, p->heads * p->dim);
    int64_t floats = mul(c, n, p->heads * p->dim_v);

    if (p->pooled) {
        const int64_t slots = clattn__pool_slots(p->height, p->width, p->class_tokens,
                                                 p->agent_height, p->agent_width, cut->q_leaf);
        launch(c, mul(c, n, slots));
        floats = add(c, floats, agents);
        if (slots > 1)
            floats = add(c, floats, mul(c, agents, slots));
    }
    if (cut->k_leaves > 1) {
        const int64_t states = mul(c, mul(c, cut->k_leaves, n), p->heads);
        floats = add(c, floats, mul(c, states, state_width(p)));
    }
    return floats;
}

static void whole_tile(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut)
{
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t q = launch(c, mul(c, cut->group, clattn__tile_tokens(p, false)));
    const int64_t k = launch(c, mul(c, cut->group, clattn__tile_tokens(p, true)));
    const int64_t given = (p->pooled ? 0 : p->dim) + (p->agent_vector ? 1 : 0);

    launch(c, mul(c, cut->group, p->heads));
    hold(c, cut, CLATTN__TILE_TOKENS, mul(c, q, p->heads * p->dim));
    hold(c, cut, CLATTN__TILE_KEYS, mul(c, k, p->heads * p->dim));
    hold(c, cut, CLATTN__TILE_VALUES, mul(c, k, p->heads * p->dim_v));
    if (p->key_bias)
        hold(c, cut, CLATTN__TILE_EXTRA, mul(c, k, p->heads));
    hold(c, cut, CLATTN__TILE_RESULTS, mul(c, q, p->heads * p->dim_v));
    hold(c, cut, CLATTN__TILE_AGENTS, mul(c, cut->group, mul(c, mul(c, n, p->heads), given)));
    if (c->fits)
        hold(c, cut, CLATTN__TILE_SCRATCH, mul(c, cut->group, scratch(c, p, cut)));
}

static int64_t log2_ceil(int64_t value)
{
    int64_t log = 0;
    while (INT64_C(1) << log < value)
        log++;
    return log;
}

/*
 * Nodes of the tree over the tiles of a pass, on the host. Tiles are handed out in order, one that failed before any new one, and at most
 * `flying` of them are out; all others below the first that was not handed out have come back. A node that waits is complete and its
 * parent is not: below the parent lies a tile that is out, or the first not handed out. So it is the sibling of a node on the way
 * from one of those (flying + 1) tiles to the root, and those ways have ceil(log2(tiles)) steps each. One more may be held per
 * way for the node that comes in and climbs it, and one for the root of the pass before.
 */
static int64_t most_nodes(count *c, int64_t flying, int64_t tiles)
{
    return add(c, mul(c, add(c, flying, 1), log2_ceil(tiles) + 1), 1);
}

static void problem_bytes(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut,
                          int64_t flying)
{
    const int64_t agents = mul(c, p->agent_height * p->agent_width, p->heads);
    const int64_t root = clattn__tile_max(p->dim, state_width(p));
    const int64_t widths[CLATTN__SHARED_COUNT] = {
        [CLATTN__SHARED_AGENTS] = p->dim,
        [CLATTN__SHARED_REFINED] = p->smoothing ? p->dim : 0,
        [CLATTN__SHARED_VA] = p->dim_v,
        [CLATTN__SHARED_VECTOR] = p->smoothing || p->agent_vector ? 1 : 0,
        [CLATTN__SHARED_ROOT] = root};
    int64_t all = 0;

    for (int i = 0; i < CLATTN__SHARED_COUNT; i++) {
        const int64_t bytes = mul(c, mul(c, agents, widths[i]), (int64_t)sizeof(float));
        cut->shared_bytes[i] = (uint64_t)bytes;
        all = add(c, all, bytes);
    }
    cut->agent_bytes = (uint64_t)all;
    cut->node_bytes = cut->shared_bytes[CLATTN__SHARED_ROOT];
    cut->nodes = most_nodes(c, flying, clattn__tile_max(cut->pool_tiles, cut->aggregate_tiles));
}

static void count_tiles(count *c, const clattn__tile_problem *p, clattn__tile_cut *cut)
{
    if (cut->whole) {
        cut->tiles = clattn__ceil_div(p->problems, cut->group);
        return;
    }
    cut->pool_tiles = p->pooled ? clattn__ceil_div(cut->q_leaves, cut->q_run) : 0;
    cut->aggregate_tiles = clattn__ceil_div(cut->k_leaves, cut->k_run);
    cut->broadcast_tiles = add(c, clattn__ceil_div(p->class_tokens, cut->class_tile),
                               mul(c, cut->rect_rows, cut->rect_columns));
    const int64_t reductions = add(c, cut->pool_tiles, mul(c, p->aggregates, cut->aggregate_tiles));
    cut->tiles = mul(c, p->problems, add(c, reductions, cut->broadcast_tiles));
}

bool clattn__tile_weigh(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                        clattn__tile_cut *cut)
{
    count c = {true};
    const int64_t flying = mul(&c, limits->devices, cut->in_flight);
    int64_t tile = 0;

    for (int i = 0; i < CLATTN__TILE_ROLES; i++)
        cut->role_bytes[i] = 0;
    for (int i = 0; i < CLATTN__SHARED_COUNT; i++)
        cut->shared_bytes[i] = 0;
    cut->agent_bytes = cut->node_bytes = 0;
    cut->nodes = 0;
    count_tiles(&c, p, cut);
    if (cut->whole) {
        whole_tile(&c, p, cut);
    } else {
        if (p->pooled)
            pool_tile(&c, p, cut);
        aggregate_tile(&c, p, cut);
        broadcast_tile(&c, p, cut);
        problem_bytes(&c, p, cut, flying);
    }
    for (int i = 0; i < CLATTN__TILE_ROLES; i++)
        tile = add(&c, tile, (int64_t)cut->role_bytes[i]);
    const int64_t own = add(&c, (int64_t)p->weight_bytes, (int64_t)cut->agent_bytes);
    const int64_t device = add(&c, own, mul(&c, cut->in_flight, tile));
    const int64_t nodes = mul(&c, cut->nodes, (int64_t)cut->node_bytes);
    cut->device_bytes = (uint64_t)device;
    cut->host_bytes = (uint64_t)add(&c, nodes, mul(&c, limits->sharing, device));
    return c.fits;
}

bool clattn__tile_fits(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                       clattn__tile_cut *cut)
{
    if (!clattn__tile_weigh(p, limits, cut) || cut->device_bytes > limits->device_bytes ||
        cut->host_bytes > limits->host_bytes || cut->agent_bytes > limits->allocation_bytes)
        return false;
    for (int i = 0; i < CLATTN__TILE_ROLES; i++)
        if (cut->role_bytes[i] > limits->allocation_bytes)
            return false;
    return true;
}
