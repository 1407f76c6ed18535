/* A pass whose lanes do everything in their own threads: fill() and finish(), too. The calling thread asks for progress. */
#include "tile/engine_inside.h"

/* A tile that has to be done again and comes before the lane's own, which waits for its turn: they change places. */
static bool change_places(clattn__engine *e, clattn__engine_lane *l)
{
    for (int i = 0; i < e->redos; i++) {
        if (e->redo[i] >= l->tile || !clattn__engine_lane_alive(e, l))
            continue;
        clattn__engine_give_back(e, l->tile);
        clattn__engine_take(e, &l->tile);
        return true;
    }
    return false;
}

/* Until the lane may call finish(); false: its tile is another one now, and begins anew. */
static bool wait_for_turn(clattn__engine *e, clattn__engine_lane *l)
{
    const bool ordered = e->pass->ordered;

    while (!e->stopping && (ordered ? l->tile != e->finished : e->pass->serial && e->finishing)) {
        if (ordered && change_places(e, l))
            return false;
        pthread_cond_wait(&e->turn, &e->lock);
    }
    return true;
}

/* Fill, work, finish. */
static clattn_status do_tile(clattn__engine *e, clattn__engine_lane *l)
{
    const clattn__engine_pass *pass = e->pass;
    clattn_status status = CLATTN_OK;

    do {
        clattn__mutex_unlock(&e->lock);
        status = pass->fill(pass->user, l->number, l->tile);
        if (status == CLATTN_OK)
            status = pass->work(pass->user, l->number, l->tile);
        clattn__mutex_lock(&e->lock);
    } while (status == CLATTN_OK && !wait_for_turn(e, l));
    if (status != CLATTN_OK || e->stopping)
        return status != CLATTN_OK ? status : CLATTN_E_CANCELLED;
    e->finishing = true;
    clattn__mutex_unlock(&e->lock);
    status = pass->finish(pass->user, l->number, l->tile);
    clattn__mutex_lock(&e->lock);
    e->finishing = false;
    return status;
}

void clattn__engine_lane_own(clattn__engine *e, clattn__engine_lane *l)
{
    while (!e->stopping && clattn__engine_lane_alive(e, l)) {
        if (!clattn__engine_take(e, &l->tile)) {
            if (e->in_hand == 0)
                break;
            pthread_cond_wait(&e->turn, &e->lock); /* one in hand may have to be done again */
            continue;
        }
        e->in_hand++;
        const clattn_status status = do_tile(e, l);
        e->in_hand--;
        if (status == CLATTN_OK)
            e->finished++;
        else if (clattn__engine_blames_run(status))
            clattn__engine_end_early(e, status);
        else
            clattn__engine_fail(e, l, status);
        pthread_cond_broadcast(&e->turn);
        pthread_cond_signal(&e->done);
    }
    l->state = LANE_IDLE;
    pthread_cond_signal(&e->done);
}

static bool any_at_work(const clattn__engine *e)
{
    for (int i = 0; i < e->lanes; i++)
        if (e->lane[i].state != LANE_IDLE)
            return true;
    return false;
}

void clattn__engine_run_lanes(clattn__engine *e)
{
    for (int i = 0; i < e->lanes; i++) {
        e->lane[i].state = LANE_OWN;
        pthread_cond_signal(&e->lane[i].wake);
    }
    while (any_at_work(e)) {
        clattn__engine_wait(e);
        if (e->stopping)
            pthread_cond_broadcast(&e->turn);
        else
            clattn__engine_poll(e);
    }
}
