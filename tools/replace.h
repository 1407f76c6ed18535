/*
 * A file that is written beside its final place and renamed at the end, so that a reader sees the old file or the whole
 * new one, never a part. One at a time: a signal that ends the program, from the user or from a crash, removes the unfinished
 * file first, and its handler needs to find it.
 */
#ifndef CLATTN_TOOLS_REPLACE_H
#define CLATTN_TOOLS_REPLACE_H

#include <stdbool.h>

/*
 * Creates the temporary file in the folder of `path`, and follows `path` first where it is a link. Returns a descriptor
 * for reading and writing, or -1 with errno: also EISDIR for a folder, EINVAL for anything else that is no plain file.
 */
int replace_begin(const char *path);

/*
 * Once a driver is loaded: handlers of LLVM, which is in some, take the place of ours, and do not always end the program or call
 * the ones before them.
 */
void replace_guard(void);

/* Makes the file durable and gives it its final name. False with errno, and nothing is left behind. */
bool replace_commit(void);

/* Closes and removes an unfinished file, if there is one; keeps errno. */
void replace_discard(void);

#endif
