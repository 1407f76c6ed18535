/* Mutexes, and a pool of threads that runs a counted loop. */
#ifndef CLATTN_SRC_THREADS_H
#define CLATTN_SRC_THREADS_H

#include <pthread.h>
#include <stdint.h>

#include "base/base.h"

typedef pthread_mutex_t clattn__mutex;
bool clattn__mutex_init(clattn__mutex *mutex);
void clattn__mutex_destroy(clattn__mutex *mutex);
void clattn__mutex_lock(clattn__mutex *mutex);
void clattn__mutex_unlock(clattn__mutex *mutex);

typedef struct clattn__pool clattn__pool;

/* threads 0: one per core that this process may use. The caller's thread works too, so 1 starts none. */
clattn_status clattn__pool_create(uint32_t threads, clattn__pool **pool);
void clattn__pool_destroy(clattn__pool **pool);
uint32_t clattn__pool_threads(const clattn__pool *pool);

/* Runs fn(arg, i) for i in [0, count); returns when all are done. Calls from several threads take turns. */
void clattn__pool_run(clattn__pool *pool, int64_t count, void (*fn)(void *arg, int64_t i),
                      void *arg);

#endif
