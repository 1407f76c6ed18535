/* What picture.c and picture_output.c share. */
#ifndef CLATTN_TOOLS_PICTURE_INTERNAL_H
#define CLATTN_TOOLS_PICTURE_INTERNAL_H

#include <vips/vips.h>

#include "picture.h"

/* Both leave a sentence in `error` and return false; the second adds what libvips has to say. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool picture__fail(picture_error *error, const char *format, ...);
bool picture__fail_vips(picture_error *error, const char *what);

/* Puts the next step of a pipeline, which holds the one before, in its place. */
void picture__step(VipsImage **image, VipsImage *next);

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
