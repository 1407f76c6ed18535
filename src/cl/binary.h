/*
 * The entry of a cached program: what the caller's cache keeps under a key.
 *
 *     bytes 0-7    "clattnPB"
 *     8-11         format number
 *     12-15        bytes of the text
 *     16-23        bytes of the binary
 *     24-31        checksum of the binary
 *     then         the text, the binary
 *
 * Numbers are little-endian. The text is all that the binary depends on, the sources included; a reader compares the whole of
 * it, so that equal keys of different texts do no harm. Key and checksum have 64 bits; binary.c
 * has the hash.
 */
#ifndef CLATTN_SRC_CL_BINARY_H
#define CLATTN_SRC_CL_BINARY_H

#include "base/base.h"

#define CLATTN__BINARY_KEY_SIZE 17 /* with the terminator */

/* The key of a text: hexadecimal digits. */
void clattn__binary_key(const char *text, size_t text_bytes, char key[CLATTN__BINARY_KEY_SIZE]);

/* Bytes before the binary; the whole entry has that and the binary's bytes. 0 where the text is too long for an entry. */
size_t clattn__binary_head_bytes(size_t text_bytes);

/* Fills the head of an entry whose binary is already behind it. */
void clattn__binary_finish(unsigned char *entry, const char *text, size_t text_bytes,
                           size_t binary_bytes);

/*
 * The binary inside `entry`, if it is a whole entry of exactly this text; else NULL, and *why is the reason, a part of a
 * sentence.
 */
const unsigned char *clattn__binary_read(const unsigned char *entry, size_t bytes, const char *text,
                                         size_t text_bytes, size_t *binary_bytes, const char **why);

#endif
