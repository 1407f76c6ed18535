#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <dirent.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#endif

#include "bench_build.h"
#include "bench_kernels_hash.h"

static void add_system(cJSON *report)
{
    char text[256] = "unknown";
#ifdef _WIN32
    snprintf(text, sizeof text, "Windows");
#else
    struct utsname system;
    if (uname(&system) == 0)
        snprintf(text, sizeof text, "%.60s %.60s %.60s", system.sysname, system.release,
                 system.machine);
#endif
    cJSON_AddStringToObject(report, "clattn", clattn_version());
    cJSON_AddStringToObject(report, "commit", BENCH_COMMIT);
    cJSON_AddStringToObject(report, "kernels", BENCH_KERNELS_HASH);
    cJSON_AddStringToObject(report, "os", text);
}

/* What changes how drivers and loaders behave, where it is set. */
static void add_settings(cJSON *report)
{
    static const char *const names[] = {
        "OCL_ICD_VENDORS",  "OCL_ICD_FILENAMES",      "OPENCL_VENDOR_PATH",      "LD_PRELOAD",
        "POCL_DEVICES",     "POCL_MAX_PTHREAD_COUNT", "RUSTICL_ENABLE",          "RUSTICL_FEATURES",
        "NEOReadDebugKeys", "GPU_MAX_HEAP_SIZE",      "HSA_OVERRIDE_GFX_VERSION"};
    cJSON *const settings = cJSON_AddObjectToObject(report, "settings");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]) != NULL)
            cJSON_AddStringToObject(settings, names[i], getenv(names[i]));
}

/* How full the directory of compiled kernels is. */
static void add_cache(const command_device *device, cJSON *report)
{
    cJSON *const cache = cJSON_AddObjectToObject(report, "cache");
    char folder[4096];
    double bytes = 0;
    int entries = 0;
    if (!command_cache_directory(device, folder, sizeof folder))
        snprintf(folder, sizeof folder, "none");
#ifndef _WIN32
    DIR *const dir = opendir(folder);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char path[4096 + 512];
        struct stat info;
        const size_t length = strlen(e->d_name);
        snprintf(path, sizeof path, "%s/%.256s", folder, e->d_name);
        if (length < 7 || strcmp(e->d_name + length - 7, ".clattn") != 0 || stat(path, &info) != 0)
            continue;
        entries++;
        bytes += (double)info.st_size;
    }
    if (dir != NULL)
        closedir(dir);
#endif
    cJSON_AddStringToObject(cache, "folder", folder);
    cJSON_AddNumberToObject(cache, "entries", entries);
    cJSON_AddNumberToObject(cache, "bytes", bytes);
}

/* To a file, or to stdout. */
static bool show(const doctor *d, const cJSON *report, bool json, const char *path)
{
    FILE *const stream = path != NULL ? fopen(path, "wb") : stdout;
    if (stream == NULL) {
        command_error(d->cmd, "%s cannot be written: %s", path, strerror(errno));
        return false;
    }
    char *const text = json ? cJSON_Print(report) : NULL;
    if (text != NULL)
        fprintf(stream, "%s\n", text);
    else
        doctor_print(stream, report);
    cJSON_free(text);
    const bool written = fflush(stream) == 0 && ferror(stream) == 0;
    const bool closed = path == NULL || fclose(stream) == 0;
    if (!written || !closed)
        command_error(d->cmd, "%s cannot be written", path != NULL ? path : "the report");
    return written && closed;
}

int clattn_command_doctor(int argc, char **argv)
{
    int json = 0, operands = 0;
    const char *path = NULL;
    doctor d = {0};
    const command_option options[] = {
        COMMAND_DEVICE_OPTION(d.device),
        COMMAND_SHAPE_OPTION(d.shape),
        COMMAND_CACHE_OPTION(d.device),
        {"--json", NULL, COMMAND_FLAG, &json, 0, 0, "print JSON"},
        {"-o", "REPORT", COMMAND_TEXT, &path, 0, 0, "write the report to a file"},
        {"--reproducer", "DIR", COMMAND_TEXT, &d.reproducer, 0, 0,
         "write a program that shows it, without clattn, for each problem that fails"},
        {"--case", "NAME", COMMAND_TEXT, &d.name, 0, 0,
         "with --reproducer: for problems whose folder's name has this in it, failing or not; "
         "or for a row\n                          of the bench, as bench:OPERATOR/SHAPE"},
    };
    const command cmd = {
        .name = "doctor",
        .operands = "",
        .about = "Examines every OpenCL device (or one): its limits, whether each kernel computes "
                 "what it\nshould, how long things take. The report is for whoever is to help. A "
                 "driver that crashes\nends its own part of it only. Exit code 1 where a device "
                 "has failed.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    command_device_init(&d.device);
    d.cmd = &cmd;
    const int parsed = command_parse(&cmd, argc, argv, &operands);
    if (parsed != COMMAND_CONTINUE)
        return parsed;
    if (d.name != NULL && d.reproducer == NULL) {
        command_error(&cmd, "--case needs --reproducer DIR");
        return 2;
    }
    if (!command_device_shape(&cmd, &d.device, d.shape) || !doctor_find_rows(&d))
        return 2;
    cJSON *const report = cJSON_CreateObject();
    add_system(report);
    add_settings(report);
    add_cache(&d.device, report);
    const bool well = doctor_add_devices(&d, report);
    const bool shown = show(&d, report, json != 0, path);
    cJSON_Delete(report);
    free(d.rows);
    return well && shown ? 0 : 1;
}
