/*
 * clattn: attention over pictures larger than memory, in tiles, with exactly the result of the untiled computation; on one
 * device or on several.
 *
 *     clattn_tiling_create(contexts, 1, &desc, &weights, &options, &tiling);    checks, cuts into tiles, states exact bytes
 *     clattn_tiling_run(tiling, &io);                        asks io.source for tokens, hands results to io.sink
 *     clattn_tiling_destroy(&tiling);
 *
 * Agent attention has two reductions over the picture, both with small associative states (ops.h: leaves), so a picture is read in
 * three passes: pooled sums of q, states of stage 1 over k and v, then stage 2 rectangle by rectangle. Tiles of the first two
 * passes are runs of whole leaves; their states merge along the tree over leaf numbers that an untiled run uses. What fits
 * a tile whole (small pictures, windows) goes through in one pass, many at a time.
 *
 * Strict is the default: the same bits as the untiled run on one device of that kind, for every budget, tile, launch length and
 * number of devices. What it costs: k, v and q are read once per pass instead of once, and nothing else; tests hold it.
 */
#ifndef CLATTN_TILE_H
#define CLATTN_TILE_H

#include "clattn/filter.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A planned tiled run: the cut, and the weights on each device. */
typedef struct clattn_tiling clattn_tiling;

/** What a source is asked for. */
typedef enum clattn_tile_input {
    CLATTN_TILE_Q = 0,        /* heads x head_dim floats per token, on the map of q */
    CLATTN_TILE_K = 1,        /* heads x head_dim, on the map of k and v */
    CLATTN_TILE_V = 2,        /* heads x head_dim_v, likewise */
    CLATTN_TILE_KEY_BIAS = 3, /* heads, likewise: key_bias of ops.h; -INFINITY excludes the key */
    CLATTN_TILE_RGB = 4       /* 3, the smoothing filter's only input */
} clattn_tile_input;

/**
 * A rectangle of map tokens [y, y + height) x [x, x + width) of one picture of the batch; or, where class_count > 0, the class
 * tokens [class_first, class_first + class_count), and the rectangle is empty. All in tokens, 64 bits.
 */
typedef struct clattn_tile_rect {
    int64_t picture;
    int64_t y, x, height, width;
    int64_t class_first, class_count;
} clattn_tile_rect;

/**
 * Where tokens come from. `fill` writes the rectangle: element (row, column, c) goes to target[row * row_stride + column * channels
 * + c], class token i to target[i * channels + c]; channels as clattn_tile_input says (channel = head * width + j). It must not
 * write between rows. It may be asked for a rectangle more than once, and for overlapping ones (clattn_tiling_info). Anything
 * but 0 stops the run with CLATTN_E_CALLBACK and is kept as the report's code.
 *
 * threads  called by the thread that called run, one call at a time; with options.concurrent see there
 */
typedef struct clattn_tile_source {
    int (*fill)(void *user, clattn_tile_input input, const clattn_tile_rect *rect, float *target,
                int64_t row_stride);
    void *user;
    /* What the source says it has, of q or RGB; refused if it is not what was planned (0: not said). */
    int64_t height, width;
} clattn_tile_source;

/**
 * Where results go: heads x head_dim_v floats per token (the smoothing filter: 3), laid out as for a source. Every token comes
 * exactly once. Return values and threads as for a source.
 */
typedef struct clattn_tile_sink {
    int (*take)(void *user, const clattn_tile_rect *rect, const float *data, int64_t row_stride);
    void *user;
} clattn_tile_sink;

/** How to tile. Zero means the default in brackets; `reserved` must be zero. */
typedef struct clattn_tile_options {
    /* Most bytes of buffers on each device (0: three quarters of its memory, and what a context's byte cap leaves). */
    uint64_t device_bytes;
    /* Most bytes on the host, with those of devices that share its memory (0: half of the machine's). */
    uint64_t host_bytes;
    /* Largest single buffer (0: the device's limit). */
    uint64_t allocation_bytes;
    /*
     * What a launch should stay under, in milliseconds (0: 50). The first launches of each kind of work are small and measure the device.
     */
    double launch_ms;
    /* 1: the sink takes full-width rectangles, in order, from top to bottom. Not with windows. */
    int32_t strips;
    /* 1: devices and kernel variants of different kinds may share a run; its last bits then depend on who did what. */
    int32_t fast;
    /*
     * 1: source and sink may be called by threads of the run, at most one call per tile in flight at a time. Any two calls may then
     * overlap, fill with fill, take with take and fill with take, for different rectangles each (halos of fills do meet); with strips,
     * takes still come in order from top to bottom, each after the one before has returned, though from different threads.
     * A pass begins when all calls of the one before have returned. After a call that fails those under way end, and no other
     * begins. 0: all calls come from the thread that called run, one at a time. progress comes from that thread in any case, and
     * may overlap with source and sink. Bits are the same.
     */
    int32_t concurrent;
    /* Tiles per device at once, 1 .. 8 (0: 2): while one is computed, the next is filled. */
    int32_t in_flight;
    uint32_t reserved[8];
} clattn_tile_options;

/** What a tiling holds. Bytes are exact: its first run allocates just that. */
typedef struct clattn_tiling_info {
    uint64_t device_bytes; /* on each device */
    uint64_t host_bytes;   /* on the host, with those of devices that share its memory */
    /* The smallest device_bytes and host_bytes that would do, with buffers of any size. */
    uint64_t smallest_bytes;
    int64_t leaf_tokens;             /* of stage 1 */
    int64_t leaves;                  /* per picture and window */
    int64_t tiles;                   /* in all passes together */
    int32_t passes;                  /* over the picture; 1: every tile holds whole problems */
    int32_t tile_height, tile_width; /* of the last pass's rectangles; 0, 0 with 1 pass */
    /* How often a source is asked for a token of each input, halos not counted. */
    int32_t reads_q, reads_k, reads_v, reads_rgb;
    int32_t in_flight; /* tiles per device that fit */
} clattn_tiling_info;

