/*
 * A driver that refuses work-groups which the device's own limits allow (registers, or a limit of its own per kernel): the plan
 * tries smaller ones, so that no run is refused, and results stay right. The driver is the real one, with a lower limit put before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/context.h"
#include "case_agent_run.h"
#include "cl/api.h"
#include "contexts.h"
#include "support.h"

static clattn__cl_api limited_table;
static const clattn__cl_api *real_table;
static size_t limit, largest;
static int refused;

static cl_int CL_API_CALL limited_launch(cl_command_queue queue, cl_kernel kernel,
                                         cl_uint dimensions, const size_t *first,
                                         const size_t *global, const size_t *local,
                                         cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    const size_t items = local != NULL ? local[0] * local[1] * local[2] : 1;
    if (items > limit) {
        refused++;
        return CL_INVALID_WORK_GROUP_SIZE;
    }
    largest = items > largest ? items : largest;
    return real_table->clEnqueueNDRangeKernel(queue, kernel, dimensions, first, global, local,
                                              wait_count, wait, event);
}

/* Every kernel of agent attention: several leaves, a convolution that is too large to be fused. */
static const case_agent all_kernels = {.desc = {.batch = 1,
                                                .heads = 1,
                                                .head_dim = 8,
                                                .height = 23,
                                                .width = 23,
                                                .agent_height = 1,
                                                .agent_width = 3,
                                                .dwc_size = 7}};

static const contexts_entry *entry;

static void check_limit(size_t items)
{
    support_log heard = SUPPORT_LOG_INIT;
    const clattn_context_params params = {.log = support_listen(&heard, CLATTN_LOG_WARN)};
    const int64_t count = case_agent_count(&all_kernels, STEP_WHOLE);
    float *result = malloc((size_t)count * sizeof *result);
    case_agent_data data;
    agent_run run;

    assert_non_null(result);
    limit = items;
    largest = 0;
    refused = 0;
    clattn__cl_api_hook = &limited_table;
    clattn_context *ctx = contexts_open(entry, &params);
    clattn__cl_api_hook = NULL;
    case_agent_fill(&all_kernels, 1, &data);
    case_agent_answer(&all_kernels, &data);
    agent_run_open(&run, ctx, GUARD_TOKENS, &all_kernels, &data);
    agent_run_step(&run, STEP_WHOLE, result);
    check_close("agent_attention", "small work-groups", result, data.answer[STEP_WHOLE], count,
                case_agent_tolerance(STEP_WHOLE, CLATTN_F32));
    assert_true(refused > 0 && largest > items / 2);
    assert_int_equal(heard.count, 2 * refused); /* the driver's words, and what is done about it */
    assert_int_equal(heard.level, CLATTN_LOG_WARN);
    agent_run_close(&run);
    case_agent_free(&data);
    clattn_context_destroy(&ctx);
    free(result);
}

/* The tile shape ends at 16 items: below that the wide kernels run, which test_wide has. */
static void test_tile(void **state)
{
    (void)state;
    check_limit(33);
    check_limit(16);
}

static void test_wide(void **state)
{
    (void)state;
    check_limit(24);
    check_limit(1);
}

int main(void)
{
    const struct CMUnitTest tile[] = {cmocka_unit_test(test_tile)};
    const struct CMUnitTest wide[] = {cmocka_unit_test(test_wide)};
    clattn__cl_api loaded;
    contexts_list list;
    int failed = 0;
    int found = 0;

    contexts_find(false, &list);
    for (int i = 0; i < list.count; i++) {
        entry = &list.entries[i];
        if (entry->device == NULL)
            continue;
        if (found++ == 0 && clattn__cl_api_get(NULL, &loaded, &real_table) != CLATTN_OK)
            return 1;
        limited_table = *real_table;
        limited_table.clEnqueueNDRangeKernel = limited_launch;
        print_message("on %s\n", entry->name);
        failed += entry->shape == CLATTN_SHAPE_TILE
                      ? cmocka_run_group_tests_name("tile", tile, NULL, NULL)
                      : cmocka_run_group_tests_name("wide", wide, NULL, NULL);
    }
    return found == 0 ? contexts_none() : failed != 0;
}
