/*
 * Runs OpenCL kernels and compares what is in their buffers afterwards with what should be. Needs OpenCL 1.2 and nothing else;
 * problem.h, problem.bin and the .cl files beside it say what to run. Licence: MIT.
 *
 *     make && ./reproduce [DEVICE]     DEVICE: part of a device's or platform's name; else the first one
 *
 * Exit code: 0 the results are right, 1 they are wrong or OpenCL refused something, 2 it could not be tried.
 */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All offsets are into problem.bin. */
typedef struct buffer {
    size_t offset, size;
} buffer;
typedef struct program {
    const char *file, *kernel, *options;
} program;
typedef struct launch {
    size_t args, args_size; /* argument 0, by value */
    unsigned program, count, buffers[16];
    size_t global[3], local[3];
} launch;
typedef struct check {
    unsigned buffer;
    int f16;
    size_t state_sums; /* > 0: softmax states of so many sums, m and l */
    size_t expected;   /* floats */
    size_t count;
    float units, scale;
} check;

#include "problem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void end(int code, const char *what, int number)
{
    printf("%s (%d)\n", what, number);
    exit(code);
}

static void need(cl_int error, const char *call)
{
    if (error != CL_SUCCESS)
        end(1, call, (int)error);
}

static char *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    long length = -1;
    char *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        length = ftell(file);
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)length + 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)length, file) != (size_t)length)
        end(2, name, 0);
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

static cl_device_id find_device(const char *wanted)
{
    cl_platform_id platforms[32];
    cl_device_id devices[32];
    cl_uint platform_count = 0, count = 0;
    if (clGetPlatformIDs(32, platforms, &platform_count) != CL_SUCCESS)
        platform_count = 0;
    for (cl_uint p = 0; p < platform_count && p < 32; p++) {
        char platform[256] = "";
        clGetPlatformInfo(platforms[p], CL_PLATFORM_NAME, sizeof platform - 1, platform, NULL);
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 32, devices, &count) != CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < count && d < 32; d++) {
            char name[256] = "", driver[256] = "";
            clGetDeviceInfo(devices[d], CL_DEVICE_NAME, sizeof name - 1, name, NULL);
            clGetDeviceInfo(devices[d], CL_DRIVER_VERSION, sizeof driver - 1, driver, NULL);
            if (wanted != NULL && !strstr(name, wanted) && !strstr(platform, wanted))
                continue;
            printf("device    %s, %s, driver %s\n", name, platform, driver);
            return devices[d];
        }
    }
    end(2, "no such OpenCL device", 0);
    return NULL;
}

static float from_half(uint16_t half)
{
    const int exponent = half >> 10 & 31;
    const float mantissa = (float)(half & 1023) / 1024.0f;
    const float sign = half >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return mantissa != 0.0f ? NAN : sign * INFINITY;
    return exponent == 0 ? sign * ldexpf(mantissa, -14)
                         : sign * ldexpf(1.0f + mantissa, exponent - 15);
}

/* States are compared in a form that does not depend on their maximum. */
static void normalize(float *values, const check *c)
{
    const size_t row = c->state_sums + 2;
    for (size_t i = 0; c->state_sums > 0 && i < c->count / row; i++) {
        float *sums = values + i * row;
        const float m = sums[c->state_sums], l = sums[c->state_sums + 1];
        for (size_t j = 0; j < c->state_sums && l > 0.0f; j++)
            sums[j] /= l;
        sums[c->state_sums] = l > 0.0f ? m + log2f(l) : m;
        sums[c->state_sums + 1] = l > 0.0f && m != floorf(m) ? 1.0f : 0.0f;
    }
}

