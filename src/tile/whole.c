/* Problems that fit a tile whole: each tile is a group of them, and runs the untiled operator. */
#include "tile/cut.h"
#include "tile/tiling.h"

static int64_t group_first(const clattn__tile_work *w, int64_t tile)
{
    return tile * w->cut.group;
}

static int64_t group_count(const clattn__tile_work *w, int64_t tile)
{
    const int64_t left = w->tiling->problem.problems - group_first(w, tile);
    return left < w->cut.group ? left : w->cut.group;
}

/* A problem of a group as its memory has it: the class tokens, if there are any, then the map, `at` tokens from its begin. */
typedef struct part {
    clattn_tile_rect rect;
    int64_t at;
} part;

static int parts_of(const clattn__tile_problem *p, bool keys, int64_t number, part parts[2])
{
    const part map = {{.picture = number,
                       .height = keys ? p->kv_height : p->height,
                       .width = keys ? p->kv_width : p->width},
                      p->class_tokens};
    int count = 0;

    if (p->class_tokens > 0)
        parts[count++] = (part){{.picture = number, .class_count = p->class_tokens}, 0};
    parts[count++] = map;
    return count;
}

static clattn_status fill_group(clattn__tile_work *w, clattn__tile_lane *lane,
                                clattn_tile_input input, clattn__tile_role role, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const bool keys = input != CLATTN_TILE_Q;
    const int64_t channels = w->ports.channels[input];
    const int64_t floats = clattn__tile_tokens(p, keys) * channels;
    const int64_t count = group_count(w, tile);
    float *memory = NULL;
    part parts[2];

    CLATTN_TRY(clattn__lane_fill(lane, role, (uint64_t)(count * floats) * sizeof(float), &memory));
    for (int64_t i = 0; i < count; i++) {
        const int found = parts_of(p, keys, group_first(w, tile) + i, parts);
        for (int k = 0; k < found; k++)
            CLATTN_TRY(clattn__ports_fill(&w->ports, input, &parts[k].rect,
                                          memory + i * floats + parts[k].at * channels,
                                          parts[k].rect.width * channels));
    }
out:
    return status;
}

static clattn_status fill(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;

    CLATTN_TRY(fill_group(w, lane, CLATTN_TILE_Q, CLATTN__TILE_TOKENS, tile));
    CLATTN_TRY(fill_group(w, lane, CLATTN_TILE_K, CLATTN__TILE_KEYS, tile));
    CLATTN_TRY(fill_group(w, lane, CLATTN_TILE_V, CLATTN__TILE_VALUES, tile));
    if (p->key_bias)
        CLATTN_TRY(fill_group(w, lane, CLATTN_TILE_KEY_BIAS, CLATTN__TILE_EXTRA, tile));
out:
    return status;
}

clattn_status clattn__whole_plan(const clattn__tile_work *w, clattn__tile_lane *lane)
{
    const clattn__tile_problem *p = &w->tiling->problem;
    clattn_agent_attention_desc desc = w->tiling->desc;

    desc.batch = w->cut.group;
    desc.height = p->height;
    desc.width = p->width;
    desc.kv_height = p->kv_height;
    desc.kv_width = p->kv_width;
    desc.window_height = desc.window_width = desc.shift_y = desc.shift_x = 0;
    return clattn_agent_attention_plan(lane->ctx, &desc, &lane->plan);
}

/* Given agents and the agent vector of the group go to AGENTS, one behind the other. */
static clattn_status write_agents(const clattn__tile_work *w, clattn__tile_lane *lane, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t first = group_first(w, tile);
    const int64_t count = group_count(w, tile);
    const int64_t agents = p->pooled ? 0 : n * p->heads * p->dim;
    const int64_t vector = p->agent_vector ? n * p->heads : 0;
    const clattn_memory *memory = &lane->role[CLATTN__TILE_AGENTS];
    const clattn__backend *backend = lane->ctx->backend;

    if (agents > 0)
        CLATTN_TRY(backend->write(lane->ctx, memory, 0, w->io->agents + first * agents,
                                  (uint64_t)(count * agents) * sizeof(float)));
    if (vector > 0)
        CLATTN_TRY(backend->write(lane->ctx, memory, (uint64_t)(count * agents) * sizeof(float),
                                  w->io->agent_vector + first * vector,
                                  (uint64_t)(count * vector) * sizeof(float)));
out:
    return status;
}

/* A tensor of `count` problems from number `first` of the group on, in memory that holds all of them from `offset` on. */
static clattn_tensor part_of(clattn_memory memory, int64_t offset, int64_t first, int64_t count,
                             int64_t tokens, int64_t heads, int64_t dim)
{
    clattn_tensor tensor = clattn_tensor_tokens(memory, count, tokens, heads, dim);
    tensor.offset = offset + first * tokens * heads * dim;
    return tensor;
}

/* A group in hand. */
typedef struct group_work {
    clattn__tile_work *work;
    clattn__tile_lane *lane;
    int64_t tile;
} group_work;

