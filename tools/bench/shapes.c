/* The named shapes: layers of the published models, dense maps, large maps, Stable Diffusion, and the marks of the core. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE     BENCH_BIT(BENCH_AGENT_ATTENTION)
#define POOL      BENCH_BIT(BENCH_AGENT_POOL)
#define STAGES    (BENCH_BIT(BENCH_AGENT_AGGREGATE) | BENCH_BIT(BENCH_AGENT_BROADCAST))
#define ATTENTION BENCH_BIT(BENCH_ATTENTION)
#define DWC       BENCH_BIT(BENCH_DWC)
#define SMOOTH    BENCH_BIT(BENCH_SMOOTH)
#define LAYER     (WHOLE | POOL | STAGES | ATTENTION | DWC)

/* A layer of a classification model: a square map, agents of `agent` x `agent`, trained at this size, DWC 3 x 3. */
#define MODEL(label, family, quick, pictures, h, d, side, cls, agent)                              \
    {                                                                                              \
        .name = label, .group = family, .ops = LAYER, .quick_ops = quick, .batch = pictures,       \
        .heads = h, .dim = d, .height = side, .width = side, .class_tokens = cls,                  \
        .agent_height = agent, .agent_width = agent, .trained_agents = agent,                      \
        .trained_side = side, .dwc_size = 3                                                        \
    }

/* A map with no bias and no convolution: the two stages and nothing else. */
#define MAP(label, family, operators, quick, given, h, d, rows, columns, agents_h, agents_w)       \
    {                                                                                              \
        .name = label, .group = family, .ops = operators, .quick_ops = quick, .batch = 1,          \
        .heads = h, .dim = d, .height = rows, .width = columns, .agent_height = agents_h,          \
        .agent_width = agents_w, .agents_given = given                                             \
    }
#define PLAIN(label, family, operators, quick, given, h, d, side, agents_h, agents_w)              \
    MAP(label, family, operators, quick, given, h, d, side, side, agents_h, agents_w)

/* Agent-PVT trained at 224 x 224, on a map of any size with agents of any grid. */
#define DENSE(label, quick, h, rows, columns, agent, trained, side)                                \
    {                                                                                              \
        .name = label, .group = "dense", .ops = LAYER, .quick_ops = quick, .batch = 1, .heads = h, \
        .dim = 64, .height = rows, .width = columns, .agent_height = agent, .agent_width = agent,  \
        .trained_agents = trained, .trained_side = side, .dwc_size = 3                             \
    }

/* 1 token in 16 is an agent, taken from the tokens; the second scale is d^(-1/2 * 0.3), and 0.075 v is added. */
#define DIFFUSION(label, quick, side)                                                              \
    {                                                                                              \
        .name = label, .group = "sd", .ops = WHOLE | STAGES | ATTENTION, .quick_ops = quick,       \
        .batch = 1, .heads = 8, .dim = 40, .height = side, .width = side,                          \
        .agent_height = (side) / 4, .agent_width = (side) / 4, .agents_given = 1,                  \
        .scale_broadcast = 0.575028f, .v_shortcut = 0.075f                                         \
    }

#define FILTER(label, quick, side)                                                                 \
    {                                                                                              \
        .name = label, .group = "smooth", .ops = SMOOTH, .quick_ops = quick, .batch = 1,           \
        .heads = 1, .dim = 3, .height = side, .width = side, .agent_height = 24, .agent_width = 24 \
    }

