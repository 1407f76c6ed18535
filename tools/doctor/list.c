/*
 * Which devices there are, and the examination of each. Where a platform takes the process along that only asks for its devices, each
 * vendor's file is tried alone, so that the others are found all the same.
 */
#ifndef _WIN32
#define _XOPEN_SOURCE 700 /* mkdtemp, scandir */
#endif

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <dirent.h>
#include <unistd.h>
#endif

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0.0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* Moves what the second object has into the first. */
static void join(cJSON *to, cJSON *from)
{
    while (from != NULL && from->child != NULL) {
        cJSON *const item = cJSON_DetachItemViaPointer(from, from->child);
        cJSON_AddItemToObject(to, item->string, item);
    }
    cJSON_Delete(from);
}

/* Completes what the list says of a device: by an examination, or by how that was lost. True where all is well with it. */
static bool examine(doctor *d, cJSON *device)
{
    char why[DOCTOR_LAST + 128];
    cJSON *const found = doctor_isolated(d, (int)number_of(device, "index"), why, sizeof why);
    if (found == NULL)
        cJSON_AddStringToObject(device, "lost", why);
    join(device, found);
    if (text_of(device, "lost")[0] != '\0')
        return false;
    return text_of(device, "why_not")[0] != '\0' ||
           (strcmp(text_of(device, "context"), "CLATTN_OK") == 0 &&
            strcmp(text_of(device, "selftest"), "CLATTN_OK") == 0 &&
            number_of(cJSON_GetObjectItemCaseSensitive(device, "reproducers"), "failed") == 0);
}

/* What came of a list: its devices, the platforms that failed, and whether --device was found in it. */
typedef struct outcome {
    bool well, found;
    int count;
    char why[256]; /* it was not found */
} outcome;

/* Examines the devices of a list, and frees it. */
static void examine_all(doctor *d, cJSON *list, const char *icd, cJSON *report, outcome *o)
{
    cJSON *const devices = cJSON_DetachItemFromObjectCaseSensitive(list, "devices");
    cJSON *const log = cJSON_DetachItemFromObjectCaseSensitive(list, "log");
    const bool chooses = d->device.text != NULL;
    const bool found = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(list, "found"));
    const int chosen = (int)number_of(list, "chosen");

    /* A platform that answers with an error is named there; no loader at all is no failure. */
    if (strcmp(text_of(list, "list"), "CLATTN_OK") == 0)
        o->well = o->well && cJSON_GetArraySize(log) == 0;
    for (cJSON *line; (line = cJSON_DetachItemFromArray(log, 0)) != NULL;)
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(report, "log"), line);
    cJSON_Delete(log);
    snprintf(o->why, sizeof o->why, "%s", text_of(list, "why"));
    o->found = o->found || found;
    for (cJSON *device; (device = cJSON_DetachItemFromArray(devices, 0)) != NULL;) {
        o->count++;
        if (chooses && (!found || (int)number_of(device, "index") != chosen)) {
            cJSON_Delete(device);
            continue;
        }
        if (icd != NULL)
            cJSON_AddStringToObject(device, "icd", icd);
        o->well = examine(d, device) && o->well;
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(report, "devices"), device);
    }
    cJSON_Delete(devices);
    cJSON_Delete(list);
}

#ifdef _WIN32

static void examine_apart(doctor *d, cJSON *report, outcome *o)
{
    (void)d, (void)report, (void)o;
}

#else

static int is_vendor(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".icd") == 0;
}

/* The platforms of one vendor's file, the only one in a folder made for it: every loader takes a folder. */
static void examine_vendor(doctor *d, const char *file, cJSON *report, outcome *o)
{
    char folder[] = "/tmp/clattn-doctor-XXXXXX", link[sizeof folder + 16];
    char why[DOCTOR_LAST + 128];
    char *const target = realpath(file, NULL);
    if (target != NULL && mkdtemp(folder) != NULL) {
        snprintf(link, sizeof link, "%s/only.icd", folder);
        if (symlink(target, link) == 0) {
            d->vendors = folder;
            cJSON *const list = doctor_isolated(d, DOCTOR_LIST, why, sizeof why);
            if (list != NULL) {
                examine_all(d, list, file, report, o);
            } else {
                cJSON *const platform = cJSON_CreateObject();
                cJSON_AddStringToObject(platform, "icd", file);
                cJSON_AddStringToObject(platform, "lost", why);
                cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(report, "platforms"),
                                     platform);
            }
            d->vendors = NULL;
            unlink(link);
        }
        rmdir(folder);
    }
    free(target);
}

/* One vendor after the other. */
static void examine_apart(doctor *d, cJSON *report, outcome *o)
{
    const char *const set = getenv("OCL_ICD_VENDORS");
    const char *const folder = set != NULL && *set != '\0' ? set : "/etc/OpenCL/vendors";
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_vendor, alphasort);

    cJSON_AddArrayToObject(report, "platforms");
    for (int i = 0; i < count; i++) {
        char path[4096];
        const int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (length > 0 && (size_t)length < sizeof path)
            examine_vendor(d, path, report, o);
        free(entries[i]);
    }
    free(entries);
}

#endif

bool doctor_add_devices(doctor *d, cJSON *report)
{
    outcome o = {.well = true};
    char why[DOCTOR_LAST + 128] = "", problem[sizeof why + 64] = "";
    cJSON *const list = doctor_isolated(d, DOCTOR_LIST, why, sizeof why);

    cJSON_AddArrayToObject(report, "log");
    cJSON_AddArrayToObject(report, "devices");
    if (list != NULL) {
        examine_all(d, list, NULL, report, &o);
    } else {
        o.well = false;
        snprintf(problem, sizeof problem, "a platform cannot be asked for its devices: %s", why);
        examine_apart(d, report, &o);
    }
    if (d->device.text != NULL && !o.found) {
        o.well = false;
        snprintf(problem, sizeof problem, "%s", o.why);
    } else if (d->device.text != NULL && strcmp(d->device.text, "cpu") == 0) {
        snprintf(problem, sizeof problem, "the CPU path has no driver that could be examined");
    } else if (o.count == 0 && list != NULL) {
        snprintf(problem, sizeof problem, "no OpenCL device was found");
    }
    if (problem[0] != '\0')
        cJSON_AddStringToObject(report, "problem", problem);
    return o.well;
}
