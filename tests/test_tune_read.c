/* The reader of tuning rows: what it accepts, and that everything else is refused with line, column and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cl/tune.h"
#include "clattn/tensor.h"
#include "support.h"

static support_log log_ = SUPPORT_LOG_INIT;

/* A copy of just the size, so that a sanitizer sees reads behind the end. */
static clattn_status read_rows(const char *text, size_t size, clattn__tune_row **rows,
                               size_t *count)
{
    const clattn_log log = support_listen(&log_, CLATTN_LOG_WARN);
    char *const exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, text, size);
    const clattn_status status = clattn__tune_read(&log, exact, size, rows, count);
    free(exact);
    return status;
}

static void good(void **state)
{
    (void)state;
    static const char text[] =
        "# a comment\n"
        "\n"
        "agent_broadcast type=f32 vendor=Intel device=\"a \\\"quoted\\\" \\\\ n\xc3\xa4me\" rows=6 "
        "vectors=1 query_block=128\r\n"
        "\tattention\twork_group=64 block_dv=48  chunk_d=32 # behind a row\n"
        "dwc architecture=gfx1030 channels=8 tokens=2 items=1048576#\n"
        "dwc type=f16 items=1";
    clattn__tune_row *rows = NULL;
    size_t count = 0;
    assert_int_equal(read_rows(text, sizeof text - 1, &rows, &count), CLATTN_OK);
    assert_int_equal(count, 4);

    assert_string_equal(rows[0].kernel, "agent_broadcast");
    assert_int_equal(rows[0].type, CLATTN_F32);
    assert_string_equal(rows[0].vendor, "Intel");
    assert_string_equal(rows[0].architecture, "");
    assert_string_equal(rows[0].device, "a \"quoted\" \\ n\xc3\xa4me");
    assert_int_equal(rows[0].values.rows, 6);
    assert_int_equal(rows[0].values.vectors, 1);
    assert_int_equal(rows[0].values.query_block, 128);
    assert_int_equal(rows[0].values.chunk_d, 0);
    assert_int_equal(rows[0].line, 3);
    assert_int_equal(rows[1].type, CLATTN__TUNE_ANY_TYPE);
    assert_int_equal(rows[1].values.work_group, 64);
    assert_int_equal(rows[1].values.chunk_d, 32);
    assert_int_equal(rows[1].values.block_dv, 48);
    assert_string_equal(rows[2].architecture, "gfx1030");
    assert_int_equal(rows[2].values.channels, 8);
    assert_int_equal(rows[2].values.items, 1048576);
    assert_int_equal(rows[3].type, CLATTN_F16);
    assert_int_equal(rows[3].line, 6);
    clattn__free(rows);
}

static void nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only\n  # comments", " \t", "\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        clattn__tune_row *rows = NULL;
        size_t count = 7;
        assert_int_equal(read_rows(texts[i], strlen(texts[i]), &rows, &count), CLATTN_OK);
        assert_true(rows == NULL && count == 0);
    }
}

