/*
 * Which values the kernels of a context's plans get: rows of text (cl/tune_text.h), loaded by the caller or the library's own
 * (cl/tune_rows.txt), and where no row fits what follows from the device (cl/tune_rows.h).
 */
#ifndef CLATTN_SRC_TUNE_H
#define CLATTN_SRC_TUNE_H

#include "base/context.h"
#include "cl/tune_text.h"

/* The library's own rows and their number of bytes; made from tune_rows.txt. */
extern const char clattn__tune_builtin[];
extern const size_t clattn__tune_builtin_bytes;

/* The values a plan's kernel has, for clattn_plan_tuning(). */
typedef struct clattn__tuned {
    const char *kernel; /* NULL: it has none */
    clattn_type type;
    clattn__tune_values values;
    const char *source; /* "loaded", "built-in" or "default" */
} clattn__tuned;

/* The context's rows (ctx->cl->tuning), the library's own at first. A lane uses its parent's. */
clattn_status clattn__tune_create(clattn_context *ctx);
void clattn__tune_destroy(clattn_context *ctx);

/*
 * The values of a kernel: `defaults`, but for what the first row that is for it sets. defaults.work_group says which tile; 0 is the
 * wide shape, or a kernel without shapes. On the CPU path nothing but the defaults.
 */
clattn__tuned clattn__tune_find(const clattn_context *ctx, const char *kernel, clattn_type type,
                                clattn__tune_values defaults);

/*
 * Whether a row keeps the ranges of its kernel and the limits of the context's device; if not, the reason is written to `why`.
 */
bool clattn__tune_fits(const clattn_context *ctx, const clattn__tune_row *row, char *why,
                       size_t size);

#endif
