/*
 * How long a program waits for its first result: first plan, workspace and run in a fresh process, without the making of the
 * context. Cold: the driver's cache and clattn's are empty. Own warm: clattn's directory has what the cold process left, the
 * driver's cache is empty again. Both warm: as any later process finds them. Prints seconds, with those of a second run and of the
 * context's end beside; judges nothing.
 *
 *     speed_start [turns]       turns of the warm processes, default 5; the medians are printed
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

#define SIDE  128 /* 16384 tokens; the picture of smooth has as many pixels */
#define HEADS 4
#define DIM   64

#define MAX_TURNS 64
#define QUIET     "SPEED_START_QUIET" /* set for the processes that are started */

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

/* What both operators share: buffers of zeros, a plan, a workspace. */
typedef struct operation {
    clattn_context *ctx;
    clattn_plan *plan;
    clattn_workspace *ws;
    clattn_memory memory[4];
    clattn_tensor tensors[4];
    int count;
} operation;

static void attention_prepare(operation *o)
{
    o->count = 4;
    for (int i = 0; i < o->count; i++) {
        o->memory[i] = memory_zeros(o->ctx, sizeof(float) * SIDE * SIDE * HEADS * DIM);
        o->tensors[i] = clattn_tensor_tokens(o->memory[i], 1, SIDE * SIDE, HEADS, DIM);
    }
}

static clattn_status attention_plan(operation *o)
{
    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = HEADS,
                                              .head_dim = DIM,
                                              .height = SIDE,
                                              .width = SIDE,
                                              .agent_height = 7,
                                              .agent_width = 7};
    return clattn_agent_attention_plan(o->ctx, &desc, &o->plan);
}

static clattn_status attention_run(operation *o)
{
    const clattn_agent_attention_args args = {
        .q = &o->tensors[0], .k = &o->tensors[1], .v = &o->tensors[2], .out = &o->tensors[3]};
    return clattn_agent_attention_run(o->plan, o->ws, &args, NULL);
}

static void smooth_prepare(operation *o)
{
    o->count = 2;
    for (int i = 0; i < o->count; i++) {
        o->memory[i] = memory_zeros(o->ctx, sizeof(float) * 3 * SIDE * SIDE);
        o->tensors[i] = clattn_tensor_tokens(o->memory[i], 1, SIDE * SIDE, 1, 3);
    }
}

static clattn_status smooth_plan(operation *o)
{
    const clattn_smooth_desc desc = {.height = SIDE, .width = SIDE};
    return clattn_smooth_plan(o->ctx, &desc, &o->plan);
}

static clattn_status smooth_run(operation *o)
{
    return clattn_smooth_run(o->plan, o->ws, &o->tensors[0], &o->tensors[1], NULL, NULL);
}

static const struct {
    const char *name, *title;
    void (*prepare)(operation *o);
    clattn_status (*plan)(operation *o);
    clattn_status (*run)(operation *o);
} operators[] = {
    {"attention", "agent_attention, N 16384, 4 x 64, n 49", attention_prepare, attention_plan,
     attention_run},
    {"smooth", "smooth, 128 x 128, 24 x 24 agents", smooth_prepare, smooth_plan, smooth_run},
};

/* Seconds of one process. */
typedef struct times {
    double plan, first, next,
        end; /* the plan; workspace and first run; another run; the context's end */
} times;

static void print_sentence(void *user, clattn_log_level level, const char *text)
{
    static double last;
    const double t = now();
    (void)user;
    (void)level;
    fprintf(stderr, "  %+8.1f ms  %s\n", last > 0 ? 1e3 * (t - last) : 0.0, text);
    last = t;
}

