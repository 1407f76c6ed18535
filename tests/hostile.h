/* What the tests of bad calls share: a context that is listened to, and a check of what it said. */
#ifndef CLATTN_TESTS_HOSTILE_H
#define CLATTN_TESTS_HOSTILE_H

#include "contexts.h"
#include "support.h"

/* The group's state: `other` is a context of the same kind, whose memory and handles are foreign to `ctx`. */
typedef struct hostile {
    const contexts_entry *entry;
    support_log log;
    clattn_context *ctx, *other;
} hostile;

/* Runs the tests once per context of the environment; what main returns. */
#define HOSTILE_MAIN(tests)                                                                        \
    int main(void)                                                                                 \
    {                                                                                              \
        contexts_list list;                                                                        \
        int failed = 0;                                                                            \
        contexts_find(false, &list);                                                               \
        if (list.count == 0)                                                                       \
            return contexts_none();                                                                \
        for (int i = 0; i < list.count; i++) {                                                     \
            print_message("on %s\n", list.entries[i].name);                                        \
            hostile_enter(&list.entries[i]);                                                       \
            failed += cmocka_run_group_tests(tests, hostile_open, hostile_close);                  \
        }                                                                                          \
        return failed != 0;                                                                        \
    }

void hostile_enter(const contexts_entry *entry);
int hostile_open(void **state);
int hostile_close(void **state);

/* Fails unless `status` is `expected` and the last sentence holds each of up to three parts: argument, value, limit. */
void check_refused(hostile *h, const char *what, clattn_status expected, clattn_status status,
                   const char *const parts[3]);

#endif
