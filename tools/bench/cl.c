/* See cl.h. */
#include "bench/cl.h"

#ifndef CLATTN_OPENCL_RUNTIME

bool bench_cl_load(bench_cl_api *api)
{
#define LINKED(result, name, parameters) .name = name,
    *api = (bench_cl_api){BENCH_CL_CALLS(LINKED)};
#undef LINKED
    return true;
}

#else

#include <string.h>
#ifdef _WIN32
#include <windows.h>
typedef FARPROC symbol;
#else
#include <dlfcn.h>
typedef void *symbol;
#endif

/* The loader that the library has found before; it stays in the process. */
static void *open_loader(void)
{
#ifdef _WIN32
    return (void *)LoadLibraryA("OpenCL.dll");
#else
    static const char *const names[] = {
#ifdef __APPLE__
        "/System/Library/Frameworks/OpenCL.framework/OpenCL",
#endif
        "libOpenCL.so.1",
        "libOpenCL.so",
    };
    void *loader = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && loader == NULL; i++)
        loader = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return loader;
#endif
}

static symbol find(void *loader, const char *name)
{
#ifdef _WIN32
    return GetProcAddress((HMODULE)loader, name);
#else
    return dlsym(loader, name);
#endif
}

bool bench_cl_load(bench_cl_api *api)
{
    void *const loader = open_loader();
    symbol found;
    if (loader == NULL)
        return false;
        /* ISO C has no cast from an object pointer to a function pointer; POSIX promises that they look alike. */
#define FIND(result, name, parameters)                                                             \
    found = find(loader, #name);                                                                   \
    if (found == NULL)                                                                             \
        return false;                                                                              \
    memcpy(&api->name, &found, sizeof found);
    BENCH_CL_CALLS(FIND)
#undef FIND
    return true;
}

#endif
