/*
 * The agent bias in its small form (spec dense.md section 2): resizing over the agent grid and over the token grid commute, and
 * a row or column term stays one, so 56 + rows + columns numbers per (head, agent) are enough. Narrow maps get the plain table.
 * Everything is computed in double and rounded once; tables are times log2(e), since kernels work in base 2.
 */
#include "ops/bias_tables.h"

#include <math.h>

#define MAP         7  /* side of the trained maps */
#define MAP_PITCH   8  /* floats per row of a map in the small form */
#define EDGE        16 /* floats around each row of columns, so that a vector may cross its ends */
#define PLAIN_BYTES (1024 * 1024) /* the plain table is at most this large */

static const double log2e = 1.4426950408889634;

/* Two taps of a bilinear resize of `in` to `out` samples at i (spec section 1). */
typedef struct taps {
    int64_t i0, i1;
    double t;
} taps;

static taps resize_taps(int64_t in, int64_t out, int64_t i)
{
    const double p = fmax(((double)i + 0.5) * (double)in / (double)out - 0.5, 0.0);
    const int64_t i0 = (int64_t)p < in - 1 ? (int64_t)p : in - 1;
    return (taps){i0, i0 + 1 < in ? i0 + 1 : in - 1, p - (double)i0};
}

/* How the trained terms are read: element (head, trained agent, i) of a term of `length` values per agent. */
typedef struct term {
    const float *data; /* NULL: 0 */
    int64_t length;
    bool agents_last; /* (heads, length, T0) instead of (heads, T0, length) */
} term;

static double term_at(const clattn__bias_maker *m, const term *t, int64_t head, int64_t trained,
                      int64_t i)
{
    const int64_t t0 = m->w->trained_agents_height * m->w->trained_agents_width;
    return t->agents_last ? t->data[(head * t->length + i) * t0 + trained]
                          : t->data[(head * t0 + trained) * t->length + i];
}

/* The term of `agent` of the wanted grid: bilinear over the trained agent grid. */
static double agent_term(const clattn__bias_maker *m, const term *t, int64_t head, int64_t agent,
                         int64_t i)
{
    if (t->data == NULL)
        return 0.0;
    const int64_t columns = m->w->trained_agents_width;
    const taps y = resize_taps(m->w->trained_agents_height, m->agent_h, agent / m->agent_w);
    const taps x = resize_taps(columns, m->agent_w, agent % m->agent_w);
    const double top = (1.0 - x.t) * term_at(m, t, head, y.i0 * columns + x.i0, i) +
                       x.t * term_at(m, t, head, y.i0 * columns + x.i1, i);
    const double low = (1.0 - x.t) * term_at(m, t, head, y.i1 * columns + x.i0, i) +
                       x.t * term_at(m, t, head, y.i1 * columns + x.i1, i);
    return (1.0 - y.t) * top + y.t * low;
}

/* The same, resized along its own axis to `out` values. */
static double resized_term(const clattn__bias_maker *m, const term *t, int64_t head, int64_t agent,
                           int64_t out, int64_t i)
{
    if (t->data == NULL)
        return 0.0;
    const taps p = resize_taps(t->length, out, i);
    return (1.0 - p.t) * agent_term(m, t, head, agent, p.i0) +
           p.t * agent_term(m, t, head, agent, p.i1);
}

static term map_term(const clattn__bias_maker *m)
{
    return (term){m->s->map, MAP * MAP, false};
}

static term row_term(const clattn__bias_maker *m)
{
    return (term){m->s->row, m->s->trained_height, m->second};
}

static term column_term(const clattn__bias_maker *m)
{
    return (term){m->s->column, m->s->trained_width, m->second};
}

static term class_term(const clattn__bias_maker *m)
{
    return (term){m->s->class_token, 1, false};
}

/* The 7 x 7 map, row and column terms of one (head, agent); `values` has room for clattn__bias_values(). */
static void agent_values(const clattn__bias_maker *m, int64_t head, int64_t agent, double *values)
{
    const term map = map_term(m);
    const term row = row_term(m);
    const term column = column_term(m);
    const term cls = class_term(m);
    double *out = values;

    for (int64_t i = 0; i < MAP * MAP; i++)
        *out++ = log2e * agent_term(m, &map, head, agent, i);
    for (int64_t y = 0; y < m->grid_h; y++)
        *out++ = log2e * resized_term(m, &row, head, agent, m->grid_h, y);
    for (int64_t x = 0; x < m->grid_w; x++)
        *out++ = log2e * resized_term(m, &column, head, agent, m->grid_w, x);
    *out = log2e * agent_term(m, &cls, head, agent, 0);
}

