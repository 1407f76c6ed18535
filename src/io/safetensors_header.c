/*
 * The JSON header of a .safetensors file:
 *
 *     {"__metadata__": {key: string, ...},
 *      name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *
 * The text is scanned before cJSON sees it, for what cJSON lets pass: deep nesting, control
 * characters, and an escaped zero, which would cut a name short. Then every entry is checked on its
 * own, and all together: sorted by place, the tensors must cover the data without gap or overlap;
 * sorted by name, no name may come twice.
 */
#include "io/safetensors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8
/*
 * Above this, a double no longer holds every whole number, so what cJSON read may not be what the
 * file says.
 */
#define MAX_EXACT 9007199254740991.0 /* 2^53 - 1 */

typedef struct TypeRow {
    const char *name;
    clattn_dtype dtype;
    uint32_t bytes;
} TypeRow;

static const TypeRow type_rows[] = {
    {"F32", CLATTN_DTYPE_F32, 4},   {"F16", CLATTN_DTYPE_F16, 2}, {"BF16", CLATTN_DTYPE_BF16, 2},
    {"F64", CLATTN_DTYPE_F64, 8},   {"I64", CLATTN_DTYPE_I64, 8}, {"I32", CLATTN_DTYPE_I32, 4},
    {"I16", CLATTN_DTYPE_I16, 2},   {"I8", CLATTN_DTYPE_I8, 1},   {"U8", CLATTN_DTYPE_U8, 1},
    {"BOOL", CLATTN_DTYPE_BOOL, 1},
};

/* Who is asking, for the sentences in the log. */
typedef struct Report {
    const char *file;
    const clattn_log *log;
} Report;

/* A name from a file, made fit for one line of a log: printable ASCII, at most 60 characters. */
typedef struct Printable {
    char text[64];
} Printable;

static Printable printable(const char *name)
{
    Printable result;
    size_t i = 0;
    for (; name[i] != '\0' && i < 60; i++)
        result.text[i] = name[i];
    if (name[i] != '\0')
        for (int dot = 0; dot < 3; dot++)
            result.text[i++] = '.';
    result.text[i] = '\0';
    for (char *c = result.text; *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    return result;
}

/* What is wrong with the text as text, or NULL. */
static const char *scan_text(const char *text, size_t bytes)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 && (in_string || (c != '\t' && c != '\n' && c != '\r')))
            return "holds a control character";
        if (in_string) {
            if (c == '\\') {
                if (bytes - i >= 6 && memcmp(text + i + 1, "u0000", 5) == 0)
                    return "holds an escaped zero in a string";
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH)
                return "is nested deeper than 8 levels";
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return NULL;
}

static bool whole_number(const cJSON *item, int64_t *value)
{
    if (!cJSON_IsNumber(item))
        return false;
    const double number = item->valuedouble;
    if (!(number >= 0 && number <= MAX_EXACT))
        return false;
    *value = (int64_t)number;
    return (double)*value == number;
}

static clattn_status read_shape(const Report *report, const cJSON *shape, const char *name,
                                clattn_safetensor *tensor)
{
    clattn_status status = CLATTN_OK;
    const cJSON *extent;

    CLATTN_CHECK(report->log, cJSON_IsArray(shape), CLATTN_E_IO,
                 "%s: tensor '%s': shape is not a list", report->file, name);
    tensor->count = 1;
    cJSON_ArrayForEach(extent, shape)
    {
        CLATTN_CHECK(report->log, tensor->dims < CLATTN_SAFETENSORS_MAX_DIMS, CLATTN_E_IO,
                     "%s: tensor '%s': shape has more than %d extents", report->file, name,
                     CLATTN_SAFETENSORS_MAX_DIMS);
        int64_t *const target = &tensor->shape[tensor->dims++];
        CLATTN_CHECK(report->log, whole_number(extent, target), CLATTN_E_IO,
                     "%s: tensor '%s': extent %d of its shape is not a whole number below 2^53",
                     report->file, name, (int)tensor->dims);
        CLATTN_CHECK(report->log, clattn__mul(tensor->count, *target, &tensor->count), CLATTN_E_IO,
                     "%s: tensor '%s': its shape has more elements than fit 63 bits", report->file,
                     name);
    }
out:
    return status;
}

