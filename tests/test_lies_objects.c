/* A driver that lies about what it has made: kernels, programs, objects, and how many there are. See lies.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "contexts.h"
#include "lies.h"

/* What is told. */
static struct {
    const void *answer;
    size_t said_size;
    cl_int code;
} lie;

static void tell(const unsigned char *answer)
{
    lie.answer = answer;
    lie.code = CL_SUCCESS;
}

/* ---- of kernels ---- */

static cl_int CL_API_CALL lie_about_kernels(cl_kernel kernel, cl_device_id id,
                                            cl_kernel_work_group_info name, size_t room,
                                            void *value, size_t *size)
{
    (void)kernel;
    (void)id;
    (void)name;
    if (size != NULL)
        *size = room;
    if (value != NULL)
        memset(value, *(const unsigned char *)lie.answer, room);
    return lie.code;
}

static void wrong_kernel_limits(void **state)
{
    static const unsigned char nothing = 0, everything = 0xff;
    clattn__cl_api api = lies_driver;

    (void)state;
    api.clGetKernelWorkGroupInfo = lie_about_kernels;
    tell(&nothing);
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_TILE, "no items per group"), CLATTN_OK);
    tell(&everything);
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_TILE, "endless private memory"), CLATTN_OK);
    lie.code = CL_INVALID_KERNEL;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_TILE, "no answer"), CLATTN_OK);
}

static cl_kernel CL_API_CALL no_kernel(cl_program program, const char *name, cl_int *error)
{
    (void)program;
    (void)name;
    *error = CL_INVALID_KERNEL_NAME;
    return NULL;
}

static cl_int CL_API_CALL build_nothing(cl_program program, cl_uint count,
                                        const cl_device_id *devices, const char *options,
                                        void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    (void)program;
    (void)count;
    (void)devices;
    (void)options;
    (void)notify;
    (void)user;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL empty_log(cl_program program, cl_device_id id, cl_program_build_info name,
                                    size_t room, void *value, size_t *size)
{
    (void)program;
    (void)id;
    (void)name;
    (void)room;
    (void)value;
    if (size != NULL)
        *size = lie.said_size;
    return CL_SUCCESS;
}

static void programs_without_kernels(void **state)
{
    static const size_t sizes[] = {0, 1, 100, SIZE_MAX - 1, SIZE_MAX};
    clattn__cl_api api = lies_driver;
    clattn_context *ctx = NULL;
    fault_job job;

    (void)state;
    api.clBuildProgram = build_nothing;
    api.clGetProgramBuildInfo = empty_log;
    api.clCreateKernel = no_kernel;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lie.said_size = sizes[i];
        assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "no kernel"), CLATTN_E_BUILD);
        assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_TILE, "no kernel"), CLATTN_E_BUILD);
        assert_int_equal(lies_open(&api, CLATTN_SHAPE_WIDE, &ctx), CLATTN_OK);
        assert_int_equal(fault_job_make(ctx, FAULT_DWC, &job), CLATTN_E_BUILD);
        assert_true(support_heard(&lies_heard, "dwc.cl was built with"));
        assert_true(support_heard(&lies_heard, "has no kernel dwc"));
        clattn_context_destroy(&ctx);
    }
}

/* ---- of what it has made ---- */

#define NOTHING(result, name, parameters, arguments)                                               \
    static result CL_API_CALL nothing_##name parameters                                            \
    {                                                                                              \
        if (makes_something)                                                                       \
            return lies_driver.name arguments;                                                     \
        *error = CL_SUCCESS;                                                                       \
        return NULL;                                                                               \
    }
static const bool makes_something = false;
CLATTN__CL_OBJECT_CALLS(NOTHING)
CLATTN__CL_MAP_CALLS(NOTHING)
#undef NOTHING
#define ENTRY(result, name, parameters, arguments) .name = nothing_##name,
static const clattn__cl_api nothing = {CLATTN__CL_OBJECT_CALLS(ENTRY) CLATTN__CL_MAP_CALLS(ENTRY)};
#undef ENTRY

static cl_int CL_API_CALL launch_without_event(cl_command_queue queue, cl_kernel kernel,
                                               cl_uint dimensions, const size_t *first,
                                               const size_t *global, const size_t *local,
                                               cl_uint wait_count, const cl_event *wait,
                                               cl_event *event)
{
    const cl_int error = lies_driver.clEnqueueNDRangeKernel(queue, kernel, dimensions, first,
                                                            global, local, wait_count, wait, NULL);
    if (event != NULL)
        *event = NULL;
    return error;
}

