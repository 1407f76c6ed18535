#include "ops/shape.h"

#include <inttypes.h>
#include <math.h>

/* More agents than this are not looked at one by one: a plan is made in milliseconds, whatever is asked for. */
#define MOST_CELLS 65536

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value != 0 ? value : fallback;
}

int64_t clattn__leaf_tokens(int64_t keys, int64_t heads, int64_t n)
{
    int64_t leaf = 1024;
    while (leaf < 16 * n && leaf < 16384)
        leaf *= 2;
    while (leaf > 256 && clattn__ceil_div(keys, leaf) * heads * clattn__ceil_div(n, 32) < 256)
        leaf /= 2;
    return leaf;
}

/* The rows or columns of the longest of `cells` that share `size` as evenly as cells of pools do. */
static int64_t longest_cell(int64_t size, int64_t cells)
{
    const int64_t rest = size % cells;
    if (rest == 0)
        return size / cells;
    return size / cells + (cells % rest == 0 ? 1 : 2);
}

int64_t clattn__pool_slots(int64_t height, int64_t width, int64_t class_tokens,
                           int64_t agent_height, int64_t agent_width, int64_t leaf)
{
    int64_t most = 1;
    int64_t before_y0 = -1;
    int64_t before_y1 = -1;

    if (agent_height > MOST_CELLS / agent_width) {
        const int64_t rows = longest_cell(height, agent_height);
        const int64_t tokens = (rows - 1) * width + longest_cell(width, agent_width);
        return 1 + clattn__ceil_div(tokens - 1, leaf);
    }

    for (int64_t i = 0; i < agent_height; i++) {
        const int64_t y0 = i * height / agent_height;
        const int64_t y1 = clattn__ceil_div((i + 1) * height, agent_height) - 1;
        if (y0 == before_y0 && y1 == before_y1)
            continue; /* more agents than rows: these cells have been seen */
        before_y0 = y0;
        before_y1 = y1;
        for (int64_t j = 0; j < agent_width; j++) {
            const int64_t x0 = j * width / agent_width;
            const int64_t x1 = clattn__ceil_div((j + 1) * width, agent_width) - 1;
            const int64_t first = (class_tokens + y0 * width + x0) / leaf;
            const int64_t last = (class_tokens + y1 * width + x1) / leaf;
            most = last - first + 1 > most ? last - first + 1 : most;
        }
    }
    return most;
}

clattn_status clattn__check_heads(const clattn_log *log, int64_t batch, int64_t heads, int64_t dim,
                                  int64_t dim_v)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, batch >= 1 && batch <= INT32_MAX, CLATTN_E_SHAPE,
                 "batch is %" PRId64 "; it must be 1 to %d", batch, INT32_MAX);
    CLATTN_CHECK(log, heads >= 1 && heads <= INT32_MAX, CLATTN_E_SHAPE,
                 "heads is %" PRId64 "; it must be 1 to %d", heads, INT32_MAX);
    CLATTN_CHECK(log, dim >= 1 && dim <= CLATTN_MAX_HEAD_DIM, CLATTN_E_SHAPE,
                 "head_dim is %" PRId64 "; it must be 1 to %d", dim, CLATTN_MAX_HEAD_DIM);
    CLATTN_CHECK(log, dim_v >= 1 && dim_v <= CLATTN_MAX_HEAD_DIM, CLATTN_E_SHAPE,
                 "head_dim_v is %" PRId64 "; it must be 1 to %d, or 0 for head_dim", dim_v,
                 CLATTN_MAX_HEAD_DIM);
    CLATTN_CHECK(log, heads <= INT32_MAX / (dim > dim_v ? dim : dim_v), CLATTN_E_SHAPE,
                 "heads %" PRId64 " x head_dim %" PRId64 " channels are more than %d", heads,
                 dim > dim_v ? dim : dim_v, INT32_MAX);
out:
    return status;
}

clattn_status clattn__check_type(const clattn_log *log, clattn_type type)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, type == CLATTN_F32 || type == CLATTN_F16, CLATTN_E_TYPE,
                 "type is %d; it must be CLATTN_F32 (0) or CLATTN_F16 (1)", (int)type);
out:
    return status;
}

int64_t clattn__type_bytes(clattn_type type)
{
    return type == CLATTN_F16 ? 2 : 4;
}

