/* Option parsing, errors, numbers and the progress bar of the clattn program. */
#define _POSIX_C_SOURCE 200809L /* isatty, fileno */

#include "command.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 40

void command_error(const command *cmd, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    fprintf(stderr, "clattn %s: %s\n", cmd->name, text);
}

bool command_number_read(const char *text, double *value)
{
    const char *const point = localeconv()->decimal_point;
    char local[128];
    size_t used = 0;

    /*
     * Digits, one point, an exponent: strtod alone would also take "inf", hexadecimals and leading
     * blanks.
     */
    if (text[strspn(text, "+-.0123456789eE")] != '\0')
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        const size_t size = *c == '.' ? strlen(point) : 1;
        if (used + size >= sizeof local)
            return false;
        memcpy(local + used, *c == '.' ? point : c, size);
        used += size;
    }
    local[used] = '\0';
    char *end;
    const double read = strtod(local, &end);
    if (used == 0 || *end != '\0' || !isfinite(read))
        return false;
    *value = read;
    return true;
}

const char *command_number_print(char *buffer, size_t size, double value, int digits)
{
    const char *const point = localeconv()->decimal_point;
    snprintf(buffer, size, "%.*g", digits, value);
    char *const found = strstr(buffer, point);
    if (found != NULL && *point != '\0') {
        *found = '.';
        memmove(found + 1, found + strlen(point), strlen(found + strlen(point)) + 1);
    }
    return buffer;
}

/*
 * A whole number in the option's range, ended by `stop` ('\0' or the x of a pair); NULL when it is
 * none.
 */
static const char *read_count(const command_option *option, const char *text, char stop,
                              int64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    const long long read = strtoll(text, &end, 10);
    if (errno != 0 || *end != stop || (double)read < option->least || (double)read > option->most)
        return NULL;
    *value = read;
    return end;
}

/* Digits, then perhaps K, M or G: alike under every locale, and never rounded. */
static bool read_bytes(const char *text, uint64_t *value)
{
    static const char suffixes[] = "KMG";
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    const unsigned long long read = strtoull(text, &end, 10);
    int shift = 0;
    if (*end != '\0') {
        const char *const suffix = strchr(suffixes, *end++);
        if (suffix == NULL || *end != '\0')
            return false;
        shift = 10 * (int)(suffix - suffixes + 1);
    }
    if (errno != 0 || read == 0 || read > (UINT64_MAX >> shift))
        return false;
    *value = (uint64_t)read << shift;
    return true;
}

static bool set_value(const command_option *option, const char *text)
{
    if (option->kind == COMMAND_TEXT) {
        *(const char **)option->value = text;
        return true;
    }
    if (option->kind == COMMAND_COUNT)
        return read_count(option, text, '\0', option->value) != NULL;
    if (option->kind == COMMAND_BYTES)
        return read_bytes(text, option->value);
    if (option->kind == COMMAND_PAIR) {
        int64_t pair[2];
        const char *const x = read_count(option, text, 'x', &pair[0]);
        if (x == NULL || read_count(option, x + 1, '\0', &pair[1]) == NULL)
            return false;
        memcpy(option->value, pair, sizeof pair);
        return true;
    }
    double number;
    if (!command_number_read(text, &number) || number < option->least || number > option->most)
        return false;
    *(double *)option->value = number;
    return true;
}

static void refuse_value(const command *cmd, const command_option *option, const char *text)
{
    static const char *const wanted[] = {
        [COMMAND_COUNT] = "a whole number", [COMMAND_NUMBER] = "a number", [COMMAND_PAIR] = "AxB"};
    char least[32], most[32];
    if (option->kind == COMMAND_BYTES) {
        command_error(cmd,
                      "%s takes a whole number of bytes, at least 1, such as 800000, 512M or 2G, "
                      "not '%s'",
                      option->name, text);
        return;
    }
    command_error(cmd, "%s takes %s from %s to %s, not '%s'", option->name, wanted[option->kind],
                  command_number_print(least, sizeof least, option->least, 6),
                  command_number_print(most, sizeof most, option->most, 6), text);
}

static void print_help(const command *cmd)
{
    printf("usage: clattn %s [options]%s%s\n\n%s\noptions:\n", cmd->name,
           *cmd->operands != '\0' ? " " : "", cmd->operands, cmd->about);
    for (size_t i = 0; i < cmd->option_count; i++) {
        const command_option *const option = &cmd->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", option->name, option->argument != NULL ? " " : "",
                 option->argument != NULL ? option->argument : "");
        printf("  %-18s  %s\n", left, option->help);
    }
    printf("  %-18s  %s\n", "--help", "this text");
}

/*
 * The option that argv[*i] names, its argument in *text (moving *i on where that is the next word);
 * NULL after an error.
 */
static const command_option *match_option(const command *cmd, int argc, char **argv, int *i,
                                          const char **text)
{
    const char *const word = argv[*i];
    const size_t length = strcspn(word, "=");
    for (size_t o = 0; o < cmd->option_count; o++) {
        const command_option *const option = &cmd->options[o];
        if (strlen(option->name) != length || strncmp(option->name, word, length) != 0)
            continue;
        *text = word[length] == '=' ? word + length + 1 : NULL;
        if (option->kind == COMMAND_FLAG && *text != NULL) {
            command_error(cmd, "%s takes no argument", option->name);
            return NULL;
        }
        if (option->kind != COMMAND_FLAG && *text == NULL) {
            if (*i + 1 >= argc) {
                command_error(cmd, "%s needs an argument", option->name);
                return NULL;
            }
            *text = argv[++*i];
        }
        return option;
    }
    command_error(cmd, "unknown option '%s'; see clattn %s --help", word, cmd->name);
    return NULL;
}

int command_parse(const command *cmd, int argc, char **argv, int *operands)
{
    int count = 0;
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        if (options_end || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[++count] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            options_end = true;
            continue;
        }
        if (strcmp(argv[i], "--help") == 0) {
            print_help(cmd);
            return 0;
        }
        const char *text = NULL;
        const command_option *const option = match_option(cmd, argc, argv, &i, &text);
        if (option == NULL)
            return 2;
        if (option->kind == COMMAND_FLAG) {
            *(int *)option->value = 1;
        } else if (!set_value(option, text)) {
            refuse_value(cmd, option, text);
            return 2;
        }
    }
    if (count < cmd->least_operands || count > cmd->most_operands) {
        command_error(cmd, "usage: clattn %s [options]%s%s; see --help", cmd->name,
                      *cmd->operands != '\0' ? " " : "", cmd->operands);
        return 2;
    }
    *operands = count;
    return COMMAND_CONTINUE;
}

void command_progress(double done)
{
    static int drawn = -1; /* cells on the screen; -1: no bar */
    const int cells = (int)(done * BAR_WIDTH);
    if (!isatty(fileno(stderr)) || (done < 1 && cells == drawn))
        return;
    if (done < 1) {
        char bar[BAR_WIDTH + 1];
        for (int i = 0; i < BAR_WIDTH; i++)
            bar[i] = i < cells ? '#' : '.';
        bar[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r%s %3d %%", bar, (int)(done * 100));
        drawn = cells;
    } else if (drawn >= 0) {
        fprintf(stderr, "\r%*s\r", BAR_WIDTH + 6, "");
        drawn = -1;
    }
    fflush(stderr);
}
