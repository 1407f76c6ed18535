/*
 * For programs as they are: preloaded, it lets one operation of the program fail, and counts what is left at its end. Operations are of
 * one kind at a time:
 *     call         of OpenCL, by the library (faulty_cl.h)
 *     allocation   of host memory, by the program or the library
 *     file         operations on files, by the program, the library or libvips
 * Those of drivers and other libraries are theirs.
 *
 *     CLATTN_FAIL          "KIND NUMBER CODE": operation NUMBER, from 1, fails with CODE; 0: none. CODE is OpenCL's, for calls; any for
 *                          others. An operation is named by its function.
 *     CLATTN_FAIL_REPORT   a file that gets, when the program ends by itself, a line
 *                              NUMBER OBJECTS MAPPED PIECES FAILED MISUSED
 *                          of the operations, the objects of OpenCL, mapped buffers and pieces of memory that remain, the function that
 *                          failed and the one that released what was not there ("-": none); then the function of each operation, a line
 *                          each.
 */
#define _GNU_SOURCE /* RTLD_NEXT, dl_iterate_phdr */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faulty_cl.h"

#define MOST_OPERATIONS 20000
#define MOST_PIECES     20000

/* glibc's own: they serve before dlsym() can be asked. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

static enum { NOTHING, CALL, ALLOCATION, FILE_OPERATION } kind;

/* Where the code of a library lies. */
typedef struct range {
    uintptr_t start, end;
} range;
static range program, library, pictures;

/* Guards the rest. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int failing, operations;
static const char *failed;
static const char *trace[MOST_OPERATIONS];
static const void *pieces[MOST_PIECES]; /* of memory, alive */
static int piece_count;

static bool within(const range *r, const void *caller)
{
    return (uintptr_t)caller >= r->start && (uintptr_t)caller < r->end;
}

/* True where this operation is to fail. */
static bool fails(const char *name)
{
    pthread_mutex_lock(&lock);
    const bool now = ++operations == failing;
    if (now)
        failed = name;
    if (operations <= MOST_OPERATIONS)
        trace[operations - 1] = name;
    pthread_mutex_unlock(&lock);
    return now;
}

/* Host memory. ------------------------------------------------------------- */

static bool is_ours(const void *caller)
{
    return within(&program, caller) || within(&library, caller);
}

static bool allocation_fails(const char *name, const void *caller)
{
    if (kind != ALLOCATION || !is_ours(caller) || !fails(name))
        return false;
    errno = ENOMEM;
    return true;
}

static void *keep(void *piece, const void *caller)
{
    if (kind != NOTHING && piece != NULL && is_ours(caller)) {
        pthread_mutex_lock(&lock);
        if (piece_count < MOST_PIECES)
            pieces[piece_count++] = piece;
        pthread_mutex_unlock(&lock);
    }
    return piece;
}

static void drop(const void *piece, const void *caller)
{
    if (kind == NOTHING || piece == NULL || !is_ours(caller))
        return;
    pthread_mutex_lock(&lock);
    for (int i = piece_count - 1; i >= 0; i--)
        if (pieces[i] == piece) {
            pieces[i] = pieces[--piece_count];
            break;
        }
    pthread_mutex_unlock(&lock);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    return allocation_fails("malloc", CALLER) ? NULL : keep(__libc_malloc(size), CALLER);
}

void *calloc(size_t count, size_t size)
{
    return allocation_fails("calloc", CALLER) ? NULL : keep(__libc_calloc(count, size), CALLER);
}

void *realloc(void *pointer, size_t size)
{
    if (allocation_fails("realloc", CALLER))
        return NULL;
    drop(pointer, CALLER);
    return keep(__libc_realloc(pointer, size), CALLER);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (allocation_fails("aligned_alloc", CALLER))
        return NULL;
    return keep(__libc_memalign(alignment, size), CALLER);
}

void free(void *pointer)
{
    drop(pointer, CALLER);
    __libc_free(pointer);
}

/* Files. A close that fails has closed; so it is with others that end something. -- */

static bool file_fails(const char *name, int code, const void *caller)
{
    if (kind != FILE_OPERATION || (!is_ours(caller) && !within(&pictures, caller)) || !fails(name))
        return false;
    errno = code;
    return true;
}

#define FIND(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (real == NULL) {                                                                            \
        void *const found = dlsym(RTLD_NEXT, #name);                                               \
        memcpy(&real, &found, sizeof real); /* no cast from an object to a function in C */        \
    }
