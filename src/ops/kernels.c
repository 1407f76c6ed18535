/* The list of all forms of the kernel programs: every choice that a plan can make, at the widths of published models. */
#include "clattn/kernels.h"

#include <stdio.h>
#include <string.h>

#include "cl/source.h"
#include "cl/tune.h"
#include "ops/forms.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* head_dim and head_dim_v: of the smoothing filter, of lanes for narrow rows, of published models. */
static const int widths[][2] = {{5, 3},   {5, 5},   {8, 8},   {24, 24},
                                {32, 32}, {40, 40}, {64, 64}, {128, 128}};
/* Floats of a vector (clattn__vector_floats()). */
static const int vector_floats[] = {8, 16};
/* Sides of the depthwise convolution; others differ in the length of loops alone. */
static const int dwc_sizes[] = {3, 7};

typedef struct list {
    clattn_kernel_form *forms; /* NULL: they are counted, those that stand there twice, too */
    size_t count;
} list;

/* The form with the same program and options; NULL where there is none. */
static clattn_kernel_form *find(const list *l, const clattn_kernel_form *wanted)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->forms[i].program, wanted->program) == 0 &&
            strcmp(l->forms[i].options, wanted->options) == 0)
            return &l->forms[i];
    return NULL;
}

static void add(list *l, const clattn__kernel_spec *spec, clattn_kernel_shape shape)
{
    const clattn__source *const source = clattn__source_find(spec->file);
    clattn_kernel_form form = {.program = spec->file,
                               .kernels = {spec->name, NULL},
                               .shape = shape,
                               .work_group = (uint32_t)spec->local[0]};

    if (l->forms == NULL) {
        l->count++;
        return;
    }
    snprintf(form.options, sizeof form.options, CLATTN__COMMON_OPTIONS "%s%s",
             spec->options[0] != '\0' ? " " : "", spec->options);
    form.text_count = source->count;
    form.texts = source->texts;
    form.text_bytes = source->sizes;
    clattn_kernel_form *const there = find(l, &form);
    if (there == NULL) {
        l->forms[l->count++] = form;
        return;
    }
    if (there->shape != shape)
        there->shape = CLATTN_SHAPE_AUTO;
    if (strcmp(there->kernels[0], spec->name) != 0)
        there->kernels[1] = spec->name;
}

/* The attention core. ------------------------------------------------------ */

static void add_tile(list *l, clattn__head head, int stage, clattn__tile_row row)
{
    clattn__kernel_spec spec;
    clattn__form_tile(&spec, head, stage, row);
    add(l, &spec, CLATTN_SHAPE_TILE);
}

static void add_wide(list *l, clattn__head head, int stage, clattn__wide_row row)
{
    clattn__kernel_spec spec;
    clattn__form_wide(&spec, head, stage, row);
    add(l, &spec, CLATTN_SHAPE_WIDE);
}

static void add_narrow(list *l, clattn__head head, int stage)
{
    for (size_t i = 0; i < COUNT(vector_floats); i++) {
        clattn__kernel_spec spec;
        clattn__form_narrow(&spec, head, stage, vector_floats[i]);
        add(l, &spec, CLATTN_SHAPE_WIDE);
    }
}

/* What follows from the device where no tuning row does. */
static void add_stage(list *l, clattn__head head, int stage)
{
    for (size_t i = 0; i < COUNT(clattn__tile_rows); i++)
        add_tile(l, head, stage, clattn__tile_rows[i]);
    for (size_t i = 0; i < COUNT(clattn__wide_rows); i++)
        add_wide(l, head, stage, clattn__wide_rows[i]);
    if (head.dim <= CLATTN__NARROW_WIDTH && head.dim_v <= CLATTN__NARROW_WIDTH)
        add_narrow(l, head, stage);
}

/* A tuning row sets `value`, or leaves what is there. */
static void set(int32_t *value, int32_t tuned)
{
    if (tuned != 0)
        *value = tuned;
}

static void add_tuned_stage(list *l, clattn__head head, int stage, const clattn__tune_values *v)
{
    const clattn__tile_row *const tile = clattn__tile_row_find(v->work_group);
    if (tile != NULL) {
        clattn__tile_row row = *tile;
        set(&row.chunk_d, v->chunk_d);
        set(&row.block_dv, v->block_dv);
        add_tile(l, head, stage, row);
        return;
    }
    for (size_t i = 0; i < COUNT(clattn__wide_rows); i++) {
        clattn__wide_row row = clattn__wide_rows[i];
        set(&row.rows, v->rows);
        set(&row.vectors, v->vectors);
        set(&row.query_block, v->query_block);
        add_wide(l, head, stage, row);
    }
}

/* The others. -------------------------------------------------------------- */

/* Channels are halved until they divide head_dim. */
static void add_dwc(list *l, clattn_type type, int channels, int tokens, clattn_kernel_shape shape)
{
    for (; channels > 0; channels /= 2)
        for (size_t i = 0; i < COUNT(dwc_sizes); i++) {
            clattn__kernel_spec spec;
            clattn__form_dwc(&spec, type, channels, tokens, dwc_sizes[i]);
            add(l, &spec, shape);
        }
}

