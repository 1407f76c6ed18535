/* Reading pictures; see picture.h. Writing them is picture_output.c. */
#include "picture.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <vips/vips.h>

#include "picture_internal.h"
#include "replace.h"

bool picture__fail(picture_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

/* libvips keeps several lines, each ended by a newline, the cause first. */
bool picture__fail_vips(picture_error *error, const char *what)
{
    size_t used = (size_t)snprintf(error->text, sizeof error->text, "%s: ", what);
    for (const char *c = vips_error_buffer(); *c != '\0' && used + 3 < sizeof error->text; ++c) {
        if (*c != '\n')
            error->text[used++] = *c;
        else if (c[1] != '\0') {
            error->text[used++] = ';';
            error->text[used++] = ' ';
        }
    }
    if (used >= sizeof error->text)
        used = sizeof error->text - 1;
    error->text[used] = '\0';
    vips_error_clear();
    return false;
}

void picture__step(VipsImage **image, VipsImage *next)
{
    g_clear_object(image);
    *image = next;
}

static void on_eval(VipsImage *image, VipsProgress *progress, void *data)
{
    (void)image;
    ((picture__watch *)data)->call(progress->percent / 100.0);
}

void picture__watch_begin(picture__watch *watch, VipsImage *image, picture_progress call)
{
    watch->call = call;
    watch->image = call ? image : NULL;
    if (!call)
        return;
    vips_image_set_progress(image, TRUE);
    watch->handler = g_signal_connect(image, "eval", G_CALLBACK(on_eval), watch);
}

void picture__watch_end(picture__watch *watch)
{
    if (watch->image)
        g_signal_handler_disconnect(watch->image, watch->handler);
    watch->image = NULL;
}

/* libvips warns of what it repairs; what it cannot repair is an error, which we print ourselves, in one line. */
static void ignore_message(const char *domain, GLogLevelFlags level, const char *text, void *user)
{
    (void)domain;
    (void)level;
    (void)text;
    (void)user;
}

bool picture_library_begin(const char *program, picture_error *error)
{
    if (vips_init(program) != 0)
        return picture__fail_vips(error, "libvips");
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO, ignore_message, NULL);
    /* Pictures come from strangers: only the loaders that libvips holds fit for that. */
    vips_block_untrusted_set(TRUE);
    return true;
}

void picture_library_end(void)
{
    vips_shutdown();
}

/* CMYK through its own profile, or a common press's; the result is sRGB and carries that profile. */
static VipsImage *from_cmyk(VipsImage *in)
{
    VipsImage *out = NULL;
    vips_icc_transform(in, &out, "srgb", "embedded", TRUE, "input_profile", "cmyk", "depth",
                       in->BandFmt == VIPS_FORMAT_UCHAR ? 8 : 16, NULL);
    return out;
}

/* Lab, XYZ, HSV, linear light...: a profile that came with it does not describe the result. */
static VipsImage *from_colour_space(VipsImage *in)
{
    const bool narrow = in->Coding == VIPS_CODING_LABQ || in->BandFmt == VIPS_FORMAT_UCHAR;
    VipsImage *converted = NULL, *out = NULL;
    if (vips_colourspace(in, &converted,
                         narrow ? VIPS_INTERPRETATION_sRGB : VIPS_INTERPRETATION_RGB16, NULL) == 0)
        vips_copy(converted, &out, NULL);
    if (out)
        vips_image_remove(out, VIPS_META_ICC_NAME);
    g_clear_object(&converted);
    return out;
}

/* Makes *image grey or RGB of 8 or 16 bits. Nothing is computed yet. */
static bool convert(VipsImage **image, const char *path, picture_error *error)
{
    VipsImage *out = NULL;
    switch (vips_image_guess_interpretation(*image)) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
    case VIPS_INTERPRETATION_sRGB:
    case VIPS_INTERPRETATION_RGB16:
    case VIPS_INTERPRETATION_RGB:
        return true;
    case VIPS_INTERPRETATION_CMYK:
        out = from_cmyk(*image);
        break;
    case VIPS_INTERPRETATION_XYZ:
    case VIPS_INTERPRETATION_LAB:
    case VIPS_INTERPRETATION_LABQ:
    case VIPS_INTERPRETATION_LABS:
    case VIPS_INTERPRETATION_LCH:
    case VIPS_INTERPRETATION_CMC:
    case VIPS_INTERPRETATION_YXY:
    case VIPS_INTERPRETATION_HSV:
    case VIPS_INTERPRETATION_scRGB:
        out = from_colour_space(*image);
        break;
    default:
        return picture__fail(error, "%s: its %d bands are not colours that can be smoothed", path,
                             (*image)->Bands);
    }
    if (!out)
        return picture__fail_vips(error, path);
    picture__step(image, out);
    return true;
}

