/*
 * clattn smooth: what it refuses, and that it leaves nothing behind then: one line on stderr, a non-zero exit, no unfinished file,
 * an older OUT untouched. argument: the program.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"

static const char *program;

/* One line that begins with the command and holds `part`. */
static void expect_sentence(const cli_outcome *outcome, const char *part)
{
    const char *line_end = strchr(outcome->error, '\n');
    if (!g_str_has_prefix(outcome->error, "clattn smooth: ") || !line_end || line_end[1] != '\0' ||
        !strstr(outcome->error, part))
        fail_msg("expected one line with \"%s\", got \"%s\"", part, outcome->error);
    assert_string_equal(outcome->out, "");
    assert_int_equal(cli_unfinished(), 0);
}

/* IN and OUT lie in the folder unless they are absolute; OUT must not appear. */
static void expect_refused(const char *in, const char *out, const char *part)
{
    const char *in_path = g_path_is_absolute(in) ? in : cli_path(in);
    const char *out_path = g_path_is_absolute(out) ? out : cli_path(out);
    const bool there = g_file_test(out_path, G_FILE_TEST_IS_REGULAR);
    cli_outcome outcome = cli_run("smooth", "--device", "cpu", in_path, out_path, NULL);
    assert_int_equal(outcome.code, 1);
    expect_sentence(&outcome, part);
    assert_int_equal(g_file_test(out_path, G_FILE_TEST_IS_REGULAR), there);
    cli_forget(&outcome);
}

/* A good picture, "good.png", for refusals that have another reason. */
static int make_good(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(64, 48, 3, 8);
    cli_save(image, cli_path("good.png"));
    g_object_unref(image);
    return 0;
}

/* Cuts `name` after a part of its length, or overwrites its middle. */
static void damage(const char *name, const char *damaged, double keep, bool overwrite)
{
    char *bytes;
    gsize size;
    assert_true(g_file_get_contents(cli_path(name), &bytes, &size, NULL));
    const gsize kept = (gsize)((double)size * keep);
    if (overwrite)
        memset(bytes + kept, 0x55, (size - kept) / 2);
    assert_true(
        g_file_set_contents(cli_path(damaged), bytes, (gssize)(overwrite ? size : kept), NULL));
    g_free(bytes);
}

static void damaged_pictures(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"png", "jpg", "tif", "webp"};
    VipsImage *image = cli_picture(200, 150, 3, 8);
    for (int i = 0; i < 4; ++i) {
        char whole[32], cut[32];
        g_snprintf(whole, sizeof whole, "whole.%s", suffixes[i]);
        g_snprintf(cut, sizeof cut, "cut.%s", suffixes[i]);
        cli_save(image, cli_path(whole));
        damage(whole, cut, 0.5, false);
        expect_refused(cut, "new.png", "cut");
        damage(whole, cut, 0.0, false);
        expect_refused(cut, "new.png", "cut");
    }
    damage("whole.png", "cut.png", 0.3, true);
    expect_refused("cut.png", "new.png", "cut");
    g_object_unref(image);

    assert_true(g_file_set_contents(cli_path("text.png"), "not a picture\n", -1, NULL));
    expect_refused("text.png", "new.png", "text.png");
    expect_refused("nothing.png", "new.png", "nothing.png");
    expect_refused("/", "new.png", "directory");
}

static void an_older_output_survives(void **state)
{
    (void)state;
    assert_true(g_file_set_contents(cli_path("old.png"), "precious", -1, NULL));
    damage("good.png", "cut.png", 0.5, false);
    expect_refused("cut.png", "old.png", "cut.png");
    char *bytes;
    assert_true(g_file_get_contents(cli_path("old.png"), &bytes, NULL, NULL));
    assert_string_equal(bytes, "precious");
    g_free(bytes);
}

static void outputs_that_cannot_be(void **state)
{
    (void)state;
    expect_refused("good.png", "new.xyz", "suffix");
    expect_refused("good.png", "new", "suffix");
    expect_refused("good.png", "no/such/folder.png", "cannot be written");
    expect_refused("good.png", "good.png/new.png", "cannot be written");
    assert_int_equal(g_mkdir(cli_path("folder.png"), 0700), 0);
    expect_refused("good.png", "folder.png", "cannot be written");
    assert_int_equal(g_rmdir(cli_path("folder.png")), 0);
    if (geteuid() == 0) {
        print_message("root may write anywhere: folders without permission not checked\n");
        return;
    }
    assert_int_equal(g_mkdir(cli_path("closed"), 0500), 0);
    expect_refused("good.png", "closed/new.png", "cannot be written");
    assert_int_equal(g_rmdir(cli_path("closed")), 0);
}

static void what_would_be_lost(void **state)
{
    (void)state;
    VipsImage *alpha = cli_picture(20, 10, 4, 8);
    cli_save(alpha, cli_path("alpha.png"));
    g_object_unref(alpha);
    expect_refused("alpha.png", "new.jpg", "transparency");

    VipsImage *pages = cli_picture(20, 30, 3, 8);
    vips_image_set_int(pages, VIPS_META_PAGE_HEIGHT, 10);
    cli_save(pages, cli_path("pages.tif"));
    g_object_unref(pages);
    expect_refused("pages.tif", "pages.tif", "3 pages");

    VipsImage *grey = cli_picture(20, 10, 1, 8), *samples;
    assert_int_equal(vips_cast(grey, &samples, VIPS_FORMAT_FLOAT, NULL), 0);
    cli_save(samples, cli_path("float.tif"));
    g_object_unref(samples);
    g_object_unref(grey);
    expect_refused("float.tif", "new.tif", "float");
}

