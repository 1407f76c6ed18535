/*
 * The open file as the two halves of the reader see it: safetensors.c reads bytes,
 * safetensors_header.c believes them.
 */
#ifndef CLATTN_SRC_IO_SAFETENSORS_H
#define CLATTN_SRC_IO_SAFETENSORS_H

#include "base/base.h"
#include "clattn/io.h"

struct cJSON;

struct clattn_safetensors {
    unsigned char *bytes;      /* the whole file, placed so that `data` is aligned to 64 */
    const unsigned char *data; /* the tensors' data, behind the header */
    uint64_t data_bytes;
    struct cJSON *header;         /* owns the names and the metadata's strings */
    const struct cJSON *metadata; /* NULL when the file has none */
    clattn_safetensor *tensors;   /* in the order of the data */
    const clattn_safetensor **by_name;
    size_t count;
};

/*
 * Parses and checks the JSON header, and fills everything from `header` down. `name` is the file's,
 * for the log. On failure the caller closes the file.
 */
clattn_status clattn__safetensors_header(clattn_safetensors *file, const char *text, size_t bytes,
                                         const char *name, const clattn_log *log);

#endif
