#include "tile_probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "tile/run.h"

/* ---- the log ---- */

static void hear(void *user, clattn_log_level level, const char *text)
{
    probe_log *log = user;

    pthread_mutex_lock(&log->lock);
    const int at = log->count < PROBE_SENTENCES ? log->count++ : PROBE_SENTENCES - 1;
    log->sentences[at].level = level;
    snprintf(log->sentences[at].text, sizeof log->sentences[at].text, "%s", text);
    pthread_mutex_unlock(&log->lock);
}

void probe_log_open(probe_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
    log->count = 0;
}

void probe_log_clear(probe_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->count = 0;
    pthread_mutex_unlock(&log->lock);
}

clattn_log probe_listen(probe_log *log)
{
    return (clattn_log){hear, log, CLATTN_LOG_WARN};
}

int probe_heard(probe_log *log, clattn_log_level level, const char *part)
{
    int heard = 0;

    pthread_mutex_lock(&log->lock);
    for (int i = 0; i < log->count; i++)
        heard += log->sentences[i].level == level && strstr(log->sentences[i].text, part) != NULL;
    pthread_mutex_unlock(&log->lock);
    return heard;
}

void probe_log_print(probe_log *log)
{
    for (int i = 0; i < log->count; i++)
        print_message("    %d %s\n", (int)log->sentences[i].level, log->sentences[i].text);
}

/* ---- cases ---- */

case_agent probe_case_streamed(void)
{
    return (case_agent){.desc = {.batch = 1,
                                 .heads = 2,
                                 .head_dim = 8,
                                 .height = 61,
                                 .width = 37,
                                 .class_tokens = 3,
                                 .agent_height = 2,
                                 .agent_width = 3,
                                 .has_bias = 1,
                                 .has_key_bias = 1,
                                 .dwc_size = 3,
                                 .has_dwc_bias = 1},
                        .trained_agents_h = 2,
                        .trained_agents_w = 3,
                        .trained_h = 7,
                        .trained_w = 7};
}

case_agent probe_case_windows(void)
{
    case_agent c = probe_case_streamed();
    clattn_agent_attention_desc *d = &c.desc;

    d->batch = 2;
    d->height = 8;
    d->width = 12;
    d->class_tokens = 0;
    d->window_height = d->window_width = 4;
    d->shift_y = 2;
    d->shift_x = 1;
    return c;
}

/* ---- the watched callbacks ---- */

double probe_now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t probe_bytes(const clattn_context *ctx)
{
    uint64_t now = 0;
    clattn_context_bytes(ctx, &now, NULL);
    return now;
}

/* Passes follow from what is asked for: q, then k, then q again. */
static probe_pass pass_now(tile_probe *p, clattn_tile_input input)
{
    if (p->takes > 0 || (input == CLATTN_TILE_Q && p->failure.pass != PASS_POOL))
        p->failure.pass = PASS_BROADCAST;
    else if (input != CLATTN_TILE_Q && p->failure.pass == PASS_POOL)
        p->failure.pass = PASS_AGGREGATE;
    return p->failure.pass;
}

static int refuse(tile_probe *p)
{
    p->failure.happened = true;
    p->failed_at = probe_now();
    return p->code;
}

static int watched_fill(void *user, clattn_tile_input input, const clattn_tile_rect *rect,
                        float *target, int64_t row_stride)
{
    tile_probe *p = user;

    p->called_after_failure |= p->failure.happened;
    pass_now(p, input);
    p->failure.input = p->failure.happened ? p->failure.input : input;
    p->failure.rect = p->failure.happened ? p->failure.rect : *rect;
    if (++p->fills == p->fail_fill)
        return refuse(p);
    return p->all.io.source.fill(p->all.io.source.user, input, rect, target, row_stride);
}

/* Marks the rectangle's tokens; strips come from the top on. */
static void mark(tile_probe *p, const clattn_tile_rect *r)
{
    const clattn_agent_attention_desc *d = &p->c.desc;
    const int64_t class_tokens = d->class_tokens;
    unsigned char *picture = p->seen + r->picture * (class_tokens + d->height * d->width);

    for (int64_t i = 0; i < r->class_count; i++)
        picture[r->class_first + i]++;
    for (int64_t y = r->y; y < r->y + r->height; y++)
        for (int64_t x = r->x; x < r->x + r->width; x++)
            picture[class_tokens + y * d->width + x]++;
    if (r->class_count == 0) {
        p->out_of_order |= r->y != p->next_row || r->x != 0 || r->width != d->width;
        p->next_row = (r->y + r->height) % d->height;
    }
}

static int watched_take(void *user, const clattn_tile_rect *rect, const float *data,
                        int64_t row_stride)
{
    tile_probe *p = user;

    p->called_after_failure |= p->failure.happened;
    if (++p->takes == p->fail_take) {
        p->failure.rect = *rect;
        return refuse(p);
    }
    mark(p, rect);
    return p->all.io.sink.take(p->all.io.sink.user, rect, data, row_stride);
}

