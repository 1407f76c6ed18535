/* Recordings: of self-test problems, and of runs. */
#include "ops/record.h"

#include <string.h>

#include "cl/device.h"
#include "cl/stored.h"

struct clattn__record {
    const clattn_selftest_recorder *recorder;
    const clattn_workspace *owner; /* which it began with */
    clattn_selftest_problem problem;
    clattn__kernel_spec specs[CLATTN_SELFTEST_PROGRAMS];
    clattn__recipe recipes[CLATTN_SELFTEST_PROGRAMS]; /* hold the options */
    clattn_selftest_program programs[CLATTN_SELFTEST_PROGRAMS];
    clattn_selftest_buffer buffers[CLATTN_SELFTEST_BUFFERS];
    clattn_selftest_launch launches[CLATTN_SELFTEST_LAUNCHES];
    clattn_selftest_check checks[CLATTN_SELFTEST_CHECKS];
    bool whole; /* nothing was lost for want of room or memory */
};

static void share(clattn_workspace *ws, clattn__record *record)
{
    ws->record = record;
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (ws->children[i] != NULL)
            share(ws->children[i], record);
}

clattn_status clattn__record_begin(clattn_workspace *ws, const clattn_selftest_recorder *recorder)
{
    clattn__record *made = clattn__alloc(sizeof *made);
    if (made == NULL)
        return CLATTN_E_NOMEM;
    made->recorder = recorder;
    made->owner = ws;
    made->whole = true;
    share(ws, made);
    return CLATTN_OK;
}

/* Forgets the problem. */
static void clear(clattn__record *r)
{
    for (uint32_t i = 0; i < r->problem.buffer_count; i++)
        clattn__free((void *)r->buffers[i].bytes);
    for (uint32_t i = 0; i < r->problem.launch_count; i++)
        clattn__free((void *)r->launches[i].args);
    r->problem = (clattn_selftest_problem){.form = NULL};
    r->whole = true;
}

void clattn__record_end(clattn_workspace *ws)
{
    clattn__record *r = ws->record;
    if (r == NULL || r->owner != ws)
        return;
    clear(r);
    share(ws, NULL);
    clattn__free(r);
}

/* The number of a kernel. */
static bool add_program(clattn__record *r, const clattn__kernel_spec *spec, uint32_t *number)
{
    clattn_selftest_problem *p = &r->problem;
    uint32_t i = 0;

    while (i < p->program_count && (strcmp(r->specs[i].file, spec->file) != 0 ||
                                    strcmp(r->specs[i].name, spec->name) != 0 ||
                                    strcmp(r->specs[i].options, spec->options) != 0))
        i++;
    *number = i;
    if (i < p->program_count)
        return true;
    if (i == CLATTN_SELFTEST_PROGRAMS)
        return false;
    r->specs[i] = *spec;
    const clattn__recipe *recipe = &r->recipes[i];
    if (!clattn__program_recipe(&r->specs[i], &r->recipes[i]))
        return false;
    r->programs[i] = (clattn_selftest_program){.kernel = r->specs[i].name,
                                               .options = recipe->options,
                                               .text_count = recipe->source->count,
                                               .texts = recipe->source->texts,
                                               .text_bytes = recipe->source->sizes};
    p->program_count++;
    return true;
}

/* The number of a buffer, whose bytes are read where it is new: every launch so far has ended. */
static bool add_buffer(clattn_context *ctx, clattn__record *r, cl_mem mem, uint32_t *number)
{
    clattn_memory memory = {.mem = mem};
    uint32_t i = 0;

    while (i < r->problem.buffer_count && r->buffers[i].mem != mem)
        i++;
    *number = i;
    if (i < r->problem.buffer_count)
        return true;
    if (i == CLATTN_SELFTEST_BUFFERS ||
        ctx->backend->check_memory(ctx, "a buffer", &memory) != CLATTN_OK)
        return false;
    void *bytes = clattn__alloc((size_t)memory.bytes);
    if (bytes == NULL || ctx->backend->read(ctx, &memory, 0, bytes, memory.bytes) != CLATTN_OK) {
        clattn__free(bytes);
        return false;
    }
    r->buffers[i] = (clattn_selftest_buffer){.mem = mem, .bytes = bytes, .size = memory.bytes};
    r->problem.buffer_count++;
    return true;
}

