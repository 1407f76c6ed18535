/* Formats a sentence for the log callback. */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

/*
 * Longer ones (compiler output) are formatted in memory of their own, or cut to this where there is
 * none.
 */
#define SHORT_TEXT 512

void clattn__log(const clattn_log *log, clattn_log_level level, const char *format, ...)
{
    if (!log || !log->fn)
        return;
    clattn_log_level threshold = log->level == CLATTN_LOG_NONE ? CLATTN_LOG_WARN : log->level;
    if (level > threshold)
        return;

    char text[SHORT_TEXT];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    char *whole = length >= SHORT_TEXT ? clattn__alloc((size_t)length + 1) : NULL;
    if (whole) {
        va_start(arguments, format);
        vsnprintf(whole, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    log->fn(log->user, level, whole ? whole : text);
    clattn__free(whole);
}
