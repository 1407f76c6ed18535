/*
 * clattn: tuning. Kernels have parameters that change their speed and no bit of their results. Rows of text set them for a
 * device; `clattn tune` finds and writes rows, and the library holds some of its own (src/cl/tune_rows.txt).
 *
 * Text  One row per line: the name of a kernel, then `name=value` in any order. `#` begins a comment that ends with the
 *       line. A value is a word, or text between quotes, in which \" and \\ stand for a quote and a backslash.
 *
 *           agent_broadcast type=f32 device="pthread-haswell-AMD EPYC" rows=6 vectors=1 query_block=128
 *           agent_broadcast vendor="Intel(R) Corporation" work_group=64 chunk_d=32 block_dv=64
 *           dwc items=128
 *
 *       What a row is for, all of it optional: `type` (f32, f16), `vendor`, `architecture` and `device` (clattn_device's
 *       vendor, architecture and name, whole), `work_group` (the tile of 16, 32, 64, 128 or 256 items; none: the wide shape).
 *       What a row sets; values that it leaves out follow from the device:
 *
 *           agent_aggregate       wide: rows, vectors, agents; tile: chunk_d, block_dv
 *           agent_broadcast       wide: rows, vectors, query_block; tile: chunk_d, block_dv
 *           attention             the same
 *           dwc                   channels, tokens, items
 *           agent_merge           items
 *           agent_pool            items
 *           smooth                items
 *
 *       rows x vectors of 16 sums stay in registers; agents: at most so many per work-item; query_block: queries per work-item;
 *       chunk_d: most of head_dim in local memory at a time; block_dv: most of head_dim_v per work-group; channels x tokens per
 *       work-item; items: work-items per group (wide shape: agent_merge, smooth and, from 16 channels
 *       per head on, agent_pool have none).
 *
 * Search  A plan takes, for each of its kernels, the first row that is for its device and type: loaded rows before the
 *       library's own; among these a row with `device` before one with `architecture`, with `vendor`, with none of them; then one
 *       with `type` before one without. Where there is no row, all values follow from the device's properties.
 *
 * Leaf sizes, the order of sums and the work-group of the tile shape decide about bits, so that no row sets them.
 */
#ifndef CLATTN_TUNE_H
#define CLATTN_TUNE_H

#include "clattn/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The rows of a context that are not loaded. */
typedef enum clattn_tuning {
    CLATTN_TUNING_BUILTIN = 0, /* the library's own; every context begins with them */
    CLATTN_TUNING_DEFAULT      /* none: all values follow from the device's properties */
} clattn_tuning;

/**
 * Gives a context rows that its plans are to use before the library's own. They replace all rows that were loaded before; a
 * text that is refused replaces nothing. Plans that were made before keep what they have.
 *
 * A row for this device that breaks one of its limits (work-group, local memory) or the range of a kernel is left out with a
 * warning; rows for other devices are checked for their form alone.
 *
 * shapes   none
 * units    `size` in bytes, without a terminating zero; at most 256 KiB and 1024 rows
 * types    none
 * limits   NULL text with size 0: no rows
 * memory   copied; the text may be freed at once
 * async    no
 * threads  not while another thread makes a plan or loads rows on the same context
 * returns  CLATTN_OK (also on the CPU path, which checks the text and has no use for it), CLATTN_E_ARG, CLATTN_E_NOMEM,
 *          CLATTN_E_IO when a row is damaged: the sentence has line and column
 */
CLATTN_API clattn_status clattn_tune_load(clattn_context *ctx, const char *text, size_t size);

/**
 * Forgets all loaded rows, and sets which others there are.
 *
 * shapes   none
 * units    none
 * types    none
 * limits   none
 * memory   frees what clattn_tune_load() copied
 * async    no
 * threads  as clattn_tune_load()
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_NOMEM
 */
CLATTN_API clattn_status clattn_tune_reset(clattn_context *ctx, clattn_tuning rows);

/**
 * The values that a plan's kernels have, children's too: one row each that clattn_tune_load() accepts, with where it comes from as a
 * comment (`# loaded`, `# built-in`, `# default`). Kernels without such values and plans of the CPU path have none.
 *
 * shapes   none
 * units    `size` in bytes
 * types    none
 * limits   none
 * memory   writes at most `size` bytes, the terminating zero among them; text may be NULL where size is 0
 * async    no
 * threads  safe
 * returns  the length of the whole text without the zero, however much of it was written; 0 for a plan that is none
 */
CLATTN_API size_t clattn_plan_tuning(const clattn_plan *plan, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
