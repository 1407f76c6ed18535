/*
 * How close the two softmax stages come to the arithmetic of the device: agent_aggregate and agent_broadcast at N = 16384,
 * 4 heads x 64, against an honest FMA loop in float16 on the same device, turn by turn in the same run. Prints medians and
 * ratios; judges nothing (no timed test).
 *
 *     speed_core [agents] [rounds]        defaults 49 and 25; CL device: the best one of the loader
 *
 * The FMA loop starts every chain from its own loaded value and stores all of them: equal chains would be merged by the compiler.
 * The rate with half the chains is printed too, and the better of the two is the roof: with too few chains latency shows, with too
 * many the registers of small CPUs run out.
 */
#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clattn/clattn.h"
#include "speed.h"

#define TOKENS_SIDE 128
#define HEADS       4
#define DIM         64
#define CHAINS      16
#define STEPS       20000
#define ITEMS       16

static const char fma_source[] =
    "__kernel void fma_loop(__global float16 *data, float16 a, float16 b) {\n"
    "  __global float16 *p = data + get_global_id(0) * CHAINS;\n"
    "  float16 x[CHAINS];\n"
    "  __attribute__((opencl_unroll_hint)) for (int i = 0; i < CHAINS; i++) x[i] = p[i];\n"
    "  for (int s = 0; s < STEPS; s++) {\n"
    "    __attribute__((opencl_unroll_hint)) for (int i = 0; i < CHAINS; i++) x[i] = fma(x[i], a, "
    "b);\n"
    "  }\n"
    "  __attribute__((opencl_unroll_hint)) for (int i = 0; i < CHAINS; i++) p[i] = x[i];\n"
    "}\n";