static clattn_status read_range(const Report *report, const cJSON *range, const char *name,
                                uint32_t element_bytes, const clattn_safetensors *file,
                                clattn_safetensor *tensor)
{
    clattn_status status = CLATTN_OK;
    int64_t begin = 0, end = 0, wanted = 0;
    const cJSON *const first = cJSON_IsArray(range) ? range->child : NULL;
    const cJSON *const second = first != NULL ? first->next : NULL;

    CLATTN_CHECK(report->log, second != NULL && second->next == NULL, CLATTN_E_IO,
                 "%s: tensor '%s': data_offsets is not a list of two numbers", report->file, name);
    CLATTN_CHECK(report->log, whole_number(first, &begin) && whole_number(second, &end),
                 CLATTN_E_IO, "%s: tensor '%s': data_offsets are not whole numbers below 2^53",
                 report->file, name);
    CLATTN_CHECK(
        report->log, begin <= end && (uint64_t)end <= file->data_bytes, CLATTN_E_IO,
        "%s: tensor '%s': data_offsets %lld to %lld do not lie in the file's %llu bytes of "
        "data",
        report->file, name, (long long)begin, (long long)end, (unsigned long long)file->data_bytes);
    CLATTN_CHECK(report->log,
                 clattn__mul(tensor->count, element_bytes, &wanted) && wanted == end - begin,
                 CLATTN_E_IO,
                 "%s: tensor '%s': %lld elements of %u bytes do not fill data_offsets %lld to %lld",
                 report->file, name, (long long)tensor->count, element_bytes, (long long)begin,
                 (long long)end);
    CLATTN_CHECK(report->log, begin % element_bytes == 0, CLATTN_E_IO,
                 "%s: tensor '%s': data offset %lld is not aligned to its %u-byte elements",
                 report->file, name, (long long)begin, element_bytes);
    tensor->data = file->data + begin;
out:
    return status;
}

/* One entry of the header: exactly dtype, shape and data_offsets. */
static clattn_status read_tensor(const Report *report, const cJSON *entry,
                                 const clattn_safetensors *file, clattn_safetensor *tensor)
{
    clattn_status status = CLATTN_OK;
    const Printable name = printable(entry->string);
    const cJSON *const dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    const cJSON *const shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *const range = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    const TypeRow *row = NULL;

    CLATTN_CHECK(report->log,
                 cJSON_IsObject(entry) && dtype != NULL && shape != NULL && range != NULL &&
                     cJSON_GetArraySize(entry) == 3,
                 CLATTN_E_IO,
                 "%s: tensor '%s' does not have exactly one dtype, shape and data_offsets",
                 report->file, name.text);
    for (size_t i = 0; cJSON_IsString(dtype) && i < sizeof type_rows / sizeof *type_rows; i++)
        if (strcmp(dtype->valuestring, type_rows[i].name) == 0)
            row = &type_rows[i];
    CLATTN_CHECK(report->log, row != NULL, CLATTN_E_IO, "%s: tensor '%s': unknown dtype '%s'",
                 report->file, name.text,
                 cJSON_IsString(dtype) ? printable(dtype->valuestring).text : "(not a string)");
    tensor->name = entry->string;
    tensor->dtype = row->dtype;
    CLATTN_TRY(read_shape(report, shape, name.text, tensor));
    CLATTN_TRY(read_range(report, range, name.text, row->bytes, file, tensor));
out:
    return status;
}

static uint64_t tensor_bytes(const clattn_safetensor *tensor)
{
    for (size_t i = 0; i < sizeof type_rows / sizeof *type_rows; i++)
        if (type_rows[i].dtype == tensor->dtype)
            return (uint64_t)tensor->count * type_rows[i].bytes;
    return 0;
}

/* By place in the data; empty tensors come before the one that begins where they lie. */
static int compare_place(const void *a, const void *b)
{
    const clattn_safetensor *const left = a, *const right = b;
    const unsigned char *const left_data = left->data, *const right_data = right->data;
    if (left_data != right_data)
        return left_data < right_data ? -1 : 1;
    const int by_size = (tensor_bytes(left) > 0) - (tensor_bytes(right) > 0);
    return by_size != 0 ? by_size : strcmp(left->name, right->name);
}

static int compare_name(const void *a, const void *b)
{
    const clattn_safetensor *const *const left = a, *const *const right = b;
    return strcmp((*left)->name, (*right)->name);
}

static int compare_key(const void *a, const void *b)
{
    const cJSON *const *const left = a, *const *const right = b;
    return strcmp((*left)->string, (*right)->string);
}

/* The tensors' ranges must follow each other from the first byte of the data to the last. */
static clattn_status check_cover(const Report *report, const clattn_safetensors *file)
{
    clattn_status status = CLATTN_OK;
    uint64_t place = 0;
    for (size_t i = 0; i < file->count; i++) {
        const clattn_safetensor *const tensor = &file->tensors[i];
        const uint64_t begin = (uint64_t)((const unsigned char *)tensor->data - file->data);
        CLATTN_CHECK(
            report->log, begin == place, CLATTN_E_IO,
            "%s: tensor '%s' begins at byte %llu of the data, but the one before ends at %llu",
            report->file, printable(tensor->name).text, (unsigned long long)begin,
            (unsigned long long)place);
        place = begin + tensor_bytes(tensor);
    }
    CLATTN_CHECK(report->log, place == file->data_bytes, CLATTN_E_IO,
                 "%s: the tensors end at byte %llu of %llu bytes of data", report->file,
                 (unsigned long long)place, (unsigned long long)file->data_bytes);
out:
    return status;
}

