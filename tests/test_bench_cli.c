/*
 * clattn bench as a program: its JSON, its refusals, a wrong result, a slower one, a missing gnuplot. Nothing here depends on how fast
 * the machine is. Argument: the program.
 */
#define _POSIX_C_SOURCE 200809L /* popen, mkdtemp, setenv */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The smallest row there is, on the device that is always there. */
#define SMALL "--device cpu --ops dwc --shapes pvt-s4-b1 --seconds 0.2 "

static const char *program;
static char folder[] = "/tmp/clattn-bench-XXXXXX";
static char output[1 << 16]; /* of the last run, both streams */

static int run(const char *arguments)
{
    char line[4096];
    snprintf(line, sizeof line, "'%s' bench %s 2>&1", program, arguments);
    FILE *const stream = popen(line, "r");
    assert_non_null(stream);
    const size_t size = fread(output, 1, sizeof output - 1, stream);
    output[size] = '\0';
    const int status = pclose(stream);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *part)
{
    if (strstr(output, part) == NULL)
        fail_msg("'%s' is not in: %s", part, output);
}

static void expect_not(const char *part)
{
    if (strstr(output, part) != NULL)
        fail_msg("'%s' is in: %s", part, output);
}

static char *read_file(const char *name)
{
    char path[256];
    char *const text = calloc(1, 1 << 20);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const stream = fopen(path, "r");
    if (stream == NULL || text == NULL)
        fail_msg("%s: it cannot be read", path);
    (void)fread(text, 1, (1 << 20) - 1, stream);
    fclose(stream);
    return text;
}

static cJSON *read_json(const char *name)
{
    char *const text = read_file(name);
    cJSON *const json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}

static void write_json(const char *name, const cJSON *json)
{
    char path[256];
    char *const text = cJSON_Print(json);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const stream = fopen(path, "w");
    assert_true(stream != NULL && text != NULL);
    fputs(text, stream);
    fclose(stream);
    cJSON_free(text);
}

/* The schema of docs/bench.md. --------------------------------------------- */

static const cJSON *need(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (item == NULL)
        fail_msg("%s is missing", name);
    return item;
}

static double need_number(const cJSON *object, const char *name, double least)
{
    const cJSON *const item = need(object, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least))
        fail_msg("%s is not a number from %g on", name, least);
    return item->valuedouble;
}

static const char *need_text(const cJSON *object, const char *name)
{
    const cJSON *const item = need(object, name);
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
        fail_msg("%s is no text", name);
    return item->valuestring;
}

static void check_spread(const cJSON *spread)
{
    const double low = need_number(spread, "p10", 1e-12);
    const double middle = need_number(spread, "median", low);
    need_number(spread, "p90", middle);
    need_number(spread, "runs", 1.0);
}

static void check_row(const cJSON *row)
{
    const char *const outcome = need_text(row, "outcome");
    const cJSON *const sizes = need(row, "sizes");
    need_text(row, "operator");
    need_text(row, "shape");
    need_number(sizes, "batch", 1.0);
    need_number(sizes, "heads", 1.0);
    need_number(sizes, "head_dim", 1.0);
    need_number(sizes, "height", 1.0);
    need_number(sizes, "width", 1.0);
    need_number(sizes, "class_tokens", 0.0);
    need_number(sizes, "agents", 1.0);
    need_number(row, "bytes", 1.0);
    need_number(row, "flops", 1.0);
    need_number(row, "exponentials", 0.0);
    assert_string_equal(outcome, "measured");
    if (!cJSON_IsNull(need(row, "device_seconds")))
        check_spread(need(row, "device_seconds"));
    check_spread(need(row, "wall_seconds"));
    need_number(row, "gflops", 1e-12);
    need_number(row, "gbytes_per_second", 1e-12);
    need_number(row, "share_of_bound", 1e-12);
    need_number(row, "share_at_pace", 1e-12);
    need_number(row, "pace", 1e-12);
    const char *const roof = need_text(row, "pace_roof");
    assert_true(strcmp(roof, "copy") == 0 || strcmp(roof, "fma_f32") == 0);
    need_number(row, "plan_seconds", 0.0);
    if (!cJSON_IsNull(need(row, "binary_bytes")))
        need_number(row, "binary_bytes", 1.0);
    need_number(row, "launches", 0.0);
    need_number(row, "scratch_bytes", 0.0);
    need_number(row, "work_group", 1.0);
    need_number(row, "sets", 1.0);
    assert_true(need_number(row, "max_error", 0.0) <= need_number(row, "tolerance", 0.0));
    need_number(row, "checked", 1.0);
    need_text(row, "checked_with");
    assert_int_equal(strlen(need_text(row, "bits")), 16);
}

