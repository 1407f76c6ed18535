/* The recording of self-test problems: launches as they are made, buffers as they are before the first, checks as they are judged. */
#include <string.h>

#include "cl/selftest.h"
#include "cl/stored.h"
#include "ops/selftest.h"

struct clattn__record {
    const clattn_selftest_recorder *recorder;
    clattn_selftest_problem problem;
    cl_mem mems[CLATTN_SELFTEST_BUFFERS];
    clattn_selftest_buffer buffers[CLATTN_SELFTEST_BUFFERS];
    clattn_selftest_launch launches[CLATTN_SELFTEST_LAUNCHES];
    clattn_selftest_check checks[CLATTN_SELFTEST_CHECKS];
    bool whole; /* nothing was lost for want of room or memory */
};

clattn_status clattn__record_begin(clattn__selftest *test)
{
    clattn_status status = CLATTN_OK;
    clattn_context *ctx = test->of->ctx;

    if (ctx->recorder == NULL)
        return CLATTN_OK;
    test->ws.record = clattn__alloc(sizeof *test->ws.record);
    CLATTN_CHECK(&ctx->log, test->ws.record != NULL, CLATTN_E_NOMEM,
                 "no host memory for a recording");
    test->ws.record->recorder = ctx->recorder;
    test->ws.record->whole = true;
out:
    return status;
}

/* Forgets the problem. */
static void clear(clattn__record *r)
{
    for (uint32_t i = 0; i < r->problem.buffer_count; i++)
        clattn__free((void *)r->buffers[i].bytes);
    for (uint32_t i = 0; i < r->problem.launch_count; i++)
        clattn__free((void *)r->launches[i].args);
    *r = (clattn__record){.recorder = r->recorder, .whole = true};
}

void clattn__record_end(clattn__selftest *test)
{
    if (test->ws.record != NULL)
        clear(test->ws.record);
    clattn__free(test->ws.record);
    test->ws.record = NULL;
}

/* The number of a buffer, whose bytes are read where it is new: every launch so far has ended. */
static bool add_buffer(clattn_context *ctx, clattn__record *r, cl_mem mem, uint32_t *number)
{
    clattn_memory memory = {.mem = mem};
    uint32_t i = 0;

    while (i < r->problem.buffer_count && r->mems[i] != mem)
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
    r->mems[i] = mem;
    r->buffers[i] = (clattn_selftest_buffer){.bytes = bytes, .size = memory.bytes};
    r->problem.buffer_count++;
    return true;
}

static bool add_launch(clattn_context *ctx, clattn__record *r, const void *args, size_t args_bytes,
                       const cl_mem *buffers, int count, const size_t global[3],
                       const size_t local[3])
{
    if (r->problem.launch_count == CLATTN_SELFTEST_LAUNCHES || count > CLATTN_SELFTEST_BUFFERS)
        return false;
    clattn_selftest_launch *l = &r->launches[r->problem.launch_count];
    *l = (clattn_selftest_launch){.args_size = args_bytes, .buffer_count = (uint32_t)count};
    for (int i = 0; i < count; i++)
        if (!add_buffer(ctx, r, buffers[i] != NULL ? buffers[i] : buffers[0], &l->buffers[i]))
            return false;
    void *copy = clattn__alloc(args_bytes);
    if (copy == NULL)
        return false;
    memcpy(copy, args, args_bytes);
    l->args = copy;
    memcpy(l->global, global, sizeof l->global);
    memcpy(l->local, local, sizeof l->local);
    r->problem.launch_count++;
    return true;
}

void clattn__record_launch(clattn_context *ctx, clattn__record *r, const void *args,
                           size_t args_bytes, const cl_mem *buffers, int count,
                           const size_t global[3], const size_t local[3])
{
    r->whole = r->whole && add_launch(ctx, r, args, args_bytes, buffers, count, global, local);
}

void clattn__record_check(clattn__selftest *test, const clattn_memory *memory,
                          const clattn_selftest_check *check)
{
    clattn__record *r = test->ws.record;
    uint32_t number = 0;

    if (r == NULL || test->ctx == test->cpu)
        return;
    while (number < r->problem.buffer_count && r->mems[number] != memory->mem)
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

void clattn__record_problem(clattn__selftest *test, bool passed)
{
    clattn__record *r = test->ws.record;
    clattn__recipe recipe;
    const clattn__kernel_spec *spec = &test->of->kernels[test->kernel];

    if (r == NULL || test->ctx == test->cpu)
        return;
    if (r->whole && r->problem.launch_count > 0 && clattn__program_recipe(spec, &recipe)) {
        clattn_selftest_problem *p = &r->problem;
        p->form = test->form;
        p->kernel = spec->name;
        p->options = recipe.options;
        p->text_count = recipe.source->count;
        p->texts = recipe.source->texts;
        p->text_bytes = recipe.source->sizes;
        p->buffers = r->buffers;
        p->launches = r->launches;
        p->checks = r->checks;
        p->passed = passed;
        r->recorder->take(r->recorder->user, p);
    }
    clear(r);
}
