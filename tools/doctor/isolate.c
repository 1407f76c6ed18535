/*
 * A process for each device, where there is fork(): a driver that crashes or hangs ends its own report and no other. The parent
 * never calls OpenCL, since drivers do not survive a fork.
 */
#define _XOPEN_SOURCE 700 /* fork, alarm */

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

/* A driver that has said nothing for so long does not come back. */
#define SECONDS 600

/* The report of one device, or their number. */
static cJSON *inside(doctor *d, int index)
{
    clattn_device *devices = NULL;
    size_t count = 0;
    cJSON *const report = cJSON_CreateObject();
    const clattn_status status = clattn_device_list(&d->device.params.log, &devices, &count);
    if (index < 0) {
        cJSON_AddNumberToObject(report, "count", (double)count);
        cJSON_AddStringToObject(report, "status", clattn_status_name(status));
        cJSON_AddStringToObject(report, "sentence", d->device.sentence);
        cJSON *const names = cJSON_AddArrayToObject(report, "names");
        for (size_t i = 0; i < count; i++)
            cJSON_AddItemToArray(names, cJSON_CreateString(devices[i].name));
        char why[256];
        int chosen = -1;
        const bool found =
            command_device_find(d->device.text, devices, count, &chosen, why, sizeof why);
        cJSON_AddBoolToObject(report, "found", found);
        cJSON_AddNumberToObject(report, "chosen", chosen);
        cJSON_AddStringToObject(report, "why", why);
    } else if ((size_t)index < count) {
        doctor_examine(d, &devices[index], index, report);
    }
    clattn_device_list_free(&devices);
    return report;
}

#ifdef _WIN32

cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size)
{
    snprintf(why, why_size, "no memory");
    return inside(d, index);
}

#else

/* All that comes through a pipe; NULL without memory. */
static char *read_all(int end)
{
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    for (ssize_t got = 1; text != NULL && got != 0;) {
        got = read(end, text + size, room - size - 1);
        if (got < 0 && errno != EINTR)
            break;
        size += got > 0 ? (size_t)got : 0;
        if (size + 1 == room) {
            char *const more = realloc(text, room *= 2);
            if (more == NULL)
                free(text);
            text = more;
        }
    }
    if (text != NULL)
        text[size] = '\0';
    return text;
}

/* What the child does: it has its own exit, since the drivers' at-exit functions are part of what may crash. */
static void child(doctor *d, int index, int end)
{
    alarm(SECONDS);
    cJSON *const report = inside(d, index);
    char *const text = cJSON_PrintUnformatted(report);
    const char *rest = text;
    while (rest != NULL && *rest != '\0') {
        const ssize_t put = write(end, rest, strlen(rest));
        if (put < 0 && errno != EINTR)
            _exit(1);
        rest += put > 0 ? put : 0;
    }
    _exit(text != NULL ? 0 : 1);
}

cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size)
{
    int ends[2], code = 0;
    fflush(NULL);
    if (pipe(ends) != 0) {
        snprintf(why, why_size, "no pipe: %s", strerror(errno));
        return NULL;
    }
    const pid_t id = fork();
    if (id == 0) {
        close(ends[0]);
        child(d, index, ends[1]);
    }
    close(ends[1]);
    char *const text = id > 0 ? read_all(ends[0]) : NULL;
    close(ends[0]);
    if (id > 0)
        while (waitpid(id, &code, 0) < 0 && errno == EINTR)
            ;
    cJSON *const report = text != NULL ? cJSON_Parse(text) : NULL;
    free(text);
    if (id < 0)
        snprintf(why, why_size, "no process: %s", strerror(errno));
    else if (WIFSIGNALED(code) && WTERMSIG(code) == SIGALRM)
        snprintf(why, why_size, "it did not answer for %d seconds", SECONDS);
    else if (WIFSIGNALED(code))
        snprintf(why, why_size, "its driver ended the process with signal %d", WTERMSIG(code));
    else
        snprintf(why, why_size, "its driver ended the process with exit code %d",
                 WEXITSTATUS(code));
    return report;
}

#endif
