/*
 * Every file operation of a cache directory fails once, with each of a few errors, and so does every allocation. Each time the entry
 * that was there is whole, or the new one is; no temporary file and no open file stays behind, and the next attempt works.
 */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/files.h"
#include "support.h"

#define NEW_BYTES 3000

static char root[] = "/tmp/clattn-files-XXXXXX";
static char folder[64];

static struct {
    int calls, failing; /* the number of the one that fails; 0: none */
    int code;
    const char *failed;
} fault;

static bool fails(const char *name)
{
    if (++fault.calls != fault.failing)
        return false;
    fault.failed = name;
    return true;
}

/* A failing close has closed, and a failing write has written a part: so do disks that are full. */
static void half_done(const char *name, int file, const void *bytes, size_t count)
{
    if (strcmp(name, "close") == 0)
        close(file);
    else if (strcmp(name, "write") == 0 && fault.code != EINTR)
        (void)!write(file, bytes, count / 2);
}

static int fail_int(const char *name, int file)
{
    half_done(name, file, NULL, 0);
    errno = fault.code;
    return -1;
}

#define OF_PATH(name) return fails(#name) ? fail_int(#name, -1) : clattn__files_real.name
static int faulty_open_to_read(const char *path)
{
    OF_PATH(open_to_read)(path);
}

static int faulty_make_temporary(char *path)
{
    OF_PATH(make_temporary)(path);
}

static int faulty_rename(const char *from, const char *to)
{
    OF_PATH(rename)(from, to);
}

static int faulty_unlink(const char *path)
{
    OF_PATH(unlink)(path);
}

static int faulty_mkdir(const char *path, mode_t mode)
{
    OF_PATH(mkdir)(path, mode);
}

static int faulty_stat(const char *path, struct stat *found)
{
    OF_PATH(stat)(path, found);
}

static int faulty_lstat(const char *path, struct stat *found)
{
    OF_PATH(lstat)(path, found);
}

static int faulty_fstat(int file, struct stat *found)
{
    OF_PATH(fstat)(file, found);
}

static int faulty_close(int file)
{
    return fails("close") ? fail_int("close", file) : close(file);
}

static ssize_t faulty_read(int file, void *bytes, size_t count)
{
    OF_PATH(read)(file, bytes, count);
}

static ssize_t faulty_write(int file, const void *bytes, size_t count)
{
    if (!fails("write"))
        return write(file, bytes, count);
    half_done("write", file, bytes, count);
    errno = fault.code;
    return -1;
}

static DIR *faulty_opendir(const char *path)
{
    if (!fails("opendir"))
        return opendir(path);
    errno = fault.code;
    return NULL;
}

static struct dirent *faulty_readdir(DIR *files)
{
    if (!fails("readdir"))
        return readdir(files);
    errno = fault.code;
    return NULL;
}

#define FAULTY(result, name, parameters, arguments) .name = faulty_##name,
static const clattn__files faulty_files = {CLATTN__FILE_CALLS(FAULTY)};

/* ---- what is looked at ---- */

static int entries, temporary;

static int count_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    if (type == FTW_F)
        *(path[where->base] == '.' ? &temporary : &entries) += 1;
    return 0;
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    (void)type;
    (void)where;
    return remove(path);
}

/* The lowest number that a file can have now: higher where one was left open. */
static int next_descriptor(void)
{
    const int file = open("/dev/null", O_RDONLY);
    close(file);
    return file;
}

static int live;

static void count_live(int change)
{
    live += change;
}

static bool is_all(const char *bytes, size_t count, char what)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != what)
            return false;
    return true;
}

/* Opens the directory, replaces the entry "a" of old bytes by one of new ones, reads it. Checks what it is told. */
static void replace_entry(support_log *heard)
{
    const clattn_log log = support_listen(heard, CLATTN_LOG_ERROR);
    clattn_cache_dir *dir = NULL;
    char bytes[NEW_BYTES], got[NEW_BYTES];

    heard->text[0] = '\0';
    memset(bytes, 'n', sizeof bytes);
    const clattn_status status = clattn_cache_dir_create(folder, NEW_BYTES + 50, &log, &dir);
    if (status != CLATTN_OK) {
        assert_null(dir);
        assert_true(status == CLATTN_E_IO || status == CLATTN_E_NOMEM);
        assert_true(support_heard(heard, "cache directory"));
        return;
    }
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    const bool put = cache.put(cache.user, "a", bytes, sizeof bytes) == 0;
    const size_t size = cache.get(cache.user, "a", got, sizeof got);
    if (size != 0)
        assert_true(size <= sizeof got &&
                    (is_all(got, size, 'n') ? size == sizeof got : !put && is_all(got, size, 'o')));
    if ((fault.code == EINTR && fault.failed != NULL) &&
        (strcmp(fault.failed, "read") == 0 || strcmp(fault.failed, "write") == 0))
        assert_true(put && size == sizeof got);
    clattn_cache_dir_destroy(&dir);
}

