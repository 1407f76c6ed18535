/* A caller's cache in memory that counts, and that tests can damage. For one thread. */
#ifndef CLATTN_TESTS_CACHE_MEMORY_H
#define CLATTN_TESTS_CACHE_MEMORY_H

#include <stdbool.h>

#include "clattn/clattn.h"

#define CACHE_MEMORY_MAX 16

typedef struct cache_memory {
    struct {
        char key[65];
        unsigned char *bytes;
        size_t count;
    } entries[CACHE_MEMORY_MAX];
    int count;
    int puts;           /* so far */
    bool refuses;       /* put keeps nothing */
    size_t larger;      /* get says so many bytes too many when it is asked for the size */
    bool fails_to_read; /* get knows the size and gives no bytes */
} cache_memory;

clattn_cache cache_memory_callbacks(cache_memory *memory);
void cache_memory_free(cache_memory *memory);

#endif
