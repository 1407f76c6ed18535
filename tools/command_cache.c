/* Where the program keeps compiled kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

/* The user's own place, as the XDG base directory specification has it; false where there is none. */
static bool default_directory(char *path, size_t size)
{
    const char *const cache = getenv("XDG_CACHE_HOME");
    const char *const home = getenv("HOME");
    int length = -1;
    if (cache != NULL && *cache == '/')
        length = snprintf(path, size, "%s/clattn", cache);
    else if (home != NULL && *home == '/')
        length = snprintf(path, size, "%s/.cache/clattn", home);
    return length > 0 && (size_t)length < size;
}

/* PoCL keeps on disk what it compiled, and compiles a second time to hand a binary out: a second copy costs seconds. */
static bool has_own_cache(const clattn_device *opened)
{
    return strcmp(opened->platform, "Portable Computing Language") == 0;
}

bool command_cache_directory(const command_device *device, char *path, size_t size)
{
    if (device->cache == NULL)
        return default_directory(path, size);
    const int length = snprintf(path, size, "%s", device->cache);
    return (size_t)length < size && strcmp(path, "none") != 0;
}

static void open_directory(const command *cmd, command_device *device)
{
    char directory[4096];
    if (!command_cache_directory(device, directory, sizeof directory))
        return;
    const clattn_log *const log = device->cache != NULL ? &device->params.log : NULL;
    if (clattn_cache_dir_create(directory, 0, log, &device->cache_dir) != CLATTN_OK && log != NULL)
        command_error(cmd, "%s; going on without it", device->sentence);
    device->sentence[0] = '\0';
}

void command_cache_begin(const command *cmd, command_device *device, const clattn_device *opened)
{
    const char *const directory = device->cache;
    const bool none = directory != NULL ? strcmp(directory, "none") == 0 : has_own_cache(opened);
    if (!none && device->cache_dir == NULL)
        open_directory(cmd, device);
    device->params.cache = clattn_cache_dir_callbacks(none ? NULL : device->cache_dir);
}
