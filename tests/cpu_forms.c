/* Forms of agent attention as argument structs, and naive references in double: see cpu_forms.h. */
#include "cpu_forms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOG2_E 1.4426950408889634

static uint32_t random_state = 20240521;

float random_float(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

float *new_floats(size_t count, float fill)
{
    float *floats = malloc(count * sizeof *floats);
    assert_non_null(floats);
    for (size_t i = 0; i < count; i++)
        floats[i] = fill == 0.0f ? random_float() : fill;
    return floats;
}

int64_t address(const View *v, const Grid *g, int p, int windows, int head, int t)
{
    const int w = p % windows;
    const int64_t base = v->offset + p / windows * v->batch + w * v->window + head * v->head;
    if (g->linear || t < g->class_tokens)
        return base + t * v->token;
    const int y = (t - g->class_tokens) / g->window_w;
    const int x = (t - g->class_tokens) % g->window_w;
    const int map_y = (w / g->windows_x * g->window_h + y + g->shift_y) % g->height;
    const int map_x = (w % g->windows_x * g->window_w + x + g->shift_x) % g->width;
    return base + g->class_tokens * v->token + map_y * v->row + map_x * v->token;
}

const form forms[] = {
    {.batch = 1, .heads = 1, .dim = 1, .dim_v = 1, .height = 1, .width = 1, .agents = 1},
    {.batch = 2,
     .heads = 2,
     .dim = 5,
     .dim_v = 3,
     .height = 7,
     .width = 11,
     .agents = 17,
     .leaf = 16,
     .key_bias = 1,
     .shortcut = 0.5f},
    {.batch = 2,
     .heads = 3,
     .dim = 32,
     .dim_v = 32,
     .height = 13,
     .width = 17,
     .agents = 9,
     .class_tokens = 1,
     .leaf = 64,
     .bias_mode = 2,
     .dwc = 3,
     .dwc_bias = 1,
     .shortcut = 0.25f},
    {.batch = 1,
     .heads = 2,
     .dim = 24,
     .dim_v = 40,
     .height = 5,
     .width = 61,
     .agents = 70,
     .class_tokens = 2,
     .leaf = 32,
     .bias_mode = 1,
     .key_bias = 1,
     .dwc = 5},
    {.batch = 2,
     .heads = 2,
     .dim = 16,
     .dim_v = 16,
     .height = 12,
     .width = 8,
     .window_h = 4,
     .window_w = 4,
     .shift_y = 3,
     .shift_x = 2,
     .agents = 4,
     .bias_mode = 2,
     .dwc = 3,
     .dwc_bias = 1},
    {.batch = 1,
     .heads = 1,
     .dim = 64,
     .dim_v = 64,
     .height = 19,
     .width = 23,
     .agents = 49,
     .leaf = 256,
     .dwc = 1,
     .dwc_bias = 1},
    {.batch = 1,
     .heads = 2,
     .dim = 7,
     .dim_v = 9,
     .height = 40,
     .width = 1,
     .agents = 33,
     .class_tokens = 3,
     .leaf = 16,
     .bias_mode = 2,
     .dwc = 5},
    {.batch = 1, .heads = 1, .dim = 1024, .dim_v = 1024, .height = 3, .width = 6, .agents = 21},
};
const size_t forms_count = sizeof forms / sizeof *forms;

/* The resize weights of 7 taps over `size` places: weight[tap * stride + i]. */
static void make_hat(float *weight, int size, int stride)
{
    for (int i = 0; i < size; i++) {
        const double at = fmax((i + 0.5) * 7.0 / size - 0.5, 0.0);
        const int first = (int)fmin(floor(at), 6.0);
        for (int tap = 0; tap < 7; tap++)
            weight[tap * stride + i] = 0.0f;
        weight[first * stride + i] += (float)(1.0 - (at - first));
        weight[(first < 6 ? first + 1 : 6) * stride + i] += (float)(at - first);
    }
}

static Bias make_bias(const form *f, int grid_h, int grid_w, float **buffer)
{
    const int rows = f->heads * f->agents;
    const int tokens = f->class_tokens + grid_h * grid_w;
    Bias b = {.mode = f->bias_mode,
              .grid_h = grid_h,
              .grid_w = grid_w,
              .agents = f->agents,
              .class_tokens = f->class_tokens};
    b.pitch = f->bias_mode == 1 ? (tokens + 15) / 16 * 16 + 16 : grid_w + 32;
    b.map = (int64_t)rows * b.pitch;
    b.row = b.map + rows * 56;
    b.cls = b.row + (int64_t)rows * grid_h;
    b.hat_y = b.cls + rows;
    b.col = b.hat_y + 7 * grid_h + 16;
    b.hat_x = b.col + (int64_t)rows * b.pitch;
    const int64_t count = b.hat_x + 8 * b.pitch;
    *buffer = new_floats((size_t)count, 0.0f);
    float *buf = *buffer;
    if (f->bias_mode != 2)
        return b;
    for (int64_t i = b.map; i < b.row; i += 8)
        buf[i + 7] = 0.0f;
    for (int r = 0; r < rows; r++)
        for (int x = -16; x < b.pitch - 16; x++)
            if (x < 0 || x >= grid_w)
                buf[b.col + (int64_t)r * b.pitch + x] = 0.0f;
    for (int64_t i = b.hat_x - 16; i < count; i++)
        buf[i] = 0.0f;
    make_hat(buf + b.hat_y, grid_h, grid_h);
    make_hat(buf + b.hat_x, grid_w, b.pitch);
    for (int x = 0; x < grid_w; x++)
        buf[b.hat_x + 7 * b.pitch + x] =
            (float)fmin(floor(fmax((x + 0.5) * 7.0 / grid_w - 0.5, 0.0)), 5.0);
    return b;
}

static double bias_at(const Bias *b, const float *buf, int head, int agent, int token)
{
    const int64_t ha = (int64_t)head * b->agents + agent;
    if (b->mode == 0)
        return 0.0;
    if (b->mode == 1)
        return buf[b->table + ha * b->pitch + token];
    if (token < b->class_tokens)
        return buf[b->cls + ha];
    const int y = (token - b->class_tokens) / b->grid_w;
    const int x = (token - b->class_tokens) % b->grid_w;
    double sum = (double)buf[b->row + ha * b->grid_h + y] + buf[b->col + ha * b->pitch + x];
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++)
            sum += (double)buf[b->hat_x + i * b->pitch + x] * buf[b->hat_y + j * b->grid_h + y] *
                   buf[b->map + ha * 56 + 8 * j + i];
    return sum;
}

