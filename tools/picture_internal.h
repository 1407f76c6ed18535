/* What picture.c and picture_output.c share. */
#ifndef CLATTN_TOOLS_PICTURE_INTERNAL_H
#define CLATTN_TOOLS_PICTURE_INTERNAL_H

#include <vips/vips.h>

#include "picture_stream.h"

/* Both leave a sentence in `error` and return false; the second adds what libvips has to say. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool picture__fail(picture_error *error, const char *format, ...);
bool picture__fail_vips(picture_error *error, const char *what);

/* Puts the next step of a pipeline, which holds the one before, in its place. */
void picture__step(VipsImage **image, VipsImage *next);

/* Opens the picture at `path` as it is stored; NULL with a sentence. */
VipsImage *picture__load(const char *path, VipsAccess access, picture_error *error);
/* Turns and converts it, as picture_open() says. Nothing is computed yet. */
bool picture__upright(VipsImage **image, const char *path, picture_error *error);

/* Samples of one row, or of a part of it, to RGB in 0 .. 1. */
void picture__decode(const picture *picture, const void *samples, int64_t width, float *rgb);

/* RGB to samples of `bits` bits, rounded half up; alpha comes from `original`, the samples that were read (else NULL). */
void picture__encode(const picture *picture, int bits, const float *rgb, const void *original,
                     int64_t width, void *samples);

/* The picture as it shall be written: metadata of the one that was read, samples of `bits` bits from `generate`. */
VipsImage *picture__output_image(const picture *picture, int bits, VipsGenerateFn generate,
                                 void *user);
int picture__output_bits(const picture *picture);

/* Writes `out` to the output file, and finishes that file: the two halves of picture_write(). `rows`: it comes in rows. */
bool picture__save(const picture *picture, VipsImage *out, bool rows);
bool picture__commit(picture *picture, picture_error *error);

/* Whether the saver of the output's format holds the whole picture. */
bool picture__saved_whole(const picture *picture);

/*
 * What libvips buffers grows with its threads, to hundreds of rows, and in a picture that comes in rows there is nothing to share among
 * them. One thread also asks for rows in their order.
 */
static inline void picture__one_thread(void)
{
    vips_concurrency_set(1);
}

/* About how many bytes a source holds, those in libvips included; 0 for a second source of a picture that is held whole. */
uint64_t picture__source_bytes(const picture *picture, bool second);

/* Row y as it was read: *samples lives until the next call. */
bool picture__source_samples(picture_source *source, int64_t y, const unsigned char **samples,
                             picture_error *error);

/* Reports the progress of `image`'s evaluation while it lasts. `call` may be NULL. */
typedef struct picture__watch {
    picture_progress call;
    VipsImage *image;
    gulong handler;
} picture__watch;

void picture__watch_begin(picture__watch *watch, VipsImage *image, picture_progress call);
void picture__watch_end(picture__watch *watch);

static inline VipsInterpretation picture__interpretation(int colours, int bits)
{
    if (colours == 1)
        return bits == 8 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_GREY16;
    return bits == 8 ? VIPS_INTERPRETATION_sRGB : VIPS_INTERPRETATION_RGB16;
}

#endif