/* An old entry, and another that is older and leaves when the new one comes. */
static void begin(void)
{
    static const char old[40] = "oooooooooooooooooooooooooooooooooooooooo";
    clattn_cache_dir *dir = NULL;

    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(clattn_cache_dir_create(folder, 0, NULL, &dir), CLATTN_OK);
    const clattn_cache cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.put(cache.user, "a", old, sizeof old), 0);
    assert_int_equal(cache.put(cache.user, "b", old, sizeof old), 0);
    assert_int_equal(cache.put(cache.user, "c", old, sizeof old), 0);
    clattn_cache_dir_destroy(&dir);
}

/* The entry is whole, no other file is there than entries, and the next attempt gets through. */
static void check_after(support_log *heard, int descriptor, const char *what)
{
    clattn_cache_dir *dir = NULL;
    char got[NEW_BYTES];

    assert_int_equal(next_descriptor(), descriptor);
    assert_int_equal(live, 0);
    entries = temporary = 0;
    nftw(folder, count_one, 8, FTW_PHYS);
    assert_in_range(entries, 1, 3);
    assert_int_equal(temporary,
                     0); /* one operation fails, so a failed put can still remove its own */
    assert_int_equal(clattn_cache_dir_create(folder, 0, NULL, &dir), CLATTN_OK);
    clattn_cache cache = clattn_cache_dir_callbacks(dir);
    const size_t size = cache.get(cache.user, "a", got, sizeof got);
    if (!(size == NEW_BYTES && is_all(got, size, 'n')) && !(size == 40 && is_all(got, size, 'o')))
        fail_msg("%s: the entry has %zu bytes", what, size);
    clattn_cache_dir_destroy(&dir);
    fault.failed = NULL;
    replace_entry(heard);
    assert_int_equal(clattn_cache_dir_create(folder, 0, NULL, &dir), CLATTN_OK);
    cache = clattn_cache_dir_callbacks(dir);
    assert_int_equal(cache.get(cache.user, "a", got, sizeof got), NEW_BYTES);
    clattn_cache_dir_destroy(&dir);
}

static void each_operation_fails(void **state)
{
    static const int codes[] = {ENOSPC, EIO, EACCES, EINTR, ENOENT, EMFILE};
    support_log heard = SUPPORT_LOG_INIT;
    const int descriptor = next_descriptor();
    int tried = 0;

    (void)state;
    clattn__live_hook = count_live;
    for (size_t c = 0; c < sizeof codes / sizeof *codes; c++)
        for (int failing = 1;; failing++) {
            begin();
            live = fault.calls = 0;
            fault.failing = failing;
            fault.code = codes[c];
            fault.failed = NULL;
            clattn__files_hook = &faulty_files;
            replace_entry(&heard);
            clattn__files_hook = NULL;
            const char *failed = fault.failed;
            if (failed == NULL)
                break;
            tried++;
            check_after(&heard, descriptor, failed);
        }
    clattn__live_hook = NULL;
    print_message("    %d failures of file operations tried\n", tried);
    assert_true(tried > 60);
}

static int allocations, failing_allocation;

static bool nth_allocation_fails(size_t size)
{
    (void)size;
    return ++allocations != failing_allocation;
}

static void each_allocation_fails(void **state)
{
    support_log heard = SUPPORT_LOG_INIT;
    const int descriptor = next_descriptor();

    (void)state;
    fault.failed = NULL;
    clattn__live_hook = count_live;
    for (failing_allocation = 1;; failing_allocation++) {
        begin();
        live = allocations = 0;
        clattn__alloc_hook = nth_allocation_fails;
        replace_entry(&heard);
        clattn__alloc_hook = NULL;
        if (allocations < failing_allocation)
            break;
        check_after(&heard, descriptor, "an allocation");
    }
    clattn__live_hook = NULL;
    print_message("    %d failures of allocations tried\n", failing_allocation - 1);
    assert_true(failing_allocation > 5);
}

/* What another version, or a write that was cut off, has left is bytes like others here: the checksum is the library's (test_cache.c). */
static void a_directory_that_goes_while_it_is_used(void **state)
{
    support_log heard = SUPPORT_LOG_INIT;
    clattn_cache_dir *dir = NULL;

    (void)state;
    for (int failing = 1; failing < 40; failing++) {
        begin();
        assert_int_equal(clattn_cache_dir_create(folder, 0, NULL, &dir), CLATTN_OK);
        const clattn_cache cache = clattn_cache_dir_callbacks(dir);
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        fault.calls = 0;
        fault.failing = failing;
        fault.code = EACCES;
        fault.failed = NULL;
        clattn__files_hook = &faulty_files;
        (void)cache.put(cache.user, "a", "new", 3);
        clattn__files_hook = NULL;
        clattn_cache_dir_destroy(&dir);
        fault.failed = NULL;
        replace_entry(&heard);
        assert_int_equal(access(folder, F_OK), 0);
    }
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_fails),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(a_directory_that_goes_while_it_is_used),
    };
    if (mkdtemp(root) == NULL)
        return 1;
    snprintf(folder, sizeof folder, "%s/cache", root);
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
