/* The clattn program: finds the sub-command and runs it. */
#include "command.h"

#include <stdio.h>
#include <string.h>

typedef struct SubCommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} SubCommand;

static const SubCommand sub_commands[] = {
    {"devices", clattn_command_devices, "list the devices and which one would be used"},
    {"check", clattn_command_check, "run recorded cases on a device and compare"},
    {"bench", clattn_command_bench, "measure a device and every operator on it"},
    {"kernels", clattn_command_kernels, "list every kernel in every form, or write them to files"},
#ifdef CLATTN_HAVE_VIPS
    {"smooth", clattn_command_smooth, "smooth a picture, keeping its edges"},
#endif
    {"doctor", clattn_command_doctor, "examine all devices, for a report of what is wrong"},
    {"tune", clattn_command_tune, "find the fastest values of the kernels' parameters"},
};

static void print_help(FILE *stream)
{
    fprintf(stream, "usage: clattn COMMAND [options] ...\n"
                    "       clattn COMMAND --help\n"
                    "       clattn --version\n\n"
                    "Agent attention on any OpenCL device.\n\ncommands:\n");
    for (size_t i = 0; i < sizeof sub_commands / sizeof *sub_commands; i++)
        fprintf(stream, "  %-8s  %s\n", sub_commands[i].name, sub_commands[i].summary);
}

/* A full disk under what was printed, seen here for all commands. One that failed has said why. */
static int finish(int code)
{
    if (code != 0 || (fflush(stdout) == 0 && !ferror(stdout)))
        return code;
    fprintf(stderr, "clattn: the output cannot be written\n");
    return 1;
}

int main(int argc, char **argv)
{
    /* Who follows a long run through a pipe or in a file sees each line when it is done. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc < 2) {
        fprintf(stderr, "clattn: a command is missing; see clattn --help\n");
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return finish(0);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("clattn %s\n", clattn_version());
        return finish(0);
    }
    for (size_t i = 0; i < sizeof sub_commands / sizeof *sub_commands; i++)
        if (strcmp(argv[1], sub_commands[i].name) == 0)
            return finish(sub_commands[i].run(argc - 1, argv + 1));
#ifndef CLATTN_HAVE_VIPS
    if (strcmp(argv[1], "smooth") == 0) {
        fprintf(stderr, "clattn: this build cannot read pictures: it was made without libvips\n");
        return 2;
    }
#endif
    fprintf(stderr, "clattn: unknown command '%s'; see clattn --help\n", argv[1]);
    return 2;
}