/** The parameters of a layer, in host memory; NULL where the descriptor says there is none. Read during the call only. */
typedef struct clattn_tile_weights {
    const clattn_agent_bias_desc *bias;
    const float *dwc_weight; /* (heads * head_dim_v, 1, k, k) */
    const float *dwc_bias;   /* (heads * head_dim_v) */
} clattn_tile_weights;

/** The ends of a run, and what belongs to its pictures. */
typedef struct clattn_tile_io {
    clattn_tile_source source;
    clattn_tile_sink sink;
    /* With P = batch * windows: (P, n, heads, head_dim) where agents_given, (P, n, heads) where has_agent_vector. */
    const float *agents;
    const float *agent_vector;
    /*
     * May be NULL: called with the part that is done, 0 .. 1; anything but 0 cancels: the launches in hand, one per tile in flight,
     * end, and no other begins.
     */
    int (*progress)(void *user, double fraction);
    void *progress_user;
    /* NULL, or receives what the failing callback returned. */
    int32_t *callback_code;
} clattn_tile_io;

/**
 * Cuts agent attention into tiles for `count` contexts. The 32-bit limits of clattn_agent_attention_plan() hold for a tile alone: a
 * map may have more than 2^31 tokens, arrays more than 4 GiB.
 *
 * shapes   as clattn_agent_attention_desc; each side of a map below 2^31
 * units    bytes, milliseconds
 * types    f32; a descriptor of f16 is refused with CLATTN_E_UNSUPPORTED
 * limits   CLATTN_E_BUDGET, with the smallest budget that would do in the log, where one tile does not fit
 * memory   the caller keeps the contexts until the tiling is destroyed, and leaves it its bytes where they have a cap
 * async    no
 * threads  a tiling serves one run at a time
 * returns  CLATTN_OK, CLATTN_E_ARG (also for devices of different kinds without `fast`), CLATTN_E_SHAPE, CLATTN_E_TYPE,
 *          CLATTN_E_UNSUPPORTED, CLATTN_E_BUDGET, CLATTN_E_NOMEM, CLATTN_E_BUILD, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_tiling_create(clattn_context *const *contexts, size_t count,
                                              const clattn_agent_attention_desc *desc,
                                              const clattn_tile_weights *weights,
                                              const clattn_tile_options *options,
                                              clattn_tiling **tiling);

/**
 * The same for the smoothing filter of filter.h, whose source gives CLATTN_TILE_RGB and whose sink takes RGB.
 * Equations, shapes and defaults as clattn_smooth_plan(); the rest as clattn_tiling_create().
 */
CLATTN_API clattn_status clattn_smooth_tiling_create(clattn_context *const *contexts, size_t count,
                                                     const clattn_smooth_desc *desc,
                                                     const clattn_tile_options *options,
                                                     clattn_tiling **tiling);

CLATTN_API void clattn_tiling_get_info(const clattn_tiling *tiling, clattn_tiling_info *info);
/** Frees what runs have left, too; the contexts must still live. Sets *tiling to NULL. */
CLATTN_API void clattn_tiling_destroy(clattn_tiling **tiling);

/**
 * Runs: fills tiles from the source, computes them on whichever device is free, hands results to the sink, and returns when all is
 * done. A device that fails is dropped with a logged reason and its tiles are done again elsewhere; only when none is left does the
 * run fail. A device without room for its tiles gets smaller ones.
 *
 * shapes   see clattn_tile_io
 * units    strides in elements
 * types    f32
 * limits   the sink has received some rectangles, and no more will come, when the run fails or is cancelled
 * memory   the first run makes the buffers that the tiling has promised; they stay for the next run, until the tiling is destroyed or
 *          a device fails
 * async    no
 * threads  source and sink are called from the calling thread alone, but for options.concurrent, progress always; the log, and a CPU
 *          context's parallel_for, also from threads of the run, several at a time
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_SHAPE, CLATTN_E_CALLBACK, CLATTN_E_CANCELLED, CLATTN_E_BUDGET, CLATTN_E_NOMEM,
 *          CLATTN_E_DEVICE_NOMEM, CLATTN_E_OPENCL, CLATTN_E_LOST
 */
CLATTN_API clattn_status clattn_tiling_run(clattn_tiling *tiling, const clattn_tile_io *io);

/**
 * Source and sink over arrays in host memory with free strides. `memory.host` of each tensor is set, `mem` is NULL. q, k, v,
 * key_bias and out are those of clattn_agent_attention_args; the smoothing filter's input and output are v and out.
 *
 * memory   the struct and its tensors live until the run is over
 * returns  clattn_tile_arrays_source() and _sink(): callbacks for clattn_tile_io whose user is `arrays`
 */
typedef struct clattn_tile_arrays {
    const clattn_tensor *q, *k, *v, *key_bias, *out;
    int64_t width, kv_width; /* of the maps, always given; kv_width 0: as width */
    int64_t class_tokens;
} clattn_tile_arrays;

CLATTN_API clattn_tile_source clattn_tile_arrays_source(clattn_tile_arrays *arrays);
CLATTN_API clattn_tile_sink clattn_tile_arrays_sink(clattn_tile_arrays *arrays);

#ifdef __cplusplus
}
#endif
#endif
