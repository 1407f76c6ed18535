/* The self-test of the convolution. */
#include "ops/dwc.h"
#include "ops/selftest.h"

/* A form of the arguments. */
typedef struct form {
    const char *name;
    clattn_dwc_desc desc; /* without heads, widths, size and type */
    bool tile;            /* of the map, as the passes of a tiling have them */
} form;

/* The row or column that a resized map of `in` gives row or column `at` of `out` from. */
static int64_t tap(int64_t at, int64_t in, int64_t out)
{
    return at > 0 ? ((2 * at + 1) * in - out) / (2 * out) : 0;
}

/* Columns 1 to 9 of rows 6 to 9, with what the convolution reaches around them, where the map has it. */
static Dwc take_tile(const Dwc *whole, const Grid *map)
{
    enum { TOP = 6, LEFT = 1, HEIGHT = 4, WIDTH = 9 };
    Dwc a = *whole;
    const bool resized = a.v_h != a.map_h || a.v_w != a.map_w;

    a.grid = clattn__grid_rect(HEIGHT, WIDTH);
    a.halo = (Halo){.top = TOP,
                    .left = LEFT,
                    .bottom = map->height - TOP - HEIGHT,
                    .right = map->width - LEFT - WIDTH};
    a.top = TOP;
    a.left = LEFT;
    a.out.offset += TOP * a.out.row + LEFT * a.out.token;
    a.v_top = resized ? (i32)tap(TOP - a.size / 2, a.v_h, a.map_h) : 0;
    a.v.offset += resized ? a.v_top * a.v.row : TOP * a.v.row + LEFT * a.v.token;
    return a;
}

static clattn_status run_form(clattn__selftest *test, const clattn_plan *plan, const form *f,
                              const clattn_dwc_args *args)
{
    clattn_status status = CLATTN_OK;
    clattn__bound b[4] = {0};
    clattn__chain chain;
    Dwc a = plan->dwc_args;

    CLATTN_TRY(clattn__dwc_bind(plan, args, &a, b));
    const clattn_memory memory[] = {b[0].memory, b[1].memory, b[2].memory, b[3].memory};
    if (f->tile)
        a = take_tile(&a, &plan->dwc_args.grid);
    clattn__chain_begin(&chain, test->ctx, NULL);
    CLATTN_TRY(clattn__chain_end(
        &chain, clattn__dwc_maps(plan, &test->ws, &a, f->desc.batch * a.windows, memory, &chain)));
out:
    return status;
}

static clattn_status probe_form(clattn__selftest *test, const form *f)
{
    clattn_status status = CLATTN_OK;
    clattn_dwc_desc d = f->desc;
    clattn_plan *small = NULL;
    clattn_plan plan;
    clattn_tensor v, out;
    clattn_array weight, bias;
    const bool resized = d.in_height > 0;

    clattn__selftest_begin(test, f->name);
    d.heads = 2;
    d.head_dim = 2 * test->of->tuned[CLATTN__DWC_KERNEL].values.channels;
    d.size = test->of->dwc_args.size;
    d.type = test->storage;
    CLATTN_TRY(clattn_dwc_plan(test->cpu, &d, &small));
    clattn__selftest_adopt(test, small, &plan);
    plan.dwc_args.shortcut = resized ? 0.5f : 0.0f;
    clattn__selftest_shape s = {.batch = d.batch,
                                .tokens = d.class_tokens +
                                          (resized ? d.in_height * d.in_width : d.height * d.width),
                                .heads = d.heads,
                                .dim = d.head_dim,
                                .class_tokens = d.class_tokens,
                                .width = resized ? d.in_width : d.width};
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &v));
    s.fill = d.accumulate ? CLATTN__FILL_EVEN : CLATTN__FILL_NOTHING;
    s.tokens = d.class_tokens + d.height * d.width;
    s.width = d.width;
    CLATTN_TRY(clattn__selftest_tensor(test, &s, &out));
    const int64_t channels = d.heads * d.head_dim;
    CLATTN_TRY(clattn__selftest_array(test, channels * d.size * d.size, &weight));
    if (d.has_bias)
        CLATTN_TRY(clattn__selftest_array(test, channels, &bias));
    const clattn_dwc_args args = {
        .v = &v, .weight = &weight, .bias = d.has_bias ? &bias : NULL, .out = &out};
    CLATTN_TRY(run_form(test, &plan, f, &args));
    CLATTN_TRY(clattn__selftest_report(test, &out, 4.0f * (float)(4 + d.size * d.size)));
out:
    clattn__selftest_clear(test);
    clattn_plan_destroy(&small);
    return status;
}

clattn_status clattn__dwc_probe(clattn__selftest *test)
{
    static const form forms[] = {
        {.name = "a map with class tokens",
         .desc = {.batch = 2, .height = 7, .width = 11, .class_tokens = 2, .has_bias = 1}},
        {.name = "shifted windows",
         .desc = {.batch = 1,
                  .height = 10,
                  .width = 14,
                  .window_height = 5,
                  .window_width = 7,
                  .shift_y = 3,
                  .shift_x = 4,
                  .accumulate = 1}},
        {.name = "a map that is resized",
         .desc = {.batch = 1,
                  .height = 7,
                  .width = 11,
                  .in_height = 4,
                  .in_width = 5,
                  .has_bias = 1,
                  .accumulate = 1}},
        {.name = "a tile of a map",
         .desc = {.batch = 1, .height = 11, .width = 12, .has_bias = 1},
         .tile = true},
        {.name = "a tile of a map that is resized",
         .desc = {.batch = 1, .height = 11, .width = 12, .in_height = 6, .in_width = 7},
         .tile = true},
    };
    clattn_status status = CLATTN_OK;

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        CLATTN_TRY(probe_form(test, &forms[i]));
out:
    return status;
}