/* __metadata__ maps unique keys to strings. */
static clattn_status check_metadata(const Report *report, const cJSON *metadata)
{
    clattn_status status = CLATTN_OK;
    const cJSON **keys = NULL;
    const cJSON *item;
    size_t count = 0;

    CLATTN_CHECK(report->log, cJSON_IsObject(metadata), CLATTN_E_IO,
                 "%s: __metadata__ is not an object", report->file);
    cJSON_ArrayForEach(item, metadata)
    {
        count++;
        CLATTN_CHECK(report->log, cJSON_IsString(item), CLATTN_E_IO,
                     "%s: __metadata__: the value of '%s' is not a string", report->file,
                     printable(item->string).text);
    }
    if (count == 0)
        goto out;
    keys = clattn__alloc_array(count, sizeof *keys);
    CLATTN_CHECK(report->log, keys != NULL, CLATTN_E_NOMEM,
                 "%s: no memory for %zu keys of __metadata__", report->file, count);
    count = 0;
    cJSON_ArrayForEach(item, metadata) keys[count++] = item;
    qsort(keys, count, sizeof *keys, compare_key);
    for (size_t i = 1; i < count; i++)
        CLATTN_CHECK(report->log, strcmp(keys[i - 1]->string, keys[i]->string) != 0, CLATTN_E_IO,
                     "%s: __metadata__ has the key '%s' twice", report->file,
                     printable(keys[i]->string).text);
out:
    clattn__free(keys);
    return status;
}

/* Reads all entries, sorts them both ways, and checks what concerns them together. */
static clattn_status read_entries(const Report *report, clattn_safetensors *file)
{
    clattn_status status = CLATTN_OK;
    size_t entries = 0;
    const cJSON *entry;

    cJSON_ArrayForEach(entry, file->header) entries++;
    if (entries > 0) {
        file->tensors = clattn__alloc_array(entries, sizeof *file->tensors);
        file->by_name = clattn__alloc_array(entries, sizeof *file->by_name);
        CLATTN_CHECK(report->log, file->tensors != NULL && file->by_name != NULL, CLATTN_E_NOMEM,
                     "%s: no memory for %zu tensors", report->file, entries);
    }
    cJSON_ArrayForEach(entry, file->header)
    {
        if (strcmp(entry->string, "__metadata__") != 0) {
            CLATTN_TRY(read_tensor(report, entry, file, &file->tensors[file->count]));
            file->count++;
            continue;
        }
        CLATTN_CHECK(report->log, file->metadata == NULL, CLATTN_E_IO,
                     "%s: the header has __metadata__ twice", report->file);
        file->metadata = entry;
        CLATTN_TRY(check_metadata(report, entry));
    }
    if (file->count > 0)
        qsort(file->tensors, file->count, sizeof *file->tensors, compare_place);
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    if (file->count > 0)
        qsort(file->by_name, file->count, sizeof *file->by_name, compare_name);
    for (size_t i = 1; i < file->count; i++)
        CLATTN_CHECK(report->log, compare_name(&file->by_name[i - 1], &file->by_name[i]) != 0,
                     CLATTN_E_IO, "%s: the header has the tensor '%s' twice", report->file,
                     printable(file->by_name[i]->name).text);
    CLATTN_TRY(check_cover(report, file));
out:
    return status;
}

clattn_status clattn__safetensors_header(clattn_safetensors *file, const char *text, size_t bytes,
                                         const char *name, const clattn_log *log)
{
    clattn_status status = CLATTN_OK;
    const Report report = {.file = name, .log = log};
    const char *end = NULL;
    const char *const fault = scan_text(text, bytes);

    CLATTN_CHECK(log, fault == NULL, CLATTN_E_IO, "%s: the header %s", name, fault);
    file->header = cJSON_ParseWithLengthOpts(text, bytes, &end, 0);
    CLATTN_CHECK(log, cJSON_IsObject(file->header), CLATTN_E_IO,
                 "%s: the header is not a JSON object, or there is no memory to read it", name);
    for (; end < text + bytes; end++)
        CLATTN_CHECK(log, *end == ' ' || *end == '\n' || *end == '\r' || *end == '\t', CLATTN_E_IO,
                     "%s: something follows the JSON object in the header", name);
    CLATTN_TRY(read_entries(&report, file));
out:
    return status;
}