/* Some problems of a group; one that is too much for a launch is cut. */
static clattn_status run_problems(void *user, int64_t first, int64_t count)
{
    const group_work *g = user;
    const clattn_tiling *t = g->work->tiling;
    clattn__tile_lane *lane = g->lane;
    const clattn__tile_problem *p = &t->problem;
    const clattn__tile_device *device = lane->device;
    const int64_t n = p->agent_height * p->agent_width;
    const int64_t q_tokens = clattn__tile_tokens(p, false);
    const int64_t k_tokens = clattn__tile_tokens(p, true);
    const int64_t channels = p->heads * p->dim_v;
    const clattn_memory *role = lane->role;
    const clattn_memory given = role[CLATTN__TILE_AGENTS];
    /* The agent vector lies behind the given agents of the group. */
    const int64_t vector_at = p->pooled ? 0 : group_count(g->work, g->tile) * n * p->heads * p->dim;
    const clattn_tensor q =
        part_of(role[CLATTN__TILE_TOKENS], 0, first, count, q_tokens, p->heads, p->dim);
    const clattn_tensor k =
        part_of(role[CLATTN__TILE_KEYS], 0, first, count, k_tokens, p->heads, p->dim);
    const clattn_tensor v =
        part_of(role[CLATTN__TILE_VALUES], 0, first, count, k_tokens, p->heads, p->dim_v);
    const clattn_tensor key_bias =
        part_of(role[CLATTN__TILE_EXTRA], 0, first, count, k_tokens, p->heads, 1);
    const clattn_tensor out =
        part_of(role[CLATTN__TILE_RESULTS], 0, first, count, q_tokens, p->heads, p->dim_v);
    const clattn_tensor agents = part_of(given, 0, first, count, n, p->heads, p->dim);
    const clattn_tensor vector = part_of(given, vector_at, first, count, n, p->heads, 1);
    const clattn_array weight = {device->dwc_weight, 0,
                                 channels * t->desc.dwc_size * t->desc.dwc_size};
    const clattn_array bias = {device->dwc_bias, 0, channels};
    const double flops = clattn__agent_attention_flops(lane->plan);
    const bool cut = count == 1 && !clattn__lane_fits(lane, CLATTN__PACE_PROBLEMS, flops);

    return clattn__agent_attention_part(
        lane->plan, lane->ws, count,
        &(clattn_agent_attention_args){.q = &q,
                                       .k = &k,
                                       .v = &v,
                                       .agents = p->pooled ? NULL : &agents,
                                       .key_bias = p->key_bias ? &key_bias : NULL,
                                       .agent_vector = p->agent_vector ? &vector : NULL,
                                       .bias = device->bias,
                                       .dwc_weight = t->desc.dwc_size > 0 ? &weight : NULL,
                                       .dwc_bias = t->desc.has_dwc_bias ? &bias : NULL,
                                       .out = &out},
        cut ? &lane->pace.pacer : NULL);
}

static clattn_status run(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    clattn__tile_lane *lane = &w->lanes[number];
    group_work g = {w, lane, tile};
    const clattn__paced_work problems = {.kind = CLATTN__PACE_PROBLEMS,
                                         .blocks = group_count(w, tile),
                                         .flops = clattn__agent_attention_flops(lane->plan),
                                         .piece = run_problems,
                                         .user = &g};

    const int64_t out = group_count(w, tile) * clattn__tile_tokens(&w->tiling->problem, false) *
                        w->ports.out_channels;

    CLATTN_TRY(clattn__lane_begin(lane));
    CLATTN_TRY(write_agents(w, lane, tile));
    CLATTN_TRY(clattn__pace(&lane->pace.pacer, &problems));
    CLATTN_TRY(clattn__lane_end(lane, (uint64_t)out * sizeof(float)));
out:
    return status;
}

static clattn_status finish(void *user, int number, int64_t tile)
{
    clattn_status status = CLATTN_OK;
    clattn__tile_work *w = user;
    const clattn__tile_lane *lane = &w->lanes[number];
    const clattn__tile_problem *p = &w->tiling->problem;
    const int64_t channels = w->ports.out_channels;
    const int64_t floats = clattn__tile_tokens(p, false) * channels;
    const int64_t count = group_count(w, tile);
    const float *out = clattn__lane_results(lane);
    part parts[2];

    for (int64_t i = 0; i < count; i++) {
        const int found = parts_of(p, false, group_first(w, tile) + i, parts);
        for (int k = 0; k < found; k++)
            CLATTN_TRY(clattn__ports_take(&w->ports, &parts[k].rect,
                                          out + i * floats + parts[k].at * channels,
                                          parts[k].rect.width * channels));
    }
out:
    return status;
}

clattn_status clattn__whole_run(clattn__tile_work *w)
{
    const clattn__engine_pass pass = {.tiles = w->cut.tiles,
                                      .ordered = w->tiling->options.strips != 0,
                                      .concurrent = w->tiling->options.concurrent != 0,
                                      .user = w,
                                      .fill = fill,
                                      .work = run,
                                      .finish = finish};
    return clattn__engine_run(w->engine, &pass);
}
