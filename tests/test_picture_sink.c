/* Writing pictures in rows (tools/picture_stream.h): the same files as picture_write(), or none. */
#define _XOPEN_SOURCE 700

#include <glib/gstdio.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "cli.h"
#include "pictures.h"

/* The same by picture_read() and picture_write(). */
static void copy_whole(const char *in, const char *out)
{
    picture_error error;
    float *rgb = pictures_read(in), *again;
    picture picture = pictures_open(in);
    again = malloc((size_t)(picture.height * picture.width) * 3 * sizeof(float));
    assert_non_null(again);
    pictures_expect(picture_output_begin(&picture, cli_path(out), &error), &error);
    pictures_expect(picture_read(&picture, again, NULL, &error), &error);
    pictures_expect(picture_write(&picture, rgb, NULL, &error), &error);
    picture_close(&picture);
    free(again);
    free(rgb);
}

static void writing_gives_what_writing_whole_gives(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        bool alpha, exact;
    } outs[] = {
        {"png", true, true}, {"tif", true, true}, {"jpg", false, false}, {"webp", true, false}};
    static const int64_t strips[] = {1, 7, 64, 1000};
    for (size_t o = 0; o < sizeof outs / sizeof outs[0]; ++o)
        for (int bands = 1; bands <= 4; ++bands)
            for (int bits = 8; bits <= 16; bits += 8) {
                if (bands % 2 == 0 && !outs[o].alpha)
                    continue;
                char streamed[32], whole[32];
                g_snprintf(streamed, sizeof streamed, "streamed.%s", outs[o].suffix);
                g_snprintf(whole, sizeof whole, "whole.%s", outs[o].suffix);
                VipsImage *image = cli_picture(203, 351, bands, bits);
                cli_save(image, cli_path("from.png"));
                pictures_copy("from.png", streamed, strips[(o + (size_t)bands) % 4], 1);
                copy_whole("from.png", whole);
                assert_int_equal(cli_file_difference(cli_path(streamed), cli_path(whole)), 0);
                if (outs[o].exact)
                    assert_int_equal(cli_file_difference(cli_path(streamed), cli_path("from.png")),
                                     0);
                g_object_unref(image);
            }
}

/* Alpha of what is held whole, turned, tiled. */
static void alpha_goes_along(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(111, 333, 4, 8), *upright;
    assert_int_equal(vips_rot90(image, &upright, NULL), 0);
    cli_save(image, cli_path("alpha.webp[lossless]"));
    cli_save(image, cli_path("alpha.png"));
    cli_save(upright, cli_path("upright.png"));
    pictures_copy("alpha.webp", "alpha-out.png", 50, 1);
    assert_int_equal(cli_file_difference(cli_path("alpha-out.png"), cli_path("alpha.webp")), 0);
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    cli_save(image, cli_path("alpha.tif[tile]"));
    pictures_copy("alpha.tif", "alpha-out.png", 50, 1);
    assert_int_equal(cli_file_difference(cli_path("alpha-out.png"), cli_path("upright.png")), 0);
    g_object_unref(upright);
    g_object_unref(image);
}

static void what_goes_with_the_picture(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(33, 21, 3, 8), *finer;
    VipsBlob *profile;
    assert_int_equal(vips_profile_load("p3", &profile, NULL), 0);
    size_t size, kept_size;
    const void *bytes = vips_blob_get(profile, &size), *kept;
    assert_int_equal(vips_copy(image, &finer, "xres", 20.0, "yres", 10.0, NULL), 0);
    vips_image_set_blob_copy(finer, VIPS_META_ICC_NAME, bytes, size);
    vips_image_set_string(finer, "exif-ifd0-Artist", "Agnes (Agnes, ASCII, 6 components, 6 bytes)");
    cli_save(finer, cli_path("meta.jpg"));
    static const char *const outs[] = {"meta-out.jpg", "meta-out.png", "meta-out.tif"};
    for (int i = 0; i < 3; ++i) {
        pictures_copy("meta.jpg", outs[i], 4, 1);
        VipsImage *result = cli_load(cli_path(outs[i]));
        assert_int_equal(vips_image_get_blob(result, VIPS_META_ICC_NAME, &kept, &kept_size), 0);
        assert_int_equal(kept_size, size);
        assert_memory_equal(kept, bytes, size);
        assert_true(fabs(result->Xres - 20) < 0.1 && fabs(result->Yres - 10) < 0.1);
        g_object_unref(result);
    }
    vips_area_unref(VIPS_AREA(profile));
    g_object_unref(finer);
    g_object_unref(image);
}

