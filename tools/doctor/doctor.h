/* clattn doctor: everything about the devices of this machine that someone who has to help needs to see, in one report. */
#ifndef CLATTN_TOOLS_DOCTOR_H
#define CLATTN_TOOLS_DOCTOR_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "command.h"

typedef struct doctor {
    const command *cmd;
    command_device device; /* --device, --cache */
    const char *reproducer;
    const char *name; /* --case; NULL where it names rows of the bench: */
    struct bench_row *rows;
    size_t row_count;
    const char *shape;
    const char *vendors; /* where children look for platforms (list.c); NULL: where everyone does */
} doctor;

/* Who writes stand-alone programs: reproducer.c. */
typedef struct doctor_writer {
    const doctor *doctor;
    int written, failed;
    char error[512]; /* of the first that failed */
} doctor_writer;

/* The recorder's function: writes a problem that did not pass, or the named one, to a folder of its own. */
void doctor_write_problem(void *user, const clattn_selftest_problem *problem);
/* Any problem, to a folder of that name. */
void doctor_write_program(doctor_writer *writer, const char *name,
                          const clattn_selftest_problem *problem);

/* Finds the rows of the bench that --case names, as "bench:OPERATOR/SHAPE". False with an error printed where there are none. */
bool doctor_find_rows(doctor *d);
/* Writes a program for each of the rows, with what the CPU path makes of them. */
void doctor_write_rows(doctor_writer *writer, clattn_context *ctx);

/* Hears what the library says about a device: warnings and errors for the report; `last`, DOCTOR_LAST bytes, is all of the latest. */
typedef struct doctor_ear {
    cJSON *list;
    char *last; /* NULL: nobody asks */
} doctor_ear;
#define DOCTOR_LAST 512
clattn_log doctor_listen(doctor_ear *ear);

/* Examines device `index` of the list: how its kernels do, how long things take. */
void doctor_examine(doctor *d, const clattn_device *device, doctor_ear *ear, cJSON *report);

/* Index for doctor_isolated(): the list of devices, what each is, and which one --device chooses. */
#define DOCTOR_LIST (-1)

/*
 * The list, or device `index` of it, in a process of its own, so that a driver that crashes or hangs takes nothing else along; NULL
 * where the process did not come back, and then `why`.
 */
cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size);

/* Adds every device that --device leaves. True where all is well with each, and with their platforms. */
bool doctor_add_devices(doctor *d, cJSON *report);

/* The report for people. */
void doctor_print(FILE *stream, const cJSON *report);

#endif
