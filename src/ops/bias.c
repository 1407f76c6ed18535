/*
 * The agent bias in its small form (spec dense.md section 2): resizing over the agent grid and over the token grid commute, and
 * a row or column term stays one, so 56 + rows + columns numbers per (head, agent) are enough. Narrow maps get the plain table.
 * Everything is computed in double and rounded once; tables are times log2(e), since kernels work in base 2.
 */
#include "ops/bias.h"

#include <inttypes.h>
#include <math.h>

#define BIAS_MAGIC  UINT64_C(0x636c6174746e4269)
#define MAP         7  /* side of the trained maps */
#define MAP_PITCH   8  /* floats per row of a map in the small form */
#define EDGE        16 /* floats around each row of columns, so that a vector may cross its ends */
#define PLAIN_WIDTH 32 /* maps narrower than this get the plain table ... */
#define PLAIN_BYTES (1024 * 1024) /* ... where it is at most this large */

static const double log2e = 1.4426950408889634;

typedef struct stage {
    Bias args;
    clattn_memory memory;
    int64_t tokens; /* map tokens it is made for */
} stage;

struct clattn_agent_bias {
    uint64_t magic;
    clattn_context *ctx;
    int64_t heads, agents, class_tokens;
    stage stages[2];
};

/* Two taps of a bilinear resize of `in` to `out` samples at i (spec section 1). */
typedef struct taps {
    int64_t i0, i1;
    double t;
} taps;

static taps resize_taps(int64_t in, int64_t out, int64_t i)
{
    const double p = fmax(((double)i + 0.5) * (double)in / (double)out - 0.5, 0.0);
    const int64_t i0 = (int64_t)p < in - 1 ? (int64_t)p : in - 1;
    return (taps){i0, i0 + 1 < in ? i0 + 1 : in - 1, p - (double)i0};
}

/* How the trained terms are read: element (head, trained agent, i) of a term of `length` values per agent. */
typedef struct term {
    const float *data; /* NULL: 0 */
    int64_t length;
    bool agents_last; /* (heads, length, T0) instead of (heads, T0, length) */
} term;

typedef struct maker {
    const clattn_agent_bias_desc *w;
    const clattn_agent_bias_stage *s;
    int64_t heads, agents, agent_h, agent_w, class_tokens;
    int64_t grid_h, grid_w;
    bool second;
} maker;

static double term_at(const maker *m, const term *t, int64_t head, int64_t trained, int64_t i)
{
    const int64_t t0 = m->w->trained_agents_height * m->w->trained_agents_width;
    return t->agents_last ? t->data[(head * t->length + i) * t0 + trained]
                          : t->data[(head * t0 + trained) * t->length + i];
}

/* The term of `agent` of the wanted grid: bilinear over the trained agent grid. */
static double agent_term(const maker *m, const term *t, int64_t head, int64_t agent, int64_t i)
{
    if (t->data == NULL)
        return 0.0;
    const int64_t columns = m->w->trained_agents_width;
    const taps y = resize_taps(m->w->trained_agents_height, m->agent_h, agent / m->agent_w);
    const taps x = resize_taps(columns, m->agent_w, agent % m->agent_w);
    const double top = (1.0 - x.t) * term_at(m, t, head, y.i0 * columns + x.i0, i) +
                       x.t * term_at(m, t, head, y.i0 * columns + x.i1, i);
    const double low = (1.0 - x.t) * term_at(m, t, head, y.i1 * columns + x.i0, i) +
                       x.t * term_at(m, t, head, y.i1 * columns + x.i1, i);
    return (1.0 - y.t) * top + y.t * low;
}

/* The same, resized along its own axis to `out` values. */
static double resized_term(const maker *m, const term *t, int64_t head, int64_t agent, int64_t out,
                           int64_t i)
{
    if (t->data == NULL)
        return 0.0;
    const taps p = resize_taps(t->length, out, i);
    return (1.0 - p.t) * agent_term(m, t, head, agent, p.i0) +
           p.t * agent_term(m, t, head, agent, p.i1);
}

static term map_term(const maker *m)
{
    return (term){m->s->map, MAP * MAP, false};
}

static term row_term(const maker *m)
{
    return (term){m->s->row, m->s->trained_height, m->second};
}

static term column_term(const maker *m)
{
    return (term){m->s->column, m->s->trained_width, m->second};
}

