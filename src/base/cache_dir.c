/*
 * A cache in a directory, for POSIX systems: one file per entry, written under a temporary name and
 * renamed. Nothing is locked: a rename replaces a file as a whole, and who has the old one open
 * reads it to its end. On Windows there is none yet; the two callbacks can be written there just
 * the same.
 */
#define _POSIX_C_SOURCE 200809L /* mkstemp, futimens */

#include "base/base.h"
#include "clattn/cache.h"

#ifdef _WIN32

clattn_status clattn_cache_dir_create(const char *path, uint64_t limit, const clattn_log *log,
                                      clattn_cache_dir **result)
{
    (void)path;
    (void)limit;
    if (result)
        *result = NULL;
    clattn__log(log, CLATTN_LOG_ERROR, "cache directories are not there on Windows yet");
    return CLATTN_E_UNSUPPORTED;
}

void clattn_cache_dir_destroy(clattn_cache_dir **dir)
{
    if (dir)
        *dir = NULL;
}

clattn_cache clattn_cache_dir_callbacks(clattn_cache_dir *dir)
{
    (void)dir;
    return (clattn_cache){0};
}

#else

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"

#define DEFAULT_LIMIT (UINT64_C(256) << 20)

#define SUFFIX        ".clattn"
#define TEMPORARY     ".clattn-"
#define MAX_KEY       64

/* Room behind the directory's path for a slash and the name of an entry or a temporary file. */
#define MAX_NAME      (1 + MAX_KEY + sizeof SUFFIX)

/* Temporary files this old are left-overs of a process that ended in between. */
#define STALE_SECONDS 3600

