/* Which device a command runs on, and what to say when a library call fails. */
#include "command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keeps errors for command_fail(); prints warnings. */
static void keep_sentence(void *user, clattn_log_level level, const char *text)
{
    command_device *const device = user;
    if (level == CLATTN_LOG_ERROR)
        snprintf(device->sentence, sizeof device->sentence, "%s", text);
    else
        fprintf(stderr, "clattn: %s\n", text);
}

void command_device_init(command_device *device)
{
    memset(device, 0, sizeof *device);
    device->params.log.fn = keep_sentence;
    device->params.log.user = device;
    device->params.log.level = CLATTN_LOG_WARN;
}

void command_device_end(command_device *device)
{
    clattn_cache_dir_destroy(&device->cache_dir);
    device->params.cache = clattn_cache_dir_callbacks(NULL);
}

static bool holds(const char *text, const char *part)
{
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (part[i] != '\0' &&
               tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (part[i] == '\0')
            return true;
    }
    return *part == '\0';
}

/* NULL text: the library's choice, or the CPU path. */
static void find_best(const clattn_device *devices, size_t count, int *index, char *why,
                      size_t why_size)
{
    static const char *const reasons[] = {
        [CLATTN_DEVICE_OTHER] = "no usable GPU or accelerator was found",
        [CLATTN_DEVICE_CPU] = "no usable GPU or accelerator was found",
        [CLATTN_DEVICE_GPU] = "it is the usable GPU with the most compute units",
        [CLATTN_DEVICE_ACCELERATOR] = "no usable GPU was found",
    };
    *index = clattn_device_best(devices, count);
    snprintf(why, why_size, "%s",
             *index >= 0 ? reasons[devices[*index].kind] : "there is no usable OpenCL device");
}

static bool find_index(const char *text, const clattn_device *devices, size_t count, int *index,
                       char *why, size_t why_size)
{
    const unsigned long number = strtoul(text, NULL, 10);
    if (number >= count) {
        snprintf(why, why_size, "there is no device %s; clattn devices lists %zu", text, count);
        return false;
    }
    if (!devices[number].usable) {
        snprintf(why, why_size, "device %lu, %s, cannot be used: %s", number, devices[number].name,
                 devices[number].why_not);
        return false;
    }
    *index = (int)number;
    snprintf(why, why_size, "--device names its index");
    return true;
}

