/*
 * How close the two softmax stages come to the arithmetic of the device: agent_aggregate and agent_broadcast at N = 16384,
 * 4 heads, against loops of multiply-adds and of exponentials in float16 and a copy on the same device, turn by turn in the
 * same run. Prints medians and ratios; judges nothing (no timed test).
 *
 *     speed_core [agents] [rounds] [head_dim]        defaults 49, 25 and 64; CL device: the best one of the loader
 *
 * The FMA loop starts every chain from its own loaded value and stores all of them: equal chains would be merged by the compiler.
 * The best number of chains is the roof: with too few latency shows, with too many the registers of small CPUs run out.
 * The bound of a time is max(bytes / copy, flops / FMA + exponentials / rate), the bytes those that must move.
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
#define ITEMS       16
#define VALUES      (1 << 20) /* vectors of 16 floats: what the copy reads */

static const char roof_source[] =
    "#if defined(__clang__)\n"
    "#pragma clang diagnostic ignored \"-Wpsabi\"\n"
    "#endif\n"
    "#define EACH_CHAIN __attribute__((opencl_unroll_hint)) for (int i = 0; i < CHAINS; i++)\n"
    "__kernel void fma_loop(__global float16 *data, float16 a, float16 b, int steps) {\n"
    "  __global float16 *p = data + get_global_id(0) * CHAINS;\n"
    "  float16 x[CHAINS];\n"
    "  EACH_CHAIN x[i] = p[i];\n"
    "  for (int s = 0; s < steps; s++) { EACH_CHAIN x[i] = fma(x[i], a, b); }\n"
    "  EACH_CHAIN p[i] = x[i];\n"
    "}\n"
    "__kernel void exp_loop(__global float16 *data, float16 a, float16 b, int steps) {\n"
    "  __global float16 *p = data + get_global_id(0) * CHAINS;\n"
    "  float16 x[CHAINS];\n"
    "  EACH_CHAIN x[i] = p[i];\n"
    "  for (int s = 0; s < steps; s++) { EACH_CHAIN x[i] = exp2(-x[i]); }\n"
    "  EACH_CHAIN p[i] = x[i];\n"
    "}\n"
    "__kernel void copy(__global float16 *data, float16 a, float16 b, int steps) {\n"
    "  __global const float16 *from = data + get_global_id(0) * steps;\n"
    "  __global float16 *to = data + (get_global_id(0) + get_global_size(0)) * steps;\n"
    "  for (int s = 0; s < steps; s++) to[s] = from[s];\n"
    "}\n";

static float random_unit(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

enum { FMA_16, FMA_8, FMA_6, EXP, COPY, ROOFS };

/* One loop of the device at its limit. */
typedef struct roof {
    const char *name, *kernel_name;
    int chains, steps;
    double unit; /* per step and chain of an item: flops, exponentials, bytes */
    cl_command_queue queue;
    cl_kernel kernel;
} roof;

static cl_mem roof_data(cl_context context)
{
    const size_t count = (size_t)2 * VALUES * 16;
    float *values = malloc(count * sizeof *values);
    uint32_t seed = 1;

    need(values != NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        values[i] = random_unit(&seed);
    cl_mem data = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                 count * sizeof *values, values, NULL);
    need(data != NULL, "the buffer of the roofs");
    free(values);
    return data;
}

static void roof_make(roof *r, cl_context context, cl_device_id device, cl_command_queue queue,
                      cl_mem data)
{
    char options[64];
    const char *source = roof_source;
    const cl_int steps = r->steps;
    cl_float16 a, b;

    for (int i = 0; i < 16; i++) {
        a.s[i] = 0.9999f - 1e-4f * (float)i;
        b.s[i] = 1e-4f * (float)(i + 1);
    }
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DCHAINS=%d", r->chains);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    need(clBuildProgram(program, 1, &device, options, NULL, NULL) == CL_SUCCESS,
         "the roofs' build");
    r->queue = queue;
    r->kernel = clCreateKernel(program, r->kernel_name, NULL);
    need(r->kernel != NULL, "a roof's kernel");
    clSetKernelArg(r->kernel, 0, sizeof data, &data);
    clSetKernelArg(r->kernel, 1, sizeof a, &a);
    clSetKernelArg(r->kernel, 2, sizeof b, &b);
    clSetKernelArg(r->kernel, 3, sizeof steps, &steps);
    clReleaseProgram(program);
}

/* Units per second. */
static double roof_rate(const roof *r)
{
    const size_t global = ITEMS;
    const size_t local = 1;
    const double start = now();
    need(clEnqueueNDRangeKernel(r->queue, r->kernel, 1, NULL, &global, &local, 0, NULL, NULL) ==
             CL_SUCCESS,
         "a roof's launch");
    clFinish(r->queue);
    return r->unit * ITEMS * 16.0 * r->chains * r->steps / (now() - start);
}

