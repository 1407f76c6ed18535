/*
 * Hands the tiles of a pass to lanes as they become free, and gives what they did back to the calling thread. Knows threads, and
 * nothing of attention or of OpenCL.
 *
 * A tile goes through three calls: `fill` and `finish` in the calling thread, one at a time, and between them `work` in the lane's
 * own thread; or, in a concurrent pass, all three in the lane's thread, beside other lanes'. A device whose tile fails is dropped,
 * with all its lanes, and the tile goes to another one.
 */
#ifndef CLATTN_SRC_TILE_ENGINE_H
#define CLATTN_SRC_TILE_ENGINE_H

#include "base/base.h"

typedef struct clattn__engine clattn__engine;

/*
 * What lanes do. Lane i is one of device i % devices: each has its first tile before any has two. CLATTN_E_CALLBACK and
 * CLATTN_E_CANCELLED end the pass; any other failure is the device's, and the tile is done again from fill() on: a finish() that fails
 * must have handed on nothing.
 */
typedef struct clattn__engine_pass {
    int64_t tiles;
    bool ordered;    /* finish() comes in the order of the tiles, one at a time */
    bool concurrent; /* fill() and finish() may be called by lanes, several at a time */
    bool serial;     /* but finish() one at a time, in any order */
    void *user;
    clattn_status (*fill)(void *user, int lane, int64_t tile);
    clattn_status (*work)(void *user, int lane, int64_t tile);
    clattn_status (*finish)(void *user, int lane, int64_t tile);
} clattn__engine_pass;

/* What the engine asks of its owner. */
typedef struct clattn__engine_owner {
    void *user;
    /* Called in the calling thread now and then, with the tiles of this pass that are done; true cancels. */
    bool (*poll)(void *user, int64_t done);
    /* A device is not used any more. Concurrent passes: from any lane's thread. */
    void (*dropped)(void *user, int device, clattn_status status, int64_t tile);
} clattn__engine_owner;

/* Starts a thread per lane. */
clattn_status clattn__engine_create(int devices, int lanes_per_device,
                                    const clattn__engine_owner *owner, clattn__engine **engine);
void clattn__engine_destroy(clattn__engine **engine);

/*
 * Runs a pass to its end. CLATTN_E_CANCELLED after poll() or clattn__engine_stopping(), the status of fill or finish, or, where
 * no device is left, that of the last one's tile. All lanes are idle on return.
 */
clattn_status clattn__engine_run(clattn__engine *engine, const clattn__engine_pass *pass);

/* True once the pass is to end early: work() may leave with CLATTN_E_CANCELLED. From any thread. */
bool clattn__engine_stopping(clattn__engine *engine);

/* False for a device that was dropped. Calling thread, between passes. */
bool clattn__engine_alive(const clattn__engine *engine, int device);
/* Drops it, as a failing tile would; CLATTN_OK while another is left, else `status`. */
clattn_status clattn__engine_drop(clattn__engine *engine, int device, clattn_status status);

#endif
