#include "tile_check.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            tile_check_fail(c, #condition, __LINE__);                                              \
    } while (0)

void tile_check_fail(const tile_case *c, const char *what, int line)
{
    const clattn__tile_problem *p = &c->problem;
    const clattn__tile_limits *l = &c->limits;
    const clattn__tile_cut *t = &c->cut;

    print_error("%" PRId64 " problems of %" PRId64 " x %" PRId64 " (v %" PRId64 " x %" PRId64
                ") + %" PRId64 ", heads %" PRId64 " x %" PRId64 ", %" PRId64 ", agents %" PRId64
                " x %" PRId64 ", reach %" PRId64 ", v %d, pooled %d, bias %d, vector %d, rows %d, "
                "smoothing %d\n",
                p->problems, p->height, p->width, p->kv_height, p->kv_width, p->class_tokens,
                p->heads, p->dim, p->dim_v, p->agent_height, p->agent_width, p->reach, p->needs_v,
                p->pooled, p->key_bias, p->agent_vector, p->rows_only, p->smoothing);
    print_error("limits %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", devices %d (%d), out %d, strips %d; "
                "smallest %" PRIu64 "\n",
                l->device_bytes, l->host_bytes, l->allocation_bytes, l->devices, l->sharing,
                l->in_flight, l->strips, c->smallest);
    print_error("whole %d of %" PRId64 ", leaves %" PRId64 " x %" PRId64 ", %" PRId64 " x %" PRId64
                ", runs %" PRId64 ", %" PRId64 ", rects %" PRId64 " x %" PRId64 " of %" PRId64
                " x %" PRId64 ", class %" PRId64 ", out %d, device %" PRIu64 ", host %" PRIu64 "\n",
                t->whole, t->group, t->q_leaves, t->q_leaf, t->k_leaves, t->k_leaf, t->q_run,
                t->k_run, t->rect_rows, t->rect_columns, t->rect_height, t->rect_width,
                t->class_tile, t->in_flight, t->device_bytes, t->host_bytes);
    fail_msg("tile_check.c or its caller, line %d: %s", line, what);
}

static int64_t tokens_of(const tile_case *c, int keys)
{
    const clattn__tile_problem *p = &c->problem;
    return p->class_tokens + (keys ? p->kv_height * p->kv_width : p->height * p->width);
}

/* The rectangles of a run hold its tokens one after the other. */
static void check_run_rects(const tile_case *c, int keys, const clattn__tile_run *run)
{
    const int64_t width = keys ? c->problem.kv_width : c->problem.width;
    const int64_t height = keys ? c->problem.kv_height : c->problem.height;
    clattn_tile_rect rects[4];
    int64_t at[4];
    const int count = clattn__tile_run_rects(&c->problem, keys, run, rects, at);
    int64_t token = run->token;

    EXPECT(count >= 1 && count <= 4);
    for (int i = 0; i < count; i++) {
        const clattn_tile_rect *r = &rects[i];
        EXPECT(r->picture == 0 && at[i] == token - run->token);
        if (r->class_count > 0) {
            EXPECT(i == 0 && r->class_first == token && r->height == 0 && r->width == 0);
            EXPECT(r->class_first + r->class_count <= c->problem.class_tokens);
            token += r->class_count;
            continue;
        }
        EXPECT(r->class_first == 0 && r->height >= 1 && r->width >= 1);
        EXPECT(r->y >= 0 && r->x >= 0 && r->height <= height - r->y && r->width <= width - r->x);
        EXPECT(r->height == 1 || r->width == width);
        EXPECT(token == c->problem.class_tokens + r->y * width + r->x);
        token += r->height * r->width;
    }
    EXPECT(token == run->token + run->tokens);
}

