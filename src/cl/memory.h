/* What the back end of an OpenCL context does with memory: the functions of its clattn__backend. */
#ifndef CLATTN_SRC_CL_MEMORY_H
#define CLATTN_SRC_CL_MEMORY_H

#include "base/context.h"

clattn_status clattn__cl_memory_alloc(clattn_context *ctx, uint64_t bytes, clattn_memory *memory);
void clattn__cl_memory_free(clattn_context *ctx, clattn_memory *memory);
clattn_status clattn__cl_memory_write(clattn_context *ctx, const clattn_memory *memory,
                                      uint64_t offset, const void *source, uint64_t bytes);
clattn_status clattn__cl_memory_read(clattn_context *ctx, const clattn_memory *memory,
                                     uint64_t offset, void *target, uint64_t bytes);
clattn_status clattn__cl_memory_map(clattn_context *ctx, const clattn_memory *memory,
                                    uint64_t bytes, bool fresh, void **pointer);
clattn_status clattn__cl_memory_unmap(clattn_context *ctx, const clattn_memory *memory,
                                      void *pointer);
clattn_status clattn__cl_memory_check(clattn_context *ctx, const char *what, clattn_memory *memory);

#endif
