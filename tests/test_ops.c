/*
 * Every operator on every context (contexts.h) against the oracle, on the fixed shapes of the case files: 1, odd, prime, just
 * beside the sizes of tiles and leaves, every form, both types of storage. Answers are computed once for all contexts; tensor layouts
 * take turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "case_run.h"
#include "contexts.h"

#define SEED UINT64_C(0x5eed)

#define TYPES 2 /* of storage: CLATTN_F32, CLATTN_F16 */

/* Each operator's shapes in one type, with one case's data each. */
typedef struct answers {
    size_t agents, attentions, dwcs, smooths;
    case_agent *agent;
    case_attention *attention;
    case_dwc *dwc;
    const case_smooth *smooth;
    case_agent_data *agent_data;
    case_attention_data *attention_data;
    case_dwc_data *dwc_data;
    case_smooth_data *smooth_data;
} answers;

static void *zeroed(size_t count, size_t size)
{
    void *array = calloc(count, size);
    if (array == NULL)
        abort();
    return array;
}

static void *copied(const void *from, size_t count, size_t size)
{
    return memcpy(zeroed(count, size), from, count * size);
}

/* The smoothing filter has one type. */
static void make_cases(clattn_type type, answers *all)
{
    const bool small = contexts_reduced_for(type);
    const case_agent *agent = case_agent_list(small, &all->agents);
    const case_attention *attention = case_attention_list(small, &all->attentions);
    const case_dwc *dwc = case_dwc_list(small, &all->dwcs);

    all->agent = copied(agent, all->agents, sizeof *agent);
    all->attention = copied(attention, all->attentions, sizeof *attention);
    all->dwc = copied(dwc, all->dwcs, sizeof *dwc);
    all->smooth = case_smooth_list(small, &all->smooths);
    if (type != CLATTN_F32)
        all->smooths = 0;
    for (size_t i = 0; i < all->agents; i++)
        all->agent[i].desc.type = type;
    for (size_t i = 0; i < all->attentions; i++)
        all->attention[i].desc.type = type;
    for (size_t i = 0; i < all->dwcs; i++)
        all->dwc[i].desc.type = type;
}

static void make_answers(clattn_type type, answers *all)
{
    make_cases(type, all);
    all->agent_data = zeroed(all->agents, sizeof *all->agent_data);
    all->attention_data = zeroed(all->attentions, sizeof *all->attention_data);
    all->dwc_data = zeroed(all->dwcs, sizeof *all->dwc_data);
    all->smooth_data = zeroed(all->smooths, sizeof *all->smooth_data);
    for (size_t i = 0; i < all->agents; i++) {
        case_agent_fill(&all->agent[i], SEED + i, &all->agent_data[i]);
        case_agent_answer(&all->agent[i], &all->agent_data[i]);
    }
    for (size_t i = 0; i < all->attentions; i++)
        case_attention_make(&all->attention[i], SEED + i, 1, &all->attention_data[i]);
    for (size_t i = 0; i < all->dwcs; i++)
        case_dwc_make(&all->dwc[i], SEED + i, 1, &all->dwc_data[i]);
    for (size_t i = 0; i < all->smooths; i++)
        case_smooth_make(&all->smooth[i], SEED + i, 1, &all->smooth_data[i]);
}

static void free_answers(answers *all)
{
    for (size_t i = 0; i < all->agents; i++)
        case_agent_free(&all->agent_data[i]);
    for (size_t i = 0; i < all->attentions; i++)
        case_attention_free(&all->attention_data[i]);
    for (size_t i = 0; i < all->dwcs; i++)
        case_dwc_free(&all->dwc_data[i]);
    for (size_t i = 0; i < all->smooths; i++)
        case_smooth_free(&all->smooth_data[i]);
    free(all->agent);
    free(all->attention);
    free(all->dwc);
    free(all->agent_data);
    free(all->attention_data);
    free(all->dwc_data);
    free(all->smooth_data);
}

/* The group's state. */
typedef struct setup {
    const contexts_entry *entry;
    int number; /* of the entry: layouts start elsewhere on each */
    answers *all;
    clattn_context *ctx;
} setup;

static setup current;

static guard_layout layout_of(const setup *s, size_t i)
{
    return (guard_layout)(((size_t)s->number + i) % GUARD_LAYOUTS);
}

/*
 * Building kernels takes longer than running them: of the tile shape, only one work-group size gets every head width, the
 * others one that every tile divides and one that none does.
 */
static bool has_width(const setup *s, int64_t head_dim)
{
    const bool brief = s->entry->shape == CLATTN_SHAPE_TILE && s->entry->work_group != 64;
    return !brief || head_dim == 8 || head_dim == 17;
}

static void test_agent_attention(void **state)
{
    const setup *s = *state;

    for (size_t i = 0; i < s->all->agents; i++)
        if (has_width(s, s->all->agent[i].desc.head_dim))
            agent_run_check(s->ctx, layout_of(s, i), &s->all->agent[i], &s->all->agent_data[i]);
}

static void test_attention(void **state)
{
    const setup *s = *state;

    for (size_t i = 0; i < s->all->attentions; i++)
        if (has_width(s, s->all->attention[i].desc.head_dim))
            case_attention_check(s->ctx, layout_of(s, i), &s->all->attention[i],
                                 &s->all->attention_data[i]);
}

static void test_dwc(void **state)
{
    const setup *s = *state;

    for (size_t i = 0; i < s->all->dwcs; i++)
        case_dwc_check(s->ctx, layout_of(s, i), &s->all->dwc[i], &s->all->dwc_data[i]);
}

static void test_smooth(void **state)
{
    const setup *s = *state;

    for (size_t i = 0; i < s->all->smooths; i++)
        case_smooth_check(s->ctx, layout_of(s, i), &s->all->smooth[i], &s->all->smooth_data[i]);
}

/* The context runs the kernel shape and the work-group size that it was asked for. */
static void test_variant(void **state)
{
    const setup *s = *state;
    clattn_plan *plan = NULL;
    clattn_plan_info info;

    assert_int_equal(clattn_agent_aggregate_plan(s->ctx, &s->all->agent[1].desc, &plan), CLATTN_OK);
    clattn_plan_get_info(plan, &info);
    if (s->entry->shape == CLATTN_SHAPE_TILE)
        assert_int_equal(info.work_group, s->entry->work_group);
    else
        assert_int_equal(info.work_group, 1);
    clattn_plan_destroy(&plan);
}

static int open_context(void **state)
{
    current.ctx = contexts_open(current.entry, NULL);
    *state = &current;
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    clattn_context_destroy(&current.ctx);
    return 0;
}

/* The argument: a test's name, `*` and `?` as in a shell; without one all tests run. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variant),   cmocka_unit_test(test_agent_attention),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_dwc),
        cmocka_unit_test(test_smooth),
    };
    contexts_list list;
    int failed = 0;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    contexts_find(true, &list);
    if (list.count == 0)
        return contexts_none();
    for (int type = 0; type < TYPES; type++) {
        answers all = {.agents = 0};
        if (!contexts_type((clattn_type)type))
            continue;
        make_answers((clattn_type)type, &all);
        for (int i = 0; i < list.count; i++) {
            current = (setup){.entry = &list.entries[i], .number = i, .all = &all};
            print_message("on %s, %s\n", list.entries[i].name, type == CLATTN_F16 ? "f16" : "f32");
            failed += cmocka_run_group_tests(tests, open_context, close_context);
        }
        free_answers(&all);
    }
    return failed != 0;
}
