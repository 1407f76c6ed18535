/* Tensors over the three usual layouts. */
#include "clattn/tensor.h"
#include "base/base.h"

/*
 * A product that does not fit, or has a negative factor, becomes a stride that every later check
 * refuses.
 */
static int64_t product(int64_t a, int64_t b)
{
    int64_t result = INT64_MAX;
    return clattn__mul(a, b, &result) ? result : INT64_MAX;
}

clattn_tensor clattn_tensor_packed(clattn_memory memory, int64_t batch, int64_t tokens,
                                   int64_t heads, int64_t dim, int64_t parts, int64_t index)
{
    int64_t channels = product(heads, dim), row = product(parts, channels);
    return (clattn_tensor){
        .memory = memory,
        .type = CLATTN_F32,
        .offset = product(index, channels),
        .batch = batch,
        .tokens = tokens,
        .heads = heads,
        .dim = dim,
        .batch_stride = product(tokens, row),
        .token_stride = row,
        .head_stride = dim,
    };
}

clattn_tensor clattn_tensor_tokens(clattn_memory memory, int64_t batch, int64_t tokens,
                                   int64_t heads, int64_t dim)
{
    return clattn_tensor_packed(memory, batch, tokens, heads, dim, 1, 0);
}

clattn_tensor clattn_tensor_heads(clattn_memory memory, int64_t batch, int64_t tokens,
                                  int64_t heads, int64_t dim)
{
    int64_t head = product(tokens, dim);
    return (clattn_tensor){
        .memory = memory,
        .type = CLATTN_F32,
        .batch = batch,
        .tokens = tokens,
        .heads = heads,
        .dim = dim,
        .batch_stride = product(heads, head),
        .token_stride = dim,
        .head_stride = head,
    };
}