static void check_report(const cJSON *json)
{
    static const char *const roofs[] = {"copy", "fma_f32", "exp2", "local"};
    const cJSON *row = NULL;
    assert_true(need_number(json, "clattn_bench", 1.0) == 1.0);
    need_text(json, "clattn");
    need_text(json, "commit");
    assert_int_equal(strlen(need_text(json, "kernels")), 64);
    need_text(json, "os");
    need_text(json, "date");
    need_text(json, "tuning");
    assert_true(cJSON_IsBool(need(json, "device_clock")));
    need_number(need(json, "settings"), "seconds", 1e-6);
    need_text(need(json, "settings"), "cache");
    need_text(need(json, "settings"), "type");
    assert_true(cJSON_IsBool(need(need(json, "settings"), "quick")));
    const cJSON *const device = need(json, "device");
    need_text(device, "name");
    need_text(device, "kind");
    need_text(device, "vendor");
    need_text(device, "platform");
    need_text(device, "version");
    need_text(device, "driver");
    need_number(device, "compute_units", 1.0);
    need_number(device, "global_bytes", 1.0);
    need_number(device, "cache_bytes", 1.0);
    assert_true(cJSON_IsBool(need(device, "opencl")));
    for (size_t i = 0; i < sizeof roofs / sizeof *roofs; i++) {
        const cJSON *const roof = need(need(json, "roofs"), roofs[i]);
        need_number(roof, "start", 1.0);
        need_number(roof, "end", 1.0);
        need_number(roof, "drift", -1.0);
        assert_true(cJSON_IsBool(need(roof, "drifted")));
        need_text(roof, "form");
    }
    assert_true(cJSON_GetArraySize(need(json, "rows")) > 0);
    cJSON_ArrayForEach(row, need(json, "rows")) check_row(row);
}

/* On the device that would be chosen: PoCL, or the CPU path where there is none. */
static void test_quick(void **state)
{
    char line[512];
    (void)state;
    snprintf(line, sizeof line, "--quick --seconds 0.01 --json %s/quick.json", folder);
    if (run(line) != 0)
        fail_msg("%s", output);
    expect("agent_attention/pvt-s3-b1");
    expect("smooth/smooth-128");
    expect("Mpixel/s");
    cJSON *const json = read_json("quick.json");
    check_report(json);
    cJSON_Delete(json);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_int_equal(run("--ops agent_atention"), 2);
    expect("there is no 'agent_atention'");
    expect("agent_attention agent_pool");
    assert_int_equal(run("--shapes pvt-s9"), 2);
    expect("there is no 'pvt-s9'");
    expect("pvt-s4-b64");
    assert_int_equal(run("--cache hot"), 2);
    expect("warm or cold");
    assert_int_equal(run("--type f64"), 2);
    expect("f32 or f16");
    assert_int_equal(run("--plot picture.bmp"), 2);
    expect(".svg or .png");
    assert_int_equal(run("--tuning /nonexistent/rows"), 1);
    expect("/nonexistent/rows");
    assert_int_equal(run("--fail-above 5"), 2);
    expect("needs --baseline");
    assert_int_equal(run("--seconds 0"), 2);
    assert_int_equal(run("--device nothing-of-that-name"), 1);
    expect("nothing-of-that-name");
}

static void test_wrong(void **state)
{
    char line[512];
    (void)state;
    setenv("CLATTN_BENCH_FAULT", "dwc", 1);
    snprintf(line, sizeof line, SMALL "--json %s/wrong.json", folder);
    assert_int_equal(run(line), 1);
    unsetenv("CLATTN_BENCH_FAULT");
    expect("WRONG: error ");
    cJSON *const json = read_json("wrong.json");
    const cJSON *const row = cJSON_GetArrayItem(need(json, "rows"), 0);
    assert_string_equal(need_text(row, "outcome"), "WRONG");
    assert_true(need_number(row, "max_error", 0.0) > need_number(row, "tolerance", 0.0));
    assert_null(cJSON_GetObjectItem(row, "wall_seconds"));
    assert_null(cJSON_GetObjectItem(row, "gflops"));
    cJSON_Delete(json);
}

