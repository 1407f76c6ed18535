/*
 * Pictures in rows (tools/picture_stream.h): what stays in memory while a picture of 8192 x 8192 pixels, 192 MiB of samples, is read
 * twice and written, by libvips' own count and by that of the system. In a program of its own, since both only go up.
 */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "cli.h"
#include "pictures.h"

#define SIDE     8192
#define MEBIBYTE (1024.0 * 1024.0)

/* What the allocator and the encoders hold beside what is counted: row buffers of zlib, libjpeg and libtiff. */
#define SLACK (32 * MEBIBYTE)

static double resident(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (double)usage.ru_maxrss * 1024;
}

/* Made from a piece of 512 x 512 pixels, without holding it. */
static void save_large(const char *name)
{
    VipsImage *piece = cli_picture(512, 512, 3, 8), *large, *typed;
    assert_int_equal(vips_replicate(piece, &large, SIDE / 512, SIDE / 512, NULL), 0);
    assert_int_equal(vips_copy(large, &typed, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
    cli_save(typed, cli_path(name));
    g_object_unref(typed);
    g_object_unref(large);
    g_object_unref(piece);
}

static void expect_bounded(const char *in, const char *out)
{
    picture_error error;
    const double before = resident();
    pictures_copy(in, out, 64, 3);
    const double grown = resident() - before, tracked = (double)vips_tracked_get_mem_highwater();

    picture picture = pictures_open(in);
    pictures_expect(picture_output_begin(&picture, cli_path(out), &error), &error);
    const double promised = (double)picture_stream_bytes(&picture);
    picture_close(&picture);
    const double strip = 64.0 * SIDE * 3 * sizeof(float);
    print_message("%s -> %s: libvips %.0f MiB, resident %.0f MiB more, promised %.0f MiB\n", in,
                  out, tracked / MEBIBYTE, grown / MEBIBYTE, promised / MEBIBYTE);
    assert_true(promised < 0.5 * SIDE * SIDE * 3);
    assert_true(tracked <= promised);
    assert_true(grown <= promised + strip + SLACK);
}

static void a_large_picture_stays_on_disc(void **state)
{
    (void)state;
    save_large("large.tif[tile,tile_width=256,tile_height=256]");
    expect_bounded("large.tif", "out.jpg");
    expect_bounded("out.jpg", "out.tif");
}

/* What cannot be read or written in rows says so before anything is decoded. */
static void what_is_held_whole_is_counted_whole(void **state)
{
    (void)state;
    picture_error error;
    VipsImage *image = cli_picture(1000, 900, 3, 8);
    cli_save(image, cli_path("small.png"));
    cli_save(image, cli_path("small.webp"));
    g_object_unref(image);
    picture picture = pictures_open("small.webp");
    pictures_expect(picture_output_begin(&picture, cli_path("small-out.png"), &error), &error);
    assert_true(picture_stream_bytes(&picture) > 2 * 2700000);
    assert_true(picture_read_whole(&picture));
    assert_false(picture_written_whole(&picture));
    picture_close(&picture);
    picture = pictures_open("small.png");
    pictures_expect(picture_output_begin(&picture, cli_path("small-out.webp"), &error), &error);
    assert_true(picture_stream_bytes(&picture) > 3 * 2700000);
    assert_false(picture_read_whole(&picture));
    assert_true(picture_written_whole(&picture));
    picture_close(&picture);
}

int main(int argc, char **argv)
{
    picture_error error;
    if (!cli_begin(argc, argv) || !picture_library_begin(argv[0], &error))
        return 1;
    vips_concurrency_set(1); /* for save_large(), whose buffers count as well */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_picture_stays_on_disc),
        cmocka_unit_test(what_is_held_whole_is_counted_whole),
    };
    const int failed = cmocka_run_group_tests_name("picture_memory", tests, NULL, NULL);
    cli_end();
    return failed;
}
