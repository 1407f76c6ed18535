/*
 * One directory of compiled programs, used by several contexts, threads and processes at once.
 *
 *     test_cache_shared            all tests
 *     test_cache_shared DIRECTORY  one process that uses a directory; exit code USED, BUILT, FAILED or COMPILED_AGAIN
 */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache_probe.h"
#include "contexts.h"

enum { USED = 0, BUILT = 10, FAILED = 20, COMPILED_AGAIN = 30 };

static const char *self;
static char folder[] = "/tmp/clattn-shared-XXXXXX";

static const char *inside(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The other process. */
static int use_directory(const char *path)
{
    clattn_cache_dir *dir = NULL;
    if (clattn_cache_dir_create(path, 0, NULL, &dir) != CLATTN_OK)
        return FAILED;
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    if (cache_probe_live(cache, &cache_probe_twice) != CLATTN_OK)
        return FAILED;
    clattn_cache_dir_destroy(&dir);
    if (cache_probe_sources > 0)
        return BUILT;
    return cache_probe_compiled > 0 ? COMPILED_AGAIN : USED;
}

/* Starts it with an empty cache of the driver, named after `number`. */
static pid_t start(const char *directory, int number)
{
    char drivers[32];
    snprintf(drivers, sizeof drivers, "driver%d", number);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mkdir(inside(drivers), 0700);
        setenv("POCL_CACHE_DIR", inside(drivers), 1);
        setenv("MESA_SHADER_CACHE_DIR", inside(drivers), 1);
        execl(self, self, directory, (char *)NULL);
        _exit(FAILED);
    }
    return child;
}

static int end(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void processes(void **state)
{
    (void)state;
    const char *directory = inside("shared");
    pid_t both[2];
    for (int i = 0; i < 2; i++)
        both[i] = start(directory, i);
    for (int i = 0; i < 2; i++) {
        const int code = end(both[i]);
        assert_true(code == BUILT || code == USED);
    }
    /* With nothing but the directory: neither built nor specialised again. */
    for (int i = 2; i < 4; i++)
        assert_int_equal(end(start(directory, i)), USED);
}

typedef struct user {
    pthread_t thread;
    clattn_cache cache;
    bool right;
} user;

static void *use_in_thread(void *argument)
{
    user *u = argument;
    const clattn_context_params params = {.cache = u->cache};
    clattn_context *ctx = NULL;
    if (clattn_context_create(cache_probe_device, &params, &ctx) == CLATTN_OK &&
        cache_probe_use(ctx, &cache_probe_thrice, &u->right) != CLATTN_OK)
        u->right = false;
    clattn_context_destroy(&ctx);
    return NULL;
}

static void threads_with_a_context_each(void **state)
{
    (void)state;
    clattn_cache_dir *dir = NULL;
    user users[3] = {{.right = false}};
    assert_int_equal(clattn_cache_dir_create(inside("threads"), 0, NULL, &dir), CLATTN_OK);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    for (int i = 0; i < 3; i++) {
        users[i].cache = cache;
        assert_int_equal(pthread_create(&users[i].thread, NULL, use_in_thread, &users[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(users[i].thread, NULL);
        assert_true(users[i].right);
    }
    assert_int_equal(cache_probe_live(cache, &cache_probe_thrice), CLATTN_OK);
    assert_int_equal(cache_probe_sources, 0);
    clattn_cache_dir_destroy(&dir);
}

static void directory_that_goes(void **state)
{
    (void)state;
    clattn_cache_dir *dir = NULL;
    assert_int_equal(clattn_cache_dir_create(inside("goes"), 0, NULL, &dir), CLATTN_OK);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    for (int turn = 0; turn < 2; turn++) {
        const clattn_context_params params = {.cache = cache};
        clattn_context *ctx = NULL;
        bool right = false;
        assert_int_equal(clattn_context_create(cache_probe_device, &params, &ctx), CLATTN_OK);
        assert_int_equal(cache_probe_use(ctx, &cache_probe_twice, &right), CLATTN_OK);
        remove_all(inside("goes"));
        if (turn == 1) /* it cannot come back */
            fclose(fopen(inside("goes"), "w"));
        clattn_context_destroy(&ctx);
        assert_true(right);
    }
    assert_int_equal(cache_probe_live(cache, &cache_probe_twice), CLATTN_OK);
    assert_non_null(strstr(cache_probe_heard, "the cache does not take it"));
    clattn_cache_dir_destroy(&dir);
}

static int tear_down(void **state)
{
    (void)state;
    remove_all(folder);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes),
        cmocka_unit_test(threads_with_a_context_each),
        cmocka_unit_test(directory_that_goes),
    };
    self = argv[0];
    if (!cache_probe_begin())
        return argc == 2 ? FAILED : contexts_none();
    if (argc == 2)
        return use_directory(argv[1]);
    if (mkdtemp(folder) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