/* Multiplies the times of a report. */
static void scale_times(cJSON *json, double factor)
{
    static const char *const names[] = {"median", "p10", "p90"};
    cJSON *row = NULL;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(json, "rows"))
    {
        cJSON *const wall = cJSON_GetObjectItem(row, "wall_seconds");
        for (int i = 0; i < 3; i++) {
            cJSON *const item = cJSON_GetObjectItem(wall, names[i]);
            cJSON_SetNumberValue(item, item->valuedouble * factor);
        }
    }
}

static void test_baseline(void **state)
{
    char line[512];
    (void)state;
    snprintf(line, sizeof line, SMALL "--json %s/base.json", folder);
    assert_int_equal(run(line), 0);
    cJSON *const json = read_json("base.json");
    scale_times(json, 1e-4);
    write_json("quicker.json", json);
    scale_times(json, 1e8);
    write_json("slower.json", json);
    cJSON_Delete(json);

    snprintf(line, sizeof line, SMALL "--baseline %s/quicker.json", folder);
    assert_int_equal(run(line), 0);
    expect("SLOWER");
    expect("at pace");
    expect_not("other bits");
    snprintf(line, sizeof line, SMALL "--baseline %s/quicker.json --fail-above 100", folder);
    assert_int_equal(run(line), 1);
    expect("1 row is slower");
    snprintf(line, sizeof line, SMALL "--baseline %s/slower.json --fail-above 0", folder);
    assert_int_equal(run(line), 0);
    expect("faster");
}

static void test_damaged_baseline(void **state)
{
    char line[512];
    (void)state;
    snprintf(line, sizeof line, "%s/damaged.json", folder);
    FILE *const stream = fopen(line, "w");
    assert_non_null(stream);
    fputs("{\"clattn_bench\": 1, \"clattn\": ", stream);
    fclose(stream);
    snprintf(line, sizeof line, SMALL "--baseline %s/damaged.json", folder);
    assert_int_equal(run(line), 2);
    expect("damaged: no JSON from byte");
    expect_not("GFLOP/s"); /* nothing was measured */
    snprintf(line, sizeof line, SMALL "--baseline %s/missing.json", folder);
    assert_int_equal(run(line), 2);
    expect("missing.json");
}

static void test_no_gnuplot(void **state)
{
    char line[512];
    const char *const path = getenv("PATH");
    char *const kept = path != NULL ? strdup(path) : NULL;
    (void)state;
    setenv("PATH", folder, 1);
    snprintf(line, sizeof line, SMALL "--plot %s/none.svg", folder);
    const int code = run(line);
    if (kept != NULL)
        setenv("PATH", kept, 1);
    free(kept);
    assert_int_equal(code, 0);
    expect("dwc/pvt-s4-b1");
    expect("apt-get install gnuplot-nox");
}

static void test_plot(void **state)
{
    char line[512];
    (void)state;
    if (system("command -v gnuplot >/dev/null") != 0) {
        print_message("gnuplot is missing: no plot is drawn\n");
        return;
    }
    snprintf(line, sizeof line,
             "--device cpu --ops agent_attention,attention --shapes hires-32,hires-64 "
             "--seconds 0.01 --plot %s/plot.svg",
             folder);
    assert_int_equal(run(line), 0);
    char *const text = read_file("plot.svg");
    assert_non_null(strstr(text, "<svg"));
    assert_non_null(strstr(text, "agent_attention"));
    assert_non_null(strstr(text, "Time against tokens"));
    free(text);
}

static int begin(void **state)
{
    (void)state;
    setenv("CLATTN_BENCH_CACHE", "8000000", 1);
    return mkdtemp(folder) != NULL ? 0 : 1;
}

static int end(void **state)
{
    static const char *const names[] = {"quick",  "wrong",   "base", "quicker",
                                        "slower", "damaged", "plot", "none"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s.%s", folder, names[i], i < 6 ? "json" : "svg");
        (void)remove(path);
    }
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_damaged_baseline),
        cmocka_unit_test(test_wrong),      cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_no_gnuplot), cmocka_unit_test(test_plot),
        cmocka_unit_test(test_quick),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s PROGRAM\n", argv[0]);
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests(tests, begin, end);
}
