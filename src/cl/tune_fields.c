/* The names of tuning rows, and rows as text. */
#include "cl/tune_fields.h"

#include <stdio.h>
#include <string.h>

#include "clattn/tensor.h"

const clattn__tune_kernel_field clattn__tune_kernels[CLATTN__TUNE_KERNELS] = {
    {"agent_aggregate", CLATTN__TUNE_WIDE | CLATTN__TUNE_AGENTS | CLATTN__TUNE_TILE},
    {"agent_broadcast", CLATTN__TUNE_WIDE | CLATTN__TUNE_QUERIES | CLATTN__TUNE_TILE},
    {"attention", CLATTN__TUNE_WIDE | CLATTN__TUNE_QUERIES | CLATTN__TUNE_TILE},
    {"dwc", CLATTN__TUNE_CHANNELS | CLATTN__TUNE_ITEMS},
    {"agent_merge", CLATTN__TUNE_ITEMS},
    {"agent_pool", CLATTN__TUNE_ITEMS},
    {"smooth", CLATTN__TUNE_ITEMS},
};

#define VALUE(kind, name)                                                                          \
    {                                                                                              \
#name, CLATTN__TUNE_##kind, offsetof(clattn__tune_values, name)                            \
    }
const clattn__tune_field clattn__tune_values_of[CLATTN__TUNE_VALUES] = {
    VALUE(WIDE, rows),           VALUE(WIDE, vectors),      VALUE(AGENTS, agents),
    VALUE(QUERIES, query_block), VALUE(TILE, work_group),   VALUE(TILE, chunk_d),
    VALUE(TILE, block_dv),       VALUE(CHANNELS, channels), VALUE(CHANNELS, tokens),
    VALUE(ITEMS, items),
};

const clattn__tune_field clattn__tune_matches[CLATTN__TUNE_MATCHES] = {
    {"vendor", 1, offsetof(clattn__tune_row, vendor)},
    {"architecture", 2, offsetof(clattn__tune_row, architecture)},
    {"device", 4, offsetof(clattn__tune_row, device)},
};

const char *const clattn__tune_types[CLATTN__TUNE_TYPES] = {
    [CLATTN_F32] = "f32", [CLATTN_F16] = "f16"};

const char *clattn__tune_kernel(const char *name, size_t length)
{
    for (size_t k = 0; k < CLATTN__TUNE_KERNELS; k++) {
        const char *const known = clattn__tune_kernels[k].name;
        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return known;
    }
    return NULL;
}

size_t clattn__tune_write(const char *kernel, int32_t type, clattn__tune_values values, char *text,
                          size_t size)
{
    char row[256];
    int length = snprintf(row, sizeof row, "%s", kernel);
    if (type >= 0 && type < CLATTN__TUNE_TYPES)
        length += snprintf(row + length, sizeof row - (size_t)length, " type=%s",
                           clattn__tune_types[type]);
    for (size_t v = 0; v < CLATTN__TUNE_VALUES; v++) {
        const int32_t value = *clattn__tune_value(&values, v);
        if (value != 0)
            length += snprintf(row + length, sizeof row - (size_t)length, " %s=%d",
                               clattn__tune_values_of[v].name, (int)value);
    }
    if (size > 0)
        snprintf(text, size, "%s", row);
    return (size_t)length;
}
