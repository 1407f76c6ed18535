/* Write beside, then rename; see replace.h. */
#define _XOPEN_SOURCE 700

#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The names are longer than any the system accepts; a signal handler may only touch what is static. */
static char final_path[PATH_MAX + 1];
static char unfinished_path[PATH_MAX + 32];
static volatile sig_atomic_t unfinished;
static int descriptor = -1;

/* The user's, and those of a crash: an OpenCL driver runs in our process and may abort it. */
static const int ending_signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGPIPE,
                                     SIGABRT, SIGSEGV, SIGBUS, SIGFPE,  SIGILL};
#define ENDING_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

/* SA_RESETHAND has restored the default action, so raising the signal again ends the program as it asked for. */
static void on_ending_signal(int signal_number)
{
    if (unfinished)
        unlink(unfinished_path);
    raise(signal_number);
}

static void catch_signal(int signal_number)
{
    struct sigaction action = {.sa_handler = on_ending_signal};
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void catch_ending_signals(void)
{
    for (size_t i = 0; i < ENDING_SIGNALS; ++i) {
        struct sigaction before;
        /* A signal that the caller ignores (nohup) or that somebody handles stays as it is. */
        if (sigaction(ending_signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            catch_signal(ending_signals[i]);
    }
    /* A write beyond a file size limit shall fail with EFBIG, like one to a full disk, not end the program. */
    signal(SIGXFSZ, SIG_IGN);
}

/* abort() would see LLVM's handler return, and end the program with the file still there; SIGQUIT would not end it at all. */
void replace_guard(void)
{
    static const int swallowed[] = {SIGABRT, SIGQUIT};
    for (size_t i = 0; i < sizeof swallowed / sizeof swallowed[0]; ++i) {
        struct sigaction before;
        if (sigaction(swallowed[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            catch_signal(swallowed[i]);
    }
}

/* Fills final_path, and `mode` with the permissions the file shall have. */
static bool resolve(const char *path, mode_t *mode)
{
    struct stat existing;
    if (stat(path, &existing) == 0) {
        if (!S_ISREG(existing.st_mode)) {
            errno = S_ISDIR(existing.st_mode) ? EISDIR : EINVAL;
            return false;
        }
        *mode = existing.st_mode & 0777;
        return access(path, W_OK) == 0 && realpath(path, final_path) != NULL;
    }
    if (errno != ENOENT)
        return false;
    size_t length = strlen(path);
    if (length == 0 || length > PATH_MAX) {
        errno = length == 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    const mode_t mask = umask(0);
    umask(mask);
    *mode = 0666 & ~mask;
    memcpy(final_path, path, length + 1);
    return true;
}

/* The name is unique by the process number; a left-over of a killed process with the same number is in nobody's use. */
static bool create(mode_t mode)
{
    const char *slash = strrchr(final_path, '/');
    const int folder = slash ? (int)(slash - final_path) + 1 : 0;
    snprintf(unfinished_path, sizeof unfinished_path, "%.*s.clattn-%ld.part", folder, final_path,
             (long)getpid());
    sigset_t ending, before;
    sigemptyset(&ending);
    for (size_t i = 0; i < ENDING_SIGNALS; ++i)
        sigaddset(&ending, ending_signals[i]);
    /* Between creating the file and noting that it exists no signal may come. */
    sigprocmask(SIG_BLOCK, &ending, &before);
    unlink(unfinished_path);
    descriptor = open(unfinished_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    unfinished = descriptor >= 0;
    const int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return descriptor >= 0 && fchmod(descriptor, mode) == 0;
}

int replace_begin(const char *path)
{
    mode_t mode;
    if (!resolve(path, &mode))
        return -1;
    catch_ending_signals();
    if (!create(mode)) {
        replace_discard();
        return -1;
    }
    return descriptor;
}

bool replace_commit(void)
{
    /* Some file systems cannot sync (EINVAL); everything else is a write that failed. */
    if (fsync(descriptor) != 0 && errno != EINVAL) {
        replace_discard();
        return false;
    }
    const int closed = close(descriptor);
    descriptor = -1;
    if (closed != 0 || rename(unfinished_path, final_path) != 0) {
        replace_discard();
        return false;
    }
    unfinished = 0;
    return true;
}

void replace_discard(void)
{
    const int error = errno;
    if (descriptor >= 0)
        close(descriptor);
    descriptor = -1;
    if (unfinished)
        unlink(unfinished_path);
    unfinished = 0;
    errno = error;
}
