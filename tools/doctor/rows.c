/* Rows of the bench as programs that need OpenCL and nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/data.h"
#include "doctor.h"

#define PREFIX "bench:"

/* Of a program's tensors and expected result. */
#define MOST_BYTES ((uint64_t)128 << 20)

bool doctor_find_rows(doctor *d)
{
    char text[256];
    if (d->name == NULL || strncmp(d->name, PREFIX, strlen(PREFIX)) != 0)
        return true;
    snprintf(text, sizeof text, "%s", d->name + strlen(PREFIX));
    char *const slash = strchr(text, '/');
    if (slash == NULL) {
        command_error(d->cmd,
                      "--case %s names no row of the bench; they are " PREFIX
                      "OPERATOR/SHAPE, as in " PREFIX "agent_attention/pvt-s3-b1",
                      d->name);
        return false;
    }
    *slash = '\0';
    d->rows = bench_rows_of_case(d->cmd, text, slash + 1, &d->row_count);
    d->name = NULL;
    return d->rows != NULL;
}

/* A row on its way: what the device runs, and what the CPU path makes of the same numbers. */
typedef struct row_job {
    doctor_writer *writer;
    const char *name;
    bench_weights weights;
    bench_data data, answer;
    bench_run run, reference;
    int taken;
} row_job;

/* The recorder's function: the run, with the check of its output. */
static void take(void *user, const clattn_selftest_problem *p)
{
    row_job *const job = user;
    const bench_layout *const layout = &job->data.layout;
    const double tolerance = bench_tolerance(job->run.op, job->run.shape, layout->type);
    clattn_selftest_problem whole = *p;
    clattn_selftest_check check = {.expected = job->answer.memory[layout->output].host,
                                   .count = (size_t)layout->elements[layout->output],
                                   .units = (float)ldexp(tolerance, 24),
                                   .scale = 1.0f};
    while (check.buffer < p->buffer_count &&
           p->buffers[check.buffer].mem != job->data.memory[layout->output].mem)
        check.buffer++;
    whole.checks = &check;
    whole.check_count = 1;
    whole.form = job->name;
    doctor_write_program(job->writer, job->name, &whole);
    job->taken++;
}

static clattn_status make(row_job *job, clattn_context *ctx, bench_run *run, bench_data *data)
{
    const bench_op op = job->run.op;
    const bench_shape *const shape = job->run.shape;
    clattn_status status = bench_data_make(ctx, op, shape, CLATTN_F32, 1, &job->weights, data);
    if (status == CLATTN_OK)
        status = bench_run_plan(ctx, op, shape, CLATTN_F32, run);
    run->data = data;
    return status;
}

static clattn_status run_row(row_job *job, clattn_context *ctx, clattn_context *cpu)
{
    const clattn_selftest_recorder recorder = {.take = take, .user = job};
    clattn_status status = make(job, cpu, &job->reference, &job->answer);
    if (status == CLATTN_OK)
        status = bench_run_once(&job->reference, 0, NULL);
    if (status == CLATTN_OK)
        status = make(job, ctx, &job->run, &job->data);
    if (status == CLATTN_OK)
        status = clattn_workspace_record(job->run.workspace, &recorder);
    return status == CLATTN_OK ? bench_run_once(&job->run, 0, NULL) : status;
}

static void fail(doctor_writer *writer, const char *name, const char *why)
{
    if (writer->failed++ == 0)
        snprintf(writer->error, sizeof writer->error, "%s: %s", name, why);
}

static void write_row(doctor_writer *writer, clattn_context *ctx, const bench_row *row)
{
    char name[128], why[256];
    const bench_layout layout = bench_layout_of(row->op, row->shape, CLATTN_F32);
    const uint64_t bytes =
        bench_layout_bytes(&layout) + sizeof(float) * (uint64_t)layout.elements[layout.output];
    clattn_context *cpu = NULL;

    snprintf(name, sizeof name, "bench-%s-%s", bench_op_name(row->op), row->shape->name);
    if (bytes > MOST_BYTES) {
        snprintf(why, sizeof why,
                 "its data, %.0f MiB, are more than the %.0f that a program may have",
                 (double)bytes / (1 << 20), (double)MOST_BYTES / (1 << 20));
        fail(writer, name, why);
        return;
    }
    row_job job = {.writer = writer, .name = name, .run = {.op = row->op, .shape = row->shape}};
    clattn_status status = clattn_context_create_cpu(NULL, &cpu);
    if (status == CLATTN_OK && !bench_weights_make(row->shape, &job.weights))
        status = CLATTN_E_NOMEM;
    if (status == CLATTN_OK)
        status = run_row(&job, ctx, cpu);
    if (status != CLATTN_OK || job.taken == 0)
        fail(writer, name,
             status != CLATTN_OK ? clattn_status_text(status) : "its run cannot be recorded");
    bench_run_close(&job.run);
    bench_run_close(&job.reference);
    bench_data_free(&job.data);
    bench_data_free(&job.answer);
    bench_weights_free(&job.weights);
    clattn_context_destroy(&cpu);
}

void doctor_write_rows(doctor_writer *writer, clattn_context *ctx)
{
    for (size_t i = 0; i < writer->doctor->row_count; i++)
        write_row(writer, ctx, &writer->doctor->rows[i]);
}
