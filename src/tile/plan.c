/* The cut: which mode, and how large the tiles of each pass are. What a cut weighs is in bytes.c, where its tiles lie in rects.c. */
#include "tile/plan.h"

#include <math.h>

#include "base/base.h"
#include "ops/shape.h"
#include "tile/cut.h"

#define MAX_IN_FLIGHT 8
#define MAX_DEVICES   65536
#define MOST_TOKENS   (INT64_C(1) << 30) /* per tile: leaves room for halos below 2^31 */
#define WORTH_TOKENS  65536              /* a smaller tile is more launching than work */
#define FINER         8 /* rectangles are tried at sizes that differ by an eighth */

static int64_t pow2_ceil(int64_t value)
{
    int64_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static bool in_range(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/* Ranges within which the sums of the other files are safe, or are checked there. */
static clattn_status check(const clattn__tile_problem *p, const clattn__tile_limits *limits)
{
    int64_t tokens, work;
    const bool sides = in_range(p->height, 1, INT32_MAX) && in_range(p->width, 1, INT32_MAX) &&
                       in_range(p->kv_height, 1, INT32_MAX) &&
                       in_range(p->kv_width, 1, INT32_MAX) &&
                       in_range(p->agent_height, 1, INT32_MAX) &&
                       in_range(p->agent_width, 1, INT32_MAX / p->agent_height);
    const bool widths = in_range(p->dim, 1, INT32_MAX) && in_range(p->dim_v, 1, INT32_MAX) &&
                        in_range(p->heads, 1, INT32_MAX / clattn__tile_max(p->dim, p->dim_v));

    if (!in_range(limits->devices, 1, MAX_DEVICES) ||
        !in_range(limits->sharing, 0, limits->devices) ||
        !in_range(limits->in_flight, 1, MAX_IN_FLIGHT))
        return CLATTN_E_ARG;
    if (!sides || !widths || p->problems < 1 || p->class_tokens < 0 || p->aggregates < 1 ||
        !in_range(p->reach, 0, INT32_MAX) || p->weight_bytes > INT64_MAX)
        return CLATTN_E_SHAPE;
    /* What clattn__leaf_tokens() multiplies, at its smallest leaf before it looks. */
    for (int keys = 0; keys < 2; keys++) {
        const int64_t map = keys ? p->kv_height * p->kv_width : p->height * p->width;
        const int64_t blocks = clattn__ceil_div(p->agent_height * p->agent_width, 32);
        if (!clattn__add(map, p->class_tokens, &tokens) || tokens > INT64_MAX - 2 * MOST_TOKENS ||
            !clattn__mul(clattn__ceil_div(tokens, 1024), p->heads * blocks, &work))
            return CLATTN_E_SHAPE;
    }
    return CLATTN_OK;
}

/*
 * How many of `tokens` a tile is best given: at least twice as many tiles as may be out at once (several devices: four times, so that a
 * slow one does not hold up the others), but not so many that they are small; one for each that may be out in any case.
 */
static int64_t useful(const clattn__tile_limits *limits, int32_t in_flight, int64_t tokens)
{
    const int64_t out = (int64_t)limits->devices * in_flight;
    const int64_t share = clattn__ceil_div(tokens, (limits->devices > 1 ? 4 : 2) * out);
    const int64_t least = clattn__tile_min(WORTH_TOKENS, clattn__ceil_div(tokens, out));
    return clattn__tile_min(clattn__tile_max(share, least), MOST_TOKENS);
}

/* Leaves of a run of at most `tokens` tokens, but at least one. */
static int64_t run_within(int64_t tokens, int64_t leaf, int64_t leaves)
{
    int64_t run = 1;
    while (2 * run * leaf <= tokens && run < leaves)
        run *= 2;
    return run;
}

/* Rows and columns of rectangles, the rows at most `height` high and evenly so. */
static void set_rects(const clattn__tile_problem *p, clattn__tile_cut *cut, int64_t height,
                      int64_t columns)
{
    cut->rect_rows = clattn__ceil_div(p->height, clattn__tile_max(height, 1));
    cut->rect_columns = columns;
    cut->rect_height = clattn__ceil_div(p->height, cut->rect_rows);
    cut->rect_width = clattn__tile_column_width(p->width, columns);
}

static bool full_width(const clattn__tile_problem *p, const clattn__tile_limits *limits)
{
    return limits->strips || p->rows_only || clattn__tile_most_columns(p->width) == 1;
}

/* Tokens that the last pass reads of v, halos included: what a choice of rectangles costs. */
static double halo_cost(const clattn__tile_problem *p, const clattn__tile_cut *cut)
{
    const double height = (double)clattn__tile_min(cut->rect_height + 2 * p->reach, p->height);
    const double width = (double)clattn__tile_min(cut->rect_width + 2 * p->reach, p->width);
    return height * width * (double)cut->rect_rows * (double)cut->rect_columns;
}

/*
 * Rectangles of about `tokens` tokens, 1 giving the smallest that there are: one row of 16 columns or so, or one whole row. Without a
 * halo, or where they must, they span the map; else their halos together are the smallest among the shapes near to a square.
 */
static void rects_within(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                         int64_t tokens, clattn__tile_cut *cut)
{
    const int64_t units = clattn__tile_most_columns(p->width);

    tokens = clattn__tile_min(tokens, MOST_TOKENS);
    if (full_width(p, limits) || (p->reach == 0 && tokens >= p->width)) {
        set_rects(p, cut, tokens / p->width, 1);
        return;
    }
    if (p->reach == 0) {
        const int64_t wide = clattn__tile_max(tokens / CLATTN__TILE_COLUMN, 1);
        set_rects(p, cut, 1, clattn__ceil_div(units, wide));
        return;
    }
    const int64_t square = clattn__tile_max((int64_t)sqrt((double)tokens), tokens / p->height);
    clattn__tile_cut best = *cut;
    double lowest = INFINITY;
    for (int64_t step = -1; step <= 3; step++) {
        int64_t wide = step < 3 ? square / CLATTN__TILE_COLUMN + step : units;
        wide = clattn__tile_min(clattn__tile_max(wide, 1), units);
        const int64_t columns = clattn__ceil_div(units, wide);
        set_rects(p, cut, tokens / clattn__tile_column_width(p->width, columns), columns);
        const double cost = halo_cost(p, cut);
        if (cost < lowest && (wide == 1 || cut->rect_height * cut->rect_width <= tokens)) {
            lowest = cost;
            best = *cut;
        }
    }
    *cut = best;
}

/*
 * What the common number of tokens leaves of the budget: longer runs of k, which pass 2 comes by most often; rectangles of up to
 * `rect_tokens` tokens, whose halos shrink; longer runs of q.
 */
static void grow(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                 const clattn__tile_cut *most, int64_t rect_tokens, clattn__tile_cut *cut)
{
    const int64_t now = cut->rect_height * cut->rect_width;
    clattn__tile_cut larger = *cut;

    for (larger.k_run = most->k_run; larger.k_run > cut->k_run; larger.k_run /= 2)
        if (clattn__tile_fits(p, limits, &larger))
            *cut = larger;
    for (int64_t tokens = rect_tokens; tokens > now; tokens -= tokens / FINER + 1) {
        larger = *cut;
        rects_within(p, limits, tokens, &larger);
        if (larger.rect_height * larger.rect_width > now && clattn__tile_fits(p, limits, &larger)) {
            *cut = larger;
            break;
        }
    }
    larger = *cut;
    for (larger.q_run = most->q_run; larger.q_run > cut->q_run; larger.q_run /= 2)
        if (clattn__tile_fits(p, limits, &larger))
            *cut = larger;
}

/* Runs that leave at most 2^level tiles in either reduction. */
static void runs_of_level(const clattn__tile_cut *of, int level, clattn__tile_cut *cut)
{
    const int64_t tiles = INT64_C(1) << level;
    cut->q_run = pow2_ceil(clattn__ceil_div(of->q_leaves, tiles));
    cut->k_run = pow2_ceil(clattn__ceil_div(of->k_leaves, tiles));
}

/* Past this, all runs are one leaf. */
static int levels(const clattn__tile_cut *cut)
{
    const int64_t leaves = clattn__tile_max(cut->q_leaves, cut->k_leaves);
    int level = 0;
    while (INT64_C(1) << level < leaves)
        level++;
    return level;
}

/*
 * A streamed cut with cut->in_flight tiles out: all passes at about the same number of tokens, the largest that fits. Where even one
 * token does not, because the host has no room for the nodes of so many tiles: the shortest runs that do, with the smallest
 * rectangles, which that one token has left in the cut.
 */
static bool stream(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                   clattn__tile_cut *cut)
{
    const int64_t q = useful(limits, cut->in_flight, clattn__tile_tokens(p, false));
    const int64_t k = useful(limits, cut->in_flight, clattn__tile_tokens(p, true));
    const int64_t map = useful(limits, cut->in_flight, p->height * p->width);
    clattn__tile_cut most = *cut;

    most.q_run = run_within(q, cut->q_leaf, cut->q_leaves);
    most.k_run = run_within(k, cut->k_leaf, cut->k_leaves);
    for (int64_t tokens = pow2_ceil(clattn__tile_max(q, k)); tokens >= 1; tokens /= 2) {
        cut->q_run = run_within(clattn__tile_min(tokens, q), cut->q_leaf, cut->q_leaves);
        cut->k_run = run_within(clattn__tile_min(tokens, k), cut->k_leaf, cut->k_leaves);
        rects_within(p, limits, clattn__tile_min(tokens, map), cut);
        if (clattn__tile_fits(p, limits, cut)) {
            grow(p, limits, &most, map, cut);
            return true;
        }
    }
    for (int level = levels(cut); level >= 0; level--) {
        runs_of_level(cut, level, cut);
        if (clattn__tile_fits(p, limits, cut)) {
            grow(p, limits, cut, map, cut);
            return true;
        }
    }
    return false;
}

/* Class tokens go through the buffers that the other tiles need anyway, as many at a time as those hold, evenly. */
static void set_class_tile(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                           clattn__tile_cut *cut)
{
    const uint64_t size = sizeof(float);
    const uint64_t channels = (uint64_t)(p->heads * p->dim) * size;
    const uint64_t channels_v = (uint64_t)(p->heads * p->dim_v) * size;
    const uint64_t *bytes = cut->role_bytes;

    cut->class_tile = 1;
    if (p->class_tokens == 0)
        return;
    int64_t most = useful(limits, cut->in_flight, p->class_tokens);
    most = clattn__tile_min(most, (int64_t)(bytes[CLATTN__TILE_TOKENS] / channels));
    most = clattn__tile_min(most, (int64_t)(bytes[CLATTN__TILE_RESULTS] / channels_v));
    if (p->needs_v)
        most = clattn__tile_min(most, (int64_t)(bytes[CLATTN__TILE_VALUES] / channels_v));
    cut->class_tile = clattn__ceil_div(p->class_tokens, clattn__ceil_div(p->class_tokens, most));
}

/* Tiles out that no device will ever have are not paid for. */
static void trim_in_flight(const clattn__tile_limits *limits, clattn__tile_cut *cut)
{
    int64_t most = clattn__tile_max(cut->pool_tiles, cut->aggregate_tiles);
    most = cut->whole ? cut->tiles : clattn__tile_max(most, cut->broadcast_tiles);
    most = clattn__ceil_div(most, limits->devices);
    if (most < cut->in_flight)
        cut->in_flight = (int32_t)most;
}

static int64_t at_most(int64_t value, uint64_t most)
{
    return (uint64_t)value < most ? value : (int64_t)most;
}

/*
 * Tiles of whole problems with cut->in_flight of them out: as many problems each as fit, but enough tiles for all devices. All that a
 * tile weighs is proportional to its problems.
 */
static bool group(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                  clattn__tile_cut *cut)
{
    const int64_t out = (int64_t)limits->devices * cut->in_flight;
    int64_t most = clattn__tile_max(p->problems / (2 * out), 1);
    uint64_t tile = 0;

    cut->group = 1;
    if (!clattn__tile_fits(p, limits, cut))
        return false;
    for (int i = 0; i < CLATTN__TILE_ROLES; i++) {
        tile += cut->role_bytes[i];
        if (cut->role_bytes[i] > 0)
            most = at_most(most, limits->allocation_bytes / cut->role_bytes[i]);
    }
    tile *= (uint64_t)cut->in_flight;
    most = at_most(most, (limits->device_bytes - p->weight_bytes) / tile);
    if (limits->sharing > 0)
        most = at_most(most,
                       (limits->host_bytes / (uint64_t)limits->sharing - p->weight_bytes) / tile);
    most = clattn__tile_min(most, INT32_MAX / clattn__tile_tokens(p, false));
    most = clattn__tile_min(most, INT32_MAX / clattn__tile_tokens(p, true));
    most = clattn__tile_min(most, INT32_MAX / p->heads);
    cut->group = clattn__ceil_div(p->problems, clattn__ceil_div(p->problems, most));
    return clattn__tile_weigh(p, limits, cut);
}

static uint64_t needed(const clattn__tile_cut *cut)
{
    return cut->device_bytes > cut->host_bytes ? cut->device_bytes : cut->host_bytes;
}

/* The smallest number that does for both budgets, by the same choices that stream() and group() end with; 0: there is none. */
static uint64_t smallest_budget(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                                clattn__tile_cut cut)
{
    uint64_t least = 0;

    cut.in_flight = 1;
    rects_within(p, limits, 1, &cut);
    for (int level = levels(&cut); level >= 0; level--) {
        runs_of_level(&cut, level, &cut);
        if (clattn__tile_weigh(p, limits, &cut) && (least == 0 || needed(&cut) < least))
            least = needed(&cut);
    }
    cut.whole = true;
    cut.group = 1;
    cut.pool_tiles = cut.aggregate_tiles = cut.broadcast_tiles = 0;
    if (!p->smoothing && clattn__tile_weigh(p, limits, &cut) &&
        (least == 0 || needed(&cut) < least))
        least = needed(&cut);
    return least;
}

/* The leaves of both maps, as the operators that run untiled cut them, and nothing decided yet. */
static clattn__tile_cut undecided(const clattn__tile_problem *p)
{
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t q = clattn__tile_tokens(p, false);
    const int64_t k = clattn__tile_tokens(p, true);
    clattn__tile_cut cut = {.q_leaf = clattn__leaf_tokens(q, p->heads, n),
                            .k_leaf = clattn__leaf_tokens(k, p->heads, n),
                            .class_tile = 1};
    cut.q_leaves = clattn__ceil_div(q, cut.q_leaf);
    cut.k_leaves = clattn__ceil_div(k, cut.k_leaf);
    return cut;
}

static bool cut_whole(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                      const clattn__tile_cut *start, clattn__tile_cut *cut)
{
    const int64_t turns = clattn__ceil_div(p->problems, limits->devices);

    *cut = *start;
    cut->whole = true;
    cut->in_flight = (int32_t)clattn__tile_min(limits->in_flight, turns);
    for (; !p->smoothing && cut->in_flight > 0; cut->in_flight--)
        if (group(p, limits, cut))
            return true;
    return false;
}

static bool cut_streamed(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                         const clattn__tile_cut *start, clattn__tile_cut *cut)
{
    *cut = *start;
    for (cut->in_flight = limits->in_flight; cut->in_flight > 0; cut->in_flight--)
        if (stream(p, limits, cut))
            return true;
    return false;
}

/* Problems that would leave devices idle if each went whole to one of them, and are large enough to share. */
static bool worth_sharing(const clattn__tile_problem *p, const clattn__tile_limits *limits)
{
    return p->problems < limits->devices && clattn__tile_tokens(p, false) >= 2 * WORTH_TOKENS;
}

clattn_status clattn__tile_cut_make(const clattn__tile_problem *problem,
                                    const clattn__tile_limits *limits, clattn__tile_cut *cut,
                                    uint64_t *smallest)
{
    *smallest = 0;
    const clattn_status status = check(problem, limits);
    if (status != CLATTN_OK)
        return status;

    const clattn__tile_cut start = undecided(problem);
    clattn__tile_cut made;
    *smallest = smallest_budget(problem, limits, start);
    if (*smallest == 0)
        return CLATTN_E_SHAPE;

    const bool shared = worth_sharing(problem, limits);
    if (!(!shared && cut_whole(problem, limits, &start, &made)) &&
        !cut_streamed(problem, limits, &start, &made) &&
        !(shared && cut_whole(problem, limits, &start, &made)))
        return CLATTN_E_BUDGET;
    if (!made.whole)
        set_class_tile(problem, limits, &made);
    clattn__tile_weigh(problem, limits, &made);
    trim_in_flight(limits, &made);
    clattn__tile_weigh(problem, limits, &made);
    *cut = made;
    return CLATTN_OK;
}
