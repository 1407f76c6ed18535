/* The depthwise convolution of one problem, for `dwc` and as the end of `broadcast`. */
#ifndef CLATTN_SRC_CPU_CONVOLVE_H
#define CLATTN_SRC_CPU_CONVOLVE_H

#include "cpu/address.h"
#include "cpu/lanes.h"

#define convolve CPU_NAME(convolve)

/*
 * out (+)= DWC(v) + bias + shortcut * v over `dim` channels; weight and bias start at the head's
 * first channel.
 */
typedef struct convolution {
    const elem *v;
    const float *weight, *bias;  /* weight NULL where size is 0; bias NULL: none */
    tokens v_at, out_at;         /* out_at says the window: its size and its class tokens */
    Halo halo;                   /* of v around the window */
    bool resized;                /* v has a map of its own, v_h x v_w, without windows */
    i32 v_h, v_w, v_top, v_left; /* and begins in memory at (v_top, v_left) of it */
    i32 map_h, map_w, top, left; /* the map that the window is part of, where v is resized */
    elem *out;
    i32 size, dim;
    float shortcut;
    bool accumulate;
} convolution;

/* Tokens [first, first + count) of the problem. */
void convolve(const convolution *c, i32 first, i32 count);

#endif
