/* Typed access to a recorded file; see load.h. */
#include "check/load.h"

#include "command.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COUNT INT64_C(65536)

void load_fail(Loader *loader, const char *format, ...)
{
    if (loader->failed)
        return;
    loader->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(loader->error->text, sizeof loader->error->text, format, arguments);
    va_end(arguments);
}

double load_number(Loader *loader, const char *key, double otherwise)
{
    const char *const text = clattn_safetensors_meta(loader->file, key);
    double value = otherwise;
    if (text != NULL && !command_number_read(text, &value))
        load_fail(loader, "the metadata's %s is not a number", key);
    return value;
}

int64_t load_count(Loader *loader, const char *key)
{
    const double value = load_number(loader, key, -1);
    if (value >= 0 && value <= (double)MAX_COUNT && floor(value) == value)
        return (int64_t)value;
    load_fail(loader, "the metadata's %s is missing or not a whole number up to %lld", key,
              (long long)MAX_COUNT);
    return 0;
}

int64_t load_root(Loader *loader, const char *what, int64_t square)
{
    const int64_t root = (int64_t)(sqrt((double)square) + 0.5);
    if (root * root != square)
        load_fail(loader, "%s is %lld, which is not a square", what, (long long)square);
    return root;
}

const clattn_safetensor *load_tensor(Loader *loader, const char *name, int dims)
{
    const clattn_safetensor *const tensor = clattn_safetensors_find(loader->file, name);
    if (tensor != NULL && tensor->dtype == CLATTN_DTYPE_F32 && tensor->dims == dims)
        return tensor;
    load_fail(loader, "tensor %s is missing, not F32 or not of %d dimensions", name, dims);
    return NULL;
}

/*
 * The values of a tensor by its full name; NULL when it is missing, or, as a fault, when it does
 * not fit.
 */
static const float *values_of(Loader *loader, const char *name, int64_t count)
{
    const clattn_safetensor *const tensor = clattn_safetensors_find(loader->file, name);
    if (tensor == NULL)
        return NULL;
    if (tensor->dtype == CLATTN_DTYPE_F32 && tensor->count == count)
        return tensor->data;
    load_fail(loader, "tensor %s has %lld elements where %lld of F32 are needed", name,
              (long long)tensor->count, (long long)count);
    return NULL;
}

typedef struct FullName {
    char text[128];
} FullName;

static FullName full_name(const Loader *loader, const char *name)
{
    FullName full;
    snprintf(full.text, sizeof full.text, "%s%s", loader->prefix, name);
    return full;
}

const float *load_optional(Loader *loader, const char *name, int64_t count)
{
    return values_of(loader, full_name(loader, name).text, count);
}

const float *load_parameter(Loader *loader, const char *name, int64_t count)
{
    const float *const values = load_optional(loader, name, count);
    if (values == NULL)
        load_fail(loader, "tensor %s%s is missing", loader->prefix, name);
    return values;
}

const float *load_record(Loader *loader, const char *name, int64_t count)
{
    return values_of(loader, name, count);
}

int64_t load_extent(Loader *loader, const char *name, int dims, int axis)
{
    const clattn_safetensor *const tensor = load_tensor(loader, full_name(loader, name).text, dims);
    return tensor != NULL ? tensor->shape[axis] : 0;
}

float *load_own(Loader *loader, CheckArray *array, int64_t count)
{
    if (loader->failed || count <= 0 || (uint64_t)count > SIZE_MAX / sizeof(float)) {
        load_fail(loader, "an array of %lld elements is needed", (long long)count);
        return NULL;
    }
    array->owned = malloc((size_t)count * sizeof(float));
    array->values = array->owned;
    array->count = count;
    if (array->owned == NULL)
        load_fail(loader, "no memory for an array of %lld elements", (long long)count);
    return array->owned;
}

void load_linear(Loader *loader, float *result, const float *input, const char *name, int64_t rows,
                 int64_t in, int64_t out)
{
    char part[64];
    snprintf(part, sizeof part, "%s.weight", name);
    const float *const weight = load_parameter(loader, part, in * out);
    snprintf(part, sizeof part, "%s.bias", name);
    const float *const bias = load_optional(loader, part, out);
    if (!loader->failed)
        check_linear(result, input, weight, bias, rows, in, out);
}
