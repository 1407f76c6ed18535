/* clattn devices: what is there, what it can do, and which one would be used. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "device_json.h"

typedef struct DeviceList {
    clattn_device *devices;
    size_t count;
    int chosen; /* index, or -1: the CPU path */
    char why[256];
} DeviceList;

static void print_device(const clattn_device *device, size_t index, bool chosen)
{
    char global[32], allocation[32];
    const double gib = 1024.0 * 1024.0 * 1024.0;
    printf("%c %zu  %s\n", chosen ? '*' : ' ', index, device->name);
    printf("     platform     %s, %s\n", device->platform, device->version);
    printf("     driver       %s (%s)\n", device->driver, device->vendor);
    if (device->architecture[0] != '\0')
        printf("     architecture %s\n", device->architecture);
    printf("     %s, %u compute units, work-groups up to %u, %u KiB local memory\n",
           device_kind_name(device->kind), device->compute_units, device->max_work_group,
           (unsigned)(device->local_bytes / 1024));
    printf("     %s GiB memory%s, single buffers up to %s GiB\n",
           command_number_print(global, sizeof global, (double)device->global_bytes / gib, 3),
           device->shares_host_memory ? " shared with the host" : "",
           command_number_print(allocation, sizeof allocation,
                                (double)device->allocation_bytes / gib, 3));
    if (!device->usable)
        printf("     cannot be used: %s\n", device->why_not);
}

static void print_text(const DeviceList *list)
{
    for (size_t i = 0; i < list->count; i++)
        print_device(&list->devices[i], i, (int)i == list->chosen);
    if (list->count == 0)
        printf("  no OpenCL device was found\n");
    printf("%c cpu  CPU path\n     clattn's own code for the host's processor, without OpenCL\n\n",
           list->chosen < 0 ? '*' : ' ');
    printf("used by default: %s, because %s\n",
           list->chosen >= 0 ? list->devices[list->chosen].name : "CPU path", list->why);
}

static cJSON *device_json(const clattn_device *device, size_t index)
{
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "index", (double)index);
    device_json_add(json, device);
    return json;
}

/* False when memory ran out. */
static bool print_json(const DeviceList *list)
{
    cJSON *const json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "clattn", clattn_version());
    cJSON *const devices = cJSON_AddArrayToObject(json, "devices");
    for (size_t i = 0; i < list->count; i++)
        cJSON_AddItemToArray(devices, device_json(&list->devices[i], i));
    cJSON *const chosen = cJSON_AddObjectToObject(json, "default");
    if (list->chosen >= 0)
        cJSON_AddNumberToObject(chosen, "device", list->chosen);
    else
        cJSON_AddStringToObject(chosen, "device", "cpu");
    cJSON_AddStringToObject(chosen, "why", list->why);
    char *const text = cJSON_Print(json);
    if (text != NULL)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
    return text != NULL;
}

int clattn_command_devices(int argc, char **argv)
{
    int json = 0, operands = 0;
    const command_option options[] = {
        {"--json", NULL, COMMAND_FLAG, &json, 0, 0, "print JSON"},
    };
    const command cmd = {
        .name = "devices",
        .operands = "",
        .about =
            "Lists the OpenCL devices of all platforms, what they can do, and which one would be\n"
            "used by default (*) and why. The number or any part of a name is what --device of\n"
            "the other commands takes.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int parsed = command_parse(&cmd, argc, argv, &operands);
    if (parsed != COMMAND_CONTINUE)
        return parsed;

    command_device device;
    command_device_init(&device);
    DeviceList list = {0};
    const clattn_status status = clattn_device_list(&device.params.log, &list.devices, &list.count);
    if (status != CLATTN_OK && status != CLATTN_E_NODEVICE)
        return command_fail(&cmd, &device, status);
    (void)command_device_find(NULL, list.devices, list.count, &list.chosen, list.why,
                              sizeof list.why);
    bool printed = true;
    if (json)
        printed = print_json(&list);
    else
        print_text(&list);
    clattn_device_list_free(&list.devices);
    if (!printed)
        command_error(&cmd, "no memory to print JSON");
    return printed ? 0 : 1;
}
