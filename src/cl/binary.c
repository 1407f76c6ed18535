/* Writing and reading of cache entries; binary.h has their form. */
#include "cl/binary.h"

#include <stdio.h>
#include <string.h>

#define FORMAT     2
#define HEAD_BYTES 32

static const char magic[8] = {'c', 'l', 'a', 't', 't', 'n', 'P', 'B'};

static uint64_t get_number(const unsigned char *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << 8 * i;
    return value;
}

/*
 * FNV-1a with words of 8 bytes in place of bytes, since entries have some hundred KB, and the upper bits brought down after each.
 * Every step is a bijection: texts of the same length that differ in one word never have the same hash.
 */
static uint64_t hash(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; bytes > 0; p += 8) {
        const size_t part = bytes < 8 ? bytes : 8;
        h = (h ^ get_number(p, (int)part)) * UINT64_C(0x100000001b3);
        h ^= h >> 32;
        bytes -= part;
    }
    return h;
}

static void put_number(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

void clattn__binary_key(const char *text, size_t text_bytes, char key[CLATTN__BINARY_KEY_SIZE])
{
    snprintf(key, CLATTN__BINARY_KEY_SIZE, "%016llx", (unsigned long long)hash(text, text_bytes));
}

size_t clattn__binary_head_bytes(size_t text_bytes)
{
    return text_bytes <= UINT32_MAX - HEAD_BYTES ? HEAD_BYTES + text_bytes : 0;
}

void clattn__binary_finish(unsigned char *entry, const char *text, size_t text_bytes,
                           size_t binary_bytes)
{
    memcpy(entry, magic, sizeof magic);
    put_number(entry + 8, FORMAT, 4);
    put_number(entry + 12, text_bytes, 4);
    put_number(entry + 16, binary_bytes, 8);
    put_number(entry + 24, hash(entry + HEAD_BYTES + text_bytes, binary_bytes), 8);
    memcpy(entry + HEAD_BYTES, text, text_bytes);
}

const unsigned char *clattn__binary_read(const unsigned char *entry, size_t bytes, const char *text,
                                         size_t text_bytes, size_t *binary_bytes, const char **why)
{
    *why = "it is no cache entry";
    if (bytes < HEAD_BYTES || memcmp(entry, magic, sizeof magic) != 0)
        return NULL;
    *why = "it has another format";
    if (get_number(entry + 8, 4) != FORMAT)
        return NULL;
    const uint64_t texts = get_number(entry + 12, 4);
    const uint64_t binaries = get_number(entry + 16, 8);
    const uint64_t rest = bytes - HEAD_BYTES;
    *why = "its length is wrong";
    if (texts > rest || binaries != rest - texts || binaries == 0)
        return NULL;
    *why = "it is of another program, version, device or driver";
    if (texts != text_bytes || memcmp(entry + HEAD_BYTES, text, text_bytes) != 0)
        return NULL;
    const unsigned char *binary = entry + HEAD_BYTES + text_bytes;
    *why = "its checksum is wrong";
    if (get_number(entry + 24, 8) != hash(binary, (size_t)binaries))
        return NULL;
    *why = NULL;
    *binary_bytes = (size_t)binaries;
    return binary;
}
