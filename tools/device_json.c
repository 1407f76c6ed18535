#include "device_json.h"

const char *device_kind_name(clattn_device_kind kind)
{
    static const char *const names[] = {[CLATTN_DEVICE_OTHER] = "other",
                                        [CLATTN_DEVICE_CPU] = "CPU",
                                        [CLATTN_DEVICE_GPU] = "GPU",
                                        [CLATTN_DEVICE_ACCELERATOR] = "accelerator"};
    return names[kind];
}

void device_json_add(cJSON *json, const clattn_device *device)
{
    cJSON_AddStringToObject(json, "name", device->name);
    cJSON_AddStringToObject(json, "kind", device_kind_name(device->kind));
    cJSON_AddStringToObject(json, "vendor", device->vendor);
    cJSON_AddStringToObject(json, "platform", device->platform);
    cJSON_AddStringToObject(json, "version", device->version);
    cJSON_AddStringToObject(json, "driver", device->driver);
    cJSON_AddStringToObject(json, "architecture", device->architecture);
    cJSON_AddNumberToObject(json, "compute_units", device->compute_units);
    cJSON_AddNumberToObject(json, "max_work_group", device->max_work_group);
    cJSON_AddNumberToObject(json, "local_bytes", (double)device->local_bytes);
    cJSON_AddNumberToObject(json, "global_bytes", (double)device->global_bytes);
    cJSON_AddNumberToObject(json, "allocation_bytes", (double)device->allocation_bytes);
    cJSON_AddBoolToObject(json, "shares_host_memory", device->shares_host_memory);
    cJSON_AddBoolToObject(json, "usable", device->usable);
    cJSON_AddStringToObject(json, "why_not", device->why_not);
}
