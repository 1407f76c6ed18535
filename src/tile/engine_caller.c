/* A pass whose fill() and finish() are called by the calling thread, one at a time. */
#include "tile/engine_inside.h"

static void give_back(clattn__engine *e, clattn__engine_lane *l)
{
    clattn__engine_give_back(e, l->tile);
    l->state = LANE_IDLE;
}

/* What the calling thread does next; called and left with the lock held. */
typedef enum step { STEP_WAIT, STEP_FILL, STEP_FINISH, STEP_END } step;

static step next_step(clattn__engine *e, clattn__engine_lane **chosen)
{
    clattn__engine_lane *idle = NULL;
    clattn__engine_lane *last = NULL; /* the highest tile that waits for its turn */
    bool busy = false;

    for (int i = 0; i < e->lanes; i++) {
        clattn__engine_lane *l = &e->lane[i];
        if (l->state == LANE_DONE) {
            if (l->status != CLATTN_OK || e->stopping || !e->pass->ordered ||
                l->tile == e->finished) {
                *chosen = l;
                return STEP_FINISH;
            }
            if (clattn__engine_lane_alive(e, l) && (last == NULL || l->tile > last->tile))
                last = l;
        } else if (l->state != LANE_IDLE) {
            busy = true;
        } else if (idle == NULL && clattn__engine_lane_alive(e, l)) {
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

static void fill(clattn__engine *e, clattn__engine_lane *l)
{
    const clattn__engine_pass *pass = e->pass;

    clattn__engine_take(e, &l->tile);
    clattn__mutex_unlock(&e->lock);
    const clattn_status status = pass->fill(pass->user, l->number, l->tile);
    clattn__mutex_lock(&e->lock);
    if (status == CLATTN_OK) {
        l->state = LANE_FILLED;
        pthread_cond_signal(&l->wake);
    } else if (clattn__engine_blames_run(status)) {
        clattn__engine_end_early(e, status);
    } else {
        clattn__engine_fail(e, l, status);
    }
}

static void finish(clattn__engine *e, clattn__engine_lane *l)
{
    const clattn__engine_pass *pass = e->pass;
    clattn_status status = l->status;

    l->state = LANE_IDLE;
    if (e->stopping)
        return;
    if (status == CLATTN_OK) {
        clattn__mutex_unlock(&e->lock);
        status = pass->finish(pass->user, l->number, l->tile);
        clattn__mutex_lock(&e->lock);
    }
    if (status == CLATTN_OK)
        e->finished++;
    else if (clattn__engine_blames_run(status))
        clattn__engine_end_early(e, status);
    else
        clattn__engine_fail(e, l, status);
}

void clattn__engine_run_caller(clattn__engine *e)
{
    clattn__engine_lane *chosen = NULL;

    for (;;) {
        const step s = next_step(e, &chosen);
        if (s == STEP_END)
            return;
        if (s == STEP_FILL)
            fill(e, chosen);
        else if (s == STEP_FINISH)
            finish(e, chosen);
        else
            clattn__engine_wait(e);
        if (!e->stopping)
            clattn__engine_poll(e);
    }
}