void make_problem(problem *pr, const form *f)
{
    memset(pr, 0, sizeof *pr);
    pr->f = *f;
    const bool windowed = f->window_h > 0;
    const int window_h = windowed ? f->window_h : f->height;
    const int window_w = windowed ? f->window_w : f->width;
    pr->windows = f->height / window_h * (f->width / window_w);
    pr->tokens = f->class_tokens + window_h * window_w;
    pr->problems = f->batch * pr->windows * f->heads;

    const int width = f->dim > f->dim_v ? f->dim : f->dim_v;
    const int64_t token = (int64_t)f->heads * width + 2;
    const int64_t row = f->width * token + (windowed ? 0 : 3);
    const int64_t batch = f->class_tokens * token + f->height * row;
    const View map = {.offset = 5, .batch = batch, .head = width, .row = row, .token = token};
    const View list = {.offset = 1,
                       .batch = (int64_t)f->heads * f->agents * width * pr->windows,
                       .window = (int64_t)f->heads * f->agents * width,
                       .head = (int64_t)f->agents * width,
                       .token = width};
    const View key_bias = {.batch = batch, .head = 1, .row = row, .token = token};
    const View agent_bias = {.batch = f->heads * f->agents, .head = f->agents, .token = 1};
    const Grid grid = {.height = f->height,
                       .width = f->width,
                       .window_h = window_h,
                       .window_w = window_w,
                       .windows_x = f->width / window_w,
                       .shift_y = f->shift_y,
                       .shift_x = f->shift_x,
                       .class_tokens = f->class_tokens,
                       .tokens = pr->tokens};
    const Grid agents = {.linear = 1, .tokens = f->agents};

    pr->out_count = (size_t)(f->batch * batch) + 64;
    pr->list_count = (size_t)(f->batch * list.batch) + 2;
    pr->map = new_floats(3 * pr->out_count, 0.0f);
    pr->agents = new_floats(pr->list_count, 0.0f);
    pr->values = new_floats(pr->list_count, NAN);
    pr->key_bias = new_floats(pr->out_count, 0.0f);
    pr->agent_bias = new_floats((size_t)(f->batch * f->heads * f->agents), 0.0f);
    pr->weight = new_floats((size_t)(f->heads * f->dim_v) * 26, 0.0f);
    pr->out = new_floats(pr->out_count, NAN);
    for (size_t i = 0; i < pr->out_count; i += 3)
        pr->key_bias[i] = -INFINITY;
    const Bias bias = make_bias(f, window_h, window_w, &pr->bias);

    const int leaf = f->leaf > 0 ? f->leaf : pr->tokens;
    const Attend common = {.k = map,
                           .v = map,
                           .out = map,
                           .bias = bias,
                           .heads = f->heads,
                           .windows = pr->windows,
                           .scale = 0.4f,
                           .out_scale = 0.75f,
                           .has_key_bias = f->key_bias,
                           .dim = f->dim,
                           .dim_v = f->dim_v};
    pr->aggregate = common;
    pr->aggregate.q = pr->aggregate.out = list;
    pr->aggregate.key_bias = key_bias;
    pr->aggregate.q_grid = agents;
    pr->aggregate.k_grid = grid;
    pr->aggregate.queries = f->agents;
    pr->aggregate.keys = pr->tokens;
    pr->aggregate.leaf_tokens = leaf;
    pr->aggregate.leaves = pr->aggregate.count = (pr->tokens + leaf - 1) / leaf;
    pr->aggregate.tile = f->agents < 29 ? f->agents : 29;
    pr->aggregate_mem = (clattn__attend_mem){.q = pr->agents,
                                             .k = pr->map,
                                             .out = pr->values,
                                             .v = pr->map + pr->out_count,
                                             .bias = pr->bias,
                                             .key_bias = pr->key_bias};
    pr->broadcast = common;
    pr->broadcast.q = pr->broadcast.tap = map;
    pr->broadcast.k = pr->broadcast.v = list;
    pr->broadcast.key_bias = agent_bias;
    pr->broadcast.q_grid = grid;
    pr->broadcast.k_grid = agents;
    pr->broadcast.queries = pr->tokens;
    pr->broadcast.keys = f->agents;
    pr->broadcast.tile = f->agents < 29 ? f->agents : 29;
    pr->broadcast.dwc_size = f->dwc;
    pr->broadcast.has_dwc_bias = f->dwc_bias;
    pr->broadcast.shortcut = f->shortcut;
    pr->broadcast_mem = (clattn__attend_mem){.q = pr->map + 2 * pr->out_count,
                                             .k = pr->agents,
                                             .v = pr->values,
                                             .key_bias = pr->agent_bias,
                                             .bias = pr->bias,
                                             .tap = pr->map + pr->out_count,
                                             .dwc_weight = pr->weight,
                                             .dwc_bias = pr->weight + f->heads * f->dim_v * 25,
                                             .out = pr->out};
}