static term class_term(const maker *m)
{
    return (term){m->s->class_token, 1, false};
}

/* The 7 x 7 map, row and column terms of one (head, agent); `values` has room for 49 + grid_h + grid_w + 1. */
static void agent_values(const maker *m, int64_t head, int64_t agent, double *values)
{
    const term map = map_term(m);
    const term row = row_term(m);
    const term column = column_term(m);
    const term cls = class_term(m);
    double *out = values;

    for (int64_t i = 0; i < MAP * MAP; i++)
        *out++ = log2e * agent_term(m, &map, head, agent, i);
    for (int64_t y = 0; y < m->grid_h; y++)
        *out++ = log2e * resized_term(m, &row, head, agent, m->grid_h, y);
    for (int64_t x = 0; x < m->grid_w; x++)
        *out++ = log2e * resized_term(m, &column, head, agent, m->grid_w, x);
    *out = log2e * agent_term(m, &cls, head, agent, 0);
}

static void fill_plain(const maker *m, const Bias *b, const double *values, int64_t ha,
                       float *table)
{
    const double *row = values + MAP * MAP;
    const double *column = row + m->grid_h;
    float *out = table + b->table + ha * b->pitch;

    for (int64_t c = 0; c < m->class_tokens; c++)
        *out++ = (float)column[m->grid_w];
    for (int64_t y = 0; y < m->grid_h; y++) {
        const taps ty = resize_taps(MAP, m->grid_h, y);
        for (int64_t x = 0; x < m->grid_w; x++) {
            const taps tx = resize_taps(MAP, m->grid_w, x);
            const double *top = values + ty.i0 * MAP;
            const double *low = values + ty.i1 * MAP;
            const double a = (1.0 - tx.t) * top[tx.i0] + tx.t * top[tx.i1];
            const double c = (1.0 - tx.t) * low[tx.i0] + tx.t * low[tx.i1];
            *out++ = (float)((1.0 - ty.t) * a + ty.t * c + row[y] + column[x]);
        }
    }
}

static void fill_small(const maker *m, const Bias *b, const double *values, int64_t ha,
                       float *table)
{
    const double *row = values + MAP * MAP;
    const double *column = row + m->grid_h;

    for (int64_t i = 0; i < MAP * MAP; i++)
        table[b->map + ha * MAP * MAP_PITCH + i / MAP * MAP_PITCH + i % MAP] = (float)values[i];
    for (int64_t y = 0; y < m->grid_h; y++)
        table[b->row + ha * m->grid_h + y] = (float)row[y];
    for (int64_t x = 0; x < m->grid_w; x++)
        table[b->col + ha * b->pitch + x] = (float)column[x];
    table[b->cls + ha] = (float)column[m->grid_w];
}

/* The resize weights of one axis, seven rows, and in an eighth the first of each sample's two taps. */
static void fill_hat(int64_t length, int64_t pitch, float *hat)
{
    for (int64_t i = 0; i < length; i++) {
        const taps p = resize_taps(MAP, length, i);
        hat[p.i0 * pitch + i] += (float)(1.0 - p.t);
        hat[p.i1 * pitch + i] += (float)p.t;
        hat[MAP * pitch + i] = (float)(p.i0 < MAP - 2 ? p.i0 : MAP - 2);
    }
}

/* Lays out the stage's buffer; returns its floats, or -1 where they cannot be counted in 64 bits. */
static int64_t lay_out(const maker *m, Bias *b)
{
    const int64_t rows = m->heads * m->agents;
    const int64_t tokens = m->class_tokens + m->grid_h * m->grid_w;
    const int64_t plain_pitch = (tokens + 15) / 16 * 16 + 16;
    int64_t size;

    *b = (Bias){.mode = 1,
                .grid_h = (i32)m->grid_h,
                .grid_w = (i32)m->grid_w,
                .class_tokens = (i32)m->class_tokens,
                .agents = (i32)m->agents,
                .pitch = (i32)plain_pitch};
    if (m->grid_w < PLAIN_WIDTH && clattn__mul(rows, plain_pitch, &size) &&
        size <= PLAIN_BYTES / (int64_t)sizeof(float))
        return size;

    b->mode = 2;
    const int64_t pitch = m->grid_w + 2 * EDGE;
    if (pitch > INT32_MAX || !clattn__mul(rows, MAP * MAP_PITCH + 1 + m->grid_h + pitch, &size) ||
        !clattn__add(size, (MAP + 1) * (pitch + m->grid_h), &size))
        return -1;
    b->pitch = (i32)pitch;
    b->map = 0;
    b->cls = b->map + rows * MAP * MAP_PITCH;
    b->row = b->cls + rows;
    b->hat_y = b->row + rows * m->grid_h;
    b->col = b->hat_y + (MAP + 1) * m->grid_h + EDGE;
    b->hat_x = b->col + rows * pitch;
    return size;
}

