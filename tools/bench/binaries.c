/* A cache that keeps nothing but counts the bytes of the kernels that were built for a row's context. */
#include "bench/bench.h"

static size_t find_nothing(void *user, const char *key, void *bytes, size_t room)
{
    (void)user, (void)key, (void)bytes, (void)room;
    return 0;
}

static int count_bytes(void *user, const char *key, const void *bytes, size_t count)
{
    bench_device *const device = user;
    (void)key, (void)bytes;
    device->binary_bytes += count;
    return 0;
}

void bench_count_binaries(bench_device *device)
{
    device->chosen.params.cache =
        (clattn_cache){.get = find_nothing, .put = count_bytes, .user = device};
}
