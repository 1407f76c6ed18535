/*
 * How long a program waits for its first result: first plan, workspace and run in a fresh process, without the making of the
 * context. Cold: the driver's cache and clattn's are empty. Warm: clattn's directory has what the cold process left, the driver's
 * cache is empty again. Prints seconds; judges nothing.
 *
 *     speed_start [turns]       turns of the warm process, default 5; the median is printed
 *     speed_start OPERATOR DIR  one process: attention or smooth, DIR of clattn's cache or "none"; all that is compiled is told
 */
#define _XOPEN_SOURCE 700

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clattn/clattn.h"
#include "speed.h"

#define SIDE  128 /* 16384 tokens; the picture of smooth is 512 x 512 */
#define HEADS 4
#define DIM   64

static clattn_memory memory_zeros(clattn_context *ctx, size_t bytes)
{
    clattn_memory memory;
    float *zeros = calloc(bytes, 1);
    need(zeros != NULL, "calloc");
    need(clattn_memory_alloc(ctx, bytes, &memory) == CLATTN_OK, "an allocation");
    need(clattn_memory_write(ctx, &memory, 0, zeros, bytes) == CLATTN_OK, "a write");
    free(zeros);
    return memory;
}

static double attention(clattn_context *ctx)
{
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = HEADS,
                                              .head_dim = DIM,
                                              .height = SIDE,
                                              .width = SIDE,
                                              .agent_height = 7,
                                              .agent_width = 7};
    const size_t bytes = sizeof(float) * SIDE * SIDE * HEADS * DIM;
    clattn_memory memory[4];
    clattn_tensor t[4];
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    for (int i = 0; i < 4; i++) {
        memory[i] = memory_zeros(ctx, bytes);
        t[i] = clattn_tensor_tokens(memory[i], 1, SIDE * SIDE, HEADS, DIM);
    }
    const clattn_agent_attention_args args = {.q = &t[0], .k = &t[1], .v = &t[2], .out = &t[3]};
    const double start = now();
    need(clattn_agent_attention_plan(ctx, &desc, &plan) == CLATTN_OK, "the plan");
    const double planned = now();
    need(clattn_workspace_create(plan, &ws) == CLATTN_OK, "the workspace");
    need(clattn_agent_attention_run(plan, ws, &args, NULL) == CLATTN_OK, "the run");
    need(clattn_context_finish(ctx) == CLATTN_OK, "the run's end");
    const double seconds = now() - start;
    fprintf(stderr, "  plan %.4f s, all %.4f s\n", planned - start, seconds);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    for (int i = 0; i < 4; i++)
        clattn_memory_free(ctx, &memory[i]);
    return seconds;
}

static double smooth(clattn_context *ctx)
{
    const int32_t side = 4 * SIDE;
    const clattn_smooth_desc desc = {.height = side, .width = side};
    clattn_memory memory[2];
    clattn_tensor t[2];
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;

    for (int i = 0; i < 2; i++) {
        memory[i] = memory_zeros(ctx, sizeof(float) * 3 * (size_t)side * (size_t)side);
        t[i] = clattn_tensor_tokens(memory[i], 1, (int64_t)side * side, 1, 3);
    }
    const double start = now();
    need(clattn_smooth_plan(ctx, &desc, &plan) == CLATTN_OK, "the plan");
    const double planned = now();
    need(clattn_workspace_create(plan, &ws) == CLATTN_OK, "the workspace");
    need(clattn_smooth_run(plan, ws, &t[0], &t[1], NULL, NULL) == CLATTN_OK, "the run");
    need(clattn_context_finish(ctx) == CLATTN_OK, "the run's end");
    const double seconds = now() - start;
    fprintf(stderr, "  plan %.4f s, all %.4f s\n", planned - start, seconds);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    for (int i = 0; i < 2; i++)
        clattn_memory_free(ctx, &memory[i]);
    return seconds;
}

static void print_sentence(void *user, clattn_log_level level, const char *text)
{
    static double last;
    const double t = now();
    (void)user;
    (void)level;
    fprintf(stderr, "  %+8.1f ms  %s\n", last > 0 ? 1e3 * (t - last) : 0.0, text);
    last = t;
}

/* The whole process: prints the seconds. */
static int one(const char *what, const char *cache, clattn_log_level level)
{
    clattn_cache_dir *dir = NULL;
    clattn_context *ctx = NULL;
    clattn_context_params params = {.log = {.fn = print_sentence, .level = level}};
    if (strcmp(cache, "none") != 0)
        need(clattn_cache_dir_create(cache, 0, &params.log, &dir) == CLATTN_OK, "the directory");
    params.cache = clattn_cache_dir_callbacks(dir);
    need(clattn_context_create(NULL, &params, &ctx) == CLATTN_OK, "the context");
    const double seconds = strcmp(what, "smooth") == 0 ? smooth(ctx) : attention(ctx);
    const double start = now();
    clattn_context_destroy(&ctx);
    fprintf(stderr, "  context destroyed in %.4f s\n", now() - start);
    clattn_cache_dir_destroy(&dir);
    printf("%.6f\n", seconds);
    return 0;
}

/* What one() prints in a process of its own, whose driver caches are in `drivers`. */
static double start_process(const char *self, const char *what, const char *cache,
                            const char *drivers)
{
    int ends[2];
    double seconds = 0.0;
    need(pipe(ends) == 0, "a pipe");
    const pid_t child = fork();
    need(child >= 0, "a process");
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        setenv("POCL_CACHE_DIR", drivers, 1);
        setenv("MESA_SHADER_CACHE_DIR", drivers, 1);
        setenv("CUDA_CACHE_PATH", drivers, 1);
        setenv("SPEED_START_QUIET", "1", 1);
        execl(self, self, what, cache, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    int status = 0;
    need(output != NULL && fscanf(output, "%lf", &seconds) == 1, what);
    fclose(output);
    need(waitpid(child, &status, 0) == child && status == 0, what);
    return seconds;
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    (void)type;
    (void)where;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const char *const operators[] = {"attention", "smooth"};
    static const char *const names[] = {"agent_attention, N 16384, 4 x 64, n 49",
                                        "smooth, 512 x 512"};
    char root[] = "/tmp/clattn-start-XXXXXX";
    char own[64], drivers[64];
    double warm[64];

    if (argc == 3)
        return one(argv[1], argv[2],
                   getenv("SPEED_START_QUIET") ? CLATTN_LOG_WARN : CLATTN_LOG_DEBUG);
    const int turns = argc > 1 ? atoi(argv[1]) : 5;
    need(turns >= 1 && turns <= 64, "reading [turns], 1 to 64");
    need(mkdtemp(root) != NULL, "a temporary directory");
    printf("first plan and run, seconds    cold     warm (median of %d)\n", turns);
    for (int i = 0; i < 2; i++) {
        snprintf(own, sizeof own, "%s/own%d", root, i);
        snprintf(drivers, sizeof drivers, "%s/cold%d", root, i);
        const double cold = start_process(argv[0], operators[i], own, drivers);
        for (int turn = 0; turn < turns; turn++) {
            snprintf(drivers, sizeof drivers, "%s/warm%d-%d", root, i, turn);
            warm[turn] = start_process(argv[0], operators[i], own, drivers);
        }
        printf("%-40s %8.3f %8.4f\n", names[i], cold, median(warm, turns));
    }
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
