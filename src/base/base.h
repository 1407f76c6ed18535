/*
 * What every file of the library may use: logging, the two error macros, checked sizes, allocation.
 * Functions are written as: declare, CLATTN_TRY / CLATTN_CHECK, `out:` label that frees in reverse order, return status.
 */
#ifndef CLATTN_SRC_BASE_H
#define CLATTN_SRC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clattn/base.h"

/* Compilers check the arguments, from number `first` on, against the format that is argument `text`. */
#if defined(__MINGW32__)
#define CLATTN__PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define CLATTN__PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLATTN__PRINTF(text, first)
#endif

/* Sends one formatted sentence to `log` if its level lets it pass. A NULL log is silent. */
CLATTN__PRINTF(3, 4)
void clattn__log(const clattn_log *log, clattn_log_level level, const char *format, ...);

/*
 * Makes text of unknown origin fit for a log or for JSON: control characters, and bytes that are no UTF-8, become question marks. Line
 * ends and tabs stay with `lines`.
 */
void clattn__text_clean(char *text, bool lines);

/* Both macros expect `clattn_status status` and a label `out` in the function. */
#define CLATTN_TRY(call)                                                                           \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != CLATTN_OK)                                                                   \
            goto out;                                                                              \
    } while (0)

#define CLATTN_CHECK(log, condition, code, ...)                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            status = (code);                                                                       \
            clattn__log((log), CLATTN_LOG_ERROR, __VA_ARGS__);                                     \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* Rounded up; a >= 0, b > 0. */
static inline int64_t clattn__ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* *result = a * b or a + b; false, and nothing written, if that does not fit. Negative operands do not fit. */
bool clattn__mul(int64_t a, int64_t b, int64_t *result);
bool clattn__add(int64_t a, int64_t b, int64_t *result);

/* The library's only way to memory; zeroed. Tests make them fail through clattn__alloc_hook. NULL when size is 0 or on failure. */
void *clattn__alloc(size_t size);
void *clattn__alloc_array(size_t count, size_t size);
void clattn__free(void *pointer);
/* Aligned to 64 bytes, not zeroed; freed with clattn__free_aligned(). */
void *clattn__alloc_aligned(size_t size);
void clattn__free_aligned(void *pointer);

/* Tests only: when set, called before each allocation; returning false makes it fail. Not for concurrent use. */
extern bool (*clattn__alloc_hook)(size_t size);
/* Tests only: when set, told of each allocation that is there (1) and of each that is freed (-1), from any thread. */
extern void (*clattn__live_hook)(int change);

#endif
