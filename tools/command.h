/*
 * What every sub-command of the clattn program shares: option parsing, the choice of a device,
 * one-line errors, a progress bar, and numbers that read and print alike under every locale.
 *
 * Exit codes: 0 done, 1 it failed, 2 it was called wrongly (`check` has its own meaning of 2: a
 * file is unreadable).
 */
#ifndef CLATTN_TOOLS_COMMAND_H
#define CLATTN_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clattn/clattn.h"

/* The sub-commands: argv[0] is the sub-command's name; returns the exit code. */
int clattn_command_devices(int argc, char **argv);
int clattn_command_check(int argc, char **argv);
int clattn_command_bench(int argc, char **argv);
int clattn_command_doctor(int argc, char **argv);
int clattn_command_kernels(int argc, char **argv);
int clattn_command_smooth(int argc, char **argv);
int clattn_command_tune(int argc, char **argv);

/* Options. ----------------------------------------------------------------- */

typedef enum command_kind {
    COMMAND_FLAG,   /* int: set to 1; takes no argument */
    COMMAND_TEXT,   /* const char *: points into argv */
    COMMAND_COUNT,  /* int64_t: a whole number in [least, most] */
    COMMAND_NUMBER, /* double: a finite number in [least, most] */
    COMMAND_PAIR,   /* int64_t[2]: "AxB", two whole numbers in [least, most] */
    COMMAND_BYTES   /* uint64_t: "512M"; K, M and G are powers of 1024; at least 1 */
} command_kind;

typedef struct command_option {
    const char *name;     /* "--rounds" */
    const char *argument; /* its name in the help ("R"); NULL for a flag */
    command_kind kind;
    void *value; /* of the type that `kind` says; untouched when the option is not given */
    double least, most;
    const char *help; /* one line */
} command_option;

typedef struct command {
    const char *name;     /* "smooth" */
    const char *operands; /* "IN OUT" */
    const char *about;    /* what --help says; lines end in \n */
    const command_option *options;
    size_t option_count;
    int least_operands, most_operands;
} command;

#define COMMAND_CONTINUE (-1)

/*
 * Fills the options' values and moves the operands to argv[1 .. *operands]. Options may stand
 * anywhere, as `--name value` or `--name=value`; `--` ends them. Returns COMMAND_CONTINUE, or the
 * exit code: 0 after --help, 2 after an error, both printed.
 */
int command_parse(const command *cmd, int argc, char **argv, int *operands);

/* Prints "clattn NAME: sentence" on stderr as one line, whatever the sentence holds. */
#if defined(__MINGW32__)
__attribute__((format(gnu_printf, 2, 3)))
#elif defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void command_error(const command *cmd, const char *format, ...);

/* The device. -------------------------------------------------------------- */

/*
 * Which device to use and how. `log` must be used for every call that the command makes, so that
 * command_fail() can print the library's own sentence; warnings are printed at once.
 */
typedef struct command_device {
    const char
        *text; /* --device: NULL, "cpu", an index, or part of a device's or platform's name */
    const char *cache; /* --cache: NULL, "none", or a directory */
    clattn_cache_dir *cache_dir;
    const char *tuning; /* --tuning: NULL or "builtin", "default", or a file of rows */
    clattn_context_params params;
    char sentence[1024]; /* the last error that the library logged */
} command_device;

/* The --cache option for a command's table. */
#define COMMAND_CACHE_OPTION(device)                                                               \
    {                                                                                              \
        "--cache", "DIR", COMMAND_TEXT, &(device).cache, 0, 0,                                     \
            "where compiled kernels are kept, or none (the user's; none on PoCL)"                  \
    }

/* The --device option for a command's table. */
#define COMMAND_DEVICE_OPTION(device)                                                              \
    {                                                                                              \
        "--device", "D", COMMAND_TEXT, &(device).text, 0, 0,                                       \
            "cpu (the CPU path), an index of `clattn devices`, or part of a name"                  \
    }

/* The same for a command that shares its work among devices. */
#define COMMAND_DEVICES_OPTION(device)                                                             \
    {                                                                                              \
        "--device", "D,D...", COMMAND_TEXT, &(device).text, 0, 0,                                  \
            "cpu (the CPU path), indices of `clattn devices`, parts of names; or all"              \
    }

/* The --tuning option: the rows that every context of the command is opened with. */
#define COMMAND_TUNING_OPTION(device)                                                              \
    {                                                                                              \
        "--tuning", "T", COMMAND_TEXT, &(device).tuning, 0, 0,                                     \
            "default (from the device's properties), builtin, or a FILE of `clattn tune`"          \
    }

/* Gives a context of the command's own making the rows of --tuning; the functions that open contexts do. Prints the error. */
clattn_status command_device_tune(const command *cmd, command_device *device, clattn_context *ctx);

/* The --shape option, for command_device_shape(). */
#define COMMAND_SHAPE_OPTION(text)                                                                 \
    {                                                                                              \
        "--shape", "S", COMMAND_TEXT, &(text), 0, 0, "the kernel shape: wide or tile"              \
    }

/* Sets params.shape from the option's text, NULL: as it is. Prints the error and returns false where it is no shape. */
bool command_device_shape(const command *cmd, command_device *device, const char *text);

/* Points params.log at this struct, which must stay where it is until the context is gone. */
void command_device_init(command_device *device);
/* Frees what opening took; after the contexts. */
void command_device_end(command_device *device);

/*
 * Sets params.cache as --cache says for the device that is opened next; without --cache, to clattn in $XDG_CACHE_HOME or
 * ~/.cache, and to none on PoCL, which has a cache of its own. Where there cannot be such a directory the kernels are compiled
 * each time: a warning says so if it was asked for by name.
 */
void command_cache_begin(const command *cmd, command_device *device, const clattn_device *opened);

/* The directory that --cache names, or the user's own; false where there is none. */
bool command_cache_directory(const command_device *device, char *path, size_t size);

/*
 * Finds the device that `text` names: *index into `devices`, or -1 for the CPU path, which is also
 * the choice for NULL text where no device is usable. False when the text fits nothing that can be
 * used; `why` then holds a sentence, else the reason for the choice.
 */
bool command_device_find(const char *text, const clattn_device *devices, size_t count, int *index,
                         char *why, size_t why_size);

/* Opens a context on the chosen device; prints the error on failure. */
clattn_status command_device_open(const command *cmd, command_device *device, clattn_context **ctx);

typedef struct command_contexts {
    clattn_context **list; /* no device twice */
    size_t count;
} command_contexts;

/*
 * Opens a context on each device that `text` names: one, or several with commas between, or `all` that are usable. A name that has
 * commas itself is found first. Prints the error on failure, and leaves nothing open.
 */
clattn_status command_devices_open(const command *cmd, command_device *device,
                                   command_contexts *contexts);
/* Contexts of zeros are accepted. */
void command_devices_close(command_contexts *contexts);

/*
 * Prints why a library call failed: its own sentence, or the meaning of the status. Returns 1, an
 * exit code.
 */
int command_fail(const command *cmd, const command_device *device, clattn_status status);

/* Numbers and output. ------------------------------------------------------ */

/*
 * Reads a decimal number that makes up the whole text, with a point in every locale. False when it
 * is none or not finite.
 */
bool command_number_read(const char *text, double *value);
/* Prints with `digits` significant digits and a point in every locale; returns `buffer`. */
const char *command_number_print(char *buffer, size_t size, double value, int digits);

/* Seconds of a clock that never goes back. */
double command_now(void);

/* A bar on stderr, when that is a terminal: `done` of 1. At 1 the bar is wiped. */
void command_progress(double done);

#endif