static int watched_progress(void *user, double fraction)
{
    tile_probe *p = user;

    p->called_after_failure |= p->failure.happened;
    if (p->polls == 0)
        p->first_fraction = fraction;
    p->fraction_fell |= p->polls > 0 && fraction < p->last_fraction;
    p->last_fraction = fraction;
    return ++p->polls == p->fail_poll ? refuse(p) : 0;
}

/* ---- runs ---- */

void probe_open(tile_probe *p, clattn_context *ctx, const case_agent *c)
{
    agent_run run;

    *p = (tile_probe){.c = *c, .code = 7};
    case_agent_fill(&p->c, fill_seed(), &p->data);
    p->floats = case_agent_count(&p->c, STEP_WHOLE);
    p->tokens = c->desc.batch * (c->desc.class_tokens + c->desc.height * c->desc.width);
    p->untiled = calloc((size_t)p->floats, sizeof *p->untiled);
    p->tiled = calloc((size_t)p->floats, sizeof *p->tiled);
    p->seen = calloc((size_t)p->tokens, 1);
    agent_run_open(&run, ctx, GUARD_TOKENS, &p->c, &p->data);
    agent_run_step(&run, STEP_WHOLE, p->untiled);
    agent_run_close(&run);
    tile_case_open(&p->c, &p->data, p->tiled, &p->all);
    p->io = p->all.io;
    p->io.source = (clattn_tile_source){.fill = watched_fill, .user = p};
    p->io.sink = (clattn_tile_sink){.take = watched_take, .user = p};
    p->io.progress = watched_progress;
    p->io.progress_user = p;
    p->io.callback_code = &p->reported;
}

void probe_close(tile_probe *p)
{
    clattn_tiling_destroy(&p->tiling);
    case_agent_free(&p->data);
    free(p->untiled);
    free(p->tiled);
    free(p->seen);
}

clattn_status probe_create(tile_probe *p, clattn_context *const *contexts, size_t count,
                           const clattn_tile_options *options)
{
    clattn_tiling_destroy(&p->tiling);
    const clattn_status status =
        clattn_tiling_create(contexts, count, &p->c.desc, &p->all.weights, options, &p->tiling);
    assert_int_equal(status == CLATTN_OK, p->tiling != NULL);
    clattn_tiling_get_info(p->tiling, &p->info);
    return status;
}

void probe_tiling(tile_probe *p, clattn_context *const *contexts, size_t count,
                  const clattn_tile_options *options, double budget)
{
    clattn_tile_options o = options != NULL ? *options : (clattn_tile_options){.strips = 0};

    assert_int_equal(probe_create(p, contexts, count, &o), CLATTN_OK);
    if (budget > 0.0) {
        o.device_bytes = (uint64_t)((double)p->info.smallest_bytes * budget);
        assert_int_equal(probe_create(p, contexts, count, &o), CLATTN_OK);
    }
}

clattn_status probe_run(tile_probe *p)
{
    for (int64_t i = 0; i < p->floats; i++)
        p->tiled[i] = NAN;
    memset(p->seen, 0, (size_t)p->tokens);
    p->fills = p->takes = p->polls = p->next_row = 0;
    p->failure = (probe_failure){.happened = false};
    p->out_of_order = p->called_after_failure = p->fraction_fell = false;
    p->reported = 0;
    const clattn_status status = clattn_tiling_run(p->tiling, &p->io);
    p->returned_at = probe_now();
    p->fail_fill = p->fail_take = p->fail_poll = 0;
    return status;
}

void probe_begin_anew(tile_probe *p)
{
    clattn__tiling_forget(p->tiling);
}

void probe_check_right(const tile_probe *p)
{
    char text[640];

    case_agent_text(&p->c, text, sizeof text);
    for (int64_t i = 0; i < p->tokens; i++)
        if (p->seen[i] != 1)
            fail_msg("token %lld came %d times: %s", (long long)i, p->seen[i], text);
    check_same_bits("tiled", text, p->tiled, p->untiled, p->floats);
    assert_false(p->fraction_fell);
    assert_true(p->first_fraction == 0.0 && p->last_fraction == 1.0);
}

void probe_run_right(tile_probe *p)
{
    const clattn_status status = probe_run(p);
    if (status != CLATTN_OK)
        fail_msg("the run ended with %s", clattn_status_name(status));
    probe_check_right(p);
}

void probe_no_hang(void)
{
    alarm(280);
}

int probe_main(contexts_entry *entry, probe_log *heard, int (*tests)(const char *name))
{
    contexts_list list;
    int failed = 0;

    probe_no_hang();
    contexts_find(false, &list);
    if (list.count == 0)
        return contexts_none();
    probe_log_open(heard);
    for (int i = 0; i < list.count && i < 2; i++) {
        *entry = list.entries[i];
        print_message("%s\n", entry->name);
        failed += tests(entry->name);
    }
    return failed;
}
