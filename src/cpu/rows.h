/*
 * The two matrix products of attention, on lanes. Both keep a tile of up to ROWS rows of LANES sums
 * in registers; each step broadcasts one float per row. Sums run in order of `depth`, so the bits
 * do not depend on how rows are cut into tiles.
 */
#ifndef CLATTN_SRC_CPU_ROWS_H
#define CLATTN_SRC_CPU_ROWS_H

#include "cpu/lanes.h"

#define ROWS_MAX 8

/* out[i] = sum over d of row[i][d] * x[d], a row of LANES each; `rows` is constant after inlining. */
FORCE_INLINE void dot_tile(int rows, int depth, const float *const *row, const float *restrict x,
                           float *restrict out)
{
    float sum[ROWS_MAX][LANES];
    const float *at[ROWS_MAX];
    EACH_ROW (i, rows) {
        at[i] = row[i];
        EACH_LANE (lane)
            sum[i][lane] = 0.0f;
    }
    for (int d = 0; d < depth; d++)
        EACH_ROW (i, rows) {
            const float a = at[i][d];
            EACH_LANE (lane)
                sum[i][lane] = mad(a, x[d * LANES + lane], sum[i][lane]);
        }
    EACH_ROW (i, rows)
        EACH_LANE (lane)
            out[i * LANES + lane] = sum[i][lane];
}

/*
 * out[i] = out[i] * factor + sum over t of row[t][i] * x[t], a row of LANES each; `rows` is
 * constant after inlining. The new terms are added up by themselves first: the error of a long sum
 * then grows with the length and the number of its parts, not with the product of the two.
 */
FORCE_INLINE void mix_tile(int rows, int depth, const float *const *row, int column,
                           const float *restrict x, const float *restrict factor,
                           float *restrict out)
{
    float sum[ROWS_MAX][LANES];
    EACH_ROW (i, rows) {
        const float a = row[0][column + i];
        EACH_LANE (lane)
            sum[i][lane] = a * x[lane];
    }
    for (int t = 1; t < depth; t++) {
        const float *at = row[t] + column;
        EACH_ROW (i, rows) {
            const float a = at[i];
            EACH_LANE (lane)
                sum[i][lane] = mad(a, x[t * LANES + lane], sum[i][lane]);
        }
    }
    EACH_ROW (i, rows)
        EACH_LANE (lane)
            out[i * LANES + lane] = mad(out[i * LANES + lane], factor[lane], sum[i][lane]);
}

/* Rows per tile when `rows` are cut into as few tiles as possible, of nearly equal height. */
static inline int tile_rows(int rows)
{
    const int tiles = (rows + ROWS - 1) / ROWS;
    return (rows + tiles - 1) / tiles;
}

/* out[i][lane] = sum over d < depth of row[i][d] * x[d][lane], i < rows. */
static inline void dot_rows(int rows, int depth, const float *const *row, const float *x,
                            float *out)
{
    const int step = tile_rows(rows);
    for (int i = 0; i < rows; i += step) {
        const float *const *from = row + i;
        float *to = out + i * LANES;
        switch (rows - i < step ? rows - i : step) {
        case 1:
            dot_tile(1, depth, from, x, to);
            break;
        case 2:
            dot_tile(2, depth, from, x, to);
            break;
        case 3:
            dot_tile(3, depth, from, x, to);
            break;
        case 4:
            dot_tile(4, depth, from, x, to);
            break;
        case 5:
            dot_tile(5, depth, from, x, to);
            break;
        case 6:
            dot_tile(6, depth, from, x, to);
            break;
        case 7:
            dot_tile(7, depth, from, x, to);
            break;
        default:
            dot_tile(8, depth, from, x, to);
        }
    }
}

/*
 * out[j][lane] = out[j][lane] * factor[lane] + sum over t < depth of row[t][j] * x[t][lane], j <
 * columns.
 */
static inline void mix_rows(int columns, int depth, const float *const *row, const float *x,
                            const float *factor, float *out)
{
    const int step = tile_rows(columns);
    for (int j = 0; j < columns; j += step) {
        float *to = out + j * LANES;
        switch (columns - j < step ? columns - j : step) {
        case 1:
            mix_tile(1, depth, row, j, x, factor, to);
            break;
        case 2:
            mix_tile(2, depth, row, j, x, factor, to);
            break;
        case 3:
            mix_tile(3, depth, row, j, x, factor, to);
            break;
        case 4:
            mix_tile(4, depth, row, j, x, factor, to);
            break;
        case 5:
            mix_tile(5, depth, row, j, x, factor, to);
            break;
        case 6:
            mix_tile(6, depth, row, j, x, factor, to);
            break;
        case 7:
            mix_tile(7, depth, row, j, x, factor, to);
            break;
        default:
            mix_tile(8, depth, row, j, x, factor, to);
        }
    }
}

#endif
