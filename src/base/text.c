/* Text that came from elsewhere, on its way to a log or into JSON. */
#include "base/base.h"

/* How many bytes follow the first one of a character, or -1 where it begins none. */
static int followers(unsigned char first)
{
    if (first < 0x80)
        return 0;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

/* Bytes of the UTF-8 character at `text`, 0 where there is none; its number. Terminated text is not left. */
static int decode(const unsigned char *text, uint32_t *number)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const int more = followers(text[0]);
    if (more < 0)
        return 0;
    *number = more == 0 ? text[0] : text[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *number = *number << 6 | (text[i] & 0x3f);
    }
    const bool surrogate = *number >= 0xd800 && *number <= 0xdfff;
    return *number >= smallest[more] && *number <= 0x10ffff && !surrogate ? more + 1 : 0;
}

static bool is_control(uint32_t number)
{
    return number < 0x20 || (number >= 0x7f && number < 0xa0);
}

void clattn__text_clean(char *text, bool lines)
{
    unsigned char *at = (unsigned char *)text;
    while (*at != '\0') {
        uint32_t number = 0;
        const int bytes = decode(at, &number);
        const bool kept = lines && (*at == '\n' || *at == '\t');
        if (bytes > 0 && (kept || !is_control(number)))
            at += bytes;
        else
            *at++ = '?';
    }
}
