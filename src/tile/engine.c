#include "tile/engine.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/threads.h"

#define POLL_NANOSECONDS 20000000 /* between two calls of poll() while lanes work */

typedef enum lane_state {
    LANE_IDLE,
    LANE_FILLED, /* for its thread */
    LANE_WORKING,
    LANE_DONE, /* for the calling thread */
    LANE_STOP
} lane_state;

typedef struct lane {
    struct clattn__engine *engine;
    int number;
    pthread_t thread;
    pthread_cond_t wake;
    /* guarded by the engine's lock */
    lane_state state;
    int64_t tile;
    clattn_status status;
} lane;

struct clattn__engine {
    clattn__mutex lock;
    pthread_cond_t done; /* a lane is LANE_DONE */
    clattn__engine_owner owner;
    const clattn__engine_pass *pass;
    atomic_bool
        stopping; /* once set, it stays until the pass is over; lanes look without the lock */

    int devices, lanes_per_device, lanes, started;
    bool *alive;
    clattn_status last_drop; /* why the device that was dropped last was */
    int64_t next, finished;  /* the first tile never handed out; how many are done */
    int64_t *redo;           /* tiles handed out in vain, at most one per lane */
    int redos;
    lane lane[];
};

static void *lane_main(void *user)
{
    lane *l = user;
    clattn__engine *e = l->engine;

    clattn__mutex_lock(&e->lock);
    for (;;) {
        while (l->state != LANE_FILLED && l->state != LANE_STOP)
            pthread_cond_wait(&l->wake, &e->lock);
        if (l->state == LANE_STOP)
            break;
        l->state = LANE_WORKING;
        const clattn__engine_pass *pass = e->pass;
        clattn__mutex_unlock(&e->lock);
        const clattn_status status = pass->work(pass->user, l->number, l->tile);
        clattn__mutex_lock(&e->lock);
        l->status = status;
        l->state = LANE_DONE;
        pthread_cond_signal(&e->done);
    }
    clattn__mutex_unlock(&e->lock);
    return NULL;
}

clattn_status clattn__engine_create(int devices, int lanes_per_device,
                                    const clattn__engine_owner *owner, clattn__engine **engine)
{
    const int lanes = devices * lanes_per_device;
    clattn__engine *e = clattn__alloc(sizeof *e + (size_t)lanes * sizeof(lane));

    if (e == NULL)
        return CLATTN_E_NOMEM;
    e->owner = *owner;
    e->devices = devices;
    e->lanes_per_device = lanes_per_device;
    e->lanes = lanes;
    e->alive = clattn__alloc_array((size_t)devices, sizeof *e->alive);
    e->redo = clattn__alloc_array((size_t)lanes, sizeof *e->redo);
    if (e->alive == NULL || e->redo == NULL || !clattn__mutex_init(&e->lock))
        goto no_lock;
    if (pthread_cond_init(&e->done, NULL) != 0)
        goto no_done;
    for (int i = 0; i < devices; i++)
        e->alive[i] = true;
    for (int i = 0; i < lanes; i++) {
        lane *l = &e->lane[i];
        l->engine = e;
        l->number = i;
        if (pthread_cond_init(&l->wake, NULL) != 0)
            break;
        if (pthread_create(&l->thread, NULL, lane_main, l) != 0) {
            pthread_cond_destroy(&l->wake);
            break;
        }
        e->started++;
    }
    *engine = e;
    if (e->started == lanes)
        return CLATTN_OK;
    clattn__engine_destroy(engine);
    return CLATTN_E_NOMEM;
no_done:
    clattn__mutex_destroy(&e->lock);
no_lock:
    clattn__free(e->redo);
    clattn__free(e->alive);
    clattn__free(e);
    return CLATTN_E_NOMEM;
}

void clattn__engine_destroy(clattn__engine **engine)
{
    clattn__engine *e = *engine;

    if (e == NULL)
        return;
    clattn__mutex_lock(&e->lock);
    for (int i = 0; i < e->started; i++) {
        e->lane[i].state = LANE_STOP;
        pthread_cond_signal(&e->lane[i].wake);
    }
    clattn__mutex_unlock(&e->lock);
    for (int i = 0; i < e->started; i++) {
        pthread_join(e->lane[i].thread, NULL);
        pthread_cond_destroy(&e->lane[i].wake);
    }
    pthread_cond_destroy(&e->done);
    clattn__mutex_destroy(&e->lock);
    clattn__free(e->redo);
    clattn__free(e->alive);
    clattn__free(e);
    *engine = NULL;
}

bool clattn__engine_alive(const clattn__engine *e, int device)
{
    return e->alive[device];
}

static bool any_alive(const clattn__engine *e)
{
    for (int i = 0; i < e->devices; i++)
        if (e->alive[i])
            return true;
    return false;
}

clattn_status clattn__engine_drop(clattn__engine *e, int device, clattn_status status)
{
    if (e->alive[device]) {
        e->alive[device] = false;
        e->last_drop = status;
        e->owner.dropped(e->owner.user, device, status, -1);
    }
    return any_alive(e) ? CLATTN_OK : status;
}

bool clattn__engine_stopping(clattn__engine *e)
{
    return atomic_load(&e->stopping);
}

/* A status that is no device's fault. CLATTN_E_NOMEM may be one's: drivers say so of their own memory. */
static bool blames_run(clattn_status status)
{
    return status == CLATTN_E_CALLBACK || status == CLATTN_E_CANCELLED;
}

