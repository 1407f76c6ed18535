/*
 * Tiled runs at their limits: budgets that are too small and those that just do, exact bytes, odd maps, devices of two kinds, and
 * arguments that are refused. Runs on the first device with its wide shape, and on the CPU path.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"
#include "tile_probe.h"

static contexts_entry entry;
static probe_log heard;
static clattn_context *ctx[3];

static clattn_context *open_capped(uint64_t byte_cap)
{
    /* The self-test's bytes are none of a run. */
    const clattn_context_params params = {
        .log = probe_listen(&heard), .byte_cap = byte_cap, .selftest = CLATTN_SELFTEST_OFF};
    return contexts_open(&entry, &params);
}

static int open_contexts(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        ctx[i] = open_capped(0);
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        clattn_context_destroy(&ctx[i]);
    return 0;
}

/* ---- budgets ---- */

/* The number in "...; N on device and host would do". */
static uint64_t number_in_log(void)
{
    for (int i = 0; i < heard.count; i++) {
        const char *part = strstr(heard.sentences[i].text, " in a buffer; ");
        if (part != NULL)
            return strtoull(part + strlen(" in a buffer; "), NULL, 10);
    }
    return 0;
}

static void refused_budget(tile_probe *p, const clattn_tile_options *options)
{
    probe_log_clear(&heard);
    assert_int_equal(probe_create(p, ctx, 2, options), CLATTN_E_BUDGET);
    assert_int_equal(probe_heard(&heard, CLATTN_LOG_ERROR, "would do"), 1);
}

static void small_budgets(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};

    (void)state;
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, ctx[0], &cases[i]);
        probe_tiling(&p, ctx, 2, NULL, 0.0);
        const uint64_t smallest = p.info.smallest_bytes;
        refused_budget(&p, &(clattn_tile_options){.device_bytes = 1});
        assert_int_equal(number_in_log(), smallest);
        refused_budget(&p, &(clattn_tile_options){.host_bytes = 1});
        assert_int_equal(number_in_log(), smallest);
        refused_budget(&p, &(clattn_tile_options){.allocation_bytes = 1});
        const clattn_tile_options just = {.device_bytes = smallest, .host_bytes = smallest};
        assert_int_equal(probe_create(&p, ctx, 2, &just), CLATTN_OK);
        assert_true(p.info.device_bytes <= smallest && p.info.host_bytes <= smallest);
        probe_run_right(&p);
        const clattn_tile_options less = {.device_bytes = smallest - 1, .host_bytes = smallest - 1};
        refused_budget(&p, &less);
        probe_close(&p);
    }
}

/* What a run holds at most, weights included, is what the tiling said. */
static void check_bytes(const case_agent *c, size_t devices, double budget, bool even)
{
    tile_probe p;
    clattn_context *own[2] = {open_capped(0), open_capped(0)};

    probe_open(&p, ctx[0], c);
    probe_tiling(&p, own, devices, NULL, budget);
    probe_run_right(&p);
    for (size_t i = 0; i < devices; i++) {
        uint64_t peak = 0;
        clattn_context_bytes(own[i], NULL, &peak);
        if (even ? peak != p.info.device_bytes : peak > p.info.device_bytes)
            fail_msg("device %zu held %" PRIu64 " bytes; the tiling said %" PRIu64, i, peak,
                     p.info.device_bytes);
    }
    /* A cap of just that will do; one byte less will not. */
    const uint64_t said = p.info.device_bytes;
    const clattn_tile_options same = {.device_bytes = said};
    for (int less = 0; less < 2; less++) {
        clattn_tiling_destroy(&p.tiling);
        for (int i = 0; i < 2; i++) {
            clattn_context_destroy(&own[i]);
            own[i] = open_capped(less == 0 ? said : p.info.smallest_bytes / 4);
        }
        probe_log_clear(&heard);
        assert_int_equal(probe_create(&p, own, devices, less == 0 ? &same : NULL),
                         less == 0 ? CLATTN_OK : CLATTN_E_BUDGET);
        if (less == 0)
            probe_run_right(&p);
        assert_int_equal(probe_heard(&heard, CLATTN_LOG_WARN, ""), 0);
        assert_int_equal(probe_heard(&heard, CLATTN_LOG_ERROR, "would do"), less);
    }
    probe_close(&p);
    clattn_context_destroy(&own[0]);
    clattn_context_destroy(&own[1]);
}

