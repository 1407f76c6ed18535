#include "faulty_cl.h"

#include <stdbool.h>
#include <string.h>

faulty_cl_state faulty_cl;

static bool starts_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

/* True where this call is the one to fail. */
static bool fails(const char *name)
{
    if ((faulty_cl.only && strcmp(name, faulty_cl.only) != 0) ||
        ++faulty_cl.calls != faulty_cl.failing)
        return false;
    faulty_cl.failed = name;
    return true;
}

/*
 * A release that reports failure has still released: what a driver does then is not known, and not
 * the library's to repeat.
 */
#define STATUS_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        bool failing = fails(#name), release = starts_with(#name, "clRelease");                    \
        cl_int error = failing && !release ? faulty_cl.code : faulty_cl.real->name arguments;      \
        if (error == CL_SUCCESS)                                                                   \
            faulty_cl.live += starts_with(#name, "clRetain") - release;                            \
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
        faulty_cl.live += object != NULL;                                                          \
        return object;                                                                             \
    }
#define ENQUEUE_CALL(result, name, parameters, arguments)                                          \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        if (fails(#name))                                                                          \
            return faulty_cl.code;                                                                 \
        cl_int error = faulty_cl.real->name arguments;                                             \
        faulty_cl.live += error == CL_SUCCESS && event;                                            \
        return error;                                                                              \
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