/* The whole process: prints its times. */
static int one(int which, const char *cache, clattn_log_level level)
{
    clattn_cache_dir *dir = NULL;
    operation o = {.count = 0};
    clattn_context_params params = {.log = {.fn = print_sentence, .level = level}};
    if (strcmp(cache, "none") != 0)
        need(clattn_cache_dir_create(cache, 0, &params.log, &dir) == CLATTN_OK, "the directory");
    params.cache = clattn_cache_dir_callbacks(dir);
    need(clattn_context_create(NULL, &params, &o.ctx) == CLATTN_OK, "the context");
    operators[which].prepare(&o);

    double t[5];
    t[0] = now();
    need(operators[which].plan(&o) == CLATTN_OK, "the plan");
    t[1] = now();
    need(clattn_workspace_create(o.plan, &o.ws) == CLATTN_OK, "the workspace");
    need(operators[which].run(&o) == CLATTN_OK, "the first run");
    need(clattn_context_finish(o.ctx) == CLATTN_OK, "the end of the first run");
    t[2] = now();
    need(operators[which].run(&o) == CLATTN_OK, "the next run");
    need(clattn_context_finish(o.ctx) == CLATTN_OK, "the end of the next run");
    t[3] = now();
    clattn_workspace_destroy(&o.ws);
    clattn_plan_destroy(&o.plan);
    for (int i = 0; i < o.count; i++)
        clattn_memory_free(o.ctx, &o.memory[i]);
    clattn_context_destroy(&o.ctx);
    t[4] = now();
    clattn_cache_dir_destroy(&dir);
    printf("%.6f %.6f %.6f %.6f\n", t[1] - t[0], t[2] - t[1], t[3] - t[2], t[4] - t[3]);
    return 0;
}

/* What one() prints in a process of its own, whose driver caches are in `drivers`. */
static times start_process(const char *self, const char *what, const char *cache,
                           const char *drivers)
{
    int ends[2];
    times t = {0};
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
        setenv(QUIET, "1", 1);
        execl(self, self, what, cache, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    int status = 0;
    need(output != NULL &&
             fscanf(output, "%lf %lf %lf %lf", &t.plan, &t.first, &t.next, &t.end) == 4,
         what);
    fclose(output);
    need(waitpid(child, &status, 0) == child && status == 0, what);
    return t;
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found;
    (void)type;
    (void)where;
    return remove(path);
}

static void print_times(const char *title, times t)
{
    printf("%-40s %8.4f %8.4f %8.4f %8.4f %8.4f\n", title, t.plan + t.first, t.plan, t.first,
           t.next, t.end);
}

static times medians(const times *all, int count)
{
    double values[4][MAX_TURNS];
    for (int i = 0; i < count; i++) {
        values[0][i] = all[i].plan;
        values[1][i] = all[i].first;
        values[2][i] = all[i].next;
        values[3][i] = all[i].end;
    }
    return (times){median(values[0], count), median(values[1], count), median(values[2], count),
                   median(values[3], count)};
}

int main(int argc, char **argv)
{
    char root[128], own[160], drivers[160], emptied[160];
    times warm[MAX_TURNS], both[MAX_TURNS];

    for (int i = 0; argc == 3 && i < 2; i++)
        if (strcmp(argv[1], operators[i].name) == 0)
            return one(i, argv[2], getenv(QUIET) ? CLATTN_LOG_WARN : CLATTN_LOG_DEBUG);
    const int turns = argc > 1 ? atoi(argv[1]) : 5;
    need(argc < 3 && turns >= 1 && turns <= MAX_TURNS, "reading [turns], 1 to 64");
    const char *const folder = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/clattn-start-XXXXXX", folder != NULL ? folder : "/tmp");
    need(mkdtemp(root) != NULL, "a temporary directory, TMPDIR or /tmp");
    printf("seconds; warm: medians of %-14d %8s %8s %8s %8s %8s\n", turns, "start", "= plan",
           "+ first", "next run", "end");
    for (int i = 0; i < 2; i++) {
        snprintf(own, sizeof own, "%s/own%d", root, i);
        snprintf(drivers, sizeof drivers, "%s/cold%d", root, i);
        const times cold = start_process(argv[0], operators[i].name, own, drivers);
        for (int turn = 0; turn < turns; turn++) {
            both[turn] = start_process(argv[0], operators[i].name, own, drivers);
            snprintf(emptied, sizeof emptied, "%s/warm%d-%d", root, i, turn);
            warm[turn] = start_process(argv[0], operators[i].name, own, emptied);
        }
        printf("%s\n", operators[i].title);
        print_times("  cold", cold);
        print_times("  own cache warm, the driver's empty", medians(warm, turns));
        print_times("  both warm", medians(both, turns));
    }
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
