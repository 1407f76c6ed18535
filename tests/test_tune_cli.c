/*
 * clattn tune from end to end, with a few seconds: what it prints and writes can be loaded, what is wrong is refused with the reason,
 * and an end before the end leaves no file. Nothing is said about speed. Arguments: the program, the folder of the recorded cases.
 */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, kill */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "contexts.h"
#include "support.h"

static const char *program, *golden_folder;
static char folder[] = "/tmp/clattn-tune-XXXXXX";
static char device[160]; /* the name of the device under test */
static char said[65536]; /* what the program printed on both streams */

static const char *path(const char *name)
{
    static char paths[4][160];
    static int next;
    char *const result = paths[next++ % 4];
    snprintf(result, sizeof paths[0], "%s/%s", folder, name);
    return result;
}

static size_t read_file(const char *name, char *text, size_t size)
{
    FILE *const stream = fopen(path(name), "rb");
    if (stream == NULL)
        return SIZE_MAX;
    const size_t length = fread(text, 1, size - 1, stream);
    text[length] = '\0';
    fclose(stream);
    return length;
}

static void write_file(const char *name, const char *text)
{
    FILE *const stream = fopen(path(name), "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, strlen(text), stream), strlen(text));
    assert_int_equal(fclose(stream), 0);
}

/* Starts the program with these words, its output in the file "said". */
static pid_t start(char *const *words)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen(path("said"), "wb", stdout) == NULL || dup2(fileno(stdout), 2) < 0)
            _exit(126);
        execv(program, words);
        _exit(127);
    }
    return child;
}

static int finish(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read_file("said", said, sizeof said) != SIZE_MAX);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs it; returns the exit code. */
static int run(const char *first, ...)
{
    char *words[16] = {(char *)(uintptr_t)program, (char *)(uintptr_t)first};
    va_list arguments;
    va_start(arguments, first);
    for (int i = 2; i < 15 && words[i - 1] != NULL; i++)
        words[i] = va_arg(arguments, char *);
    va_end(arguments);
    return finish(start(words));
}

