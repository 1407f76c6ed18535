/*
 * Cross-correlation, stride 1, zero padding at the window's edge. Channels are lanes: CHANNELS of
 * them at a time, with their weights transposed to one row of channels per tap. Large kernels go
 * band by band of kernel rows, so that the weights stay in a small array; the first band carries
 * bias and shortcut, and the others add to its sums, for PIECE tokens at a time.
 */
#include "cpu/convolve.h"

#include <stddef.h>

#define CHANNELS 32
#define TAPS_MAX 512 /* 64 KiB of weights */
#define PIECE    128 /* tokens whose sums are kept between bands */

/* Kernels up to this side are one sum. */
#define SMALL_SIZE 5

typedef struct band {
    const convolution *c;
    i32 channel, channels;   /* of the head */
    i32 first_row, last_row; /* of the kernel: [first, last) */
    bool first, last;
    float *sum; /* PIECE rows of CHANNELS, where there are several bands */
    float weight[TAPS_MAX * CHANNELS];
} band;

/*
 * Two neighbours on one axis of the smaller map, and the share of the second (half-pixel centres,
 * clamped at the edges).
 */
typedef struct taps {
    i32 first, second;
    float share;
} taps;

static inline taps resize_taps(i32 i, i32 in, i32 out)
{
    /*
     * The position is at / (2 out) in whole numbers, which keeps the share right however long the
     * map is.
     */
    const i64 centre = (2 * (i64)i + 1) * in - out;
    const i64 at = centre > 0 ? centre : 0;
    const float whole = 2.0f * (float)out;
    const i32 first = (i32)((float)at / whole);
    taps t;
    t.first = first < in - 1 ? first : in - 1;
    t.second = t.first + 1 < in ? t.first + 1 : t.first;
    t.share = (float)(at - 2 * (i64)t.first * out) / whole;
    return t;
}

/* sum += weight * v resized to (y, x). */
FORCE_INLINE void add_resized(const band *b, i32 channels, i32 y, i32 x, const float *weight,
                              float *sum)
{
    const convolution *c = b->c;
    const tokens *v_at = &c->v_at;
    const taps rows = resize_taps(c->top + y, c->v_h, c->map_h);
    const taps columns = resize_taps(c->left + x, c->v_w, c->map_w);
    const elem *map = c->v + v_at->base + v_at->class_tokens * v_at->token + b->channel;
    const elem *above = map + (rows.first - c->v_top) * v_at->row;
    const elem *below = map + (rows.second - c->v_top) * v_at->row;
    const i64 left = (columns.first - c->v_left) * v_at->token;
    const i64 right = (columns.second - c->v_left) * v_at->token;
    float room[4][CHANNELS];
    const float *above_left = read_row(above + left, channels, room[0]);
    const float *above_right = read_row(above + right, channels, room[1]);
    const float *below_left = read_row(below + left, channels, room[2]);
    const float *below_right = read_row(below + right, channels, room[3]);
    EACH (i, channels) {
        const float upper = mad(columns.share, above_right[i] - above_left[i], above_left[i]);
        const float lower = mad(columns.share, below_right[i] - below_left[i], below_left[i]);
        sum[i] = mad(weight[i], mad(rows.share, lower - upper, upper), sum[i]);
    }
}

FORCE_INLINE void add_tap(const band *b, i32 channels, i32 y, i32 x, const float *weight,
                          float *sum)
{
    if (b->c->resized) {
        add_resized(b, channels, y, x, weight, sum);
        return;
    }
    float room[CHANNELS];
    const float *v = read_row(b->c->v + map_offset(&b->c->v_at, y, x) + b->channel, channels, room);
    EACH (i, channels)
        sum[i] = mad(weight[i], v[i], sum[i]);
}

FORCE_INLINE void write_out(const band *b, i32 channels, const float *sum, elem *out)
{
    float room[CHANNELS];
    float total[CHANNELS];
    if (!b->c->accumulate) {
        store_row(sum, channels, out);
        return;
    }
    const float *before = read_row(out, channels, room);
    EACH (i, channels)
        total[i] = before[i] + sum[i];
    store_row(total, channels, out);
}

/* Ends one band's sums of a token, the piece's `number`-th. */
FORCE_INLINE void end_band(const band *b, i32 channels, i32 number, const float *sum, elem *out)
{
    if (b->first && b->last) {
        write_out(b, channels, sum, out);
        return;
    }
    float *kept = b->sum + number * CHANNELS;
    if (b->first)
        EACH (i, channels)
            kept[i] = sum[i];
    else
        EACH (i, channels)
            kept[i] += sum[i];
    if (b->last)
        write_out(b, channels, kept, out);
}

