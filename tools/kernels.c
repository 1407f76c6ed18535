/* clattn kernels: lists every kernel in every form that is compiled, and writes each as a file that is complete in itself. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char bench_roofs_source[];
extern const size_t bench_roofs_source_bytes;

/* The bench's own program, in a form for each kind of device. Arithmetic in half needs an extension, which GPUs have. */
static const char *const roofs_text = bench_roofs_source;
static const clattn_kernel_form roofs[] = {
    {.program = "bench_roofs",
     .kernels = {"fma_loop", "copy"},
     .options = "-cl-std=CL1.2 -cl-mad-enable -DWIDTH=4 -DCHAINS=8 -DBLOCK=4",
     .shape = CLATTN_SHAPE_AUTO},
    {.program = "bench_roofs",
     .kernels = {"fma_loop", "copy"},
     .options = "-cl-std=CL1.2 -cl-mad-enable -DWIDTH=16 -DCHAINS=6 -DBLOCK=256 -DSPREAD=0 "
                "-DPOLYNOMIAL=1",
     .shape = CLATTN_SHAPE_WIDE},
    {.program = "bench_roofs",
     .kernels = {"fma_loop"},
     .options = "-cl-std=CL1.2 -cl-mad-enable -DWIDTH=2 -DCHAINS=8 -DHALF=1",
     .shape = CLATTN_SHAPE_TILE},
};

static const char *const shapes[] = {
    [CLATTN_SHAPE_AUTO] = "any", [CLATTN_SHAPE_WIDE] = "wide", [CLATTN_SHAPE_TILE] = "tile"};

/* "attend_tile-D64-DV64-STAGE1": the program, and what its options define. */
static void name_of(const clattn_kernel_form *form, char *name, size_t size)
{
    size_t length = (size_t)snprintf(name, size, "%s", form->program);
    for (const char *c = strstr(form->options, " -D"); c != NULL; c = strstr(c, " -D")) {
        c += strlen(" -D");
        const size_t macro = strcspn(c, "= ");
        length += (size_t)snprintf(name + length, size - length, "-%.*s", (int)macro, c);
        c += macro + (c[macro] == '=');
        const size_t value = strcspn(c, " ");
        length += (size_t)snprintf(name + length, size - length, "%.*s", (int)value, c);
        c += value;
    }
}

/* One line: name, shape, work-group, kernels, options. */
static void print_form(const clattn_kernel_form *form, const char *name)
{
    const bool two = form->kernels[1] != NULL;
    printf("%s %s %u %s%s%s %s\n", name, shapes[form->shape], (unsigned)form->work_group,
           form->kernels[0], two ? "," : "", two ? form->kernels[1] : "", form->options);
}

/* The comment that a file begins with. */
static void write_head(FILE *file, const clattn_kernel_form *form)
{
    fprintf(file,
            "/*\n * %s of clattn %s in one of its forms, complete in itself; licence: MIT.\n *\n"
            " * options     %s\n",
            form->program, clattn_version(), form->options);
    fprintf(file, " *             The macros are defined below as well: %s is enough.\n",
            "-cl-std=CL1.2 -cl-mad-enable");
    fprintf(file, " * kernels     %s%s%s\n", form->kernels[0], form->kernels[1] ? ", " : "",
            form->kernels[1] ? form->kernels[1] : "");
    if (form->work_group > 0)
        fprintf(file, " * work-group  %u x 1 x 1 in every launch\n", (unsigned)form->work_group);
    else
        fprintf(file, " * work-group  any; clattn begins with 64 items and takes what runs\n");
    fprintf(file,
            " * work-items  as `map` in the last comment at the head of a file says\n"
            " * run on      %s\n */\n",
            form->shape == CLATTN_SHAPE_WIDE   ? "CPU devices"
            : form->shape == CLATTN_SHAPE_TILE ? "GPUs"
                                               : "GPUs and CPU devices");
}

/* "-DD=64 -DDV=64" as lines of #define. */
static void write_macros(FILE *file, const char *options)
{
    for (const char *c = strstr(options, " -D"); c != NULL; c = strstr(c, " -D")) {
        c += strlen(" -D");
        const size_t macro = strcspn(c, "= ");
        const char *const value = c + macro + (c[macro] == '=');
        const size_t length = strcspn(value, " ");
        fprintf(file, "#define %.*s %.*s\n", (int)macro, c, (int)length, value);
        c = value + length;
    }
}

/* False with errno. */
static bool write_form(const char *folder, const char *name, const clattn_kernel_form *form)
{
    char path[1024];
    if (snprintf(path, sizeof path, "%s/%s.cl", folder, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    FILE *const file = fopen(path, "wb");
    if (file == NULL)
        return false;
    write_head(file, form);
    write_macros(file, form->options);
    for (uint32_t i = 0; i < form->text_count; i++) {
        fputc('\n', file);
        fwrite(form->texts[i], 1, form->text_bytes[i], file);
    }
    const bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

/* Prints a form and, with a folder, writes it. */
static int show(const command *cmd, const char *folder, const clattn_kernel_form *form)
{
    char name[256];
    name_of(form, name, sizeof name);
    print_form(form, name);
    if (folder == NULL || write_form(folder, name, form))
        return 0;
    command_error(cmd, "%s/%s.cl cannot be written: %s", folder, name, strerror(errno));
    return 1;
}

static int show_all(const command *cmd, const char *folder, const clattn_kernel_form *forms,
                    size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = show(cmd, folder, &forms[i]);
    for (size_t i = 0; i < sizeof roofs / sizeof *roofs && result == 0; i++) {
        clattn_kernel_form form = roofs[i];
        form.text_count = 1;
        form.texts = &roofs_text;
        form.text_bytes = &bench_roofs_source_bytes;
        result = show(cmd, folder, &form);
    }
    return result;
}

int clattn_command_kernels(int argc, char **argv)
{
    const char *folder = NULL;
    int operands = 0;
    const command_option options[] = {
        {"-o", "DIR", COMMAND_TEXT, &folder, 0, 0, "write each form to this folder, NAME.cl"},
    };
    const command cmd = {
        .name = "kernels",
        .operands = "",
        .about =
            "Lists the kernel programs, a line for each form in which the library compiles them:\n"
            "\n"
            "    NAME SHAPE WORK-GROUP KERNEL[,KERNEL] OPTIONS\n"
            "\n"
            "SHAPE is `tile` (GPUs), `wide` (CPU devices) or `any` (both). WORK-GROUP is the items "
            "of\n"
            "every work-group, 0 where any number will do. OPTIONS are exactly those that are "
            "used.\n"
            "Head widths (D, DV) are those of published models; the library compiles any.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int parsed = command_parse(&cmd, argc, argv, &operands);
    if (parsed != COMMAND_CONTINUE)
        return parsed;

    command_device device;
    clattn_kernel_form *forms = NULL;
    size_t count = 0;
    command_device_init(&device);
    const clattn_status status = clattn_kernel_list(&device.params.log, &forms, &count);
    if (status != CLATTN_OK)
        return command_fail(&cmd, &device, status);
    const int result = show_all(&cmd, folder, forms, count);
    clattn_kernel_list_free(&forms);
    return result;
}
