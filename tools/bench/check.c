/*
 * Right or wrong, before any speed is told. On an OpenCL device the whole result is compared with the CPU path's; where that would
 * take too much time or memory, and for the CPU path itself, a recorded subset with the oracle's in double. Everything must be a number.
 */
#include "bench/data.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((int64_t)1 << 18)

/* What the CPU path is asked for at most: some seconds, and as much memory as the device's tensors. */
#define MOST_FLOPS 1e11
#define MOST_BYTES ((uint64_t)1 << 30)

/* Largest |x - answer| / (|answer| + 1) against the exact answer, f32: the tests have the same numbers and say why. */
static double exact_tolerance(bench_op op, const bench_shape *shape)
{
    const double units[BENCH_OPS] = {
        [BENCH_AGENT_ATTENTION] = 24.0, [BENCH_AGENT_POOL] = 2.0,
        [BENCH_AGENT_AGGREGATE] = 16.0, [BENCH_AGENT_BROADCAST] = 16.0,
        [BENCH_ATTENTION] = 8.0,        [BENCH_DWC] = 2.0 + (double)shape->dwc_size,
    };
    return op == BENCH_SMOOTH ? 2e-4 : units[op] * (double)FLT_EPSILON;
}

/* Half storage rounds every input and the result to 11 bits; agents in between once more. */
static double tolerance(bench_op op, const bench_shape *shape, clattn_type type, bool exact)
{
    const double f32 = exact_tolerance(op, shape) * (exact ? 1.0 : 2.0);
    return type == CLATTN_F16 ? f32 + 1.0 / 512.0 : f32;
}

double bench_tolerance(bench_op op, const bench_shape *shape, clattn_type type)
{
    return tolerance(op, shape, type, false);
}

/* The answer: of the CPU path, all elements; or of the oracle. */
typedef struct partner {
    clattn_context *ctx;
    bench_data data;
    bench_run run;
    bench_answer answer;
    int64_t next; /* of `answer`, while the result is walked through */
} partner;

static bool affordable(const bench_run *run, const bench_row *row)
{
    return run->data->memory[run->data->layout.output].host == NULL &&
           row->cost.flops <= MOST_FLOPS && bench_layout_bytes(&run->data->layout) <= MOST_BYTES;
}

static clattn_status run_on_cpu(const bench_run *run, const bench_weights *weights, partner *p)
{
    const clattn_type type = run->data->layout.type;
    clattn_status status = clattn_context_create_cpu(NULL, &p->ctx);
    if (status == CLATTN_OK)
        status = bench_data_make(p->ctx, run->op, run->shape, type, 1, weights, &p->data);
    if (status == CLATTN_OK)
        status = bench_run_plan(p->ctx, run->op, run->shape, type, &p->run);
    p->run.data = &p->data;
    return status == CLATTN_OK ? bench_run_once(&p->run, 0, NULL) : status;
}

static void partner_close(partner *p)
{
    bench_run_close(&p->run);
    if (p->ctx != NULL)
        bench_data_free(&p->data);
    clattn_context_destroy(&p->ctx);
    bench_answer_free(&p->answer);
}

static float element(const void *values, clattn_type type, int64_t i)
{
    return type == CLATTN_F16 ? bench_half_value(((const uint16_t *)values)[i])
                              : ((const float *)values)[i];
}

/* Element i of the answer; false where it has none. Called with rising i. */
static bool expected(partner *p, int64_t i, double *value)
{
    if (p->ctx != NULL) {
        const bench_layout *const layout = &p->data.layout;
        *value = (double)element(p->data.memory[layout->output].host, layout->type, i);
        return true;
    }
    if (p->next >= p->answer.count || p->answer.index[p->next] != i)
        return false;
    *value = p->answer.value[p->next++];
    return true;
}

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t state, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        state = (state ^ bytes[i]) * 0x100000001b3u;
    return state;
}

/* For the tests: spoils the first compared value of the operator that CLATTN_BENCH_FAULT names. */
static float planted_fault(const bench_run *run, const bench_row *row)
{
    const char *const name = getenv("CLATTN_BENCH_FAULT");
    const bool here =
        row->checked == 0 && name != NULL && strcmp(name, bench_op_name(run->op)) == 0;
    return here ? 1.0f : 0.0f;
}

static void compare(const bench_run *run, partner *p, const void *values, int64_t first,
                    int64_t count, bench_row *row)
{
    for (int64_t i = 0; i < count; i++) {
        const float found = element(values, run->data->layout.type, i);
        double wanted = 0.0, error = 0.0;
        if (expected(p, first + i, &wanted)) {
            error = fabs((double)(found + planted_fault(run, row)) - wanted) / (fabs(wanted) + 1.0);
            row->checked++;
        }
        if (!isfinite(found) || !isfinite(error))
            error = INFINITY;
        if (error > row->error)
            row->error = error;
    }
}

static clattn_status walk(const bench_run *run, partner *p, bench_row *row)
{
    const bench_data *const data = run->data;
    const bench_layout *const layout = &data->layout;
    const int64_t all = layout->elements[layout->output];
    const size_t size = bench_type_bytes(layout->type);
    void *const buffer = malloc((size_t)CHUNK * size);
    clattn_status status = buffer != NULL ? CLATTN_OK : CLATTN_E_NOMEM;
    row->bits = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < all && status == CLATTN_OK; i += CHUNK) {
        const int64_t count = all - i < CHUNK ? all - i : CHUNK;
        status = clattn_memory_read(data->ctx, &data->memory[layout->output], (uint64_t)i * size,
                                    buffer, (uint64_t)count * size);
        if (status != CLATTN_OK)
            break;
        row->bits = hash(row->bits, buffer, (size_t)count * size);
        compare(run, p, buffer, i, count, row);
    }
    free(buffer);
    return status;
}

clattn_status bench_check(const bench_run *run, const bench_weights *weights, bench_row *row)
{
    partner p = {0};
    clattn_status status = CLATTN_OK;
    const bool with_cpu = affordable(run, row);
    row->error = 0.0;
    row->checked = 0;
    row->checked_with = with_cpu ? "CPU path" : "double";
    row->tolerance = tolerance(run->op, run->shape, run->data->layout.type, !with_cpu);
    if (with_cpu)
        status = run_on_cpu(run, weights, &p);
    else if (!bench_oracle(run->op, run->shape, run->data->layout.type, weights, &p.answer))
        status = CLATTN_E_NOMEM;
    if (status == CLATTN_OK)
        status = walk(run, &p, row);
    partner_close(&p);
    return status;
}
