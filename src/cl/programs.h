/* The program cache of a context; program.h is what the operators see of it. */
#ifndef CLATTN_SRC_CL_PROGRAMS_H
#define CLATTN_SRC_CL_PROGRAMS_H

#include "base/context.h"
#include "cl/source.h"

/* Make and free ctx->cl->programs. Destroying what was not made does nothing. */
clattn_status clattn__programs_create(clattn_context *ctx);
void clattn__programs_destroy(clattn_context *ctx);

/* Hands what was built and launched to the caller's cache, each program once. Call when all launches are done. */
void clattn__programs_store(clattn_context *ctx);

/* Tests only: when set, sources are looked up here. Not for concurrent use. */
extern const clattn__source *(*clattn__source_hook)(const char *name);

#endif
