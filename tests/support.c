#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contexts.h"

static void listen(void *user, clattn_log_level level, const char *text)
{
    support_log *log = user;
    pthread_mutex_lock(&log->lock);
    log->count++;
    log->level = level;
    snprintf(log->text, sizeof log->text, "%s", text);
    pthread_mutex_unlock(&log->lock);
}

clattn_log support_listen(support_log *log, clattn_log_level level)
{
    return (clattn_log){.fn = listen, .user = log, .level = level};
}

bool support_heard(support_log *log, const char *part)
{
    pthread_mutex_lock(&log->lock);
    bool heard = strstr(log->text, part) != NULL;
    pthread_mutex_unlock(&log->lock);
    return heard;
}

bool support_only_cpu(void)
{
    const char *wanted = getenv("CLATTN_TEST_DEVICE");
    return wanted && strcmp(wanted, "cpu") == 0;
}

/* The first OpenCL entry, else the CPU path. */
static contexts_entry first_entry(void)
{
    contexts_list list;
    contexts_find(false, &list);
    for (int i = 0; i < list.count; i++)
        if (list.entries[i].device)
            return list.entries[i];
    return (contexts_entry){.name = "CPU path"};
}

cl_device_id support_device(void)
{
    return first_entry().device;
}

clattn_context *support_context(support_log *log)
{
    contexts_entry entry = first_entry();
    clattn_context_params params = {.log = support_listen(log, CLATTN_LOG_WARN)};
    return contexts_open(&entry, &params);
}