static float random_unit(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

typedef struct roof {
    cl_command_queue queue;
    cl_kernel kernel;
    cl_mem data;
    int chains;
} roof;

static roof roof_make(cl_context context, cl_device_id device, cl_command_queue queue, int chains)
{
    roof r = {.queue = queue, .chains = chains};
    char options[64];
    const char *source = fma_source;
    cl_float16 a, b;
    uint32_t seed = 1;
    const size_t count = (size_t)ITEMS * CHAINS * 16;
    float *values = malloc(count * sizeof *values);

    need(values != NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        values[i] = random_unit(&seed);
    for (int i = 0; i < 16; i++) {
        a.s[i] = 0.9999f - 1e-4f * (float)i;
        b.s[i] = 1e-4f * (float)(i + 1);
    }
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DCHAINS=%d -DSTEPS=%d", chains, STEPS);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    need(clBuildProgram(program, 1, &device, options, NULL, NULL) == CL_SUCCESS, "the FMA build");
    r.kernel = clCreateKernel(program, "fma_loop", NULL);
    r.data = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                            count * sizeof *values, values, NULL);
    need(r.kernel != NULL && r.data != NULL, "the FMA kernel");
    clSetKernelArg(r.kernel, 0, sizeof r.data, &r.data);
    clSetKernelArg(r.kernel, 1, sizeof a, &a);
    clSetKernelArg(r.kernel, 2, sizeof b, &b);
    clReleaseProgram(program);
    free(values);
    return r;
}

static double roof_rate(const roof *r)
{
    const size_t global = ITEMS;
    const size_t local = 1;
    const double start = now();
    need(clEnqueueNDRangeKernel(r->queue, r->kernel, 1, NULL, &global, &local, 0, NULL, NULL) ==
             CL_SUCCESS,
         "the FMA launch");
    clFinish(r->queue);
    return 2.0 * ITEMS * 16.0 * r->chains * STEPS / (now() - start);
}

static clattn_tensor tensor_random(clattn_context *ctx, int64_t tokens, uint32_t seed)
{
    const size_t count = (size_t)tokens * HEADS * DIM;
    float *values = malloc(count * sizeof *values);
    clattn_memory memory;

    need(values != NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        values[i] = random_unit(&seed);
    need(clattn_memory_alloc(ctx, count * sizeof *values, &memory) == CLATTN_OK, "an allocation");
    need(clattn_memory_write(ctx, &memory, 0, values, count * sizeof *values) == CLATTN_OK,
         "a write");
    free(values);
    return clattn_tensor_tokens(memory, 1, tokens, HEADS, DIM);
}

static void print_sentence(void *user, clattn_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    const int64_t n = argc > 1 ? atoi(argv[1]) : 49;
    const int rounds = argc > 2 ? atoi(argv[2]) : 25;
    const int64_t tokens = (int64_t)TOKENS_SIDE * TOKENS_SIDE;
    const clattn_context_params params = {.log = {.fn = print_sentence}};
    clattn_device *devices = NULL;
    size_t count = 0;
    clattn_context *ctx = NULL;
    clattn_plan *gather = NULL;
    clattn_plan *give = NULL;
    clattn_workspace *gather_ws = NULL;
    clattn_workspace *give_ws = NULL;

    need(n >= 1 && rounds >= 1, "reading [agents] [rounds]");
    need(clattn_device_list(&params.log, &devices, &count) == CLATTN_OK, "listing devices");
    const int best = clattn_device_best(devices, count);
    need(best >= 0, "finding a device");
    cl_device_id device = devices[best].id;
    printf("%s, clattn %s\n", devices[best].name, clattn_version());
    clattn_device_list_free(&devices);

    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, NULL);
    need(context != NULL && queue != NULL, "making a queue");
    need(clattn_context_wrap(context, device, queue, &params, &ctx) == CLATTN_OK, "wrapping");

    const clattn_agent_attention_desc desc = {.batch = 1,
                                              .heads = HEADS,
                                              .head_dim = DIM,
                                              .height = TOKENS_SIDE,
                                              .width = TOKENS_SIDE,
                                              .agent_height = 1,
                                              .agent_width = n};
    const clattn_tensor q = tensor_random(ctx, tokens, 1);
    const clattn_tensor k = tensor_random(ctx, tokens, 2);
    const clattn_tensor v = tensor_random(ctx, tokens, 3);
    const clattn_tensor agents = tensor_random(ctx, n, 4);
    const clattn_tensor va = tensor_random(ctx, n, 5);
    const clattn_tensor out = tensor_random(ctx, tokens, 6);
    const clattn_agent_attention_args args = {
        .q = &q, .k = &k, .v = &v, .agents = &agents, .va = &va, .out = &out};
    clattn_agent_attention_args first = args;
    clattn_agent_attention_args second = args;
    second.v = NULL;

    need(clattn_agent_aggregate_plan(ctx, &desc, &gather) == CLATTN_OK, "planning stage 1");
    need(clattn_agent_broadcast_plan(ctx, &desc, &give) == CLATTN_OK, "planning stage 2");
    need(clattn_workspace_create(gather, &gather_ws) == CLATTN_OK, "workspace 1");
    need(clattn_workspace_create(give, &give_ws) == CLATTN_OK, "workspace 2");
    const roof full = roof_make(context, device, queue, CHAINS);
    const roof half = roof_make(context, device, queue, CHAINS / 2);

    double *rates[5];
    for (int i = 0; i < 5; i++)
        need((rates[i] = calloc((size_t)rounds, sizeof(double))) != NULL, "calloc");
    const double flops = 4.0 * (double)n * (double)tokens * DIM * HEADS; /* of one stage */
    for (int i = -2; i < rounds; i++) {
        const double rate_full = roof_rate(&full);
        const double rate_half = roof_rate(&half);
        const double t0 = now();
        need(clattn_agent_aggregate_run(gather, gather_ws, &first, NULL) == CLATTN_OK, "stage 1");
        clattn_context_finish(ctx);
        const double t1 = now();
        need(clattn_agent_broadcast_run(give, give_ws, &second, NULL) == CLATTN_OK, "stage 2");
        clattn_context_finish(ctx);
        const double t2 = now();
        if (i < 0)
            continue;
        rates[0][i] = rate_full;
        rates[1][i] = rate_half;
        rates[2][i] = flops / (t1 - t0);
        rates[3][i] = flops / (t2 - t1);
        rates[4][i] = 2.0 * flops / (t2 - t0);
    }
    /* 16 chains of float16 do not fit the registers of every CPU: the roof is what the device did reach. */
    const double with_16 = median(rates[0], rounds);
    const double with_8 = median(rates[1], rounds);
    const double roof_median = with_16 > with_8 ? with_16 : with_8;
    const char *const names[5] = {"FMA loop, 16 chains", "FMA loop, 8 chains",
                                  "stage 1 (aggregate)", "stage 2 (broadcast)", "both stages"};
    printf("N %lld, %d heads x %d, n %lld; medians of %d\n", (long long)tokens, HEADS, DIM,
           (long long)n, rounds);
    for (int i = 0; i < 5; i++) {
        const double m = median(rates[i], rounds);
        printf("%-22s %7.1f GFLOP/s  %5.1f %% of the roof\n", names[i], m * 1e-9,
               100.0 * m / roof_median);
        free(rates[i]);
    }

    const clattn_tensor *const tensors[] = {&q, &k, &v, &agents, &va, &out};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        clattn_memory memory = tensors[i]->memory;
        clattn_memory_free(ctx, &memory);
    }
    clattn_workspace_destroy(&give_ws);
    clattn_workspace_destroy(&gather_ws);
    clattn_plan_destroy(&give);
    clattn_plan_destroy(&gather);
    clattn_context_destroy(&ctx);
    clReleaseKernel(full.kernel);
    clReleaseKernel(half.kernel);
    clReleaseMemObject(full.data);
    clReleaseMemObject(half.data);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return 0;
}
