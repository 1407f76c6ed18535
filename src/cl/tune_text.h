/* Rows of tuning as text (include/clattn/tune.h has the form): the strict reader, and the writer. */
#ifndef CLATTN_SRC_TUNE_TEXT_H
#define CLATTN_SRC_TUNE_TEXT_H

#include "base/base.h"

#define CLATTN__TUNE_MAX_BYTES (256 * 1024)
#define CLATTN__TUNE_MAX_ROWS  1024
/* Bytes of a name, the terminating zero among them; as in clattn_device. */
#define CLATTN__TUNE_NAME 128

/* What a row sets; 0: nothing. */
typedef struct clattn__tune_values {
    int32_t rows, vectors, agents, query_block; /* wide shape */
    int32_t work_group;                         /* which tile the row is for; 0: none */
    int32_t chunk_d, block_dv;                  /* tile shape */
    int32_t channels, tokens;                   /* dwc */
    int32_t items;                              /* kernels that take any work-group */
} clattn__tune_values;

#define CLATTN__TUNE_ANY_TYPE (-1)

typedef struct clattn__tune_row {
    const char *kernel; /* its own pointer: clattn__tune_kernel() */
    int32_t type;       /* clattn_type, or any */
    char vendor[CLATTN__TUNE_NAME], architecture[CLATTN__TUNE_NAME],
        device[CLATTN__TUNE_NAME]; /* empty: any */
    clattn__tune_values values;
    int32_t line; /* where it stands, from 1 */
} clattn__tune_row;

/*
 * Reads all rows; *rows is freed with clattn__free() and NULL where there are none. A damaged text gives CLATTN_E_IO, and line, column
 * and reason in the log. Numbers may still be out of a kernel's or a device's range.
 */
clattn_status clattn__tune_read(const clattn_log *log, const char *text, size_t size,
                                clattn__tune_row **rows, size_t *count);

/* Writes a row for any device, without a line end; returns its length, like snprintf(). */
size_t clattn__tune_write(const char *kernel, int32_t type, clattn__tune_values values, char *text,
                          size_t size);

/* The one pointer to a kernel's name, so that names can be compared by it; NULL where there is no such kernel. */
const char *clattn__tune_kernel(const char *name, size_t length);

#endif
