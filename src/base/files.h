/*
 * The file functions of a cache directory (base/cache_dir.c), as a table: tests make any of them fail. POSIX, as their names say; the
 * real ones are in cache_dir.c.
 */
#ifndef CLATTN_SRC_FILES_H
#define CLATTN_SRC_FILES_H

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>

/* X(result, name, parameters, arguments) */
#define CLATTN__FILE_CALLS(X)                                                                      \
    X(int, open_to_read, (const char *path), (path))                                               \
    X(int, make_temporary, (char *path), (path))                                                   \
    X(int, fstat, (int file, struct stat *found), (file, found))                                   \
    X(ssize_t, read, (int file, void *bytes, size_t count), (file, bytes, count))                  \
    X(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))           \
    X(int, close, (int file), (file))                                                              \
    X(int, rename, (const char *from, const char *to), (from, to))                                 \
    X(int, unlink, (const char *path), (path))                                                     \
    X(int, mkdir, (const char *path, mode_t mode), (path, mode))                                   \
    X(int, stat, (const char *path, struct stat *found), (path, found))                            \
    X(int, lstat, (const char *path, struct stat *found), (path, found))                           \
    X(DIR *, opendir, (const char *path), (path))                                                  \
    X(struct dirent *, readdir, (DIR * files), (files))

#define CLATTN__FILE_FIELD(result, name, parameters, arguments) result(*name) parameters;
typedef struct clattn__files {
    CLATTN__FILE_CALLS(CLATTN__FILE_FIELD)
} clattn__files;
#undef CLATTN__FILE_FIELD

/* The real ones. */
extern const clattn__files clattn__files_real;
/* Tests only: when set, every cache directory uses these. Not for concurrent use. */
extern const clattn__files *clattn__files_hook;

#endif
