#include "faulty_cl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

faulty_cl_state faulty_cl;

/* An object of OpenCL that the library holds. */
typedef struct held {
    const void *object;
    int references;
    size_t bytes; /* of a buffer */
    bool program;
} held;

/* Guards all of these, and of faulty_cl: calls, failed, live, live_bytes, mapped and misused. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static held *table;
static size_t count, room;

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
        if (faulty_cl.trace != NULL && call <= faulty_cl.trace_room)
            faulty_cl.trace[call - 1] = name;
    }
    pthread_mutex_unlock(&lock);
    return failing;
}

/* With the lock held; NULL where the library does not hold it. */
static held *find(const void *object)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].object == object)
            return &table[i];
    return NULL;
}

/* One reference more. `bytes` and `program` are looked at for the first. */
static void hold(const void *object, size_t bytes, bool program)
{
    pthread_mutex_lock(&lock);
    held *h = find(object);
    if (h == NULL) {
        if (count == room) {
            room = 2 * room + 64;
            table = realloc(table, room * sizeof *table);
            if (table == NULL)
                abort();
        }
        h = &table[count++];
        *h = (held){.object = object, .bytes = bytes, .program = program};
        faulty_cl.live_bytes += (int64_t)bytes;
        faulty_cl.live_programs += program;
    }
    h->references++;
    faulty_cl.live++;
    pthread_mutex_unlock(&lock);
}

static void let_go(const void *object, const char *name)
{
    pthread_mutex_lock(&lock);
    held *h = find(object);
    if (h == NULL) {
        faulty_cl.misused = name;
    } else {
        faulty_cl.live--;
        if (--h->references == 0) {
            faulty_cl.live_bytes -= (int64_t)h->bytes;
            faulty_cl.live_programs -= h->program;
            *h = table[--count];
        }
    }
    pthread_mutex_unlock(&lock);
}

static void add_mapped(int buffers)
{
    pthread_mutex_lock(&lock);
    faulty_cl.mapped += buffers;
    if (faulty_cl.mapped < 0)
        faulty_cl.misused = "clEnqueueUnmapMemObject";
    pthread_mutex_unlock(&lock);
}

static size_t bytes_of(const char *name, void *object)
{
    size_t bytes = 0;
    if (strcmp(name, "clCreateBuffer") == 0)
        faulty_cl.real->clGetMemObjectInfo(object, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    return bytes;
}

#define RETAIN_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        cl_int error = fails(#name) ? faulty_cl.code : faulty_cl.real->name arguments;             \
        if (error == CL_SUCCESS)                                                                   \
            hold(arguments, 0, false);                                                             \
        return error;                                                                              \
    }
/*
 * A release or unmapping that reports failure has still been done: what a driver does then is not
 * known, and not the library's to repeat.
 */
#define RELEASE_CALL(result, name, parameters, arguments)                                          \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        let_go(arguments, #name);                                                                  \
        cl_int error = faulty_cl.real->name arguments;                                             \
        return fails(#name) ? faulty_cl.code : error;                                              \
    }
#define STATUS_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        return fails(#name) ? faulty_cl.code : faulty_cl.real->name arguments;                     \
    }
#define OBJECT_CALL(result, name, parameters, arguments)                                           \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        if (fails(#name)) {                                                                        \
            *error = faulty_cl.code;                                                               \
            return NULL;                                                                           \
        }                                                                                          \
        result object = faulty_cl.real->name arguments;                                            \
        if (object != NULL)                                                                        \
            hold(object, bytes_of(#name, object), starts_with(#name, "clCreateProgram"));          \
        return object;                                                                             \
    }
#define ENQUEUE_CALL(result, name, parameters, arguments)                                          \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        bool failing = fails(#name), unmaps = starts_with(#name, "clEnqueueUnmap");                \
        if (failing && !unmaps)                                                                    \
            return faulty_cl.code;                                                                 \
        cl_int error = faulty_cl.real->name arguments;                                             \
        if (error == CL_SUCCESS && event != NULL)                                                  \
            hold(*event, 0, false);                                                                \
        add_mapped(-(int)(unmaps && error == CL_SUCCESS));                                         \
        return failing ? faulty_cl.code : error;                                                   \
    }
#define MAP_CALL(result, name, parameters, arguments)                                              \
    static result CL_API_CALL faulty_##name parameters                                             \
    {                                                                                              \
        if (fails(#name)) {                                                                        \
            *error = faulty_cl.code;                                                               \
            return NULL;                                                                           \
        }                                                                                          \
        result pointer = faulty_cl.real->name arguments;                                           \
        add_mapped(*error == CL_SUCCESS);                                                          \
        return pointer;                                                                            \
    }
CLATTN__CL_RETAIN_CALLS(RETAIN_CALL)
CLATTN__CL_RELEASE_CALLS(RELEASE_CALL)
CLATTN__CL_STATUS_CALLS(STATUS_CALL)
CLATTN__CL_OBJECT_CALLS(OBJECT_CALL)
CLATTN__CL_ENQUEUE_CALLS(ENQUEUE_CALL)
CLATTN__CL_MAP_CALLS(MAP_CALL)

#define FAULTY(result, name, parameters, arguments) .name = faulty_##name,
const clattn__cl_api faulty_cl_table = {CLATTN__CL_CALLS(FAULTY)};

void faulty_cl_arm(const char *name, int failing, cl_int code)
{
    faulty_cl.only = name;
    faulty_cl.failing = failing;
    faulty_cl.code = code;
    faulty_cl.calls = 0;
    faulty_cl.failed = NULL;
}

void faulty_cl_disarm(void)
{
    faulty_cl.only = NULL;
    faulty_cl.failing = 0;
}

bool faulty_cl_begin(cl_device_id device, cl_context *context, cl_command_queue *queue)
{
    cl_int error = CL_SUCCESS;
    if (clattn__cl_api_get(NULL, &faulty_cl.loaded, &faulty_cl.real) != CLATTN_OK)
        return false;
    *context = faulty_cl.real->clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    if (error == CL_SUCCESS)
        *queue = faulty_cl.real->clCreateCommandQueue(*context, device, 0, &error);
    return error == CL_SUCCESS;
}

void faulty_cl_end(cl_context context, cl_command_queue queue)
{
    faulty_cl.real->clReleaseCommandQueue(queue);
    faulty_cl.real->clReleaseContext(context);
}