/* Not to wait, should somebody have put a pipe there. */
static int open_to_read(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static int make_temporary(char *path)
{
    const int file = mkstemp(path);
    if (file >= 0)
        (void)fcntl(file, F_SETFD, FD_CLOEXEC);
    return file;
}

const clattn__files clattn__files_real = {
    .open_to_read = open_to_read,
    .make_temporary = make_temporary,
    .fstat = fstat,
    .read = read,
    .write = write,
    .close = close,
    .rename = rename,
    .unlink = unlink,
    .mkdir = mkdir,
    .stat = stat,
    .lstat = lstat,
    .opendir = opendir,
    .readdir = readdir,
};
const clattn__files *clattn__files_hook = NULL;

static const clattn__files *files(void)
{
    return clattn__files_hook ? clattn__files_hook : &clattn__files_real;
}

struct clattn_cache_dir {
    uint64_t limit;
    size_t room; /* for a path inside */
    char path[];
};

/* Makes a directory and those above it. */
static bool make_directories(const char *path)
{
    char *part = clattn__alloc(strlen(path) + 1);
    if (!part)
        return false;
    strcpy(part, path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        files()->mkdir(part, 0700); /* mostly there already; the last one tells */
        *slash = '/';
    }
    struct stat found;
    const bool made = files()->mkdir(path, 0700) == 0;
    const int error = errno;
    clattn__free(part);
    if (made)
        return true;
    errno = error;
    if (error != EEXIST)
        return false;
    errno = ENOTDIR;
    return files()->stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

clattn_status clattn_cache_dir_create(const char *path, uint64_t limit, const clattn_log *log,
                                      clattn_cache_dir **result)
{
    clattn_status status = CLATTN_OK;
    clattn_cache_dir *dir = NULL;
    CLATTN_CHECK(log, result, CLATTN_E_ARG, "dir is NULL");
    *result = NULL;
    CLATTN_CHECK(log, path && path[0], CLATTN_E_ARG, "path of the cache directory is %s",
                 path ? "empty" : "NULL");
    const size_t length = strlen(path);
    dir = clattn__alloc(sizeof *dir + length + 1);
    CLATTN_CHECK(log, dir, CLATTN_E_NOMEM, "out of host memory for a cache directory");
    dir->limit = limit ? limit : DEFAULT_LIMIT;
    dir->room = length + MAX_NAME + 1;
    memcpy(dir->path, path, length + 1);
    CLATTN_CHECK(log, make_directories(path), CLATTN_E_IO, "cache directory %s cannot be made: %s",
                 path, strerror(errno));
    *result = dir;
    dir = NULL;
out:
    clattn__free(dir);
    return status;
}

void clattn_cache_dir_destroy(clattn_cache_dir **dir)
{
    if (!dir)
        return;
    clattn__free(*dir);
    *dir = NULL;
}

/* "<directory>/<name><suffix>", freed with clattn__free(). */
static char *inside(const clattn_cache_dir *dir, const char *name, const char *suffix)
{
    char *path = clattn__alloc(dir->room);
    if (path)
        snprintf(path, dir->room, "%s/%s%s", dir->path, name, suffix);
    return path;
}

static bool is_key(const char *key)
{
    const size_t length = strlen(key);
    return length > 0 && length <= MAX_KEY &&
           strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz") == length;
}

static bool read_all(int file, char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t got = files()->read(file, bytes, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        bytes += got;
        count -= (size_t)got;
    }
    return true;
}

static bool write_all(int file, const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t put = files()->write(file, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        count -= (size_t)put;
    }
    return true;
}

static size_t get(void *user, const char *key, void *bytes, size_t room)
{
    const clattn_cache_dir *dir = user;
    char *path = is_key(key) ? inside(dir, key, SUFFIX) : NULL;
    const int file = path ? files()->open_to_read(path) : -1;
    struct stat found;
    size_t size = 0;
    clattn__free(path);
    if (file < 0)
        return 0;
    if (files()->fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0 &&
        (uintmax_t)found.st_size <= SIZE_MAX)
        size = (size_t)found.st_size;
    if (size > 0 && size <= room) {
        if (!read_all(file, bytes, size))
            size = 0;
        else
            (void)futimens(file,
                           NULL); /* used now; where that is refused, the age is that of writing */
    }
    files()->close(file);
    return size;
}

/* What one look through the directory finds. */
typedef struct inventory {
    uint64_t bytes;
    time_t oldest;
    char name[MAX_NAME]; /* of the oldest entry; empty: none but the kept one */
} inventory;

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

/* Counts the entries, and removes temporary files that nobody will rename any more. */
static void look_through(const clattn_cache_dir *dir, DIR *folder, const char *kept, inventory *all)
{
    *all = (inventory){.bytes = 0};
    rewinddir(folder);
    for (const struct dirent *f = files()->readdir(folder); f; f = files()->readdir(folder)) {
        struct stat found;
        const bool temporary = strncmp(f->d_name, TEMPORARY, strlen(TEMPORARY)) == 0;
        if ((!temporary && !ends_with(f->d_name, SUFFIX)) || strlen(f->d_name) >= MAX_NAME)
            continue;
        char *path = inside(dir, f->d_name, "");
        if (path && files()->lstat(path, &found) == 0 && S_ISREG(found.st_mode)) {
            const bool stale = temporary && found.st_mtime < time(NULL) - STALE_SECONDS;
            if (!stale || files()->unlink(path) != 0)
                all->bytes += (uint64_t)found.st_size;
            if (!temporary && strcmp(f->d_name, kept) != 0 &&
                (all->name[0] == '\0' || found.st_mtime < all->oldest)) {
                all->oldest = found.st_mtime;
                memcpy(all->name, f->d_name, strlen(f->d_name) + 1);
            }
        }
        clattn__free(path);
    }
}

/* Removes the entries that were not used for longest until the rest keeps to the limit. */
static void trim(const clattn_cache_dir *dir, const char *key)
{
    char kept[MAX_NAME];
    inventory all;
    DIR *folder = files()->opendir(dir->path);
    if (!folder)
        return;
    snprintf(kept, sizeof kept, "%s%s", key, SUFFIX);
    for (look_through(dir, folder, kept, &all); all.bytes > dir->limit && all.name[0];
         look_through(dir, folder, kept, &all)) {
        char *path = inside(dir, all.name, "");
        const bool removed = path && (files()->unlink(path) == 0 || errno == ENOENT);
        clattn__free(path);
        if (!removed)
            break;
    }
    closedir(folder);
}

/* A file of its own, whose name replaces the Xs of `path`; made again where the directory has gone. */
static int create_temporary(const clattn_cache_dir *dir, char *path)
{
    int file = files()->make_temporary(path);
    if (file < 0 && errno == ENOENT && make_directories(dir->path)) {
        memset(path + strlen(path) - 6, 'X', 6);
        file = files()->make_temporary(path);
    }
    return file;
}

static int put(void *user, const char *key, const void *bytes, size_t count)
{
    const clattn_cache_dir *dir = user;
    const bool takes = is_key(key) && count > 0 && count <= dir->limit;
    char *path = takes ? inside(dir, key, SUFFIX) : NULL;
    char *temporary = path ? inside(dir, TEMPORARY, "XXXXXX") : NULL;
    const int file = temporary ? create_temporary(dir, temporary) : -1;
    bool kept = false;
    if (file >= 0) {
        /* Not synced: what a power cut leaves half-written has a wrong checksum. */
        kept = write_all(file, bytes, count);
        kept = files()->close(file) == 0 && kept;
        kept = kept && files()->rename(temporary, path) == 0;
        if (kept)
            trim(dir, key);
        else
            files()->unlink(temporary);
    }
    clattn__free(temporary);
    clattn__free(path);
    return kept ? 0 : -1;
}

clattn_cache clattn_cache_dir_callbacks(clattn_cache_dir *dir)
{
    return dir ? (clattn_cache){.get = get, .put = put, .user = dir} : (clattn_cache){.user = NULL};
}

#endif
