#include "ops/forms.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Begins a specification; `group` items of every work-group along the first axis, or 0: the plan's choice. */
static void begin(clattn__kernel_spec *spec, const char *file, const char *name, size_t group)
{
    *spec = (clattn__kernel_spec){.file = file, .name = name};
    if (group > 0) {
        spec->local[0] = group;
        spec->local[1] = spec->local[2] = 1;
    }
}

/* Adds an option, with one space before it where there are others: some compilers refuse an empty option. */
CLATTN__PRINTF(2, 3)
static void add(clattn__kernel_spec *spec, const char *format, ...)
{
    size_t length = strlen(spec->options);
    va_list arguments;

    if (length > 0)
        spec->options[length++] = ' ';
    va_start(arguments, format);
    vsnprintf(spec->options + length, sizeof spec->options - length, format, arguments);
    va_end(arguments);
}

/* Storage in f32 needs no option. */
static void add_type(clattn__kernel_spec *spec, clattn_type type)
{
    if (type == CLATTN_F16)
        add(spec, "-DCLATTN_HALF=1");
}

void clattn__form_tile(clattn__kernel_spec *spec, clattn__head head, int stage,
                       clattn__tile_row row)
{
    begin(spec, "attend_tile", "attend_tile", (size_t)row.work_group);
    add(spec, "-DD=%d -DDV=%d -DSTAGE=%d", head.dim, head.dim_v, stage);
    add(spec, "-DWG=%d -DTQ=%d -DTK=%d -DDC=%d -DDVB=%d", (int)row.work_group, (int)row.tile_q,
        (int)row.tile_k, (int)row.chunk_d, (int)row.block_dv);
    add_type(spec, head.type);
}

void clattn__form_wide(clattn__kernel_spec *spec, clattn__head head, int stage,
                       clattn__wide_row row)
{
    const char *name = stage == 1 ? "agent_aggregate_wide" : "agent_broadcast_wide";

    begin(spec, name, name, 1);
    add(spec, "-DD=%d -DDV=%d -DROWS=%d -DVECTORS=%d -DWIDTH=%d", head.dim, head.dim_v,
        (int)row.rows, (int)row.vectors, row.vectors > 1 ? 16 : 8);
    if (stage == 1)
        add(spec, "-DSTEP=%d", (int)row.step);
    else
        add(spec, "-DQUERY_BLOCK=%d", (int)row.query_block);
    add_type(spec, head.type);
}

void clattn__form_narrow(clattn__kernel_spec *spec, clattn__head head, int stage, int floats)
{
    const char *name = stage == 1 ? "agent_aggregate_narrow" : "agent_broadcast_narrow";

    begin(spec, name, name, 1);
    add(spec, "-DD=%d -DDV=%d -DWIDTH=%d", head.dim, head.dim_v, floats);
    if (stage == 1)
        add(spec, "-DSTEP=%d", CLATTN__NARROW_STEP);
    else
        add(spec, "-DQUERY_BLOCK=%d", CLATTN__NARROW_QUERY_BLOCK);
    add_type(spec, head.type);
}

void clattn__form_merge(clattn__kernel_spec *spec, clattn_type type, clattn_kernel_shape shape)
{
    const bool wide = shape == CLATTN_SHAPE_WIDE;
    const char *name = wide ? "agent_merge_wide" : "agent_merge";

    begin(spec, name, name, wide ? 1 : 0);
    add_type(spec, type);
}

void clattn__form_pool(clattn__kernel_spec *spec, clattn_type type, bool merge)
{
    begin(spec, "agent_pool", merge ? "agent_pool_merge" : "agent_pool_partial", 0);
    add_type(spec, type);
}

void clattn__form_pool_wide(clattn__kernel_spec *spec, clattn_type type, bool merge, int vectors)
{
    begin(spec, "agent_pool_wide", merge ? "agent_pool_merge_wide" : "agent_pool_wide", 1);
    add(spec, "-DVECTORS=%d", vectors);
    add_type(spec, type);
}

void clattn__form_dwc(clattn__kernel_spec *spec, clattn_type type, int channels, int tokens,
                      int size)
{
    begin(spec, "dwc", "dwc", 0);
    add(spec, "-DCHANNELS=%d -DTOKENS=%d -DSIZE=%d", channels, tokens, size);
    add_type(spec, type);
}

/* A kernel of the filter's own: of smooth.cl, or in the wide shape the one of smooth_wide.cl, whose work-groups are single items. */
static void form_pixels(clattn__kernel_spec *spec, clattn_kernel_shape shape, int floats,
                        const char *name, const char *wide_name)
{
    if (shape != CLATTN_SHAPE_WIDE) {
        begin(spec, "smooth", name, 0);
        return;
    }
    begin(spec, "smooth_wide", wide_name, 1);
    add(spec, "-DWIDTH=%d -DSEGMENT=%d", floats, CLATTN__PICTURE_SEGMENT);
}

void clattn__form_features(clattn__kernel_spec *spec, clattn_kernel_shape shape, int floats)
{
    form_pixels(spec, shape, floats, "smooth_features", "smooth_features_wide");
}

void clattn__form_norms(clattn__kernel_spec *spec, clattn_kernel_shape shape, int floats)
{
    form_pixels(spec, shape, floats, "smooth_norms", "smooth_norms_wide");
}
