/* The inside of the engine, for its files alone: engine.c (life, and what both ways share), engine_caller.c, engine_lanes.c. */
#ifndef CLATTN_SRC_TILE_ENGINE_INSIDE_H
#define CLATTN_SRC_TILE_ENGINE_INSIDE_H

#include <stdatomic.h>

#include "base/threads.h"
#include "tile/engine.h"

typedef enum clattn__lane_state {
    LANE_IDLE,
    LANE_FILLED, /* for its thread */
    LANE_WORKING,
    LANE_DONE, /* for the calling thread */
    LANE_OWN,  /* its thread takes tiles on its own, until it says LANE_IDLE */
    LANE_STOP
} clattn__lane_state;

typedef struct clattn__engine_lane {
    struct clattn__engine *engine;
    int number;
    pthread_t thread;
    pthread_cond_t wake;
    /* guarded by the engine's lock */
    clattn__lane_state state;
    int64_t tile;
    clattn_status status;
} clattn__engine_lane;

struct clattn__engine {
    clattn__mutex lock;
    pthread_cond_t done; /* something for the calling thread */
    pthread_cond_t turn; /* something for lanes that wait for their turn or for a tile */
    clattn__engine_owner owner;
    const clattn__engine_pass *pass;
    atomic_bool
        stopping; /* once set, it stays until the pass is over; lanes look without the lock */

    int devices, lanes, started;
    /* of the pass, guarded by the lock */
    bool *alive;
    clattn_status failure;   /* what ends the pass early */
    clattn_status last_drop; /* why the device that was dropped last was */
    int64_t next, finished;  /* the first tile never handed out; how many are done */
    int64_t *redo;           /* tiles handed out in vain: with those in hand at most one per lane */
    int redos;
    int in_hand;    /* LANE_OWN: tiles that lanes have */
    bool finishing; /* LANE_OWN: a lane is in finish(), of those that come one at a time */
    clattn__engine_lane lane[];
};

/* All of these are called with the lock held. */
bool clattn__engine_lane_alive(const clattn__engine *engine, const clattn__engine_lane *lane);
/* The lowest tile that nobody has; false when all are out. */
bool clattn__engine_take(clattn__engine *engine, int64_t *tile);
void clattn__engine_give_back(clattn__engine *engine, int64_t tile);
/* A status that is no device's fault. CLATTN_E_NOMEM may be one's: drivers say so of their own memory. */
bool clattn__engine_blames_run(clattn_status status);
void clattn__engine_end_early(clattn__engine *engine, clattn_status status);
/* The lane's tile failed: it goes back, and the device gets nothing more. Lets go of the lock meanwhile. */
void clattn__engine_fail(clattn__engine *engine, clattn__engine_lane *lane, clattn_status status);
/* Waits for `done`, but not long. */
void clattn__engine_wait(clattn__engine *engine);
/* Asks the owner whether to go on; lets go of the lock meanwhile. */
void clattn__engine_poll(clattn__engine *engine);

/* A pass whose fill() and finish() are the calling thread's; and one whose lanes do all of it. */
void clattn__engine_run_caller(clattn__engine *engine);
void clattn__engine_run_lanes(clattn__engine *engine);
/* What a lane's thread does in LANE_OWN. */
void clattn__engine_lane_own(clattn__engine *engine, clattn__engine_lane *lane);

#endif