#define FILE_CALL(result, name, parameters, arguments, code, none)                                 \
    result name parameters                                                                         \
    {                                                                                              \
        FIND(name)                                                                                 \
        return file_fails(#name, code, CALLER) ? none : real arguments;                            \
    }
#define ENDING_CALL(result, name, parameters, arguments, code)                                     \
    result name parameters                                                                         \
    {                                                                                              \
        FIND(name)                                                                                 \
        const result done = real arguments;                                                        \
        return file_fails(#name, code, CALLER) ? -1 : done;                                        \
    }
FILE_CALL(ssize_t, read, (int file, void *bytes, size_t count), (file, bytes, count), EIO, -1)
FILE_CALL(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count), ENOSPC,
          -1)
FILE_CALL(int, fsync, (int file), (file), EIO, -1)
FILE_CALL(int, rename, (const char *from, const char *to), (from, to), EACCES, -1)
FILE_CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), EACCES, -1)
FILE_CALL(int, access, (const char *path, int mode), (path, mode), EACCES, -1)
FILE_CALL(int, dup, (int file), (file), EMFILE, -1)
FILE_CALL(int, fchmod, (int file, mode_t mode), (file, mode), EPERM, -1)
FILE_CALL(char *, realpath, (const char *path, char *resolved), (path, resolved), EACCES, NULL)
FILE_CALL(FILE *, fopen64, (const char *path, const char *mode), (path, mode), EACCES, NULL)
FILE_CALL(size_t, fread, (void *bytes, size_t size, size_t count, FILE *stream),
          (bytes, size, count, stream), EIO, 0)
FILE_CALL(int, mkstemp64, (char *path), (path), EACCES, -1)
FILE_CALL(int, stat64, (const char *path, struct stat64 *about), (path, about), EACCES, -1)
FILE_CALL(int, fstat64, (int file, struct stat64 *about), (file, about), EIO, -1)
ENDING_CALL(int, close, (int file), (file), EIO)
ENDING_CALL(int, fclose, (FILE * stream), (stream), ENOSPC)

int open64(const char *path, int flags, ...)
{
    FIND(open64)
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return file_fails("open64", EACCES, CALLER) ? -1 : real(path, flags, mode);
}

/* OpenCL. ------------------------------------------------------------------ */

static clattn__cl_api next;

#define FORWARD(result, name, parameters, arguments)                                               \
    result CL_API_CALL name parameters                                                             \
    {                                                                                              \
        return kind == CALL ? faulty_cl_table.name arguments : next.name arguments;                \
    }
CLATTN__CL_CALLS(FORWARD)

/* For faulty_cl.c, which asks the library. */
clattn_status clattn__cl_api_get(const clattn_log *log, clattn__cl_api *loaded,
                                 const clattn__cl_api **api)
{
    (void)log, (void)loaded;
    *api = &next;
    return CLATTN_OK;
}

#define RESOLVE(result, name, parameters, arguments)                                               \
    found = dlsym(RTLD_NEXT, #name);                                                               \
    memcpy(&next.name, &found, sizeof found);
static void resolve(void)
{
    void *found = NULL;
    CLATTN__CL_CALLS(RESOLVE)
}

/* Begin and end. ----------------------------------------------------------- */

static int find_range(struct dl_phdr_info *info, size_t size, void *user)
{
    range *const r = strstr(info->dlpi_name, "libclattn.so") != NULL  ? &library
                     : strstr(info->dlpi_name, "libvips.so") != NULL  ? &pictures
                     : info->dlpi_name[0] == '\0' && program.end == 0 ? &program
                                                                      : NULL;
    (void)size, (void)user;
    for (int i = 0; r != NULL && i < info->dlpi_phnum; i++) {
        const uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0)
            *r = (range){start, start + info->dlpi_phdr[i].p_memsz};
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const kinds[] = {
        [CALL] = "call", [ALLOCATION] = "allocation", [FILE_OPERATION] = "file"};
    const char *const text = getenv("CLATTN_FAIL");
    char word[16];
    int number = 0, code = 0;
    resolve();
    dl_iterate_phdr(find_range, NULL);
    unsetenv("LD_PRELOAD"); /* a driver's compiler starts programs of its own */
    if (text == NULL || sscanf(text, "%15s %d %d", word, &number, &code) != 3)
        return;
    faulty_cl.real = &next;
    faulty_cl.trace = trace;
    faulty_cl.trace_room = MOST_OPERATIONS;
    faulty_cl_arm(NULL, number, code);
    failing = number;
    for (int i = CALL; i <= FILE_OPERATION; i++)
        if (strcmp(word, kinds[i]) == 0)
            kind = i;
}

__attribute__((destructor)) static void end(void)
{
    const char *const path = getenv("CLATTN_FAIL_REPORT");
    const int count = kind == CALL ? faulty_cl.calls : operations;
    const char *const name = kind == CALL ? faulty_cl.failed : failed;
    const char *const misused = faulty_cl.misused;
    kind = NOTHING;
    FILE *const report = path != NULL ? fopen(path, "w") : NULL;
    if (report == NULL)
        return;
    fprintf(report, "%d %d %d %d %s %s\n", count, faulty_cl.live, faulty_cl.mapped, piece_count,
            name != NULL ? name : "-", misused != NULL ? misused : "-");
    for (int i = 0; i < count && i < MOST_OPERATIONS; i++)
        fprintf(report, "%s\n", trace[i]);
    fclose(report);
}
