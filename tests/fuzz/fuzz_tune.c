/*
 * Fuzz target of the reader of tuning rows: any bytes must be refused, with a sentence, or give rows that write and read alike.
 * Built with -fsanitize=fuzzer it fuzzes; with replay.c it runs tests/fuzz/corpus_tune.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/tune_text.h"

static int sentences;

static void count_sentence(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    if (level != CLATTN_LOG_ERROR || text[0] == '\0')
        abort();
    sentences++;
}

static const clattn_log log_ = {.fn = count_sentence};

/* The row without its device, as text, and read again. */
static void check_row(const clattn__tune_row *row)
{
    char text[512];
    clattn__tune_row *again = NULL;
    size_t count = 0;
    const size_t length =
        clattn__tune_write(row->kernel, row->type, row->values, text, sizeof text);
    if (length != strlen(text) ||
        clattn__tune_kernel(row->kernel, strlen(row->kernel)) != row->kernel)
        abort();
    if (clattn__tune_read(&log_, text, length, &again, &count) != CLATTN_OK || count != 1 ||
        memcmp(&again->values, &row->values, sizeof row->values) != 0 || again->type != row->type)
        abort();
    if (memchr(row->vendor, '\0', sizeof row->vendor) == NULL ||
        memchr(row->architecture, '\0', sizeof row->architecture) == NULL ||
        memchr(row->device, '\0', sizeof row->device) == NULL)
        abort();
    clattn__free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clattn__tune_row *rows = NULL;
    size_t count = 0;
    sentences = 0;
    const clattn_status status = clattn__tune_read(&log_, (const char *)data, size, &rows, &count);
    if ((status == CLATTN_OK) != (sentences == 0) || (count > 0) != (rows != NULL) ||
        (status != CLATTN_OK && count > 0))
        abort();
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i]);
    clattn__free(rows);
    return 0;
}