clattn_status clattn__check_reserved(const clattn_log *log, const uint32_t *reserved, size_t count)
{
    clattn_status status = CLATTN_OK;

    for (size_t i = 0; i < count; i++)
        CLATTN_CHECK(log, reserved[i] == 0, CLATTN_E_ARG,
                     "reserved[%zu] is %" PRIu32 "; reserved fields must be 0", i, reserved[i]);
out:
    return status;
}

Grid clattn__grid_line(int64_t count)
{
    return (Grid){.height = 1,
                  .width = (i32)count,
                  .window_h = 1,
                  .window_w = (i32)count,
                  .windows_x = 1,
                  .tokens = (i32)count,
                  .linear = 1};
}

Grid clattn__grid_rect(int64_t height, int64_t width)
{
    return (Grid){.height = INT32_MAX,
                  .width = INT32_MAX,
                  .window_h = (i32)height,
                  .window_w = (i32)width,
                  .windows_x = 1,
                  .tokens = (i32)(height * width)};
}

int64_t clattn__grid_windows(const Grid *grid)
{
    return (int64_t)grid->windows_x * (grid->height / grid->window_h);
}

clattn_status clattn__check_windows(const clattn_log *log, int64_t height, int64_t width,
                                    int64_t class_tokens, int64_t window_h, int64_t window_w,
                                    int64_t shift_y, int64_t shift_x)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, (window_h == 0) == (window_w == 0), CLATTN_E_ARG,
                 "window is %" PRId64 " x %" PRId64 "; give both sides, or 0 x 0 for the whole map",
                 window_h, window_w);
    CLATTN_CHECK(log, window_h != 0 || (shift_y == 0 && shift_x == 0), CLATTN_E_ARG,
                 "shift is %" PRId64 ", %" PRId64 " without windows; a shift needs window sides",
                 shift_y, shift_x);
    CLATTN_CHECK(log, window_h == 0 || class_tokens == 0, CLATTN_E_UNSUPPORTED,
                 "%" PRId64 " class tokens together with windows of %" PRId64 " x %" PRId64
                 "; windows take none",
                 class_tokens, window_h, window_w);
    CLATTN_CHECK(log, window_h >= 0 && window_w >= 0, CLATTN_E_SHAPE,
                 "window is %" PRId64 " x %" PRId64 "; sides may not be negative", window_h,
                 window_w);
    window_h = or_default(window_h, height);
    window_w = or_default(window_w, width);
    CLATTN_CHECK(log, height % window_h == 0 && width % window_w == 0, CLATTN_E_UNSUPPORTED,
                 "the map of %" PRId64 " x %" PRId64 " is no multiple of the window of %" PRId64
                 " x %" PRId64 "; only whole windows are possible",
                 height, width, window_h, window_w);
    CLATTN_CHECK(log, shift_y >= 0 && shift_y < height && shift_x >= 0 && shift_x < width,
                 CLATTN_E_SHAPE,
                 "shift is %" PRId64 ", %" PRId64 "; it must be from 0 to below the map's %" PRId64
                 " x %" PRId64,
                 shift_y, shift_x, height, width);
out:
    return status;
}

clattn_status clattn__grid_make(const clattn_log *log, int64_t height, int64_t width,
                                int64_t class_tokens, int64_t window_h, int64_t window_w,
                                int64_t shift_y, int64_t shift_x, Grid *grid)
{
    clattn_status status = CLATTN_OK;

    CLATTN_CHECK(log, height >= 1 && width >= 1 && height <= INT32_MAX && width <= INT32_MAX,
                 CLATTN_E_SHAPE, "the map is %" PRId64 " x %" PRId64 "; each side must be 1 to %d",
                 height, width, INT32_MAX);
    CLATTN_CHECK(log, class_tokens >= 0 && class_tokens <= INT32_MAX, CLATTN_E_SHAPE,
                 "class_tokens is %" PRId64 "; it must be 0 to %d", class_tokens, INT32_MAX);
    CLATTN_CHECK(log, height * width <= INT32_MAX - class_tokens, CLATTN_E_SHAPE,
                 "%" PRId64 " class tokens and a map of %" PRId64 " x %" PRId64
                 " are more than %d tokens",
                 class_tokens, height, width, INT32_MAX);
    CLATTN_TRY(clattn__check_windows(log, height, width, class_tokens, window_h, window_w, shift_y,
                                     shift_x));
    window_h = or_default(window_h, height);
    window_w = or_default(window_w, width);
    *grid = (Grid){.height = (i32)height,
                   .width = (i32)width,
                   .window_h = (i32)window_h,
                   .window_w = (i32)window_w,
                   .windows_x = (i32)(width / window_w),
                   .shift_y = (i32)shift_y,
                   .shift_x = (i32)shift_x,
                   .class_tokens = (i32)class_tokens,
                   .tokens = (i32)(class_tokens + window_h * window_w)};
out:
    return status;
}

