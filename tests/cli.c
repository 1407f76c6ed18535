/* See cli.h. */
#define _POSIX_C_SOURCE 200809L

#include "cli.h"

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MOST_ARGUMENTS 16

static const char *program;
static char *folder;

bool cli_begin(int argc, char **argv)
{
    if (argc < 2 || vips_init(argv[0]) != 0) {
        fprintf(stderr, "usage: %s PROGRAM ...\n", argv[0]);
        return false;
    }
    /* Files change under the same name; nothing that was read before may answer for them. */
    vips_cache_set_max(0);
    program = argv[1];
    folder = g_dir_make_tmp("clattn-XXXXXX", NULL);
    return folder != NULL;
}

void cli_end(void)
{
    GDir *files = g_dir_open(folder, 0, NULL);
    for (const char *name; files && (name = g_dir_read_name(files)) != NULL;)
        g_remove(cli_path(name));
    if (files)
        g_dir_close(files);
    g_rmdir(folder);
    g_free(folder);
    vips_shutdown();
}

const char *cli_path(const char *name)
{
    static char paths[10][4096];
    static int next;
    char *path = paths[next++ % 10];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static cli_outcome spawn(const char **arguments)
{
    cli_outcome outcome = {-1, NULL, NULL};
    int status = 0;
    GError *error = NULL;
    if (!g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_DEFAULT, NULL, NULL, &outcome.out,
                      &outcome.error, &status, &error))
        fail_msg("%s", error->message);
    if (WIFEXITED(status))
        outcome.code = WEXITSTATUS(status);
    return outcome;
}

/* Adds the arguments up to NULL to `count` that are there. */
static void collect(const char **arguments, int count, va_list more)
{
    const char *argument;
    while ((argument = va_arg(more, const char *)) != NULL) {
        assert_true(count < MOST_ARGUMENTS);
        arguments[count++] = argument;
    }
    arguments[count] = NULL;
}

cli_outcome cli_run(const char *first, ...)
{
    const char *arguments[MOST_ARGUMENTS + 1] = {program, first};
    va_list more;
    va_start(more, first);
    collect(arguments, 2, more);
    va_end(more);
    return spawn(arguments);
}

void cli_smooth(const char *in, const char *out, ...)
{
    const char *arguments[MOST_ARGUMENTS + 1] = {program, "smooth", "--device", "cpu", in, out};
    va_list more;
    va_start(more, out);
    collect(arguments, 6, more);
    va_end(more);
    cli_outcome outcome = spawn(arguments);
    if (outcome.code != 0)
        print_error("clattn smooth %s %s: %s", in, out, outcome.error);
    assert_int_equal(outcome.code, 0);
    assert_string_equal(outcome.error, "");
    cli_forget(&outcome);
}

void cli_forget(cli_outcome *outcome)
{
    g_free(outcome->out);
    g_free(outcome->error);
}

int cli_unfinished(void)
{
    int count = 0;
    GDir *files = g_dir_open(folder, 0, NULL);
    assert_non_null(files);
    for (const char *name; (name = g_dir_read_name(files)) != NULL;)
        count += g_str_has_suffix(name, ".part");
    g_dir_close(files);
    return count;
}

VipsImage *cli_picture(int width, int height, int bands, int bits)
{
    const int most = bits == 8 ? 255 : 65535;
    const size_t samples = (size_t)width * (size_t)height * (size_t)bands;
    const size_t bytes = samples * (size_t)(bits / 8);
    unsigned char *narrow = malloc(bytes);
    assert_non_null(narrow);
    unsigned short *wide = (unsigned short *)(void *)narrow;
    uint32_t noise = 1;
    for (size_t i = 0; i < samples; ++i) {
        const int band = (int)(i % (size_t)bands);
        const int x = (int)(i / (size_t)bands % (size_t)width);
        const int y = (int)(i / (size_t)bands / (size_t)width);
        noise = noise * 1664525u + 1013904223u;
        const int edge = x * 2 < width + y ? most / 4 : most / 2;
        const int ramp = (most / 4) * (y + band) / (height + bands);
        const int sample = edge + ramp + (int)((noise >> 16) % (unsigned)(most / 16 + 1));
        if (bits == 8)
            narrow[i] = (unsigned char)sample;
        else
            wide[i] = (unsigned short)sample;
    }
    VipsImage *image = vips_image_new_from_memory_copy(
        narrow, bytes, width, height, bands, bits == 8 ? VIPS_FORMAT_UCHAR : VIPS_FORMAT_USHORT);
    free(narrow);
    assert_non_null(image);
    if (bands < 3)
        image->Type = bits == 8 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_GREY16;
    else
        image->Type = bits == 8 ? VIPS_INTERPRETATION_sRGB : VIPS_INTERPRETATION_RGB16;
    return image;
}

void cli_save(VipsImage *image, const char *path)
{
    if (vips_image_write_to_file(image, path, NULL) != 0)
        fail_msg("%s: %s", path, vips_error_buffer());
}

VipsImage *cli_load(const char *path)
{
    VipsImage *lazy = vips_image_new_from_file(path, NULL);
    VipsImage *image = lazy ? vips_image_copy_memory(lazy) : NULL;
    if (!image)
        fail_msg("%s: %s", path, vips_error_buffer());
    g_object_unref(lazy);
    return image;
}

int cli_difference(VipsImage *a, VipsImage *b)
{
    assert_int_equal(a->Xsize, b->Xsize);
    assert_int_equal(a->Ysize, b->Ysize);
    assert_int_equal(a->Bands, b->Bands);
    assert_int_equal(a->BandFmt, b->BandFmt);
    const int row = a->Xsize * a->Bands;
    int most = 0;
    for (int y = 0; y < a->Ysize; ++y) {
        const void *pa = VIPS_IMAGE_ADDR(a, 0, y), *pb = VIPS_IMAGE_ADDR(b, 0, y);
        for (int i = 0; i < row; ++i) {
            const int d = a->BandFmt == VIPS_FORMAT_UCHAR
                              ? ((const unsigned char *)pa)[i] - ((const unsigned char *)pb)[i]
                              : ((const unsigned short *)pa)[i] - ((const unsigned short *)pb)[i];
            most = VIPS_MAX(most, abs(d));
        }
    }
    return most;
}

int cli_file_difference(const char *a, const char *b)
{
    VipsImage *image_a = cli_load(a), *image_b = cli_load(b);
    const int difference = cli_difference(image_a, image_b);
    g_object_unref(image_a);
    g_object_unref(image_b);
    return difference;
}
