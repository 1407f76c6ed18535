/*
 * A tiled run gives the bits of the untiled one: random shapes, forms, budgets, buffers, launch lengths, tiles in flight and devices.
 * Runs on every device with its wide shape and its tile shape, and on the CPU path. CLATTN_TEST_SEED draws other cases,
 * CLATTN_TEST_TILINGS says how many (default 60).
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_random.h"
#include "case_agent_run.h"
#include "contexts.h"
#include "sub_devices.h"
#include "tile_run.h"

#define TEXT            640
#define DEFAULT_TILINGS 60

static const contexts_entry *entry;

/* Two contexts of the device and, where it can be split, its halves: untiled runs are on the first. */
typedef struct devices {
    clattn_context *all[4];
    sub_devices halves;
    bool split;
} devices;

static void open_devices(devices *d)
{
    d->all[0] = contexts_open(entry, NULL);
    d->all[1] = contexts_open(entry, NULL);
    d->split = sub_devices_open(entry, NULL, &d->halves);
    d->all[2] = d->split ? d->halves.ctx[0] : NULL;
    d->all[3] = d->split ? d->halves.ctx[1] : NULL;
}

static void close_devices(devices *d)
{
    if (d->split)
        sub_devices_close(&d->halves);
    clattn_context_destroy(&d->all[1]);
    clattn_context_destroy(&d->all[0]);
}

/* One or two of them; a whole one with a half, too. Returns the first one's number in `all`. */
static int mix_random(fill_random *random, const devices *d, size_t *count)
{
    *count = (size_t)fill_range(random, 1, 2);
    const int last = (d->split ? 4 : 2) - (int)*count;
    return (int)fill_range(random, 0, last);
}

static int tilings(void)
{
    const char *wanted = getenv("CLATTN_TEST_TILINGS");
    return wanted != NULL ? atoi(wanted) : contexts_reduced() ? 6 : DEFAULT_TILINGS;
}

/* The random cases are small, for the oracle; several leaves take more tokens. */
static void enlarge(fill_random *random, case_agent *c)
{
    clattn_agent_attention_desc *d = &c->desc;
    const int64_t times = fill_range(random, 1, contexts_reduced() ? 2 : 5);

    if (c->grid_h[0] != 0 || d->height * d->width > 4000)
        return;
    d->height *= times;
    d->width *= times;
    d->kv_height *= times;
    d->kv_width *= times;
    d->window_height *= times;
    d->window_width *= times;
}

static void test_random(void **state)
{
    fill_random random = {fill_seed()};
    devices d;
    int streamed = 0;

    (void)state;
    open_devices(&d);
    for (int i = 0; i < tilings(); i++) {
        case_agent c;
        case_agent_data data;
        char text[TEXT];

        case_agent_random(&random, contexts_reduced(), &c);
        enlarge(&random, &c);
        case_agent_fill(&c, fill_next(&random), &data);
        case_agent_text(&c, text, sizeof text);
        const int64_t count = case_agent_count(&c, STEP_WHOLE);
        float *untiled = calloc((size_t)count, sizeof *untiled);
        float *tiled = calloc((size_t)count, sizeof *tiled);
        agent_run run;
        agent_run_open(&run, d.all[0], GUARD_TOKENS, &c, &data);
        agent_run_step(&run, STEP_WHOLE, untiled);
        agent_run_close(&run);

        size_t count_of_devices;
        const int first = mix_random(&random, &d, &count_of_devices);
        const clattn_tile_options options = tile_options_random(&random);
        clattn_tiling_info info;
        const double budgets[] = {0.0, 1.0, 1.0, 1.3, 2.0, 4.0};
        const double budget = budgets[fill_range(&random, 0, 5)];
        tile_run_case(d.all + first, count_of_devices, &c, &data, &options, budget, tiled, &info);
        streamed += info.passes > 1;
        char full[TEXT + 200];
        snprintf(full, sizeof full,
                 "%s; %zu devices from %d, %" PRIu64 " bytes, %d passes of %" PRId64 " tiles", text,
                 count_of_devices, first, info.device_bytes, (int)info.passes, info.tiles);
        check_same_bits("tiled", full, tiled, untiled, count);
        free(untiled);
        free(tiled);
        case_agent_free(&data);
    }
    print_message("%d tilings, %d of them streamed\n", tilings(), streamed);
    assert_true(streamed > 0 || tilings() < 20);
    close_devices(&d);
}

static void test_smooth(void **state)
{
    fill_random random = {fill_seed()};
    devices all;

    (void)state;
    open_devices(&all);
    for (int i = 0; i < tilings() / 3 + 1; i++) {
        const int64_t most = contexts_reduced() ? 30 : 160;
        clattn_smooth_desc d = {.height = fill_range(&random, 1, most),
                                .width = fill_range(&random, 1, most),
                                .rounds_plus_one = (int32_t)fill_range(&random, 1, 3)};
        char text[TEXT];

        d.agent_height = fill_range(&random, 1, 6);
        d.agent_width = fill_range(&random, 1, 6);
        d.detail = fill_once_in(&random, 2) ? 0.0f : 0.25f;
        const int64_t count = d.height * d.width * 3;
        float *rgb = fill_new(&random, FILL_UNIFORM, count);
        float *untiled = calloc((size_t)count, sizeof *untiled);
        float *tiled = calloc((size_t)count, sizeof *tiled);
        tile_smooth_untiled(all.all[0], &d, rgb, untiled);

        size_t devices;
        const int first = mix_random(&random, &all, &devices);
        clattn_tile_options options = tile_options_random(&random);
        const double budget = 1.0 + 0.5 * (double)fill_range(&random, 0, 8);
        clattn_tiling_info info;
        options.strips = fill_once_in(&random, 2);
        tile_run_smooth(all.all + first, devices, &d, rgb, &options, budget, tiled, &info);
        snprintf(text, sizeof text,
                 "smooth %" PRId64 " x %" PRId64 ", %" PRId64 " x %" PRId64
                 " agents, %d rounds, %zu devices, %" PRId64 " tiles, strips %d",
                 d.height, d.width, d.agent_height, d.agent_width, (int)d.rounds_plus_one - 1,
                 devices, info.tiles, (int)options.strips);
        check_same_bits("tiled", text, tiled, untiled, count);
        free(rgb);
        free(untiled);
        free(tiled);
    }
    close_devices(&all);
}

int main(void)
{
    contexts_list list;
    int failed = 0;

    contexts_find(false, &list);
    if (list.count == 0)
        return contexts_none();
    print_message("seed %" PRIu64 "\n", fill_seed());
    for (int i = 0; i < list.count; i++) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                           cmocka_unit_test(test_smooth)};
        entry = &list.entries[i];
        print_message("%s\n", entry->name);
        failed += cmocka_run_group_tests_name(entry->name, tests, NULL, NULL);
    }
    return failed;
}
