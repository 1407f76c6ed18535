/*
 * What tests of contexts share: the device they run on, and a log that can be asked what it heard.
 * The device is the first OpenCL one that the environment leaves (see contexts.h), else the CPU
 * path.
 */
#ifndef CLATTN_TESTS_SUPPORT_H
#define CLATTN_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>

#include "clattn/clattn.h"

/* Keeps the last sentence. May be used by several threads. */
typedef struct support_log {
    pthread_mutex_t lock;
    int count;
    clattn_log_level level;
    char text[4096];
} support_log;

#define SUPPORT_LOG_INIT                                                                           \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/* A callback that fills `log` with everything up to `level`. */
clattn_log support_listen(support_log *log, clattn_log_level level);

/* True where the last sentence contains `part`. */
bool support_heard(support_log *log, const char *part);

/* Checks status and sentence of a refused call. For files that include cmocka.h. */
#define SUPPORT_REFUSED(log, call, status, words)                                                  \
    do {                                                                                           \
        (log)->text[0] = '\0';                                                                     \
        assert_int_equal((call), (status));                                                        \
        if (!support_heard((log), (words)))                                                        \
            fail_msg("expected \"%s\" in \"%s\"", (words), (log)->text);                           \
    } while (0)

/* The OpenCL device to test; NULL where there is none or the CPU path is asked for. */
cl_device_id support_device(void);

/* True where the environment asks for the CPU path alone. */
bool support_only_cpu(void);

/*
 * A context on the device, or on the CPU path, with kernel shape and work-group of the environment;
 * fails the test otherwise.
 */
clattn_context *support_context(support_log *log);

#endif
