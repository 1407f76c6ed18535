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
    const char *name; /* --case */
    const char *shape;
} doctor;

/* Who writes stand-alone programs: reproducer.c. */
typedef struct doctor_writer {
    const doctor *doctor;
    int written, failed;
    char error[512]; /* of the first that failed */
} doctor_writer;

/* The recorder's function: writes a problem that did not pass, or the named one, to a folder of its own. */
void doctor_write_problem(void *user, const clattn_selftest_problem *problem);

/* Examines device `index` of the list: what it is, how its kernels do, how long things take. */
void doctor_examine(doctor *d, const clattn_device *device, int index, cJSON *report);

/*
 * The same in a process of its own, so that a driver that crashes or hangs takes nothing else along; NULL report where the
 * process did not come back, and then `why`. Index -1 counts the devices.
 */
cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size);

/* The report for people. */
void doctor_print(FILE *stream, const cJSON *report);

#endif
