#include "cache_memory.h"

#include <stdlib.h>
#include <string.h>

static int find(const cache_memory *m, const char *key)
{
    int i = 0;
    while (i < m->count && strcmp(m->entries[i].key, key) != 0)
        i++;
    return i;
}

static size_t get(void *user, const char *key, void *bytes, size_t room)
{
    const cache_memory *m = user;
    const int i = find(m, key);
    if (i == m->count)
        return 0;
    const size_t count = m->entries[i].count;
    if (bytes == NULL)
        return count + m->larger;
    if (m->fails_to_read)
        return 0;
    if (count <= room)
        memcpy(bytes, m->entries[i].bytes, count);
    return count;
}

static int put(void *user, const char *key, const void *bytes, size_t count)
{
    cache_memory *m = user;
    const int i = find(m, key);
    m->puts++;
    if (m->refuses || i == CACHE_MEMORY_MAX || strlen(key) > 64)
        return 1;
    if (i == m->count)
        m->count++;
    strcpy(m->entries[i].key, key);
    free(m->entries[i].bytes);
    m->entries[i].bytes = malloc(count);
    if (m->entries[i].bytes == NULL)
        abort();
    memcpy(m->entries[i].bytes, bytes, count);
    m->entries[i].count = count;
    return 0;
}

clattn_cache cache_memory_callbacks(cache_memory *memory)
{
    return (clattn_cache){.get = get, .put = put, .user = memory};
}

void cache_memory_free(cache_memory *memory)
{
    for (int i = 0; i < memory->count; i++)
        free(memory->entries[i].bytes);
    *memory = (cache_memory){.count = 0};
}
