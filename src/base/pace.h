/*
 * How a run's work is cut into launches that stay short. Operators say what their work is made of, in blocks of equal weight; who
 * wants short launches (src/tile) gives a pacer, which enqueues some blocks at a time and may end the run between two launches.
 */
#ifndef CLATTN_SRC_PACE_H
#define CLATTN_SRC_PACE_H

#include "base/base.h"

/* Work of one kind runs at about one rate on a device. */
typedef enum clattn__pace_kind {
    CLATTN__PACE_POOL,
    CLATTN__PACE_POOL_MERGE,
    CLATTN__PACE_AGGREGATE,
    CLATTN__PACE_MERGE,
    CLATTN__PACE_BROADCAST,
    CLATTN__PACE_CONVOLVE,
    CLATTN__PACE_FEATURES,
    CLATTN__PACE_NORMS,
    CLATTN__PACE_PROBLEMS, /* all steps of whole problems */
    CLATTN__PACE_KINDS
} clattn__pace_kind;

/* Enqueues blocks [first, first + count) in one launch, or a few. */
typedef clattn_status clattn__piece(void *user, int64_t first, int64_t count);

/* `blocks` blocks of `flops` floating-point operations each (an estimate). */
typedef struct clattn__paced_work {
    clattn__pace_kind kind;
    int64_t blocks;
    double flops;
    clattn__piece *piece;
    void *user;
} clattn__paced_work;

typedef struct clattn__pacer {
    clattn_status (*run)(void *user, const clattn__paced_work *work);
    void *user;
} clattn__pacer;

/* Without a pacer: all in one piece. */
static inline clattn_status clattn__pace(const clattn__pacer *pacer, const clattn__paced_work *work)
{
    return pacer != NULL ? pacer->run(pacer->user, work) : work->piece(work->user, 0, work->blocks);
}

#endif
