/*
 * `clattn check`: recorded results of attention modules, run again on a device. A file goes through
 * these steps:
 *
 *     kind.c   which kind of file it is, and whether this version can run it
 *     case.c   its tensors and hyper-parameters become a CheckCase, in terms of the library's
 *              descriptors
 *     load.c   typed, checked access to the file for it; part.c: what the families of
 *              modules share
 *     host.c   what the case needs around attention, in plain C
 *     run.c    runs the parts of the case on a context and compares; steps.c: step by
 *              step; smooth.c: the filter
 *     check.c  the command: options, the table of results, JSON
 *     files.c  finds the files below the given folders
 */
#ifndef CLATTN_TOOLS_CHECK_H
#define CLATTN_TOOLS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clattn/clattn.h"

/* Relative L2 and largest error, the latter times max(1, max|output|). */
#define CHECK_L2_LIMIT  5e-6
#define CHECK_MAX_LIMIT 3e-5
/* The same with storage in f16. */
#define CHECK_F16_L2_LIMIT  1.5e-3
#define CHECK_F16_MAX_LIMIT 2e-3
/* Smoothing: largest and mean error on a range of 1; its logits reach several hundred. */
#define CHECK_SMOOTH_MAX_LIMIT  2e-4
#define CHECK_SMOOTH_MEAN_LIMIT 4e-6

/* Why a file could not be used, or a case not be run. */
typedef struct CheckError {
    char text[512];
} CheckError;

/* Writes the sentence and returns false: a failing function can `return check_refuse(...)`. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool check_refuse(CheckError *error, const char *format, ...);

/* The forms of attention in the recorded files. */
typedef enum CheckForm {
    CHECK_DEIT,
    CHECK_PVT,
    CHECK_SWIN,
    CHECK_CSWIN,
    CHECK_AGENTSD, /* Stable Diffusion's: agents given */
    CHECK_SMOOTH
} CheckForm;

typedef struct CheckKind {
    bool known;
    CheckForm form;
    bool dense;       /* any map, any agent grid; layouts of its own */
    bool block;       /* the attention part of a block: parameters under attn. or attns.i. */
    bool softmax;     /* ordinary softmax attention, no agents */
    const char *skip; /* why this version cannot run it, or NULL */
} CheckKind;

CheckKind check_kind(const clattn_safetensors *file);

/* Host memory that a part uploads: values of the file, or its own. */
typedef struct CheckArray {
    const float *values;
    float *owned; /* NULL where `values` belongs to the file */
    int64_t count;
} CheckArray;

enum {
    CHECK_ARRAY_Q,  /* or the packed qkv */
    CHECK_ARRAY_KV, /* where k and v do not lie in Q's memory */
    CHECK_ARRAY_AGENTS,
    CHECK_ARRAY_DWC_WEIGHT,
    CHECK_ARRAY_DWC_BIAS,
    CHECK_ARRAYS
};

/*
 * Where a recorded result lies: (batch, tokens, heads * dim), or (batch, heads, tokens, dim) as
 * PyTorch splits heads.
 */
typedef struct CheckResult {
    const float *values; /* NULL: not in the file */
    bool heads_first;
} CheckResult;

/* One run of attention. Tensors have no memory yet: `*_array` says which array is theirs. */
typedef struct CheckPart {
    bool softmax; /* attention_desc is the one to use */
    clattn_agent_attention_desc desc;
    clattn_attention_desc attention_desc;
    clattn_agent_bias_desc bias; /* with desc.has_bias */
    CheckArray arrays[CHECK_ARRAYS];
    clattn_tensor q, k, v, agents;
    int k_array, v_array;

    /* After attention: proj_weight NULL means nothing. */
    const float *proj_weight, *proj_bias;
    int64_t proj_out;

    const float *expected;    /* (batch, tokens, proj_out or heads * head_dim_v) */
    bool in_windows;          /* `expected` is cut in windows, in shifted order */
    CheckResult agent_tokens; /* intermediates, for --verbose */
    CheckResult agent_v, attn_out;
    bool attn_out_has_dwc;
} CheckPart;

typedef struct CheckCase {
    CheckForm form;
    clattn_smooth_desc smooth; /* CHECK_SMOOTH; the rest is for the others */
    CheckArray picture;
    const float *smooth_expected, *smooth_agents;
    CheckPart parts[2]; /* cswin blocks with two branches have two */
    int part_count;
} CheckCase;

/*
 * Reads the case. False when the file contradicts itself; `error` then says how. Free it in any
 * case; the file must outlive it.
 */
bool check_case_load(CheckCase *recorded, const clattn_safetensors *file, const CheckKind *kind,
                     CheckError *error);
void check_case_free(CheckCase *recorded);

/* How q, k, v, agents and results are stored; the filter has f32 only. */
void check_case_set_type(CheckCase *recorded, clattn_type type);

/* How far a result lies from the recorded one. */
typedef struct CheckDistance {
    double max_abs, mean_abs, relative_l2;
    double max_value; /* of the recorded one */
} CheckDistance;

/* Distance of `count` values; what is not a number counts as infinitely far. */
CheckDistance check_distance(const float *values, const float *expected, int64_t count);

/* Called with each intermediate result that the file records and the library gives. */
typedef void (*check_intermediate)(void *user, const char *name, const CheckDistance *distance);

/* Runs all parts; *worst has the largest of each distance. */
clattn_status check_case_run(clattn_context *ctx, const CheckCase *recorded,
                             check_intermediate tell, void *user, CheckDistance *worst);

/*
 * Plain C around attention, accumulated in double. Rows of `in` and `out` features; bias may be
 * NULL.
 */
void check_linear(float *result, const float *input, const float *weight, const float *bias,
                  int64_t rows, int64_t in, int64_t out);
void check_layer_norm(float *rows, const float *weight, const float *bias, int64_t count,
                      int64_t channels, double epsilon);
/*
 * Convolution of size and stride `ratio` over (batch, height * width, channels) tokens; weight
 * (out, in, ratio, ratio).
 */
void check_reduce(float *result, const float *tokens, const float *weight, const float *bias,
                  int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t ratio);

/*
 * The .safetensors files among and below `paths`, in order of name within each folder. Free with
 * check_files_free().
 */
typedef struct CheckFiles {
    char **paths;
    size_t count, room;
} CheckFiles;

/*
 * False when a path does not exist, a folder holds no case, or memory ran out; what could be found
 * is there all the same.
 */
bool check_files_add(CheckFiles *files, const char *path, CheckError *error);
void check_files_free(CheckFiles *files);

#endif
