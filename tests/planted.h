/* Faults planted into the embedded kernels: a piece of text is replaced where a program is built. */
#ifndef CLATTN_TESTS_PLANTED_H
#define CLATTN_TESTS_PLANTED_H

#include "cl/programs.h"

typedef struct planted_fault {
    const char *only; /* the program; NULL: every one that has the text */
    const char *from, *to;
} planted_fault;

/* From now on every program has the fault, if it has the text. What was built stays as it is. */
void planted_begin(const planted_fault *fault);
/* Ends that; returns how many programs were changed. */
int planted_end(void);

#endif