static clattn_status make_stage(clattn_context *ctx, const maker *m, stage *out_stage)
{
    clattn_status status = CLATTN_OK;
    float *table = NULL;
    double *values = NULL;
    const int64_t floats = lay_out(m, &out_stage->args);
    const Bias *b = &out_stage->args;
    uint64_t bytes = 0;

    CLATTN_CHECK(&ctx->log, floats > 0 && (uint64_t)floats < SIZE_MAX / sizeof(float),
                 CLATTN_E_SHAPE,
                 "the bias tables of %" PRId64 " heads x %" PRId64 " agents over %" PRId64
                 " x %" PRId64 " tokens are too large",
                 m->heads, m->agents, m->grid_h, m->grid_w);
    bytes = (uint64_t)floats * sizeof(float);
    table = clattn__alloc_array((size_t)floats, sizeof *table);
    values = clattn__alloc_array((size_t)(MAP * MAP + m->grid_h + m->grid_w + 1), sizeof *values);
    CLATTN_CHECK(&ctx->log, table != NULL && values != NULL, CLATTN_E_NOMEM,
                 "no host memory for %" PRIu64 " bytes of bias tables", bytes);
    for (int64_t ha = 0; ha < m->heads * m->agents; ha++) {
        agent_values(m, ha / m->agents, ha % m->agents, values);
        if (b->mode == 1)
            fill_plain(m, b, values, ha, table);
        else
            fill_small(m, b, values, ha, table);
    }
    if (b->mode == 2) {
        fill_hat(m->grid_w, b->pitch, table + b->hat_x);
        fill_hat(m->grid_h, m->grid_h, table + b->hat_y);
    }
    CLATTN_TRY(ctx->backend->alloc(ctx, bytes, &out_stage->memory));
    CLATTN_TRY(ctx->backend->write(ctx, &out_stage->memory, 0, table, bytes));
out:
    clattn__free(values);
    clattn__free(table);
    return status;
}

/* Fills and checks what a stage is made from, for the stage's map. */
static clattn_status check_stage(const clattn_log *log, const char *name, int32_t map_h,
                                 int32_t map_w, maker *m)
{
    clattn_status status = CLATTN_OK;
    const clattn_agent_bias_stage *s = m->s;

    CLATTN_CHECK(log, (s->grid_height == 0) == (s->grid_width == 0), CLATTN_E_ARG,
                 "%s.grid is %" PRId64 " x %" PRId64 "; give both sides or neither", name,
                 s->grid_height, s->grid_width);
    m->grid_h = s->grid_height != 0 ? s->grid_height : map_h;
    m->grid_w = s->grid_width != 0 ? s->grid_width : map_w;
    const int64_t tokens = (int64_t)map_h * map_w;
    CLATTN_CHECK(log,
                 m->grid_h >= 1 && m->grid_w >= 1 && m->grid_h <= INT32_MAX &&
                     m->grid_w <= INT32_MAX && m->grid_h * m->grid_w == tokens,
                 CLATTN_E_SHAPE,
                 "%s.grid is %" PRId64 " x %" PRId64 "; it must have as many entries as the %d x %d"
                 " tokens it is added to",
                 name, m->grid_h, m->grid_w, (int)map_h, (int)map_w);
    CLATTN_CHECK(log,
                 (s->row == NULL || s->trained_height >= 1) &&
                     (s->column == NULL || s->trained_width >= 1) &&
                     s->trained_height <= INT32_MAX && s->trained_width <= INT32_MAX,
                 CLATTN_E_SHAPE,
                 "%s.trained is %" PRId64 " x %" PRId64 "; each side must be 1 to %d", name,
                 s->trained_height, s->trained_width, INT32_MAX);
out:
    return status;
}