/*
 * One map token; `channels` and `by_rows` are constant after inlining where the chunk is full. Rows
 * of large kernels are added up by themselves first: fewer roundings in a row.
 */
FORCE_INLINE void map_token(const band *b, i32 channels, bool by_rows, i32 number, i32 y, i32 x,
                            elem *out)
{
    const convolution *c = b->c;
    const i32 reach = c->size / 2;
    const i32 height = c->out_at.window_h + c->halo.bottom;
    const i32 width = c->out_at.window_w + c->halo.right;
    const i32 left = x + c->halo.left; /* columns before this one */
    const i32 first_j = left < reach ? reach - left : 0;
    const i32 last_j = width - x <= reach ? reach + width - x : c->size;
    float sum[CHANNELS];
    float row_sum[CHANNELS];

    EACH (i, channels)
        sum[i] = row_sum[i] = 0.0f;
    for (i32 i = b->first_row; i < b->last_row; i++) {
        const i32 row = y + i - reach;
        if (row < -c->halo.top || row >= height)
            continue;
        for (i32 j = first_j; j < last_j; j++)
            add_tap(b, channels, row, x + j - reach,
                    b->weight + ((i - b->first_row) * c->size + j) * CHANNELS,
                    by_rows ? row_sum : sum);
        if (by_rows)
            EACH (k, channels) {
                sum[k] += row_sum[k];
                row_sum[k] = 0.0f;
            }
    }
    if (b->first && c->bias != NULL)
        EACH (i, channels)
            sum[i] += c->bias[b->channel + i];
    if (b->first && c->shortcut != 0.0f) {
        float shortcut[CHANNELS];
        EACH (i, channels)
            shortcut[i] = c->shortcut;
        add_tap(b, channels, y, x, shortcut, sum);
    }
    end_band(b, channels, number, sum, out);
}

/* Class tokens are not convolved. */
static void class_token(const band *b, i32 token, elem *out)
{
    const convolution *c = b->c;
    float room[CHANNELS];
    float sum[CHANNELS];
    if (!b->first)
        return;
    const float *v =
        read_row(c->v + c->v_at.base + token * c->v_at.token + b->channel, b->channels, room);
    for (i32 i = 0; i < b->channels; i++)
        sum[i] = c->shortcut != 0.0f ? c->shortcut * v[i] : 0.0f;
    write_out(b, b->channels, sum, out);
}

static void load_weights(band *b)
{
    const convolution *c = b->c;
    const i32 taps_count = (b->last_row - b->first_row) * c->size;
    for (i32 i = 0; i < b->channels; i++) {
        const float *weight =
            c->weight + ((i64)(b->channel + i) * c->size + b->first_row) * c->size;
        for (i32 t = 0; t < taps_count; t++)
            b->weight[t * CHANNELS + i] = weight[t];
    }
}

static void run_band(band *b, i32 first, i32 count)
{
    const convolution *c = b->c;
    const tokens *out_at = &c->out_at;
    const i32 width = out_at->window_w;
    if (c->size > 0)
        load_weights(b);
    for (i32 token = first; token < first + count; token++) {
        i64 offset;
        token_offsets(out_at, token, 1, &offset);
        elem *out = c->out + offset + b->channel;
        const i32 map = token - out_at->class_tokens;
        const i32 number = token - first;
        if (map < 0)
            class_token(b, token, out);
        else if (b->channels < CHANNELS)
            map_token(b, b->channels, c->size > SMALL_SIZE, number, map / width, map % width, out);
        else if (c->size > SMALL_SIZE)
            map_token(b, CHANNELS, true, number, map / width, map % width, out);
        else
            map_token(b, CHANNELS, false, number, map / width, map % width, out);
    }
}

void convolve(const convolution *c, i32 first, i32 count)
{
    const i32 band_rows =
        c->size > 0 && TAPS_MAX / c->size < c->size ? TAPS_MAX / c->size : c->size;
    const i32 piece = band_rows < c->size && count > PIECE ? PIECE : count;
    const i32 end = first + count;
    float sum[PIECE * CHANNELS];
    band b;
    b.c = c;
    b.sum = sum;
    for (b.channel = 0; b.channel < c->dim; b.channel += CHANNELS) {
        b.channels = c->dim - b.channel < CHANNELS ? c->dim - b.channel : CHANNELS;
        for (i32 token = first; token < end; token += piece) {
            b.first_row = 0;
            do {
                b.last_row = c->size - b.first_row < band_rows ? c->size : b.first_row + band_rows;
                b.first = b.first_row == 0;
                b.last = b.last_row == c->size;
                run_band(&b, token, end - token < piece ? end - token : piece);
                b.first_row = b.last_row;
            } while (b.first_row < c->size);
        }
    }
}
