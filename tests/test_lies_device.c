/* A driver that lies about its device: limits, names, extensions, version. See lies.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "contexts.h"
#include "lies.h"

static struct {
    cl_device_info name; /* the question that is answered with a lie */
    const void *answer;
    size_t size;      /* of the answer */
    size_t said_size; /* where the size alone is asked for */
    cl_int code;
} lie;

static cl_int CL_API_CALL lie_about_device(cl_device_id id, cl_device_info name, size_t room,
                                           void *value, size_t *size)
{
    if (name != lie.name)
        return lies_driver.clGetDeviceInfo(id, name, room, value, size);
    if (size != NULL)
        *size = lie.said_size;
    if (value != NULL)
        memcpy(value, lie.answer, lie.size < room ? lie.size : room);
    return lie.code;
}

static void tell(cl_device_info name, const void *answer, size_t size)
{
    lie.name = name;
    lie.answer = answer;
    lie.size = lie.said_size = size;
    lie.code = CL_SUCCESS;
}

static void wrong_limits(void **state)
{
    static const struct {
        cl_device_info name;
        size_t size;
        bool needed; /* 0 is refused */
    } limits[] = {
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint), false},
        {CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, sizeof(cl_uint), false},
        {CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong), true},
        {CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong), false},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong), true},
        {CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t), true},
        {CL_DEVICE_MAX_WORK_ITEM_SIZES, 3 * sizeof(size_t), true},
        {CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, sizeof(cl_uint), false},
        {CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(cl_bool), false},
        {CL_DEVICE_TYPE, sizeof(cl_device_type), false},
    };
    clattn__cl_api api = lies_driver;
    unsigned char answer[3 * sizeof(size_t)];
    char what[80];

    (void)state;
    api.clGetDeviceInfo = lie_about_device;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int fill = 0; fill < 3; fill++)
            for (int shape = CLATTN_SHAPE_WIDE; shape <= CLATTN_SHAPE_TILE; shape++) {
                memset(answer, fill == 0 ? 0 : 0xff, sizeof answer);
                if (fill == 1) { /* one, in the machine's order of bytes */
                    memset(answer, 0, sizeof answer);
                    for (size_t k = 0; k < limits[i].size; k += sizeof(cl_uint))
                        answer[k] = k % sizeof(size_t) == 0;
                }
                snprintf(what, sizeof what, "0x%x is %s, shape %d", (unsigned)limits[i].name,
                         fill == 0   ? "0"
                         : fill == 1 ? "1"
                                     : "huge",
                         shape);
                tell(limits[i].name, answer, limits[i].size);
                const clattn_status status = lies_try_all(&api, (clattn_kernel_shape)shape, what);
                if (status == CLATTN_OK ? fill == 0 && limits[i].needed : fill == 2)
                    fail_msg("%s: %s (\"%s\")", what, clattn_status_name(status), lies_heard.text);
            }
}

/* As the library and its log show it. */
static void shown_as(const clattn__cl_api *api, const char *expected)
{
    clattn_context *ctx = NULL;
    assert_int_equal(lies_open(api, CLATTN_SHAPE_WIDE, &ctx), CLATTN_OK);
    assert_string_equal(clattn_context_device(ctx)->name, expected);
    assert_true(support_heard(&lies_heard, expected) && lies_can_be_shown(lies_heard.text));
    clattn_context_destroy(&ctx);
}

static void odd_names(void **state)
{
    static const struct {
        const char *name, *shown;
    } names[] = {
        {"a\nb\tc\x1b[31md\x7f", "a?b?c?[31md?"},
        {"caf\xe9", "caf?"}, /* Latin-1 */
        {"caf\xc3\xa9 \xe2\x84\xa2 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x84\xa2 \xf0\x9f\x98\x80"},
        {"\xc0\xaf \xe0\x80\xaf", "?? ???"},           /* a slash, too long */
        {"\xed\xa0\x80 \xf4\x90\x80\x80", "??? ????"}, /* a surrogate, beyond the last */
        {"\xc2\x85 \xe2\x84", "?? ??"},                /* C1 control, cut off */
        {"\x80\xbf\xfe\xff", "????"},
        {"   ", ""},
        {"", ""},
        {"%s%n \" \\ </script>", "%s%n \" \\ </script>"},
    };
    clattn__cl_api api = lies_driver;
    char long_name[1500], shown[128];

    (void)state;
    api.clGetDeviceInfo = lie_about_device;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tell(CL_DEVICE_NAME, names[i].name, strlen(names[i].name) + 1);
        shown_as(&api, names[i].shown);
        lie.size = lie.said_size = strlen(names[i].name); /* not terminated */
        if (lie.size > 0)
            shown_as(&api, names[i].shown);
    }
    /* Cut in the middle of a character. */
    memset(long_name, 'x', sizeof long_name);
    memcpy(long_name + 126, "\xc3\xa9", 3);
    memcpy(shown, long_name, sizeof shown);
    memcpy(shown + 126, "?", 2);
    tell(CL_DEVICE_NAME, long_name, 129);
    shown_as(&api, shown);
    /* Too long to be a name; longer, and shorter, than it says. */
    memset(long_name, 'x', sizeof long_name);
    tell(CL_DEVICE_NAME, long_name, sizeof long_name);
    shown_as(&api, "");
    tell(CL_DEVICE_NAME, "short", 6);
    lie.said_size = 1000;
    shown_as(&api, "short");
    lie.said_size = 3;
    shown_as(&api, "sho");
    lie.said_size = SIZE_MAX;
    shown_as(&api, "");
    tell(CL_DEVICE_NAME, "name", 5);
    lie.code = CL_INVALID_VALUE;
    shown_as(&api, "");
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "no name"), CLATTN_OK);
}

static void no_extensions(void **state)
{
    clattn__cl_api api = lies_driver;

    (void)state;
    api.clGetDeviceInfo = lie_about_device;
    tell(CL_DEVICE_EXTENSIONS, "", 0);
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_WIDE, "empty"), CLATTN_OK);
    lie.code = CL_INVALID_VALUE;
    assert_int_equal(lies_try_all(&api, CLATTN_SHAPE_TILE, "none"), CLATTN_OK);
}

static void no_such_version(void **state)
{
    static const char *const versions[] = {
        "", "OpenCL", "OpenCL 1.1 old", "OpenCL -1.9", "3.0", "OpenCL 99999999999999999999.9"};
    clattn__cl_api api = lies_driver;
    clattn_context *ctx = NULL;

    (void)state;
    api.clGetDeviceInfo = lie_about_device;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        tell(CL_DEVICE_VERSION, versions[i], strlen(versions[i]) + 1);
        if (lies_open(&api, CLATTN_SHAPE_WIDE, &ctx) == CLATTN_OK)
            clattn_context_destroy(&ctx); /* a large number is a large number */
        else
            assert_true(support_heard(&lies_heard, "OpenCL 1.2 is needed"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_limits),
        cmocka_unit_test(odd_names),
        cmocka_unit_test(no_extensions),
        cmocka_unit_test(no_such_version),
    };
    lies_device = support_device();
    if (!lies_device)
        return contexts_none();
    return cmocka_run_group_tests(tests, lies_set_up, lies_tear_down);
}
