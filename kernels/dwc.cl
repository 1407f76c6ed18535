/*
 * dwc: out (+)= depthwise convolution of v over each window's map + bias + shortcut * v.
 * Cross-correlation, stride 1, zero padding at the window's edge. Class tokens are not convolved:
 * theirs is shortcut * v.
 * map      item = CHANNELS channels of TOKENS neighbours in one row of a window, or of one class
 *          token; global = (heads * dim / CHANNELS, class tokens + rows * runs per row, batch *
 *          windows), any local size, the first two rounded up to whole groups; nothing to do where
 *          heads == 0
 * private  TOKENS sums
 * traffic  v once from memory, size^2 times from cache; weights once per run of tokens; v of a
 *          smaller map is resized bilinearly at every tap: 4 reads each
 * flops    2 * size^2 per output, 8 more per tap where v is resized
 * macros   CHANNELS {1, 2, 4, 8, 16}, divides dim: no item has channels of two heads
 *          TOKENS   weights are read once for so many tokens; as many sums stay in registers
 *          SIZE     side of the kernels that `weight` holds: args.size, or any where that is 0
 *
 * v.row and out.row must be set even where grid.linear. What all channels of a token share is
 * computed before the channel is looked at, so that a compiler that makes a loop of the items
 * (PoCL) takes the divisions out of it.
 */
#ifndef CHANNELS
#define CHANNELS 4
#endif
#ifndef TOKENS
#define TOKENS 4
#endif
#ifndef SIZE
#define SIZE 3
#endif

#define JOIN(a, b)   a##b
#define SIZED(a, b)  JOIN(a, b)
#define LOAD1(p)     LOAD(p)
#define STORE1(x, p) STORE(x, p)
#define LOADS(p)     SIZED(LOAD, CHANNELS)(p)
#define STORES(x, p) SIZED(STORE, CHANNELS)(x, p)

/* One weight of each channel, `stride` apart. (Scalars only: see wide_rows.clh about literals.) */
#define SPREAD1(p, stride)  (p)[0]
#define SPREAD2(p, stride)  (p)[0], (p)[stride]
#define SPREAD4(p, stride)  SPREAD2(p, stride), SPREAD2((p) + 2 * (stride), stride)
#define SPREAD8(p, stride)  SPREAD4(p, stride), SPREAD4((p) + 4 * (stride), stride)
#define SPREAD16(p, stride) SPREAD8(p, stride), SPREAD8((p) + 8 * (stride), stride)
#define SPREAD(p, stride)   ((floats)(SIZED(SPREAD, CHANNELS)(p, stride)))

#if CHANNELS == 1
typedef float floats;
#else
typedef SIZED(float, CHANNELS) floats;
#endif

/* Up to TOKENS neighbours in a row of a window; `x + i` is the window's column of the i-th. */
typedef struct Run {
    int y, x;
    int top, left; /* the window's first row and column in the map, before they wrap */
    int first_x,
        end_x; /* columns that exist, counted from the window's: a tile has more around it */
    int first_i, last_i, first_j, last_j; /* taps that exist for any of them */
} Run;

static inline Run run_of(const Dwc args, int window, int y, int x)
{
    const Grid grid = args.grid;
    const int reach = args.size / 2;
    Run run;
    run.y = y;
    run.x = x;
    run.top = ((window / grid.windows_x) * grid.window_h + grid.shift_y) % grid.height;
    run.left = ((window % grid.windows_x) * grid.window_w + grid.shift_x) % grid.width;
    run.first_i = max(0, reach - y - args.halo.top);
    run.last_i = min(args.size - 1, reach + grid.window_h + args.halo.bottom - 1 - y);
    run.first_x = -args.halo.left;
    run.end_x = grid.window_w + args.halo.right;
    run.first_j = max(0, reach - x + run.first_x - (TOKENS - 1));
    run.last_j = min(args.size - 1, reach + run.end_x - 1 - x);
    return run;
}

/* A shifted window wraps, once at most. */
static inline int wrapped(int at, int size)
{
    return at < size ? at : at - size;
}

/* sum[i] += weight * v at column x + i of the window, in a row of the map; columns outside are zeros. */
static inline void add_tap(const Dwc args, const Run run, __global const elem *row, int x,
                           floats weight, floats *sum)
{
    const int width = args.grid.width;
    const int column = wrapped(run.left + x, width);
    if (x >= run.first_x && x + TOKENS <= run.end_x && column + TOKENS <= width) {
        __global const elem *at = row + column * args.v.token;
        CLATTN_UNROLL
        for (int i = 0; i < TOKENS; i++)
            sum[i] = MAD(weight, LOADS(at + i * args.v.token), sum[i]);
        return;
    }
    CLATTN_UNROLL
    for (int i = 0; i < TOKENS; i++)
        if (x + i >= run.first_x && x + i < run.end_x)
            sum[i] =
                MAD(weight, LOADS(row + wrapped(run.left + x + i, width) * args.v.token), sum[i]);
}

/*
 * The convolution; `map` points at the channels of v's first map token, `weight` at the first
 * channel's size x size kernel.
 */
static inline void convolve(const Dwc args, const Run run, __global const elem *map,
                            __global const float *weight, floats *sum)
{
    const int reach = args.size / 2;
    for (int i = run.first_i; i <= run.last_i; i++) {
        const int y = wrapped(run.top + run.y + i - reach, args.grid.height);
        for (int j = run.first_j; j <= run.last_j; j++)
            add_tap(args, run, map + y * args.v.row, run.x + j - reach,
                    SPREAD(weight + i * SIZE + j, SIZE * SIZE), sum);
    }
}

