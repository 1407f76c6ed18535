/* Between rows of elements (one per token) and lanes (one array of LANES floats per channel). */
#ifndef CLATTN_SRC_CPU_TRANSPOSE_H
#define CLATTN_SRC_CPU_TRANSPOSE_H

#include <stdbool.h>
#include <string.h>

#include "cpu/storage.h"

#define SQUARE (LANES * LANES)

/* One perfect shuffle: rotates the 8 bits of an element's index by one. */
FORCE_INLINE void shuffle(const float *restrict in, float *restrict out)
{
    EACH (i, SQUARE / 2) {
        out[2 * i] = in[i];
        out[2 * i + 1] = in[SQUARE / 2 + i];
    }
}

/* Transposes in place: four rotations swap the halves of the index, which are row and column. */
static inline void transpose_square(float square[SQUARE])
{
    float other[SQUARE];
    shuffle(square, other);
    shuffle(other, square);
    shuffle(square, other);
    shuffle(other, square);
}

/* lanes[j][i] = row[i][j] for i < rows <= LANES and j < width; the other lanes become 0. */
static inline void rows_to_lanes(const elem *const *row, int rows, int width, float *lanes)
{
    float square[SQUARE];
    for (int j = 0; j < width; j += LANES) {
        const int columns = width - j < LANES ? width - j : LANES;
        memset(square, 0, sizeof square);
        if (columns == LANES)
            for (int i = 0; i < rows; i++)
                load_row(row[i] + j, LANES, square + i * LANES);
        else
            for (int i = 0; i < rows; i++)
                load_row(row[i] + j, columns, square + i * LANES);
        transpose_square(square);
        memcpy(lanes + j * LANES, square, (size_t)columns * LANES * sizeof *square);
    }
}

/* row[i][j] = lanes[j][i] * factor[i] for i < rows <= LANES and j < width; floats where `state`. */
static inline void lanes_to_rows(const float *lanes, const float *factor, int rows, int width,
                                 bool state, void *const *row)
{
    float square[SQUARE];
    for (int j = 0; j < width; j += LANES) {
        const int columns = width - j < LANES ? width - j : LANES;
        memset(square, 0, sizeof square);
        EACH_ROW (c, columns)
            EACH_LANE (lane)
                square[c * LANES + lane] = lanes[(j + c) * LANES + lane] * factor[lane];
        transpose_square(square);
        for (int i = 0; i < rows; i++) {
            if (state)
                memcpy((float *)row[i] + j, square + i * LANES, (size_t)columns * sizeof *square);
            else if (columns == LANES)
                store_row(square + i * LANES, LANES, (elem *)row[i] + j);
            else
                store_row(square + i * LANES, columns, (elem *)row[i] + j);
        }
    }
}

#endif