static void exact_bytes(void **state)
{
    case_agent streamed = probe_case_streamed();
    case_agent windows = probe_case_windows();

    (void)state;
    for (size_t devices = 1; devices <= 2; devices++) {
        check_bytes(&streamed, devices, 1.0, true);
        check_bytes(&streamed, devices, 3.0, true);
        check_bytes(&windows, devices, 1.0, true);
        windows.desc.batch = 7; /* 42 windows: groups of several, and a smaller one at the end */
        check_bytes(&windows, devices, 5.5, false);
        windows.desc.batch = 2;
    }
    streamed.desc.agents_given = 1;
    streamed.desc.has_agent_vector = 1;
    check_bytes(&streamed, 2, 1.5, true);
}

/* ---- odd maps ---- */

static void odd_maps(void **state)
{
    static const struct {
        int64_t height, width, agent_height, agent_width, class_tokens;
    } maps[] = {{1, 5003, 1, 3, 0},
                {5003, 1, 3, 1, 2},
                {1, 1, 5, 4, 0},
                {3, 2, 4, 7, 1},
                {2, 1021, 3, 2, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        case_agent c = probe_case_streamed();
        tile_probe p;
        c.desc.height = maps[i].height;
        c.desc.width = maps[i].width;
        c.desc.agent_height = maps[i].agent_height;
        c.desc.agent_width = maps[i].agent_width;
        c.desc.class_tokens = maps[i].class_tokens;
        probe_open(&p, ctx[0], &c);
        for (size_t devices = 1; devices <= 3; devices += 2) { /* three: more than tiles */
            for (double budget = 0.0; budget < 3.0; budget += 1.0) {
                probe_tiling(&p, ctx, devices, NULL, budget);
                probe_run_right(&p);
            }
        }
        probe_close(&p);
    }
}

/* Every token once, in every form: class tokens, batches, shifted windows; streamed and whole. */
static void every_token_once(void **state)
{
    case_agent c = probe_case_windows();
    clattn_agent_attention_desc *d = &c.desc;
    int streamed = 0, whole = 0;

    (void)state;
    for (int form = 0; form < 4; form++) {
        tile_probe p;
        const bool windows = form < 2;
        d->height = windows ? 80 : 47;
        d->width = windows ? 96 : 40;
        d->window_height = windows ? 40 : 0;
        d->window_width = windows ? 32 : 0;
        d->shift_y = windows ? 39 : 0;
        d->shift_x = windows ? 17 : 0;
        d->class_tokens = windows ? 0 : 3;
        d->batch = windows ? 2 : 3;
        probe_open(&p, ctx[0], &c);
        probe_tiling(&p, ctx, 2, NULL, form % 2 == 0 ? 1.0 : 0.0);
        probe_run_right(&p);
        *(p.info.passes > 1 ? &streamed : &whole) += 1;
        probe_close(&p);
    }
    assert_true(streamed > 0 && whole > 0);
}

/* ---- devices of two kinds ---- */

static void two_kinds(void **state)
{
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    clattn_context *both[2] = {ctx[0], NULL};
    double worst = 0.0;

    (void)state;
    if (entry.device == NULL) {
        print_message("    the CPU path alone is no pair\n");
        return;
    }
    const clattn_context_params params = {.log = probe_listen(&heard)};
    assert_int_equal(clattn_context_create_cpu(&params, &both[1]), CLATTN_OK);
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, ctx[0], &cases[i]);
        probe_log_clear(&heard);
        assert_int_equal(probe_create(&p, both, 2, NULL), CLATTN_E_ARG);
        assert_int_equal(probe_heard(&heard, CLATTN_LOG_ERROR, "options.fast"), 1);
        for (double budget = 0.0; budget < 3.0; budget += 1.0) {
            double error = 0.0, size = 0.0;
            probe_tiling(&p, both, 2, &(clattn_tile_options){.fast = 1}, budget);
            assert_int_equal(probe_run(&p), CLATTN_OK);
            for (int64_t k = 0; k < p.floats; k++) {
                error += pow((double)p.tiled[k] - p.untiled[k], 2.0);
                size += pow(p.untiled[k], 2.0);
            }
            worst = fmax(worst, sqrt(error / size));
            assert_true(sqrt(error / size) <= 2e-6);
        }
        probe_close(&p);
    }
    print_message("    relative error with both kinds: at most %.2g\n", worst);
    clattn_context_destroy(&both[1]);
}

static int tests_of(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_budgets, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(exact_bytes, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(odd_maps, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(every_token_once, open_contexts, close_contexts),
        cmocka_unit_test_setup_teardown(two_kinds, open_contexts, close_contexts),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return probe_main(&entry, &heard, tests_of);
}
