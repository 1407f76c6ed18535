/*
 * clattn smooth in tiles: the same picture as without, within a budget, on several devices, and nothing left behind when the
 * disk is full. argument: the program.
 */
#define _XOPEN_SOURCE 700

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"

/* As a whole, a picture of this size takes 12 MB of buffers; its rows, with alpha, 4.5 MB. */
#define WIDTH  500
#define HEIGHT 400
#define BUDGET "8M"

static const char *program;

static void expect_sentence(const cli_outcome *outcome, int code, const char *part)
{
    const char *line_end = strchr(outcome->error, '\n');
    if (!g_str_has_prefix(outcome->error, "clattn smooth: ") || !line_end || line_end[1] != '\0' ||
        !strstr(outcome->error, part))
        fail_msg("expected one line with \"%s\", got \"%s\"", part, outcome->error);
    assert_string_equal(outcome->out, "");
    assert_int_equal(outcome->code, code);
    assert_int_equal(cli_unfinished(), 0);
}

/* In more than one tile, by what the program says. */
static void smooth_in_tiles(const char *in, const char *out, const char *device, const char *more)
{
    cli_outcome outcome = cli_run("smooth", "--device", device, "--memory", BUDGET, cli_path(in),
                                  cli_path(out), more, NULL);
    if (outcome.code != 0)
        fail_msg("%s to %s on %s: %s", in, out, device, outcome.error);
    assert_string_equal(outcome.error, "");
    const char *second = strchr(outcome.out, '\n'), *tiles = second ? strstr(second, ": ") : NULL;
    assert_non_null(tiles);
    assert_non_null(strstr(tiles, " tiles in "));
    assert_true(strtol(tiles + 2, NULL, 10) > 1);
    cli_forget(&outcome);
}

/* Strict is the default: not a level of difference. */
static void expect_same(const char *saved, const char *in, const char *out, int bands, int bits)
{
    char whole[32];
    g_snprintf(whole, sizeof whole, "whole-%s", out);
    VipsImage *image = cli_picture(WIDTH, HEIGHT, bands, bits);
    cli_save(image, cli_path(saved));
    g_object_unref(image);
    cli_smooth(cli_path(in), cli_path(whole), NULL);
    smooth_in_tiles(in, out, "cpu", NULL);
    assert_int_equal(cli_file_difference(cli_path(out), cli_path(whole)), 0);
}

static void tiles_change_nothing(void **state)
{
    (void)state;
    expect_same("in.png", "in.png", "out.png", 3, 8);
    expect_same("in.tif", "in.tif", "out.png", 1, 16);
    expect_same("in.tif[tile]", "in.tif", "out.tif", 4, 8);
    expect_same("in.jpg", "in.jpg", "out.jpg", 3, 8);
}

static void the_best_device_agrees(void **state)
{
    (void)state;
    cli_outcome best = cli_run("smooth", cli_path("good.png"), cli_path("best.png"), NULL);
    assert_int_equal(best.code, 0);
    cli_outcome tiled =
        cli_run("smooth", "--memory", BUDGET, cli_path("good.png"), cli_path("tiled.png"), NULL);
    assert_int_equal(tiled.code, 0);
    assert_int_equal(cli_file_difference(cli_path("best.png"), cli_path("tiled.png")), 0);
    cli_forget(&tiled);
    cli_forget(&best);
}

static void output_may_be_the_input(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(WIDTH, HEIGHT, 4, 8);
    cli_save(image, cli_path("same.tif[tile]"));
    cli_save(image, cli_path("other.tif"));
    g_object_unref(image);
    smooth_in_tiles("other.tif", "result.tif", "cpu", NULL);
    smooth_in_tiles("same.tif", "same.tif", "cpu", NULL);
    assert_int_equal(cli_file_difference(cli_path("same.tif"), cli_path("result.tif")), 0);
    assert_int_not_equal(cli_file_difference(cli_path("same.tif"), cli_path("other.tif")), 0);
}

/* The CPU path and an OpenCL device are of different kinds: only with --fast, and then not to the last bit. */
static void several_devices(void **state)
{
    (void)state;
    cli_outcome first =
        cli_run("smooth", "--device", "0", cli_path("good.png"), cli_path("first.png"), NULL);
    if (first.code != 0) {
        cli_forget(&first);
        print_message("no OpenCL device: the CPU path has no partner\n");
        assert_null(g_getenv("CLATTN_TEST_REQUIRE"));
        return;
    }
    cli_forget(&first);
    cli_outcome strict =
        cli_run("smooth", "--device", "0,cpu", cli_path("good.png"), cli_path("strict.png"), NULL);
    expect_sentence(&strict, 1, "--fast");
    assert_false(g_file_test(cli_path("strict.png"), G_FILE_TEST_EXISTS));
    cli_forget(&strict);
    smooth_in_tiles("good.png", "both.png", "0,cpu", "--fast");
    assert_true(cli_file_difference(cli_path("both.png"), cli_path("first.png")) <= 1);
    cli_outcome all = cli_run("smooth", "--device", "all", "--fast", cli_path("good.png"),
                              cli_path("all.png"), NULL);
    assert_int_equal(all.code, 0);
    assert_true(cli_file_difference(cli_path("all.png"), cli_path("first.png")) <= 1);
    cli_forget(&all);
}