void clattn__record_launch(clattn_context *ctx, clattn__record *r, const clattn__kernel_spec *spec,
                           const void *args, size_t args_bytes, const cl_mem *buffers, int count,
                           const size_t global[3], const size_t local[3])
{
    clattn_selftest_launch *l = &r->launches[r->problem.launch_count];

    r->whole = r->whole && r->problem.launch_count < CLATTN_SELFTEST_LAUNCHES &&
               count <= CLATTN_SELFTEST_ARGUMENTS;
    if (!r->whole)
        return;
    *l = (clattn_selftest_launch){.args_size = args_bytes, .buffer_count = (uint32_t)count};
    r->whole = add_program(r, spec, &l->program);
    for (int i = 0; i < count && r->whole; i++)
        r->whole = add_buffer(ctx, r, buffers[i] != NULL ? buffers[i] : buffers[0], &l->buffers[i]);
    void *copy = r->whole ? clattn__alloc(args_bytes) : NULL;
    r->whole = copy != NULL;
    if (!r->whole)
        return;
    memcpy(copy, args, args_bytes);
    l->args = copy;
    memcpy(l->global, global, sizeof l->global);
    memcpy(l->local, local, sizeof l->local);
    r->problem.launch_count++;
}

void clattn__record_check(clattn__record *r, const clattn_memory *memory,
                          const clattn_selftest_check *check)
{
    uint32_t number = 0;

    while (number < r->problem.buffer_count && r->buffers[number].mem != memory->mem)
        number++;
    /* What no launch was given cannot be wrong. */
    if (number == r->problem.buffer_count)
        return;
    if (r->problem.check_count == CLATTN_SELFTEST_CHECKS) {
        r->whole = false;
        return;
    }
    clattn_selftest_check *own = &r->checks[r->problem.check_count++];
    *own = *check;
    own->buffer = number;
}

bool clattn__record_take(clattn__record *r, const char *form, bool passed)
{
    clattn_selftest_problem *p = &r->problem;
    const bool whole = r->whole;

    if (whole && p->launch_count > 0) {
        p->form = form;
        p->programs = r->programs;
        p->buffers = r->buffers;
        p->launches = r->launches;
        p->checks = r->checks;
        p->passed = passed;
        r->recorder->take(r->recorder->user, p);
    }
    clear(r);
    return whole;
}

void clattn__record_run(const clattn_workspace *ws)
{
    if (!clattn__record_take(ws->record, ws->plan->op, true))
        clattn__log(&ws->plan->ctx->log, CLATTN_LOG_WARN,
                    "the run of %s is not recorded: it has too many launches or buffers, or there "
                    "is no host memory for them",
                    ws->plan->op);
}

clattn_status clattn_workspace_record(clattn_workspace *ws,
                                      const clattn_selftest_recorder *recorder)
{
    clattn_status status = CLATTN_OK;

    if (!clattn__workspace_valid(ws))
        return CLATTN_E_ARG;
    clattn_context *ctx = ws->plan->ctx;
    clattn__record_end(ws);
    if (recorder == NULL)
        return CLATTN_OK;
    CLATTN_CHECK(&ctx->log, recorder->take != NULL, CLATTN_E_ARG, "take of the recorder is NULL");
    CLATTN_CHECK(&ctx->log, ctx->cl != NULL && ws->plan->info.on_cpu_path == 0,
                 CLATTN_E_UNSUPPORTED,
                 "runs of %s that are on the CPU path cannot be recorded: they have no launches",
                 ws->plan->op);
    CLATTN_CHECK(&ctx->log, !ctx->cl->out_of_order, CLATTN_E_UNSUPPORTED,
                 "runs of %s on a queue that is out of order cannot be recorded", ws->plan->op);
    status = clattn__record_begin(ws, recorder);
    CLATTN_CHECK(&ctx->log, status == CLATTN_OK, status, "no host memory for a recording");
out:
    return status;
}
