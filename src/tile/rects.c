/* Where runs and rectangles lie, and how much they can touch at most. */
#include "tile/cut.h"

clattn__tile_run clattn__tile_run_at(const clattn__tile_problem *problem,
                                     const clattn__tile_cut *cut, bool keys, int64_t tile)
{
    const int64_t leaf = keys ? cut->k_leaf : cut->q_leaf;
    const int64_t leaves = keys ? cut->k_leaves : cut->q_leaves;
    const int64_t count = keys ? cut->k_run : cut->q_run;
    const int64_t tokens = clattn__tile_tokens(problem, keys);
    clattn__tile_run run = {.first = tile * count};

    run.count = clattn__tile_min(count, leaves - run.first);
    run.token = run.first * leaf;
    run.tokens = clattn__tile_min(run.count * leaf, tokens - run.token);
    return run;
}

int clattn__tile_run_rects(const clattn__tile_problem *problem, bool keys,
                           const clattn__tile_run *run, clattn_tile_rect rects[4], int64_t at[4])
{
    const int64_t width = keys ? problem->kv_width : problem->width;
    const int64_t class_tokens = problem->class_tokens;
    const int64_t end = run->token + run->tokens;
    int64_t token = run->token;
    int count = 0;

    if (token < class_tokens) {
        const int64_t last = clattn__tile_min(end, class_tokens);
        rects[count] = (clattn_tile_rect){.class_first = token, .class_count = last - token};
        at[count++] = 0;
        token = last;
    }
    while (token < end) {
        const int64_t y = (token - class_tokens) / width;
        const int64_t x = (token - class_tokens) % width;
        clattn_tile_rect rect = {.y = y, .x = x, .height = 1};
        if (x == 0 && end - token >= width)
            rect.height = (end - token) / width;
        rect.width = clattn__tile_min(width - x, end - token);
        rects[count] = rect;
        at[count++] = token - run->token;
        token += rect.height * rect.width;
    }
    return count;
}

/* The last unit of a map is as wide as what is left of it: 16 .. 31, or a map narrower than 16. */
int64_t clattn__tile_most_columns(int64_t width)
{
    return clattn__tile_max(width / CLATTN__TILE_COLUMN, 1);
}

static int64_t column_at(int64_t width, int64_t columns, int64_t column)
{
    if (column == columns)
        return width;
    return clattn__ceil_div(column * clattn__tile_most_columns(width), columns) *
           CLATTN__TILE_COLUMN;
}

/* Column i begins at unit ceil(i units / columns): the first is one of the widest but for what the last takes beyond its units. */
int64_t clattn__tile_column_width(int64_t width, int64_t columns)
{
    return clattn__tile_max(column_at(width, columns, 1),
                            width - column_at(width, columns, columns - 1));
}

clattn_tile_rect clattn__tile_rect_at(const clattn__tile_problem *problem,
                                      const clattn__tile_cut *cut, int64_t tile)
{
    const int64_t class_tiles = clattn__ceil_div(problem->class_tokens, cut->class_tile);
    if (tile < class_tiles) {
        const int64_t first = tile * cut->class_tile;
        return (clattn_tile_rect){
            .class_first = first,
            .class_count = clattn__tile_min(cut->class_tile, problem->class_tokens - first)};
    }
    const int64_t row = (tile - class_tiles) / cut->rect_columns;
    const int64_t column = (tile - class_tiles) % cut->rect_columns;
    clattn_tile_rect rect = {.y = row * problem->height / cut->rect_rows,
                             .x = column_at(problem->width, cut->rect_columns, column)};
    rect.height = (row + 1) * problem->height / cut->rect_rows - rect.y;
    rect.width = column_at(problem->width, cut->rect_columns, column + 1) - rect.x;
    return rect;
}

/* [*first, *first + *count) grown by `by` and clipped to [0, size). */
static void grow(int64_t *first, int64_t *count, int64_t by, int64_t size)
{
    const int64_t begin = clattn__tile_max(*first - by, 0);
    const int64_t end = clattn__tile_min(*first + *count + by, size);
    *first = begin;
    *count = end - begin;
}

clattn_tile_rect clattn__tile_grown(const clattn__tile_problem *problem,
                                    const clattn_tile_rect *rect, int64_t by)
{
    clattn_tile_rect grown = *rect;
    if (rect->class_count == 0) {
        grow(&grown.y, &grown.height, by, problem->height);
        grow(&grown.x, &grown.width, by, problem->width);
    }
    return grown;
}