/*
 * Two neighbours on one axis of the smaller map, and how much of the second (half-pixel centres,
 * clamped at the edges).
 */
typedef struct Taps {
    int first, second;
    float weight;
} Taps;

static inline Taps resize_taps(int i, int in, int out)
{
    /*
     * The position is at / (2 out) in whole numbers, which keeps the weight right however long the
     * map is.
     */
    const long at = max((2 * (long)i + 1) * in - out, 0L);
    const float whole = 2.0f * (float)out;
    Taps taps;
    taps.first = min((int)((float)at / whole), in - 1);
    taps.second = min(taps.first + 1, in - 1);
    taps.weight = (float)(at - 2 * (long)taps.first * out) / whole;
    return taps;
}

/* v resized to a row of the output, between two rows of v, at column x (of a tile: its own). */
static inline floats resized_at(const Dwc args, const Taps rows, __global const elem *map, int x)
{
    const Taps columns = resize_taps(args.left + x, args.v_w, args.map_w);
    __global const elem *above = map + (rows.first - args.v_top) * args.v.row;
    __global const elem *below = map + (rows.second - args.v_top) * args.v.row;
    const long left = (columns.first - args.v_left) * args.v.token;
    const long right = (columns.second - args.v_left) * args.v.token;
    const floats upper_left = LOADS(above + left);
    const floats lower_left = LOADS(below + left);
    const floats share = (floats)(columns.weight);
    const floats upper = MAD(share, LOADS(above + right) - upper_left, upper_left);
    const floats lower = MAD(share, LOADS(below + right) - lower_left, lower_left);
    return MAD((floats)(rows.weight), lower - upper, upper);
}

/* The convolution over the resized v, which has no windows. */
static inline void convolve_resized(const Dwc args, const Run run, __global const elem *map,
                                    __global const float *weight, floats *sum)
{
    const int reach = args.size / 2;
    for (int i = run.first_i; i <= run.last_i; i++) {
        const Taps rows = resize_taps(args.top + run.y + i - reach, args.v_h, args.map_h);
        for (int j = run.first_j; j <= run.last_j; j++) {
            const int x = run.x + j - reach;
            const floats tap = SPREAD(weight + i * SIZE + j, SIZE * SIZE);
            CLATTN_UNROLL
            for (int t = 0; t < TOKENS; t++)
                if (x + t >= run.first_x && x + t < run.end_x)
                    sum[t] = MAD(tap, resized_at(args, rows, map, x + t), sum[t]);
        }
    }
}

/* The token itself: v at column x of the run's row. */
static inline floats own_value(const Dwc args, const Run run, __global const elem *map, int x,
                               bool resized)
{
    if (resized)
        return resized_at(args, resize_taps(args.top + run.y, args.v_h, args.map_h), map, x);
    return LOADS(map + wrapped(run.top + run.y, args.grid.height) * args.v.row +
                 wrapped(run.left + x, args.grid.width) * args.v.token);
}

static inline void finish(const Dwc args, floats sum, __global elem *out)
{
    STORES(args.accumulate ? LOADS(out) + sum : sum, out);
}

__kernel void dwc(const Dwc args, __global const elem *restrict v,
                  __global const float *restrict weight, __global const float *restrict bias,
                  __global elem *restrict out)
{
    const int group = (int)get_global_id(0); /* of channels */
    const int place = (int)get_global_id(1); /* class tokens, then the runs of each row */
    const int p = (int)get_global_id(2);
    const Grid grid = args.grid;
    const int picture = p / args.windows;
    const int window = p % args.windows;
    const int runs = (grid.window_w + TOKENS - 1) / TOKENS;
    const int number = max(place - grid.class_tokens, 0);
    const Run run = run_of(args, window, number / runs, number % runs * TOKENS);
    const bool resized = args.v_h != args.map_h || args.v_w != args.map_w;
    const floats shortcut = (floats)(args.shortcut);
    if (group >= args.heads * (args.dim / CHANNELS) || run.y >= grid.window_h)
        return;

    const int channel = group * CHANNELS;
    const int head = channel / args.dim;
    const int dim = channel - head * args.dim;
    v += view_base(args.v, picture, window, head) + dim;
    out += view_base(args.out, picture, window, head) + dim;
    if (place < grid.class_tokens) {
        const floats own = args.shortcut != 0.0f ? LOADS(v + place * args.v.token) : (floats)(0.0f);
        finish(args, MAD(shortcut, own, (floats)(0.0f)), out + place * args.out.token);
        return;
    }

    __global const elem *map = v + grid.class_tokens * args.v.token;
    floats sum[TOKENS];
    CLATTN_UNROLL
    for (int i = 0; i < TOKENS; i++)
        sum[i] = (floats)(0.0f);
    if (args.size > 0) {
        weight += args.weight_offset + (size_t)channel * (SIZE * SIZE);
        if (resized)
            convolve_resized(args, run, map, weight, sum);
        else
            convolve(args, run, map, weight, sum);
    }

    const floats add =
        args.has_bias ? SPREAD(bias + args.bias_offset + channel, 1) : (floats)(0.0f);
    out +=
        grid.class_tokens * args.out.token + wrapped(run.top + run.y, grid.height) * args.out.row;
    CLATTN_UNROLL
    for (int i = 0; i < TOKENS; i++) {
        const int x = run.x + i;
        if (x >= grid.window_w)
            break;
        floats value = sum[i] + add;
        if (args.shortcut != 0.0f)
            value = MAD(shortcut, own_value(args, run, map, x, resized), value);
        finish(args, value, out + wrapped(run.left + x, grid.width) * args.out.token);
    }
}