/* What the converted picture is, and the names libvips shall know it by. */
static bool describe(picture *picture, const char *path, picture_error *error)
{
    VipsImage *image = picture->image, *named = NULL;
    if (image->Coding != VIPS_CODING_NONE ||
        (image->BandFmt != VIPS_FORMAT_UCHAR && image->BandFmt != VIPS_FORMAT_USHORT))
        return picture__fail(error,
                             "%s: its samples are of type %s; 8 and 16 bit integers can be "
                             "smoothed",
                             path, vips_enum_nick(VIPS_TYPE_BAND_FORMAT, image->BandFmt));
    if (image->Bands < 1 || image->Bands > 4)
        return picture__fail(error, "%s: it has %d bands; 1 to 4 can be smoothed", path,
                             image->Bands);
    picture->bits = image->BandFmt == VIPS_FORMAT_UCHAR ? 8 : 16;
    picture->colours = image->Bands < 3 ? 1 : 3;
    picture->alpha = image->Bands % 2 == 0;
    picture->height = image->Ysize;
    picture->width = image->Xsize;
    if (vips_copy(image, &named, "interpretation",
                  picture__interpretation(picture->colours, picture->bits), NULL) != 0)
        return picture__fail_vips(error, path);
    picture__step(&picture->image, named);
    return true;
}

VipsImage *picture__load(const char *path, VipsAccess access, picture_error *error)
{
    VipsSource *source = vips_source_new_from_file(path);
    if (!source) {
        picture__fail_vips(error, "the input");
        return NULL;
    }
    VipsImage *image = vips_image_new_from_source(source, "", "access", access, "fail_on",
                                                  VIPS_FAIL_ON_ERROR, NULL);
    g_object_unref(source);
    if (!image)
        picture__fail_vips(error, path);
    return image;
}

bool picture__upright(VipsImage **image, const char *path, picture_error *error)
{
    VipsImage *upright = NULL;
    if (vips_autorot(*image, &upright, NULL) != 0)
        return picture__fail_vips(error, path);
    picture__step(image, upright);
    return convert(image, path, error);
}

/* What libvips notes of a PNG or JPEG file whose rows come in several turns, each over the whole picture. */
static bool interlaced(VipsImage *image)
{
    return vips_image_get_typeof(image, "interlaced") != 0;
}

/* A pipe, which is read once, and what libvips says of files by name is no matter of pipes. */
static bool plain_file(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* Fills way, turned and copies, by the loader that libvips chose and the orientation that it found. */
static void find_way(picture *picture)
{
    const char *loader = "";
    if (vips_image_get_typeof(picture->image, VIPS_META_LOADER) != 0)
        vips_image_get_string(picture->image, VIPS_META_LOADER, &loader);
    const bool tiff = g_str_has_prefix(loader, "tiffload");
    const bool in_rows =
        tiff || g_str_has_prefix(loader, "jpegload") || g_str_has_prefix(loader, "pngload");
    /* 2 only mirrors each row. */
    picture->turned = vips_image_get_orientation(picture->image) > 2;
    picture->way = PICTURE_WHOLE;
    if (tiff && plain_file(picture->input) &&
        (vips_foreign_flags("tiffload", picture->input) & VIPS_FOREIGN_PARTIAL) != 0)
        picture->way = PICTURE_TILES;
    else if (in_rows && !picture->turned && !interlaced(picture->image))
        picture->way = PICTURE_ROWS;
    /* Measured: a loader that goes from top to bottom adds nothing, WebP's and AVIF's hold the picture two more times. */
    picture->copies = !in_rows ? 3 : interlaced(picture->image) ? 2 : 1;
}

bool picture_open(picture *picture, const char *path, picture_error *error)
{
    memset(picture, 0, sizeof *picture);
    picture->output = -1;
    picture->image = picture__load(path, VIPS_ACCESS_RANDOM, error);
    if (!picture->image)
        return false;
    picture->pages = vips_image_get_n_pages(picture->image);
    picture->input = path;
    find_way(picture);
    return picture__upright(&picture->image, path, error) && describe(picture, path, error);
}

void picture__decode(const picture *picture, const void *samples, int64_t width, float *rgb)
{
    const int bands = picture->colours + (picture->alpha ? 1 : 0);
    const unsigned char *narrow = samples;
    const unsigned short *wide = samples;
    for (int64_t x = 0; x < width; ++x) {
        for (int c = 0; c < 3; ++c) {
            const int64_t i = x * bands + (picture->colours == 3 ? c : 0);
            rgb[x * 3 + c] =
                picture->bits == 8 ? (float)narrow[i] / 255.0f : (float)wide[i] / 65535.0f;
        }
    }
}

bool picture_read(picture *picture, float *rgb, picture_progress progress, picture_error *error)
{
    picture__watch watch;
    picture__watch_begin(&watch, picture->image, progress);
    VipsImage *decoded = vips_image_copy_memory(picture->image);
    picture__watch_end(&watch);
    if (!decoded)
        return picture__fail_vips(error, picture->input);
    picture__step(&picture->image, decoded);
    picture->decoded = true;
    for (int64_t y = 0; y < picture->height; ++y)
        picture__decode(picture, VIPS_IMAGE_ADDR(decoded, 0, y), picture->width,
                        rgb + y * picture->width * 3);
    return true;
}

void picture_close(picture *picture)
{
    g_clear_object(&picture->image);
    if (picture->output >= 0)
        replace_discard();
    picture->output = -1;
}