/*
 * The kernel finds the first tap of token i of `out` as the whole part of ((2 i + 1) in / out - 1) / 2 in floats, each of two
 * conversions and a division off by less than 2^-21 of it together: up to this many taps from the exact one.
 */
static int64_t slack(int64_t tap)
{
    return 1 + tap / (1 << 21);
}

static int64_t first_tap(int64_t i, int64_t in, int64_t out)
{
    return clattn__tile_max((2 * i + 1) * in - out, 0) / (2 * out);
}

/* Tokens [*first, *first + *count) of `out` become the tokens of `in` that they are resized from; the second tap counts at weight 0. */
static void taps(int64_t *first, int64_t *count, int64_t in, int64_t out)
{
    int64_t begin = first_tap(*first, in, out);
    int64_t last = first_tap(*first + *count - 1, in, out) + 1;
    begin = clattn__tile_max(begin - slack(begin), 0);
    last = clattn__tile_min(last + slack(last), in - 1);
    *first = begin;
    *count = last - begin + 1;
}

static int64_t halo_reach(const clattn__tile_problem *p)
{
    return p->smoothing ? 1 : p->reach;
}

clattn_tile_rect clattn__tile_halo(const clattn__tile_problem *problem,
                                   const clattn_tile_rect *rect)
{
    clattn_tile_rect halo = clattn__tile_grown(problem, rect, halo_reach(problem));
    if (rect->class_count == 0 && clattn__tile_resized(problem)) {
        taps(&halo.y, &halo.height, problem->kv_height, problem->height);
        taps(&halo.x, &halo.width, problem->kv_width, problem->width);
    }
    return halo;
}

/* First and last tap lie (count - 1) in / out apart before both are rounded down, which adds less than one. */
static int64_t most_taps(int64_t count, int64_t in, int64_t out)
{
    const int64_t apart = clattn__ceil_div((count - 1) * in, out);
    return clattn__tile_min(apart + 2 + 2 * slack(in), in);
}

void clattn__tile_most_halo(const clattn__tile_problem *p, int64_t height, int64_t width,
                            int64_t *halo_height, int64_t *halo_width)
{
    const int64_t by = 2 * halo_reach(p);
    *halo_height = clattn__tile_min(height + by, p->height);
    *halo_width = clattn__tile_min(width + by, p->width);
    if (clattn__tile_resized(p)) {
        *halo_height = most_taps(*halo_height, p->kv_height, p->height);
        *halo_width = most_taps(*halo_width, p->kv_width, p->width);
    }
}

void clattn__tile_cell_rows(const clattn__tile_problem *problem, const clattn__tile_run *run,
                            int64_t *first, int64_t *count)
{
    const int64_t last = run->token + run->tokens - 1 - problem->class_tokens;
    *first = *count = 0;
    if (last < 0)
        return;
    const int64_t begin = clattn__tile_max(run->token - problem->class_tokens, 0) / problem->width;
    const int64_t end = last / problem->width + 1;
    /* Cell i is rows [floor(i height / cells), ceil((i + 1) height / cells)). */
    *first = begin * problem->agent_height / problem->height;
    *count = clattn__ceil_div(end * problem->agent_height, problem->height) - *first;
}

/* `rows` rows of tokens are rows * cells / height rows of cells, and as much as a part of one more at both ends. */
int64_t clattn__tile_most_cell_rows(const clattn__tile_problem *p, int64_t tokens)
{
    const int64_t rows = clattn__tile_min(clattn__ceil_div(tokens - 1, p->width) + 1, p->height);
    return clattn__tile_min(clattn__ceil_div(rows * p->agent_height, p->height) + 1,
                            p->agent_height);
}

/*
 * A run is the rest of a row, whole rows and the begin of a row, or a part of one row; s tokens in the parts, s <= 2 (width - 1).
 * With g = min(2, height - 1) rows more than before, and two columns at most in all, since the rest ends and the begin begins at
 * the map's edge, the parts become (1 + g) (s + 2) tokens, and the whole rows grow by g width.
 */
int64_t clattn__tile_most_run_halo(const clattn__tile_problem *p, int64_t tokens)
{
    const int64_t more = clattn__tile_min(2, p->height - 1);
    const int64_t parts = clattn__tile_min(tokens, 2 * (p->width - 1));
    return tokens + (tokens >= p->width ? more * p->width : 0) + more * parts + 2 * (more + 1);
}
