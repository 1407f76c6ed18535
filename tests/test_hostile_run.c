/*
 * Bad runs and bad bias handles. Every refusal gives its status and says which argument, which value and which limit; no
 * output changes by a bit. Runs on every device and on the CPU path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "case_agent_run.h"
#include "hostile.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Every tensor is used; class tokens, two pictures, two heads. */
static const case_agent plain = {
    .desc = {.batch = 2,
             .heads = 2,
             .head_dim = 8,
             .height = 6,
             .width = 8,
             .class_tokens = 1,
             .agent_height = 2,
             .agent_width = 2,
             .agents_given = 1,
             .has_bias = 1,
             .has_key_bias = 1,
             .has_agent_vector = 1,
             .dwc_size = 3,
             .has_dwc_bias = 1,
             .v_shortcut = 0.5f},
    .trained_agents_h = 2,
    .trained_agents_w = 2,
    .trained_h = 7,
    .trained_w = 7,
};

/* The tensors of the case and a plan with its workspace. */
typedef struct bench {
    hostile *h;
    case_agent_data data;
    agent_run run;
    clattn_plan *plan;
    clattn_workspace *ws;
} bench;

static void bench_open(bench *b, hostile *h)
{
    *b = (bench){.h = h};
    case_agent_fill(&plain, 1, &b->data);
    agent_run_open(&b->run, h->ctx, GUARD_TOKENS, &plain, &b->data);
    assert_int_equal(clattn_agent_attention_plan(h->ctx, &plain.desc, &b->plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(b->plan, &b->ws), CLATTN_OK);
}

static void bench_close(bench *b)
{
    clattn_workspace_destroy(&b->ws);
    clattn_plan_destroy(&b->plan);
    agent_run_close(&b->run);
    case_agent_free(&b->data);
}

/* Runs with these arguments; it must be refused, and the output stay all poison. */
static void refuse(bench *b, const char *what, const clattn_agent_attention_args *args,
                   clattn_status expected, const char *const parts[3])
{
    check_refused(b->h, what, expected, clattn_agent_attention_run(b->plan, b->ws, args, NULL),
                  parts);
    assert_int_equal(clattn_context_finish(b->h->ctx), CLATTN_OK);
    guard_check_untouched(&b->run.out[STEP_WHOLE], what);
}

/* The tensors of the arguments, by name. */
static const struct {
    const char *name;
    size_t offset;
} tensors[] = {
    {"q", offsetof(clattn_agent_attention_args, q)},
    {"k", offsetof(clattn_agent_attention_args, k)},
    {"v", offsetof(clattn_agent_attention_args, v)},
    {"agents", offsetof(clattn_agent_attention_args, agents)},
    {"key_bias", offsetof(clattn_agent_attention_args, key_bias)},
    {"agent_vector", offsetof(clattn_agent_attention_args, agent_vector)},
    {"out", offsetof(clattn_agent_attention_args, out)},
};

static const clattn_tensor *get_tensor(const clattn_agent_attention_args *args, size_t i)
{
    const clattn_tensor *tensor;
    memcpy(&tensor, (const char *)args + tensors[i].offset, sizeof tensor);
    return tensor;
}

static void set_tensor(clattn_agent_attention_args *args, size_t i, const clattn_tensor *tensor)
{
    memcpy((char *)args + tensors[i].offset, &tensor, sizeof tensor);
}

#define FIELD(field) .what = #field, .offset = offsetof(clattn_tensor, field)

/* What is wrong with a tensor, each in turn. `value` is an int64 but for the type. */
static const struct {
    const char *what;
    size_t offset;
    int64_t value;
    clattn_status status;
    const char *part;
} faults[] = {
    {FIELD(batch), .value = 3, .status = CLATTN_E_SHAPE, .part = "(3, "},
    {FIELD(tokens), .value = 0, .status = CLATTN_E_SHAPE, .part = ", 0, 2, "},
    {FIELD(heads), .value = 1, .status = CLATTN_E_SHAPE, .part = ", 1, "},
    {FIELD(dim), .value = 7, .status = CLATTN_E_SHAPE, .part = ", 7)"},
    {FIELD(offset), .value = -1, .status = CLATTN_E_SHAPE, .part = "-1"},
    {FIELD(batch_stride), .value = -16, .status = CLATTN_E_SHAPE, .part = "-16"},
    {FIELD(row_stride), .value = -16, .status = CLATTN_E_SHAPE, .part = "-16"},
    {FIELD(token_stride), .value = -16, .status = CLATTN_E_SHAPE, .part = "-16"},
    {FIELD(head_stride), .value = -8, .status = CLATTN_E_SHAPE, .part = "-8"},
    {FIELD(offset), .value = 1 << 20, .status = CLATTN_E_SHAPE, .part = "memory has"},
    {FIELD(batch_stride), .value = 1 << 20, .status = CLATTN_E_SHAPE, .part = "memory has"},
    {FIELD(token_stride), .value = 1 << 20, .status = CLATTN_E_SHAPE, .part = "memory has"},
    {FIELD(offset), .value = INT64_MAX, .status = CLATTN_E_SHAPE, .part = "64 bits"},
    {FIELD(batch_stride), .value = INT64_MAX, .status = CLATTN_E_SHAPE, .part = "64 bits"},
    {FIELD(token_stride), .value = INT64_MAX / 2, .status = CLATTN_E_SHAPE, .part = "64 bits"},
    {FIELD(head_stride), .value = INT64_MAX, .status = CLATTN_E_SHAPE, .part = "64 bits"},
};

static void test_tensors(void **state)
{
    bench b;
    bench_open(&b, *state);
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);

    for (size_t i = 0; i < COUNT(tensors); i++) {
        clattn_agent_attention_args args = good;
        clattn_tensor tensor;

        for (size_t f = 0; f < COUNT(faults); f++) {
            tensor = *get_tensor(&good, i);
            memcpy((char *)&tensor + faults[f].offset, &faults[f].value, sizeof faults[f].value);
            set_tensor(&args, i, &tensor);
            refuse(&b, faults[f].what, &args, faults[f].status,
                   (const char *const[3]){tensors[i].name, faults[f].part});
        }
        tensor = *get_tensor(&good, i);
        tensor.type = CLATTN_F16;
        refuse(&b, "type", &args, CLATTN_E_TYPE,
               (const char *const[3]){tensors[i].name, "type", "1"});
        tensor.type = CLATTN_F32;
        tensor.memory = (clattn_memory){0};
        refuse(&b, "no memory", &args, CLATTN_E_ARG, (const char *const[3]){tensors[i].name});
        set_tensor(&args, i, NULL);
        refuse(&b, "NULL", &args, CLATTN_E_ARG, (const char *const[3]){tensors[i].name, "NULL"});
    }
    bench_close(&b);
}

