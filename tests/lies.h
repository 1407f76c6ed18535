/*
 * A driver that lies: the library refuses it in words, or works and is right; it never crashes, divides by zero or hangs. The lies are
 * told by a table of OpenCL functions on top of the first device's driver, which keeps what it has compiled.
 */
#ifndef CLATTN_TESTS_LIES_H
#define CLATTN_TESTS_LIES_H

#include "cl/api.h"
#include "fault_ops.h"
#include "support.h"

extern cl_device_id lies_device;
extern clattn__cl_api lies_driver; /* the truth */
extern support_log lies_heard;

/* For cmocka_run_group_tests(); lies_device is to be set before. */
int lies_set_up(void **state);
int lies_tear_down(void **state);

/* True where a text can be shown: no control characters, all of it UTF-8. */
bool lies_can_be_shown(const char *text);

/* A context around the caller's objects that calls `api`, and listens. */
clattn_status lies_open(const clattn__cl_api *api, clattn_kernel_shape shape, clattn_context **ctx);

/* The filter in tiles, whose plan depends on how much memory a device says it has. Right, or refused in words. */
clattn_status lies_try_tiling(clattn_context *ctx, const char *what);
/* A list of devices, a context, operators, tiles: each of them right, or refused in words. The status of the first that is refused. */
clattn_status lies_try_all(const clattn__cl_api *api, clattn_kernel_shape shape, const char *what);

#endif
