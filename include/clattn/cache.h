/*
 * clattn: compiled kernels kept between processes.
 *
 * Compiling the kernels for a device takes from tenths of a second to some seconds. A context keeps what it has compiled
 * for its own life; with two callbacks in its params (clattn_context_params.cache) it also asks them before it compiles, and
 * hands them what it compiled. They may keep the bytes wherever they like; clattn_cache_dir_create() below makes them for a
 * directory. The library itself never chooses a place.
 *
 *     clattn_cache_dir *dir = NULL;
 *     clattn_cache_dir_create("/var/cache/mine", 0, NULL, &dir);         on failure dir is NULL, which is no cache
 *     clattn_context_params params = {.cache = clattn_cache_dir_callbacks(dir)};
 *     clattn_context_create(NULL, &params, &ctx);
 *     ...
 *     clattn_context_destroy(&ctx);
 *     clattn_cache_dir_destroy(&dir);
 *
 * An entry names the library's version, the kernels' sources and options, the device, its driver and platform, and has a
 * checksum; one that is damaged, cut off, of another version or device, or that the driver refuses, is compiled again and
 * replaced. So losing entries, or all of them, costs time and nothing else, and no failure of a cache is one of the library:
 * a sentence at CLATTN_LOG_DEBUG says what happened. The checksum finds damage, not malice: entries are code that runs in
 * the process, so keep them where only the user can write.
 *
 * The verdicts of the self-test (context.h) are entries too, of a few hundred bytes each.
 */
#ifndef CLATTN_CACHE_H
#define CLATTN_CACHE_H

#include "clattn/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Where compiled kernels are kept. Either callback may be NULL: nothing is found, or nothing is kept.
 *
 * key      names one entry: 1 to 64 characters of 0-9 and a-z, terminated; fit for a file's name. Lives during the call
 * size     an entry has some 100 KB to a few MB, or a few hundred bytes (verdicts)
 * memory   all bytes are the library's, during the call; callbacks copy
 * async    `get` is called by plans, `put` by clattn_context_store_programs() and clattn_context_destroy()
 * threads  calls for one context come one at a time, but from any thread that uses it; contexts that share `user` may call
 *          at the same time. They must not call the library with that context
 */
typedef struct clattn_cache {
    /**
     * Copies the entry of `key` to `bytes` if it fits into `room`, and returns its size; 0 where there is none or it cannot be
     * read. The library asks with room 0 and bytes NULL, and then with as much room as it was told. An entry that changed
     * between the two calls is seen by its size or its checksum.
     */
    size_t (*get)(void *user, const char *key, void *bytes, size_t room);
    /** Keeps `count` bytes as the entry of `key` in place of what was there. Returns 0, or anything else where it did not. */
    int (*put)(void *user, const char *key, const void *bytes, size_t count);
    void *user;
} clattn_cache;

typedef struct clattn_cache_dir clattn_cache_dir;

/**
 * A cache in a directory: one file per entry, `<key>.clattn`. The directory is made where it is missing, with those above it,
 * for the user alone (mode 0700). It may be shared by any number of contexts and processes: an entry is written under a
 * temporary name and renamed, so that it is there as a whole or not at all. Removing it, or files in it, at any time is
 * harmless. A directory that cannot be written serves the entries it has.
 *
 * path     copied; without its own file names
 * limit    most bytes of all entries together, 0: 256 MiB; the ones that were not used for longest leave. A full disk
 *          means that nothing more is kept
 * log      for failures of this call, may be NULL
 * memory   the caller destroys *dir with clattn_cache_dir_destroy(), after the contexts that use it
 * async    no
 * threads  safe; so are the callbacks
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_NOMEM, CLATTN_E_IO (no directory, and none can be made), CLATTN_E_UNSUPPORTED
 *          (Windows)
 */
CLATTN_API clattn_status clattn_cache_dir_create(const char *path, uint64_t limit,
                                                 const clattn_log *log, clattn_cache_dir **dir);

/** Frees the handle and sets *dir to NULL; the files stay. NULL and a pointer to NULL are accepted. */
CLATTN_API void clattn_cache_dir_destroy(clattn_cache_dir **dir);

/** The callbacks for clattn_context_params.cache, good for as long as `dir`; NULL gives none, which is no cache. */
CLATTN_API clattn_cache clattn_cache_dir_callbacks(clattn_cache_dir *dir);

#ifdef __cplusplus
}
#endif
#endif
