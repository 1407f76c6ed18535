/* Finding the recorded cases among and below the paths that the user gives. */
#define _POSIX_C_SOURCE 200809L /* opendir, lstat, strdup */

#include "check/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 16 /* folders within folders */

static bool add_path(CheckFiles *files, const char *path, CheckError *error)
{
    if (files->count == files->room) {
        const size_t room = files->room > 0 ? 2 * files->room : 64;
        char **const grown = realloc(files->paths, room * sizeof *grown);
        if (grown == NULL)
            return check_refuse(error, "no memory for the list of files");
        files->paths = grown;
        files->room = room;
    }
    char *const copy = strdup(path);
    if (copy == NULL)
        return check_refuse(error, "no memory for the list of files");
    files->paths[files->count++] = copy;
    return true;
}

static bool is_case(const char *name)
{
    static const char suffix[] = ".safetensors";
    const size_t length = strlen(name);
    return length >= sizeof suffix && strcmp(name + length + 1 - sizeof suffix, suffix) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Windows has links, but no lstat() in MinGW; folders that lie within themselves end at MAX_DEPTH. */
static int look_at(const char *path, struct stat *what)
{
#ifdef _WIN32
    return stat(path, what);
#else
    return lstat(path, what);
#endif
}

static bool add_folder(CheckFiles *files, const char *path, int depth, CheckError *error);

/* One entry of a folder; hidden ones, links and files that are no case are passed over. */
static bool add_entry(CheckFiles *files, const char *folder, const char *name, int depth,
                      CheckError *error)
{
    char path[4096];
    struct stat what;
    if (name[0] == '.')
        return true;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return check_refuse(error, "%s: a path in this folder is too long", folder);
    if (look_at(path, &what) != 0)
        return check_refuse(error, "%s: it cannot be read", path);
    if (S_ISDIR(what.st_mode))
        return add_folder(files, path, depth + 1, error);
    return !S_ISREG(what.st_mode) || !is_case(name) || add_path(files, path, error);
}

static bool add_folder(CheckFiles *files, const char *path, int depth, CheckError *error)
{
    if (depth > MAX_DEPTH)
        return check_refuse(error, "%s: more than %d folders lie within each other", path,
                            MAX_DEPTH);
    DIR *const folder = opendir(path);
    if (folder == NULL)
        return check_refuse(error, "%s: the folder cannot be read", path);
    bool added = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        added = add_entry(files, path, entry->d_name, depth, error) && added;
    closedir(folder);
    return added;
}

bool check_files_add(CheckFiles *files, const char *path, CheckError *error)
{
    struct stat what;
    const size_t before = files->count;
    if (stat(path, &what) != 0)
        return check_refuse(error, "%s: there is no such file or folder", path);
    if (!S_ISDIR(what.st_mode))
        return add_path(files, path, error);
    if (!add_folder(files, path, 0, error))
        return false;
    if (files->count == before)
        return check_refuse(error, "%s: the folder holds no .safetensors file", path);
    qsort(files->paths + before, files->count - before, sizeof *files->paths, by_name);
    return true;
}

void check_files_free(CheckFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (CheckFiles){0};
}
