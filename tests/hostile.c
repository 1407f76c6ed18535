#include "hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static hostile current = {.log = SUPPORT_LOG_INIT};

void hostile_enter(const contexts_entry *entry)
{
    current.entry = entry;
}

int hostile_open(void **state)
{
    const clattn_context_params listening = {.log = support_listen(&current.log, CLATTN_LOG_ERROR)};
    current.ctx = contexts_open(current.entry, &listening);
    current.other = contexts_open(current.entry, NULL);
    *state = &current;
    return 0;
}

int hostile_close(void **state)
{
    (void)state;
    clattn_context_destroy(&current.other);
    clattn_context_destroy(&current.ctx);
    return 0;
}

void check_refused(hostile *h, const char *what, clattn_status expected, clattn_status status,
                   const char *const parts[3])
{
    if (status != expected)
        fail_msg("%s: %s instead of %s (log: \"%s\")", what, clattn_status_name(status),
                 clattn_status_name(expected), h->log.text);
    for (int i = 0; i < 3 && parts[i] != NULL; i++)
        if (!support_heard(&h->log, parts[i]))
            fail_msg("%s: the log says \"%s\", without \"%s\"", what, h->log.text, parts[i]);
    h->log.text[0] = '\0';
}
