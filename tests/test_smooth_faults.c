/*
 * clattn smooth, as it is, on a small picture: every OpenCL call fails once with the codes that its function can have, every allocation
 * of the program and the library, and every operation on a file. Whatever happens, either the picture is there and right, or the exit
 * says 1, one line says why, and there is no file, whole or begun. Nothing is held at the end.
 *
 *     CLATTN_TEST_FULL=1   all of them; else some of the longer runs
 *
 * arguments: the program, a folder (not used), the library failing_layer.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "fault_codes.h"

#define MOST_OPERATIONS 20000

static const char *layer;
static char *cache; /* a folder of compiled kernels */
static bool have_device, full;
static long tried, refused;

enum { CALLS, ALLOCATIONS, FILES, KINDS };
static const char *const kinds[KINDS] = {"call", "allocation", "file"};

/* A way through the program, and of how many operations one is tried, by kind; 0: of none. */
typedef struct way {
    const char *name, *device, *memory;
    bool cached; /* kernels and verdicts are in the folder; else the self-test is part of the run */
    int strides[KINDS];
} way;
static const way ways[] = {
    {"CPU path", "cpu", NULL, false, {0, 1, 1}},
    {"CPU path, tiles", "cpu", "16M", false, {0, 3, 3}},
    {"device", "0", NULL, true, {23, 11, 17}},
    {"device, tiles", "0", "16M", true, {37, 17, 0}},
    {"device, self-test", "0", NULL, false, {151, 91, 0}},
};

/* What failing_layer writes. */
typedef struct report {
    int operations, objects, mapped, pieces;
    char failed[64], misused[64];
} report;

/* The names of the operations are for the run without a failure: `trace` may be NULL. */
static bool read_report(report *r, char (*trace)[64])
{
    FILE *file = fopen(cli_path("report"), "r");
    if (file == NULL)
        return false;
    const int fields = fscanf(file, "%d %d %d %d %63s %63s", &r->operations, &r->objects,
                              &r->mapped, &r->pieces, r->failed, r->misused);
    for (int i = 0; trace != NULL && i < r->operations; i++)
        assert_int_equal(fscanf(file, "%63s", trace[i]), 1);
    fclose(file);
    g_remove(cli_path("report"));
    return fields == 6;
}

static cli_outcome smooth(const way *w)
{
    return cli_run("smooth", cli_path("in.png"), cli_path("out.png"), "--agents", "3x3", "--rounds",
                   "1", "--device", w->device, "--cache", w->cached ? cache : "none",
                   w->memory != NULL ? "--memory" : NULL, w->memory, NULL);
}

/* The same with one failure. */
static cli_outcome smooth_failing(const way *w, int kind, int number, int code)
{
    char text[64];
    g_snprintf(text, sizeof text, "%s %d %d", kinds[kind], number, code);
    g_setenv("CLATTN_FAIL", text, TRUE);
    g_setenv("CLATTN_FAIL_REPORT", cli_path("report"), TRUE);
    g_setenv("LD_PRELOAD", layer, TRUE);
    const cli_outcome outcome = smooth(w);
    g_unsetenv("LD_PRELOAD");
    return outcome;
}