static clattn_status check_options(const clattn_log *log, const clattn_agent_attention_desc *d)
{
    clattn_status status = CLATTN_OK;
    const float numbers[] = {d->scale_aggregate, d->scale_broadcast, d->v_shortcut};
    const char *const names[] = {"scale_aggregate", "scale_broadcast", "v_shortcut"};

    CLATTN_CHECK(log,
                 d->dwc_size >= 0 && d->dwc_size <= CLATTN_MAX_DWC &&
                     (d->dwc_size == 0 || d->dwc_size % 2 == 1),
                 CLATTN_E_SHAPE, "dwc_size is %" PRId64 "; it must be odd and at most %d, or 0",
                 d->dwc_size, CLATTN_MAX_DWC);
    CLATTN_CHECK(log, !d->has_dwc_bias || d->dwc_size > 0, CLATTN_E_ARG,
                 "has_dwc_bias is %d but dwc_size is 0; a bias needs a convolution",
                 (int)d->has_dwc_bias);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        CLATTN_CHECK(log, isfinite(numbers[i]), CLATTN_E_ARG, "%s is %g; it must be finite",
                     names[i], (double)numbers[i]);
    CLATTN_TRY(clattn__check_type(log, d->type));
    CLATTN_TRY(clattn__check_reserved(log, d->reserved, sizeof d->reserved / sizeof *d->reserved));
out:
    return status;
}

clattn_status clattn__shape_make(const clattn_log *log, const clattn_agent_attention_desc *d,
                                 clattn__shape *shape)
{
    clattn_status status = CLATTN_OK;
    const int64_t kv_h = or_default(d->kv_height, d->height);
    const int64_t kv_w = or_default(d->kv_width, d->width);
    const bool resized = kv_h != d->height || kv_w != d->width;
    clattn__shape s = {.batch = d->batch,
                       .heads = d->heads,
                       .dim = d->head_dim,
                       .dim_v = or_default(d->head_dim_v, d->head_dim),
                       .resized = resized};

    CLATTN_TRY(clattn__check_heads(log, s.batch, s.heads, s.dim, s.dim_v));
    CLATTN_TRY(clattn__grid_make(log, d->height, d->width, d->class_tokens, d->window_height,
                                 d->window_width, d->shift_y, d->shift_x, &s.q_grid));
    CLATTN_CHECK(log, !resized || d->window_height == 0, CLATTN_E_UNSUPPORTED,
                 "k and v on a map of their own (%" PRId64 " x %" PRId64
                 ") together with windows; windows need one map",
                 kv_h, kv_w);
    CLATTN_TRY(clattn__grid_make(log, kv_h, kv_w, d->class_tokens, d->window_height,
                                 d->window_width, d->shift_y, d->shift_x, &s.k_grid));
    CLATTN_CHECK(log,
                 d->agent_height >= 1 && d->agent_width >= 1 && d->agent_height <= INT32_MAX &&
                     d->agent_width <= INT32_MAX / d->agent_height,
                 CLATTN_E_SHAPE,
                 "the agent grid is %" PRId64 " x %" PRId64
                 "; each side must be at least 1 and the agents at most %d",
                 d->agent_height, d->agent_width, INT32_MAX);
    s.agents = d->agent_height * d->agent_width;
    s.agent_grid = clattn__grid_line(s.agents);
    s.windows = clattn__grid_windows(&s.q_grid);
    CLATTN_CHECK(log, s.batch <= INT32_MAX / s.windows / s.heads, CLATTN_E_SHAPE,
                 "batch %" PRId64 " x windows %" PRId64 " x heads %" PRId64 " are more than %d",
                 s.batch, s.windows, s.heads, INT32_MAX);
    s.q_tokens = d->class_tokens + d->height * d->width;
    s.k_tokens = d->class_tokens + kv_h * kv_w;
    CLATTN_TRY(check_options(log, d));

    const float scale = 1.0f / sqrtf((float)s.dim);
    s.scale_aggregate = d->scale_aggregate != 0.0f ? d->scale_aggregate : scale;
    s.scale_broadcast = d->scale_broadcast != 0.0f ? d->scale_broadcast : scale;
    *shape = s;
out:
    return status;
}
