/*
 * What a row's context gets besides its device: tuning rows, and a cache that keeps nothing but counts the bytes of the kernels
 * that were built for it.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library takes no more. */
#define MOST_BYTES ((size_t)256 << 10)

#ifdef CLATTN_TUNE_H

static bool read_rows(const command *cmd, bench_device *device, const char *path)
{
    FILE *const stream = fopen(path, "rb");
    device->tuning_text = stream != NULL ? malloc(MOST_BYTES + 1) : NULL;
    if (device->tuning_text == NULL) {
        command_error(cmd, "--tuning %s: %s", path, strerror(errno));
        if (stream != NULL)
            fclose(stream);
        return false;
    }
    device->tuning_bytes = fread(device->tuning_text, 1, MOST_BYTES + 1, stream);
    const bool whole = !ferror(stream) && device->tuning_bytes <= MOST_BYTES;
    fclose(stream);
    if (!whole)
        command_error(cmd, "--tuning %s: it cannot be read, or has more than %zu bytes", path,
                      MOST_BYTES);
    return whole;
}

bool bench_tuning_read(const command *cmd, bench_device *device, const char *name)
{
    device->tuning_name = name;
    if (strcmp(name, "default") == 0 || strcmp(name, "builtin") == 0)
        return true;
    return read_rows(cmd, device, name);
}

clattn_status bench_tuning_apply(const bench_device *device, clattn_context *ctx)
{
    if (device->tuning_text != NULL)
        return clattn_tune_load(ctx, device->tuning_text, device->tuning_bytes);
    return strcmp(device->tuning_name, "default") == 0
               ? clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT)
               : CLATTN_OK;
}

#else

bool bench_tuning_read(const command *cmd, bench_device *device, const char *name)
{
    device->tuning_name = name;
    if (strcmp(name, "default") == 0 || strcmp(name, "builtin") == 0)
        return true;
    command_error(cmd, "--tuning takes default or builtin; this version cannot load rows from '%s'",
                  name);
    return false;
}

clattn_status bench_tuning_apply(const bench_device *device, clattn_context *ctx)
{
    (void)device, (void)ctx;
    return CLATTN_OK;
}

#endif

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