static void heard(const char *words)
{
    if (strstr(said, words) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", words, said);
}

/* Files of the folder that are unfinished. */
static int unfinished(void)
{
    DIR *const listing = opendir(folder);
    int count = 0;
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += strstr(entry->d_name, ".part") != NULL;
    closedir(listing);
    return count;
}

/* The context that rows of a file are loaded into must not complain. */
static void loads(const char *name)
{
    static char text[65536];
    support_log log = SUPPORT_LOG_INIT;
    clattn_context *ctx = support_context(&log);
    const size_t length = read_file(name, text, sizeof text);
    assert_true(length != SIZE_MAX);
    assert_int_equal(clattn_tune_load(ctx, text, length), CLATTN_OK);
    assert_int_equal(log.count, 0);
    clattn_context_destroy(&ctx);
}

static void small_kernels(void **state)
{
    (void)state;
    char first_case[512], written[4096];
    assert_int_equal(run("tune", "--device", device, "--seconds", "2", "--op", "dwc,agent_pool",
                         "-o", path("rows"), NULL),
                     0);
    heard("# dwc, 3 x 3 over 16384 tokens, 4 x 64: ");
    heard(" of 98 tried, 0 refused");
    heard("# agent_pool");
    assert_int_equal(unfinished(), 0);
    assert_true(read_file("rows", written, sizeof written) != SIZE_MAX);
    assert_non_null(strstr(written, "# agent_pool"));
    assert_null(strstr(written, "agent_aggregate"));
    loads("rows");
    snprintf(first_case, sizeof first_case, "%s/op/swin_d48_h3_w4_n9.safetensors", golden_folder);
    assert_int_equal(run("check", "--device", device, "--tuning", path("rows"), first_case, NULL),
                     0);
    heard(" passed, 0 failed");
}

/* An attention kernel takes the longest to compile. The tile shape has three widths and the advice, for which a second is too short. */
static void attention_kernel(void **state)
{
    (void)state;
    assert_int_equal(
        run("tune", "--device", device, "--seconds", "1", "--op", "agent_broadcast", NULL), 0);
    heard("# agent_broadcast, 16384 tokens, 49 agents, 4 x 64: ");
    heard("refused");
    assert_null(strstr(said, "WRONG"));
    assert_int_equal(run("tune", "--device", device, "--shape", "tile", "--seconds", "1", "--op",
                         "agent_broadcast,smooth", NULL),
                     0);
    heard("# agent_broadcast, 16384 tokens, 49 agents, 4 x 64: ");
    heard("# smooth");
    heard("more --seconds, or fewer names in --op, reach further");
    assert_null(strstr(said, "WRONG"));
}

static void refusals(void **state)
{
    (void)state;
    assert_int_equal(run("tune", "--op", "gemm", NULL), 2);
    heard("unknown operator 'gemm'; there are agent_aggregate, agent_broadcast, attention, dwc, "
          "agent_pool, agent_merge, smooth");
    assert_int_equal(run("tune", "--op", "dwc,", NULL), 2);
    heard("unknown operator ''");
    assert_int_equal(run("tune", "--seconds", "0", NULL), 2);
    assert_int_equal(run("tune", "--shape", "round", NULL), 2);
    heard("--shape is wide or tile, not 'round'");
    assert_int_equal(run("tune", "--device", "cpu", NULL), 1);
    heard("the CPU path has nothing to tune");
    assert_int_equal(run("tune", "--device", device, "-o", path("none/rows"), NULL), 1);
    heard("No such file or directory");
}

/* --tuning of the other commands. */
static void damaged(void **state)
{
    (void)state;
    write_file("damaged", "# rows\ndwc items=64 chanels=4\n");
    assert_int_equal(
        run("check", "--device", device, "--tuning", path("damaged"), golden_folder, NULL), 1);
    heard("damaged': line 2, column 14: dwc has no 'chanels'; it has channels, tokens, items");
    assert_int_equal(
        run("check", "--device", "cpu", "--tuning", path("damaged"), golden_folder, NULL), 1);
    assert_int_equal(
        run("check", "--device", device, "--tuning", path("missing"), golden_folder, NULL), 1);
    heard("it cannot be opened");
    write_file("beyond", "dwc items=1000 tokens=99\n");
    char first_case[512];
    snprintf(first_case, sizeof first_case, "%s/op/swin_d48_h3_w4_n9.safetensors", golden_folder);
    assert_int_equal(run("check", "--device", device, "--tuning", path("beyond"), first_case, NULL),
                     0);
    heard("tuning row of line 1 is left out on ");
    assert_int_equal(run("check", "--device", device, "--tuning", "default", first_case, NULL), 0);
    assert_int_equal(run("check", "--device", device, "--tuning", "builtin", first_case, NULL), 0);
}

/* Ctrl-C: the old file stays, and nothing else. */
static void interrupted(void **state)
{
    (void)state;
    char text[64];
    char *const words[] = {(char *)(uintptr_t)program,
                           "tune",
                           "--device",
                           device,
                           "--seconds",
                           "60",
                           "--op",
                           "dwc",
                           "-o",
                           (char *)(uintptr_t)path("old"),
                           NULL};
    write_file("old", "dwc items=32\n");
    const pid_t child = start(words);
    for (int i = 0; i < 600 && (read_file("said", said, sizeof said) == SIZE_MAX ||
                                strstr(said, "# clattn ") == NULL);
         i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(finish(child), -1);
    assert_int_equal(unfinished(), 0);
    assert_true(read_file("old", text, sizeof text) != SIZE_MAX);
    assert_string_equal(text, "dwc items=32\n");
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"said", "rows", "damaged", "beyond", "old"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(path(names[i]));
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_kernels), cmocka_unit_test(attention_kernel),
        cmocka_unit_test(refusals),      cmocka_unit_test(damaged),
        cmocka_unit_test(interrupted),
    };
    clattn_context *ctx = NULL;
    if (argc < 3)
        return 2;
    program = argv[1];
    golden_folder = argv[2];
    if (support_only_cpu())
        return 77;
    if (support_device() == NULL)
        return contexts_none();
    if (clattn_context_create(support_device(), NULL, &ctx) != CLATTN_OK || mkdtemp(folder) == NULL)
        return 1;
    snprintf(device, sizeof device, "%s", clattn_context_device(ctx)->name);
    clattn_context_destroy(&ctx);
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
