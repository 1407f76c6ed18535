/* Write beside, then rename, on Windows; see replace.h. A signal or a crash leaves the unfinished file, NAME.unfinished. */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <sys/stat.h>
#include <windows.h>

#define MOST_BYTES 4096

static char final_path[MOST_BYTES];
static char unfinished_path[MOST_BYTES + 16];
static int descriptor = -1;

int replace_begin(const char *path)
{
    struct stat existing;
    if (snprintf(final_path, sizeof final_path, "%s", path) >= (int)sizeof final_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (stat(path, &existing) == 0 && !S_ISREG(existing.st_mode)) {
        errno = S_ISDIR(existing.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    snprintf(unfinished_path, sizeof unfinished_path, "%s.unfinished", final_path);
    descriptor =
        _open(unfinished_path, _O_RDWR | _O_CREAT | _O_TRUNC | _O_BINARY, _S_IREAD | _S_IWRITE);
    return descriptor;
}

/* There is nothing to catch: what a signal leaves has a name of its own. */
void replace_guard(void)
{
}

bool replace_commit(void)
{
    bool done = _commit(descriptor) == 0;
    done = _close(descriptor) == 0 && done;
    descriptor = -1;
    if (done && MoveFileExA(unfinished_path, final_path,
                            MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        return true;
    if (done)
        errno = EACCES;
    const int why = errno;
    remove(unfinished_path);
    errno = why;
    return false;
}

void replace_discard(void)
{
    if (descriptor < 0)
        return;
    const int why = errno;
    _close(descriptor);
    remove(unfinished_path);
    descriptor = -1;
    errno = why;
}
