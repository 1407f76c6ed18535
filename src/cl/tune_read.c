/* The strict reader of tuning rows. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cl/tune_fields.h"
#include "cl/tune_text.h"

/* Most of a value; no kernel takes more. */
#define MOST 1048576

/* A piece of the text. */
typedef struct word {
    const char *at;
    size_t length;
} word;

typedef struct reader {
    const clattn_log *log;
    const char *at, *end;
    const char *line_begin;
    int32_t line;
    unsigned has;    /* what the row's kernel has */
    unsigned values; /* bits of clattn__tune_values_of that the row has */
    unsigned others; /* kinds of clattn__tune_matches, and one for the type */
} reader;

#define TYPE_BIT (1u << CLATTN__TUNE_MATCHES)

static bool is(word w, const char *name)
{
    return w.length == strlen(name) && memcmp(w.at, name, w.length) == 0;
}

/* How much of a word a message shows. */
static int shown(word w)
{
    return w.length < 40 ? (int)w.length : 40;
}

/* Says what is wrong at a place of the current line. */
CLATTN__PRINTF(3, 4)
static clattn_status refuse(const reader *r, const char *at, const char *format, ...)
{
    char text[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    clattn__log(r->log, CLATTN_LOG_ERROR, "line %d, column %d: %s", (int)r->line,
                (int)(at - r->line_begin) + 1, text);
    return CLATTN_E_IO;
}

/* Adds a name to a list for a message. */
static void list_name(char *list, size_t size, const char *name)
{
    const size_t length = strlen(list);
    snprintf(list + length, size - length, "%s%s", length > 0 ? ", " : "", name);
}

static clattn_status refuse_kernel(const reader *r, word name)
{
    char known[160] = "";
    for (size_t k = 0; k < CLATTN__TUNE_KERNELS; k++)
        list_name(known, sizeof known, clattn__tune_kernels[k].name);
    return refuse(r, name.at, "unknown kernel '%.*s'; there are %s", shown(name), name.at, known);
}

/* The values that the row's kernel has. */
static void list_values(const reader *r, char *known, size_t size)
{
    known[0] = '\0';
    for (size_t v = 0; v < CLATTN__TUNE_VALUES; v++)
        if (r->has & clattn__tune_values_of[v].kind)
            list_name(known, size, clattn__tune_values_of[v].name);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Bytes of UTF-8 and all printable ones. */
static bool is_text(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7f;
}

static void skip_blanks(reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

/* True at the end of the text, of the line, and where a comment begins. */
static bool line_ends(const reader *r)
{
    return r->at == r->end || *r->at == '\n' || *r->at == '#' ||
           (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
}

/* To the first byte of the next line. */
static void skip_line(reader *r)
{
    while (r->at < r->end && *r->at != '\n')
        r->at++;
    if (r->at < r->end) {
        r->at++;
        r->line++;
    }
    r->line_begin = r->at;
}

static word read_name(reader *r)
{
    word name = {r->at, 0};
    while (r->at < r->end && is_name(*r->at))
        r->at++;
    name.length = (size_t)(r->at - name.at);
    return name;
}

/* What stands where a name should. */
static clattn_status refuse_byte(const reader *r)
{
    const char c = *r->at;
    if (is_text(c) && (unsigned char)c < 0x80)
        return refuse(r, r->at, "expected a name and not '%c'", c);
    return refuse(r, r->at, "expected a name and not the byte 0x%02x", (unsigned)(unsigned char)c);
}

/* The text between quotes, without its backslashes, into `buffer`. */
static clattn_status read_quoted(reader *r, char buffer[CLATTN__TUNE_NAME], size_t *length)
{
    const char *const begin = r->at++;
    bool escaped = false;
    for (; r->at < r->end && *r->at != '\n'; r->at++) {
        const char c = *r->at;
        if (!is_text(c) && c != '\t')
            return refuse(r, r->at, "the byte 0x%02x does not belong between quotes",
                          (unsigned)(unsigned char)c);
        if (escaped && c != '"' && c != '\\')
            return refuse(r, r->at, "behind a backslash stands a quote or a backslash");
        if (!escaped && c == '"') {
            r->at++;
            return CLATTN_OK;
        }
        escaped = !escaped && c == '\\';
        if (escaped)
            continue;
        if (*length + 1 == CLATTN__TUNE_NAME)
            return refuse(r, begin, "a name of more than %d bytes", CLATTN__TUNE_NAME - 1);
        buffer[(*length)++] = c;
    }
    return refuse(r, begin, "the quote does not end on its line");
}

/* A value, quoted or not, terminated; at least one byte. */
static clattn_status read_value(reader *r, const char *name_at, char buffer[CLATTN__TUNE_NAME])
{
    const char *const begin = r->at;
    size_t length = 0;
    if (r->at < r->end && *r->at == '"') {
        const clattn_status status = read_quoted(r, buffer, &length);
        if (status != CLATTN_OK)
            return status;
    } else {
        while (!line_ends(r) && is_text(*r->at) && *r->at != ' ' && *r->at != '"' &&
               *r->at != '=') {
            if (length + 1 == CLATTN__TUNE_NAME)
                return refuse(r, begin, "a value of more than %d bytes", CLATTN__TUNE_NAME - 1);
            buffer[length++] = *r->at++;
        }
    }
    buffer[length] = '\0';
    if (length == 0)
        return refuse(r, name_at, "a value is missing");
    if (!line_ends(r) && !is_blank(*r->at))
        return refuse(r, r->at, "a value ends with a blank");
    return CLATTN_OK;
}

/* Whole numbers from 1, no sign, no zeros in front. */
static clattn_status set_number(const reader *r, word name, const char *text, int32_t *value)
{
    const size_t digits = strspn(text, "0123456789");
    int32_t number = 0;
    for (size_t i = 0; i < digits && number <= MOST; i++)
        number = 10 * number + (text[i] - '0');
    if (text[digits] != '\0' || text[0] == '0' || number < 1 || number > MOST)
        return refuse(r, name.at, "%.*s is '%.40s'; it must be a whole number from 1 to %d",
                      shown(name), name.at, text, MOST);
    *value = number;
    return CLATTN_OK;
}

static clattn_status set_type(const reader *r, word name, const char *text, int32_t *type)
{
    for (size_t t = 0; t < CLATTN__TUNE_TYPES; t++) {
        if (strcmp(text, clattn__tune_types[t]) == 0) {
            *type = (int32_t)t;
            return CLATTN_OK;
        }
    }
    return refuse(r, name.at, "type is '%.40s'; it must be f32 or f16", text);
}

/* Notes a field of the row; false where it has been noted before. */
static bool note(unsigned *bits, unsigned bit)
{
    const bool first = (*bits & bit) == 0;
    *bits |= bit;
    return first;
}

/* One field with its value. */
static clattn_status set_field(reader *r, word name, const char *text, clattn__tune_row *row)
{
    char known[160];
    for (size_t m = 0; m < CLATTN__TUNE_MATCHES; m++) {
        if (!is(name, clattn__tune_matches[m].name))
            continue;
        if (!note(&r->others, clattn__tune_matches[m].kind))
            return refuse(r, name.at, "%s is said twice", clattn__tune_matches[m].name);
        memcpy(clattn__tune_match(row, m), text, strlen(text) + 1);
        return CLATTN_OK;
    }
    if (is(name, "type")) {
        if (!note(&r->others, TYPE_BIT))
            return refuse(r, name.at, "type is said twice");
        return set_type(r, name, text, &row->type);
    }
    for (size_t v = 0; v < CLATTN__TUNE_VALUES; v++) {
        if (!is(name, clattn__tune_values_of[v].name) || !(r->has & clattn__tune_values_of[v].kind))
            continue;
        if (!note(&r->values, 1u << v))
            return refuse(r, name.at, "%s is said twice", clattn__tune_values_of[v].name);
        return set_number(r, name, text, clattn__tune_value(&row->values, v));
    }
    list_values(r, known, sizeof known);
    return refuse(r, name.at,
                  "%s has no '%.*s'; it has %s; a row is for a type, vendor, architecture, device",
                  row->kernel, shown(name), name.at, known);
}

/* Refuses a row of both kernel shapes, and one that sets nothing. */
static clattn_status check_values(const reader *r, const char *begin, const clattn__tune_row *row)
{
    const bool tile = row->values.work_group != 0;
    char known[160];
    size_t set = 0;
    for (size_t v = 0; v < CLATTN__TUNE_VALUES; v++) {
        if ((r->values & (1u << v)) == 0 ||
            strcmp(clattn__tune_values_of[v].name, "work_group") == 0)
            continue;
        set++;
        if (clattn__tune_values_of[v].kind == CLATTN__TUNE_TILE && !tile)
            return refuse(r, begin, "%s needs work_group, the tile that the row is for",
                          clattn__tune_values_of[v].name);
        if (clattn__tune_values_of[v].kind != CLATTN__TUNE_TILE && tile)
            return refuse(r, begin,
                          "%s is of the wide shape and work_group of the tile shape; each takes a "
                          "row of its own",
                          clattn__tune_values_of[v].name);
    }
    list_values(r, known, sizeof known);
    return set > 0 ? CLATTN_OK
                   : refuse(r, begin, "the row sets nothing; %s has %s", row->kernel, known);
}

/* The line from the kernel's name on, up to its end or comment. */
static clattn_status read_row(reader *r, clattn__tune_row *row)
{
    char text[CLATTN__TUNE_NAME];
    const char *const begin = r->at;
    clattn_status status = CLATTN_OK;
    word name = read_name(r);

    if (name.length == 0)
        return refuse_byte(r);
    *row = (clattn__tune_row){.type = CLATTN__TUNE_ANY_TYPE, .line = r->line};
    row->kernel = clattn__tune_kernel(name.at, name.length);
    if (row->kernel == NULL)
        return refuse_kernel(r, name);
    r->values = r->others = 0;
    for (size_t k = 0; k < CLATTN__TUNE_KERNELS; k++)
        if (clattn__tune_kernels[k].name == row->kernel)
            r->has = clattn__tune_kernels[k].has;
    for (;;) {
        const char *const behind = r->at;
        skip_blanks(r);
        if (line_ends(r))
            return check_values(r, begin, row);
        name = read_name(r);
        if (name.length == 0 || name.at == behind) {
            r->at = name.at;
            return refuse_byte(r);
        }
        if (r->at == r->end || *r->at != '=')
            return refuse(r, r->at, "expected = behind '%.*s'", shown(name), name.at);
        r->at++;
        CLATTN_TRY(read_value(r, name.at, text));
        CLATTN_TRY(set_field(r, name, text, row));
    }
out:
    return status;
}

static bool same_purpose(const clattn__tune_row *a, const clattn__tune_row *b)
{
    return a->kernel == b->kernel && a->type == b->type &&
           a->values.work_group == b->values.work_group && strcmp(a->vendor, b->vendor) == 0 &&
           strcmp(a->architecture, b->architecture) == 0 && strcmp(a->device, b->device) == 0;
}

/* Appends a row to a list that grows. */
static clattn_status append(reader *r, const char *begin, const clattn__tune_row *row,
                            clattn__tune_row **rows, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (same_purpose(&(*rows)[i], row))
            return refuse(r, begin, "line %d has a row for the same already", (int)(*rows)[i].line);
    if (*count == CLATTN__TUNE_MAX_ROWS)
        return refuse(r, begin, "more than %d rows", CLATTN__TUNE_MAX_ROWS);
    if ((*count & (*count - 1)) == 0) { /* full at every power of two */
        clattn__tune_row *more = clattn__alloc_array(*count > 0 ? 2 * *count : 1, sizeof *more);
        if (more == NULL) {
            clattn__log(r->log, CLATTN_LOG_ERROR, "out of host memory for rows of tuning");
            return CLATTN_E_NOMEM;
        }
        if (*count > 0)
            memcpy(more, *rows, *count * sizeof *more);
        clattn__free(*rows);
        *rows = more;
    }
    (*rows)[(*count)++] = *row;
    return CLATTN_OK;
}

clattn_status clattn__tune_read(const clattn_log *log, const char *text, size_t size,
                                clattn__tune_row **rows, size_t *count)
{
    clattn_status status = CLATTN_OK;
    clattn__tune_row row;

    *rows = NULL;
    *count = 0;
    if (size == 0)
        return CLATTN_OK;
    reader r = {.log = log, .at = text, .end = text + size, .line_begin = text, .line = 1};
    CLATTN_CHECK(log, size <= CLATTN__TUNE_MAX_BYTES, CLATTN_E_IO,
                 "the rows of tuning have %zu bytes; the most is %d", size, CLATTN__TUNE_MAX_BYTES);
    while (r.at < r.end) {
        skip_blanks(&r);
        if (!line_ends(&r)) {
            const char *const begin = r.at;
            CLATTN_TRY(read_row(&r, &row));
            CLATTN_TRY(append(&r, begin, &row, rows, count));
        }
        skip_line(&r);
    }
out:
    if (status != CLATTN_OK) {
        clattn__free(*rows);
        *rows = NULL;
        *count = 0;
    }
    return status;
}
