/* Programs that the caller's cache (clattn_context_params.cache) keeps between processes. */
#ifndef CLATTN_SRC_CL_STORED_H
#define CLATTN_SRC_CL_STORED_H

#include "cl/program.h"
#include "cl/source.h"

/* What a program is made from, and the kernel and kind of launch that it is made for. */
typedef struct clattn__recipe {
    const clattn__source *source;
    const clattn__kernel_spec *spec;
    char options[256]; /* all of them */
} clattn__recipe;

/*
 * The cached program, built and with its kernel; NULL where there is none that can be used, and a
 * debug sentence why.
 */
cl_program clattn__stored_load(clattn_context *ctx, const clattn__recipe *r);

/* The text that was kept with a program's verdict; false where there is none, or where it is for another driver or other kernels. */
bool clattn__stored_verdict_load(clattn_context *ctx, const clattn__recipe *r, char *text,
                                 size_t room);
void clattn__stored_verdict_save(clattn_context *ctx, const clattn__recipe *r, const char *text);

/* Hands the cache a program whose kernel was launched. Whatever fails, only a debug sentence tells. */
void clattn__stored_save(clattn_context *ctx, const clattn__recipe *r, cl_program program);

#endif
