/*
 * What the tests of the program cache share: two small programs, and the life of a context with a cache on the device of support.h,
 * through a table of OpenCL functions that counts and can fail.
 */
#ifndef CLATTN_TESTS_CACHE_PROBE_H
#define CLATTN_TESTS_CACHE_PROBE_H

#include "cache_memory.h"
#include "cl/program.h"
#include "cl/programs.h"
#include "faulty_cl.h"
#include "support.h"

extern cl_device_id cache_probe_device;

/* Finds the device and puts the small programs in place of the library's; false where there is none. */
bool cache_probe_begin(void);

/* For clattn__source_hook: the programs twice and thrice. */
const clattn__source *cache_probe_source(const char *name);
extern const clattn__kernel_spec cache_probe_twice, cache_probe_thrice;

/* The faulty table (faulty_cl.h), and how many programs were made from source through it. */
extern clattn__cl_api cache_probe_table;
extern int cache_probe_sources;

/* Makes the kernel, launches it and looks at what it did. */
clattn_status cache_probe_use(clattn_context *ctx, const clattn__kernel_spec *spec, bool *right);
/* What PoCL compiled for the last of these launches of the thread. */
extern _Thread_local int cache_probe_compiled;

/* A context's whole life with a cache, and all that it logged. Fails the test where objects of OpenCL remain. */
clattn_status cache_probe_live(clattn_cache cache, const clattn__kernel_spec *spec);
extern char cache_probe_heard[1 << 14];

/* Lives once: built from source that often, saved as often, with these words in the log. */
void cache_probe_expect(cache_memory *memory, const clattn__kernel_spec *spec, int built,
                        const char *words);

#endif
