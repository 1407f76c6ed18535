#include "faulty_cl.h"

#include <pthread.h>
#include <string.h>

faulty_cl_state faulty_cl;

/* Guards calls, failed and live. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool starts_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

/* True where this call is to fail. */
static bool fails(const char *name)
{
    bool failing = false;

    pthread_mutex_lock(&lock);
    if (faulty_cl.only == NULL || strcmp(name, faulty_cl.only) == 0) {
        const int call = ++faulty_cl.calls;
        const bool after = faulty_cl.lasting && faulty_cl.failing > 0 && call > faulty_cl.failing;
        failing = call == faulty_cl.failing || (after && !starts_with(name, "clRelease"));
        if (failing && faulty_cl.failed == NULL)
            faulty_cl.failed = name;
    }
    pthread_mutex_unlock(&lock);
    return failing;
}

static void add_live(int objects)
{
    pthread_mutex_lock(&lock);
    faulty_cl.live += objects;
    pthread_mutex_unlock(&lock);
}

/*
 * A release or unmapping that reports failure has still been done: what a driver does then is not
 * known, and not the library's to repeat.
 */
#define STATUS_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        bool failing = fails(#name), release = starts_with(#name, "clRelease");                    \
        cl_int error = failing && !release ? faulty_cl.code : faulty_cl.real->name arguments;      \
        if (error == CL_SUCCESS)                                                                   \
            add_live(starts_with(#name, "clRetain") - release);                                    \
        return failing ? faulty_cl.code : error;                                                   \
    }
#define OBJECT_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        if (fails(#name)) {                                                                        \
            *error = faulty_cl.code;                                                               \
            return NULL;                                                                           \
        }                                                                                          \
        result object = faulty_cl.real->name arguments;                                            \
        add_live(object != NULL);                                                                  \
        return object;                                                                             \
    }
#define ENQUEUE_CALL(result, name, parameters, arguments)                                          \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        bool failing = fails(#name);                                                               \
        if (failing && !starts_with(#name, "clEnqueueUnmap"))                                      \
            return faulty_cl.code;                                                                 \
        cl_int error = faulty_cl.real->name arguments;                                             \
        add_live(error == CL_SUCCESS && event);                                                    \
        return failing ? faulty_cl.code : error;                                                   \
    }
#define MAP_CALL(result, name, parameters, arguments)                                              \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        if (fails(#name)) {                                                                        \
            *error = faulty_cl.code;                                                               \
            return NULL;                                                                           \
        }                                                                                          \
        return faulty_cl.real->name arguments;                                                     \
    }
CLATTN__CL_STATUS_CALLS(STATUS_CALL)
CLATTN__CL_OBJECT_CALLS(OBJECT_CALL)
CLATTN__CL_ENQUEUE_CALLS(ENQUEUE_CALL)
CLATTN__CL_MAP_CALLS(MAP_CALL)

#define FAULTY(result, name, parameters, arguments) .name = faulty_##name,
const clattn__cl_api faulty_cl_table = {CLATTN__CL_CALLS(FAULTY)};
