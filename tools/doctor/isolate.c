/*
 * A process for each device, where there is fork(): a driver that crashes or hangs ends its own report and no other. The parent
 * never calls OpenCL, since drivers do not survive a fork.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#define _DARWIN_C_SOURCE

#include "device_json.h"
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

/* Drivers that have said nothing for so long do not come back. A device's compiles. */
#define LIST_SECONDS   60
#define DEVICE_SECONDS 600

/* What each device is, and which one is chosen. */
static void list_devices(const doctor *d, const clattn_device *devices, size_t count, cJSON *report)
{
    char why[256];
    int chosen = -1;
    cJSON *const list = cJSON_AddArrayToObject(report, "devices");
    for (size_t i = 0; i < count; i++) {
        cJSON *const device = cJSON_CreateObject();
        cJSON_AddNumberToObject(device, "index", (double)i);
        device_json_add(device, &devices[i]);
        cJSON_AddNumberToObject(device, "vector_width", devices[i].vector_width);
        cJSON_AddItemToArray(list, device);
    }
    const bool found =
        command_device_find(d->device.text, devices, count, &chosen, why, sizeof why);
    cJSON_AddBoolToObject(report, "found", found);
    cJSON_AddNumberToObject(report, "chosen", chosen);
    cJSON_AddStringToObject(report, "why", why);
}

/* `last`: doctor_ear. */
static cJSON *inside(doctor *d, int index, char *last)
{
    clattn_device *devices = NULL;
    size_t count = 0;
    cJSON *const report = cJSON_CreateObject();
    doctor_ear ear = {.list = cJSON_AddArrayToObject(report, "log"), .last = last};
    const clattn_log log = doctor_listen(&ear);
    const clattn_status status =
        clattn_device_list(index == DOCTOR_LIST ? &log : NULL, &devices, &count);
    cJSON_AddStringToObject(report, "list", clattn_status_name(status));
    if (index == DOCTOR_LIST)
        list_devices(d, devices, count, report);
    else if ((size_t)index < count)
        doctor_examine(d, &devices[index], &ear, report);
    clattn_device_list_free(&devices);
    return report;
}

#ifdef _WIN32

cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size)
{
    snprintf(why, why_size, "no memory");
    return inside(d, index, NULL);
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
static void child(doctor *d, int index, char *last, int end)
{
    alarm(index == DOCTOR_LIST ? LIST_SECONDS : DEVICE_SECONDS);
    if (d->vendors != NULL)
        setenv("OCL_ICD_VENDORS", d->vendors, 1);
    cJSON *const report = inside(d, index, last);
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

/* Why there is no report. */
static void tell(int code, int index, const char *last, char *why, size_t why_size)
{
    char how[96];
    if (WIFSIGNALED(code) && WTERMSIG(code) == SIGALRM)
        snprintf(how, sizeof how, "no answer for %d seconds",
                 index == DOCTOR_LIST ? LIST_SECONDS : DEVICE_SECONDS);
    else if (WIFSIGNALED(code))
        snprintf(how, sizeof how, "its driver ended the process with signal %d", WTERMSIG(code));
    else
        snprintf(how, sizeof how, "its driver ended the process with exit code %d",
                 WEXITSTATUS(code));
    snprintf(why, why_size, "%s%s%s", how, last != NULL && *last != '\0' ? "; before that: " : "",
             last != NULL ? last : "");
}

cJSON *doctor_isolated(doctor *d, int index, char *why, size_t why_size)
{
    int ends[2], code = 0;
    fflush(NULL);
    if (pipe(ends) != 0) {
        snprintf(why, why_size, "no pipe: %s", strerror(errno));
        return NULL;
    }
    /* What the child has said last outlives it here. */
    char *last = mmap(NULL, DOCTOR_LAST, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    last = last != MAP_FAILED ? last : NULL;
    const pid_t id = fork();
    if (id == 0) {
        close(ends[0]);
        child(d, index, last, ends[1]);
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
    else
        tell(code, index, last, why, why_size);
    if (last != NULL)
        munmap(last, DOCTOR_LAST);
    return report;
}

#endif
