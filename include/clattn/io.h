/*
 * clattn: a reader for .safetensors files (8-byte little-endian header length, JSON header, raw little-endian data).
 * Files come from strangers: everything in the header is checked before it is believed.
 */
#ifndef CLATTN_IO_H
#define CLATTN_IO_H

#include "clattn/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CLATTN_SAFETENSORS_MAX_DIMS 8

typedef enum clattn_dtype {
    CLATTN_DTYPE_F32,
    CLATTN_DTYPE_F16,
    CLATTN_DTYPE_BF16,
    CLATTN_DTYPE_F64,
    CLATTN_DTYPE_I64,
    CLATTN_DTYPE_I32,
    CLATTN_DTYPE_I16,
    CLATTN_DTYPE_I8,
    CLATTN_DTYPE_U8,
    CLATTN_DTYPE_BOOL
} clattn_dtype;

/** One tensor of an open file. `data` is row-major, aligned for its type, and lives as long as the file. */
typedef struct clattn_safetensor {
    const char *name;
    clattn_dtype dtype;
    int32_t dims;
    int64_t shape[CLATTN_SAFETENSORS_MAX_DIMS];
    int64_t count; /* elements */
    const void *data;
} clattn_safetensor;

typedef struct clattn_safetensors clattn_safetensors;

/**
 * Reads a whole file, or a copy of `bytes` of memory. Refused with a sentence that names the file and what is wrong: a
 * truncated file, a header longer than 100 MB or than the file, JSON that is deeper than 8 levels or not what the format asks for,
 * unknown types, negative or overflowing shapes, ranges that overlap, leave gaps, point outside the data, do not fit
 * the shape or exceed 2^53, duplicate names, data that is not aligned for its type.
 *
 * memory   *file is freed with clattn_safetensors_close()
 * async    no
 * threads  an open file is immutable and may be shared
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_IO, CLATTN_E_NOMEM, CLATTN_E_UNSUPPORTED (a big-endian host)
 */
CLATTN_API clattn_status clattn_safetensors_open(const char *path, const clattn_log *log,
                                                 clattn_safetensors **file);
CLATTN_API clattn_status clattn_safetensors_parse(const void *data, size_t bytes,
                                                  const clattn_log *log, clattn_safetensors **file);
CLATTN_API void clattn_safetensors_close(clattn_safetensors **file);

/** The number of tensors, and tensor i in the order of the data; NULL when i is out of range. */
CLATTN_API size_t clattn_safetensors_count(const clattn_safetensors *file);
CLATTN_API const clattn_safetensor *clattn_safetensors_at(const clattn_safetensors *file, size_t i);

/** A tensor by name, or NULL. */
CLATTN_API const clattn_safetensor *clattn_safetensors_find(const clattn_safetensors *file,
                                                            const char *name);

/** A value of __metadata__ by key, or NULL. */
CLATTN_API const char *clattn_safetensors_meta(const clattn_safetensors *file, const char *key);

#ifdef __cplusplus
}
#endif
#endif