/* One sentence of the program; warnings of the library, and what a driver says, may stand beside it. */
static bool is_one_sentence(const char *error)
{
    int sentences = 0;
    for (const char *line = error; line != NULL && *line != '\0';) {
        sentences += g_str_has_prefix(line, "clattn smooth: ") && strlen(line) > 20;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return sentences == 1;
}

/* NULL: as it has to be. */
static const char *judge(const cli_outcome *outcome, bool failed)
{
    const bool there = g_file_test(cli_path("out.png"), G_FILE_TEST_EXISTS);
    if (outcome->code != 0 && outcome->code != 1)
        return "it crashes";
    if (outcome->code == 0 && !there)
        return "there is no picture";
    if (outcome->code == 0 && cli_file_difference(cli_path("out.png"), cli_path("right.png")) > 1)
        return "the picture is wrong";
    if (outcome->code == 1 && !failed)
        return "nothing failed";
    if (outcome->code == 1 && !is_one_sentence(outcome->error))
        return "not one sentence";
    if (outcome->code == 1 && there)
        return "there is a picture";
    return cli_unfinished() == 0 ? NULL : "an unfinished file is left";
}

static void try_one(const way *w, int kind, int number, int code)
{
    report r = {.operations = 0};
    cli_outcome outcome = smooth_failing(w, kind, number, code);
    const bool ended = read_report(&r, NULL);
    const bool failed = ended && strcmp(r.failed, "-") != 0;
    const char *wrong = judge(&outcome, failed);
    if (wrong == NULL && !ended)
        wrong = "it does not end by itself";
    if (wrong == NULL && (r.objects != 0 || r.mapped != 0 || r.pieces != 0))
        wrong = "something is still held at the end";
    if (wrong == NULL && strcmp(r.misused, "-") != 0)
        wrong = "something is released that was not there";
    if (wrong != NULL)
        fail_msg("%s, %s %d (%s) fails with %d: %s; exit %d, %d objects, %d mapped, %d pieces, "
                 "misused %s: %s",
                 w->name, kinds[kind], number, r.failed, code, wrong, outcome.code, r.objects,
                 r.mapped, r.pieces, r.misused, outcome.error);
    tried += failed;
    refused += outcome.code == 1;
    g_remove(cli_path("out.png"));
    cli_forget(&outcome);
}

/* Each operation with each code; or some of them, each with another of its codes. The cold run is long: one code each, always. */
static void try_kind(const way *w, int kind)
{
    static char trace[MOST_OPERATIONS][64];
    const long tried_before = tried, refused_before = refused;
    const int stride = full ? 1 : w->strides[kind];
    const bool all_codes = full && (w->cached || kind != CALLS);
    report r;
    if (w->strides[kind] == 0)
        return;
    cli_outcome sound = smooth_failing(w, kind, 0, 0);
    assert_true(read_report(&r, trace));
    assert_null(judge(&sound, false));
    g_remove(cli_path("out.png"));
    assert_in_range(r.operations, 1, MOST_OPERATIONS);
    cli_forget(&sound);
    for (int k = 1; k <= r.operations; k += stride) {
        static const int any[] = {1, 0};
        const int *codes = kind == CALLS ? fault_codes(trace[k - 1]) : any;
        int count = 0;
        while (codes[count] != 0)
            count++;
        const int first = all_codes ? 0 : k / stride % count;
        for (int i = first; i < (all_codes ? count : first + 1); i++)
            try_one(w, kind, k, codes[i]);
    }
    print_message("  %-18s %-10s %5d operations, %5ld failures tried, %5ld refused\n", w->name,
                  kinds[kind], r.operations, tried - tried_before, refused - refused_before);
}

static void try_all(int kind)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (have_device || strcmp(ways[i].device, "cpu") == 0)
            try_kind(&ways[i], kind);
}

static void failing_calls(void **state)
{
    (void)state;
    try_all(CALLS);
}

static void failing_allocations(void **state)
{
    (void)state;
    try_all(ALLOCATIONS);
}

static void failing_files(void **state)
{
    (void)state;
    try_all(FILES);
}

/* The picture, what becomes of it, and a folder with the compiled kernels. */
static int make_pictures(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(24, 20, 3, 8);
    cli_save(image, cli_path("in.png"));
    g_object_unref(image);
    cache = g_dir_make_tmp("clattn-cache-XXXXXX", NULL);
    have_device = true;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!have_device)
            break;
        cli_outcome first = smooth(&ways[i]);
        if (first.code == 0 && i == 0)
            g_rename(cli_path("out.png"), cli_path("right.png"));
        have_device = first.code == 0;
        cli_forget(&first);
    }
    g_remove(cli_path("out.png"));
    if (!have_device)
        print_message("no OpenCL device: the CPU path alone\n");
    return have_device || !g_getenv("CLATTN_TEST_REQUIRE") ? 0 : -1;
}

static int forget_cache(void **state)
{
    char *command = g_strdup_printf("rm -r '%s'", cache);
    (void)state;
    print_message("%ld failures tried, %ld of them refused, the others survived\n", tried, refused);
    const int code = system(command);
    g_free(command);
    g_free(cache);
    return code;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(failing_files),
    };
    if (argc != 4 || !cli_begin(argc, argv))
        return 2;
    layer = argv[3];
    full = getenv("CLATTN_TEST_FULL") != NULL;
    const int failed =
        cmocka_run_group_tests_name("smooth_faults", tests, make_pictures, forget_cache);
    cli_end();
    return failed;
}
