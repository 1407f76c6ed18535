/* See pictures.h. */
#include "pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli.h"

void pictures_expect(bool done, const picture_error *error)
{
    if (!done)
        fail_msg("%s", error->text);
}

picture pictures_open(const char *name)
{
    picture picture;
    picture_error error;
    pictures_expect(picture_open(&picture, cli_path(name), &error), &error);
    return picture;
}

float *pictures_read(const char *name)
{
    picture picture = pictures_open(name);
    picture_error error;
    float *rgb = malloc((size_t)(picture.height * picture.width) * 3 * sizeof(float));
    assert_non_null(rgb);
    pictures_expect(picture_read(&picture, rgb, NULL, &error), &error);
    picture_close(&picture);
    return rgb;
}

void pictures_copy(const char *in, const char *out, int64_t strip, int passes)
{
    picture_error error;
    picture picture = pictures_open(in);
    picture_source *source = NULL;
    picture_sink *sink = NULL;
    const int64_t stride = picture.width * 3 + 2;
    float *rgb = malloc((size_t)(strip * stride) * sizeof(float));
    assert_non_null(rgb);
    pictures_expect(picture_output_begin(&picture, cli_path(out), &error), &error);
    pictures_expect(picture_source_open(&picture, &source, &error), &error);
    for (int pass = 1; pass <= passes; ++pass) {
        if (pass == passes)
            pictures_expect(picture_sink_open(&picture, &sink, &error), &error);
        for (int64_t y = 0; y < picture.height; y += strip) {
            const int64_t rows = MIN(strip, picture.height - y);
            pictures_expect(
                picture_source_read(source, y, 0, rows, picture.width, rgb, stride, &error),
                &error);
            if (sink)
                pictures_expect(picture_sink_take(sink, rows, rgb, stride, &error), &error);
        }
    }
    pictures_expect(picture_sink_finish(&sink, &error), &error);
    assert_null(sink);
    picture_sink_close(&sink);
    picture_source_close(&source);
    picture_close(&picture);
    free(rgb);
    assert_int_equal(cli_unfinished(), 0);
}
