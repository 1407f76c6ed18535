/* Which kind of recorded case a file is, by its metadata, and whether this version can run it. */
#include "check/check.h"

#include <stdlib.h>
#include <string.h>

static bool is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool form_of(const char *name, CheckForm *form)
{
    static const struct {
        const char *name;
        CheckForm form;
    } forms[] = {
        {"deit", CHECK_DEIT},   {"pvt", CHECK_PVT},         {"swin", CHECK_SWIN},
        {"cswin", CHECK_CSWIN}, {"agentsd", CHECK_AGENTSD}, {"agentsd_attn", CHECK_AGENTSD},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (is(name, forms[i].name)) {
            *form = forms[i].form;
            return true;
        }
    }
    return false;
}

static CheckKind known_but(const char *skip)
{
    return (CheckKind){.known = true, .skip = skip};
}

static CheckKind block_kind(const clattn_safetensors *file)
{
    CheckKind kind = {.block = true};
    const char *const agent_num = clattn_safetensors_meta(file, "agent_num");
    kind.known = form_of(clattn_safetensors_meta(file, "variant"), &kind.form);
    if (kind.known && kind.form == CHECK_AGENTSD)
        return known_but("token merging and cross-attention are not in this version");
    kind.softmax = is(clattn_safetensors_meta(file, "attn_type"), "B") || is(agent_num, "0");
    if (!kind.softmax)
        return kind;
    if (kind.form == CHECK_SWIN)
        kind.skip = "softmax attention with a relative position bias is not in this version";
    if (kind.form == CHECK_CSWIN && !is(clattn_safetensors_meta(file, "branch_num"), "1"))
        kind.skip = "softmax attention over stripes is not in this version";
    return kind;
}

static CheckKind op_kind(const clattn_safetensors *file)
{
    CheckKind kind = {0};
    const char *const family = clattn_safetensors_meta(file, "family");
    kind.dense = family != NULL;
    kind.known =
        form_of(family != NULL ? family : clattn_safetensors_meta(file, "variant"), &kind.form);
    if (kind.dense && kind.form != CHECK_PVT && kind.form != CHECK_SWIN)
        kind.known = false;
    kind.softmax =
        kind.form == CHECK_AGENTSD && is(clattn_safetensors_meta(file, "agent_path"), "0");
    return kind;
}

CheckKind check_kind(const clattn_safetensors *file)
{
    const char *const kind = clattn_safetensors_meta(file, "kind");
    if (clattn_safetensors_meta(file, "operator") != NULL)
        return known_but("related operators are not in this version");
    if (clattn_safetensors_meta(file, "sigma_color") != NULL)
        return (CheckKind){.known = true, .form = CHECK_SMOOTH};
    if (is(kind, "op"))
        return op_kind(file);
    if (is(kind, "block"))
        return block_kind(file);
    if (is(kind, "model") || is(kind, "backbone"))
        return known_but("whole networks are not in this version");
    if (is(kind, "preprocess"))
        return known_but("preparing pictures for a network is not in this version");
    return (CheckKind){.known = false};
}
