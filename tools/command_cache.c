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

void command_cache_begin(const command *cmd, command_device *device)
{
    char path[4096];
    const char *directory = device->cache;
    if (device->cache_dir != NULL || (directory != NULL && strcmp(directory, "none") == 0))
        return;
    if (directory == NULL && default_directory(path, sizeof path))
        directory = path;
    if (directory == NULL)
        return;
    const clattn_log *const log = device->cache != NULL ? &device->params.log : NULL;
    if (clattn_cache_dir_create(directory, 0, log, &device->cache_dir) != CLATTN_OK && log != NULL)
        command_error(cmd, "%s; going on without it", device->sentence);
    device->sentence[0] = '\0';
    device->params.cache = clattn_cache_dir_callbacks(device->cache_dir);
}
