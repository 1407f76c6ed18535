/*
 * A tiled run that is watched: what it asks the source for, what it hands to the sink, its progress and its log; and any of its
 * callbacks can be made to fail. The answer is that of the untiled run on the first context.
 */
#ifndef CLATTN_TESTS_TILE_PROBE_H
#define CLATTN_TESTS_TILE_PROBE_H

#include <pthread.h>

#include "contexts.h"
#include "tile_run.h"

#define PROBE_SENTENCES 256

/* Every sentence, up to a number of them. May be used by several threads. */
typedef struct probe_log {
    pthread_mutex_t lock;
    int count;
    struct {
        clattn_log_level level;
        char text[400];
    } sentences[PROBE_SENTENCES];
} probe_log;

void probe_log_open(probe_log *log);
void probe_log_clear(probe_log *log);
clattn_log probe_listen(probe_log *log);
/* Sentences of that level which contain `part`. */
int probe_heard(probe_log *log, clattn_log_level level, const char *part);
void probe_log_print(probe_log *log);

/* A few thousand tokens in one picture: streamed in three passes where memory is short. */
case_agent probe_case_streamed(void);
/* Shifted windows and a batch: groups of whole windows. */
case_agent probe_case_windows(void);

typedef enum probe_pass { PASS_POOL, PASS_AGGREGATE, PASS_BROADCAST } probe_pass;

/* What a failing callback was called with. */
typedef struct probe_failure {
    bool happened;
    probe_pass pass;
    clattn_tile_input input;
    clattn_tile_rect rect;
} probe_failure;

typedef struct tile_probe {
    case_agent c;
    case_agent_data data;
    tile_case_io all;
    float *untiled, *tiled;
    unsigned char *seen; /* per output token: how often it came */
    int64_t floats, tokens;
    clattn_tiling *tiling;
    clattn_tiling_info info;
    clattn_tile_io io; /* through the watched callbacks */

    /* Set by the test, cleared by probe_run(): the number of the call that fails, from 1, and with what. 0: none. */
    int64_t fail_fill, fail_take, fail_poll;
    int code;

    /* of the last run */
    int64_t fills, takes, polls;
    probe_failure failure;
    bool out_of_order, called_after_failure;
    int64_t next_row; /* strips: the first map token that has not come */
    double first_fraction, last_fraction;
    bool fraction_fell;
    double failed_at, returned_at; /* seconds */
    int32_t reported;
} tile_probe;

/* Fills the data, and runs it untiled on `ctx`. */
void probe_open(tile_probe *probe, clattn_context *ctx, const case_agent *c);
void probe_close(tile_probe *probe);

/* `budget` as in tile_run_case(). Ends the tiling before, if there is one. */
void probe_tiling(tile_probe *probe, clattn_context *const *contexts, size_t count,
                  const clattn_tile_options *options, double budget);
/* Only makes the tiling, and returns its status. */
clattn_status probe_create(tile_probe *probe, clattn_context *const *contexts, size_t count,
                           const clattn_tile_options *options);

clattn_status probe_run(tile_probe *probe);
/* The next run makes its lanes and buffers, as the first one does. */
void probe_begin_anew(tile_probe *probe);
/* Runs; the bits are those of the untiled run, and every token came once. */
void probe_run_right(tile_probe *probe);
/* The part after the run. */
void probe_check_right(const tile_probe *probe);

/*
 * What main ends with: `tests` on the first two contexts that the environment leaves, each in *entry, with *heard open. A hang of
 * minutes ends the program.
 */
int probe_main(contexts_entry *entry, probe_log *heard, int (*tests)(const char *name));
void probe_no_hang(void);

double probe_now(void);
uint64_t probe_bytes(const clattn_context *ctx);

#endif
