/* The clock of the commands; see command.h. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <time.h>

#include "command.h"

double command_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
