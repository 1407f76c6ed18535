#define _XOPEN_SOURCE 700 /* nftw */

#include "cache_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/device.h"
#include "cl/launch.h"

cl_device_id cache_probe_device;

const clattn__source *cache_probe_source(const char *name)
{
#define TEXT(kernel, factor)                                                                       \
    "__kernel void " kernel "(__global float *x) { x[get_global_id(0)] *= " factor "; }\n"
    static const char twice[] = TEXT("twice", "2.0f"), thrice[] = TEXT("thrice", "3.0f");
    static const char *const texts[][1] = {{twice}, {thrice}};
    static const size_t sizes[][1] = {{sizeof twice - 1}, {sizeof thrice - 1}};
    static const clattn__source sources[] = {{"twice", 1, texts[0], sizes[0]},
                                             {"thrice", 1, texts[1], sizes[1]}};
    for (size_t i = 0; i < 2; i++)
        if (strcmp(name, sources[i].name) == 0)
            return &sources[i];
    return NULL;
}

const clattn__kernel_spec cache_probe_twice = {"twice", "twice", "-DANY=1", {4, 1, 1}, false};
const clattn__kernel_spec cache_probe_thrice = {"thrice", "thrice", "", {4, 1, 1}, false};

/* The faulty table, and a count of programs made from source. */
clattn__cl_api cache_probe_table;
int cache_probe_sources;

static cl_program CL_API_CALL count_source(cl_context context, cl_uint count, const char **texts,
                                           const size_t *sizes, cl_int *error)
{
    cache_probe_sources++;
    return faulty_cl_table.clCreateProgramWithSource(context, count, texts, sizes, error);
}

/* All that was logged. */
char cache_probe_heard[1 << 14];

static void listen(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    (void)level;
    const size_t used = strlen(cache_probe_heard);
    snprintf(cache_probe_heard + used, sizeof cache_probe_heard - used, "%s\n", text);
}

static _Thread_local int compiled;

static int count_compiled(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    const size_t length = strlen(path);
    (void)info;
    (void)where;
    compiled += kind == FTW_F && length > 3 && strcmp(path + length - 3, ".so") == 0;
    return 0;
}

/* PoCL's specialised kernels. */
static int compiled_by_pocl(void)
{
    const char *where = getenv("POCL_CACHE_DIR");
    compiled = 0;
    if (where != NULL)
        nftw(where, count_compiled, 8, FTW_PHYS);
    return compiled;
}

_Thread_local int cache_probe_compiled;

/* Makes the kernel, launches it and looks at what it did. */
clattn_status cache_probe_use(clattn_context *ctx, const clattn__kernel_spec *spec, bool *right)
{
    clattn_status status = CLATTN_OK;
    const float factor = strcmp(spec->name, "twice") == 0 ? 2.0f : 3.0f;
    const size_t items[3] = {4, 1, 1};
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f}, y[4] = {0};
    clattn_memory memory = {0};
    cl_kernel kernel = NULL;
    clattn__chain chain;
    *right = true;
    CLATTN_TRY(clattn_memory_alloc(ctx, sizeof x, &memory));
    CLATTN_TRY(clattn_memory_write(ctx, &memory, 0, x, sizeof x));
    CLATTN_TRY(clattn__kernel_create(ctx, spec, &kernel));
    const int before = compiled_by_pocl();
    CLATTN_TRY(clattn__kernel_arg(ctx, kernel, 0, sizeof memory.mem, &memory.mem));
    clattn__chain_begin(&chain, ctx, NULL);
    CLATTN_TRY(clattn__chain_end(&chain, clattn__chain_launch(&chain, kernel, items, spec->local)));
    clattn__kernel_tried(ctx, spec, true);
    CLATTN_TRY(clattn_memory_read(ctx, &memory, 0, y, sizeof y));
    cache_probe_compiled = compiled_by_pocl() - before;
    for (int i = 0; i < 4; i++)
        *right = *right && y[i] == factor * x[i];
out:
    clattn__kernel_release(ctx, &kernel);
    clattn_memory_free(ctx, &memory);
    return status;
}

/* A context's whole life with a cache. Nothing of OpenCL may remain. */
clattn_status cache_probe_live(clattn_cache cache, const clattn__kernel_spec *spec)
{
    const clattn_context_params params = {.log = {.fn = listen, .level = CLATTN_LOG_DEBUG},
                                          .cache = cache};
    clattn_context *ctx = NULL;
    bool right = true;
    cache_probe_sources = 0;
    cache_probe_heard[0] = '\0';
    faulty_cl.calls = faulty_cl.live = 0;
    clattn__cl_api_hook = &cache_probe_table;
    clattn_status status = clattn_context_create(cache_probe_device, &params, &ctx);
    if (status == CLATTN_OK)
        status = cache_probe_use(ctx, spec, &right);
    clattn_context_destroy(&ctx);
    clattn__cl_api_hook = NULL;
    if (!right || faulty_cl.live != 0)
        fail_msg("%s, %d objects remain", right ? "right" : "a wrong result", faulty_cl.live);
    return status;
}

/* Lives once: built from source or not, and saved as often as that. */
void cache_probe_expect(cache_memory *memory, const clattn__kernel_spec *spec, int built,
                        const char *words)
{
    const int puts = memory->puts;
    assert_int_equal(cache_probe_live(cache_memory_callbacks(memory), spec), CLATTN_OK);
    if (cache_probe_sources != built || memory->puts != puts + built ||
        !strstr(cache_probe_heard, words))
        fail_msg("built %d times, saved %d times, \"%s\" expected in:\n%s", cache_probe_sources,
                 memory->puts - puts, words, cache_probe_heard);
}

bool cache_probe_begin(void)
{
    cache_probe_device = support_device();
    if (cache_probe_device == NULL ||
        clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real) != CLATTN_OK)
        return false;
    cache_probe_table = faulty_cl_table;
    cache_probe_table.clCreateProgramWithSource = count_source;
    clattn__source_hook = cache_probe_source;
    return true;
}
