/*
 * A pool of threads that runs a counted loop: every thread, the caller's included, takes the next
 * number from a shared counter until none is left. The caller leaves when the numbers are used up
 * and nobody is still at work, so a worker that is slow to wake never delays it.
 */
#include <stdatomic.h>

#include "base/machine.h"
#include "base/threads.h"

/* Stack of a worker. Some systems give threads as little as 128 KiB unless asked. */
#define WORKER_STACK ((size_t)1 << 20)

struct clattn__pool {
    clattn__mutex turn; /* held by the thread whose loop runs */
    clattn__mutex lock; /* guards everything below but `next` */
    pthread_cond_t wake, idle;
    pthread_t *workers;
    uint32_t started; /* workers; one thread more takes part in each loop */
    bool stop;

    void (*fn)(void *arg, int64_t i); /* NULL while no loop takes workers */
    void *arg;
    int64_t count;
    uint64_t round;   /* number of the loop: a worker joins each at most once */
    uint32_t at_work; /* workers inside the loop */
    bool owned;       /* `owner` is in a loop of its own */
    pthread_t owner;
    atomic_int_fast64_t next;
};

bool clattn__mutex_init(clattn__mutex *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

void clattn__mutex_destroy(clattn__mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

void clattn__mutex_lock(clattn__mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

void clattn__mutex_unlock(clattn__mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

static void take_numbers(clattn__pool *pool, int64_t count, void (*fn)(void *arg, int64_t i),
                         void *arg)
{
    for (;;) {
        int64_t i = atomic_fetch_add(&pool->next, 1);
        if (i >= count)
            return;
        fn(arg, i);
    }
}

static void *worker_main(void *user)
{
    clattn__pool *pool = user;
    uint64_t joined = 0;
    clattn__mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && (!pool->fn || pool->round == joined))
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop)
            break;
        joined = pool->round;
        pool->at_work++;
        void (*fn)(void *, int64_t) = pool->fn;
        void *arg = pool->arg;
        int64_t count = pool->count;
        clattn__mutex_unlock(&pool->lock);
        take_numbers(pool, count, fn, arg);
        clattn__mutex_lock(&pool->lock);
        if (--pool->at_work == 0)
            pthread_cond_signal(&pool->idle);
    }
    clattn__mutex_unlock(&pool->lock);
    return NULL;
}

/* Starts up to `wanted` workers; fewer than asked is slower, not wrong. */
static void start_workers(clattn__pool *pool, uint32_t wanted)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setstacksize(&attributes, WORKER_STACK);
    while (pool->started < wanted &&
           pthread_create(&pool->workers[pool->started], &attributes, worker_main, pool) == 0)
        pool->started++;
    pthread_attr_destroy(&attributes);
}

static bool init_locks(clattn__pool *pool)
{
    if (!clattn__mutex_init(&pool->turn))
        return false;
    if (!clattn__mutex_init(&pool->lock))
        goto no_lock;
    if (pthread_cond_init(&pool->wake, NULL) != 0)
        goto no_wake;
    if (pthread_cond_init(&pool->idle, NULL) != 0)
        goto no_idle;
    return true;
no_idle:
    pthread_cond_destroy(&pool->wake);
no_wake:
    clattn__mutex_destroy(&pool->lock);
no_lock:
    clattn__mutex_destroy(&pool->turn);
    return false;
}

clattn_status clattn__pool_create(uint32_t threads, clattn__pool **result)
{
    if (threads == 0)
        threads = clattn__machine_cores();
    clattn__pool *pool = clattn__alloc(sizeof *pool);
    if (!pool)
        return CLATTN_E_NOMEM;
    pool->workers = clattn__alloc_array(threads, sizeof *pool->workers);
    if (!pool->workers || !init_locks(pool)) {
        clattn__free(pool->workers);
        clattn__free(pool);
        return CLATTN_E_NOMEM;
    }
    atomic_init(&pool->next, 0);
    start_workers(pool, threads - 1);
    *result = pool;
    return CLATTN_OK;
}

void clattn__pool_destroy(clattn__pool **handle)
{
    clattn__pool *pool = *handle;
    if (!pool)
        return;
    clattn__mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    clattn__mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    clattn__mutex_destroy(&pool->lock);
    clattn__mutex_destroy(&pool->turn);
    clattn__free(pool->workers);
    clattn__free(pool);
    *handle = NULL;
}

uint32_t clattn__pool_threads(const clattn__pool *pool)
{
    return pool->started + 1;
}

/* A loop started from inside a loop may not wait for its own end. */
static bool inside_a_loop(clattn__pool *pool)
{
    pthread_t self = pthread_self();
    for (uint32_t i = 0; i < pool->started; i++)
        if (pthread_equal(pool->workers[i], self))
            return true;
    clattn__mutex_lock(&pool->lock);
    bool inside = pool->owned && pthread_equal(pool->owner, self);
    clattn__mutex_unlock(&pool->lock);
    return inside;
}

void clattn__pool_run(clattn__pool *pool, int64_t count, void (*fn)(void *arg, int64_t i),
                      void *arg)
{
    if (count == 1 || inside_a_loop(pool)) {
        for (int64_t i = 0; i < count; i++)
            fn(arg, i);
        return;
    }
    clattn__mutex_lock(&pool->turn);
    clattn__mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->arg = arg;
    pool->count = count;
    pool->round++;
    pool->owned = true;
    pool->owner = pthread_self();
    atomic_store(&pool->next, 0);
    pthread_cond_broadcast(&pool->wake);
    clattn__mutex_unlock(&pool->lock);

    take_numbers(pool, count, fn, arg);

    clattn__mutex_lock(&pool->lock);
    pool->fn = NULL; /* nobody joins any more */
    while (pool->at_work > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pool->owned = false;
    clattn__mutex_unlock(&pool->lock);
    clattn__mutex_unlock(&pool->turn);
}
