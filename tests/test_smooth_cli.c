/* clattn smooth: what it keeps of a picture. arguments: the program, the folder of the test pictures. */
#define _POSIX_C_SOURCE 200809L

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"

static const char *data_folder;

/* With --detail 1 everything that was smoothed away is put back: the samples of the output are those of the input. */
static void expect_kept(int bands, int bits, const char *suffix)
{
    VipsImage *image = cli_picture(37, 23, bands, bits);
    char in[32], out[32];
    g_snprintf(in, sizeof in, "kept%s", suffix);
    g_snprintf(out, sizeof out, "kept-out%s", suffix);
    cli_save(image, cli_path(in));
    cli_smooth(cli_path(in), cli_path(out), "--detail", "1", NULL);
    VipsImage *result = cli_load(cli_path(out));
    assert_int_equal(cli_difference(image, result), 0);
    assert_int_equal(result->Type, image->Type);
    g_object_unref(result);
    g_object_unref(image);
}

static void samples_and_types_are_kept(void **state)
{
    (void)state;
    static const char *const suffixes[] = {".png", ".tif"};
    for (int s = 0; s < 2; ++s)
        for (int bands = 1; bands <= 4; ++bands)
            for (int bits = 8; bits <= 16; bits += 8)
                expect_kept(bands, bits, suffixes[s]);
}

/* Alpha bit for bit while the colours are smoothed; grey as RGB of equal channels. */
static void alpha_is_copied_and_grey_is_smoothed_as_rgb(void **state)
{
    (void)state;
    for (int bits = 8; bits <= 16; bits += 8) {
        VipsImage *both = cli_picture(40, 31, 2, bits), *grey, *alpha, *three, *rgb;
        assert_int_equal(vips_extract_band(both, &grey, 0, NULL), 0);
        assert_int_equal(vips_extract_band(both, &alpha, 1, NULL), 0);
        VipsImage *channels[] = {grey, grey, grey};
        assert_int_equal(vips_bandjoin(channels, &three, 3, NULL), 0);
        assert_int_equal(vips_copy(three, &rgb, "interpretation",
                                   bits == 8 ? VIPS_INTERPRETATION_sRGB : VIPS_INTERPRETATION_RGB16,
                                   NULL),
                         0);
        cli_save(both, cli_path("grey-alpha.png"));
        cli_save(rgb, cli_path("rgb.tif"));
        cli_smooth(cli_path("grey-alpha.png"), cli_path("grey-alpha-out.png"), NULL);
        cli_smooth(cli_path("rgb.tif"), cli_path("rgb-out.png"), NULL);

        VipsImage *from_both = cli_load(cli_path("grey-alpha-out.png"));
        VipsImage *from_rgb = cli_load(cli_path("rgb-out.png"));
        assert_int_equal(from_both->Bands, 2);
        for (int y = 0; y < 31; ++y)
            for (int x = 0; x < 40; ++x) {
                double *a, *b, *before;
                int n;
                assert_int_equal(vips_getpoint(from_both, &a, &n, x, y, NULL), 0);
                assert_int_equal(vips_getpoint(from_rgb, &b, &n, x, y, NULL), 0);
                assert_int_equal(vips_getpoint(alpha, &before, &n, x, y, NULL), 0);
                assert_int_equal((int)a[1], (int)before[0]);
                for (int c = 0; c < 3; ++c)
                    assert_int_equal((int)a[0], (int)b[c]);
                g_free(a);
                g_free(b);
                g_free(before);
            }
        VipsImage *images[] = {both, grey, alpha, three, rgb, from_both, from_rgb};
        for (size_t i = 0; i < sizeof images / sizeof images[0]; ++i)
            g_object_unref(images[i]);
    }
}

static void small_pictures_keep_their_size_and_flat_ones_their_colour(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 7}, {7, 1}, {2, 3}, {1, 300}, {24, 24}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        VipsImage *image = cli_picture(sizes[i][0], sizes[i][1], 3, 8);
        memset(VIPS_IMAGE_ADDR(image, 0, 0), 77, VIPS_IMAGE_SIZEOF_IMAGE(image));
        cli_save(image, cli_path("flat.png"));
        cli_smooth(cli_path("flat.png"), cli_path("flat-out.png"), NULL);
        assert_int_equal(cli_file_difference(cli_path("flat.png"), cli_path("flat-out.png")), 0);
        g_object_unref(image);
    }
}