static void check_runs(const tile_case *c, int keys)
{
    const clattn__tile_cut *t = &c->cut;
    const int64_t tiles = keys ? t->aggregate_tiles : t->pool_tiles;
    const int64_t length = keys ? t->k_run : t->q_run;
    const int64_t leaf = keys ? t->k_leaf : t->q_leaf;
    int64_t next_leaf = 0;
    int64_t next_token = 0;

    EXPECT(length >= 1 && (length & (length - 1)) == 0);
    for (int64_t i = 0; i < tiles; i++) {
        const clattn__tile_run run = clattn__tile_run_at(&c->problem, t, keys, i);
        EXPECT(run.first == next_leaf && run.first % length == 0);
        EXPECT(run.count == length || (i == tiles - 1 && run.count >= 1 && run.count < length));
        EXPECT(run.token == next_token && run.token == run.first * leaf && run.tokens >= 1);
        EXPECT(run.tokens == run.count * leaf || i == tiles - 1);
        check_run_rects(c, keys, &run);
        next_leaf += run.count;
        next_token += run.tokens;
    }
    EXPECT(next_leaf == (keys ? t->k_leaves : t->q_leaves) && next_token == tokens_of(c, keys));
}

/* Class tokens in order; then each rectangle ends where the next one of its row begins, and rows likewise. */
static void check_rects(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;
    int64_t next = 0;
    int64_t y = 0;
    int64_t x = 0;
    int64_t row_height = 0;

    for (int64_t i = 0; i < c->cut.broadcast_tiles; i++) {
        const clattn_tile_rect r = clattn__tile_rect_at(p, &c->cut, i);
        if (next < p->class_tokens) {
            EXPECT(r.class_first == next && r.class_count >= 1 && r.height * r.width == 0);
            EXPECT(r.class_count <= c->cut.class_tile);
            next += r.class_count;
            continue;
        }
        row_height = x == 0 ? r.height : row_height;
        EXPECT(r.picture == 0 && r.class_first == 0 && r.class_count == 0);
        EXPECT(r.y == y && r.x == x && r.height == row_height && r.height >= 1);
        EXPECT(r.height <= c->cut.rect_height && r.height >= c->cut.rect_height - 1);
        EXPECT(r.width <= c->cut.rect_width && r.width >= c->cut.rect_width - 16);
        EXPECT(r.width >= 16 || r.width == p->width);
        EXPECT(r.x % 16 == 0);
        EXPECT(r.width == p->width || !(c->limits.strips || p->rows_only));
        x += r.width;
        if (x >= p->width) {
            EXPECT(x == p->width);
            x = 0;
            y += r.height;
        }
    }
    EXPECT(next == p->class_tokens && x == 0 && y == p->height);
}

static void count_once(const tile_case *c, const clattn_tile_rect *r, int64_t width,
                       unsigned char *seen)
{
    for (int64_t i = 0; i < r->class_count; i++)
        seen[r->class_first + i]++;
    for (int64_t y = r->y; y < r->y + r->height; y++)
        for (int64_t x = r->x; x < r->x + r->width; x++)
            seen[c->problem.class_tokens + y * width + x]++;
}

/* Pass 0: pool, 1: aggregate, 2: broadcast. */
static void check_each_token(const tile_case *c, int pass)
{
    const int keys = pass == 1;
    const int64_t width = keys ? c->problem.kv_width : c->problem.width;
    const int64_t tokens = tokens_of(c, keys);
    const int64_t tiles[3] = {c->cut.pool_tiles, c->cut.aggregate_tiles, c->cut.broadcast_tiles};
    unsigned char *seen = calloc((size_t)tokens, 1);

    assert_non_null(seen);
    for (int64_t i = 0; i < tiles[pass]; i++) {
        clattn_tile_rect rects[4];
        int64_t at[4];
        int count = 1;
        if (pass == 2) {
            rects[0] = clattn__tile_rect_at(&c->problem, &c->cut, i);
        } else {
            const clattn__tile_run run = clattn__tile_run_at(&c->problem, &c->cut, keys, i);
            count = clattn__tile_run_rects(&c->problem, keys, &run, rects, at);
        }
        for (int j = 0; j < count; j++)
            count_once(c, &rects[j], width, seen);
    }
    for (int64_t i = 0; i < tokens && tiles[pass] > 0; i++)
        EXPECT(seen[i] == 1);
    free(seen);
}