/* Counts the wrong elements of a buffer, and prints the first few. */
static size_t compare(const char *found, const char *data, const check *c)
{
    const float *expected = (const float *)(const void *)(data + c->expected);
    float *values = malloc(c->count * sizeof *values);
    size_t wrong = 0;
    if (values == NULL)
        end(2, "out of memory", 0);
    for (size_t i = 0; i < c->count; i++)
        values[i] = c->f16 ? from_half(((const uint16_t *)(const void *)found)[i])
                           : ((const float *)(const void *)found)[i];
    normalize(values, c);
    for (size_t i = 0; i < c->count; i++) {
        const float x = values[i], y = expected[i], size = fabsf(y);
        const float allowed = c->units * ldexpf(c->scale + size, -24) +
                              (c->f16 ? ldexpf(size, -11) + ldexpf(1.0f, -25) : 0.0f);
        if (x == y || (isnan(x) && isnan(y)) || fabsf(x - y) <= allowed)
            continue;
        if (wrong++ < 8)
            printf("wrong     buffer %u, element %zu: %.9g; it should be %.9g, within %.3g\n",
                   c->buffer, i, (double)x, (double)y, (double)allowed);
    }
    free(values);
    return wrong;
}

static cl_kernel build(cl_context context, cl_device_id device, const program *p)
{
    size_t size = 0, length = 0;
    cl_int error = CL_SUCCESS;
    const char *text = read_file(p->file, &size);
    cl_program made = clCreateProgramWithSource(context, 1, &text, &size, &error);
    need(error, "clCreateProgramWithSource");
    printf("kernel    %s of %s\noptions   %s\n", p->kernel, p->file, p->options);
    error = clBuildProgram(made, 1, &device, p->options, NULL, NULL);
    clGetProgramBuildInfo(made, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &length);
    char *log = calloc(length + 1, 1);
    if (error != CL_SUCCESS && log != NULL &&
        clGetProgramBuildInfo(made, device, CL_PROGRAM_BUILD_LOG, length, log, NULL) == CL_SUCCESS)
        printf("%s\n", log);
    free(log);
    need(error, "clBuildProgram");
    cl_kernel kernel = clCreateKernel(made, p->kernel, &error);
    need(error, "clCreateKernel");
    return kernel;
}

int main(int argc, char **argv)
{
    size_t size = 0, wrong = 0, elements = 0;
    cl_int error = CL_SUCCESS;
    const char *data = read_file("problem.bin", &size);
    cl_device_id device = find_device(argc > 1 ? argv[1] : NULL);
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    need(error, "clCreateContext");
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &error);
    need(error, "clCreateCommandQueue");
    printf("problem   %s\n", FORM);
    cl_kernel kernels[COUNT(programs)];
    for (size_t i = 0; i < COUNT(programs); i++)
        kernels[i] = build(context, device, &programs[i]);

    cl_mem memory[COUNT(buffers)];
    for (size_t i = 0; i < COUNT(buffers); i++) {
        memory[i] = clCreateBuffer(context, CL_MEM_READ_WRITE, buffers[i].size, NULL, &error);
        need(error, "clCreateBuffer");
        need(clEnqueueWriteBuffer(queue, memory[i], CL_TRUE, 0, buffers[i].size,
                                  data + buffers[i].offset, 0, NULL, NULL),
             "clEnqueueWriteBuffer");
    }
    for (size_t i = 0; i < COUNT(launches); i++) {
        const launch *l = &launches[i];
        cl_kernel kernel = kernels[l->program];
        need(clSetKernelArg(kernel, 0, l->args_size, data + l->args), "clSetKernelArg");
        for (unsigned k = 0; k < l->count; k++)
            need(clSetKernelArg(kernel, k + 1, sizeof(cl_mem), &memory[l->buffers[k]]),
                 "clSetKernelArg");
        need(clEnqueueNDRangeKernel(queue, kernel, 3, NULL, l->global, l->local, 0, NULL, NULL),
             "clEnqueueNDRangeKernel");
    }
    for (size_t i = 0; i < COUNT(checks); i++) {
        const buffer *b = &buffers[checks[i].buffer];
        char *found = malloc(b->size);
        if (found == NULL)
            end(2, "out of memory", 0);
        need(clEnqueueReadBuffer(queue, memory[checks[i].buffer], CL_TRUE, 0, b->size, found, 0,
                                 NULL, NULL),
             "clEnqueueReadBuffer");
        wrong += compare(found, data, &checks[i]);
        elements += checks[i].count;
        free(found);
    }
    if (wrong == 0)
        printf("PASS      all of %zu elements are right\n", elements);
    else
        printf("FAIL      %zu of %zu elements are wrong\n", wrong, elements);
    return wrong == 0 ? 0 : 1;
}
