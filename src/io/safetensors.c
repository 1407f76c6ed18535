/*
 * .safetensors files: reading the bytes, and handing out what the header says (checked in
 * safetensors_header.c).
 */
#include "io/safetensors.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_BYTES     8u
#define MAX_HEADER_BYTES UINT64_C(100000000)
#define DATA_ALIGNMENT   64u

static bool host_is_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

/* The header's length as the first 8 bytes give it, checked against the size of the file. */
static clattn_status header_length(const unsigned char head[LENGTH_BYTES], uint64_t file_bytes,
                                   const char *name, const clattn_log *log, uint64_t *length)
{
    clattn_status status = CLATTN_OK;
    uint64_t value = 0;

    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        value |= (uint64_t)head[i] << (8 * i);
    CLATTN_CHECK(log, value <= MAX_HEADER_BYTES, CLATTN_E_IO,
                 "%s: the header would be %llu bytes, more than the limit of %llu", name,
                 (unsigned long long)value, (unsigned long long)MAX_HEADER_BYTES);
    CLATTN_CHECK(log, value <= file_bytes - LENGTH_BYTES, CLATTN_E_IO,
                 "%s: the header would be %llu bytes, but the file has only %llu: it is truncated "
                 "or no .safetensors file",
                 name, (unsigned long long)value, (unsigned long long)file_bytes);
    *length = value;
out:
    return status;
}

/*
 * Makes room for the file such that the data behind the header is aligned; *target is where the
 * file's first byte goes.
 */
static clattn_status make_room(clattn_safetensors *file, uint64_t file_bytes, uint64_t header_bytes,
                               const char *name, const clattn_log *log, unsigned char **target)
{
    clattn_status status = CLATTN_OK;
    const uint64_t data_at = LENGTH_BYTES + header_bytes;
    const uint64_t pad = (DATA_ALIGNMENT - data_at % DATA_ALIGNMENT) % DATA_ALIGNMENT;

    CLATTN_CHECK(log, file_bytes <= SIZE_MAX - pad, CLATTN_E_NOMEM,
                 "%s: %llu bytes are more than this machine can address", name,
                 (unsigned long long)file_bytes);
    file->bytes = clattn__alloc_aligned((size_t)(file_bytes + pad));
    CLATTN_CHECK(log, file->bytes != NULL, CLATTN_E_NOMEM, "%s: no memory for its %llu bytes", name,
                 (unsigned long long)file_bytes);
    *target = file->bytes + pad;
    file->data = *target + data_at;
    file->data_bytes = file_bytes - data_at;
out:
    return status;
}

static clattn_status begin(const char *name, const clattn_log *log, clattn_safetensors **file)
{
    clattn_status status = CLATTN_OK;
    CLATTN_CHECK(log, host_is_little_endian(), CLATTN_E_UNSUPPORTED,
                 "%s: .safetensors data is little-endian, and this machine is not", name);
    *file = clattn__alloc(sizeof **file);
    CLATTN_CHECK(log, *file != NULL, CLATTN_E_NOMEM, "%s: no memory to open it", name);
out:
    return status;
}

/* The size of a file by its end; files that have none (pipes, folders) are refused. */
static clattn_status file_size(FILE *stream, const char *name, const clattn_log *log,
                               uint64_t *bytes)
{
    clattn_status status = CLATTN_OK;
    long end = -1;
    if (fseek(stream, 0, SEEK_END) == 0)
        end = ftell(stream);
    CLATTN_CHECK(log, end >= 0 && fseek(stream, 0, SEEK_SET) == 0, CLATTN_E_IO,
                 "%s: its size cannot be told", name);
    CLATTN_CHECK(log, end >= (long)LENGTH_BYTES, CLATTN_E_IO,
                 "%s: %ld bytes are too few for a .safetensors file", name, end);
    *bytes = (uint64_t)end;
out:
    return status;
}

