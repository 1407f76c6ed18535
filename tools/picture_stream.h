/*
 * Pictures larger than memory: rows are decoded when they are asked for and encoded when they are handed over. Beside picture_read()
 * and picture_write() of picture.h, after the same picture_open() and picture_output_begin().
 *
 *     picture_source_open(&picture, &source, &error);
 *     picture_sink_open(&picture, &sink, &error);
 *     for each pass: picture_source_read(source, ...) from the top; in the last one also picture_sink_take(sink, ...)
 *     picture_sink_finish(&sink, &error);         then OUT is there, whole
 *     picture_sink_close(&sink);                  on every path, like the next: OUT is untouched unless finish succeeded
 *     picture_source_close(&source);
 *
 * What stays in memory: some hundreds of rows, most of them in libvips, which is told to use one thread. Not so for what is decoded
 * or encoded in one go: WebP, AVIF, HEIC and all formats but PNG, JPEG and TIFF; interlaced PNG, progressive JPEG; and what its EXIF
 * orientation turns, unless it is a tiled TIFF. These are held whole, decoded once, and picture_stream_bytes() counts them.
 *
 * threads  one thread calls all of these; the sink has a thread of its own for libvips
 */
#ifndef CLATTN_TOOLS_PICTURE_STREAM_H
#define CLATTN_TOOLS_PICTURE_STREAM_H

#include "picture.h"

typedef struct picture_source picture_source;
typedef struct picture_sink picture_sink;

/* About how many bytes source and sink hold together, those in libvips included. After picture_output_begin(). */
uint64_t picture_stream_bytes(const picture *picture);

/* Whether the picture that is read, and the one that is written, are held whole. */
bool picture_read_whole(const picture *picture);
bool picture_written_whole(const picture *picture);

/* `picture` must outlive the source. Refuses what is no plain file: it is opened again for every pass. */
bool picture_source_open(picture *picture, picture_source **source, picture_error *error);

/*
 * RGB in 0 .. 1 of rows y .. y + height - 1, columns x .. x + width - 1: (row, column, c) goes to rgb[row * row_stride + column * 3 + c].
 * Any order is right; going down with overlaps of a few rows, and back to the top, is fast. After a failure only close is left.
 */
bool picture_source_read(picture_source *source, int64_t y, int64_t x, int64_t height,
                         int64_t width, float *rgb, int64_t row_stride, picture_error *error);
/* Sets *source to NULL. */
void picture_source_close(picture_source **source);

/* Starts to write the file that picture_output_begin() made. `picture` must outlive the sink. */
bool picture_sink_open(picture *picture, picture_sink **sink, picture_error *error);

/*
 * The next `height` rows, whole and each once, rounded half up and with the alpha that was read; waits where the file is written more
 * slowly than rows come.
 */
bool picture_sink_take(picture_sink *sink, int64_t height, const float *rgb, int64_t row_stride,
                       picture_error *error);

/* After the last row: waits until the file is written and gives it its name. Sets *sink to NULL. */
bool picture_sink_finish(picture_sink **sink, picture_error *error);
/* Stops writing, if need be, and sets *sink to NULL; the unfinished file goes with picture_close(). */
void picture_sink_close(picture_sink **sink);

#endif