static clattn_tensor tensor_random(clattn_context *ctx, int64_t tokens, int64_t dim, uint32_t seed)
{
    const size_t count = (size_t)(tokens * HEADS * dim);
    float *values = malloc(count * sizeof *values);
    clattn_memory memory;

    need(values != NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        values[i] = random_unit(&seed);
    need(clattn_memory_alloc(ctx, count * sizeof *values, &memory) == CLATTN_OK, "an allocation");
    need(clattn_memory_write(ctx, &memory, 0, values, count * sizeof *values) == CLATTN_OK,
         "a write");
    free(values);
    return clattn_tensor_tokens(memory, 1, tokens, HEADS, dim);
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
    const int64_t dim = argc > 3 ? atoi(argv[3]) : 64;
    const int64_t tokens = (int64_t)TOKENS_SIDE * TOKENS_SIDE;
    const clattn_context_params params = {.log = {.fn = print_sentence}};
    clattn_device *devices = NULL;
    size_t count = 0;
    clattn_context *ctx = NULL;
    clattn_plan *gather = NULL;
    clattn_plan *give = NULL;
    clattn_workspace *gather_ws = NULL;
    clattn_workspace *give_ws = NULL;

    need(n >= 1 && rounds >= 1 && dim >= 1, "reading [agents] [rounds] [head_dim]");
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
                                              .head_dim = dim,
                                              .height = TOKENS_SIDE,
                                              .width = TOKENS_SIDE,
                                              .agent_height = 1,
                                              .agent_width = n};
    const clattn_tensor q = tensor_random(ctx, tokens, dim, 1);
    const clattn_tensor k = tensor_random(ctx, tokens, dim, 2);
    const clattn_tensor v = tensor_random(ctx, tokens, dim, 3);
    const clattn_tensor agents = tensor_random(ctx, n, dim, 4);
    const clattn_tensor va = tensor_random(ctx, n, dim, 5);
    const clattn_tensor out = tensor_random(ctx, tokens, dim, 6);
    const clattn_agent_attention_args args = {
        .q = &q, .k = &k, .v = &v, .agents = &agents, .va = &va, .out = &out};
    clattn_agent_attention_args first = args;
    clattn_agent_attention_args second = args;
    second.v = NULL;

    need(clattn_agent_aggregate_plan(ctx, &desc, &gather) == CLATTN_OK, "planning stage 1");
    need(clattn_agent_broadcast_plan(ctx, &desc, &give) == CLATTN_OK, "planning stage 2");
    need(clattn_workspace_create(gather, &gather_ws) == CLATTN_OK, "workspace 1");
    need(clattn_workspace_create(give, &give_ws) == CLATTN_OK, "workspace 2");
    roof roofs[] = {
        {.name = "FMA loop, 16 chains", .kernel_name = "fma_loop", .chains = 16, .unit = 2.0},
        {.name = "FMA loop, 8 chains", .kernel_name = "fma_loop", .chains = 8, .unit = 2.0},
        {.name = "FMA loop, 6 chains", .kernel_name = "fma_loop", .chains = 6, .unit = 2.0},
        {.name = "exponentials", .kernel_name = "exp_loop", .chains = 4, .unit = 1.0},
        {.name = "copy, read + write", .kernel_name = "copy", .chains = 1, .unit = 8.0},
    };
    const cl_mem data = roof_data(context);
    for (int i = 0; i < ROOFS; i++) {
        roofs[i].steps = i == COPY ? VALUES / ITEMS : i == EXP ? 5000 : 20000;
        roof_make(&roofs[i], context, device, queue, data);
    }

    double *rates[ROOFS];
    double *seconds[2];
    for (int i = 0; i < ROOFS + 2; i++)
        need((*(i < ROOFS ? &rates[i] : &seconds[i - ROOFS]) =
                  calloc((size_t)rounds, sizeof(double))) != NULL,
             "calloc");
    for (int i = -2; i < rounds; i++) {
        double rate[ROOFS];
        for (int j = 0; j < ROOFS; j++)
            rate[j] = roof_rate(&roofs[j]);
        const double t0 = now();
        need(clattn_agent_aggregate_run(gather, gather_ws, &first, NULL) == CLATTN_OK, "stage 1");
        clattn_context_finish(ctx);
        const double t1 = now();
        need(clattn_agent_broadcast_run(give, give_ws, &second, NULL) == CLATTN_OK, "stage 2");
        clattn_context_finish(ctx);
        const double t2 = now();
        for (int j = 0; j < ROOFS && i >= 0; j++)
            rates[j][i] = rate[j];
        if (i >= 0) {
            seconds[0][i] = t1 - t0;
            seconds[1][i] = t2 - t1;
        }
    }
    printf("N %lld, %d heads x %lld, n %lld; medians of %d\n", (long long)tokens, HEADS,
           (long long)dim, (long long)n, rounds);
    double roof_median[ROOFS];
    for (int i = 0; i < ROOFS; i++) {
        roof_median[i] = median(rates[i], rounds);
        printf("%-22s %8.2f G/s\n", roofs[i].name, roof_median[i] * 1e-9);
        if (i < EXP && roof_median[i] > roof_median[0])
            roof_median[0] = roof_median[i];
        clReleaseKernel(roofs[i].kernel);
        free(rates[i]);
    }
    const double both = median(seconds[0], rounds) + median(seconds[1], rounds);
    const double times[3] = {median(seconds[0], rounds), median(seconds[1], rounds), both};
    const char *const names[3] = {"stage 1 (aggregate)", "stage 2 (broadcast)", "both stages"};
    for (int i = 0; i < 3; i++) {
        const double parts = i == 2 ? 2.0 : 1.0;
        const double scores = (double)(n * tokens * HEADS) * parts;
        const double flops = 4.0 * scores * (double)dim;
        const double bytes = 8.0 * (double)(tokens * HEADS * dim) * parts;
        const double arithmetic = flops / roof_median[0] + scores / roof_median[EXP];
        const double memory = bytes / roof_median[COPY];
        printf("%-22s %8.2f ms  %6.1f GFLOP/s, %5.1f %% of the roof; %.2f x bound\n", names[i],
               times[i] * 1e3, flops / times[i] * 1e-9, 100.0 * flops / times[i] / roof_median[0],
               times[i] / (arithmetic > memory ? arithmetic : memory));
    }
    free(seconds[0]);
    free(seconds[1]);

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
    clReleaseMemObject(data);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return 0;
}
