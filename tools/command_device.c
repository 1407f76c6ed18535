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

clattn_status command_device_open(const command *cmd, command_device *device, clattn_context **ctx)
{
    clattn_device *devices = NULL;
    size_t count = 0;
    int index = -1;
    char why[256];

    /*
     * Without a loader or a platform the list is empty, and the CPU path remains; so this status
     * decides nothing.
     */
    if (device->text == NULL || strcmp(device->text, "cpu") != 0)
        (void)clattn_device_list(NULL, &devices, &count);
    clattn_status status = CLATTN_E_NODEVICE;
    if (!command_device_find(device->text, devices, count, &index, why, sizeof why)) {
        command_error(cmd, "%s", why);
        goto out;
    }
    if (index < 0)
        status = clattn_context_create_cpu(&device->params, ctx);
    else
        status = clattn_context_create(devices[index].id, &device->params, ctx);
    if (status != CLATTN_OK)
        command_fail(cmd, device, status);
out:
    clattn_device_list_free(&devices);
    return status;
}

int command_fail(const command *cmd, const command_device *device, clattn_status status)
{
    command_error(cmd, "%s",
                  device->sentence[0] != '\0' ? device->sentence : clattn_status_text(status));
    return 1;
}