static clattn_status check_weights(const clattn_log *log, const clattn_agent_bias_desc *weights)
{
    clattn_status status = CLATTN_OK;

    CLATTN_TRY(clattn__check_reserved(log, weights->reserved,
                                      sizeof weights->reserved / sizeof *weights->reserved));
    CLATTN_CHECK(
        log,
        weights->trained_agents_height >= 1 && weights->trained_agents_width >= 1 &&
            weights->trained_agents_height <= 32768 && weights->trained_agents_width <= 32768,
        CLATTN_E_SHAPE, "trained_agents is %" PRId64 " x %" PRId64 "; each side must be 1 to 32768",
        weights->trained_agents_height, weights->trained_agents_width);
out:
    return status;
}

/* The maker of stage 0 (aggregate, over the map of k) or 1 (broadcast, over that of q), checked. */
static clattn_status begin_stage(const clattn_log *log, const clattn__bias_maps *maps,
                                 const clattn_agent_bias_desc *weights, int number, maker *m)
{
    *m = (maker){.w = weights,
                 .s = number == 0 ? &weights->aggregate : &weights->broadcast,
                 .heads = maps->heads,
                 .agents = maps->agents,
                 .agent_h = maps->agent_height,
                 .agent_w = maps->agent_width,
                 .class_tokens = maps->class_tokens,
                 .second = number == 1};
    return number == 0 ? check_stage(log, "aggregate", maps->k_height, maps->k_width, m)
                       : check_stage(log, "broadcast", maps->q_height, maps->q_width, m);
}

clattn_status clattn__agent_bias_make(clattn_context *ctx, const clattn__bias_maps *maps,
                                      const clattn_agent_bias_desc *weights,
                                      clattn_agent_bias **bias)
{
    clattn_status status = CLATTN_OK;
    clattn_agent_bias *made = NULL;

    CLATTN_TRY(check_weights(&ctx->log, weights));
    made = clattn__alloc(sizeof *made);
    CLATTN_CHECK(&ctx->log, made != NULL, CLATTN_E_NOMEM, "no host memory for a bias handle");
    made->magic = BIAS_MAGIC;
    made->ctx = ctx;
    made->heads = maps->heads;
    made->agents = maps->agents;
    made->class_tokens = maps->class_tokens;
    for (int i = 0; i < 2; i++) {
        maker m;
        CLATTN_TRY(begin_stage(&ctx->log, maps, weights, i, &m));
        made->stages[i].tokens = m.grid_h * m.grid_w;
        CLATTN_TRY(make_stage(ctx, &m, &made->stages[i]));
    }
    *bias = made;
    made = NULL;
out:
    clattn_agent_bias_destroy(&made);
    return status;
}

clattn_status clattn__agent_bias_weigh(const clattn_log *log, const clattn__bias_maps *maps,
                                       const clattn_agent_bias_desc *weights, uint64_t *bytes)
{
    clattn_status status = CLATTN_OK;
    uint64_t sum = 0;

    CLATTN_TRY(check_weights(log, weights));
    for (int i = 0; i < 2; i++) {
        maker m;
        Bias b;
        CLATTN_TRY(begin_stage(log, maps, weights, i, &m));
        const int64_t floats = lay_out(&m, &b);
        CLATTN_CHECK(log, floats > 0 && floats < INT64_MAX / 8, CLATTN_E_SHAPE,
                     "the bias tables over %" PRId64 " x %" PRId64 " tokens are too large",
                     m.grid_h, m.grid_w);
        sum += (uint64_t)floats * sizeof(float);
    }
    *bytes = sum;
out:
    return status;
}

clattn_status clattn_agent_bias_create(clattn_context *ctx, const clattn_agent_attention_desc *desc,
                                       const clattn_agent_bias_desc *weights,
                                       clattn_agent_bias **bias)
{
    clattn_status status = CLATTN_OK;
    clattn__shape shape;

    if (bias == NULL || !clattn__context_valid(ctx))
        return CLATTN_E_ARG;
    *bias = NULL;
    CLATTN_CHECK(&ctx->log, desc != NULL && weights != NULL, CLATTN_E_ARG, "%s is NULL",
                 desc == NULL ? "desc" : "weights");
    CLATTN_CHECK(&ctx->log, desc->has_bias, CLATTN_E_ARG,
                 "has_bias is 0; a bias handle is made for a descriptor that has one");
    CLATTN_TRY(clattn__shape_make(&ctx->log, desc, &shape));
    CLATTN_TRY(clattn__agent_bias_make(ctx,
                                       &(clattn__bias_maps){.heads = shape.heads,
                                                            .agents = shape.agents,
                                                            .agent_height = desc->agent_height,
                                                            .agent_width = desc->agent_width,
                                                            .class_tokens = desc->class_tokens,
                                                            .q_height = shape.q_grid.window_h,
                                                            .q_width = shape.q_grid.window_w,
                                                            .k_height = shape.k_grid.window_h,
                                                            .k_width = shape.k_grid.window_w},
                                       weights, bias));
out:
    return status;
}

