/*
 * Every context the operators are tested on: each usable OpenCL device with the wide kernel shape and with the tile shape at
 * each work-group size of the ladder, and the CPU path. Narrowed by the environment:
 *
 *     CLATTN_TEST_DEVICE   "cpu": the CPU path alone; else devices whose name or platform contains the text, without the CPU path
 *     CLATTN_TEST_SHAPE    "wide" or "tile"
 *     CLATTN_TEST_WG       one work-group size of the tile shape
 *     CLATTN_TEST_TYPE     "f32" or "f16": one type of storage; of test_ops alone
 *     CLATTN_TEST_LIMITS   "GROUP,BYTES": every context takes its device for one with work-groups of at most GROUP items and BYTES of
 *                          local memory, where a test does not set these limits itself
 *     CLATTN_TEST_REQUIRE  "1": no device at all is a failure (else exit code 77, a skip)
 *     CLATTN_TEST_REDUCED  "1": smaller tensors and fewer of them, for interpreters of kernels
 *     CLATTN_TEST_FULL     "1": f16 with all tensors; else with the smaller ones, since the kernels differ in loads and stores alone
 *     CLATTN_TEST_FRESH    "1": no buffer is used twice (fresh_cl.h) and tensors end with their memory (guard.h), for Oclgrind, which
 *                          sees uninitialised reads and all beyond a buffer
 */
#ifndef CLATTN_TESTS_CONTEXTS_H
#define CLATTN_TESTS_CONTEXTS_H

#include <stdbool.h>

#include "clattn/clattn.h"

#define CONTEXTS_MAX 64

typedef struct contexts_entry {
    char name[192];
    cl_device_id device; /* NULL: the CPU path */
    clattn_kernel_shape shape;
    uint32_t work_group; /* tile shape: the limit given to the context */
} contexts_entry;

typedef struct contexts_list {
    contexts_entry entries[CONTEXTS_MAX];
    int count;
} contexts_list;

/* `ladder`: all work-group sizes of the tile shape, else 64 alone. */
void contexts_find(bool ladder, contexts_list *list);

/*
 * A context for an entry; fails the running test where there is none. Errors are printed, unless `log` is given. Without the
 * self-test: a plan would step down from a wrong kernel, and the test would judge another one.
 */
clattn_context *contexts_open(const contexts_entry *entry, const clattn_context_params *params);
/* The same with the self-test as params say, as users have it. */
clattn_context *contexts_open_proving(const contexts_entry *entry,
                                      const clattn_context_params *params);

/* contexts_open_proving() on the first OpenCL device that has this shape; NULL where none has. */
clattn_context *contexts_open_first(const contexts_list *list, clattn_kernel_shape shape,
                                    const clattn_context_params *params);

/* What main returns when the list is empty: 77, or 1 where a device is required. */
int contexts_none(void);

/* Whether CLATTN_TEST_TYPE leaves the type in. */
bool contexts_type(clattn_type type);
bool contexts_reduced(void);
bool contexts_reduced_for(clattn_type type);
bool contexts_fresh(void);

#endif