void free_problem(problem *pr)
{
    float *all[] = {pr->map,        pr->agents, pr->values, pr->key_bias,
                    pr->agent_bias, pr->bias,   pr->weight, pr->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

void attend_reference(const Attend *a, const clattn__attend_mem *m, int p, int head, int query,
                      bool stage1, double *out)
{
    double *score = malloc((size_t)a->keys * sizeof *score);
    double top = -INFINITY;
    double sum = 0.0;
    assert_non_null(score);
    const float *q = (const float *)m->q + address(&a->q, &a->q_grid, p, a->windows, head, query);
    for (int j = 0; j < a->keys; j++) {
        const float *k = (const float *)m->k + address(&a->k, &a->k_grid, p, a->windows, head, j);
        double s = 0.0;
        for (int i = 0; i < a->dim; i++)
            s += (double)q[i] * k[i];
        s = s * a->scale + (stage1 ? bias_at(&a->bias, m->bias, head, query, j)
                                   : bias_at(&a->bias, m->bias, head, j, query));
        if (a->has_key_bias)
            s += LOG2_E * m->key_bias[address(&a->key_bias, &a->k_grid, p, a->windows, head, j)];
        score[j] = s;
        top = fmax(top, s);
    }
    memset(out, 0, (size_t)a->dim_v * sizeof *out);
    for (int j = 0; j < a->keys; j++) {
        const float *v = (const float *)m->v + address(&a->v, &a->k_grid, p, a->windows, head, j);
        const double weight = score[j] == -INFINITY ? 0.0 : exp2(score[j] - top);
        sum += weight;
        for (int i = 0; i < a->dim_v; i++)
            out[i] += weight * v[i];
    }
    for (int i = 0; i < a->dim_v; i++)
        out[i] = sum > 0.0 ? a->out_scale * out[i] / sum : 0.0;
    free(score);
}

double dwc_reference(const View *view, const Grid *g, const float *v, const float *weight, int size,
                     int p, int windows, int head, int dim, int j, int token)
{
    const int y = (token - g->class_tokens) / g->window_w;
    const int x = (token - g->class_tokens) % g->window_w;
    double sum = 0.0;
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            const int ty = y + a - size / 2;
            const int tx = x + b - size / 2;
            if (token < g->class_tokens || ty < 0 || tx < 0 || ty >= g->window_h ||
                tx >= g->window_w)
                continue;
            const int tap = g->class_tokens + ty * g->window_w + tx;
            sum += (double)weight[((head * dim + j) * size + a) * size + b] *
                   v[address(view, g, p, windows, head, tap) + j];
        }
    return sum;
}