void tile_check_cover(const tile_case *c, int tokens)
{
    EXPECT((c->cut.pool_tiles > 0) == c->problem.pooled);
    if (c->problem.pooled)
        check_runs(c, 0);
    check_runs(c, 1);
    check_rects(c);
    for (int pass = 0; pass < 3 && tokens; pass++)
        check_each_token(c, pass);
}

/* The first of the two taps of a resize, as kernels/dwc.cl finds it. */
static int64_t kernel_tap(int64_t i, int64_t in, int64_t out)
{
    const int64_t at = (2 * i + 1) * in - out;
    const float whole = 2.0f * (float)out;
    const int64_t tap = (int64_t)((float)(at > 0 ? at : 0) / whole);
    return tap < in - 1 ? tap : in - 1;
}

/* One axis: [first, first + count) of `out`, and what of `in` is called its halo. */
static void check_axis(const tile_case *c, int64_t first, int64_t count, int64_t halo_first,
                       int64_t halo_count, int64_t in, int64_t out)
{
    const int resized =
        c->problem.height != c->problem.kv_height || c->problem.width != c->problem.kv_width;
    const int64_t reach = c->problem.smoothing ? 1 : c->problem.reach;
    int64_t lowest = INT64_MAX;
    int64_t highest = -1;

    /* Of a long axis, the ends alone. */
    for (int64_t i = first - reach; i < first + count + reach; i++) {
        if (i == first + 100 && count > 200)
            i = first + count - 100;
        if (i < 0 || i >= out)
            continue;
        const int64_t tap = resized ? kernel_tap(i, in, out) : i;
        const int64_t second = resized && tap < in - 1 ? tap + 1 : tap;
        lowest = tap < lowest ? tap : lowest;
        highest = second > highest ? second : highest;
    }
    const int64_t spare = resized ? 2 + 2 * (in >> 21) : 0;
    EXPECT(halo_first >= 0 && halo_first + halo_count <= in);
    EXPECT(halo_first <= lowest && lowest - halo_first <= spare);
    EXPECT(halo_first + halo_count > highest && halo_first + halo_count - 1 - highest <= spare);
}

static void check_cells(const tile_case *c, const clattn__tile_run *run)
{
    const clattn__tile_problem *p = &c->problem;
    const int64_t from = run->token - p->class_tokens;
    const int64_t to = from + run->tokens;
    int64_t first, count;
    int64_t lowest = -1;
    int64_t touched = 0;

    for (int64_t i = 0; i < p->agent_height; i++) {
        const int64_t y0 = i * p->height / p->agent_height;
        const int64_t y1 = ((i + 1) * p->height + p->agent_height - 1) / p->agent_height;
        if (y0 * p->width >= to || y1 * p->width <= from || to <= 0)
            continue;
        lowest = touched == 0 ? i : lowest;
        touched++;
        EXPECT(i == lowest + touched - 1);
    }
    clattn__tile_cell_rows(p, run, &first, &count);
    EXPECT(count == touched && (count == 0 || first == lowest));
}

void tile_check_halos(const tile_case *c)
{
    const clattn__tile_problem *p = &c->problem;

    for (int64_t i = 0; i < c->cut.broadcast_tiles; i++) {
        const clattn_tile_rect r = clattn__tile_rect_at(p, &c->cut, i);
        const clattn_tile_rect h = clattn__tile_halo(p, &r);
        EXPECT(h.class_first == r.class_first && h.class_count == r.class_count);
        if (r.class_count > 0) {
            EXPECT(h.height == 0 && h.width == 0);
            continue;
        }
        if (r.x == 0)
            check_axis(c, r.y, r.height, h.y, h.height, p->kv_height, p->height);
        if (r.y == 0 || r.x + r.width == p->width)
            check_axis(c, r.x, r.width, h.x, h.width, p->kv_width, p->width);
    }
    for (int64_t i = 0; i < c->cut.pool_tiles; i++) {
        const clattn__tile_run run = clattn__tile_run_at(p, &c->cut, false, i);
        check_cells(c, &run);
    }
}
