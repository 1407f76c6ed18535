/* What the host machine has: the only file that asks the operating system. */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#endif
#ifdef _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

#include "base/machine.h"

#ifdef _WIN32

uint32_t clattn__machine_cores(void)
{
    DWORD cores = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return cores > 0 ? (uint32_t)cores : 1;
}

/* MinGW has no timespec_get(); its threads come with POSIX's clocks. */
void clattn__machine_time(struct timespec *now)
{
    clock_gettime(CLOCK_REALTIME, now);
}

uint64_t clattn__machine_bytes(void)
{
    MEMORYSTATUSEX memory = {.dwLength = sizeof memory};
    return GlobalMemoryStatusEx(&memory) ? memory.ullTotalPhys : 0;
}

#else

uint32_t clattn__machine_cores(void)
{
#ifdef __linux__
    /* The process may be bound to fewer cores than there are. */
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0)
        return (uint32_t)CPU_COUNT(&allowed);
#endif
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (uint32_t)cores : 1;
}

uint64_t clattn__machine_bytes(void)
{
#ifdef _SC_PHYS_PAGES
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        return (uint64_t)pages * (uint64_t)page;
#endif
    return 0;
}

void clattn__machine_time(struct timespec *now)
{
    timespec_get(now, TIME_UTC);
}

#endif
