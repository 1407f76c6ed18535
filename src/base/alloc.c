/* The library's way to host memory: one place, so that tests can make any allocation fail. */
#include <stdlib.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#include "base/base.h"

/* A cache line, and the widest vector of today's processors. */
#define ALIGNMENT 64

bool (*clattn__alloc_hook)(size_t size) = NULL;

static bool allowed(size_t size)
{
    return size > 0 && (!clattn__alloc_hook || clattn__alloc_hook(size));
}

void *clattn__alloc(size_t size)
{
    return allowed(size) ? calloc(1, size) : NULL;
}

void *clattn__alloc_array(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    return clattn__alloc(count * size);
}

void clattn__free(void *pointer)
{
    free(pointer);
}

void *clattn__alloc_aligned(size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT || !allowed(size))
        return NULL;
#ifdef _WIN32
    return _aligned_malloc(size, ALIGNMENT);
#else
    /* C11 wants a multiple of the alignment. */
    return aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
#endif
}

void clattn__free_aligned(void *pointer)
{
#ifdef _WIN32
    _aligned_free(pointer);
#else
    free(pointer);
#endif
}
