/* What the host machine has. */
#ifndef CLATTN_SRC_MACHINE_H
#define CLATTN_SRC_MACHINE_H

#include <stdint.h>
#include <time.h>

/* Cores that this process may use; at least 1. */
uint32_t clattn__machine_cores(void);

/* Bytes of physical memory, 0 where that is unknown. */
uint64_t clattn__machine_bytes(void);

/* What time it is, on the clock of pthread_cond_timedwait(). */
void clattn__machine_time(struct timespec *now);

#endif
