/* Problems of the self-test as programs that need OpenCL and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <direct.h>
#endif

#include "doctor.h"

extern const char doctor_program[];
extern const size_t doctor_program_bytes;

static bool make_folder(const char *path)
{
#ifdef _WIN32
    return _mkdir(path) == 0 || errno == EEXIST;
#else
    return mkdir(path, 0777) == 0 || errno == EEXIST;
#endif
}

/* "attend_tile-D64-DV64-STAGE1-64-shifted-windows": what the kernel is compiled with, its work-group, and the form of its arguments. */
static void name_of(const clattn_selftest_problem *p, char *name, size_t size)
{
    char text[512];
    size_t length = 0;
    const size_t *local = p->launches[0].local;
    snprintf(text, sizeof text, "%s %s %zu %s", p->programs[0].kernel, p->programs[0].options,
             local[0] * local[1] * local[2], p->form);
    for (const char *c = text; *c != '\0' && length + 2 < size; c++) {
        if (strncmp(c, " -cl-", 5) == 0) {
            c += strcspn(c + 1, " ");
            continue;
        }
        if (strncmp(c, " -D", 3) == 0) {
            name[length++] = '-';
            c += 2;
        } else if (*c == ' ') {
            name[length++] = '-';
        } else if (*c != '=') {
            name[length++] = *c;
        }
    }
    name[length] = '\0';
}

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "wb") : NULL;
}

/* Closes it; false where anything could not be written. */
static bool closed(FILE *file)
{
    const bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

static bool write_text(const char *folder, const char *name, const char *text, size_t size)
{
    FILE *const file = open_in(folder, name);
    if (file == NULL)
        return false;
    fwrite(text, 1, size, file);
    return closed(file);
}

/* "kernel.cl", "kernel2.cl" ... */
static void file_of(uint32_t program, char name[24])
{
    if (program == 0)
        snprintf(name, 24, "kernel.cl");
    else
        snprintf(name, 24, "kernel%u.cl", (unsigned)program + 1);
}

static bool write_kernels(const char *folder, const clattn_selftest_problem *problem)
{
    for (uint32_t k = 0; k < problem->program_count; k++) {
        const clattn_selftest_program *p = &problem->programs[k];
        char name[24];
        file_of(k, name);
        FILE *const file = open_in(folder, name);
        if (file == NULL)
            return false;
        for (uint32_t i = 0; i < p->text_count; i++) {
            fwrite(p->texts[i], 1, p->text_bytes[i], file);
            fputc('\n', file);
        }
        if (!closed(file))
            return false;
    }
    return true;
}

/* Appends to problem.bin, at a multiple of 16; returns where. */
static size_t append(FILE *data, size_t *size, const void *bytes, size_t count)
{
    const size_t at = *size;
    fwrite(bytes, 1, count, data);
    *size += count;
    for (; *size % 16 != 0; (*size)++)
        fputc(0, data);
    return at;
}

static void write_tables(const clattn_selftest_problem *p, FILE *head, FILE *data)
{
    size_t size = 0;
    fprintf(head, "/* From clattn %s. */\n#define FORM \"%s\"\n\n", clattn_version(), p->form);
    fprintf(head, "static const program programs[] = {\n");
    for (uint32_t i = 0; i < p->program_count; i++) {
        char name[24];
        file_of(i, name);
        fprintf(head, "    {\"%s\", \"%s\", \"%s\"},\n", name, p->programs[i].kernel,
                p->programs[i].options);
    }
    fprintf(head, "};\n\nstatic const buffer buffers[] = {\n");
    for (uint32_t i = 0; i < p->buffer_count; i++) {
        const clattn_selftest_buffer *b = &p->buffers[i];
        fprintf(head, "    {%zu, %zu},\n", append(data, &size, b->bytes, (size_t)b->size),
                (size_t)b->size);
    }
    fprintf(head, "};\n\nstatic const launch launches[] = {\n");
    for (uint32_t i = 0; i < p->launch_count; i++) {
        const clattn_selftest_launch *l = &p->launches[i];
        fprintf(head, "    {%zu, %zu, %u, %u, {", append(data, &size, l->args, l->args_size),
                l->args_size, (unsigned)l->program, (unsigned)l->buffer_count);
        for (uint32_t k = 0; k < l->buffer_count; k++)
            fprintf(head, "%s%u", k > 0 ? ", " : "", (unsigned)l->buffers[k]);
        fprintf(head, "}, {%zu, %zu, %zu}, {%zu, %zu, %zu}},\n", l->global[0], l->global[1],
                l->global[2], l->local[0], l->local[1], l->local[2]);
    }
    fprintf(head, "};\n\nstatic const check checks[] = {\n");
    for (uint32_t i = 0; i < p->check_count; i++) {
        const clattn_selftest_check *c = &p->checks[i];
        fprintf(head, "    {%u, %d, %u, %zu, %zu, (float)%.9g, (float)%.9g},\n",
                (unsigned)c->buffer, (int)c->f16, (unsigned)c->state_sums,
                append(data, &size, c->expected, c->count * sizeof *c->expected), c->count,
                (double)c->units, (double)c->scale);
    }
    fprintf(head, "};\n");
}

static bool write_problem(const char *folder, const clattn_selftest_problem *p)
{
    FILE *const head = open_in(folder, "problem.h");
    FILE *const data = open_in(folder, "problem.bin");
    if (head != NULL && data != NULL)
        write_tables(p, head, data);
    const bool written_head = head != NULL && closed(head);
    const bool written_data = data != NULL && closed(data);
    return written_head && written_data;
}

static bool write_all(const char *folder, const clattn_selftest_problem *p)
{
    static const char make[] =
        "# make && ./reproduce [DEVICE]; macOS: make LDLIBS='-framework OpenCL'\n"
        "CFLAGS = -O1 -std=c99\n"
        "LDLIBS = -lOpenCL -lm\n\n"
        "reproduce: reproduce.c problem.h\n"
        "\t$(CC) $(CFLAGS) -o $@ reproduce.c $(LDLIBS)\n";
    return make_folder(folder) &&
           write_text(folder, "reproduce.c", doctor_program, doctor_program_bytes) &&
           write_text(folder, "Makefile", make, sizeof make - 1) && write_kernels(folder, p) &&
           write_problem(folder, p);
}

void doctor_write_program(doctor_writer *w, const char *name, const clattn_selftest_problem *p)
{
    const char *const root = w->doctor->reproducer;
    char folder[4096];
    const int length = snprintf(folder, sizeof folder, "%s/%s", root, name);
    if (length > 0 && (size_t)length < sizeof folder && make_folder(root) && write_all(folder, p)) {
        w->written++;
        return;
    }
    if (w->failed++ == 0)
        snprintf(w->error, sizeof w->error, "%.200s cannot be written: %s", folder,
                 strerror(errno));
}

void doctor_write_problem(void *user, const clattn_selftest_problem *p)
{
    doctor_writer *const w = user;
    char name[256];
    name_of(p, name, sizeof name);
    if (w->doctor->name != NULL ? strstr(name, w->doctor->name) != NULL : !p->passed)
        doctor_write_program(w, name, p);
}
