/* The bias handle: the tables of both stages on a device (bias_tables.c makes their numbers), and how a run or a tile sees them. */
#include "ops/bias.h"

#include <inttypes.h>

#include "ops/bias_tables.h"

#define BIAS_MAGIC UINT64_C(0x636c6174746e4269)

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

static clattn_status make_stage(clattn_context *ctx, const clattn__bias_maker *m, stage *out_stage)
{
    clattn_status status = CLATTN_OK;
    float *table = NULL;
    double *values = NULL;
    const int64_t floats = clattn__bias_lay_out(m, &out_stage->args);
    const Bias *b = &out_stage->args;
    uint64_t bytes = 0;

    CLATTN_CHECK(&ctx->log, floats > 0 && (uint64_t)floats < SIZE_MAX / sizeof(float),
                 CLATTN_E_SHAPE,
                 "the bias tables of %" PRId64 " heads x %" PRId64 " agents over %" PRId64
                 " x %" PRId64 " tokens are too large",
                 m->heads, m->agents, m->grid_h, m->grid_w);
    bytes = (uint64_t)floats * sizeof(float);
    table = clattn__alloc_array((size_t)floats, sizeof *table);
    values = clattn__alloc_array((size_t)clattn__bias_values(m), sizeof *values);
    CLATTN_CHECK(&ctx->log, table != NULL && values != NULL, CLATTN_E_NOMEM,
                 "no host memory for %" PRIu64 " bytes of bias tables", bytes);
    clattn__bias_fill(m, b, table, values);
    CLATTN_TRY(ctx->backend->alloc(ctx, bytes, &out_stage->memory));
    CLATTN_TRY(ctx->backend->write(ctx, &out_stage->memory, 0, table, bytes));
out:
    clattn__free(values);
    clattn__free(table);
    return status;
}

/* Fills and checks what a stage is made from, for the stage's map. */
static clattn_status check_stage(const clattn_log *log, const char *name, int32_t map_h,
                                 int32_t map_w, clattn__bias_maker *m)
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
                                 const clattn_agent_bias_desc *weights, int number,
                                 clattn__bias_maker *m)
{
    *m = (clattn__bias_maker){.w = weights,
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
        clattn__bias_maker m;
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
        clattn__bias_maker m;
        Bias b;
        CLATTN_TRY(begin_stage(log, maps, weights, i, &m));
        const int64_t floats = clattn__bias_lay_out(&m, &b);
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

clattn_status clattn__agent_bias_to_host(const clattn_agent_bias *bias, clattn_context *host,
                                         clattn_agent_bias **copy)
{
    clattn_status status = CLATTN_OK;
    clattn_agent_bias *made = NULL;

    CLATTN_CHECK(&host->log, bias->magic == BIAS_MAGIC, CLATTN_E_ARG, "bias is no bias handle");
    made = clattn__alloc(sizeof *made);
    CLATTN_CHECK(&host->log, made != NULL, CLATTN_E_NOMEM, "no host memory for a bias handle");
    *made = *bias;
    made->ctx = host;
    for (int i = 0; i < 2; i++)
        made->stages[i].memory = (clattn_memory){0};
    for (int i = 0; i < 2; i++) {
        const clattn_memory *from = &bias->stages[i].memory;
        clattn_memory *to = &made->stages[i].memory;
        CLATTN_TRY(host->backend->alloc(host, from->bytes, to));
        CLATTN_TRY(bias->ctx->backend->read(bias->ctx, from, 0, to->host, from->bytes));
    }
    *copy = made;
    made = NULL;
out:
    clattn_agent_bias_destroy(&made);
    return status;
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
    return grid_width < CLATTN__BIAS_PLAIN_WIDTH || grid_width != map_width;
}