/* The lowest tile that nobody has; false when all are out. */
static bool take_tile(clattn__engine *e, int64_t *tile)
{
    int lowest = -1;

    for (int i = 0; i < e->redos; i++)
        if (lowest < 0 || e->redo[i] < e->redo[lowest])
            lowest = i;
    if (lowest >= 0) {
        *tile = e->redo[lowest];
        e->redo[lowest] = e->redo[--e->redos];
        return true;
    }
    if (e->next >= e->pass->tiles)
        return false;
    *tile = e->next++;
    return true;
}

static void give_back(clattn__engine *e, lane *l)
{
    e->redo[e->redos++] = l->tile;
    l->state = LANE_IDLE;
}

/* What the calling thread does next; called and left with the lock held. */
typedef enum step { STEP_WAIT, STEP_FILL, STEP_FINISH, STEP_END } step;

static step next_step(clattn__engine *e, lane **chosen)
{
    lane *idle = NULL;
    lane *last = NULL; /* the highest tile that waits for its turn */
    bool busy = false;

    for (int i = 0; i < e->lanes; i++) {
        lane *l = &e->lane[i];
        if (l->state == LANE_DONE) {
            if (l->status != CLATTN_OK || e->stopping || !e->pass->ordered ||
                l->tile == e->finished) {
                *chosen = l;
                return STEP_FINISH;
            }
            if (e->alive[i / e->lanes_per_device] && (last == NULL || l->tile > last->tile))
                last = l;
        } else if (l->state != LANE_IDLE) {
            busy = true;
        } else if (idle == NULL && e->alive[i / e->lanes_per_device]) {
            idle = l;
        }
    }
    if (e->stopping)
        return busy ? STEP_WAIT : STEP_END;
    const bool tiles_left = e->redos > 0 || e->next < e->pass->tiles;
    if (tiles_left && idle != NULL) {
        *chosen = idle;
        return STEP_FILL;
    }
    if (busy)
        return STEP_WAIT;
    if (!tiles_left)
        return STEP_END;
    /* All lanes wait for a tile that has to be done again: the one that waits longest makes room. */
    if (last != NULL) {
        give_back(e, last);
        *chosen = last;
        return STEP_FILL;
    }
    return STEP_END;
}

/* A device failed: its idle lanes get nothing more, and the tile goes back. */
static void fail_device(clattn__engine *e, lane *l, clattn_status status, clattn_status *failure)
{
    const int device = l->number / e->lanes_per_device;

    give_back(e, l);
    if (e->alive[device]) {
        e->alive[device] = false;
        e->last_drop = status;
        clattn__mutex_unlock(&e->lock);
        e->owner.dropped(e->owner.user, device, status, l->tile);
        clattn__mutex_lock(&e->lock);
    }
    if (!any_alive(e)) {
        e->stopping = true;
        *failure = *failure == CLATTN_OK ? status : *failure;
    }
}

static void end_early(clattn__engine *e, clattn_status status, clattn_status *failure)
{
    e->stopping = true;
    *failure = *failure == CLATTN_OK ? status : *failure;
}

static void fill(clattn__engine *e, lane *l, clattn_status *failure)
{
    const clattn__engine_pass *pass = e->pass;

    take_tile(e, &l->tile);
    clattn__mutex_unlock(&e->lock);
    const clattn_status status = pass->fill(pass->user, l->number, l->tile);
    clattn__mutex_lock(&e->lock);
    if (status == CLATTN_OK) {
        l->state = LANE_FILLED;
        pthread_cond_signal(&l->wake);
    } else if (blames_run(status)) {
        end_early(e, status, failure);
    } else {
        fail_device(e, l, status, failure);
    }
}

static void finish(clattn__engine *e, lane *l, clattn_status *failure)
{
    const clattn__engine_pass *pass = e->pass;
    clattn_status status = l->status;

    if (e->stopping) {
        l->state = LANE_IDLE;
        return;
    }
    if (status == CLATTN_OK) {
        clattn__mutex_unlock(&e->lock);
        status = pass->finish(pass->user, l->number, l->tile);
        clattn__mutex_lock(&e->lock);
    }
    if (status == CLATTN_OK) {
        l->state = LANE_IDLE;
        e->finished++;
    } else if (blames_run(status)) {
        l->state = LANE_IDLE;
        end_early(e, status, failure);
    } else {
        fail_device(e, l, status, failure);
    }
}

static void wait_a_little(clattn__engine *e)
{
    struct timespec until;

    timespec_get(&until, TIME_UTC);
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&e->done, &e->lock, &until);
}

clattn_status clattn__engine_run(clattn__engine *e, const clattn__engine_pass *pass)
{
    clattn_status failure = CLATTN_OK;
    lane *chosen = NULL;

    if (!any_alive(e))
        return e->last_drop;
    if (e->owner.poll(e->owner.user, 0))
        return CLATTN_E_CANCELLED;
    clattn__mutex_lock(&e->lock);
    e->pass = pass;
    e->next = e->finished = 0;
    e->redos = 0;
    e->stopping = false;
    for (;;) {
        const step s = next_step(e, &chosen);
        if (s == STEP_END)
            break;
        if (s == STEP_FILL)
            fill(e, chosen, &failure);
        else if (s == STEP_FINISH)
            finish(e, chosen, &failure);
        else
            wait_a_little(e);
        if (e->stopping)
            continue;
        clattn__mutex_unlock(&e->lock);
        const bool cancel = e->owner.poll(e->owner.user, e->finished);
        if (cancel)
            atomic_store(&e->stopping, true);
        clattn__mutex_lock(&e->lock);
        if (cancel)
            end_early(e, CLATTN_E_CANCELLED, &failure);
    }
    e->pass = NULL;
    clattn__mutex_unlock(&e->lock);
    return failure;
}
