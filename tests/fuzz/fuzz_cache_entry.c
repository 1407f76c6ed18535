/*
 * Fuzz target for the reader of cache entries (src/cl/binary.h): whatever the bytes are, it reads inside them, and what it takes
 * for a binary is the one that was written. The text that it expects is that of corpus_cache_entry/good. Built with
 * -fsanitize=fuzzer it fuzzes; with replay.c it runs tests/fuzz/corpus_cache_entry.
 */
#include <stdlib.h>
#include <string.h>

#include "cl/binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "text of the entry\n";
    const size_t text_bytes = sizeof text - 1;
    const size_t head = clattn__binary_head_bytes(text_bytes);
    const char *why = NULL;
    size_t bytes = 0;
    const unsigned char *const binary =
        clattn__binary_read(data, size, text, text_bytes, &bytes, &why);
    if ((binary == NULL) != (why != NULL))
        abort();
    if (binary == NULL)
        return 0;
    if (binary != data + head || bytes != size - head || bytes == 0)
        abort();
    /* Writing it again gives the same entry. */
    unsigned char *const entry = malloc(size);
    if (entry == NULL)
        return 0;
    memcpy(entry + head, binary, bytes);
    clattn__binary_finish(entry, text, text_bytes, bytes);
    if (memcmp(entry, data, size) != 0)
        abort();
    free(entry);
    return 0;
}
