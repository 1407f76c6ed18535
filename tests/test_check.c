/*
 * clattn check must tell a right result from a wrong one, and both from a damaged file: recorded
 * cases are changed in one place and run again on the CPU path. Arguments: the program, the folder
 * of the recorded cases.
 */
#define _POSIX_C_SOURCE 200809L /* popen, mkdtemp */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program, *golden_folder;
static char folder[] = "/tmp/clattn-check-XXXXXX";

/* A file in memory. */
typedef struct Bytes {
    unsigned char *data;
    size_t count;
} Bytes;

static Bytes read_case(const char *name)
{
    char path[1024];
    Bytes bytes = {NULL, 0};
    snprintf(path, sizeof path, "%s/%s.safetensors", golden_folder, name);
    FILE *const stream = fopen(path, "rb");
    if (stream == NULL)
        fail_msg("%s: it cannot be opened", path);
    fseek(stream, 0, SEEK_END);
    bytes.count = (size_t)ftell(stream);
    rewind(stream);
    bytes.data = malloc(bytes.count);
    assert_non_null(bytes.data);
    assert_int_equal(fread(bytes.data, 1, bytes.count, stream), bytes.count);
    fclose(stream);
    return bytes;
}

static size_t header_length(const Bytes *bytes)
{
    size_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | bytes->data[i];
    return length;
}

/* Where `text` begins in the header, which has no zero byte. */
static char *find_in_header(const Bytes *bytes, const char *text)
{
    const size_t length = strlen(text);
    for (size_t i = 8; i + length <= 8 + header_length(bytes); i++)
        if (memcmp(bytes->data + i, text, length) == 0)
            return (char *)bytes->data + i;
    fail_msg("the header does not hold %s", text);
    return NULL;
}

/* Replaces text of the header by text of the same length. */
static void replace(const Bytes *bytes, const char *text, const char *with)
{
    assert_int_equal(strlen(text), strlen(with));
    memcpy(find_in_header(bytes, text), with, strlen(with));
}

/* Adds to the first value of an F32 tensor. */
static void add_to_tensor(const Bytes *bytes, const char *name, float much)
{
    char key[64];
    unsigned long begin = 0;
    float value;
    snprintf(key, sizeof key, "\"%s\"", name);
    const char *const entry = find_in_header(bytes, key);
    const char *const offsets = strstr(entry, "\"data_offsets\"");
    assert_non_null(offsets);
    begin = strtoul(strchr(offsets, '[') + 1, NULL, 10);
    unsigned char *const place = bytes->data + 8 + header_length(bytes) + begin;
    memcpy(&value, place, sizeof value);
    value += much;
    memcpy(place, &value, sizeof value);
}

/* Writes the file, frees the bytes, and returns the path, which lives until the next call. */
static const char *write_case(Bytes *bytes, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes->data, 1, bytes->count, stream), bytes->count);
    assert_int_equal(fclose(stream), 0);
    free(bytes->data);
    return path;
}

/* Runs `check` with these arguments; its output is in `text`. Returns the exit code. */
static int check(const char *arguments, char text[4096])
{
    char line[2048];
    snprintf(line, sizeof line, "\"%s\" check --device cpu %s 2>&1", program, arguments);
    FILE *const pipe = popen(line, "r");
    assert_non_null(pipe);
    text[fread(text, 1, 4095, pipe)] = '\0';
    const int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *path, int code, const char *said)
{
    char text[4096];
    const int got = check(path, text);
    if (got != code || strstr(text, said) == NULL)
        fail_msg("%s: exit code %d, not %d with '%s':\n%s", path, got, code, said, text);
}

#define MODULE "op/swin_d48_h3_w4_n9"

static void test_right_result_passes(void **state)
{
    (void)state;
    Bytes bytes = read_case(MODULE);
    expect(write_case(&bytes, "right.safetensors"), 0, "1 passed, 0 failed");
}

/* One value off by a little: of the recorded output, of the input, of each kind of parameter. */
static void test_wrong_results_fail(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        float much;
    } changes[] = {
        {"output", 1e-3f},     {"input", 0.05f},    {"qkv.weight", 0.05f}, {"proj.bias", 1e-3f},
        {"dwc.weight", 0.01f}, {"dwc.bias", 1e-3f}, {"an_bias", 0.2f},     {"na_bias", 0.2f},
        {"ah_bias", 0.2f},     {"aw_bias", 0.2f},   {"ha_bias", 0.2f},     {"wa_bias", 0.2f},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        Bytes bytes = read_case(MODULE);
        add_to_tensor(&bytes, changes[i].tensor, changes[i].much);
        expect(write_case(&bytes, "wrong.safetensors"), 1, "FAIL");
    }
}