clattn_status clattn_safetensors_open(const char *path, const clattn_log *log,
                                      clattn_safetensors **file)
{
    clattn_status status = CLATTN_OK;
    clattn_safetensors *opened = NULL;
    FILE *stream = NULL;
    unsigned char head[LENGTH_BYTES];
    unsigned char *target = NULL;
    uint64_t bytes = 0, header_bytes = 0;
    size_t rest = 0;

    if (file != NULL)
        *file = NULL;
    CLATTN_CHECK(log, path != NULL && file != NULL, CLATTN_E_ARG,
                 "clattn_safetensors_open: %s is NULL", path == NULL ? "path" : "file");
    CLATTN_TRY(begin(path, log, &opened));
    stream = fopen(path, "rb");
    CLATTN_CHECK(log, stream != NULL, CLATTN_E_IO, "%s: it cannot be opened", path);
    CLATTN_TRY(file_size(stream, path, log, &bytes));
    CLATTN_CHECK(log, fread(head, 1, LENGTH_BYTES, stream) == LENGTH_BYTES, CLATTN_E_IO,
                 "%s: it cannot be read", path);
    CLATTN_TRY(header_length(head, bytes, path, log, &header_bytes));
    CLATTN_TRY(make_room(opened, bytes, header_bytes, path, log, &target));
    memcpy(target, head, LENGTH_BYTES);
    rest = (size_t)bytes - LENGTH_BYTES;
    CLATTN_CHECK(log, fread(target + LENGTH_BYTES, 1, rest, stream) == rest, CLATTN_E_IO,
                 "%s: its %llu bytes cannot be read to the end", path, (unsigned long long)bytes);
    CLATTN_TRY(clattn__safetensors_header(opened, (const char *)target + LENGTH_BYTES,
                                          (size_t)header_bytes, path, log));
    *file = opened;
    opened = NULL;
out:
    if (stream != NULL)
        fclose(stream);
    clattn_safetensors_close(&opened);
    return status;
}

clattn_status clattn_safetensors_parse(const void *data, size_t bytes, const clattn_log *log,
                                       clattn_safetensors **file)
{
    static const char name[] = "file in memory";
    clattn_status status = CLATTN_OK;
    clattn_safetensors *opened = NULL;
    unsigned char *target = NULL;
    uint64_t header_bytes = 0;

    if (file != NULL)
        *file = NULL;
    CLATTN_CHECK(log, data != NULL && file != NULL, CLATTN_E_ARG,
                 "clattn_safetensors_parse: %s is NULL", data == NULL ? "data" : "file");
    CLATTN_CHECK(log, bytes >= LENGTH_BYTES, CLATTN_E_IO,
                 "%s: %zu bytes are too few for a .safetensors file", name, bytes);
    CLATTN_TRY(begin(name, log, &opened));
    CLATTN_TRY(header_length(data, bytes, name, log, &header_bytes));
    CLATTN_TRY(make_room(opened, bytes, header_bytes, name, log, &target));
    memcpy(target, data, bytes);
    CLATTN_TRY(clattn__safetensors_header(opened, (const char *)target + LENGTH_BYTES,
                                          (size_t)header_bytes, name, log));
    *file = opened;
    opened = NULL;
out:
    clattn_safetensors_close(&opened);
    return status;
}

void clattn_safetensors_close(clattn_safetensors **file)
{
    if (file == NULL || *file == NULL)
        return;
    cJSON_Delete((*file)->header);
    clattn__free((*file)->tensors);
    clattn__free((void *)(*file)->by_name);
    clattn__free_aligned((*file)->bytes);
    clattn__free(*file);
    *file = NULL;
}

size_t clattn_safetensors_count(const clattn_safetensors *file)
{
    return file != NULL ? file->count : 0;
}

const clattn_safetensor *clattn_safetensors_at(const clattn_safetensors *file, size_t i)
{
    return file != NULL && i < file->count ? &file->tensors[i] : NULL;
}

const clattn_safetensor *clattn_safetensors_find(const clattn_safetensors *file, const char *name)
{
    if (file == NULL || name == NULL)
        return NULL;
    size_t first = 0, last = file->count;
    while (first < last) {
        const size_t middle = first + (last - first) / 2;
        const int order = strcmp(name, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            last = middle;
        else
            first = middle + 1;
    }
    return NULL;
}

const char *clattn_safetensors_meta(const clattn_safetensors *file, const char *key)
{
    if (file == NULL || file->metadata == NULL || key == NULL)
        return NULL;
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(file->metadata, key);
    return cJSON_GetStringValue(item);
}
