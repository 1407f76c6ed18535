#include "fault_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fault_codes.h"

#define MOST_CALLS 20000

static support_log heard = SUPPORT_LOG_INIT;
static const char *trace[MOST_CALLS];
static atomic_int live_memory, allocations;
static int failing_allocation;
static long total, total_refused;
static bool armed;
static int armed_calls; /* up to fault_trial_enough() */

clattn_log fault_trial_log(void)
{
    return support_listen(&heard, CLATTN_LOG_ERROR);
}

static void count_memory(int change)
{
    atomic_fetch_add(&live_memory, change);
}

static bool allow(size_t size)
{
    (void)size;
    return atomic_fetch_add(&allocations, 1) + 1 != failing_allocation;
}

void fault_trial_enough(void)
{
    if (armed)
        armed_calls = faulty_cl.calls;
    armed = false;
    faulty_cl_disarm();
    failing_allocation = 0;
}

/* What must be the same before and after. */
typedef struct balance {
    int objects, mapped, memory;
    int64_t bytes;
} balance;

/* A context keeps the programs it has built, each in a piece of memory. */
static balance take_balance(void)
{
    return (balance){.objects = faulty_cl.live - faulty_cl.live_programs,
                     .mapped = faulty_cl.mapped,
                     .memory = atomic_load(&live_memory) - faulty_cl.live_programs,
                     .bytes = faulty_cl.live_bytes};
}

static void check_balance(const fault_scenario *s, const balance *before, const char *when)
{
    const balance now = take_balance();
    const bool same_bytes =
        s->keeps || (now.bytes == before->bytes && now.objects == before->objects &&
                     now.memory == before->memory);

    if (!same_bytes || now.mapped != before->mapped)
        fail_msg("%s, %s: %d objects, %lld bytes, %d mapped, %d pieces of memory; before it were "
                 "%d, %lld, %d, %d",
                 s->name, when, now.objects, (long long)now.bytes, now.mapped, now.memory,
                 before->objects, (long long)before->bytes, before->mapped, before->memory);
    if (faulty_cl.misused != NULL)
        fail_msg("%s, %s: %s of what was not there", s->name, when, faulty_cl.misused);
}

static void arm(int failing, cl_int code)
{
    heard.text[0] = '\0';
    faulty_cl_arm(NULL, failing, code);
    armed = true;
}

static void begin(const fault_scenario *s)
{
    faulty_cl_disarm();
    faulty_cl.live = faulty_cl.live_programs = faulty_cl.mapped = 0;
    faulty_cl.live_bytes = 0;
    faulty_cl.misused = NULL;
    atomic_store(&live_memory, 0);
    clattn__live_hook = count_memory;
    if (s->begin != NULL)
        s->begin(s->user);
}

static void end(const fault_scenario *s, const char *when)
{
    if (s->end != NULL)
        s->end(s->user);
    clattn__live_hook = NULL;
    if (faulty_cl.live != 0 || faulty_cl.live_bytes != 0 || atomic_load(&live_memory) != 0)
        fail_msg("%s, %s: at the end %d objects, %lld bytes and %d pieces of memory remain",
                 s->name, when, faulty_cl.live, (long long)faulty_cl.live_bytes,
                 atomic_load(&live_memory));
}

/* After an attempt: nothing stays behind, and it works now. */
static void check_after(const fault_scenario *s, clattn_status status, const balance *before,
                        const char *when)
{
    fault_trial_enough();
    if (status != CLATTN_OK && !support_heard(&heard, " "))
        fail_msg("%s, %s: %s without a word", s->name, when, clattn_status_name(status));
    check_balance(s, before, when);
    const clattn_status again = s->attempt(s->user);
    if (again != CLATTN_OK)
        fail_msg("%s, %s: %s at first, then %s (\"%s\")", s->name, when, clattn_status_name(status),
                 clattn_status_name(again), heard.text);
    check_balance(s, before, when);
    total++;
    total_refused += status != CLATTN_OK;
}

/* False where the attempt made fewer calls. */
static bool try_call(const fault_scenario *s, int failing, cl_int code)
{
    char when[128] = "without a failure";

    begin(s);
    const balance before = take_balance();
    arm(failing, code);
    const clattn_status status = s->attempt(s->user);
    const char *name = faulty_cl.failed;
    if (name != NULL)
        snprintf(when, sizeof when, "call %d, %s, failed with %d", failing, name, (int)code);
    if (name == NULL ? status != CLATTN_OK
                     : !fault_right(name, code, status) &&
                           (s->right == NULL || !s->right(name, code, status)))
        fail_msg("%s, %s: %s (\"%s\")", s->name, when, clattn_status_name(status), heard.text);
    if (name != NULL)
        check_after(s, status, &before, when);
    end(s, when);
    return name != NULL;
}

/* The calls of an attempt without failures. */
static int trace_calls(const fault_scenario *s)
{
    begin(s);
    arm(0, CL_SUCCESS);
    faulty_cl.trace = trace;
    faulty_cl.trace_room = MOST_CALLS;
    const clattn_status status = s->attempt(s->user);
    fault_trial_enough();
    faulty_cl.trace = NULL;
    const int calls = armed_calls;
    if (status != CLATTN_OK)
        fail_msg("%s: %s without a failure (\"%s\")", s->name, clattn_status_name(status),
                 heard.text);
    end(s, "without a failure");
    assert_in_range(calls, 1, MOST_CALLS);
    return calls;
}

void fault_trial_calls(const fault_scenario *s, fault_depth depth)
{
    const long tried_before = total, refused_before = total_refused;
    const int calls = trace_calls(s);

    for (int k = 1; k <= calls; k += depth.stride) {
        const cl_int *codes = fault_codes(trace[k - 1]);
        int count = 0;
        while (codes[count] != CL_SUCCESS)
            count++;
        const int first = depth.all_codes ? 0 : k % count;
        for (int i = first; i < (depth.all_codes ? count : first + 1); i++)
            if (!try_call(s, k, codes[i]) && !s->threads)
                fail_msg("%s: %d calls once, then fewer than %d", s->name, calls, k);
    }
    print_message("    %-24s %5d calls, %6ld failures tried, %6ld refused\n", s->name, calls,
                  total - tried_before, total_refused - refused_before);
}

/* False where the attempt allocated less often. */
static bool try_allocation(const fault_scenario *s, int failing)
{
    char when[64];

    begin(s);
    const balance before = take_balance();
    arm(0, CL_SUCCESS);
    snprintf(when, sizeof when, "allocation %d failed", failing);
    atomic_store(&allocations, 0);
    failing_allocation = failing;
    clattn__alloc_hook = allow;
    const clattn_status status = s->attempt(s->user);
    clattn__alloc_hook = NULL;
    const bool failed = atomic_load(&allocations) >= failing;
    if (status != CLATTN_OK && (status != CLATTN_E_NOMEM || !failed))
        fail_msg("%s, %s: %s (\"%s\")", s->name, when, clattn_status_name(status), heard.text);
    check_after(s, status, &before, when);
    end(s, when);
    return failed;
}

void fault_trial_allocations(const fault_scenario *s, int stride)
{
    const long tried_before = total, refused_before = total_refused;
    int failing = 1;

    while (try_allocation(s, failing))
        failing += stride;
    print_message("    %-24s %6ld allocations failed, %6ld refused\n", s->name,
                  total - tried_before - 1, total_refused - refused_before);
    total--; /* the last one failed nothing */
    assert_true(total_refused > refused_before);
}

void fault_trial_print_total(void)
{
    print_message("%ld failures tried, %ld of them refused, the others survived\n", total,
                  total_refused);
}