static const bench_shape shapes[] = {
    MODEL("deit-t-b1", "deit", WHOLE, 1, 3, 64, 14, 1, 7),
    MODEL("deit-t-b64", "deit", 0, 64, 3, 64, 14, 1, 7),
    MODEL("pvt-s1-b1", "pvt", 0, 1, 1, 64, 56, 0, 3),
    MODEL("pvt-s2-b1", "pvt", 0, 1, 2, 64, 28, 0, 4),
    MODEL("pvt-s3-b1", "pvt", WHOLE | POOL | STAGES | DWC, 1, 5, 64, 14, 0, 7),
    MODEL("pvt-s4-b1", "pvt", 0, 1, 8, 64, 7, 0, 7),
    MODEL("pvt-s1-b64", "pvt", 0, 64, 1, 64, 56, 0, 3),
    MODEL("pvt-s2-b64", "pvt", 0, 64, 2, 64, 28, 0, 4),
    MODEL("pvt-s3-b64", "pvt", 0, 64, 5, 64, 14, 0, 7),
    MODEL("pvt-s4-b64", "pvt", 0, 64, 8, 64, 7, 0, 7),
    MODEL("swin-b-s1-b1", "swin", 0, 1, 4, 32, 56, 0, 3),
    MODEL("swin-b-s2-b1", "swin", 0, 1, 8, 32, 28, 0, 4),
    MODEL("swin-b-s3-b1", "swin", 0, 1, 16, 32, 14, 0, 7),
    MODEL("swin-b-s1-b64", "swin", 0, 64, 4, 32, 56, 0, 3),
    MODEL("swin-b-s2-b64", "swin", 0, 64, 8, 32, 28, 0, 4),
    MODEL("swin-b-s3-b64", "swin", 0, 64, 16, 32, 14, 0, 7),
    DENSE("dense-s1", 0, 1, 200, 334, 12, 3, 56),
    MAP("dense-s1-plain", "dense", WHOLE | STAGES, 0, 1, 1, 64, 200, 334, 12, 12),
    DENSE("dense-s2", 0, 2, 100, 168, 16, 4, 28),
    DENSE("dense-s3", WHOLE, 5, 50, 84, 28, 7, 14),
    PLAIN("hires-32", "hires", WHOLE | POOL | STAGES | ATTENTION, 0, 0, 4, 64, 32, 7, 7),
    PLAIN("hires-64", "hires", WHOLE | POOL | STAGES | ATTENTION, WHOLE | ATTENTION, 0, 4, 64, 64,
          7, 7),
    PLAIN("hires-128", "hires", WHOLE | POOL | STAGES | ATTENTION, 0, 0, 4, 64, 128, 7, 7),
    PLAIN("hires-512", "hires", WHOLE | POOL | STAGES | ATTENTION, 0, 0, 4, 64, 512, 7, 7),
    PLAIN("hires-1024", "hires", WHOLE | POOL | STAGES | ATTENTION, 0, 0, 4, 64, 1024, 7, 7),
    DIFFUSION("sd-64", WHOLE, 64),
    DIFFUSION("sd-96", 0, 96),
    DIFFUSION("sd-128", 0, 128),
    PLAIN("stages-n9", "stages", WHOLE | STAGES, 0, 1, 4, 64, 128, 3, 3),
    PLAIN("stages-n16", "stages", WHOLE | STAGES, 0, 1, 4, 64, 128, 4, 4),
    PLAIN("stages-n49", "stages", WHOLE | STAGES, 0, 1, 4, 64, 128, 7, 7),
    PLAIN("stages-n144", "stages", WHOLE | STAGES, 0, 1, 4, 64, 128, 12, 12),
    PLAIN("stages-n784", "stages", WHOLE | STAGES, 0, 1, 4, 64, 128, 28, 28),
    PLAIN("width-24", "width", WHOLE | STAGES, 0, 1, 4, 24, 128, 7, 7),
    PLAIN("width-32", "width", WHOLE | STAGES, 0, 1, 4, 32, 128, 7, 7),
    PLAIN("width-40", "width", WHOLE | STAGES, 0, 1, 4, 40, 128, 7, 7),
    PLAIN("width-48", "width", WHOLE | STAGES, 0, 1, 4, 48, 128, 7, 7),
    PLAIN("width-80", "width", WHOLE | STAGES, 0, 1, 4, 80, 128, 7, 7),
    PLAIN("width-96", "width", WHOLE | STAGES, 0, 1, 4, 96, 128, 7, 7),
    PLAIN("width-128", "width", WHOLE | STAGES, 0, 1, 4, 128, 128, 7, 7),
    FILTER("smooth-128", SMOOTH, 128),
    FILTER("smooth-256", 0, 256),
    FILTER("smooth-512", 0, 512),
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static const char *const op_names[BENCH_OPS] = {
    [BENCH_AGENT_ATTENTION] = "agent_attention",
    [BENCH_AGENT_POOL] = "agent_pool",
    [BENCH_AGENT_AGGREGATE] = "agent_aggregate",
    [BENCH_AGENT_BROADCAST] = "agent_broadcast",
    [BENCH_ATTENTION] = "attention",
    [BENCH_DWC] = "dwc",
    [BENCH_SMOOTH] = "smooth",
};

const char *bench_op_name(bench_op op)
{
    return op_names[op];
}

const bench_shape *bench_shape_list(size_t *count)
{
    *count = SHAPES;
    return shapes;
}

int64_t bench_shape_tokens(const bench_shape *shape)
{
    return shape->class_tokens + shape->height * shape->width;
}

int64_t bench_shape_agents(const bench_shape *shape)
{
    return shape->agent_height * shape->agent_width;
}

const char *bench_row_name(const bench_row *row, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s/%s", bench_op_name(row->op), row->shape->name);
    return buffer;
}

/* Filters. ----------------------------------------------------------------- */

/* Whether the first `length` characters of `part` are the name. */
static bool is_name(const char *name, const char *part, size_t length)
{
    return strlen(name) == length && strncmp(name, part, length) == 0;
}

/* Whether a list with commas has one of the two names; NULL has all. */
static bool lists(const char *list, const char *name, const char *group)
{
    if (list == NULL)
        return true;
    for (const char *part = list;; part++) {
        const size_t length = strcspn(part, ",");
        if (is_name(name, part, length) || (group != NULL && is_name(group, part, length)))
            return true;
        part += length;
        if (*part == '\0')
            return false;
    }
}

static bool known_op(const char *part, size_t length)
{
    for (int op = 0; op < BENCH_OPS; op++)
        if (is_name(op_names[op], part, length))
            return true;
    return false;
}

static bool known_shape(const char *part, size_t length)
{
    for (size_t i = 0; i < SHAPES; i++)
        if (is_name(shapes[i].name, part, length) || is_name(shapes[i].group, part, length))
            return true;
    return false;
}

/* Adds " name" while there is room. */
static void append(char *text, size_t size, const char *name)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, " %s", name);
}