/* Two of one kind share a strict run: not a level of difference. PoCL offers the processor twice when asked to. */
static void two_devices_of_one_kind(void **state)
{
    (void)state;
    char *before = g_strdup(g_getenv("POCL_DEVICES"));
    g_setenv("POCL_DEVICES", "pthread pthread", TRUE);
    cli_outcome one =
        cli_run("smooth", "--device", "0", cli_path("good.png"), cli_path("one.png"), NULL);
    cli_outcome two = cli_run("smooth", "--device", "0,1", "--memory", BUDGET, cli_path("good.png"),
                              cli_path("two.png"), NULL);
    if (before)
        g_setenv("POCL_DEVICES", before, TRUE);
    else
        g_unsetenv("POCL_DEVICES");
    g_free(before);
    if (strstr(two.error, "no device") || strstr(two.error, "--fast"))
        print_message("devices 0 and 1 are not of one kind: %s", two.error);
    else {
        assert_int_equal(one.code, 0);
        assert_string_equal(two.error, "");
        assert_int_equal(two.code, 0);
        assert_int_equal(cli_file_difference(cli_path("one.png"), cli_path("two.png")), 0);
    }
    cli_forget(&two);
    cli_forget(&one);
}

static void wrong_options(void **state)
{
    (void)state;
    static const char *const sizes[] = {"0",    "-1",  "",   "5MB", "1.5G",        "1,5G",
                                        "512m", "0x1", "1T", "K",   "99999999999G"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        cli_outcome outcome = cli_run("smooth", "--memory", sizes[i], cli_path("good.png"),
                                      cli_path("new.png"), NULL);
        expect_sentence(&outcome, 2, "--memory");
        cli_forget(&outcome);
    }
    static const char *const devices[][2] = {
        {"cpu,cpu", "twice"}, {"cpu,", "missing"}, {",cpu", "missing"}, {"cpu,no such", "no such"}};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; ++i) {
        cli_outcome outcome = cli_run("smooth", "--device", devices[i][0], cli_path("good.png"),
                                      cli_path("new.png"), NULL);
        expect_sentence(&outcome, 1, devices[i][1]);
        cli_forget(&outcome);
    }
}

/* Less than the rows take, and less than a tile takes besides. */
static void budgets_too_small(void **state)
{
    (void)state;
    static const char *const budgets[] = {"1", "100K", "2280K"};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; ++i) {
        cli_outcome outcome = cli_run("smooth", "--device", "cpu", "--memory", budgets[i],
                                      cli_path("good.png"), cli_path("new.png"), NULL);
        expect_sentence(&outcome, 1, "--memory");
        cli_forget(&outcome);
    }
    VipsImage *image = cli_picture(WIDTH, HEIGHT, 3, 8);
    cli_save(image, cli_path("whole.webp"));
    g_object_unref(image);
    cli_outcome outcome = cli_run("smooth", "--device", "cpu", "--memory", "3M",
                                  cli_path("whole.webp"), cli_path("new.png"), NULL);
    expect_sentence(&outcome, 1, "decoded as a whole");
    cli_forget(&outcome);
    outcome = cli_run("smooth", "--device", "cpu", "--memory", "5M", cli_path("good.png"),
                      cli_path("new.webp"), NULL);
    expect_sentence(&outcome, 1, "encoded from the whole picture");
    cli_forget(&outcome);
    assert_false(g_file_test(cli_path("new.png"), G_FILE_TEST_EXISTS));
    assert_false(g_file_test(cli_path("new.webp"), G_FILE_TEST_EXISTS));
}

/* Smooths good.png in a child whose files may not grow beyond `most_bytes`, stderr in a file. */
static pid_t start(const char *out, rlim_t most_bytes)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    const struct rlimit limit = {most_bytes, most_bytes};
    if (!freopen("/dev/null", "w", stdout) || !freopen(cli_path("said"), "w", stderr) ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(126);
    execl(program, program, "smooth", "--device", "cpu", "--memory", BUDGET, "--rounds", "0",
          cli_path("good.png"), cli_path(out), (char *)NULL);
    _exit(127);
}

static void expect_said(const char *part)
{
    char *said;
    assert_true(g_file_get_contents(cli_path("said"), &said, NULL, NULL));
    const char *line_end = strchr(said, '\n');
    if (!line_end || line_end[1] != '\0' || !strstr(said, part))
        fail_msg("expected one line with \"%s\", got \"%s\"", part, said);
    g_free(said);
}

static void a_full_disk(void **state)
{
    (void)state;
    static const char *const outputs[] = {"new.png", "new.tif", "good.png"};
    for (int i = 0; i < 3; ++i) {
        int status = 0;
        const pid_t child = start(outputs[i], 10000);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        expect_said("output");
        assert_int_equal(cli_unfinished(), 0);
    }
    assert_false(g_file_test(cli_path("new.png"), G_FILE_TEST_EXISTS));
    assert_false(g_file_test(cli_path("new.tif"), G_FILE_TEST_EXISTS));
    g_object_unref(cli_load(cli_path("good.png")));
}

static int make_good(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(WIDTH, HEIGHT, 3, 8);
    cli_save(image, cli_path("good.png"));
    g_object_unref(image);
    return 0;
}

int main(int argc, char **argv)
{
    if (!cli_begin(argc, argv))
        return 1;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_change_nothing),    cmocka_unit_test(the_best_device_agrees),
        cmocka_unit_test(output_may_be_the_input), cmocka_unit_test(several_devices),
        cmocka_unit_test(two_devices_of_one_kind), cmocka_unit_test(wrong_options),
        cmocka_unit_test(budgets_too_small),       cmocka_unit_test(a_full_disk),
    };
    const int failed = cmocka_run_group_tests_name("smooth_tiled", tests, make_good, NULL);
    cli_end();
    return failed;
}
