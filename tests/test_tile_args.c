/* Arguments of tile.h that are refused, each with its status and a sentence; and maps beyond 2^31 tokens, which are not. On the CPU path. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"
#include "tile_probe.h"

static support_log heard = SUPPORT_LOG_INIT;
static clattn_context *ctx[2];
static tile_probe p;

static int set_up(void **state)
{
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN),
                                          .threads = 2};
    const case_agent c = probe_case_streamed();

    (void)state;
    for (int i = 0; i < 2; i++)
        if (clattn_context_create_cpu(&params, &ctx[i]) != CLATTN_OK)
            return -1;
    probe_open(&p, ctx[0], &c);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    probe_close(&p);
    for (int i = 0; i < 2; i++)
        clattn_context_destroy(&ctx[i]);
    return 0;
}

static clattn_status create(const clattn_agent_attention_desc *desc,
                            const clattn_tile_weights *weights, const clattn_tile_options *options)
{
    clattn_tiling *tiling = (clattn_tiling *)&p;
    const clattn_status status = clattn_tiling_create(ctx, 2, desc, weights, options, &tiling);
    assert_int_equal(status == CLATTN_OK, tiling != NULL);
    clattn_tiling_destroy(&tiling);
    return status;
}

static void handles(void **state)
{
    clattn_context *const same[] = {ctx[0], ctx[0]};
    clattn_context *const none[] = {ctx[0], NULL};
    const clattn_agent_attention_desc *d = &p.c.desc;
    clattn_context *many[65];
    clattn_tiling *tiling = NULL;
    clattn_tiling_info info = {.tiles = 5};

    (void)state;
    for (int i = 0; i < 65; i++)
        many[i] = ctx[0];
    assert_int_equal(clattn_tiling_create(ctx, 2, d, &p.all.weights, NULL, NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_tiling_create(NULL, 1, d, NULL, NULL, &tiling), CLATTN_E_ARG);
    assert_int_equal(clattn_tiling_create(ctx, 0, d, NULL, NULL, &tiling), CLATTN_E_ARG);
    assert_int_equal(clattn_tiling_create(none + 1, 1, d, NULL, NULL, &tiling), CLATTN_E_ARG);
    SUPPORT_REFUSED(&heard, clattn_tiling_create(none, 2, d, NULL, NULL, &tiling), CLATTN_E_ARG,
                    "contexts[1] is NULL");
    SUPPORT_REFUSED(&heard, clattn_tiling_create(same, 2, d, NULL, NULL, &tiling), CLATTN_E_ARG,
                    "contexts[1] is contexts[0]");
    SUPPORT_REFUSED(&heard, clattn_tiling_create(many, 65, d, NULL, NULL, &tiling), CLATTN_E_ARG,
                    "count is 65");
    SUPPORT_REFUSED(&heard, clattn_tiling_create(ctx, 2, NULL, NULL, NULL, &tiling), CLATTN_E_ARG,
                    "desc of the tiling is NULL");
    SUPPORT_REFUSED(&heard, clattn_smooth_tiling_create(ctx, 2, NULL, NULL, &tiling), CLATTN_E_ARG,
                    "desc of the tiling is NULL");
    assert_int_equal(clattn_tiling_run(NULL, &p.io), CLATTN_E_ARG);
    clattn_tiling_get_info(NULL, &info);
    assert_int_equal(info.tiles, 0);
    clattn_tiling_get_info(NULL, NULL);
    clattn_tiling_destroy(NULL);
    clattn_tiling_destroy(&tiling);
}

static void options(void **state)
{
    static const struct {
        clattn_tile_options options;
        const char *words;
    } rows[] = {
        {{.reserved = {0, 0, 0, 0, 0, 0, 0, 9}}, "reserved[7] is 9"},
        {{.in_flight = 9}, "in_flight is 9"},
        {{.in_flight = -1}, "in_flight is -1"},
        {{.launch_ms = NAN}, "launch_ms is"},
        {{.launch_ms = INFINITY}, "launch_ms is inf"},
        {{.launch_ms = -1.0}, "launch_ms is -1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        SUPPORT_REFUSED(&heard, create(&p.c.desc, &p.all.weights, &rows[i].options), CLATTN_E_ARG,
                        rows[i].words);
    clattn_agent_attention_desc windows = probe_case_windows().desc;
    SUPPORT_REFUSED(&heard, create(&windows, &p.all.weights, &(clattn_tile_options){.strips = 1}),
                    CLATTN_E_UNSUPPORTED, "strips is 1 with windows");
    clattn_agent_attention_desc half = p.c.desc;
    half.type = CLATTN_F16;
    SUPPORT_REFUSED(&heard, create(&half, &p.all.weights, NULL), CLATTN_E_UNSUPPORTED,
                    "type is CLATTN_F16");
}

static void weights(void **state)
{
    clattn_tile_weights w = p.all.weights;
    clattn_agent_attention_desc d = p.c.desc;

    (void)state;
    SUPPORT_REFUSED(&heard, create(&d, NULL, NULL), CLATTN_E_ARG, "weights.bias is NULL");
    w.dwc_weight = NULL;
    SUPPORT_REFUSED(&heard, create(&d, &w, NULL), CLATTN_E_ARG, "weights.dwc_weight is NULL");
    w = p.all.weights;
    w.dwc_bias = NULL;
    SUPPORT_REFUSED(&heard, create(&d, &w, NULL), CLATTN_E_ARG, "weights.dwc_bias is NULL");
    w = p.all.weights;
    d.has_bias = 0;
    SUPPORT_REFUSED(&heard, create(&d, &w, NULL), CLATTN_E_ARG, "weights.bias is given");
    d = p.c.desc;
    d.has_dwc_bias = 0;
    SUPPORT_REFUSED(&heard, create(&d, &w, NULL), CLATTN_E_ARG, "weights.dwc_bias is given");
    d.dwc_size = 0;
    w.dwc_bias = NULL;
    SUPPORT_REFUSED(&heard, create(&d, &w, NULL), CLATTN_E_ARG, "weights.dwc_weight is given");
}

static clattn_status run(const clattn_tile_io *io)
{
    p.fills = p.takes = p.polls = 0;
    const clattn_status status = clattn_tiling_run(p.tiling, io);
    if (status != CLATTN_OK)
        assert_true(p.fills == 0 && p.takes == 0 && p.polls == 0);
    return status;
}

static void ends_of_a_run(void **state)
{
    clattn_tile_io io = p.io;

    (void)state;
    probe_tiling(&p, ctx, 2, NULL, 0.0);
    SUPPORT_REFUSED(&heard, run(NULL), CLATTN_E_ARG, "io of the tiling is NULL");
    io.source.fill = NULL;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.source.fill is NULL");
    io = p.io;
    io.sink.take = NULL;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.sink.take is NULL");
    io = p.io;
    io.agents = p.data.q;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.agents is given");
    io = p.io;
    io.agent_vector = p.data.q;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.agent_vector is given");
    io = p.io;
    for (int i = 0; i < 4; i++) {
        io.source.height = i == 0 ? 60 : i == 1 ? -61 : 61;
        io.source.width = i == 2 ? 38 : i == 3 ? INT64_MAX : 37;
        SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_SHAPE, "the source says it has");
    }
    io.source.width = 37;
    assert_int_equal(run(&io), CLATTN_OK);

    case_agent given = probe_case_streamed();
    given.desc.agents_given = given.desc.has_agent_vector = 1;
    p.c.desc = given.desc;
    probe_tiling(&p, ctx, 2, NULL, 0.0);
    io = p.io;
    io.agent_vector = p.data.q;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.agents is NULL");
    io.agents = p.data.q;
    io.agent_vector = NULL;
    SUPPORT_REFUSED(&heard, run(&io), CLATTN_E_ARG, "io.agent_vector is NULL");
    p.c.desc = probe_case_streamed().desc;
}

/* A plain layer, whose weights do not grow with the map. */
static clattn_agent_attention_desc plain(int64_t height, int64_t width)
{
    return (clattn_agent_attention_desc){.batch = 1,
                                         .heads = 2,
                                         .head_dim = 8,
                                         .height = height,
                                         .width = width,
                                         .agent_height = 7,
                                         .agent_width = 7};
}

