/*
 * clattn smooth stopped by a signal, at any time: the exit says so, and no file is left. With an OpenCL driver, too, whose compiler has
 * handlers of its own and starts programs that get the user's Ctrl-C as well. argument: the program.
 */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"

#define PATIENCE_MS 120000 /* a compilation on a busy machine */

static const char *program;
static bool have_device; /* an OpenCL device, number 0 */

/* Smooths long.png to new.png in a child that leads a group of its own; `more` is up to NULL. */
static pid_t start(const char *device, char *const *more)
{
    char *words[16] = {(char *)(uintptr_t)program, "smooth", "--cache", "none", "--device",
                       (char *)(uintptr_t)device};
    int count = 6;
    words[count++] = (char *)(uintptr_t)cli_path("long.png");
    words[count++] = (char *)(uintptr_t)cli_path("new.png");
    while (*more)
        words[count++] = *more++;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (!freopen("/dev/null", "w", stdout) || !freopen(cli_path("said"), "w", stderr))
        _exit(126);
    execv(program, words);
    _exit(127);
}

/* Waits for what `there` looks for; false: the child ended, which it has been waited for, or nothing came. */
static bool wait_for(pid_t child, bool (*there)(pid_t child))
{
    for (int ms = 0; ms < PATIENCE_MS; ++ms) {
        if (there(child))
            return true;
        if (waitpid(child, NULL, WNOHANG) != 0)
            return false;
        g_usleep(1000);
    }
    return false;
}

static bool file_begun(pid_t child)
{
    (void)child;
    return cli_unfinished() > 0;
}

/* Some of the result is in the file: the last pass has begun. */
static bool file_grows(pid_t child)
{
    char name[64];
    struct stat file;
    g_snprintf(name, sizeof name, ".clattn-%ld.part", (long)child);
    return stat(cli_path(name), &file) == 0 && file.st_size > 20000;
}

/* The driver's compiler runs a program. Linux tells; elsewhere there is none. */
static bool has_child(pid_t child)
{
    char path[64], text[32];
    bool found = false;
    g_snprintf(path, sizeof path, "/proc/%ld/task", (long)child);
    DIR *threads = opendir(path);
    for (struct dirent *entry; threads && !found && (entry = readdir(threads)) != NULL;) {
        g_snprintf(path, sizeof path, "/proc/%ld/task/%.16s/children", (long)child, entry->d_name);
        const int file = entry->d_name[0] == '.' ? -1 : open(path, O_RDONLY);
        found = file >= 0 && read(file, text, sizeof text) > 0;
        if (file >= 0)
            close(file);
    }
    if (threads)
        closedir(threads);
    return found;
}

static void expect_nothing_left(void)
{
    assert_int_equal(cli_unfinished(), 0);
    assert_false(g_file_test(cli_path("new.png"), G_FILE_TEST_EXISTS));
}

static void expect_ended_by(pid_t child, int signal_number)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
    expect_nothing_left();
}

/* By itself, with one line of its own; a driver may have said something before it, or when it is unloaded. */
static void expect_interrupted(pid_t child, int signal_number)
{
    int status = 0;
    char *said;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + signal_number);
    expect_nothing_left();
    assert_true(g_file_get_contents(cli_path("said"), &said, NULL, NULL));
    if (!strstr(said, "clattn smooth: interrupted\n"))
        fail_msg("clattn smooth said: %s", said);
    g_free(said);
}

/* 100 rounds take much longer than a look every millisecond. */
static void a_picture_as_a_whole(const char *device, char *const *rounds)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGABRT};
    for (int i = 0; i < 3; ++i) {
        const pid_t child = start(device, rounds);
        assert_true(wait_for(child, file_begun));
        g_usleep(500000); /* the driver is loaded, and its handlers are there */
        assert_int_equal(kill(child, signals[i]), 0);
        expect_ended_by(child, signals[i]);
    }
}

static void as_a_whole(void **state)
{
    (void)state;
    char *const rounds[] = {"--rounds", "100", NULL};
    a_picture_as_a_whole("cpu", rounds);
    if (have_device)
        a_picture_as_a_whole("0", rounds);
}

static void in_tiles(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    char *const more[] = {"--memory", "16M", "--rounds", "100", NULL};
    for (int i = 0; i < 2; ++i) {
        const pid_t child = start("cpu", more);
        assert_true(wait_for(child, file_begun));
        /* From the file to the first tile it is a few milliseconds. */
        g_usleep(300000);
        assert_int_equal(kill(child, signals[i]), 0);
        expect_interrupted(child, signals[i]);
    }
}

/* A folder for what PoCL compiles, empty. */
static char *cold_begin(void)
{
    char *folder = g_dir_make_tmp("clattn-cold-XXXXXX", NULL);
    assert_non_null(folder);
    g_setenv("POCL_CACHE_DIR", folder, TRUE);
    return folder;
}

static void cold_end(char *folder, char *before)
{
    char *command = g_strdup_printf("rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    if (before)
        g_setenv("POCL_CACHE_DIR", before, TRUE);
    else
        g_unsetenv("POCL_CACHE_DIR");
    g_free(command);
    g_free(folder);
    g_free(before);
}

/* The signal goes to the whole group, as a terminal sends it: to a linker, say, that the compiler waits for. */
static void while_a_driver_compiles(void **state)
{
    (void)state;
    char *const ways[][5] = {{"--memory", "16M", NULL}, {"--detail", "0", NULL}};
    for (int i = 0; i < 2 && have_device; ++i) {
        char *before = g_strdup(g_getenv("POCL_CACHE_DIR")), *folder = cold_begin();
        const pid_t child = start("0", ways[i]);
        const bool compiles = wait_for(child, has_child);
        if (compiles) {
            assert_int_equal(kill(-child, SIGINT), 0);
            expect_ended_by(child, SIGINT);
        }
        cold_end(folder, before);
        if (!compiles) {
            print_message("device 0 compiles without other programs\n");
            g_remove(cli_path("new.png"));
            break;
        }
    }
}

/* Enough agents for a last pass of seconds. */
static void after_a_driver_has_compiled(void **state)
{
    (void)state;
    char *const more[] = {"--memory", "16M", "--rounds", "0", "--agents", "64x64", NULL};
    if (!have_device)
        return;
    char *before = g_strdup(g_getenv("POCL_CACHE_DIR")), *folder = cold_begin();
    const pid_t child = start("0", more);
    assert_true(wait_for(child, file_grows));
    assert_int_equal(kill(-child, SIGINT), 0);
    expect_interrupted(child, SIGINT);
    cold_end(folder, before);
}

static int make_long(void **state)
{
    (void)state;
    VipsImage *image = cli_picture(1200, 1000, 3, 8);
    cli_save(image, cli_path("long.png"));
    g_object_unref(image);
    image = cli_picture(16, 16, 3, 8);
    cli_save(image, cli_path("short.png"));
    g_object_unref(image);
    cli_outcome first =
        cli_run("smooth", "--device", "0", cli_path("short.png"), cli_path("first.png"), NULL);
    have_device = first.code == 0;
    cli_forget(&first);
    if (!have_device)
        print_message("no OpenCL device: the CPU path alone\n");
    return have_device || !g_getenv("CLATTN_TEST_REQUIRE") ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (!cli_begin(argc, argv))
        return 1;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_whole),
        cmocka_unit_test(in_tiles),
        cmocka_unit_test(while_a_driver_compiles),
        cmocka_unit_test(after_a_driver_has_compiled),
    };
    const int failed = cmocka_run_group_tests_name("smooth_signals", tests, make_long, NULL);
    cli_end();
    return failed;
}
