/* What is tuned in each kernel, and rows as text; see tune.h. */
#include "tune/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The register tile of the wide kernels: from 16 registers of 4 floats to 32 of 16. */
#define REGISTER_TILE                                                                              \
    {                                                                                              \
        {"rows", "vectors"}, 14,                                                                   \
        {                                                                                          \
            {6, 1}, {5, 1}, {7, 1}, {8, 2}, {4, 1}, {8, 1}, {6, 2}, {4, 2}, {10, 1}, {12, 1},      \
                {3, 1}, {10, 2}, {12, 2}, {3, 2},                                                  \
        }                                                                                          \
    }
#define ITEMS                                                                                      \
    {                                                                                              \
        {"items", NULL}, 7,                                                                        \
        {                                                                                          \
            {64, 0}, {128, 0}, {32, 0}, {256, 0}, {16, 0}, {512, 0}, {1, 0},                       \
        }                                                                                          \
    }
#define QUERY_BLOCK                                                                                \
    {                                                                                              \
        {"query_block", NULL}, 5,                                                                  \
        {                                                                                          \
            {128, 0}, {256, 0}, {64, 0}, {512, 0}, {32, 0},                                        \
        }                                                                                          \
    }

static const tune_axis aggregate_axes[] = {
    REGISTER_TILE, {{"agents", NULL}, 4, {{64, 0}, {48, 0}, {32, 0}, {16, 0}}}};
static const tune_axis queries_axes[] = {REGISTER_TILE, QUERY_BLOCK};
static const tune_axis items_axes[] = {ITEMS};
static const tune_axis dwc_axes[] = {{{"channels", "tokens"},
                                      14,
                                      {{16, 4},
                                       {4, 4},
                                       {8, 4},
                                       {16, 8},
                                       {8, 8},
                                       {16, 2},
                                       {8, 2},
                                       {4, 8},
                                       {4, 2},
                                       {16, 6},
                                       {8, 6},
                                       {2, 4},
                                       {1, 4},
                                       {1, 1}}},
                                     ITEMS};
#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

const tune_kernel tune_kernels[TUNE_KINDS] = {
    {"agent_aggregate", TUNE_AGGREGATE, 4, aggregate_axes, COUNT(aggregate_axes), true},
    {"agent_broadcast", TUNE_BROADCAST, 4, queries_axes, COUNT(queries_axes), true},
    {"attention", TUNE_ATTENTION, 4, queries_axes, COUNT(queries_axes), true},
    {"dwc", TUNE_DWC, 2, dwc_axes, COUNT(dwc_axes), false},
    {"agent_pool", TUNE_POOL, 1, items_axes, COUNT(items_axes), false},
    {"agent_merge", TUNE_MERGE, 1, items_axes, COUNT(items_axes), false},
    {"smooth", TUNE_SMOOTH, 1, items_axes, COUNT(items_axes), false},
};

/*
 * The tile shape: block_dv within what leaves the bits as they are, from TK to 2 TK. (src/cl/tune_rows.h has the tiles.)
 */
#define TILE_AXES(tk)                                                                              \
    {                                                                                              \
        {{"chunk_d", NULL}, 6, {{16, 0}, {32, 0}, {8, 0}, {24, 0}, {64, 0}, {4, 0}}},              \
        {                                                                                          \
            {"block_dv", NULL}, 3,                                                                 \
            {                                                                                      \
                {2 * (tk), 0}, {(tk), 0}, {(tk) / 2 * 3, 0},                                       \
            }                                                                                      \
        }                                                                                          \
    }
static const tune_axis tile_axes[3][2] = {TILE_AXES(16), TILE_AXES(32), TILE_AXES(64)};

const tune_kernel *tune_kernel_find(const char *name, size_t length)
{
    for (int k = 0; k < TUNE_KINDS; k++)
        if (strlen(tune_kernels[k].name) == length &&
            memcmp(tune_kernels[k].name, name, length) == 0)
            return &tune_kernels[k];
    return NULL;
}

void tune_kernel_names(char *text, size_t size)
{
    size_t length = 0;
    for (int k = 0; k < TUNE_KINDS && length < size; k++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", k > 0 ? ", " : "",
                                   tune_kernels[k].name);
}

/* The line of the text that is the kernel's; NULL where there is none. */
static const char *find_line(const char *tuning, const char *kernel)
{
    const size_t length = strlen(kernel);
    for (const char *line = tuning; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, kernel, length) == 0 && line[length] == ' ')
            return line;
        if (line[strcspn(line, "\n")] == '\0')
            break;
    }
    return NULL;
}

/* The number behind " name=" in a line; 0 where it has none. */
static int find_value(const char *line, const char *name)
{
    char wanted[32];
    const int length = snprintf(wanted, sizeof wanted, " %s=", name);
    const char *const found = strstr(line, wanted);
    return found != NULL && found < line + strcspn(line, "\n") ? atoi(found + length) : 0;
}

bool tune_point_read(tune_point *point, const tune_kernel *kernel, const char *tuning)
{
    const char *const line = find_line(tuning, kernel->name);
    if (line == NULL)
        return false;
    *point = (tune_point){.kernel = kernel, .work_group = find_value(line, "work_group")};
    point->axes = kernel->axes;
    point->axis_count = kernel->axis_count;
    if (point->work_group > 0) {
        point->axes = tile_axes[point->work_group <= 16 ? 0 : point->work_group <= 64 ? 1 : 2];
        point->axis_count = 2;
    }
    for (int a = 0; a < point->axis_count; a++)
        for (int n = 0; n < TUNE_NAMES && point->axes[a].names[n] != NULL; n++)
            point->values[a][n] = find_value(line, point->axes[a].names[n]);
    return true;
}

bool tune_point_equal(const tune_point *a, const tune_point *b)
{
    return memcmp(a->values, b->values, sizeof a->values) == 0;
}

bool tune_point_used(const tune_point *point, const char *tuning)
{
    tune_point used;
    const char *const line = find_line(tuning, point->kernel->name);
    const char *const loaded = line != NULL ? strstr(line, "# loaded") : NULL;
    return loaded != NULL && loaded < line + strcspn(line, "\n") &&
           tune_point_read(&used, point->kernel, tuning) && tune_point_equal(point, &used);
}

/* Appends a device's name between quotes. */
static size_t quote(char *row, size_t size, size_t length, const char *name)
{
    length += (size_t)snprintf(row + length, size - length, " device=\"");
    for (; *name != '\0' && length + 4 < size; name++) {
        if (*name == '"' || *name == '\\')
            row[length++] = '\\';
        row[length++] = *name;
    }
    return length + (size_t)snprintf(row + length, size - length, "\"");
}

void tune_point_row(const tune_point *point, const char *device, char *row, size_t size)
{
    size_t length = (size_t)snprintf(row, size, "%s type=f32", point->kernel->name);
    if (device != NULL)
        length = quote(row, size, length, device);
    if (point->work_group > 0)
        length +=
            (size_t)snprintf(row + length, size - length, " work_group=%d", point->work_group);
    for (int a = 0; a < point->axis_count; a++)
        for (int n = 0; n < TUNE_NAMES && point->axes[a].names[n] != NULL; n++)
            length += (size_t)snprintf(row + length, size - length, " %s=%d",
                                       point->axes[a].names[n], point->values[a][n]);
}
