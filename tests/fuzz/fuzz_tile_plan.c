/*
 * Fuzz target of the tile planner (src/tile/plan.h): any problem and limits, sensible or not, must be refused with the right status,
 * or cut into tiles that keep every limit and hold every token once. Built with -fsanitize=fuzzer it fuzzes; with replay.c it runs
 * tests/fuzz/corpus_tile_plan.
 */
#include <stdlib.h>
#include <string.h>

#include "tile/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

static uint8_t next_byte(input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

/* A byte that says how many more make up the number: 1, 2, 4 or 8, so that small numbers are as likely as huge ones. */
static int64_t next_number(input *in)
{
    const int bytes = 1 << (next_byte(in) & 3);
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | next_byte(in);
    return (int64_t)number;
}

static clattn__tile_problem next_problem(input *in)
{
    const uint8_t flags = next_byte(in);
    clattn__tile_problem p = {.problems = next_number(in),
                              .height = next_number(in),
                              .width = next_number(in),
                              .class_tokens = next_number(in),
                              .heads = next_number(in),
                              .dim = next_number(in),
                              .dim_v = next_number(in),
                              .agent_height = next_number(in),
                              .agent_width = next_number(in),
                              .reach = next_number(in),
                              .needs_v = flags & 1,
                              .pooled = flags & 2,
                              .key_bias = flags & 4,
                              .agent_vector = flags & 8,
                              .rows_only = flags & 16,
                              .smoothing = flags & 32,
                              .aggregates = 1};
    const bool resized = flags & 64;
    p.kv_height = resized ? next_number(in) : p.height;
    p.kv_width = resized ? next_number(in) : p.width;
    p.weight_bytes = (uint64_t)next_number(in);
    p.needs_v = p.needs_v || p.reach > 0;
    if (p.smoothing) { /* what the filter's tiling always says */
        p.problems = p.heads = 1;
        p.kv_height = p.height;
        p.kv_width = p.width;
        p.class_tokens = p.reach = 0;
        p.dim = 5;
        p.dim_v = 3;
        p.pooled = true;
        p.key_bias = p.agent_vector = false;
        p.aggregates = next_number(in);
    }
    return p;
}

static clattn__tile_limits next_limits(input *in)
{
    return (clattn__tile_limits){.strips = next_byte(in) & 1,
                                 .device_bytes = (uint64_t)next_number(in),
                                 .host_bytes = (uint64_t)next_number(in),
                                 .allocation_bytes = (uint64_t)next_number(in),
                                 .devices = (int32_t)next_number(in),
                                 .sharing = (int32_t)next_number(in),
                                 .in_flight = (int32_t)next_number(in)};
}

/* The rectangles of a run lie on its map, and hold its tokens one after the other. */
static void check_rects(const clattn__tile_problem *p, bool keys, const clattn__tile_run *run)
{
    const int64_t height = keys ? p->kv_height : p->height;
    const int64_t width = keys ? p->kv_width : p->width;
    clattn_tile_rect rects[4];
    int64_t at[4], token = run->token;
    const int count = clattn__tile_run_rects(p, keys, run, rects, at);

    MUST(count >= 1 && count <= 4);
    for (int i = 0; i < count; i++) {
        const clattn_tile_rect *const r = &rects[i];
        MUST(at[i] == token - run->token);
        if (r->class_count > 0) {
            MUST(r->class_first == token && r->class_count <= p->class_tokens - token);
            token += r->class_count;
            continue;
        }
        MUST(r->y >= 0 && r->x >= 0 && r->height >= 1 && r->width >= 1);
        MUST(r->height <= height - r->y && r->width <= width - r->x);
        MUST(token == p->class_tokens + r->y * width + r->x);
        token += r->height * r->width;
    }
    MUST(token == run->token + run->tokens);
}

/* The first tiles of a pass, and the last: each begins where the one before ends. */
static void check_runs(const clattn__tile_problem *p, const clattn__tile_cut *cut, bool keys,
                       int64_t tiles)
{
    const int64_t tokens =
        p->class_tokens + (keys ? p->kv_height * p->kv_width : p->height * p->width);
    int64_t token = 0;

    for (int64_t tile = 0; tile < tiles && tile < 4; tile++) {
        const clattn__tile_run run = clattn__tile_run_at(p, cut, keys, tile);
        MUST(run.token == token && run.tokens >= 1 && run.count >= 1);
        check_rects(p, keys, &run);
        token += run.tokens;
    }
    const clattn__tile_run last = clattn__tile_run_at(p, cut, keys, tiles - 1);
    MUST(last.token + last.tokens == tokens);
    check_rects(p, keys, &last);
}

/* The last rectangle of pass 3 and some before it, with their halos. */
static void check_broadcast(const clattn__tile_problem *p, const clattn__tile_cut *cut)
{
    for (int64_t tile = cut->broadcast_tiles - 1; tile >= 0 && tile > cut->broadcast_tiles - 5;
         tile--) {
        const clattn_tile_rect r = clattn__tile_rect_at(p, cut, tile);
        if (r.class_count > 0) {
            MUST(r.class_first >= 0 && r.class_count <= p->class_tokens - r.class_first);
            MUST(r.class_count <= cut->class_tile);
            continue;
        }
        MUST(r.y >= 0 && r.x >= 0 && r.height >= 1 && r.width >= 1);
        MUST(r.height <= p->height - r.y && r.width <= p->width - r.x);
        MUST(r.height <= cut->rect_height && r.width <= cut->rect_width);
        if (!p->needs_v)
            continue;
        const clattn_tile_rect halo = clattn__tile_halo(p, &r);
        MUST(halo.y >= 0 && halo.x >= 0 && halo.height >= 1 && halo.width >= 1);
        MUST(halo.height <= p->kv_height - halo.y && halo.width <= p->kv_width - halo.x);
    }
}

static void check_cut(const clattn__tile_problem *p, const clattn__tile_limits *limits,
                      const clattn__tile_cut *cut)
{
    MUST(cut->device_bytes <= limits->device_bytes && cut->host_bytes <= limits->host_bytes);
    MUST(cut->in_flight >= 1 && cut->in_flight <= limits->in_flight && cut->tiles >= 1);
    for (int role = 0; role < CLATTN__TILE_ROLES; role++)
        MUST(cut->role_bytes[role] <= limits->allocation_bytes);
    if (cut->whole) {
        MUST(cut->group >= 1 && cut->group <= p->problems);
        return;
    }
    MUST((cut->pool_tiles > 0) == p->pooled && cut->aggregate_tiles >= 1 &&
         cut->broadcast_tiles >= 1);
    if (p->pooled)
        check_runs(p, cut, false, cut->pool_tiles);
    check_runs(p, cut, true, cut->aggregate_tiles);
    check_broadcast(p, cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const clattn__tile_problem problem = next_problem(&in);
    clattn__tile_limits limits = next_limits(&in);
    clattn__tile_cut cut, again;
    uint64_t smallest = 1, same = 1;
    const clattn_status status = clattn__tile_cut_make(&problem, &limits, &cut, &smallest);

    if (status == CLATTN_E_ARG || status == CLATTN_E_SHAPE) {
        MUST(smallest == 0);
        return 0;
    }
    MUST((status == CLATTN_OK || status == CLATTN_E_BUDGET) && smallest > 0);
    if (status == CLATTN_OK)
        check_cut(&problem, &limits, &cut);
    /* With just the smallest budget and buffers of any size there is a cut. */
    limits.device_bytes = limits.host_bytes = smallest;
    limits.allocation_bytes = UINT64_MAX / 2;
    MUST(clattn__tile_cut_make(&problem, &limits, &again, &same) == CLATTN_OK && same == smallest);
    check_cut(&problem, &limits, &again);
    return 0;
}
