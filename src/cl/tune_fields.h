/* The names of tuning rows, once for their reader and their writer: kernels, what is tuned in each, what a row can be for. */
#ifndef CLATTN_SRC_TUNE_FIELDS_H
#define CLATTN_SRC_TUNE_FIELDS_H

#include "cl/tune_text.h"

/* Kinds of values. A kernel has those of several kinds; values of the wide and of the tile shape never share a row. */
enum {
    CLATTN__TUNE_WIDE = 1,
    CLATTN__TUNE_AGENTS = 2,  /* wide, stage 1 */
    CLATTN__TUNE_QUERIES = 4, /* wide, stage 2 */
    CLATTN__TUNE_TILE = 8,
    CLATTN__TUNE_CHANNELS = 16,
    CLATTN__TUNE_ITEMS = 32
};

#define CLATTN__TUNE_KERNELS 7
#define CLATTN__TUNE_VALUES  10
#define CLATTN__TUNE_MATCHES 3
#define CLATTN__TUNE_TYPES   2

typedef struct clattn__tune_kernel_field {
    const char *name;
    unsigned has; /* kinds */
} clattn__tune_kernel_field;

typedef struct clattn__tune_field {
    const char *name;
    unsigned kind;
    size_t offset;
} clattn__tune_field;

extern const clattn__tune_kernel_field clattn__tune_kernels[CLATTN__TUNE_KERNELS];
/* int32_t in clattn__tune_values. */
extern const clattn__tune_field clattn__tune_values_of[CLATTN__TUNE_VALUES];
/* Texts in clattn__tune_row, the weakest first; kind is a bit of its own for each. */
extern const clattn__tune_field clattn__tune_matches[CLATTN__TUNE_MATCHES];
/* By clattn_type. */
extern const char *const clattn__tune_types[CLATTN__TUNE_TYPES];

static inline int32_t *clattn__tune_value(clattn__tune_values *values, size_t index)
{
    return (int32_t *)((char *)values + clattn__tune_values_of[index].offset);
}

static inline char *clattn__tune_match(clattn__tune_row *row, size_t index)
{
    return (char *)row + clattn__tune_matches[index].offset;
}

#endif