static void orientation_is_applied(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(30, 20, 3, 8), *upright;
    assert_int_equal(vips_rot90(image, &upright, NULL), 0);
    cli_save(upright, cli_path("upright.png"));
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    cli_save(image, cli_path("lying.tif"));
    cli_smooth(cli_path("lying.tif"), cli_path("lying-out.tif"), "--detail", "1", NULL);
    assert_int_equal(cli_file_difference(cli_path("upright.png"), cli_path("lying-out.tif")), 0);
    VipsImage *result = cli_load(cli_path("lying-out.tif"));
    assert_int_equal(vips_image_get_orientation(result), 1);
    g_object_unref(result);
    g_object_unref(upright);
    g_object_unref(image);
}

static void profile_and_exif_are_carried_over(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(33, 21, 3, 8);
    VipsBlob *profile;
    assert_int_equal(vips_profile_load("p3", &profile, NULL), 0);
    size_t size;
    const void *bytes = vips_blob_get(profile, &size);
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, bytes, size);
    vips_image_set_string(image, "exif-ifd0-Artist", "Agnes (Agnes, ASCII, 6 components, 6 bytes)");
    cli_save(image, cli_path("meta.jpg"));
    static const char *const outputs[] = {"meta-out.jpg", "meta-out.webp", "meta-out.png"};
    for (int i = 0; i < 3; ++i) {
        cli_smooth(cli_path("meta.jpg"), cli_path(outputs[i]), NULL);
        VipsImage *result = cli_load(cli_path(outputs[i]));
        const void *kept;
        size_t kept_size;
        const char *artist;
        assert_int_equal(vips_image_get_blob(result, VIPS_META_ICC_NAME, &kept, &kept_size), 0);
        assert_int_equal(kept_size, size);
        assert_memory_equal(kept, bytes, size);
        assert_int_equal(vips_image_get_string(result, "exif-ifd0-Artist", &artist), 0);
        assert_true(g_str_has_prefix(artist, "Agnes"));
        g_object_unref(result);
    }
    vips_area_unref(VIPS_AREA(profile));
    g_object_unref(image);
}

/* CMYK without ink is white; Lab keeps its lightness. */
static void other_colour_spaces_become_srgb(void **state)
{
    (void)state;
    VipsImage *black, *cmyk;
    assert_int_equal(vips_black(&black, 20, 10, "bands", 4, NULL), 0);
    assert_int_equal(vips_copy(black, &cmyk, "interpretation", VIPS_INTERPRETATION_CMYK, NULL), 0);
    cli_save(cmyk, cli_path("cmyk.tif"));
    cli_smooth(cli_path("cmyk.tif"), cli_path("cmyk-out.png"), NULL);
    VipsImage *result = cli_load(cli_path("cmyk-out.png"));
    double *point;
    int n;
    assert_int_equal(result->Type, VIPS_INTERPRETATION_sRGB);
    assert_int_equal(vips_getpoint(result, &point, &n, 3, 3, NULL), 0);
    assert_int_equal(n, 3);
    assert_true(point[0] >= 250 && point[1] >= 250 && point[2] >= 250);
    g_free(point);
    g_object_unref(result);
    g_object_unref(cmyk);
    g_object_unref(black);

    VipsImage *half, *lab;
    const double one = 1, middle = 50;
    assert_int_equal(vips_black(&black, 20, 10, "bands", 3, NULL), 0);
    const double scale[] = {one, one, one}, offset[] = {middle, 0, 0};
    assert_int_equal(vips_linear(black, &half, scale, offset, 3, NULL), 0);
    assert_int_equal(vips_copy(half, &lab, "interpretation", VIPS_INTERPRETATION_LAB, NULL), 0);
    cli_save(lab, cli_path("lab.tif"));
    cli_smooth(cli_path("lab.tif"), cli_path("lab-out.png"), NULL);
    result = cli_load(cli_path("lab-out.png"));
    assert_int_equal(vips_getpoint(result, &point, &n, 3, 3, NULL), 0);
    /* L* = 50 is sRGB 118.9 of 255. */
    for (int c = 0; c < 3; ++c)
        assert_float_equal(point[c] / (result->BandFmt == VIPS_FORMAT_USHORT ? 257 : 1), 118.9, 1);
    g_free(point);
    g_object_unref(result);
    g_object_unref(lab);
    g_object_unref(half);
    g_object_unref(black);
}

