/*
 * Where the OpenCL functions come from: the linked loader, or one that is looked for at run time.
 */
#include "cl/api.h"

#ifdef CLATTN_OPENCL_RUNTIME
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#endif

const clattn__cl_api *clattn__cl_api_hook = NULL;

#ifdef CLATTN_OPENCL_RUNTIME

/*
 * The loader stays in the process once found: drivers start threads and register exit handlers, and
 * do not survive being unloaded. Opening it again for the next context only counts up.
 */
#ifdef _WIN32

typedef FARPROC symbol;

static HMODULE open_loader(void)
{
    return LoadLibraryA("OpenCL.dll");
}

static symbol find_symbol(HMODULE loader, const char *name)
{
    return GetProcAddress(loader, name);
}

#else

typedef void *symbol;

static void *open_loader(void)
{
    static const char *const names[] = {
#ifdef __APPLE__
        "/System/Library/Frameworks/OpenCL.framework/OpenCL",
#endif
        "libOpenCL.so.1",
        "libOpenCL.so",
    };
    void *loader = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !loader; i++)
        loader = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return loader;
}

static symbol find_symbol(void *loader, const char *name)
{
    return dlsym(loader, name);
}

#endif

static clattn_status load(const clattn_log *log, clattn__cl_api *api)
{
    clattn_status status = CLATTN_OK;
    symbol found = NULL;
    void *loader = (void *)open_loader();
    CLATTN_CHECK(log, loader, CLATTN_E_NODEVICE, "no OpenCL loader is installed");
    /*
     * ISO C has no cast from an object pointer to a function pointer; POSIX promises that they look
     * alike.
     */
#define FIND(result, name, parameters, arguments)                                                  \
    found = find_symbol(loader, #name);                                                            \
    CLATTN_CHECK(log, found, CLATTN_E_NODEVICE,                                                    \
                 "the OpenCL loader has no " #name "; it is older than OpenCL 1.2");               \
    memcpy(&api->name, &found, sizeof found);
    CLATTN__CL_CALLS(FIND)
#undef FIND
out:
    return status;
}

#endif

clattn_status clattn__cl_api_get(const clattn_log *log, clattn__cl_api *loaded,
                                 const clattn__cl_api **api)
{
    if (clattn__cl_api_hook) {
        *api = clattn__cl_api_hook;
        return CLATTN_OK;
    }
#ifdef CLATTN_OPENCL_RUNTIME
    *api = loaded;
    return load(log, loaded);
#else
#define LINKED(result, name, parameters, arguments) .name = name,
    static const clattn__cl_api linked = {CLATTN__CL_CALLS(LINKED)};
#undef LINKED
    (void)log;
    (void)loaded;
    *api = &linked;
    return CLATTN_OK;
#endif
}
