/* The cache in a directory (clattn_cache_dir_create), by its callbacks alone: no device is needed. */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp, utimensat */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static char root[] = "/tmp/clattn-cache-XXXXXX";

static const char *inside(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static clattn_cache_dir *open_dir(const char *name, uint64_t limit)
{
    clattn_cache_dir *dir = NULL;
    assert_int_equal(clattn_cache_dir_create(inside(name), limit, NULL, &dir), CLATTN_OK);
    return dir;
}

/* Whether `key` has exactly these bytes. */
static bool has(const clattn_cache *cache, const char *key, const char *bytes, size_t count)
{
    char read[4096];
    return cache->get(cache->user, key, NULL, 0) == count &&
           cache->get(cache->user, key, read, count) == count && memcmp(read, bytes, count) == 0;
}

static int files_found;

static int count_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)path;
    (void)found;
    (void)where;
    files_found += type == FTW_F;
    return 0;
}

static int files_in(const char *name)
{
    files_found = 0;
    nftw(inside(name), count_one, 8, FTW_PHYS);
    return files_found;
}

static void set_age(const char *name, time_t seconds)
{
    const struct timespec then = {.tv_sec = time(NULL) - seconds};
    assert_int_equal(utimensat(AT_FDCWD, inside(name), (struct timespec[2]){then, then}, 0), 0);
}

static void entries_come_back(void **state)
{
    (void)state;
    clattn_cache_dir *dir = open_dir("a/deep/place", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    char small[2];
    struct stat found;
    assert_int_equal(cache.get(cache.user, "k1", NULL, 0), 0);
    assert_int_equal(cache.put(cache.user, "k1", "first", 5), 0);
    assert_true(has(&cache, "k1", "first", 5));
    assert_int_equal(cache.put(cache.user, "k1", "second one", 10), 0);
    assert_true(has(&cache, "k1", "second one", 10));
    small[0] = 'x';
    assert_int_equal(cache.get(cache.user, "k1", small, 2), 10); /* too small: told, not written */
    assert_int_equal(small[0], 'x');
    assert_int_equal(files_in("a"), 1);
    assert_int_equal(stat(inside("a/deep"), &found), 0);
    assert_int_equal(found.st_mode & 0777, 0700);
    clattn_cache_dir_destroy(&dir);
    assert_null(dir);
    clattn_cache_dir_destroy(&dir);
    clattn_cache_dir_destroy(NULL);

    dir = open_dir("a/deep/place", 0);
    const clattn_cache again = clattn_cache_dir_callbacks(dir);
    assert_true(has(&again, "k1", "second one", 10));
    clattn_cache_dir_destroy(&dir);
}

static void what_is_refused(void **state)
{
    (void)state;
    support_log heard = SUPPORT_LOG_INIT;
    const clattn_log log = support_listen(&heard, CLATTN_LOG_NONE);
    clattn_cache_dir *dir = (clattn_cache_dir *)(void *)root;
    SUPPORT_REFUSED(&heard, clattn_cache_dir_create(NULL, 0, &log, &dir), CLATTN_E_ARG,
                    "path of the cache directory is NULL");
    assert_null(dir);
    SUPPORT_REFUSED(&heard, clattn_cache_dir_create("", 0, &log, &dir), CLATTN_E_ARG, "is empty");
    SUPPORT_REFUSED(&heard, clattn_cache_dir_create(root, 0, &log, NULL), CLATTN_E_ARG,
                    "dir is NULL");
    close(open(inside("file"), O_CREAT | O_WRONLY, 0600));
    SUPPORT_REFUSED(&heard, clattn_cache_dir_create(inside("file"), 0, &log, &dir), CLATTN_E_IO,
                    "cannot be made: Not a directory");
    SUPPORT_REFUSED(&heard, clattn_cache_dir_create(inside("file/x"), 0, &log, &dir), CLATTN_E_IO,
                    "/file/x cannot be made");
    assert_null(dir);
    const clattn_cache none = clattn_cache_dir_callbacks(NULL);
    assert_true(none.get == NULL && none.put == NULL);

    dir = open_dir("keys", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    static const char too_long[] = "0123456789012345678901234567890123456789"
                                   "0123456789012345678901234";
    static const char *const keys[] = {"", "../file", "a/b", ".", "A", too_long};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_int_not_equal(cache.put(cache.user, keys[i], "x", 1), 0);
        assert_int_equal(cache.get(cache.user, keys[i], NULL, 0), 0);
    }
    assert_int_equal(files_in("keys"), 0);
    /* Nor is what somebody else put there taken for an entry, or waited for. */
    assert_int_equal(mkdir(inside("keys/folder.clattn"), 0700), 0);
    assert_int_equal(mkfifo(inside("keys/pipe.clattn"), 0600), 0);
    assert_int_equal(cache.get(cache.user, "folder", NULL, 0), 0);
    assert_int_equal(cache.get(cache.user, "pipe", NULL, 0), 0);
    clattn_cache_dir_destroy(&dir);
}

static void the_oldest_leave(void **state)
{
    (void)state;
    char bytes[400] = "";
    clattn_cache_dir *dir = open_dir("limit", 1000);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.put(cache.user, "a", bytes, 400), 0);
    assert_int_equal(cache.put(cache.user, "b", bytes, 400), 0);
    set_age("limit/a.clattn", 1000);
    set_age("limit/b.clattn", 500);
    assert_true(has(&cache, "a", bytes, 400)); /* used now: b is the oldest */
    assert_int_equal(cache.put(cache.user, "c", bytes, 400), 0);
    assert_int_equal(cache.get(cache.user, "b", NULL, 0), 0);
    assert_true(has(&cache, "a", bytes, 400) && has(&cache, "c", bytes, 400));
    char large[1001] = "";
    assert_int_not_equal(cache.put(cache.user, "d", large, 1001), 0);
    assert_true(has(&cache, "a", bytes, 400) && has(&cache, "c", bytes, 400));
    assert_int_equal(cache.put(cache.user, "e", large, 1000), 0); /* all others leave */
    assert_int_equal(files_in("limit"), 1);

    /* Left-overs of ended processes go; those of running ones stay, and so does what is not ours. */
    close(open(inside("limit/.clattn-old"), O_CREAT | O_WRONLY, 0600));
    close(open(inside("limit/.clattn-new"), O_CREAT | O_WRONLY, 0600));
    close(open(inside("limit/other"), O_CREAT | O_WRONLY, 0600));
    set_age("limit/.clattn-old", 7200);
    assert_int_equal(cache.put(cache.user, "f", bytes, 400), 0);
    assert_int_not_equal(access(inside("limit/.clattn-old"), F_OK), 0);
    assert_int_equal(access(inside("limit/.clattn-new"), F_OK), 0);
    assert_int_equal(access(inside("limit/other"), F_OK), 0);
    clattn_cache_dir_destroy(&dir);
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    (void)type;
    (void)where;
    return remove(path);
}

