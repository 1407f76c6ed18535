/*
 * The forms of the kernel programs: which file a kernel is in, the options it is compiled with, its work-group. A plan fills a
 * specification from what it has chosen, and clattn_kernel_list() one for each form that ships. Nothing else writes options.
 */
#ifndef CLATTN_SRC_OPS_FORMS_H
#define CLATTN_SRC_OPS_FORMS_H

#include "cl/program.h"
#include "cl/tune_rows.h"
#include "clattn/tensor.h"

/* Tokens per step of agent_aggregate_narrow, queries per work-item of agent_broadcast_narrow, and their widest rows. */
#define CLATTN__NARROW_STEP        256
#define CLATTN__NARROW_QUERY_BLOCK 256
#define CLATTN__NARROW_WIDTH       8

/* Pixels per work-item of smooth_features_wide. */
#define CLATTN__PICTURE_SEGMENT 128

/*
 * Neighbouring tokens per item of the convolution, whose sums fill the registers of small CPUs, and channels: as many as vectors
 * of CPU devices hold, or as one load of a GPU's item.
 */
#define CLATTN__DWC_TOKENS        4
#define CLATTN__DWC_WIDE_CHANNELS 16
#define CLATTN__DWC_TILE_CHANNELS 4

/* Rows of a head: head_dim of Q and K, head_dim_v of V, and how they are stored. */
typedef struct clattn__head {
    int dim, dim_v;
    clattn_type type;
} clattn__head;

/* The attention core; stage 1 gathers, stage 2 hands out. The rows hold tuned values, too. */
void clattn__form_tile(clattn__kernel_spec *spec, clattn__head head, int stage,
                       clattn__tile_row row);
void clattn__form_wide(clattn__kernel_spec *spec, clattn__head head, int stage,
                       clattn__wide_row row);
/* For rows of at most CLATTN__NARROW_WIDTH without agent bias and convolution; `floats` of a vector. */
void clattn__form_narrow(clattn__kernel_spec *spec, clattn__head head, int stage, int floats);

/* The others; those that take any work-group leave spec->local to the plan. */
void clattn__form_merge(clattn__kernel_spec *spec, clattn_type type, clattn_kernel_shape shape);
void clattn__form_pool(clattn__kernel_spec *spec, clattn_type type, bool merge);
/* For CPU devices and heads of 16 * `vectors` channels or more; `vectors` is 1, 2 or 4. */
void clattn__form_pool_wide(clattn__kernel_spec *spec, clattn_type type, bool merge, int vectors);
void clattn__form_dwc(clattn__kernel_spec *spec, clattn_type type, int channels, int tokens,
                      int size);
void clattn__form_features(clattn__kernel_spec *spec, clattn_kernel_shape shape, int floats);
void clattn__form_norms(clattn__kernel_spec *spec, clattn_kernel_shape shape, int floats);

#endif
