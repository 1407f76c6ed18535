/* A vendor's OpenCL library that takes every process along that asks it for its platforms. */
#include <stdlib.h>

void *clGetExtensionFunctionAddress(const char *name);
int clGetPlatformInfo(void *platform, unsigned name, size_t size, void *value, size_t *needed);
int clIcdGetPlatformIDsKHR(unsigned count, void **platforms, unsigned *found);

void *clGetExtensionFunctionAddress(const char *name)
{
    (void)name;
    abort();
}

int clGetPlatformInfo(void *platform, unsigned name, size_t size, void *value, size_t *needed)
{
    (void)platform, (void)name, (void)size, (void)value, (void)needed;
    abort();
}

int clIcdGetPlatformIDsKHR(unsigned count, void **platforms, unsigned *found)
{
    (void)count, (void)platforms, (void)found;
    abort();
}