static void directory_that_goes(void **state)
{
    (void)state;
    clattn_cache_dir *dir = open_dir("goes/away", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.put(cache.user, "a", "bytes", 5), 0);
    nftw(inside("goes"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(cache.get(cache.user, "a", NULL, 0), 0);
    assert_int_equal(cache.put(cache.user, "a", "again", 5), 0);
    assert_true(has(&cache, "a", "again", 5));
    nftw(inside("goes"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    close(open(inside("goes"), O_CREAT | O_WRONLY, 0600)); /* now it cannot be made again */
    assert_int_not_equal(cache.put(cache.user, "a", "again", 5), 0);
    assert_int_equal(cache.get(cache.user, "a", NULL, 0), 0);
    clattn_cache_dir_destroy(&dir);
}

/* A limit on the size of files fails writes in their midst, as a full disk does. */
static void full_disk(void **state)
{
    (void)state;
    static const char bytes[3000] = "";
    struct rlimit before;
    clattn_cache_dir *dir = open_dir("full", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.put(cache.user, "a", "old", 3), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 2000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int put = cache.put(cache.user, "a", bytes, sizeof bytes);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_not_equal(put, 0);
    assert_true(has(&cache, "a", "old", 3)); /* the old entry is whole, and nothing else is left */
    assert_int_equal(files_in("full"), 1);
    clattn_cache_dir_destroy(&dir);
}

/* In a process without root's rights. */
static int use_without_rights(void)
{
    clattn_cache_dir *dir = NULL;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 10;
    if (clattn_cache_dir_create(inside("rights/none/dir"), 0, NULL, &dir) != CLATTN_E_IO || dir)
        return 1;
    if (clattn_cache_dir_create(inside("rights/readable"), 0, NULL, &dir) != CLATTN_OK)
        return 2;
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    if (!has(&cache, "a", "bytes", 5))
        return 3;
    if (cache.put(cache.user, "a", "other", 5) == 0 || cache.put(cache.user, "b", "x", 1) == 0)
        return 4;
    if (!has(&cache, "a", "bytes", 5))
        return 5;
    clattn_cache_dir_destroy(&dir);
    return 0;
}

static void without_permission(void **state)
{
    (void)state;
    clattn_cache_dir *dir = open_dir("rights/readable", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.put(cache.user, "a", "bytes", 5), 0);
    clattn_cache_dir_destroy(&dir);
    assert_int_equal(mkdir(inside("rights/none"), 0500), 0);
    chmod(inside("rights/readable/a.clattn"), 0444);
    chmod(inside("rights/readable"), 0555);
    chmod(inside("rights"), 0755);
    chmod(root, 0755);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(use_without_rights());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    chmod(inside("rights/readable"), 0700);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void many_writers(void **state)
{
    (void)state;
    clattn_cache_dir *dir = open_dir("many", 0);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    char bytes[4096], read[4096];
    pid_t writers[3];
    for (int w = 0; w < 3; w++) {
        writers[w] = fork();
        assert_true(writers[w] >= 0);
        if (writers[w] != 0)
            continue;
        memset(bytes, 'a' + w, sizeof bytes);
        for (int i = 0; i < 300; i++)
            if (cache.put(cache.user, "k", bytes, sizeof bytes) != 0)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 300; i++) { /* an entry is of one writer, whole */
        const size_t got = cache.get(cache.user, "k", read, sizeof read);
        memset(bytes, read[0], sizeof bytes);
        assert_true(got == 0 || (got == sizeof read && memcmp(read, bytes, sizeof read) == 0));
    }
    for (int w = 0; w < 3; w++) {
        int status = -1;
        assert_int_equal(waitpid(writers[w], &status, 0), writers[w]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(files_in("many"), 1);
    clattn_cache_dir_destroy(&dir);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(the_oldest_leave),  cmocka_unit_test(directory_that_goes),
        cmocka_unit_test(full_disk),         cmocka_unit_test(without_permission),
        cmocka_unit_test(many_writers),
    };
    if (mkdtemp(root) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