static void append_be32(unsigned char *bytes, size_t *size, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes[(*size)++] = (unsigned char)(value >> shift);
}

/* A chunk of a PNG file, with its checksum (PNG specification, annex D). */
static void append_chunk(unsigned char *bytes, size_t *size, const char *type,
                         const unsigned char *data, uint32_t data_size)
{
    append_be32(bytes, size, data_size);
    const size_t start = *size;
    memcpy(bytes + *size, type, 4);
    memcpy(bytes + *size + 4, data, data_size);
    *size += 4 + data_size;
    uint32_t crc = 0xffffffffu;
    for (size_t i = start; i < *size; ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    append_be32(bytes, size, ~crc);
}

/* A PNG file that promises side x side grey pixels and holds none. */
static void save_promise(const char *name, uint32_t side, bool interlaced)
{
    unsigned char bytes[256] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header[13];
    size_t size = 8, header_size = 0;
    append_be32(header, &header_size, side);
    append_be32(header, &header_size, side);
    const unsigned char kind[5] = {8, 0, 0, 0, interlaced}; /* 8 bits, grey */
    memcpy(header + header_size, kind, sizeof kind);
    append_chunk(bytes, &size, "IHDR", header, 13);
    append_chunk(bytes, &size, "IDAT", kind, 1);
    append_chunk(bytes, &size, "IEND", kind, 0);
    assert_true(g_file_set_contents(cli_path(name), (const char *)bytes, (gssize)size, NULL));
}

/* Refused by the header alone, with the numbers. What only memory speaks against goes through in tiles, and here its pixels are missing. */
static void pictures_too_large(void **state)
{
    (void)state;
    save_promise("huge.png", 100000, false);
    expect_refused("huge.png", "new.jpg", "at most 65500 x 65500 pixels");
    expect_refused("huge.png", "new.webp", "at most 16383 x 16383 pixels");
    expect_refused("huge.png", "new.png", "huge.png: ");
    save_promise("whole.png", 100000, true);
    cli_outcome outcome =
        cli_run("smooth", "--memory", "8G", cli_path("whole.png"), cli_path("new.png"), NULL);
    assert_int_equal(outcome.code, 1);
    expect_sentence(&outcome, "decoded as a whole");
    cli_forget(&outcome);
}

static void wrong_options(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"--agents", "0x3"},     {"--agents", "7"},         {"--agents", "3x3x3"},
        {"--sigma-color", "0"},  {"--sigma-color", "0,08"}, {"--sigma-color", "nan"},
        {"--sigma-space", "-1"}, {"--rounds", "1.5"},       {"--rounds", "-1"},
        {"--detail", "2"},       {"--detail", "half"},      {"--no-such-option", "1"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        cli_outcome outcome = cli_run("smooth", wrong[i][0], wrong[i][1], cli_path("good.png"),
                                      cli_path("new.png"), NULL);
        assert_int_equal(outcome.code, 2);
        expect_sentence(&outcome, wrong[i][0]);
        cli_forget(&outcome);
    }
    cli_outcome outcome = cli_run("smooth", cli_path("good.png"), NULL);
    assert_int_equal(outcome.code, 2);
    cli_forget(&outcome);
    outcome = cli_run("smooth", "--device", "no such device", cli_path("good.png"),
                      cli_path("new.png"), NULL);
    assert_int_not_equal(outcome.code, 0);
    expect_sentence(&outcome, "no such device");
    cli_forget(&outcome);
    outcome = cli_run("smooth", "--help", NULL);
    assert_int_equal(outcome.code, 0);
    assert_non_null(strstr(outcome.out, "--sigma-space"));
    cli_forget(&outcome);
}

/* Starts `clattn smooth` on `in` without waiting, silent, its files limited to `most_bytes`. */
static pid_t start(const char *in, const char *out, rlim_t most_bytes)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    const struct rlimit limit = {most_bytes, most_bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(126);
    execl(program, program, "smooth", "--device", "cpu", "--rounds", "0", in, out, (char *)NULL);
    _exit(127);
}

/* The disk is full: here, the file may not grow beyond 10 kB. */
static void a_full_disk(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(300, 200, 3, 16);
    cli_save(image, cli_path("grain.png"));
    g_object_unref(image);
    static const char *const outputs[] = {"new.png", "new.tif", "grain.png"};
    char *before = NULL, *after = NULL;
    assert_true(g_file_get_contents(cli_path("grain.png"), &before, NULL, NULL));
    for (int i = 0; i < 3; ++i) {
        int status = 0;
        const pid_t child = start(cli_path("grain.png"), cli_path(outputs[i]), 10000);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        assert_int_equal(cli_unfinished(), 0);
    }
    assert_false(g_file_test(cli_path("new.png"), G_FILE_TEST_EXISTS));
    assert_false(g_file_test(cli_path("new.tif"), G_FILE_TEST_EXISTS));
    assert_true(g_file_get_contents(cli_path("grain.png"), &after, NULL, NULL));
    assert_memory_equal(before, after, 10000);
    g_free(before);
    g_free(after);
}

int main(int argc, char **argv)
{
    if (!cli_begin(argc, argv))
        return 1;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_pictures),
        cmocka_unit_test(an_older_output_survives),
        cmocka_unit_test(outputs_that_cannot_be),
        cmocka_unit_test(what_would_be_lost),
        cmocka_unit_test(pictures_too_large),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(a_full_disk),
    };
    const int failed = cmocka_run_group_tests_name("smooth_refusals", tests, make_good, NULL);
    cli_end();
    return failed;
}
