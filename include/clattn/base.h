/*
 * clattn: version, status codes and the log callback.
 *
 * Every fallible function returns a clattn_status: CLATTN_OK is 0, failures are negative. A failure also sends one
 * sentence to the log callback of the context that names the argument, its value and the limit. Outputs are NULL or
 * untouched on failure. The library never prints, aborts or exits.
 */
#ifndef CLATTN_BASE_H
#define CLATTN_BASE_H

#include <stddef.h>
#include <stdint.h>

/* The version, here and nowhere else; the build reads these three lines. */
#define CLATTN_VERSION_MAJOR 0
#define CLATTN_VERSION_MINOR 1
#define CLATTN_VERSION_PATCH 0

#if defined(_WIN32) && defined(CLATTN_SHARED)
#ifdef CLATTN_BUILDING
#define CLATTN_API __declspec(dllexport)
#else
#define CLATTN_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define CLATTN_API __attribute__((visibility("default")))
#else
#define CLATTN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The status codes: X(name, value, sentence). */
#define CLATTN_STATUS_LIST(X)                                                                      \
    X(CLATTN_OK, 0, "success")                                                                     \
    X(CLATTN_E_ARG, -1, "an argument is missing, foreign or contradicts another")                  \
    X(CLATTN_E_SHAPE, -2, "a shape, stride or offset is out of range")                             \
    X(CLATTN_E_TYPE, -3, "an element type is not accepted here")                                   \
    X(CLATTN_E_NOMEM, -4, "the host is out of memory")                                             \
    X(CLATTN_E_DEVICE_NOMEM, -5, "the device is out of memory")                                    \
    X(CLATTN_E_NODEVICE, -6, "no usable OpenCL device was found")                                  \
    X(CLATTN_E_UNSUPPORTED, -7, "this version cannot do that")                                     \
    X(CLATTN_E_BUILD, -8, "a kernel could not be built for the device")                            \
    X(CLATTN_E_OPENCL, -9, "an OpenCL call failed")                                                \
    X(CLATTN_E_LOST, -10, "the device was lost")                                                   \
    X(CLATTN_E_IO, -11, "a file could not be read or written, or is damaged")                      \
    X(CLATTN_E_CANCELLED, -12, "the work was cancelled")                                           \
    X(CLATTN_E_CALLBACK, -13, "a callback reported an error")                                      \
    X(CLATTN_E_BUDGET, -14, "the byte budget is too small")                                        \
    X(CLATTN_E_WRONG, -15, "the device computes wrong results")

#define CLATTN_STATUS_ENUM(name, value, text) name = value,
typedef enum clattn_status { CLATTN_STATUS_LIST(CLATTN_STATUS_ENUM) } clattn_status;
#undef CLATTN_STATUS_ENUM

/** The name of a status ("CLATTN_E_SHAPE"); never NULL, "CLATTN_E_UNKNOWN" for a number that is none. */
CLATTN_API const char *clattn_status_name(clattn_status status);

/** What a status means, as an English phrase; never NULL. */
CLATTN_API const char *clattn_status_text(clattn_status status);

/** The version the library was built as, "0.1.0". */
CLATTN_API const char *clattn_version(void);

typedef enum clattn_log_level {
    CLATTN_LOG_NONE = 0, /* as a threshold: nothing */
    CLATTN_LOG_ERROR,    /* a call failed; one sentence says why */
    CLATTN_LOG_WARN,     /* it went on, but not as asked */
    CLATTN_LOG_INFO,     /* a choice that was made: device, kernel shape */
    CLATTN_LOG_DEBUG     /* programs built, buffers reused */
} clattn_log_level;

/**
 * Where sentences go. `fn` NULL: silent. `text` has no newline at its end and lives only during the call. `fn` may be called from
 * any thread that calls the library. Messages above `level` are not formatted; level 0 means CLATTN_LOG_WARN.
 */
typedef struct clattn_log {
    void (*fn)(void *user, clattn_log_level level, const char *text);
    void *user;
    clattn_log_level level;
} clattn_log;

#ifdef __cplusplus
}
#endif
#endif