static void output_may_be_the_input(void **state)
{
    (void)state;
    static const char *const names[] = {"same.png", "same.tif[tile]"};
    for (int i = 0; i < 2; ++i) {
        VipsImage *image = cli_picture(300, 290, 4, 16);
        const char *name = i == 0 ? "same.png" : "same.tif";
        cli_save(image, cli_path(names[i]));
        pictures_copy(name, name, 33, 1);
        VipsImage *result = cli_load(cli_path(name));
        assert_int_equal(cli_difference(image, result), 0);
        g_object_unref(result);
        g_object_unref(image);
    }
}

/* How a run ends too early: `rows` rows were taken. OUT, an older file, stays as it was. */
static void expect_abort(const char *out, int64_t rows)
{
    picture_error error;
    picture picture = pictures_open("long.png");
    picture_sink *sink = NULL;
    float *rgb = calloc((size_t)picture.width * 3, sizeof(float));
    assert_non_null(rgb);
    assert_true(g_file_set_contents(cli_path(out), "precious", -1, NULL));
    pictures_expect(picture_output_begin(&picture, cli_path(out), &error), &error);
    pictures_expect(picture_sink_open(&picture, &sink, &error), &error);
    for (int64_t y = 0; y < rows; ++y)
        pictures_expect(picture_sink_take(sink, 1, rgb, picture.width * 3, &error), &error);
    assert_false(picture_sink_finish(&sink, &error));
    assert_non_null(strstr(error.text, "rows came"));
    picture_sink_close(&sink);
    assert_null(sink);
    picture_close(&picture);
    free(rgb);
    char *kept;
    assert_true(g_file_get_contents(cli_path(out), &kept, NULL, NULL));
    assert_string_equal(kept, "precious");
    g_free(kept);
    assert_int_equal(cli_unfinished(), 0);
}

static void ending_early_leaves_nothing(void **state)
{
    (void)state;
    static const char *const outs[] = {"early.png", "early.tif", "early.jpg", "early.webp"};
    VipsImage *image = cli_picture(120, 700, 3, 8);
    cli_save(image, cli_path("long.png"));
    g_object_unref(image);
    for (int o = 0; o < 4; ++o) {
        expect_abort(outs[o], 0);
        expect_abort(outs[o], 1);
        expect_abort(outs[o], 699);
    }
}

/* The disk is full: here, the file may not grow beyond 20 kB. */
static void a_full_disk(void **state)
{
    (void)state;
    static const char *const outs[] = {"full.png", "full.tif", "full.jpg", "full.webp"};
    VipsImage *image = cli_picture(700, 1400, 3, 8);
    cli_save(image, cli_path("grain.png"));
    g_object_unref(image);
    float *rgb = pictures_read("grain.png");
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 20000;
    for (int o = 0; o < 4; ++o) {
        picture_error error = {""};
        picture picture = pictures_open("grain.png");
        picture_sink *sink = NULL;
        pictures_expect(picture_output_begin(&picture, cli_path(outs[o]), &error), &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        pictures_expect(picture_sink_open(&picture, &sink, &error), &error);
        bool done = picture_sink_take(sink, 1400, rgb, 2100, &error);
        done = done && picture_sink_finish(&sink, &error);
        picture_sink_close(&sink);
        picture_close(&picture);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_false(done);
        assert_non_null(strstr(error.text, "output"));
        assert_null(strchr(error.text, '\n'));
        assert_false(g_file_test(cli_path(outs[o]), G_FILE_TEST_EXISTS));
        assert_int_equal(cli_unfinished(), 0);
    }
    free(rgb);
}

int main(int argc, char **argv)
{
    picture_error error;
    if (!cli_begin(argc, argv) || !picture_library_begin(argv[0], &error))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_gives_what_writing_whole_gives),
        cmocka_unit_test(alpha_goes_along),
        cmocka_unit_test(what_goes_with_the_picture),
        cmocka_unit_test(output_may_be_the_input),
        cmocka_unit_test(ending_early_leaves_nothing),
        cmocka_unit_test(a_full_disk),
    };
    const int failed = cmocka_run_group_tests_name("picture_sink", tests, NULL, NULL);
    cli_end();
    return failed;
}