/* Memory of the other kind of device, of another context, and too small by one element. */
static void test_memory(void **state)
{
    bench b;
    bench_open(&b, *state);
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);
    const bool cpu = clattn_context_is_cpu(b.h->ctx) != 0;
    float host[4] = {0};
    guard_tensor foreign;
    const guard_shape shape = {good.q->batch, good.q->tokens, good.q->heads, good.q->dim, 0, 0,
                               CLATTN_F32};

    guard_create(b.h->other, GUARD_TOKENS, &shape, NULL, &foreign);
    for (size_t i = 0; i < COUNT(tensors); i++) {
        clattn_agent_attention_args args = good;
        clattn_tensor tensor = *get_tensor(&good, i);
        const char *const name[3] = {tensors[i].name};

        set_tensor(&args, i, &tensor);
        tensor.memory = cpu ? (clattn_memory){.mem = (cl_mem)(void *)host}
                            : (clattn_memory){.host = host, .bytes = sizeof host};
        refuse(&b, "memory of another kind of device", &args, CLATTN_E_ARG, name);
        if (!cpu) {
            tensor.memory = foreign.tensor.memory;
            refuse(&b, "memory of another context", &args, CLATTN_E_ARG, name);
        }
        tensor = *get_tensor(&good, i);
        tensor.offset += 65; /* the guard behind the tensor is 64 elements */
        refuse(&b, "one element too few", &args, CLATTN_E_SHAPE,
               (const char *const[3]){tensors[i].name, "memory has"});
    }
    guard_destroy(&foreign);
    bench_close(&b);
}

