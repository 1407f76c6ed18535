/*
 * The CPU path's functions on maps (pool, dwc, smooth), for every instruction set that this machine
 * has, against naive sums in double.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/dispatch.h"
#include "cpu_forms.h"

/* Sums of up to a thousand numbers below 1, in float. */
#define TOLERANCE (64 * (double)FLT_EPSILON)

static const char *const variants[] = {"baseline", "avx2", "avx512"};
static const clattn__cpu_ops *ops;

static void assert_close(float got, double want, const char *what, int64_t index)
{
    if (!(fabs((double)got - want) <= TOLERANCE * (fabs(want) + 1.0)))
        fail_msg("%s: %s[%lld] is %.9g, should be %.9g", ops->name, what, (long long)index,
                 (double)got, want);
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Agents of a form pooled from its map in leaves of `leaf` tokens. */
static void check_pool(const form *f, int agent_h, int agent_w, int leaf)
{
    problem pr;
    make_problem(&pr, f);
    const Grid *g = &pr.broadcast.q_grid;
    const int cells = agent_h * agent_w;
    const int pictures = f->batch * pr.windows;
    const int channels = f->heads * f->dim;
    Pool a = {.q = pr.broadcast.q,
              .out = {.batch = (int64_t)pr.windows * cells * channels,
                      .window = (int64_t)cells * channels,
                      .head = f->dim,
                      .token = channels},
              .grid = *g,
              .heads = f->heads,
              .dim = f->dim,
              .windows = pr.windows,
              .agent_h = agent_h,
              .agent_w = agent_w,
              .leaf_tokens = leaf,
              .cells = cells};
    a.slots = leaf >= pr.tokens ? 1 : (i32)ceil_div(pr.tokens, leaf);
    float *out = new_floats((size_t)(pictures * cells * channels), NAN);
    float *sums = new_floats((size_t)(pictures * cells * channels * a.slots), NAN);
    a.count = (i32)(cells * a.slots);
    for (int64_t i = (int64_t)pictures * a.count; i-- > 0;)
        ops->pool_partial(&a, pr.map, sums, out, i);
    a.count = (i32)cells;
    for (int64_t i = 0; a.slots > 1 && i < (int64_t)pictures * cells; i++)
        ops->pool_merge(&a, sums, out, i);

    for (int64_t i = 0; i < (int64_t)pictures * cells * channels; i++) {
        const int channel = (int)(i % channels);
        const int cell = (int)(i / channels % cells);
        const int p = (int)(i / channels / cells);
        const int64_t row = cell / agent_w;
        const int64_t column = cell % agent_w;
        double sum = 0.0;
        int count = 0;
        for (int64_t y = row * g->window_h / agent_h;
             y < ceil_div((row + 1) * g->window_h, agent_h); y++)
            for (int64_t x = column * g->window_w / agent_w;
                 x < ceil_div((column + 1) * g->window_w, agent_w); x++) {
                const int token = (int)(g->class_tokens + y * g->window_w + x);
                sum += pr.map[address(&a.q, g, p, a.windows, channel / f->dim, token) +
                              channel % f->dim];
                count++;
            }
        assert_close(out[i], sum / count, "agent", i);
    }
    free(out);
    free(sums);
    free_problem(&pr);
}

static void test_pool(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        check_pool(&forms[i], 1, 1, 16);
        check_pool(&forms[i], 3, 2, 1 << 20);
        check_pool(&forms[i], 3, 5, 16);
        check_pool(&forms[i], 9, 7, 4);
    }
}

/* A resized v in double: two taps per axis, half-pixel centres, clamped at the edges. */
static double resized(const Dwc *a, const float *v, int p, int head, int j, int y, int x)
{
    const double at_y = fmax((y + 0.5) * a->v_h / a->grid.height - 0.5, 0.0);
    const double at_x = fmax((x + 0.5) * a->v_w / a->grid.width - 0.5, 0.0);
    const float *map =
        v + a->v.offset + p * a->v.batch + head * a->v.head + j + a->grid.class_tokens * a->v.token;
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        const int row = (int)fmin(floor(at_y) + i / 2, a->v_h - 1);
        const int column = (int)fmin(floor(at_x) + i % 2, a->v_w - 1);
        const double share_y = at_y - floor(at_y);
        const double share_x = at_x - floor(at_x);
        sum += (i / 2 ? share_y : 1.0 - share_y) * (i % 2 ? share_x : 1.0 - share_x) *
               map[row * a->v.row + column * a->v.token];
    }
    return sum;
}

/* The whole operator at one output element, before `accumulate`. */
static double dwc_at(const Dwc *a, const float *v, const float *weight, const float *bias, int p,
                     int head, int token, int j)
{
    const Grid *g = &a->grid;
    const bool small = a->v_h != g->height || a->v_w != g->width;
    const int y = (token - g->class_tokens) / g->window_w;
    const int x = (token - g->class_tokens) % g->window_w;
    if (token < g->class_tokens || !small) {
        const double own = v[address(&a->v, g, p, a->windows, head, token) + j];
        const double added = a->has_bias && token >= g->class_tokens ? bias[head * a->dim + j] : 0;
        return a->shortcut * own + added +
               dwc_reference(&a->v, g, v, weight, a->size, p, a->windows, head, a->dim, j, token);
    }
    double sum = a->shortcut * resized(a, v, p, head, j, y, x);
    for (int i = 0; i < a->size * a->size; i++) {
        const int tap_y = y + i / a->size - a->size / 2;
        const int tap_x = x + i % a->size - a->size / 2;
        if (tap_y >= 0 && tap_y < g->height && tap_x >= 0 && tap_x < g->width)
            sum += weight[(head * a->dim + j) * a->size * a->size + i] *
                   resized(a, v, p, head, j, tap_y, tap_x);
    }
    return sum + (a->has_bias ? bias[head * a->dim + j] : 0);
}

