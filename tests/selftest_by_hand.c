/*
 * The self-test by hand on one device, up to the first kernel that computes wrongly; tools/mutation judges by it. The program `clattn
 * doctor` goes on from there, through all that may take such a kernel's place. Arguments: part of the device's name, tile or wide, and
 * the largest work-group of the tile shape where it is not the library's choice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clattn/clattn.h>

/* A context's callbacks cannot stop the test: the process ends. */
static void stop_at_failure(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", text);
    if (strstr(text, "fails the self-test"))
        _Exit(1);
}

int main(int argc, char **argv)
{
    const clattn_log log = {.fn = stop_at_failure, .level = CLATTN_LOG_WARN};
    clattn_context_params params = {.log = log, .selftest = CLATTN_SELFTEST_OFF};
    clattn_context *ctx = NULL;
    clattn_device *devices = NULL;
    size_t count = 0, found = 0;
    if (argc < 3)
        return 2;
    if (argc > 3)
        params.work_group = (uint32_t)strtoul(argv[3], NULL, 10);
    params.shape = strcmp(argv[2], "wide") == 0 ? CLATTN_SHAPE_WIDE : CLATTN_SHAPE_TILE;
    if (clattn_device_list(&log, &devices, &count) != CLATTN_OK)
        return 2;
    while (found < count && !strstr(devices[found].name, argv[1]))
        found++;
    if (found == count || clattn_context_create(devices[found].id, &params, &ctx) != CLATTN_OK) {
        clattn_device_list_free(&devices);
        return 2;
    }
    const clattn_status status = clattn_context_selftest(ctx);
    clattn_context_destroy(&ctx);
    clattn_device_list_free(&devices);
    return status == CLATTN_OK ? 0 : 1;
}