static void test_not_a_number_fails(void **state)
{
    (void)state;
    Bytes bytes = read_case(MODULE);
    add_to_tensor(&bytes, "output", (float)strtod("nan", NULL));
    expect(write_case(&bytes, "nan.safetensors"), 1, "FAIL");
}

/* The shift of a window block is read, not guessed. */
static void test_wrong_shift_fails(void **state)
{
    (void)state;
    Bytes bytes = read_case("block/swin_agent_d32_h2_14x14_w7_s3_n9");
    replace(&bytes, "\"shift_size_effective\":\"3\"", "\"shift_size_effective\":\"2\"");
    expect(write_case(&bytes, "shift.safetensors"), 1, "FAIL");
}

static void test_bad_files_are_unreadable(void **state)
{
    (void)state;
    Bytes bytes = read_case(MODULE);
    bytes.count -= 1;
    expect(write_case(&bytes, "short.safetensors"), 2, "1 unreadable");

    bytes = read_case(MODULE);
    replace(&bytes, "\"kind\":\"op\"", "\"kind\":\"po\"");
    expect(write_case(&bytes, "kind.safetensors"), 2, "no known kind");

    bytes = read_case(MODULE);
    replace(&bytes, "\"H\":\"4\"", "\"H\":\"5\"");
    expect(write_case(&bytes, "map.safetensors"), 2, "does not have 16 tokens");

    bytes = read_case(MODULE);
    replace(&bytes, "\"num_heads\":\"3\"", "\"num_heads\":\"0\"");
    expect(write_case(&bytes, "heads.safetensors"), 2, "cannot be split in 0 heads");

    bytes = read_case(MODULE);
    replace(&bytes, "\"an_bias\"", "\"no_bias\"");
    expect(write_case(&bytes, "missing.safetensors"), 2, "an_bias is missing");
    expect("no-such-file", 2, "no such file");
}

static void test_rest_runs_beside_a_bad_file(void **state)
{
    (void)state;
    char text[4096], arguments[2048];
    Bytes bytes = read_case(MODULE);
    write_case(&bytes, "a-good.safetensors");
    bytes = read_case("block/swin_softmax_d32_h2_14x14_w7_s0");
    write_case(&bytes, "b-skip.safetensors");
    bytes = read_case(MODULE);
    bytes.count = 100;
    write_case(&bytes, "c-bad.safetensors");
    snprintf(arguments, sizeof arguments,
             "%s/c-bad.safetensors %s/a-good.safetensors %s/b-skip.safetensors", folder, folder,
             folder);
    assert_int_equal(check(arguments, text), 2);
    assert_non_null(strstr(text, "1 passed, 0 failed, 1 skipped, 1 unreadable"));
    assert_int_equal(check(arguments + strlen(folder) + strlen("/c-bad.safetensors "), text), 0);
    assert_non_null(strstr(text, "relative position bias"));
}

/* Storage in f16 has limits of its own, which are more than f32 keeps and less than what is wrong. */
static void test_half_storage(void **state)
{
    (void)state;
    char arguments[1100];
    Bytes bytes = read_case(MODULE);
    snprintf(arguments, sizeof arguments, "--type f16 %s", write_case(&bytes, "right.safetensors"));
    expect(arguments, 0, "of 0.0015");
    bytes = read_case(MODULE);
    add_to_tensor(&bytes, "output", 0.05f);
    snprintf(arguments, sizeof arguments, "--type f16 %s", write_case(&bytes, "wrong.safetensors"));
    expect(arguments, 1, "FAIL");
    snprintf(arguments, sizeof arguments, "--type f8 %s/wrong.safetensors", folder);
    expect(arguments, 2, "--type is f32 or f16, not 'f8'");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"right", "wrong", "nan",     "shift",  "short",  "kind",
                                        "map",   "heads", "missing", "a-good", "b-skip", "c-bad"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s.safetensors", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: test_check CLATTN GOLDEN_FOLDER\n");
        return 1;
    }
    program = argv[1];
    golden_folder = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_result_passes),
        cmocka_unit_test(test_wrong_results_fail),
        cmocka_unit_test(test_not_a_number_fails),
        cmocka_unit_test(test_wrong_shift_fails),
        cmocka_unit_test(test_bad_files_are_unreadable),
        cmocka_unit_test(test_rest_runs_beside_a_bad_file),
        cmocka_unit_test(test_half_storage),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