static void check_dwc(const form *f, int size, bool accumulate, bool small)
{
    problem pr;
    make_problem(&pr, f);
    const Grid *g = &pr.broadcast.q_grid;
    const int channels = f->heads * f->dim_v;
    const Dwc a = {.v = pr.broadcast.tap,
                   .out = pr.broadcast.out,
                   .grid = *g,
                   .map_h = f->height,
                   .map_w = f->width,
                   .v_h = small ? (f->height + 1) / 2 : f->height,
                   .v_w = small ? (f->width + 2) / 3 : f->width,
                   .heads = f->heads,
                   .dim = f->dim_v,
                   .windows = pr.windows,
                   .size = size,
                   .has_bias = size > 0 && size != 7,
                   .accumulate = accumulate,
                   .shortcut = f->shortcut};
    float *weight = new_floats((size_t)(channels * (size * size + 1)), 0.0f);
    const float *bias = weight + channels * size * size;
    const float *v = pr.broadcast_mem.tap;
    float *before = new_floats(pr.out_count, 0.0f);
    memcpy(pr.out, before, pr.out_count * sizeof *before);
    for (int64_t i = (int64_t)f->batch * pr.windows * g->window_h; i-- > 0;)
        ops->dwc(&a, v, weight, bias, pr.out, i);

    for (int z = 0; z < pr.problems; z++)
        for (int token = 0; token < pr.tokens; token++)
            for (int j = 0; j < f->dim_v; j++) {
                const int p = z / f->heads;
                const int head = z % f->heads;
                const int64_t at = address(&a.out, g, p, a.windows, head, token) + j;
                const double want = dwc_at(&a, v, weight, bias, p, head, token, j);
                assert_close(pr.out[at], accumulate ? want + before[at] : want, "dwc", at);
                pr.out[at] = before[at];
            }
    assert_memory_equal(pr.out, before, pr.out_count * sizeof *before);
    free(weight);
    free(before);
    free_problem(&pr);
}

static void test_dwc(void **state)
{
    (void)state;
    for (size_t i = 0; i < forms_count; i++) {
        if (forms[i].dim_v > 100)
            continue;
        check_dwc(&forms[i], 0, false, false);
        check_dwc(&forms[i], 3, true, false);
        check_dwc(&forms[i], 7, false, false);
        if (forms[i].window_h == 0)
            check_dwc(&forms[i], 3, false, true);
    }
    /* Too many taps for one band of weights. */
    check_dwc(&forms[1], 63, true, false);
    check_dwc(&forms[2], 25, false, false);
}

static void test_smooth(void **state)
{
    (void)state;
    const Features a = {.rgb = {.offset = 2, .row = 31, .token = 4},
                        .height = 5,
                        .width = 7,
                        .map_h = 5,
                        .map_w = 7,
                        .inv_sigma_color = 12.5f,
                        .inv_sigma_space = 3.5f,
                        .with_norms = 1};
    float *rgb = new_floats(2 + 31 * 5, 0.0f);
    float features[5 * 7 * 5];
    float norms[5 * 7];
    float at_once[5 * 7];
    for (int y = 0; y < a.height; y++)
        ops->smooth_features(&a, rgb, features, at_once, y);
    for (int i = 0; i < a.height * a.width; i++) {
        const int y = i / a.width;
        const int x = i % a.width;
        for (int channel = 0; channel < 3; channel++) {
            double sum = 0.0;
            int count = 0;
            for (int t = 0; t < 9; t++) {
                const int row = y + t / 3 - 1;
                const int column = x + t % 3 - 1;
                if (row < 0 || column < 0 || row >= a.height || column >= a.width)
                    continue;
                sum += rgb[2 + row * 31 + column * 4 + channel];
                count++;
            }
            assert_close(features[5 * i + channel], sum / count * 12.5, "feature", 5 * i + channel);
        }
        assert_close(features[5 * i + 3], y * 3.5, "feature", 5 * i + 3);
        assert_close(features[5 * i + 4], x * 3.5, "feature", 5 * i + 4);
    }
    const Norms n = {.count = a.height * a.width, .dim = 5};
    ops->smooth_norms(&n, features, norms, 0);
    for (int i = 0; i < n.count; i++) {
        double sum = 0.0;
        for (int j = 0; j < 5; j++)
            sum += (double)features[5 * i + j] * features[5 * i + j];
        assert_close(norms[i], -0.5 * sum, "norm", i);
        assert_true(at_once[i] == norms[i]);
    }
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_dwc),
        cmocka_unit_test(test_smooth),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        ops = clattn__cpu_ops_named(variants[i]);
        if (ops != NULL)
            failed += cmocka_run_group_tests_name(variants[i], tests, NULL, NULL);
    }
    return failed;
}
