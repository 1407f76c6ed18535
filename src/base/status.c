/* Status codes in words, and the version. */
#include "clattn/base.h"

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

const char *clattn_status_name(clattn_status status)
{
#define NAME(name, value, text)                                                                    \
    case name:                                                                                     \
        return #name;
    switch (status) {
        CLATTN_STATUS_LIST(NAME)
    }
#undef NAME
    return "CLATTN_E_UNKNOWN";
}

const char *clattn_status_text(clattn_status status)
{
#define PHRASE(name, value, text)                                                                  \
    case name:                                                                                     \
        return text;
    switch (status) {
        CLATTN_STATUS_LIST(PHRASE)
    }
#undef PHRASE
    return "no status of this library";
}

const char *clattn_version(void)
{
    return TEXT(CLATTN_VERSION_MAJOR) "." TEXT(CLATTN_VERSION_MINOR) "." TEXT(CLATTN_VERSION_PATCH);
}