static void output_may_be_the_input(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(50, 40, 3, 8);
    cli_save(image, cli_path("same.png"));
    cli_save(image, cli_path("other.png"));
    g_object_unref(image);
    assert_int_equal(g_chmod(cli_path("same.png"), 0640), 0);
    assert_int_equal(symlink("same.png", cli_path("link.png")), 0);
    cli_smooth(cli_path("other.png"), cli_path("result.png"), NULL);
    cli_smooth(cli_path("same.png"), cli_path("link.png"), NULL);
    assert_int_equal(cli_file_difference(cli_path("same.png"), cli_path("result.png")), 0);
    assert_int_not_equal(cli_file_difference(cli_path("same.png"), cli_path("other.png")), 0);
    assert_true(g_file_test(cli_path("link.png"), G_FILE_TEST_IS_SYMLINK));
    struct stat file;
    assert_int_equal(stat(cli_path("same.png"), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    assert_int_equal(cli_unfinished(), 0);
}

/* A German locale writes 0,12; options and messages do not. */
static void numbers_are_alike_under_every_locale(void **state)
{
    (void)state;
    char *command =
        g_strdup_printf("localedef -i de_DE -f UTF-8 %s 2>/dev/null", cli_path("de_DE.UTF-8"));
    const int made = system(command);
    g_free(command);
    VipsImage *image = cli_picture(50, 40, 3, 8);
    cli_save(image, cli_path("number.png"));
    g_object_unref(image);
    cli_smooth(cli_path("number.png"), cli_path("plain.png"), "--sigma-color", "0.12", NULL);
    char *folder = g_path_get_dirname(cli_path("x"));
    if (made == 0)
        g_setenv("LOCPATH", folder, TRUE);
    g_setenv("LC_ALL", "de_DE.UTF-8", TRUE);
    cli_smooth(cli_path("number.png"), cli_path("german.png"), "--sigma-color", "0.12", NULL);
    cli_outcome comma = cli_run("smooth", "--sigma-color", "0,12", cli_path("number.png"),
                                cli_path("comma.png"), NULL);
    cli_outcome said =
        cli_run("smooth", "--device", "cpu", cli_path("number.png"), cli_path("said.png"), NULL);
    g_unsetenv("LC_ALL");
    g_unsetenv("LOCPATH");
    assert_int_equal(cli_file_difference(cli_path("plain.png"), cli_path("german.png")), 0);
    assert_int_equal(comma.code, 2);
    assert_int_equal(said.code, 0);
    assert_null(strchr(said.out, ','));
    cli_forget(&comma);
    cli_forget(&said);
    if (made == 0) {
        command = g_strdup_printf("rm -r %s", cli_path("de_DE.UTF-8"));
        assert_int_equal(system(command), 0);
        g_free(command);
    } else
        print_message("no localedef: checked without a German locale\n");
    g_free(folder);
}

/* The best device and the CPU path round to the same level or its neighbour. */
static void devices_agree_on_the_photograph(void **state)
{
    (void)state;
    char *photograph = g_build_filename(data_folder, "astronaut.png", NULL);
    cli_outcome best = cli_run("smooth", photograph, cli_path("best.png"), NULL);
    assert_int_equal(best.code, 0);
    print_message("%s", best.out);
    cli_smooth(photograph, cli_path("cpu.png"), NULL);
    const bool same_path = strstr(best.out, "CPU path") != NULL;
    if (same_path && g_getenv("CLATTN_TEST_REQUIRE"))
        fail_msg("no OpenCL device to compare the CPU path with");
    assert_true(cli_file_difference(cli_path("best.png"), cli_path("cpu.png")) <= 1);
    assert_true(cli_file_difference(cli_path("cpu.png"), photograph) > 16);
    cli_forget(&best);
    g_free(photograph);
}

int main(int argc, char **argv)
{
    if (argc != 3 || !cli_begin(argc, argv))
        return 1;
    data_folder = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_and_types_are_kept),
        cmocka_unit_test(alpha_is_copied_and_grey_is_smoothed_as_rgb),
        cmocka_unit_test(small_pictures_keep_their_size_and_flat_ones_their_colour),
        cmocka_unit_test(orientation_is_applied),
        cmocka_unit_test(profile_and_exif_are_carried_over),
        cmocka_unit_test(other_colour_spaces_become_srgb),
        cmocka_unit_test(output_may_be_the_input),
        cmocka_unit_test(numbers_are_alike_under_every_locale),
        cmocka_unit_test(devices_agree_on_the_photograph),
    };
    const int failed = cmocka_run_group_tests_name("smooth_cli", tests, NULL, NULL);
    cli_end();
    return failed;
}
