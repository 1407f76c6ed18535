/* Reading pictures in rows (tools/picture_stream.h): the same samples as picture_read(), in any order. */
#define _XOPEN_SOURCE 700

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "pictures.h"

#define POISON (-7.0f)

/* A rectangle with a gap after each row: every sample as in `whole`, and the gaps untouched. */
static void expect_rectangle(picture_source *source, const picture *picture, const float *whole,
                             int64_t y, int64_t x, int64_t height, int64_t width)
{
    picture_error error;
    const int64_t stride = width * 3 + 5;
    float *rgb = malloc((size_t)(height * stride) * sizeof(float));
    assert_non_null(rgb);
    for (int64_t i = 0; i < height * stride; ++i)
        rgb[i] = POISON;
    pictures_expect(picture_source_read(source, y, x, height, width, rgb, stride, &error), &error);
    for (int64_t row = 0; row < height; ++row) {
        assert_memory_equal(rgb + row * stride, whole + ((y + row) * picture->width + x) * 3,
                            (size_t)(width * 3) * sizeof(float));
        for (int64_t i = width * 3; i < stride; ++i)
            assert_true(rgb[row * stride + i] == POISON);
    }
    free(rgb);
}

/* Two passes of strips with a halo of one row, a pass of runs that end in mid-row, then rectangles in odd order. */
static void expect_streamed(const char *name)
{
    picture_error error;
    float *whole = pictures_read(name);
    picture picture = pictures_open(name);
    picture_source *source = NULL;
    pictures_expect(picture_source_open(&picture, &source, &error), &error);
    const int64_t h = picture.height, w = picture.width;
    for (int pass = 0; pass < 2; ++pass)
        for (int64_t y = 0; y < h; y += 19 + pass) {
            const int64_t top = MAX(y - 1, 0), bottom = MIN(y + 20 + pass, h);
            expect_rectangle(source, &picture, whole, top, 0, bottom - top, w);
        }
    for (int64_t at = 0; at < h * w; at += 1001)
        expect_rectangle(source, &picture, whole, at / w, at % w, 1, MIN(w - at % w, 1001));
    expect_rectangle(source, &picture, whole, h - 1, w - 1, 1, 1);
    expect_rectangle(source, &picture, whole, 0, 3, 2, w - 3);
    expect_rectangle(source, &picture, whole, h / 2, 1, h / 2, w / 2);
    expect_rectangle(source, &picture, whole, h / 3, 0, h / 2, w);
    expect_rectangle(source, &picture, whole, 0, 0, h, w);
    picture_source_close(&source);
    assert_null(source);
    picture_close(&picture);
    free(whole);
}

static void reading_gives_what_reading_whole_gives(void **state)
{
    (void)state;
    static const char *const kinds[] = {"read.png", "read.tif[compression=deflate]",
                                        "read.tif[tile,tile_width=32,tile_height=48]",
                                        "read.png[interlace]"};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; ++k)
        for (int bands = 1; bands <= 4; ++bands)
            for (int bits = 8; bits <= 16; bits += 8) {
                VipsImage *image = cli_picture(203, 151, bands, bits);
                cli_save(image, cli_path(kinds[k]));
                g_object_unref(image);
                expect_streamed(k == 0 || k == 3 ? "read.png" : "read.tif");
            }
    static const char *const lossy[] = {"read.jpg", "read.jpg[interlace]", "read.webp",
                                        "read.webp[lossless]"};
    for (size_t k = 0; k < sizeof lossy / sizeof lossy[0]; ++k) {
        VipsImage *image = cli_picture(203, 151, 3, 8);
        cli_save(image, cli_path(lossy[k]));
        g_object_unref(image);
        expect_streamed(k < 2 ? "read.jpg" : "read.webp");
    }
}