static void fill_plain(const clattn__bias_maker *m, const Bias *b, const double *values, int64_t ha,
                       float *table)
{
    const double *row = values + MAP * MAP;
    const double *column = row + m->grid_h;
    float *out = table + b->table + ha * b->pitch;

    for (int64_t c = 0; c < m->class_tokens; c++)
        *out++ = (float)column[m->grid_w];
    for (int64_t y = 0; y < m->grid_h; y++) {
        const taps ty = resize_taps(MAP, m->grid_h, y);
        for (int64_t x = 0; x < m->grid_w; x++) {
            const taps tx = resize_taps(MAP, m->grid_w, x);
            const double *top = values + ty.i0 * MAP;
            const double *low = values + ty.i1 * MAP;
            const double a = (1.0 - tx.t) * top[tx.i0] + tx.t * top[tx.i1];
            const double c = (1.0 - tx.t) * low[tx.i0] + tx.t * low[tx.i1];
            *out++ = (float)((1.0 - ty.t) * a + ty.t * c + row[y] + column[x]);
        }
    }
}

static void fill_small(const clattn__bias_maker *m, const Bias *b, const double *values, int64_t ha,
                       float *table)
{
    const double *row = values + MAP * MAP;
    const double *column = row + m->grid_h;

    for (int64_t i = 0; i < MAP * MAP; i++)
        table[b->map + ha * MAP * MAP_PITCH + i / MAP * MAP_PITCH + i % MAP] = (float)values[i];
    for (int64_t y = 0; y < m->grid_h; y++)
        table[b->row + ha * m->grid_h + y] = (float)row[y];
    for (int64_t x = 0; x < m->grid_w; x++)
        table[b->col + ha * b->pitch + x] = (float)column[x];
    table[b->cls + ha] = (float)column[m->grid_w];
}

/* The resize weights of one axis, seven rows, and in an eighth the first of each sample's two taps. */
static void fill_hat(int64_t length, int64_t pitch, float *hat)
{
    for (int64_t i = 0; i < length; i++) {
        const taps p = resize_taps(MAP, length, i);
        hat[p.i0 * pitch + i] += (float)(1.0 - p.t);
        hat[p.i1 * pitch + i] += (float)p.t;
        hat[MAP * pitch + i] = (float)(p.i0 < MAP - 2 ? p.i0 : MAP - 2);
    }
}

int64_t clattn__bias_lay_out(const clattn__bias_maker *m, Bias *b)
{
    const int64_t rows = m->heads * m->agents;
    const int64_t tokens = m->class_tokens + m->grid_h * m->grid_w;
    const int64_t plain_pitch = (tokens + 15) / 16 * 16 + 16;
    int64_t size;

    *b = (Bias){.mode = 1,
                .grid_h = (i32)m->grid_h,
                .grid_w = (i32)m->grid_w,
                .class_tokens = (i32)m->class_tokens,
                .agents = (i32)m->agents,
                .pitch = (i32)plain_pitch};
    if (m->grid_w < CLATTN__BIAS_PLAIN_WIDTH && clattn__mul(rows, plain_pitch, &size) &&
        size <= PLAIN_BYTES / (int64_t)sizeof(float))
        return size;

    b->mode = 2;
    const int64_t pitch = m->grid_w + 2 * EDGE;
    if (pitch > INT32_MAX || !clattn__mul(rows, MAP * MAP_PITCH + 1 + m->grid_h + pitch, &size) ||
        !clattn__add(size, (MAP + 1) * (pitch + m->grid_h), &size))
        return -1;
    b->pitch = (i32)pitch;
    b->map = 0;
    b->cls = b->map + rows * MAP * MAP_PITCH;
    b->row = b->cls + rows;
    b->hat_y = b->row + rows * m->grid_h;
    b->col = b->hat_y + (MAP + 1) * m->grid_h + EDGE;
    b->hat_x = b->col + rows * pitch;
    return size;
}

int64_t clattn__bias_values(const clattn__bias_maker *m)
{
    return MAP * MAP + m->grid_h + m->grid_w + 1;
}

void clattn__bias_fill(const clattn__bias_maker *m, const Bias *b, float *table, double *values)
{
    for (int64_t ha = 0; ha < m->heads * m->agents; ha++) {
        agent_values(m, ha / m->agents, ha % m->agents, values);
        if (b->mode == 1)
            fill_plain(m, b, values, ha, table);
        else
            fill_small(m, b, values, ha, table);
    }
    if (b->mode == 2) {
        fill_hat(m->grid_w, b->pitch, table + b->hat_x);
        fill_hat(m->grid_h, m->grid_h, table + b->hat_y);
    }
}