static void refuse(const command *cmd, const char *what, const char *part, size_t length,
                   bool operators)
{
    char known[1500] = "";
    for (int op = 0; operators && op < BENCH_OPS; op++)
        append(known, sizeof known, op_names[op]);
    for (size_t i = 0; !operators && i < SHAPES; i++) {
        if (i == 0 || strcmp(shapes[i].group, shapes[i - 1].group) != 0) {
            append(known, sizeof known, i == 0 ? "" : ";");
            append(known, sizeof known, shapes[i].group);
            append(known, sizeof known, "=");
        }
        append(known, sizeof known, shapes[i].name);
    }
    command_error(cmd, "%s: there is no '%.*s'; known are%s", what, (int)length, part, known);
}

static bool check_names(const command *cmd, const char *what, const char *list, bool operators)
{
    for (const char *part = list; part != NULL; part++) {
        const size_t length = strcspn(part, ",");
        if (!(operators ? known_op(part, length) : known_shape(part, length))) {
            refuse(cmd, what, part, length, operators);
            return false;
        }
        part += length;
        if (*part == '\0')
            break;
    }
    return true;
}

/* All names are known. NULL: out of memory; else to be freed, and there may be none in it. */
static bench_row *choose(const command *cmd, const char *ops, const char *shape_names, bool narrow,
                         size_t *count)
{
    bench_row *const rows = calloc(SHAPES * BENCH_OPS, sizeof *rows);
    if (rows == NULL) {
        command_error(cmd, "out of memory for the rows");
        return NULL;
    }
    for (size_t i = 0; i < SHAPES; i++)
        for (int op = 0; op < BENCH_OPS; op++) {
            const unsigned wanted = narrow ? shapes[i].quick_ops : shapes[i].ops;
            if ((wanted & BENCH_BIT(op)) == 0 || !lists(ops, op_names[op], NULL) ||
                !lists(shape_names, shapes[i].name, shapes[i].group))
                continue;
            rows[*count].op = (bench_op)op;
            rows[*count].shape = &shapes[i];
            ++*count;
        }
    return rows;
}

bench_row *bench_rows_choose(const command *cmd, const char *ops, const char *shape_names,
                             bool quick, size_t *count)
{
    /* Who names shapes wants those, quick or not. */
    const bool narrow = quick && shape_names == NULL;
    *count = 0;
    if (!check_names(cmd, "--ops", ops, true) || !check_names(cmd, "--shapes", shape_names, false))
        return NULL;
    bench_row *const rows = choose(cmd, ops, shape_names, narrow, count);
    if (rows == NULL || *count > 0)
        return rows;
    command_error(cmd, "no operator of --ops runs on a shape of --shapes%s",
                  narrow ? " among the rows of --quick" : "");
    free(rows);
    return NULL;
}

bench_row *bench_rows_of_case(const command *cmd, const char *ops, const char *shape_names,
                              size_t *count)
{
    *count = 0;
    if (!check_names(cmd, "--case", ops, true) || !check_names(cmd, "--case", shape_names, false))
        return NULL;
    bench_row *const rows = choose(cmd, ops, shape_names, false, count);
    if (rows == NULL || *count > 0)
        return rows;
    command_error(cmd, "--case: %s does not run on %s", ops, shape_names);
    free(rows);
    return NULL;
}
