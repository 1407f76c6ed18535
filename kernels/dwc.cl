/*
 * dwc: out (+)= depthwise convolution of v over each window's map + bias + shortcut * v.
 * Cross-correlation, stride 1, zero padding at the window's edge. Class tokens are not convolved:
 * theirs is shortcut * v.
 * map      item = one channel of one token; global = (heads * dim, grid.tokens, batch * windows), any
 *          local size, the first two rounded up to whole groups; nothing to do where heads == 0
 * traffic  v once from memory, size^2 times from cache; v of a smaller map is resized bilinearly at
 *          every tap: 4 reads each
 * flops    2 * size^2 per output, 8 more per tap where v is resized
 *
 * v.row must be set even where grid.linear. What all channels of a token share is computed before
 * the channel is looked at, so that a compiler that makes a loop of the items (PoCL) takes the
 * divisions out of it.
 */

/*
 * The taps of one token that fall inside its window: kernel rows and columns [first, last], and
 * where the first one lies.
 */
typedef struct Patch {
    int y, x;        /* the token in its window */
    int row, column; /* and in the map in memory */
    int first_i, last_i;
    int first_j, last_j;
    int first_row, first_column;
} Patch;

static inline Patch patch_of(const Dwc args, int window, int map_token)
{
    const Grid grid = args.grid;
    const int reach = args.size / 2;
    const int top = (window / grid.windows_x) * grid.window_h + grid.shift_y;
    const int left = (window % grid.windows_x) * grid.window_w + grid.shift_x;
    Patch patch;
    patch.y = map_token / grid.window_w;
    patch.x = map_token % grid.window_w;
    patch.first_i = max(0, reach - patch.y - args.halo.top);
    patch.last_i = min(args.size - 1, reach + grid.window_h + args.halo.bottom - 1 - patch.y);
    patch.first_j = max(0, reach - patch.x - args.halo.left);
    patch.last_j = min(args.size - 1, reach + grid.window_w + args.halo.right - 1 - patch.x);
    patch.row = (top + patch.y) % grid.height;
    patch.column = (left + patch.x) % grid.width;
    patch.first_row =
        (top + patch.y + patch.first_i - reach) % grid.height; /* a halo's are negative */
    patch.first_column = (left + patch.x + patch.first_j - reach) % grid.width;
    return patch;
}

/*
 * The convolution; `map` points at the channel of v's first map token, `weight` at the channel's
 * size x size kernel.
 */
static inline float convolve(const Dwc args, const Patch patch, __global const float *map,
                             __global const float *weight)
{
    float sum = 0.0f;
    int row = patch.first_row;
    for (int i = patch.first_i; i <= patch.last_i; i++) {
        int column = patch.first_column;
        for (int j = patch.first_j; j <= patch.last_j; j++) {
            sum =
                MAD(weight[i * args.size + j], map[row * args.v.row + column * args.v.token], sum);
            column = column + 1 < args.grid.width ? column + 1 : 0; /* a shifted window wraps */
        }
        row = row + 1 < args.grid.height ? row + 1 : 0;
    }
    return sum;
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

/* v resized to row y and column x of the output (of a tile: counted from its own first token). */
static inline float resized_at(const Dwc args, __global const float *map, int y, int x)
{
    const Taps rows = resize_taps(args.top + y, args.v_h, args.map_h);
    const Taps columns = resize_taps(args.left + x, args.v_w, args.map_w);
    __global const float *above = map + (rows.first - args.v_top) * args.v.row;
    __global const float *below = map + (rows.second - args.v_top) * args.v.row;
    const long left = (columns.first - args.v_left) * args.v.token;
    const long right = (columns.second - args.v_left) * args.v.token;
    const float upper = MAD(columns.weight, above[right] - above[left], above[left]);
    const float lower = MAD(columns.weight, below[right] - below[left], below[left]);
    return MAD(rows.weight, lower - upper, upper);
}

/* The convolution over the resized v, which has no windows. */
static inline float convolve_resized(const Dwc args, const Patch patch, __global const float *map,
                                     __global const float *weight)
{
    const int top = patch.y - args.size / 2;
    const int left = patch.x - args.size / 2;
    float sum = 0.0f;
    for (int i = patch.first_i; i <= patch.last_i; i++)
        for (int j = patch.first_j; j <= patch.last_j; j++)
            sum = MAD(weight[i * args.size + j], resized_at(args, map, top + i, left + j), sum);
    return sum;
}

__kernel void dwc(const Dwc args, __global const float *restrict v,
                  __global const float *restrict weight, __global const float *restrict bias,
                  __global float *restrict out)
{
    const int channel = (int)get_global_id(0);
    const int token = (int)get_global_id(1);
    const int p = (int)get_global_id(2);
    const int picture = p / args.windows;
    const int window = p % args.windows;
    const int class_tokens = args.grid.class_tokens;
    const Patch patch = patch_of(args, window, max(token - class_tokens, 0));
    const bool resized = args.v_h != args.map_h || args.v_w != args.map_w;
    const size_t out_token = token_offset(args.out, args.grid, window, token);
    if (channel >= args.heads * args.dim || token >= args.grid.tokens)
        return;

    const int head = channel / args.dim;
    const int dim = channel - head * args.dim;
    __global const float *own_v = v + view_base(args.v, picture, window, head) + dim;
    __global const float *map = own_v + class_tokens * args.v.token;
    __global const float *kernel_weight =
        weight + args.weight_offset + (size_t)channel * (size_t)(args.size * args.size);

    float sum = 0.0f;
    if (token >= class_tokens) {
        if (args.size > 0)
            sum = resized ? convolve_resized(args, patch, map, kernel_weight)
                          : convolve(args, patch, map, kernel_weight);
        if (args.has_bias)
            sum += bias[args.bias_offset + channel];
    }
    if (args.shortcut != 0.0f) {
        const float own = token < class_tokens ? own_v[token * args.v.token]
                          : resized            ? resized_at(args, map, patch.y, patch.x)
                                    : map[patch.row * args.v.row + patch.column * args.v.token];
        sum = MAD(args.shortcut, own, sum);
    }

    __global float *target = out + view_base(args.out, picture, window, head) + out_token + dim;
    *target = args.accumulate ? *target + sum : sum;
}
