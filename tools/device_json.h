/* What reports say of a device: `clattn devices --json` and `clattn doctor --json`. */
#ifndef CLATTN_TOOLS_DEVICE_JSON_H
#define CLATTN_TOOLS_DEVICE_JSON_H

#include <cjson/cJSON.h>

#include "clattn/context.h"

const char *device_kind_name(clattn_device_kind kind);

/* Adds the device's fields to an object. */
void device_json_add(cJSON *json, const clattn_device *device);

#endif
