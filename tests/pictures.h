/* For tests of tools/picture_stream.h: pictures of the test's folder (cli.h), and copies of them in rows. */
#ifndef CLATTN_TESTS_PICTURES_H
#define CLATTN_TESTS_PICTURES_H

#include "picture_stream.h"

/* Fails the test with the sentence unless `done`. */
void pictures_expect(bool done, const picture_error *error);

picture pictures_open(const char *name);

/* All of it by picture_read(); the caller frees it. */
float *pictures_read(const char *name);

/* Reads `in` in `passes` passes, and writes `out` in the last one, in strips of so many rows; expects success. */
void pictures_copy(const char *in, const char *out, int64_t strip, int passes);

#endif
