/* What the files of `clattn smooth` share: smooth.c decides, smooth_whole.c and smooth_tiled.c do it. */
#ifndef CLATTN_TOOLS_SMOOTH_H
#define CLATTN_TOOLS_SMOOTH_H

#include "clattn/clattn.h"
#include "clattn/tile.h"
#include "command.h"
#include "picture.h"

/* The options, as --help shows them; the defaults are those of the filter. */
typedef struct smooth_settings {
    int64_t agents[2]; /* rows, columns */
    double sigma_color, sigma_space, detail;
    int64_t rounds;
    uint64_t memory; /* bytes; 0: not given */
    int fast;
    command_device device;
} smooth_settings;

/* A run, from the options to the result. */
typedef struct smooth_work {
    const command *cmd;
    smooth_settings *settings;
    picture picture;
    const char *out;
    command_contexts contexts;
    clattn_plan
        *plan;      /* of the picture as a whole, while smooth.c decides and smooth_whole.c runs */
    double seconds; /* that it took */
    clattn_tiling_info tiling; /* tiles 0: it went through as a whole */
    uint64_t stream_bytes;     /* in tiles: about what reading and writing hold */
} smooth_work;

/* Both print one line and return 1, an exit code. */
int smooth_fail(smooth_work *work, const char *sentence);
int smooth_fail_library(smooth_work *work, clattn_status status);

clattn_smooth_desc smooth_desc(const smooth_work *work);

/* Whether the device holds the picture as a whole; with work->plan. */
bool smooth_fits(const smooth_work *work);

/* The whole picture in memory and on the first context; or in tiles on all of them. Return the exit code. */
int smooth_whole(smooth_work *work);
int smooth_tiled(smooth_work *work);

#endif