bool command_device_find(const char *text, const clattn_device *devices, size_t count, int *index,
                         char *why, size_t why_size)
{
    *index = -1;
    if (text == NULL) {
        find_best(devices, count, index, why, why_size);
        return true;
    }
    if (strcmp(text, "cpu") == 0) {
        snprintf(why, why_size, "--device asks for the CPU path");
        return true;
    }
    if (*text != '\0' && text[strspn(text, "0123456789")] == '\0')
        return find_index(text, devices, count, index, why, why_size);
    /* The version last: it says "PoCL" where neither name does. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const clattn_device *const device = &devices[i];
            const bool named = pass == 0
                                   ? holds(device->name, text) || holds(device->platform, text)
                                   : holds(device->version, text);
            if (!device->usable || *text == '\0' || !named)
                continue;
            *index = (int)i;
            snprintf(why, why_size, "it is the first that is called '%s'", text);
            return true;
        }
    }
    snprintf(why, why_size, "no usable device has '%s' in its name or platform; see clattn devices",
             text);
    return false;
}

/*
 * Lists the devices, unless the text wants none. Without a loader or a platform the list is empty, and the CPU path remains; so the
 * status decides nothing.
 */
static void list_devices(const char *text, clattn_device **devices, size_t *count)
{
    *devices = NULL;
    *count = 0;
    if (text == NULL || strcmp(text, "cpu") != 0)
        (void)clattn_device_list(NULL, devices, count);
}

bool command_device_shape(const command *cmd, command_device *device, const char *text)
{
    if (text == NULL)
        return true;
    const bool wide = strcmp(text, "wide") == 0;
    if (!wide && strcmp(text, "tile") != 0) {
        command_error(cmd, "--shape is wide or tile, not '%s'", text);
        return false;
    }
    device->params.shape = wide ? CLATTN_SHAPE_WIDE : CLATTN_SHAPE_TILE;
    return true;
}

/* More than a file of rows may have, so that the library's own limit speaks. */
#define TUNING_ROOM (512 * 1024)

/* Loads the rows of a file. Prints the error. */
static clattn_status load_rows(const command *cmd, command_device *device, const char *path,
                               clattn_context *ctx)
{
    FILE *const stream = fopen(path, "rb");
    char *const text = malloc(TUNING_ROOM);
    clattn_status status = CLATTN_E_IO;
    if (stream == NULL || text == NULL) {
        command_error(cmd, "--tuning '%s': it cannot be opened; default and builtin are no files",
                      path);
    } else {
        const size_t size = fread(text, 1, TUNING_ROOM, stream);
        if (ferror(stream)) {
            command_error(cmd, "--tuning '%s': it cannot be read", path);
        } else {
            status = clattn_tune_load(ctx, text, size);
            if (status != CLATTN_OK)
                command_error(cmd, "--tuning '%s': %s", path, device->sentence);
        }
    }
    free(text);
    if (stream != NULL)
        fclose(stream);
    return status;
}

clattn_status command_device_tune(const command *cmd, command_device *device, clattn_context *ctx)
{
    const char *const tuning = device->tuning;
    if (tuning == NULL || strcmp(tuning, "builtin") == 0)
        return CLATTN_OK;
    if (strcmp(tuning, "default") != 0)
        return load_rows(cmd, device, tuning, ctx);
    const clattn_status status = clattn_tune_reset(ctx, CLATTN_TUNING_DEFAULT);
    if (status != CLATTN_OK)
        command_fail(cmd, device, status);
    return status;
}

/* Index -1: the CPU path. Prints the error. */
static clattn_status open_index(const command *cmd, command_device *device,
                                const clattn_device *devices, int index, clattn_context **ctx)
{
    if (index >= 0)
        command_cache_begin(cmd, device, &devices[index]);
    clattn_status status = index < 0
                               ? clattn_context_create_cpu(&device->params, ctx)
                               : clattn_context_create(devices[index].id, &device->params, ctx);
    if (status != CLATTN_OK) {
        command_fail(cmd, device, status);
        return status;
    }
    status = command_device_tune(cmd, device, *ctx);
    if (status != CLATTN_OK)
        clattn_context_destroy(ctx);
    return status;
}

clattn_status command_device_open(const command *cmd, command_device *device, clattn_context **ctx)
{
    clattn_device *devices;
    size_t count;
    int index = -1;
    char why[256];
    list_devices(device->text, &devices, &count);
    clattn_status status = CLATTN_E_NODEVICE;
    if (command_device_find(device->text, devices, count, &index, why, sizeof why))
        status = open_index(cmd, device, devices, index, ctx);
    else
        command_error(cmd, "%s", why);
    clattn_device_list_free(&devices);
    return status;
}

/* Which devices a text names: chosen[0] is the CPU path, chosen[1 + i] device i. */
typedef struct choice {
    const clattn_device *devices;
    size_t count;
    bool *chosen;
    char why[512]; /* why a text fits nothing */
} choice;

static bool choose(choice *choice, const char *text)
{
    int index = -1;
    if (!command_device_find(text, choice->devices, choice->count, &index, choice->why,
                             sizeof choice->why))
        return false;
    if (choice->chosen[1 + index]) {
        snprintf(choice->why, sizeof choice->why,
                 "--device names %s twice; the second time as '%s'",
                 index < 0 ? "the CPU path" : choice->devices[index].name, text);
        return false;
    }
    choice->chosen[1 + index] = true;
    return true;
}

/* `all`: what is usable, else the CPU path. */
static void choose_all(choice *choice)
{
    bool any = false;
    for (size_t i = 0; i < choice->count; i++) {
        choice->chosen[1 + i] = choice->devices[i].usable != 0;
        any = any || choice->chosen[1 + i];
    }
    choice->chosen[0] = !any;
}

static bool choose_list(choice *choice, const char *text)
{
    char name[sizeof choice->devices->name];
    if (text != NULL && strcmp(text, "all") == 0) {
        choose_all(choice);
        return true;
    }
    if (text == NULL || strchr(text, ',') == NULL)
        return choose(choice, text);
    if (choose(choice, text))
        return true;
    for (const char *part = text; part != NULL;) {
        const size_t length = strcspn(part, ",");
        if (length == 0 || length >= sizeof name) {
            snprintf(choice->why, sizeof choice->why, "--device '%.128s': %s", text,
                     length == 0 ? "a name is missing" : "no name is that long");
            return false;
        }
        memcpy(name, part, length);
        name[length] = '\0';
        if (!choose(choice, name))
            return false;
        part = part[length] == ',' ? part + length + 1 : NULL;
    }
    return true;
}

clattn_status command_devices_open(const command *cmd, command_device *device,
                                   command_contexts *contexts)
{
    clattn_device *devices;
    size_t count;
    list_devices(device->text, &devices, &count);
    choice choice = {.devices = devices, .count = count, .chosen = calloc(count + 1, sizeof(bool))};
    contexts->count = 0;
    contexts->list = calloc(count + 1, sizeof(clattn_context *));
    clattn_status status = CLATTN_OK;
    if (choice.chosen == NULL || contexts->list == NULL) {
        status = CLATTN_E_NOMEM;
        command_fail(cmd, device, status);
    } else if (!choose_list(&choice, device->text)) {
        status = CLATTN_E_NODEVICE;
        command_error(cmd, "%s", choice.why);
    }
    for (size_t i = 0; i <= count && status == CLATTN_OK; i++) {
        if (!choice.chosen[i])
            continue;
        status = open_index(cmd, device, devices, (int)i - 1, &contexts->list[contexts->count]);
        contexts->count += status == CLATTN_OK;
    }
    if (status != CLATTN_OK)
        command_devices_close(contexts);
    free(choice.chosen);
    clattn_device_list_free(&devices);
    return status;
}

void command_devices_close(command_contexts *contexts)
{
    for (size_t i = 0; i < contexts->count; i++)
        clattn_context_destroy(&contexts->list[i]);
    free(contexts->list);
    contexts->list = NULL;
    contexts->count = 0;
}

int command_fail(const command *cmd, const command_device *device, clattn_status status)
{
    command_error(cmd, "%s",
                  device->sentence[0] != '\0' ? device->sentence : clattn_status_text(status));
    return 1;
}
