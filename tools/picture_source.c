/* Reading a picture in rows; see picture_stream.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "picture_internal.h"
#include "picture_stream.h"

/* What is decoded at once. A turned tiled TIFF: a column of the file's tiles, so that each is decoded about once per pass. */
#define CHUNK_ROWS        16
#define CHUNK_ROWS_TURNED 256
/* How far back a request may go below the end of the last one without decoding again. */
#define ROWS_BACK 48
/* What libvips buffers: two and a half rows of tiles of 256 rows, and hardly less where rows come in their order. */
#define LIBRARY_ROWS 640

struct picture_source {
    picture *picture;
    VipsImage *image; /* upright and converted; NULL: not open */
    VipsRegion *region;
    size_t row_bytes;
    int64_t chunk, keep; /* rows */
    int64_t first, end;  /* the rows in `rows`; row y lies at y % keep. Decoding goes on at end */
    unsigned char *rows;
};

static int64_t chunk_rows(const picture *picture)
{
    return picture->turned && picture->way == PICTURE_TILES ? CHUNK_ROWS_TURNED : CHUNK_ROWS;
}

/* A multiple of the chunk. */
static int64_t keep_rows(const picture *picture)
{
    const int64_t chunk = chunk_rows(picture);
    return (ROWS_BACK + chunk - 1) / chunk * chunk + chunk;
}

uint64_t picture__source_bytes(const picture *picture, bool second)
{
    const uint64_t row = VIPS_IMAGE_SIZEOF_LINE(picture->image);
    const uint64_t own = row * (uint64_t)(keep_rows(picture) + chunk_rows(picture));
    if (picture->way == PICTURE_WHOLE)
        return own + (second ? 0 : row * (uint64_t)picture->height * (uint64_t)picture->copies);
    if (!picture->turned)
        return own + row * LIBRARY_ROWS;
    /* Rows of the file are columns here. */
    return own + row * CHUNK_ROWS_TURNED +
           VIPS_IMAGE_SIZEOF_PEL(picture->image) * (uint64_t)picture->height * LIBRARY_ROWS;
}

bool picture_read_whole(const picture *picture)
{
    return picture->way == PICTURE_WHOLE;
}

/* Decodes once for all sources of this picture. Turning works from memory, so that nothing is held twice. */
static bool decode_whole(picture *picture, picture_error *error)
{
    if (picture->decoded)
        return true;
    VipsImage *lazy = picture__load(picture->input, VIPS_ACCESS_SEQUENTIAL, error);
    VipsImage *whole = lazy ? vips_image_copy_memory(lazy) : NULL;
    if (lazy && !whole)
        picture__fail_vips(error, picture->input);
    g_clear_object(&lazy);
    if (!whole)
        return false;
    if (!picture__upright(&whole, picture->input, error)) {
        g_object_unref(whole);
        return false;
    }
    picture__step(&picture->image, whole);
    picture->decoded = true;
    return true;
}

static void shut(picture_source *source)
{
    g_clear_object(&source->region);
    g_clear_object(&source->image);
    source->first = source->end = 0;
}

/* At the top, with nothing decoded. */
static bool start(picture_source *source, picture_error *error)
{
    picture *picture = source->picture;
    shut(source);
    if (picture->way == PICTURE_WHOLE) {
        source->image = g_object_ref(picture->image);
    } else {
        source->image = picture__load(
            picture->input,
            picture->way == PICTURE_TILES ? VIPS_ACCESS_RANDOM : VIPS_ACCESS_SEQUENTIAL, error);
        if (!source->image || !picture__upright(&source->image, picture->input, error))
            return false;
    }
    const VipsImage *image = source->image;
    if (image->Xsize != picture->width || image->Ysize != picture->height ||
        VIPS_IMAGE_SIZEOF_LINE(image) != source->row_bytes)
        return picture__fail(error, "%s: the file has changed while it was read", picture->input);
    source->region = vips_region_new(source->image);
    return source->region || picture__fail_vips(error, picture->input);
}

bool picture_source_open(picture *picture, picture_source **source, picture_error *error)
{
    struct stat file;
    if (stat(picture->input, &file) != 0 || !S_ISREG(file.st_mode))
        return picture__fail(
            error, "%s: no plain file, and what does not fit into memory is read several times",
            picture->input);
    if (picture->way == PICTURE_WHOLE && !decode_whole(picture, error))
        return false;
    picture__one_thread();
    picture_source *made = calloc(1, sizeof *made);
    if (!made)
        return picture__fail(error, "%s: the host is out of memory", picture->input);
    made->picture = picture;
    made->row_bytes = VIPS_IMAGE_SIZEOF_LINE(picture->image);
    made->chunk = chunk_rows(picture);
    made->keep = keep_rows(picture);
    made->rows = malloc((size_t)made->keep * made->row_bytes);
    if (!made->rows) {
        picture_source_close(&made);
        return picture__fail(error, "%s: the host is out of memory", picture->input);
    }
    if (!start(made, error)) {
        picture_source_close(&made);
        return false;
    }
    *source = made;
    return true;
}

void picture_source_close(picture_source **source)
{
    if (!*source)
        return;
    shut(*source);
    free((*source)->rows);
    free(*source);
    *source = NULL;
}

/* Decodes rows end .. end + chunk - 1 in the place of the oldest. */
static bool decode_chunk(picture_source *source, picture_error *error)
{
    VipsRect area = {0, (int)source->end, (int)source->picture->width,
                     (int)VIPS_MIN(source->chunk, source->picture->height - source->end)};
    if (vips_region_prepare(source->region, &area) != 0)
        return picture__fail_vips(error, source->picture->input);
    for (int y = area.top; y < area.top + area.height; ++y)
        memcpy(source->rows + (size_t)(y % source->keep) * source->row_bytes,
               VIPS_REGION_ADDR(source->region, 0, y), source->row_bytes);
    source->end += area.height;
    source->first = VIPS_MAX(source->first, source->end - source->keep);
    return true;
}

/* Row y, decoded; NULL with a sentence. */
static const unsigned char *find_row(picture_source *source, int64_t y, picture_error *error)
{
    const bool rows_only = source->picture->way == PICTURE_ROWS;
    if (y < source->first || (y >= source->end + source->chunk && !rows_only)) {
        if (rows_only && !start(source, error))
            return NULL;
        if (!rows_only)
            source->first = source->end = y - y % source->chunk;
    }
    while (y >= source->end)
        if (!decode_chunk(source, error))
            return NULL;
    return source->rows + (size_t)(y % source->keep) * source->row_bytes;
}

bool picture__source_samples(picture_source *source, int64_t y, const unsigned char **samples,
                             picture_error *error)
{
    *samples = find_row(source, y, error);
    return *samples != NULL;
}

bool picture_source_read(picture_source *source, int64_t y, int64_t x, int64_t height,
                         int64_t width, float *rgb, int64_t row_stride, picture_error *error)
{
    const size_t pixel_bytes = source->row_bytes / (size_t)source->picture->width;
    for (int64_t row = 0; row < height; ++row) {
        const unsigned char *samples = find_row(source, y + row, error);
        if (!samples)
            return false;
        picture__decode(source->picture, samples + (size_t)x * pixel_bytes, width,
                        rgb + row * row_stride);
    }
    return true;
}