void clattn_agent_bias_destroy(clattn_agent_bias **bias)
{
    if (bias == NULL || *bias == NULL || (*bias)->magic != BIAS_MAGIC)
        return;
    for (int i = 0; i < 2; i++)
        clattn_memory_free((*bias)->ctx, &(*bias)->stages[i].memory);
    (*bias)->magic = 0;
    clattn__free(*bias);
    *bias = NULL;
}

clattn_status clattn__agent_bias_bind(clattn_context *ctx, const clattn_agent_bias *bias,
                                      bool required, const clattn__shape *shape, int stage_number,
                                      Bias *args, clattn__bound *bound)
{
    clattn_status status = CLATTN_OK;

    *args = (Bias){0};
    if (!required)
        return clattn__bind_none(ctx, "bias", bias, "has_bias = 0");
    CLATTN_CHECK(&ctx->log, bias != NULL && bias->magic == BIAS_MAGIC, CLATTN_E_ARG,
                 "bias is NULL or no bias handle; the plan was made with has_bias = 1");
    CLATTN_CHECK(&ctx->log, bias->ctx == clattn__context_owner(ctx), CLATTN_E_ARG,
                 "bias was made with another context than the plan");
    const stage *s = &bias->stages[stage_number - 1];
    const Grid *map = stage_number == 1 ? &shape->k_grid : &shape->q_grid;
    const int64_t tokens = (int64_t)map->window_h * map->window_w;
    CLATTN_CHECK(&ctx->log,
                 bias->heads == shape->heads && bias->agents == shape->agents &&
                     bias->class_tokens == map->class_tokens && s->tokens == tokens,
                 CLATTN_E_SHAPE,
                 "bias was made for %" PRId64 " heads, %" PRId64 " agents, %" PRId64
                 " class tokens and %" PRId64 " map tokens; the plan has %" PRId64 ", %" PRId64
                 ", %d and %" PRId64,
                 bias->heads, bias->agents, bias->class_tokens, s->tokens, shape->heads,
                 shape->agents, (int)map->class_tokens, tokens);
    clattn__agent_bias_stage(bias, stage_number, args, bound);
out:
    return status;
}

void clattn__agent_bias_stage(const clattn_agent_bias *bias, int stage_number, Bias *args,
                              clattn__bound *bound)
{
    *args = (Bias){0};
    if (bias == NULL)
        return;
    const stage *s = &bias->stages[stage_number - 1];
    *args = s->args;
    *bound = (clattn__bound){.name = "bias", .memory = s->memory, .end = s->memory.bytes};
}

void clattn__bias_from(Bias *b, int64_t token)
{
    const int64_t entry = token - b->class_tokens;

    b->table += token; /* mode 1; the others have none */
    if (entry < 0) {
        b->class_tokens -= (i32)token;
        return;
    }
    if (b->mode != 2)
        return;
    /* The first row begins in the middle: as many "class tokens" less. */
    b->row += entry / b->grid_w;
    b->hat_y += entry / b->grid_w;
    b->class_tokens = (i32)(-(entry % b->grid_w));
}

void clattn__bias_rect(Bias *b, int64_t y, int64_t x, int64_t width)
{
    b->row += y;
    b->hat_y += y;
    b->col += x;
    b->hat_x += x;
    b->grid_w = (i32)width;
    b->class_tokens = 0;
}

bool clattn__bias_needs_rows(const clattn_agent_bias_stage *s, int64_t map_width)
{
    const int64_t grid_width = s->grid_width != 0 ? s->grid_width : map_width;
    return grid_width < PLAIN_WIDTH || grid_width != map_width;
}