static void written_as_read(void **state)
{
    (void)state;
    static const clattn__tune_values values = {
        .rows = 7, .vectors = 2, .query_block = 64, .agents = 0};
    char text[128];
    clattn__tune_row *rows = NULL;
    size_t count = 0;
    const size_t length = clattn__tune_write("attention", CLATTN_F16, values, text, sizeof text);
    assert_string_equal(text, "attention type=f16 rows=7 vectors=2 query_block=64");
    assert_int_equal(length, strlen(text));
    assert_int_equal(read_rows(text, length, &rows, &count), CLATTN_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(&rows[0].values, &values, sizeof values);
    clattn__free(rows);
    assert_int_equal(clattn__tune_write("attention", CLATTN_F16, values, text, 10), length);
    assert_string_equal(text, "attention");
}

static const struct {
    const char *text, *words;
} damaged[] = {
    {"dwc", "line 1, column 1: the row sets nothing; dwc has channels, tokens, items"},
    {"\n  dwc type=f32 # items=1", "line 2, column 3: the row sets nothing"},
    {"gemm items=1",
     "line 1, column 1: unknown kernel 'gemm'; there are agent_aggregate, agent_broadcast, "
     "attention, dwc, agent_merge, agent_pool, smooth"},
    {"dwc rows=1", "line 1, column 5: dwc has no 'rows'; it has channels, tokens, items"},
    {"agent_aggregate query_block=64", "agent_aggregate has no 'query_block'; it has rows, "
                                       "vectors, agents, work_group, chunk_d, block_dv"},
    {"dwc items", "line 1, column 10: expected = behind 'items'"},
    {"dwc items =1", "line 1, column 10: expected = behind 'items'"},
    {"dwc items=", "line 1, column 5: a value is missing"},
    {"dwc items=#1", "line 1, column 5: a value is missing"},
    {"dwc vendor=\"\" items=1", "line 1, column 5: a value is missing"},
    {"dwc items=0", "line 1, column 5: items is '0'; it must be a whole number from 1 to 1048576"},
    {"dwc items=-1", "items is '-1'"},
    {"dwc items=+1", "items is '+1'"},
    {"dwc items=01", "items is '01'"},
    {"dwc items=1.5", "items is '1.5'"},
    {"dwc items=1e3", "items is '1e3'"},
    {"dwc items=0x10", "items is '0x10'"},
    {"dwc items=1048577", "items is '1048577'"},
    {"dwc items=18446744073709551617", "items is '18446744073709551617'"},
    {"dwc items=1 items=1", "line 1, column 13: items is said twice"},
    {"dwc type=f32 type=f32 items=1", "line 1, column 14: type is said twice"},
    {"dwc vendor=a vendor=a items=1", "line 1, column 14: vendor is said twice"},
    {"dwc type=f64 items=1", "line 1, column 5: type is 'f64'; it must be f32 or f16"},
    {"dwc items=1,tokens=2", "line 1, column 19: a value ends with a blank"},
    {"dwc items=1 = 2", "line 1, column 13: expected a name and not '='"},
    {"Dwc items=1", "line 1, column 1: expected a name and not 'D'"},
    {"dwc\xc3\xa4 items=1", "line 1, column 4: expected a name and not the byte 0xc3"},
    {"dwc items=1\x01", "line 1, column 12: a value ends with a blank"},
    {"dwc vendor=\"a", "line 1, column 12: the quote does not end on its line"},
    {"dwc vendor=\"a\\", "line 1, column 12: the quote does not end on its line"},
    {"dwc vendor=\"a\n\" items=1", "line 1, column 12: the quote does not end on its line"},
    {"dwc vendor=\"a\\n\" items=1", "line 1, column 15: behind a backslash stands a quote"},
    {"dwc vendor=\"a\x02\" items=1", "line 1, column 14: the byte 0x02 does not belong"},
    {"dwc vendor=\"a\"items=1", "line 1, column 15: a value ends with a blank"},
    {"dwc items=1\rdwc items=2", "line 1, column 12: a value ends with a blank"},
    {"attention chunk_d=16", "line 1, column 1: chunk_d needs work_group"},
    {"attention work_group=64", "line 1, column 1: the row sets nothing"},
    {"attention work_group=64 rows=8", "rows is of the wide shape and work_group of the tile"},
    {"dwc items=1\n\ndwc items=2", "line 3, column 1: line 1 has a row for the same already"},
    {"dwc items=1\ndwc tokens=2", "line 2, column 1: line 1 has a row for the same already"},
};

static void bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        clattn__tune_row *rows = (clattn__tune_row *)&rows;
        size_t count = 7;
        SUPPORT_REFUSED(&log_, read_rows(damaged[i].text, strlen(damaged[i].text), &rows, &count),
                        CLATTN_E_IO, damaged[i].words);
        assert_true(rows == NULL && count == 0);
    }
}

/* Names as long as a device's, and one byte longer. */
static void long_names(void **state)
{
    (void)state;
    for (int longer = 0; longer < 2; longer++) {
        char text[400], name[CLATTN__TUNE_NAME + 1];
        clattn__tune_row *rows = NULL;
        size_t count = 0;
        const size_t length = CLATTN__TUNE_NAME - 1 + (size_t)longer;
        memset(name, 'x', length);
        name[length] = '\0';
        for (int quoted = 0; quoted < 2; quoted++) {
            const char *const quote = quoted ? "\"" : "";
            snprintf(text, sizeof text, "dwc device=%s%s%s items=1", quote, name, quote);
            if (longer) {
                SUPPORT_REFUSED(&log_, read_rows(text, strlen(text), &rows, &count), CLATTN_E_IO,
                                "of more than 127 bytes");
                continue;
            }
            assert_int_equal(read_rows(text, strlen(text), &rows, &count), CLATTN_OK);
            assert_string_equal(rows[0].device, name);
            clattn__free(rows);
        }
    }
}

/* Many rows are read, but not any number; nor is any amount of text. */
static void many(void **state)
{
    (void)state;
    const size_t room = CLATTN__TUNE_MAX_BYTES + 1;
    char *const text = malloc(room);
    clattn__tune_row *rows = NULL;
    size_t count = 0, length = 0;
    assert_non_null(text);
    for (int i = 0; i < CLATTN__TUNE_MAX_ROWS; i++)
        length += (size_t)snprintf(text + length, room - length, "dwc device=d%d items=1\n", i);
    assert_int_equal(read_rows(text, length, &rows, &count), CLATTN_OK);
    assert_int_equal(count, CLATTN__TUNE_MAX_ROWS);
    assert_string_equal(rows[1000].device, "d1000");
    clattn__free(rows);
    length += (size_t)snprintf(text + length, room - length, "dwc device=e items=1\n");
    SUPPORT_REFUSED(&log_, read_rows(text, length, &rows, &count), CLATTN_E_IO,
                    "line 1025, column 1: more than 1024 rows");
    memset(text, '\n', room);
    assert_int_equal(read_rows(text, room - 1, &rows, &count), CLATTN_OK);
    SUPPORT_REFUSED(&log_, read_rows(text, room, &rows, &count), CLATTN_E_IO,
                    "262145 bytes; the most is 262144");
    free(text);
}

/* The library's own rows keep their form. */
static void builtin(void **state)
{
    (void)state;
    clattn__tune_row *rows = NULL;
    size_t count = 0;
    assert_int_equal(read_rows(clattn__tune_builtin, clattn__tune_builtin_bytes, &rows, &count),
                     CLATTN_OK);
    clattn__free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),    cmocka_unit_test(nothing),    cmocka_unit_test(written_as_read),
        cmocka_unit_test(bad),     cmocka_unit_test(long_names), cmocka_unit_test(many),
        cmocka_unit_test(builtin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
