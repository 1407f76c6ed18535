#include "contexts.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fresh_cl.h"

static const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

bool contexts_reduced(void)
{
    return setting("CLATTN_TEST_REDUCED") != NULL;
}

bool contexts_reduced_for(clattn_type type)
{
    return contexts_reduced() || (type == CLATTN_F16 && setting("CLATTN_TEST_FULL") == NULL);
}

bool contexts_type(clattn_type type)
{
    const char *wanted = setting("CLATTN_TEST_TYPE");
    return wanted == NULL || strcmp(wanted, type == CLATTN_F16 ? "f16" : "f32") == 0;
}

bool contexts_fresh(void)
{
    return setting("CLATTN_TEST_FRESH") != NULL;
}

int contexts_none(void)
{
    fprintf(stderr, "no device to test on\n");
    return setting("CLATTN_TEST_REQUIRE") != NULL ? 1 : 77;
}

/* Whether `text` contains `part`, in any case. */
static bool contains(const char *text, const char *part)
{
    const size_t length = strlen(part);

    for (; strlen(text) >= length; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
    }
    return false;
}

static void add(contexts_list *list, const clattn_device *device, clattn_kernel_shape shape,
                uint32_t work_group)
{
    const char *wanted = setting("CLATTN_TEST_SHAPE");
    const char *only = setting("CLATTN_TEST_WG");
    const bool tile = shape == CLATTN_SHAPE_TILE;

    if (list->count == CONTEXTS_MAX || (wanted != NULL && strcmp(wanted, tile ? "tile" : "wide")))
        return;
    if (tile && only != NULL && strtoul(only, NULL, 10) != work_group)
        return;
    contexts_entry *entry = &list->entries[list->count++];
    *entry = (contexts_entry){.device = device->id, .shape = shape, .work_group = work_group};
    if (tile)
        snprintf(entry->name, sizeof entry->name, "%.128s, tile at work-group %u", device->name,
                 (unsigned)work_group);
    else
        snprintf(entry->name, sizeof entry->name, "%.128s, wide", device->name);
}

static void add_device(contexts_list *list, const clattn_device *device, bool ladder)
{
    static const uint32_t sizes[] = {64, 16, 32, 128, 256};

    /* Mesa's compiler spreads the wide kernels' vectors out to single lanes, which takes it minutes: only when asked for. */
    if (!contains(device->platform, "rusticl") || setting("CLATTN_TEST_SHAPE") != NULL)
        add(list, device, CLATTN_SHAPE_WIDE, 0);
    if (setting("CLATTN_TEST_WG") != NULL)
        ladder = true;
    for (size_t i = 0; i < (ladder ? sizeof sizes / sizeof *sizes : 1); i++)
        if (sizes[i] <= device->max_work_group)
            add(list, device, CLATTN_SHAPE_TILE, sizes[i]);
}

void contexts_find(bool ladder, contexts_list *list)
{
    const char *wanted = setting("CLATTN_TEST_DEVICE");
    clattn_device *devices = NULL;
    size_t count = 0;

    *list = (contexts_list){.count = 0};
    if (wanted == NULL || strcmp(wanted, "cpu") == 0) {
        list->count = 1;
        snprintf(list->entries[0].name, sizeof list->entries[0].name, "CPU path");
        if (wanted != NULL)
            return;
    }
    if (clattn_device_list(NULL, &devices, &count) != CLATTN_OK)
        return;
    for (size_t i = 0; i < count; i++)
        if (devices[i].usable && (wanted == NULL || contains(devices[i].name, wanted) ||
                                  contains(devices[i].platform, wanted)))
            add_device(list, &devices[i], ladder);
    clattn_device_list_free(&devices);
}

static void print_log(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    (void)level;
    print_message("    %s\n", text);
}

/* What CLATTN_TEST_LIMITS says, where the test has not said anything. */
static void set_limits(clattn_context_params *params)
{
    const char *text = setting("CLATTN_TEST_LIMITS");
    unsigned group, bytes;

    if (text == NULL)
        return;
    if (sscanf(text, "%u,%u", &group, &bytes) != 2)
        fail_msg("CLATTN_TEST_LIMITS is \"%s\"; it must be GROUP,BYTES", text);
    if (params->max_work_group == 0)
        params->max_work_group = group;
    if (params->max_local_bytes == 0)
        params->max_local_bytes = bytes;
}

clattn_context *contexts_open_proving(const contexts_entry *entry,
                                      const clattn_context_params *params)
{
    clattn_context_params p = params != NULL ? *params : (clattn_context_params){.threads = 0};
    clattn_context *ctx = NULL;

    if (p.log.fn == NULL)
        p.log = (clattn_log){print_log, NULL, CLATTN_LOG_WARN};
    set_limits(&p);
    p.shape = entry->shape;
    if (entry->shape == CLATTN_SHAPE_TILE)
        p.work_group = entry->work_group;
    const clattn_status status = entry->device != NULL
                                     ? clattn_context_create(entry->device, &p, &ctx)
                                     : clattn_context_create_cpu(&p, &ctx);
    if (status != CLATTN_OK)
        fail_msg("no context on %s: %s", entry->name, clattn_status_name(status));
    if (contexts_fresh())
        fresh_cl_begin(ctx);
    return ctx;
}

clattn_context *contexts_open(const contexts_entry *entry, const clattn_context_params *params)
{
    clattn_context_params p = params != NULL ? *params : (clattn_context_params){.threads = 0};

    p.selftest = CLATTN_SELFTEST_OFF;
    return contexts_open_proving(entry, &p);
}

clattn_context *contexts_open_first(const contexts_list *list, clattn_kernel_shape shape,
                                    const clattn_context_params *params)
{
    for (int i = 0; i < list->count; i++)
        if (list->entries[i].device != NULL && list->entries[i].shape == shape)
            return contexts_open_proving(&list->entries[i], params);
    return NULL;
}
