/* What a plan is tuned with, as text. */
#include <stdio.h>
#include <string.h>

#include "clattn/tune.h"
#include "ops/plan.h"

/* The tuned kernels of a plan and its children; the first where several are of the same name, type and tile. */
#define MOST_TUNED 16
typedef struct tuned_list {
    const clattn__tuned *tuned[MOST_TUNED];
    int count;
} tuned_list;

static void list_tuned(const clattn_plan *plan, tuned_list *list)
{
    for (int i = 0; i < CLATTN__MAX_KERNELS; i++) {
        const clattn__tuned *const t = &plan->tuned[i];
        bool wanted = t->kernel != NULL && list->count < MOST_TUNED;
        for (int k = 0; k < list->count; k++)
            wanted =
                wanted && (list->tuned[k]->kernel != t->kernel || list->tuned[k]->type != t->type ||
                           list->tuned[k]->values.work_group != t->values.work_group);
        if (wanted)
            list->tuned[list->count++] = t;
    }
    for (int i = 0; i < CLATTN__MAX_CHILDREN; i++)
        if (plan->children[i] != NULL)
            list_tuned(plan->children[i], list);
}

size_t clattn_plan_tuning(const clattn_plan *plan, char *text, size_t size)
{
    char line[320];
    tuned_list list = {.count = 0};
    size_t length = 0;

    if (size > 0)
        text[0] = '\0';
    if (clattn__plan_valid(plan))
        list_tuned(plan, &list);
    for (int i = 0; i < list.count; i++) {
        const clattn__tuned *const t = list.tuned[i];
        const size_t row =
            clattn__tune_write(t->kernel, (int32_t)t->type, t->values, line, sizeof line);
        snprintf(line + row, sizeof line - row, " # %s\n", t->source);
        if (length < size)
            snprintf(text + length, size - length, "%s", line);
        length += strlen(line);
    }
    return length;
}
