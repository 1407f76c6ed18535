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
    bool whole;        /* libvips and the encoder hold the whole picture */
    int64_t most_side; /* pixels; 0: as many as libvips counts */
} picture_format;

static const picture_format formats[] = {
    {".avif", ".avif[Q=80]", 8, true, true, 0},
    {".heic", ".heic[Q=80]", 8, true, true, 0},
    {".jpeg", ".jpg[Q=95]", 8, false, false, 65500},
    {".jpg", ".jpg[Q=95]", 8, false, false, 65500},
    {".png", ".png", 16, true, false, 0},
    {".tif", ".tif[compression=deflate]", 16, true, false, 0},
    {".tiff", ".tif[compression=deflate]", 16, true, false, 0},
    {".webp", ".webp[Q=95]", 8, true, true, 16383},
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
    const int64_t most_side = picture->format->most_side;
    if (most_side != 0 && VIPS_MAX(picture->height, picture->width) > most_side)
        return picture__fail(
            error, "%s: %s files hold at most %lld x %lld pixels, and %s has %lld x %lld", path,
            picture->format->suffix, (long long)most_side, (long long)most_side, picture->input,
            (long long)picture->width, (long long)picture->height);
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

static unsigned alpha_sample(const picture *picture, int bits, const void *original, int64_t i)
{
    if (picture->bits == 8)
        return ((const unsigned char *)original)[i];
    const unsigned wide = ((const unsigned short *)original)[i];
    return bits == 16 ? wide : (wide + 128) / 257;
}

void picture__encode(const picture *picture, int bits, const float *rgb, const void *original,
                     int64_t width, void *samples)
{
    const int colours = picture->colours, bands = colours + (picture->alpha ? 1 : 0);
    const float most = bits == 8 ? 255 : 65535;
    unsigned char *narrow = samples;
    unsigned short *wide = samples;
    for (int64_t x = 0; x < width; ++x) {
        for (int band = 0; band < bands; ++band) {
            const int64_t i = x * bands + band;
            const unsigned sample = band == colours ? alpha_sample(picture, bits, original, i)
                                                    : round_sample(rgb[x * 3 + band], most);
            if (bits == 8)
                narrow[i] = (unsigned char)sample;
            else
                wide[i] = (unsigned short)sample;
        }
    }
}

int picture__output_bits(const picture *picture)
{
    return VIPS_MIN(picture->bits, picture->format->bits);
}

typedef struct encoding {
    const picture *picture;
    const float *rgb;
    int bits; /* of the file */
} encoding;

/* libvips asks for any rectangle, from several threads. */
static int encode(VipsRegion *region, void *sequence, void *a, void *b, gboolean *stop)
{
    (void)sequence;
    (void)b;
    (void)stop;
    const encoding *encoding = a;
    const picture *picture = encoding->picture;
    const VipsRect *valid = &region->valid;
    for (int y = valid->top; y < valid->top + valid->height; ++y)
        picture__encode(picture, encoding->bits,
                        encoding->rgb + ((int64_t)y * picture->width + valid->left) * 3,
                        VIPS_IMAGE_ADDR(picture->image, valid->left, y), valid->width,
                        VIPS_REGION_ADDR(region, valid->left, y));
    return 0;
}

VipsImage *picture__output_image(const picture *picture, int bits, VipsGenerateFn generate,
                                 void *user)
{
    VipsImage *out = vips_image_new();
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_THINSTRIP, picture->image, NULL) != 0) {
        g_object_unref(out);
        return NULL;
    }
    /* Whole rows, whatever suits the file that was read. */
    out->dhint = VIPS_DEMAND_STYLE_THINSTRIP;
    out->BandFmt = bits == 8 ? VIPS_FORMAT_UCHAR : VIPS_FORMAT_USHORT;
    out->Type = picture__interpretation(picture->colours, bits);
    if (vips_image_generate(out, NULL, generate, NULL, user, NULL) != 0)
        g_clear_object(&out);
    return out;
}

bool picture__saved_whole(const picture *picture)
{
    return picture->format->whole;
}

/* Above it BigTIFF: the classic kind names places by 32 bits, and deflate may make noise a little larger than it is. */
#define MOST_CLASSIC_TIFF UINT64_C(0xf0000000)

/* What comes in rows may be large: tiles, so that a viewer finds its part. */
static const char *find_saver(const picture *picture, VipsImage *out, bool rows)
{
    if (!g_str_has_prefix(picture->format->saver, ".tif"))
        return picture->format->saver;
    const bool big = VIPS_IMAGE_SIZEOF_IMAGE(out) > MOST_CLASSIC_TIFF;
    if (rows)
        return big ? ".tif[compression=deflate,tile,tile_width=256,tile_height=256,bigtiff]"
                   : ".tif[compression=deflate,tile,tile_width=256,tile_height=256]";
    return big ? ".tif[compression=deflate,bigtiff]" : picture->format->saver;
}

bool picture__save(const picture *picture, VipsImage *out, bool rows)
{
    VipsTarget *target = vips_target_new_to_descriptor(picture->output);
    const bool saved = target && vips_image_write_to_target(out, find_saver(picture, out, rows),
                                                            target, NULL) == 0;
    g_clear_object(&target);
    return saved;
}

bool picture__commit(picture *picture, picture_error *error)
{
    picture->output = -1;
    if (!replace_commit())
        return picture__fail(error, "the output cannot be written: %s", g_strerror(errno));
    return true;
}

bool picture_write(picture *picture, const float *rgb, picture_progress progress,
                   picture_error *error)
{
    encoding encoding = {picture, rgb, picture__output_bits(picture)};
    VipsImage *out = picture__output_image(picture, encoding.bits, encode, &encoding);
    bool saved = false;
    if (out) {
        picture__watch watch;
        picture__watch_begin(&watch, out, progress);
        saved = picture__save(picture, out, false);
        picture__watch_end(&watch);
    }
    g_clear_object(&out);
    return saved ? picture__commit(picture, error) : picture__fail_vips(error, "the output");
}
