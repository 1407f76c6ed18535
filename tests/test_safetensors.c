/*
 * The .safetensors reader: what a good file gives, every refusal with its sentence, and failing
 * memory. The recorded cases under CLATTN_GOLDEN_DIR (or the folder given as the first argument)
 * must all open.
 */
#define _POSIX_C_SOURCE 200809L /* opendir, stat */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "clattn/io.h"

static const char *golden_folder;

/* The last sentence that the reader logged. */
typedef struct Heard {
    char text[512];
    int count;
} Heard;

static void hear(void *user, clattn_log_level level, const char *text)
{
    Heard *const heard = user;
    assert_int_equal(level, CLATTN_LOG_ERROR);
    snprintf(heard->text, sizeof heard->text, "%s", text);
    heard->count++;
}

/*
 * A file in memory: `header` behind its length, then `data_bytes` bytes 0, 1, 2, ... The caller
 * frees it.
 */
static unsigned char *make_file(const char *header, size_t data_bytes, size_t *bytes)
{
    const size_t length = strlen(header);
    *bytes = 8 + length + data_bytes;
    unsigned char *const file = malloc(*bytes);
    assert_non_null(file);
    for (size_t i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        file[8 + length + i] = (unsigned char)i;
    return file;
}

static clattn_status parse(const char *header, size_t data_bytes, Heard *heard,
                           clattn_safetensors **opened)
{
    const clattn_log log = {.fn = hear, .user = heard};
    size_t bytes;
    unsigned char *const file = make_file(header, data_bytes, &bytes);
    memset(heard, 0, sizeof *heard);
    const clattn_status status = clattn_safetensors_parse(file, bytes, &log, opened);
    free(file);
    return status;
}

#define ENTRY(name, dtype, shape, begin, end)                                                      \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"

/*
 * Listed against the order of the data, with an empty tensor and a scalar, and a header of odd
 * length.
 */
static const char good_header[] = "{" ENTRY("b", "U8", "[3]", "24", "27") "," ENTRY(
    "a", "F32", "[2,3]", "0", "24") ",\n"
                                    "\"__metadata__\":{\"kind\":\"op\",\"empty\":\"\"}," ENTRY(
                                        "none", "I64", "[2,0]", "24",
                                        "24") "," ENTRY("one", "BOOL", "[]", "27", "28") "}   ";
#define GOOD_DATA 28

static void test_good_file(void **state)
{
    (void)state;
    Heard heard;
    clattn_safetensors *file = NULL;
    assert_int_equal(parse(good_header, GOOD_DATA, &heard, &file), CLATTN_OK);
    assert_int_equal(heard.count, 0);
    assert_int_equal(clattn_safetensors_count(file), 4);
    static const char *const order[] = {"a", "none", "b", "one"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(clattn_safetensors_at(file, i)->name, order[i]);
    assert_null(clattn_safetensors_at(file, 4));

    const clattn_safetensor *const a = clattn_safetensors_find(file, "a");
    assert_int_equal(a->dtype, CLATTN_DTYPE_F32);
    assert_int_equal(a->dims, 2);
    assert_int_equal(a->shape[0], 2);
    assert_int_equal(a->shape[1], 3);
    assert_int_equal(a->count, 6);
    assert_int_equal((uintptr_t)a->data % 64, 0);
    assert_int_equal(((const unsigned char *)a->data)[5], 5);

    assert_int_equal(clattn_safetensors_find(file, "none")->count, 0);
    const clattn_safetensor *const one = clattn_safetensors_find(file, "one");
    assert_int_equal(one->dims, 0);
    assert_int_equal(one->count, 1);
    assert_int_equal(*(const unsigned char *)one->data, 27);

    assert_null(clattn_safetensors_find(file, "c"));
    assert_string_equal(clattn_safetensors_meta(file, "kind"), "op");
    assert_string_equal(clattn_safetensors_meta(file, "empty"), "");
    assert_null(clattn_safetensors_meta(file, "KIND"));
    clattn_safetensors_close(&file);
    assert_null(file);
    clattn_safetensors_close(&file);
}

static void test_empty_file(void **state)
{
    (void)state;
    Heard heard;
    clattn_safetensors *file = NULL;
    assert_int_equal(parse("{}", 0, &heard, &file), CLATTN_OK);
    assert_int_equal(clattn_safetensors_count(file), 0);
    assert_null(clattn_safetensors_find(file, "a"));
    assert_null(clattn_safetensors_meta(file, "kind"));
    clattn_safetensors_close(&file);
}

typedef struct Refusal {
    const char *header;
    size_t data_bytes;
    const char *sentence; /* part of what the log must say */
} Refusal;

static const Refusal refusals[] = {
    /* The text of the header. */
    {"", 0, "not a JSON object"},
    {"[]", 0, "not a JSON object"},
    {"{", 0, "not a JSON object"},
    {"{} {}", 0, "something follows"},
    {"{\"a\":[[[[[[[[[]]]]]]]]]}", 0, "deeper than 8 levels"},
    {"{\"a\nb\":1}", 0, "control character"},
    {"{\v}", 0, "control character"},
    {"{\"a\\u0000b\":1}", 0, "escaped zero"},
    /* One entry. */
    {"{\"a\":1}", 0, "exactly one dtype, shape and data_offsets"},
    {"{\"a\":{}}", 0, "exactly one dtype, shape and data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "exactly one dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"dtype\":\"I8\"}}", 0,
     "exactly one dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"more\":1}}", 0,
     "exactly one dtype"},
    {"{" ENTRY("a", "F12", "[0]", "0", "0") "}", 0, "unknown dtype 'F12'"},
    {"{\"a\":{\"dtype\":4,\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "unknown dtype"},
    {"{" ENTRY("a", "U8", "4", "0", "4") "}", 4, "shape is not a list"},
    {"{" ENTRY("a", "U8", "[\"4\"]", "0", "4") "}", 4, "not a whole number"},
    {"{" ENTRY("a", "U8", "[-1]", "0", "4") "}", 4, "not a whole number"},
    {"{" ENTRY("a", "U8", "[1.5]", "0", "4") "}", 4, "not a whole number"},
    {"{" ENTRY("a", "U8", "[1e400]", "0", "4") "}", 4, "not a whole number"},
    {"{" ENTRY("a", "U8", "[9007199254740993]", "0", "4") "}", 4, "below 2^53"},
    {"{" ENTRY("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, "63 bits"},
    {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "more than 8 extents"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "list of two numbers"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "list of two numbers"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{}}}", 1, "list of two numbers"},
    {"{" ENTRY("a", "U8", "[1]", "-1", "0") "}", 1, "not whole numbers"},
    {"{" ENTRY("a", "U8", "[1]", "9007199254740992", "9007199254740993") "}", 1, "below 2^53"},
    {"{" ENTRY("a", "U8", "[1]", "1", "0") "}", 1, "do not lie in"},
    {"{" ENTRY("a", "U8", "[9]", "0", "9") "}", 8, "do not lie in"},
    {"{" ENTRY("a", "U8", "[3]", "0", "4") "}", 4, "do not fill"},
    {"{" ENTRY("a", "F64", "[1125899906842624,2048]", "0", "0") "}", 0, "do not fill"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "I16", "[1]", "1", "3") "}", 3,
     "not aligned"},
    /* All entries together. */
    {"{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "1", "3") "}", 3,
     "'b' begins at byte 1"},
    {"{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "0", "2") "}", 2,
     "'b' begins at byte 0"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "U8", "[1]", "2", "3") "}", 3,
     "'b' begins at byte 2"},
    {"{" ENTRY("a", "U8", "[1]", "1", "2") "}", 2, "'a' begins at byte 1"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "}", 2, "end at byte 1 of 2"},
    {"{}", 1, "end at byte 0 of 1"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "U8", "[1]", "1",
                                                     "2") "," ENTRY("a", "U8", "[1]", "2", "3") "}",
     3, "the tensor 'a' twice"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("\\u0061", "U8", "[1]", "1", "2") "}", 2,
     "the tensor 'a' twice"},
    /* The metadata. */
    {"{\"__metadata__\":[]}", 0, "not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
    {"{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}}", 0, "the key 'a' twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice"},
    /* Names are made fit for a log. */
    {"{\"a\\u001b[2J\\n\":1}", 0, "tensor 'a?[2J?'"},
    {"{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1}", 0,
     "5678901234567890123456789...'"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const Refusal *const refusal = &refusals[i];
        Heard heard;
        clattn_safetensors *file = (clattn_safetensors *)&heard;
        const clattn_status status = parse(refusal->header, refusal->data_bytes, &heard, &file);
        if (status != CLATTN_E_IO || heard.count != 1 ||
            strstr(heard.text, refusal->sentence) == NULL)
            fail_msg("%s: got %s, '%s', not '%s'", refusal->header, clattn_status_name(status),
                     heard.text, refusal->sentence);
        assert_null(file);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    clattn_safetensors *file = (clattn_safetensors *)&file;
    assert_int_equal(clattn_safetensors_parse(NULL, 100, NULL, &file), CLATTN_E_ARG);
    assert_null(file);
    assert_int_equal(clattn_safetensors_parse("12345678", 8, NULL, NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_safetensors_open(NULL, NULL, &file), CLATTN_E_ARG);
    assert_int_equal(clattn_safetensors_open(".", NULL, NULL), CLATTN_E_ARG);
    assert_int_equal(clattn_safetensors_open(".", NULL, &file), CLATTN_E_IO);
    assert_int_equal(clattn_safetensors_open("no such file", NULL, &file), CLATTN_E_IO);
    assert_null(file);
    assert_int_equal(clattn_safetensors_count(NULL), 0);
    assert_null(clattn_safetensors_at(NULL, 0));
    assert_null(clattn_safetensors_find(NULL, "a"));
    assert_null(clattn_safetensors_meta(NULL, "a"));
    clattn_safetensors_close(NULL);
}

/* Every beginning of a good file is refused, and so is a good file with one byte more. */
static void test_truncated(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *const file = make_file(good_header, GOOD_DATA + 1, &bytes);
    clattn_safetensors *opened = NULL;
    for (size_t cut = 0; cut <= bytes; cut++) {
        const clattn_status status = clattn_safetensors_parse(file, cut, NULL, &opened);
        assert_int_equal(status, cut == bytes - 1 ? CLATTN_OK : CLATTN_E_IO);
        clattn_safetensors_close(&opened);
    }
    free(file);
}

static void test_header_length(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {2, 100000000, 100000001, UINT64_C(1) << 63, UINT64_MAX};
    Heard heard = {{0}, 0};
    const clattn_log log = {.fn = hear, .user = &heard};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char file[9];
        for (size_t byte = 0; byte < 8; byte++)
            file[byte] = (unsigned char)(lengths[i] >> (8 * byte));
        file[8] = '{';
        clattn_safetensors *opened = NULL;
        assert_int_equal(clattn_safetensors_parse(file, sizeof file, &log, &opened), CLATTN_E_IO);
        assert_non_null(strstr(heard.text, lengths[i] > 100000000 ? "limit" : "truncated"));
    }
}

static int allocations_left;

static bool fail_later(size_t size)
{
    (void)size;
    return allocations_left-- > 0;
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *const file = make_file(good_header, GOOD_DATA, &bytes);
    clattn_status status = CLATTN_E_NOMEM;
    int allowed = 0;
    for (; status != CLATTN_OK; allowed++) {
        clattn_safetensors *opened = NULL;
        allocations_left = allowed;
        clattn__alloc_hook = fail_later;
        status = clattn_safetensors_parse(file, bytes, NULL, &opened);
        clattn__alloc_hook = NULL;
        assert_true(status == CLATTN_OK || (status == CLATTN_E_NOMEM && opened == NULL));
        clattn_safetensors_close(&opened);
    }
    assert_in_range(allowed, 4, 10);
    free(file);
}

/* Opens every .safetensors file below `folder`; returns how many. */
static int open_all(const char *folder)
{
    int count = 0;
    DIR *const list = opendir(folder);
    if (list == NULL)
        fail_msg("%s: the folder cannot be read", folder);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char path[1024];
        struct stat kind;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &kind) != 0)
            continue;
        if (S_ISDIR(kind.st_mode)) {
            count += open_all(path);
        } else if (strstr(entry->d_name, ".safetensors") != NULL) {
            Heard heard = {{0}, 0};
            const clattn_log log = {.fn = hear, .user = &heard};
            clattn_safetensors *file = NULL;
            if (clattn_safetensors_open(path, &log, &file) != CLATTN_OK)
                fail_msg("%s", heard.text);
            assert_true(clattn_safetensors_count(file) > 0);
            clattn_safetensors_close(&file);
            count++;
        }
    }
    closedir(list);
    return count;
}

static void test_recorded_files(void **state)
{
    (void)state;
    const int count = open_all(golden_folder);
    print_message("%d recorded files in %s\n", count, golden_folder);
    assert_true(count > 0);
}

int main(int argc, char **argv)
{
    golden_folder = getenv("CLATTN_GOLDEN_DIR");
    if (golden_folder == NULL || *golden_folder == '\0')
        golden_folder = argc > 1 ? argv[1] : "tests/golden";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file), cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_recorded_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