/* An output may not share bytes with an input, nor two of its own elements one place. */
static void test_overlap(void **state)
{
    bench b;
    bench_open(&b, *state);
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);

    for (size_t i = 0; i + 1 < COUNT(tensors); i++) {
        clattn_agent_attention_args args = good;
        clattn_tensor tensor = *get_tensor(&good, i);
        tensor.memory = good.out->memory;
        set_tensor(&args, i, &tensor);
        refuse(&b, "in the output's place", &args, CLATTN_E_ARG,
               (const char *const[3]){"out", tensors[i].name, "overlaps"});
    }

    const clattn_tensor out = *good.out;
    const struct {
        const char *what;
        int64_t batch, row, token, head;
    } strides[] = {
        {"pictures on each other", 0, 0, out.token_stride, out.head_stride},
        {"heads on each other", out.batch_stride, 0, out.token_stride, 0},
        {"tokens on each other", out.batch_stride, 0, out.head_stride, out.head_stride},
        {"heads that run into the next", out.batch_stride, 0, out.token_stride, out.dim - 1},
        {"rows that run into the next", out.batch_stride, 3 * out.token_stride, out.token_stride,
         out.head_stride},
        {"a picture that runs into the next one's class token",
         out.batch_stride - out.token_stride + 8, 8 * out.token_stride + 8, out.token_stride,
         out.head_stride},
    };
    for (size_t i = 0; i < COUNT(strides); i++) {
        clattn_agent_attention_args args = good;
        clattn_tensor tensor = out;
        tensor.batch_stride = strides[i].batch;
        tensor.row_stride = strides[i].row;
        tensor.token_stride = strides[i].token;
        tensor.head_stride = strides[i].head;
        args.out = &tensor;
        refuse(&b, strides[i].what, &args, CLATTN_E_SHAPE, (const char *const[3]){"out", "stride"});
    }
    bench_close(&b);
}

/* Arrays and handles of a run; flags without tensors and tensors without flags. */
static void test_arguments(void **state)
{
    bench b;
    bench_open(&b, *state);
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);
    clattn_agent_attention_args args = good;
    clattn_array array = *good.dwc_weight;

    array.count--;
    args.dwc_weight = &array;
    refuse(&b, "weights too few", &args, CLATTN_E_SHAPE,
           (const char *const[3]){"dwc_weight", "143", "144"});
    array.count++;
    array.offset = -1;
    refuse(&b, "weights before their memory", &args, CLATTN_E_SHAPE,
           (const char *const[3]){"dwc_weight", "-1"});
    array.offset = good.dwc_weight->offset + 65;
    refuse(&b, "weights behind their memory", &args, CLATTN_E_SHAPE,
           (const char *const[3]){"dwc_weight", "memory has"});
    args.dwc_weight = NULL;
    refuse(&b, "no weights", &args, CLATTN_E_ARG, (const char *const[3]){"dwc_weight", "NULL"});
    args = good;
    args.dwc_bias = NULL;
    refuse(&b, "no dwc bias", &args, CLATTN_E_ARG, (const char *const[3]){"dwc_bias", "NULL"});
    args = good;
    args.bias = NULL;
    refuse(&b, "no bias", &args, CLATTN_E_ARG, (const char *const[3]){"bias", "has_bias"});
    refuse(&b, "no arguments", NULL, CLATTN_E_ARG, (const char *const[3]){"args", "NULL"});

    /* The same tensors on a plan without any of the forms. */
    clattn_agent_attention_desc bare = plain.desc;
    bare.agents_given = bare.has_bias = bare.has_key_bias = bare.has_agent_vector = 0;
    bare.dwc_size = bare.has_dwc_bias = 0;
    clattn_workspace_destroy(&b.ws);
    clattn_plan_destroy(&b.plan);
    assert_int_equal(clattn_agent_attention_plan(b.h->ctx, &bare, &b.plan), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(b.plan, &b.ws), CLATTN_OK);
    const struct {
        const char *name;
        clattn_agent_attention_args args;
    } extras[] = {
        {"agents", {.agents = good.agents}},
        {"key_bias", {.key_bias = good.key_bias}},
        {"agent_vector", {.agent_vector = good.agent_vector}},
        {"bias", {.bias = good.bias}},
        {"dwc_weight", {.dwc_weight = good.dwc_weight}},
        {"dwc_bias", {.dwc_bias = good.dwc_bias}},
    };
    for (size_t i = 0; i < COUNT(extras); i++) {
        args = extras[i].args;
        args.q = good.q;
        args.k = good.k;
        args.v = good.v;
        args.out = good.out;
        refuse(&b, "without its flag", &args, CLATTN_E_ARG,
               (const char *const[3]){extras[i].name, "given"});
    }
    bench_close(&b);
}

