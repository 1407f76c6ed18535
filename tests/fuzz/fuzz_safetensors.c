/*
 * Fuzz target of the .safetensors reader: any bytes must be refused or give tensors that lie in the
 * data. Built with -fsanitize=fuzzer it fuzzes; with replay.c it runs tests/fuzz/corpus_safetensors.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/io.h"

/* Where sums go, so that no compiler drops the reading. */
static volatile unsigned sink;

/* Sums a tensor's bytes, so that a sanitizer sees each of them read. */
static unsigned touch(const clattn_safetensor *tensor)
{
    static const size_t bytes_of[] = {
        [CLATTN_DTYPE_F32] = 4,  [CLATTN_DTYPE_F16] = 2, [CLATTN_DTYPE_BF16] = 2,
        [CLATTN_DTYPE_F64] = 8,  [CLATTN_DTYPE_I64] = 8, [CLATTN_DTYPE_I32] = 4,
        [CLATTN_DTYPE_I16] = 2,  [CLATTN_DTYPE_I8] = 1,  [CLATTN_DTYPE_U8] = 1,
        [CLATTN_DTYPE_BOOL] = 1,
    };
    const unsigned char *const data = tensor->data;
    const size_t bytes = (size_t)tensor->count * bytes_of[tensor->dtype];
    unsigned sum = 0;
    if ((uintptr_t)data % bytes_of[tensor->dtype] != 0)
        abort();
    for (size_t i = 0; i < bytes; i++)
        sum += data[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clattn_safetensors *file = NULL;
    const clattn_status status = clattn_safetensors_parse(data, size, NULL, &file);
    if ((status == CLATTN_OK) != (file != NULL))
        abort();
    for (size_t i = 0; i < clattn_safetensors_count(file); i++) {
        const clattn_safetensor *const tensor = clattn_safetensors_at(file, i);
        if (clattn_safetensors_find(file, tensor->name) != tensor)
            abort();
        sink += touch(tensor);
    }
    const char *const kind = clattn_safetensors_meta(file, "kind");
    sink += kind != NULL ? (unsigned)strlen(kind) : 0;
    clattn_safetensors_close(&file);
    return 0;
}
