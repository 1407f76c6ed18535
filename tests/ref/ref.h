/*
 * The oracle: every operator again, naive, in double, written from the formulas alone. It shares no code and no trick with
 * the library: biases are whole (heads, n, N) tensors, windows are copied out and back, logits are stored, one row at a time.
 *
 * Arrays are dense: element (b, t, h, j) of (B, T, heads, dim) lies at ((b * T + t) * heads + h) * dim + j. Per-key and
 * per-agent vectors are (B, T, heads). A bias is (heads, queries, keys), the same for the whole batch. Out of memory ends the program.
 */
#ifndef CLATTN_TESTS_REF_H
#define CLATTN_TESTS_REF_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed; freed with free(). */
double *ref_array(int64_t count);
/* The same numbers in double. */
double *ref_widened(int64_t count, const float *values);

/* One sample of a bilinear resize: out[i] = sum over the two taps (PyTorch, align_corners = False, no antialias). */
typedef struct ref_taps {
    int64_t first, second;
    double weight_first, weight_second;
} ref_taps;

ref_taps ref_resize(int64_t in, int64_t out, int64_t i);

/* Sizes of softmax attention; `bias`, `key_bias` may be NULL. A row whose keys are all -INFINITY gives zeros. */
typedef struct ref_attention_shape {
    int64_t batch, heads, dim, dim_v, queries, keys;
    double scale;
} ref_attention_shape;

void ref_attention(const ref_attention_shape *s, const double *q, const double *k, const double *v,
                   const double *bias, const double *key_bias, double *out);

/* A map in memory, the windows it is cut in (the whole map: window = map, shift = 0), and class tokens in front of it. */
typedef struct ref_map {
    int64_t class_tokens, height, width;
    int64_t window_h, window_w, shift_y, shift_x;
} ref_map;

int64_t ref_map_tokens(const ref_map *m);
int64_t ref_map_windows(const ref_map *m);
int64_t ref_window_tokens(const ref_map *m);
/* (B, tokens, channels) to (B * windows, window tokens, channels) and back. */
void ref_cut(const ref_map *m, int64_t batch, int64_t channels, const double *map, double *cut);
void ref_join(const ref_map *m, int64_t batch, int64_t channels, const double *cut, double *map);

/* Depthwise convolution of v (resized to the map where it has one of its own), without accumulating; class tokens give 0. */
typedef struct ref_dwc_shape {
    int64_t batch, heads, dim;
    ref_map map;
    int64_t in_height, in_width;
    int64_t size;
} ref_dwc_shape;

void ref_dwc(const ref_dwc_shape *s, const double *v, const double *weight, const double *bias,
             double *out);
/* v on the map of `s`: class tokens copied, the rest resized. */
void ref_resize_map(const ref_dwc_shape *s, const double *v, double *out);

/* The learned bias of one stage in the checkpoint's layout; NULL: that term is 0. Sizes as in clattn_agent_bias_stage. */
typedef struct ref_bias_stage {
    const float *map, *row, *column, *class_token;
    int64_t trained_h, trained_w, grid_h, grid_w;
} ref_bias_stage;

typedef struct ref_bias_shape {
    int64_t heads, class_tokens;
    int64_t trained_agents_h, trained_agents_w, agent_h, agent_w;
} ref_bias_shape;

/* stage 1: bias (heads, n, N); stage 2: bias (heads, N, n). N = class_tokens + grid_h * grid_w. */
void ref_agent_bias(const ref_bias_shape *s, const ref_bias_stage *weights, int stage,
                    double *bias);

/* Sizes of agent attention, nothing left to a default. P = batch * windows. */
typedef struct ref_agent_shape {
    int64_t batch, heads, dim, dim_v;
    ref_map q_map, k_map;
    int64_t agent_h, agent_w;
    int64_t dwc_size;
    double scale_aggregate, scale_broadcast, v_shortcut;
} ref_agent_shape;

typedef struct ref_agent_inputs {
    const double *q, *k, *v;     /* (batch, N or M, heads, d or dv) */
    const double *agents;        /* (P, n, heads, d); in ref_agent_attention NULL: pooled from q */
    const double *bias1, *bias2; /* or NULL */
    const double *key_bias;      /* (batch, M, heads) or NULL */
    const double *agent_vector;  /* (P, n, heads) or NULL */
    const double *dwc_weight;    /* (heads * dv, size, size) */
    const double *dwc_bias;      /* (heads * dv) or NULL */
} ref_agent_inputs;

/* agents (P, n, heads, d) */
void ref_agent_pool(const ref_agent_shape *s, const double *q, double *agents);
/* va (P, n, heads, dv) */
void ref_agent_aggregate(const ref_agent_shape *s, const ref_agent_inputs *in, double *va);
/* out (batch, N, heads, dv) */
void ref_agent_broadcast(const ref_agent_shape *s, const ref_agent_inputs *in, const double *va,
                         double *out);
void ref_agent_attention(const ref_agent_shape *s, const ref_agent_inputs *in, double *out);

/* The smoothing filter: rgb and out (height * width, 3), agents (n, 5) after the rounds or NULL. */
typedef struct ref_smooth_shape {
    int64_t height, width, agent_h, agent_w;
    double sigma_color, sigma_space, detail;
    int rounds;
} ref_smooth_shape;

void ref_smooth(const ref_smooth_shape *s, const double *rgb, double *out, double *agents);

#endif
