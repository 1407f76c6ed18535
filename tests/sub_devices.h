/* Two devices of one core each, out of one device. */
#ifndef CLATTN_TESTS_SUB_DEVICES_H
#define CLATTN_TESTS_SUB_DEVICES_H

#include <stdbool.h>

#include "contexts.h"

typedef struct sub_devices {
    cl_device_id part[2];
    clattn_context *ctx[2];
} sub_devices;

/* Contexts as for `entry`. False, and nothing to close, where the device cannot be split. */
bool sub_devices_open(const contexts_entry *entry, const clattn_context_params *params,
                      sub_devices *parts);
void sub_devices_close(sub_devices *parts);

#endif