static void objects_that_are_none(void **state)
{
    clattn__cl_api api = lies_driver;
    clattn_context *ctx = NULL;

    (void)state;
    clattn_context_params params = {.log = support_listen(&lies_heard, CLATTN_LOG_ERROR)};
#define TRY_CREATE(function)                                                                       \
    api = lies_driver;                                                                             \
    api.function = nothing.function;                                                               \
    clattn__cl_api_hook = &api;                                                                    \
    SUPPORT_REFUSED(&lies_heard, clattn_context_create(lies_device, &params, &ctx),                \
                    CLATTN_E_OPENCL, #function " gave nothing, and no error");                     \
    assert_null(ctx);
    TRY_CREATE(clCreateContext)
    TRY_CREATE(clCreateCommandQueue)
    clattn__cl_api_hook = NULL;

    api = lies_driver;
    api.clCreateBuffer = nothing.clCreateBuffer;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "buffer"), CLATTN_E_OPENCL);
    api = lies_driver;
    api.clCreateKernel = nothing.clCreateKernel;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "kernel"), CLATTN_E_OPENCL);
    api = lies_driver;
    api.clCreateProgramWithSource = nothing.clCreateProgramWithSource;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "program"), CLATTN_E_OPENCL);
    api = lies_driver;
    api.clEnqueueNDRangeKernel = launch_without_event;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "event"), CLATTN_E_OPENCL);
    api = lies_driver;
    api.clEnqueueMapBuffer = nothing.clEnqueueMapBuffer;
    assert_int_equal(lies_open(&api, CLATTN_SHAPE_WIDE, &ctx), CLATTN_OK);
    assert_int_equal(lies_try_tiling(ctx, "map"), CLATTN_E_OPENCL);
    clattn_context_destroy(&ctx);
}

/* ---- of how many there are ---- */

static cl_int CL_API_CALL endless_platforms(cl_uint room, cl_platform_id *platforms, cl_uint *count)
{
    const cl_int error = lies_driver.clGetPlatformIDs(room, platforms, count);
    if (count != NULL)
        *count = UINT32_MAX;
    return error;
}

static cl_int CL_API_CALL endless_devices(cl_platform_id platform, cl_device_type type,
                                          cl_uint room, cl_device_id *devices, cl_uint *count)
{
    const cl_int error = lies_driver.clGetDeviceIDs(platform, type, room, devices, count);
    if (count != NULL)
        *count = UINT32_MAX;
    return error;
}

static cl_int CL_API_CALL no_device_in_context(cl_context context, cl_context_info name,
                                               size_t room, void *value, size_t *size)
{
    const cl_int error = lies_driver.clGetContextInfo(context, name, room, value, size);
    if (size != NULL)
        *size = 0;
    return error;
}

static void wrong_counts(void **state)
{
    clattn__cl_api api = lies_driver;
    clattn_context *ctx = NULL;
    clattn_device *devices = NULL;
    size_t truly = 0, count = 0;

    (void)state;
    clattn__cl_api_hook = &lies_driver;
    assert_int_equal(clattn_device_list(NULL, &devices, &truly), CLATTN_OK);
    clattn_device_list_free(&devices);
    for (int i = 0; i < 3; i++) {
        api.clGetPlatformIDs = i != 1 ? endless_platforms : lies_driver.clGetPlatformIDs;
        api.clGetDeviceIDs = i != 0 ? endless_devices : lies_driver.clGetDeviceIDs;
        clattn__cl_api_hook = &api;
        assert_int_equal(clattn_device_list(NULL, &devices, &count), CLATTN_OK);
        assert_int_equal(count, truly);
        clattn_device_list_free(&devices);
    }
    api = lies_driver;
    api.clGetContextInfo = no_device_in_context;
    assert_int_equal(lies_open(&api, CLATTN_SHAPE_WIDE, &ctx), CLATTN_E_ARG);
    assert_true(support_heard(&lies_heard, "it has no device"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_kernel_limits),
        cmocka_unit_test(programs_without_kernels),
        cmocka_unit_test(objects_that_are_none),
        cmocka_unit_test(wrong_counts),
    };
    lies_device = support_device();
    if (!lies_device)
        return contexts_none();
    return cmocka_run_group_tests(tests, lies_set_up, lies_tear_down);
}
