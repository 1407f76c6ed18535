/* The self-test of the pool. */
#include "ops/pool.h"
#include "ops/selftest.h"

/* One kernel in two launches; then what it wrote. */
static clattn_status probe_pieces(clattn__selftest *test, clattn__pool_work *w, int64_t blocks,
                                  const clattn_tensor *agents, const clattn_tensor *sums)
{
    clattn_status status = CLATTN_OK;
    clattn__piece *const piece = test->kernel == CLATTN__POOL_PARTIAL ? clattn__pool_partial_piece
                                                                      : clattn__pool_merge_piece;
    const int64_t half = blocks / 2;
    clattn__chain chain;

    clattn__chain_begin(&chain, test->ctx, NULL);
    w->chain = &chain;
    CLATTN_TRY(piece(w, 0, half));
    CLATTN_TRY(clattn__chain_end(&chain, piece(w, half, blocks - half)));
    CLATTN_TRY(clattn__selftest_report(test, agents, 8.0f));
    if (test->kernel == CLATTN__POOL_PARTIAL && w->args.slots > 1)
        CLATTN_TRY(clattn__selftest_report(test, sums, 64.0f));
out:
    return status;
}

/* A problem of its own plan; `leaf` tokens per leaf, `run`: of two leaves, as tiles are. */
static clattn_status probe_problem(clattn__selftest *test, const clattn_agent_attention_desc *desc,
                                   int64_t leaf, bool run)
{
    clattn_status status = CLATTN_OK;
    clattn_plan *small = NULL;
    clattn_plan plan;
    clattn_tensor q, agents, sums = {.offset = 0};
    clattn__bound b[2];
    clattn__pool_work w;

    CLATTN_TRY(clattn_agent_pool_plan(test->cpu, desc, &small));
    clattn__selftest_adopt(test, small, &plan);
    const clattn__shape *s = &plan.shape;
    Pool *a = &plan.pool_args;
    a->leaf_tokens = (i32)leaf;
    a->slots = (i32)clattn__pool_slots(s->q_grid.window_h, s->q_grid.window_w,
                                       s->q_grid.class_tokens, a->agent_h, a->agent_w, leaf);
    clattn__selftest_shape shape = {.batch = s->batch,
                                    .tokens = s->q_tokens,
                                    .heads = s->heads,
                                    .dim = s->dim,
                                    .class_tokens = desc->class_tokens,
                                    .width = desc->width,
                                    .dense = run};
    CLATTN_TRY(clattn__selftest_tensor(test, &shape, &q));
    shape.fill = CLATTN__FILL_NOTHING;
    shape.batch = s->batch * s->windows;
    shape.tokens = s->agents;
    shape.class_tokens = shape.width = 0;
    CLATTN_TRY(clattn__selftest_tensor(test, &shape, &agents));
    shape.fill = test->kernel == CLATTN__POOL_PARTIAL ? CLATTN__FILL_NOTHING : CLATTN__FILL_EVEN;
    shape.plain = true;
    shape.tokens = s->agents * a->slots;
    shape.dense = true;
    if (a->slots > 1)
        CLATTN_TRY(clattn__selftest_tensor(test, &shape, &sums));
    test->ws.scratch[CLATTN__POOL_SUMS] = sums.memory;
    CLATTN_TRY(clattn__pool_bind(
        &plan, &test->ws, &(clattn_agent_attention_args){.q = &q, .agents = &agents}, b, &w));
    int64_t blocks = test->kernel == CLATTN__POOL_PARTIAL ? s->agents * a->slots : s->agents;
    if (run) {
        w.args.run = 1;
        w.args.slots = 2;
        w.args.first_leaf = w.args.first_cell = 1;
        w.args.cells = (i32)s->agents - 2;
        w.args.q.offset += leaf * w.args.q.token;
        w.places = w.args.cells;
        w.pictures = 1;
        blocks = 2;
    }
    CLATTN_TRY(probe_pieces(test, &w, blocks, &agents, &sums));
out:
    test->ws.scratch[CLATTN__POOL_SUMS] = (clattn_memory){0};
    clattn__selftest_clear(test);
    clattn_plan_destroy(&small);
    return status;
}

clattn_status clattn__agent_pool_probe(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;
    /* Cells that overlap, in several leaves; more channels than a work-group has. */
    const int vectors = clattn__pool_wide_vectors(test->of);
    const int64_t dim = vectors > 0 ? 16 * vectors + 5 : 15;
    clattn_agent_attention_desc map = {.batch = 2, .heads = vectors > 0 ? 2 : 5, .head_dim = dim};
    clattn_agent_attention_desc windows = {.batch = 2, .heads = 3, .head_dim = dim};

    map.height = 13, map.width = 22, map.class_tokens = 2;
    map.agent_height = 3, map.agent_width = 4;
    windows.height = 10, windows.width = 14;
    windows.window_height = 5, windows.window_width = 7;
    windows.shift_y = 3, windows.shift_x = 4;
    windows.agent_height = 2, windows.agent_width = 3;
    map.type = windows.type = test->storage;
    clattn__selftest_begin(test, "a map of several leaves");
    CLATTN_TRY(probe_problem(test, &map, 50, false));
    if (test->kernel == CLATTN__POOL_MERGE)
        goto out;
    map.batch = 1;
    clattn__selftest_begin(test, "a run of leaves");
    CLATTN_TRY(probe_problem(test, &map, 70, true));
    clattn__selftest_begin(test, "shifted windows");
    CLATTN_TRY(probe_problem(test, &windows, 256, false));
out:
    return status;
}