static void every_orientation(void **state)
{
    (void)state;
    for (int orientation = 1; orientation <= 8; ++orientation) {
        VipsImage *image = cli_picture(300, 611, 3, 8);
        vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
        cli_save(image, cli_path("turned.jpg"));
        cli_save(image, cli_path("turned.tif[tile,tile_width=64,tile_height=32]"));
        g_object_unref(image);
        expect_streamed("turned.jpg");
        expect_streamed("turned.tif");
    }
}

static void other_colour_spaces(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(90, 70, 4, 8), *cmyk, *lab;
    assert_int_equal(vips_copy(image, &cmyk, "interpretation", VIPS_INTERPRETATION_CMYK, NULL), 0);
    cli_save(cmyk, cli_path("cmyk.tif"));
    expect_streamed("cmyk.tif");
    VipsImage *rgb = cli_picture(90, 70, 3, 8);
    assert_int_equal(vips_colourspace(rgb, &lab, VIPS_INTERPRETATION_LAB, NULL), 0);
    cli_save(lab, cli_path("lab.tif[tile]"));
    expect_streamed("lab.tif");
    VipsImage *images[] = {image, cmyk, rgb, lab};
    for (int i = 0; i < 4; ++i)
        g_object_unref(images[i]);
}

static void which_ones_are_held_whole(void **state)
{
    (void)state;
    static const struct {
        const char *saved, *name;
        int orientation;
        bool whole;
    } files[] = {
        {"w.png", "w.png", 1, false},
        {"w.tif", "w.tif", 1, false},
        {"w.tif[tile]", "w.tif", 1, false},
        {"w.tif[tile]", "w.tif", 6, false},
        {"w.jpg", "w.jpg", 1, false},
        {"w.jpg", "w.jpg", 2, false},
        {"w.png[interlace]", "w.png", 1, true},
        {"w.jpg[interlace]", "w.jpg", 1, true},
        {"w.jpg", "w.jpg", 6, true},
        {"w.tif", "w.tif", 3, true},
        {"w.webp", "w.webp", 1, true},
    };
    VipsImage *image = cli_picture(40, 30, 3, 8);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) {
        vips_image_set_int(image, VIPS_META_ORIENTATION, files[i].orientation);
        cli_save(image, cli_path(files[i].saved));
        picture picture = pictures_open(files[i].name);
        assert_int_equal(picture_read_whole(&picture), files[i].whole);
        picture_close(&picture);
    }
    g_object_unref(image);
}

static void what_changes_under_the_reader(void **state)
{
    (void)state;
    picture_error error = {""};
    VipsImage *image = cli_picture(60, 400, 3, 8), *other = cli_picture(61, 400, 3, 8);
    cli_save(image, cli_path("changing.png"));
    picture picture = pictures_open("changing.png");
    picture_source *source = NULL;
    float *rgb = malloc(400 * 61 * 3 * sizeof(float));
    assert_non_null(rgb);
    pictures_expect(picture_source_open(&picture, &source, &error), &error);
    pictures_expect(picture_source_read(source, 0, 0, 400, 60, rgb, 180, &error), &error);
    cli_save(other, cli_path("changing.png"));
    assert_false(picture_source_read(source, 0, 0, 400, 60, rgb, 180, &error));
    assert_non_null(strstr(error.text, "changed"));
    picture_source_close(&source);
    assert_int_equal(g_remove(cli_path("changing.png")), 0);
    assert_false(picture_source_open(&picture, &source, &error));
    assert_non_null(strstr(error.text, "no plain file"));
    picture_source_close(&source);
    picture_close(&picture);
    free(rgb);
    g_object_unref(other);
    g_object_unref(image);
}

int main(int argc, char **argv)
{
    picture_error error;
    if (!cli_begin(argc, argv) || !picture_library_begin(argv[0], &error))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_gives_what_reading_whole_gives),
        cmocka_unit_test(every_orientation),
        cmocka_unit_test(other_colour_spaces),
        cmocka_unit_test(which_ones_are_held_whole),
        cmocka_unit_test(what_changes_under_the_reader),
    };
    const int failed = cmocka_run_group_tests_name("picture_source", tests, NULL, NULL);
    cli_end();
    return failed;
}
