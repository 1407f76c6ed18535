/* The library's way to host memory: one place, so that tests can make any allocation fail. */
#include <stdlib.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#include "base/base.h"

/* A cache line, and the widest vector of today's processors. */
#define ALIGNMENT 64

bool (*clattn__alloc_hook)(size_t size) = NULL;
void (*clattn__live_hook)(int change) = NULL;

static bool allowed(size_t size)
{
    return size > 0 && (!clattn__alloc_hook || clattn__alloc_hook(size));
}

static void *count(void *pointer, int change)
{
    if (clattn__live_hook && pointer)
        clattn__live_hook(change);
    return pointer;
}

void *clattn__alloc(size_t size)
{
    return allowed(size) ? count(calloc(1, size), 1) : NULL;
}

void *clattn__alloc_array(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    return clattn__alloc(count * size);
}

void clattn__free(void *pointer)
{
    free(count(pointer, -1));
}

void *clattn__alloc_aligned(size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT || !allowed(size))
        return NULL;
#ifdef _WIN32
    return count(_aligned_malloc(size, ALIGNMENT), 1);
#else
    /* C11 wants a multiple of the alignment. */
    return count(aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT), 1);
#endif
}

void clattn__free_aligned(void *pointer)
{
#ifdef _WIN32
    _aligned_free(count(pointer, -1));
#else
    free(count(pointer, -1));
#endif
}
