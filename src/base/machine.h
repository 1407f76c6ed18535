/* What the host machine has. */
#ifndef CLATTN_SRC_MACHINE_H
#define CLATTN_SRC_MACHINE_H

#include <stdint.h>

/* Cores that this process may use; at least 1. */
uint32_t clattn__machine_cores(void);

/* Bytes of physical memory, 0 where that is unknown. */
uint64_t clattn__machine_bytes(void);

#endif
