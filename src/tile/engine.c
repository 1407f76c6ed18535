#include "tile/engine_inside.h"

#include <errno.h>
#include <time.h>

#include "base/machine.h"
#define POLL_NANOSECONDS 20000000 /* between two calls of poll() while lanes work */

static void work(clattn__engine *e, clattn__engine_lane *l)
{
    const clattn__engine_pass *pass = e->pass;

    l->state = LANE_WORKING;
    clattn__mutex_unlock(&e->lock);
    const clattn_status status = pass->work(pass->user, l->number, l->tile);
    clattn__mutex_lock(&e->lock);
    l->status = status;
    l->state = LANE_DONE;
    pthread_cond_signal(&e->done);
}

static void *lane_main(void *user)
{
    clattn__engine_lane *l = user;
    clattn__engine *e = l->engine;

    clattn__mutex_lock(&e->lock);
    while (l->state != LANE_STOP) {
        if (l->state == LANE_FILLED)
            work(e, l);
        else if (l->state == LANE_OWN)
            clattn__engine_lane_own(e, l);
        else
            pthread_cond_wait(&l->wake, &e->lock);
    }
    clattn__mutex_unlock(&e->lock);
    return NULL;
}

clattn_status clattn__engine_create(int devices, int lanes_per_device,
                                    const clattn__engine_owner *owner, clattn__engine **engine)
{
    const int lanes = devices * lanes_per_device;
    clattn__engine *e = clattn__alloc(sizeof *e + (size_t)lanes * sizeof(clattn__engine_lane));

    if (e == NULL)
        return CLATTN_E_NOMEM;
    e->owner = *owner;
    e->devices = devices;
    e->lanes = lanes;
    e->alive = clattn__alloc_array((size_t)devices, sizeof *e->alive);
    e->redo = clattn__alloc_array((size_t)lanes, sizeof *e->redo);
    if (e->alive == NULL || e->redo == NULL || !clattn__mutex_init(&e->lock))
        goto no_lock;
    if (pthread_cond_init(&e->done, NULL) != 0)
        goto no_done;
    if (pthread_cond_init(&e->turn, NULL) != 0)
        goto no_turn;
    for (int i = 0; i < devices; i++)
        e->alive[i] = true;
    for (int i = 0; i < lanes; i++) {
        clattn__engine_lane *l = &e->lane[i];
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
no_turn:
    pthread_cond_destroy(&e->done);
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
    pthread_cond_destroy(&e->turn);
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

bool clattn__engine_lane_alive(const clattn__engine *e, const clattn__engine_lane *l)
{
    return e->alive[l->number % e->devices];
}

bool clattn__engine_blames_run(clattn_status status)
{
    return status == CLATTN_E_CALLBACK || status == CLATTN_E_CANCELLED;
}

bool clattn__engine_take(clattn__engine *e, int64_t *tile)
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

void clattn__engine_give_back(clattn__engine *e, int64_t tile)
{
    e->redo[e->redos++] = tile;
}

void clattn__engine_end_early(clattn__engine *e, clattn_status status)
{
    e->stopping = true;
    e->failure = e->failure == CLATTN_OK ? status : e->failure;
}

void clattn__engine_fail(clattn__engine *e, clattn__engine_lane *l, clattn_status status)
{
    const int device = l->number % e->devices;

    clattn__engine_give_back(e, l->tile);
    if (e->alive[device]) {
        e->alive[device] = false;
        e->last_drop = status;
        clattn__mutex_unlock(&e->lock);
        e->owner.dropped(e->owner.user, device, status, l->tile);
        clattn__mutex_lock(&e->lock);
    }
    if (!any_alive(e))
        clattn__engine_end_early(e, status);
}

void clattn__engine_wait(clattn__engine *e)
{
    struct timespec until;

    clattn__machine_time(&until);
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&e->done, &e->lock, &until);
}

void clattn__engine_poll(clattn__engine *e)
{
    const int64_t finished = e->finished;

    clattn__mutex_unlock(&e->lock);
    const bool cancel = e->owner.poll(e->owner.user, finished);
    if (cancel) /* lanes know before the lock is had again, which they hold often */
        atomic_store(&e->stopping, true);
    clattn__mutex_lock(&e->lock);
    if (cancel)
        clattn__engine_end_early(e, CLATTN_E_CANCELLED);
}

clattn_status clattn__engine_run(clattn__engine *e, const clattn__engine_pass *pass)
{
    if (!any_alive(e))
        return e->last_drop;
    if (e->owner.poll(e->owner.user, 0))
        return CLATTN_E_CANCELLED;
    clattn__mutex_lock(&e->lock);
    e->pass = pass;
    e->next = e->finished = 0;
    e->redos = e->in_hand = 0;
    e->finishing = false;
    e->stopping = false;
    e->failure = CLATTN_OK;
    if (pass->concurrent)
        clattn__engine_run_lanes(e);
    else
        clattn__engine_run_caller(e);
    e->pass = NULL;
    clattn__mutex_unlock(&e->lock);
    return e->failure;
}
