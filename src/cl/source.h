/* The kernel programs, as the build embedded them (tools/embed_cl.py writes their bytes). */
#ifndef CLATTN_SRC_CL_SOURCE_H
#define CLATTN_SRC_CL_SOURCE_H

#include <stddef.h>
#include <stdint.h>

/* One program: its source strings in the order in which the compiler reads them, args.h first. */
typedef struct clattn__source {
    const char *name; /* of its .cl file, without the ending */
    uint32_t count;
    const char *const *texts;
    const size_t *sizes; /* bytes; the texts have no terminator */
} clattn__source;

/* NULL where no program has that name. */
const clattn__source *clattn__source_find(const char *name);

#endif
