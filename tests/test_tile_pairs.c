/*
 * Two devices that are not two contexts of one: halves of a device, whose bits are those of the whole; and, where PoCL is asked for
 * two of its kinds, devices of different kinds, which strict runs refuse and fast ones mix.
 */
#define _POSIX_C_SOURCE 200809L /* setenv */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "sub_devices.h"
#include "tile_probe.h"

static contexts_list list;
static probe_log heard;

/* The entry of the first device whose name differs from that of `other` (NULL: any), with the wide shape. */
static const contexts_entry *entry_of(const clattn_context *other)
{
    for (int i = 0; i < list.count; i++) {
        const contexts_entry *e = &list.entries[i];
        if (e->device == NULL || e->shape != CLATTN_SHAPE_WIDE)
            continue;
        const char *name = other != NULL ? clattn_context_device(other)->name : "";
        if (other == NULL || strncmp(e->name, name, strlen(name)) != 0)
            return e;
    }
    return NULL;
}

/* The halves of the first device that can be split, and its entry; NULL: there is none. */
static const contexts_entry *open_halves(const clattn_context_params *params, sub_devices *parts)
{
    for (int i = 0; i < list.count; i++)
        if (list.entries[i].shape == CLATTN_SHAPE_WIDE &&
            sub_devices_open(&list.entries[i], params, parts))
            return &list.entries[i];
    print_message("    no device that can be split\n");
    return NULL;
}

static void halves(void **state)
{
    const clattn_context_params params = {.log = probe_listen(&heard)};
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    sub_devices parts;
    const contexts_entry *entry = open_halves(&params, &parts);

    (void)state;
    if (entry == NULL)
        return;
    print_message("    %s\n", entry->name);
    clattn_context *whole = contexts_open(entry, &params);
    clattn_context *const mixes[][3] = {
        {parts.ctx[0], parts.ctx[1]}, {parts.ctx[1]}, {parts.ctx[0], parts.ctx[1], whole}};
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, whole, &cases[i]);
        for (int mix = 0; mix < 3; mix++) {
            const size_t devices = mix == 0 ? 2 : mix == 1 ? 1 : 3;
            for (double budget = 0.0; budget < 4.0; budget += 1.0) {
                probe_tiling(&p, mixes[mix], devices, NULL, budget);
                probe_run_right(&p);
                assert_int_equal(probe_heard(&heard, CLATTN_LOG_WARN, ""), 0);
            }
        }
        probe_close(&p);
    }
    clattn_context_destroy(&whole);
    sub_devices_close(&parts);
}

static void smooth_on_halves(void **state)
{
    enum { H = 131, W = 90, FLOATS = H * W * 3 };
    const clattn_smooth_desc d = {.height = H, .width = W, .agent_height = 5, .agent_width = 4};
    sub_devices parts;
    const contexts_entry *entry = open_halves(NULL, &parts);
    fill_random random = {fill_seed()};
    float *rgb = fill_new(&random, FILL_UNIFORM, FLOATS);
    float *untiled = calloc(FLOATS, sizeof *untiled);
    float *tiled = calloc(FLOATS, sizeof *tiled);

    (void)state;
    if (entry != NULL) {
        clattn_context *whole = contexts_open(entry, NULL);
        tile_smooth_untiled(whole, &d, rgb, untiled);
        for (double budget = 1.0; budget < 5.0; budget += 1.0) {
            clattn_tiling_info info;
            tile_run_smooth(parts.ctx, 2, &d, rgb, &(clattn_tile_options){.strips = 1}, budget,
                            tiled, &info);
            check_same_bits("smooth", "halves", tiled, untiled, FLOATS);
        }
        clattn_context_destroy(&whole);
        sub_devices_close(&parts);
    }
    free(rgb);
    free(untiled);
    free(tiled);
}

static void kinds(void **state)
{
    const clattn_context_params params = {.log = probe_listen(&heard)};
    const case_agent cases[] = {probe_case_streamed(), probe_case_windows()};
    const contexts_entry *first = entry_of(NULL);
    clattn_context *both[2] = {NULL, NULL};
    int same = 0;

    (void)state;
    if (first != NULL)
        both[0] = contexts_open(first, &params);
    const contexts_entry *second = first != NULL ? entry_of(both[0]) : NULL;
    if (second == NULL) {
        print_message("    no devices of two kinds\n");
        clattn_context_destroy(&both[0]);
        return;
    }
    print_message("    %s; %s\n", first->name, second->name);
    both[1] = contexts_open(second, &params);
    for (int i = 0; i < 2; i++) {
        tile_probe p;
        probe_open(&p, both[0], &cases[i]);
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
            assert_true(sqrt(error / size) <= 2e-6);
            same += error == 0.0;
        }
        probe_close(&p);
    }
    print_message("    the bits were the same in %d of 6 runs\n", same);
    clattn_context_destroy(&both[1]);
    clattn_context_destroy(&both[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves),
        cmocka_unit_test(smooth_on_halves),
        cmocka_unit_test(kinds),
    };

    setenv("POCL_DEVICES", "pthread basic", 0);
    probe_no_hang();
    contexts_find(false, &list);
    if (list.count == 0)
        return contexts_none();
    probe_log_open(&heard);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