static void add_others(list *l, clattn_type type)
{
    clattn__kernel_spec spec;

    clattn__form_merge(&spec, type, CLATTN_SHAPE_TILE);
    add(l, &spec, CLATTN_SHAPE_TILE);
    clattn__form_merge(&spec, type, CLATTN_SHAPE_WIDE);
    add(l, &spec, CLATTN_SHAPE_WIDE);
    for (int merge = 0; merge < 2; merge++) {
        clattn__form_pool(&spec, type, merge);
        add(l, &spec, CLATTN_SHAPE_AUTO);
        for (int vectors = 1; vectors <= 4; vectors *= 2) {
            clattn__form_pool_wide(&spec, type, merge, vectors);
            add(l, &spec, CLATTN_SHAPE_WIDE);
        }
    }
    add_dwc(l, type, CLATTN__DWC_TILE_CHANNELS, CLATTN__DWC_TOKENS, CLATTN_SHAPE_TILE);
    add_dwc(l, type, CLATTN__DWC_WIDE_CHANNELS, CLATTN__DWC_TOKENS, CLATTN_SHAPE_WIDE);
}

static void add_pixels(list *l, clattn_kernel_shape shape, int floats)
{
    clattn__kernel_spec spec;

    clattn__form_features(&spec, shape, floats);
    add(l, &spec, shape);
    clattn__form_norms(&spec, shape, floats);
    add(l, &spec, shape);
}

static void add_filter(list *l)
{
    add_pixels(l, CLATTN_SHAPE_TILE, 0);
    for (size_t i = 0; i < COUNT(vector_floats); i++)
        add_pixels(l, CLATTN_SHAPE_WIDE, vector_floats[i]);
}

/* Tuning rows. ------------------------------------------------------------- */

/* Whether only CPU devices take a row: by how clattn__device_architecture() calls the others. */
static bool is_for_cpus(const clattn__tune_row *row)
{
    static const char *const others[] = {"gfx", "xe_", "sm_", "Apple "};
    for (size_t i = 0; i < COUNT(others); i++)
        if (strncmp(row->architecture, others[i], strlen(others[i])) == 0)
            return false;
    return row->architecture[0] != '\0';
}

/* 0: not of the attention core. */
static int stage_of(const char *kernel)
{
    if (strcmp(kernel, "agent_aggregate") == 0)
        return 1;
    return strcmp(kernel, "agent_broadcast") == 0 || strcmp(kernel, "attention") == 0 ? 2 : 0;
}

static void add_row(list *l, const clattn__tune_row *row, clattn_type type)
{
    const int stage = stage_of(row->kernel);
    const clattn__tune_values *const v = &row->values;

    if (row->type != CLATTN__TUNE_ANY_TYPE && row->type != (int32_t)type)
        return;
    if (strcmp(row->kernel, "dwc") == 0)
        add_dwc(l, type, v->channels != 0 ? v->channels : CLATTN__DWC_TILE_CHANNELS,
                v->tokens != 0 ? v->tokens : CLATTN__DWC_TOKENS,
                is_for_cpus(row) ? CLATTN_SHAPE_WIDE : CLATTN_SHAPE_AUTO);
    for (size_t i = 0; stage > 0 && i < COUNT(widths); i++)
        add_tuned_stage(l, (clattn__head){widths[i][0], widths[i][1], type}, stage, v);
}

static void add_all(list *l, const clattn__tune_row *rows, size_t row_count)
{
    for (clattn_type type = CLATTN_F32; type <= CLATTN_F16; type++) {
        for (size_t i = 0; i < COUNT(widths); i++)
            for (int stage = 1; stage <= 2; stage++)
                add_stage(l, (clattn__head){widths[i][0], widths[i][1], type}, stage);
        add_others(l, type);
        for (size_t i = 0; i < row_count; i++)
            add_row(l, &rows[i], type);
    }
    add_filter(l);
}

clattn_status clattn_kernel_list(const clattn_log *log, clattn_kernel_form **forms, size_t *count)
{
    clattn_status status = CLATTN_OK;
    clattn__tune_row *rows = NULL;
    size_t row_count = 0;
    list l = {NULL, 0};

    CLATTN_CHECK(log, forms != NULL && count != NULL, CLATTN_E_ARG, "%s is NULL",
                 forms == NULL ? "forms" : "count");
    *forms = NULL;
    *count = 0;
    CLATTN_TRY(clattn__tune_read(log, clattn__tune_builtin, clattn__tune_builtin_bytes, &rows,
                                 &row_count));
    add_all(&l, rows, row_count);
    l.forms = clattn__alloc_array(l.count, sizeof *l.forms);
    CLATTN_CHECK(log, l.forms != NULL, CLATTN_E_NOMEM, "out of host memory for a list of kernels");
    l.count = 0;
    add_all(&l, rows, row_count);
    *forms = l.forms;
    *count = l.count;
out:
    clattn__free(rows);
    return status;
}

void clattn_kernel_list_free(clattn_kernel_form **forms)
{
    if (forms == NULL)
        return;
    clattn__free(*forms);
    *forms = NULL;
}
