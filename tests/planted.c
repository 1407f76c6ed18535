#include "planted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const planted_fault *fault;
static int planted;

/* The program as it is embedded, or with the fault; never freed, since programs keep it. */
static const clattn__source *source(const char *name)
{
    const clattn__source *const real = clattn__source_find(name);
    if (real == NULL || fault == NULL || (fault->only != NULL && strcmp(fault->only, name) != 0))
        return real;
    for (uint32_t i = 0; i < real->count; i++) {
        char *text = malloc(real->sizes[i] + 1);
        assert_non_null(text);
        memcpy(text, real->texts[i], real->sizes[i]);
        text[real->sizes[i]] = '\0';
        const char *at = strstr(text, fault->from);
        if (at == NULL) {
            free(text);
            continue;
        }
        const size_t room = real->sizes[i] + strlen(fault->to) + 1;
        char *changed = malloc(room);
        const char **texts = malloc(real->count * sizeof *texts);
        size_t *sizes = malloc(real->count * sizeof *sizes);
        clattn__source *made = malloc(sizeof *made);
        assert_true(changed != NULL && texts != NULL && sizes != NULL && made != NULL);
        snprintf(changed, room, "%.*s%s%s", (int)(at - text), text, fault->to,
                 at + strlen(fault->from));
        memcpy(texts, real->texts, real->count * sizeof *texts);
        memcpy(sizes, real->sizes, real->count * sizeof *sizes);
        texts[i] = changed;
        sizes[i] = strlen(changed);
        *made = (clattn__source){real->name, real->count, (const char *const *)texts, sizes};
        free(text);
        planted++;
        return made;
    }
    return real;
}

void planted_begin(const planted_fault *f)
{
    fault = f;
    planted = 0;
    clattn__source_hook = source;
}

int planted_end(void)
{
    clattn__source_hook = NULL;
    return planted;
}
