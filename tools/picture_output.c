/* Writing pictures; see picture.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "picture_internal.h"
#include "replace.h"

/* What can be written: without visible loss, or as well as the format allows at a sensible size. */
typedef struct picture_format {
    const char *suffix;
    const char *saver; /* as libvips is told */
    int bits;          /* the most it holds */
    bool alpha;
} picture_format;

static const picture_format formats[] = {
    {".avif", ".avif[Q=80]", 8, true},
    {".heic", ".heic[Q=80]", 8, true},
    {".jpeg", ".jpg[Q=95]", 8, false},
    {".jpg", ".jpg[Q=95]", 8, false},
    {".png", ".png", 16, true},
    {".tif", ".tif[compression=deflate]", 16, true},
    {".tiff", ".tif[compression=deflate]", 16, true},
    {".webp", ".webp[Q=95]", 8, true},
};
#define FORMATS (sizeof formats / sizeof formats[0])

/* The format of a name, or NULL: unknown, or this libvips cannot write it. */
static const picture_format *find_format(const char *path)
{
    const char *suffix = strrchr(path, '.');
    for (size_t i = 0; suffix && i < FORMATS; ++i) {
        if (g_ascii_strcasecmp(suffix, formats[i].suffix) != 0)
            continue;
        const char *saver = vips_foreign_find_save_target(formats[i].suffix);
        vips_error_clear();
        return saver ? &formats[i] : NULL;
    }
    return NULL;
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

bool picture_output_begin(picture *picture, const char *path, picture_error *error)
{
    picture->format = find_format(path);
    if (!picture->format)
        return picture__fail(error,
                             "%s: its suffix names no format that can be written (.png, "
                             ".tif, .jpg, .webp ...)",
                             path);
    if (picture->alpha && !picture->format->alpha)
        return picture__fail(error,
                             "%s: %s files hold no transparency, and %s has some; take .png, .tif "
                             "or .webp",
                             path, picture->format->suffix, picture->input);
    if (picture->pages > 1 && same_file(picture->input, path))
        return picture__fail(error, "%s: it has %lld pages, and one would take the place of all",
                             path, (long long)picture->pages);
    picture->output = replace_begin(path);
    if (picture->output < 0)
        return picture__fail(error, "%s: cannot be written: %s", path, g_strerror(errno));
    return true;
}

/* A sample of 0 .. most, half rounded up; what is no number becomes 0. */
static unsigned round_sample(float value, float most)
{
    const float scaled = value * most + 0.5f;
    if (!(scaled >= 1.0f))
        return 0;
    return scaled >= most ? (unsigned)most : (unsigned)scaled;
}

typedef struct encoding {
    const picture *picture;
    const float *rgb;
    int bits; /* of the file */
} encoding;

static unsigned alpha_sample(const encoding *encoding, const void *samples, int64_t i)
{
    if (encoding->picture->bits == 8)
        return ((const unsigned char *)samples)[i];
    const unsigned wide = ((const unsigned short *)samples)[i];
    return encoding->bits == 16 ? wide : (wide + 128) / 257;
}

/* libvips asks for any rectangle, from several threads. */
static int encode(VipsRegion *region, void *sequence, void *a, void *b, gboolean *stop)
{
    (void)sequence;
    (void)b;
    (void)stop;
    const encoding *encoding = a;
    const picture *picture = encoding->picture;
    const int bands = picture->colours + (picture->alpha ? 1 : 0);
    const VipsRect *valid = &region->valid;
    for (int y = valid->top; y < valid->top + valid->height; ++y) {
        const void *samples = VIPS_IMAGE_ADDR(picture->image, valid->left, y);
        const float *rgb = encoding->rgb + ((int64_t)y * picture->width + valid->left) * 3;
        unsigned char *narrow = (unsigned char *)VIPS_REGION_ADDR(region, valid->left, y);
        unsigned short *wide = (unsigned short *)VIPS_REGION_ADDR(region, valid->left, y);
        for (int64_t i = 0; i < (int64_t)valid->width * bands; ++i) {
            const int band = (int)(i % bands);
            const unsigned sample =
                band == picture->colours
                    ? alpha_sample(encoding, samples, i)
                    : round_sample(rgb[i / bands * 3 + band], encoding->bits == 8 ? 255 : 65535);
            if (encoding->bits == 8)
                narrow[i] = (unsigned char)sample;
            else
                wide[i] = (unsigned short)sample;
        }
    }
    return 0;
}

/* The picture as it shall be written: the metadata of the one that was read, samples from encode(). */
static VipsImage *encoded(encoding *encoding)
{
    const picture *picture = encoding->picture;
    VipsImage *out = vips_image_new();
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_THINSTRIP, picture->image, NULL) != 0) {
        g_object_unref(out);
        return NULL;
    }
    out->BandFmt = encoding->bits == 8 ? VIPS_FORMAT_UCHAR : VIPS_FORMAT_USHORT;
    out->Type = picture__interpretation(picture->colours, encoding->bits);
    if (vips_image_generate(out, NULL, encode, NULL, encoding, NULL) != 0)
        g_clear_object(&out);
    return out;
}

bool picture_write(picture *picture, const float *rgb, picture_progress progress,
                   picture_error *error)
{
    encoding encoding = {picture, rgb, VIPS_MIN(picture->bits, picture->format->bits)};
    VipsImage *out = encoded(&encoding);
    VipsTarget *target = vips_target_new_to_descriptor(picture->output);
    int failed = !out || !target;
    if (!failed) {
        picture__watch watch;
        picture__watch_begin(&watch, out, progress);
        failed = vips_image_write_to_target(out, picture->format->saver, target, NULL);
        picture__watch_end(&watch);
    }
    g_clear_object(&out);
    g_clear_object(&target);
    if (failed)
        return picture__fail_vips(error, "the output");
    picture->output = -1;
    if (!replace_commit())
        return picture__fail(error, "the output cannot be written: %s", g_strerror(errno));
    return true;
}