static void shapes(void **state)
{
    const int64_t beyond = INT64_C(1) << 31;
    const struct {
        int64_t height, width, kv_height, kv_width, batch;
        const char *words;
    } rows[] = {
        {beyond, 1, 0, 0, 1, "height is 2147483648"},
        {1, beyond, 0, 0, 1, "width is 2147483648"},
        {8, 8, beyond, 8, 1, "kv_height is 2147483648"},
        {8, 8, 8, INT64_MAX, 1, "kv_width is 9223372036854775807"},
        {0, 8, 0, 0, 1, "height is 0"},
        {8, -1, 0, 0, 1, "width is -1"},
        {8, 8, -1, 0, 1, "kv_height is -1"},
        {8, 8, 0, 0, beyond, "batch is 2147483648"},
        {8, 8, 0, 0, 0, "batch is 0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clattn_agent_attention_desc d = plain(rows[i].height, rows[i].width);
        d.kv_height = rows[i].kv_height;
        d.kv_width = rows[i].kv_width;
        d.batch = rows[i].batch;
        SUPPORT_REFUSED(&heard, create(&d, NULL, NULL), CLATTN_E_SHAPE, rows[i].words);
    }
    clattn_agent_attention_desc d = plain(10, 12);
    d.window_height = d.window_width = 4;
    SUPPORT_REFUSED(&heard, create(&d, NULL, NULL), CLATTN_E_UNSUPPORTED, "no multiple");
    d.window_height = 5;
    d.shift_x = 12;
    SUPPORT_REFUSED(&heard, create(&d, NULL, NULL), CLATTN_E_SHAPE, "shift is");
    d.shift_x = -1;
    SUPPORT_REFUSED(&heard, create(&d, NULL, NULL), CLATTN_E_SHAPE, "shift is");
    clattn_smooth_desc smooth = {.height = beyond, .width = 4};
    clattn_tiling *tiling = NULL;
    SUPPORT_REFUSED(&heard, clattn_smooth_tiling_create(ctx, 2, &smooth, NULL, &tiling),
                    CLATTN_E_SHAPE, "height is 2147483648");
}

static void large_maps(void **state)
{
    const clattn_tile_options large = {.device_bytes = UINT64_C(1) << 30,
                                       .host_bytes = UINT64_C(1) << 33};
    const int64_t sides[][2] = {
        {100000, 100000}, {1, INT32_MAX}, {INT32_MAX, 1}, {46341, 46341}, {2000003, 1500007}};

    (void)state;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        const clattn_agent_attention_desc d = plain(sides[i][0], sides[i][1]);
        clattn_tiling *tiling = NULL;
        clattn_tiling_info info;
        assert_int_equal(clattn_tiling_create(ctx, 2, &d, NULL, &large, &tiling), CLATTN_OK);
        clattn_tiling_get_info(tiling, &info);
        assert_int_equal(info.passes, 3);
        assert_true(info.device_bytes <= large.device_bytes && info.host_bytes <= large.host_bytes);
        assert_true(info.leaf_tokens * info.leaves >= sides[i][0] * sides[i][1]);
        assert_true(info.tiles > 3);
        clattn_tiling_destroy(&tiling);
    }
    /* As large as sides may be: either it can be cut, or the refusal says why not. */
    clattn_agent_attention_desc d = plain(INT32_MAX, INT32_MAX);
    clattn_status status = create(&d, NULL, &large);
    assert_true(status == CLATTN_OK || status == CLATTN_E_BUDGET || status == CLATTN_E_SHAPE);
    d.heads = 1 << 20;
    d.agent_height = d.agent_width = 1000;
    SUPPORT_REFUSED(&heard, create(&d, NULL, &large), CLATTN_E_SHAPE, "");
    assert_true(strlen(heard.text) > 0);
    d = plain(INT32_MAX, INT32_MAX);
    d.batch = INT32_MAX;
    SUPPORT_REFUSED(&heard, create(&d, NULL, &large), CLATTN_E_SHAPE, "64 bits");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handles),       cmocka_unit_test(options), cmocka_unit_test(weights),
        cmocka_unit_test(ends_of_a_run), cmocka_unit_test(shapes),  cmocka_unit_test(large_maps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