/* Plans, workspaces, bias handles and events that do not belong together. */
static void test_handles(void **state)
{
    bench b;
    bench_open(&b, *state);
    hostile *h = b.h;
    const clattn_agent_attention_args good = agent_step_args(&b.run, STEP_WHOLE);
    clattn_agent_attention_args args = good;
    clattn_plan *other = NULL;
    clattn_workspace *others = NULL;
    clattn_agent_bias *bias = NULL;
    clattn_agent_attention_desc desc = plain.desc;

    assert_int_equal(clattn_agent_pool_plan(h->ctx, &plain.desc, &other), CLATTN_OK);
    assert_int_equal(clattn_workspace_create(other, &others), CLATTN_OK);
    check_refused(h, "plan of another operator", CLATTN_E_ARG,
                  clattn_agent_attention_run(other, others, &good, NULL),
                  (const char *const[3]){"agent_pool", "agent_attention"});
    check_refused(h, "workspace of another plan", CLATTN_E_ARG,
                  clattn_agent_attention_run(b.plan, others, &good, NULL),
                  (const char *const[3]){"workspace", "another plan"});
    check_refused(h, "no workspace", CLATTN_E_ARG,
                  clattn_agent_attention_run(b.plan, NULL, &good, NULL),
                  (const char *const[3]){"workspace", "NULL"});
    check_refused(h, "a wait list without events", CLATTN_E_ARG,
                  clattn_agent_attention_run(b.plan, b.ws, &good, &(clattn_sync){.wait_count = 2}),
                  (const char *const[3]){"sync"});
    clattn_workspace_destroy(&others);
    clattn_plan_destroy(&other);

    assert_int_equal(clattn_agent_bias_create(h->other, &desc, &b.data.bias, &bias), CLATTN_OK);
    args.bias = bias;
    refuse(&b, "bias of another context", &args, CLATTN_E_ARG,
           (const char *const[3]){"bias", "another context"});
    clattn_agent_bias_destroy(&bias);
    desc.agent_width = 3;
    assert_int_equal(clattn_agent_bias_create(h->ctx, &desc, &b.data.bias, &bias), CLATTN_OK);
    args.bias = bias;
    refuse(&b, "bias for other agents", &args, CLATTN_E_SHAPE,
           (const char *const[3]){"bias", "6 agents", "4"});
    clattn_agent_bias_destroy(&bias);
    guard_check_untouched(&b.run.out[STEP_WHOLE], "out");
    bench_close(&b);
}

/* Descriptors of a bias that are no good. */
static void test_bias(void **state)
{
    hostile *h = *state;
    case_agent_data data;
    clattn_agent_bias *bias = NULL;
    clattn_agent_attention_desc desc = plain.desc;

    case_agent_fill(&plain, 2, &data);
#define REFUSED(status, ...)                                                                       \
    check_refused(h, "bias", status, clattn_agent_bias_create(h->ctx, &desc, &weights, &bias),     \
                  (const char *const[3]){__VA_ARGS__});                                            \
    assert_null(bias);                                                                             \
    weights = data.bias;                                                                           \
    desc = plain.desc

    clattn_agent_bias_desc weights = data.bias;
    desc.has_bias = 0;
    REFUSED(CLATTN_E_ARG, "has_bias", "0");
    desc.head_dim = 0;
    REFUSED(CLATTN_E_SHAPE, "head_dim", "0", "1024");
    weights.trained_agents_height = 0;
    REFUSED(CLATTN_E_SHAPE, "trained_agents", "0 x 2", "1");
    weights.trained_agents_width = INT64_MAX;
    REFUSED(CLATTN_E_SHAPE, "trained_agents", "9223372036854775807");
    weights.aggregate.trained_height = 0;
    REFUSED(CLATTN_E_SHAPE, "aggregate", "0 x 7", "1");
    weights.broadcast.trained_width = -7;
    REFUSED(CLATTN_E_SHAPE, "broadcast", "7 x -7", "1");
    weights.aggregate.grid_height = 6;
    REFUSED(CLATTN_E_ARG, "aggregate", "6 x 0", "both");
    weights.broadcast.grid_height = 6;
    weights.broadcast.grid_width = 9;
    REFUSED(CLATTN_E_SHAPE, "broadcast", "6 x 9", "6 x 8");
    weights.aggregate.grid_height = -6;
    weights.aggregate.grid_width = -8;
    REFUSED(CLATTN_E_SHAPE, "aggregate", "-6 x -8");
    weights.reserved[3] = 1;
    REFUSED(CLATTN_E_ARG, "reserved[3]", "1", "0");
#undef REFUSED
    check_refused(h, "no weights", CLATTN_E_ARG,
                  clattn_agent_bias_create(h->ctx, &desc, NULL, &bias),
                  (const char *const[3]){"weights", "NULL"});
    check_refused(h, "no context", CLATTN_E_ARG,
                  clattn_agent_bias_create(NULL, &desc, &weights, &bias),
                  (const char *const[3]){NULL});
    case_agent_free(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tensors), cmocka_unit_test(test_memory),
    cmocka_unit_test(test_overlap), cmocka_unit_test(test_arguments),
    cmocka_unit_test(test_handles), cmocka_unit_test(test_bias),
};

HOSTILE_MAIN(tests)
