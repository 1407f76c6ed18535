/* For tests of the clattn program: run it in a folder of its own, look at what it said, make pictures and compare them. */
#ifndef CLATTN_TESTS_CLI_H
#define CLATTN_TESTS_CLI_H

#include <stdbool.h>
#include <vips/vips.h>

/* argv[1]: the program. Makes the folder and starts libvips; false, with a line on stderr, when that fails. */
bool cli_begin(int argc, char **argv);
/* Removes the folder and all that is in it. */
void cli_end(void);

/* A file of the folder. Ten names live at a time. */
const char *cli_path(const char *name);

typedef struct cli_outcome {
    int code;    /* the exit code; -1 when a signal ended it */
    char *out;   /* what it printed; freed by cli_forget() */
    char *error; /* the same for stderr */
} cli_outcome;

/* Runs the program with these arguments, up to NULL. */
cli_outcome cli_run(const char *first, ...);
void cli_forget(cli_outcome *outcome);

/* Runs `clattn smooth --device cpu IN OUT` with more arguments, up to NULL, and expects success. */
void cli_smooth(const char *in, const char *out, ...);

/* How many files the program left unfinished in the folder. */
int cli_unfinished(void);

/*
 * A test picture with edges, ramps and noise, the same for the same arguments: 1 to 4 bands (grey, grey + alpha, RGB, RGB + alpha)
 * of 8 or 16 bits.
 */
VipsImage *cli_picture(int width, int height, int bands, int bits);
void cli_save(VipsImage *image, const char *path);
VipsImage *cli_load(const char *path);

/* The largest difference of any sample; expects the same size, bands and type. */
int cli_difference(VipsImage *a, VipsImage *b);
/* The same for two files. */
int cli_file_difference(const char *a, const char *b);

#endif
