/*
 * Pictures in files, through libvips: 8 or 16 bits, grey or RGB, with or without alpha. What a picture carries beside its
 * pixels (ICC profile, EXIF, XMP, resolution) goes from the one that was read to the one that is written.
 *
 *     picture_open(&picture, "in.jpg", &error);        the header: size, kind
 *     picture_output_begin(&picture, "out.png", &error); everything about OUT that can be refused is refused here
 *     picture_read(&picture, rgb, progress, &error);    the pixels
 *     picture_write(&picture, rgb, progress, &error);   then OUT is there, whole
 *     picture_close(&picture);                          on every path; OUT is untouched unless picture_write() succeeded
 *
 * All functions that return bool are false on failure and leave a sentence in `error`, without a newline. One picture at a time.
 */
#ifndef CLATTN_TOOLS_PICTURE_H
#define CLATTN_TOOLS_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

struct _VipsImage; /* VipsImage of <vips/vips.h> */

typedef struct picture_error {
    char text[512];
} picture_error;

/* How the rows of a file can be had without the whole picture in memory. */
typedef enum picture_way {
    PICTURE_WHOLE, /* not at all: interlaced, turned by its orientation, or a format that is decoded in one go */
    PICTURE_ROWS, /* from top to bottom, again from the top for each pass */
    PICTURE_TILES /* in any order */
} picture_way;

typedef struct picture {
    struct _VipsImage
        *image; /* upright; sRGB or grey as it will be written, decoded by picture_read() */
    int64_t height, width; /* pixels, upright */
    int colours;           /* 1: grey, 3: RGB */
    int bits;              /* 8 or 16 */
    bool alpha;            /* one more band */
    picture_way way;
    int copies;    /* PICTURE_WHOLE: how often all samples lie in memory while they are decoded */
    bool turned;   /* its rows are columns of the file, or run upwards */
    bool decoded;  /* `image` is in memory */
    int64_t pages; /* of the file; only the first is read */
    const char *input;                   /* the path it was opened by */
    const struct picture_format *format; /* of the output, from picture_output_begin() on */
    int output;                          /* its descriptor, else -1 */
} picture;

/* Called with the part that is done, 0 .. 1. */
typedef void (*picture_progress)(double done);

/* Starts and ends libvips, once per program. */
bool picture_library_begin(const char *program, picture_error *error);
void picture_library_end(void);

/*
 * Reads the header, turns the picture upright by its EXIF orientation and plans its conversion: CMYK, Lab and the like to sRGB,
 * what is wider than 8 bits to 16. Refuses what has no 8 or 16 bit colours: samples in float, more bands than RGB and alpha.
 */
bool picture_open(picture *picture, const char *path, picture_error *error);

/* Decodes. rgb: height * width * 3 floats in 0 .. 1; grey gives three equal channels. */
bool picture_read(picture *picture, float *rgb, picture_progress progress, picture_error *error);

/*
 * Creates the temporary file beside `path`. Refuses a suffix that it cannot write, a folder that it cannot write to, a format
 * without alpha where the picture has alpha, and to put one page in the place of the file of several it was read from.
 */
bool picture_output_begin(picture *picture, const char *path, picture_error *error);

/*
 * Encodes rgb, rounded half up, with the alpha that was read, and renames the file to its final name. 16 bits become 8 in
 * a format that holds no more.
 */
bool picture_write(picture *picture, const float *rgb, picture_progress progress,
                   picture_error *error);

/* Frees everything and removes an unfinished output file. A picture of zeros is accepted. */
void picture_close(picture *picture);

#endif
