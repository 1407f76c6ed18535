#!/usr/bin/env python3
"""Writes the kernel programs as one C file: embed_cl.py OUTPUT.c FILE...
embed_cl.py --text NAME OUTPUT.c FILE      one file alone, as the array NAME and its size NAME_bytes
embed_cl.py --hash NAME OUTPUT.h FILE...   the SHA-256 of the files, in the order of their names, as the macro NAME

FILE... are args.h, *.clh, *.cl and parts.txt, which names for each .cl file the .clh files that it is compiled with, in order:

    dwc.cl: common.clh

A program is args.h, then its parts, then the .cl file itself. Files become arrays of bytes, since compilers limit
the length of string literals. src/cl/source.h declares what is written here.
"""
import hashlib
import pathlib
import re
import sys


def fail(message):
    sys.exit(f"embed_cl.py: {message}")


def read_parts(path):
    """{'dwc.cl': ['common.clh'], ...}"""
    parts = {}
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        program, colon, names = line.partition(":")
        if not colon or program in parts:
            fail(f"{path.name}:{number}: expected 'program.cl: part.clh ...', each program once")
        parts[program] = names.split()
    return parts


def identifier(name):
    return "text_" + re.sub(r"\W", "_", name)


def write_bytes(out, name, data, declaration):
    # A plain char holds 0 .. 127 on every machine.
    if not data or max(data) > 127:
        fail(f"{name} is empty or not plain ASCII")
    out.write(f"{declaration}[] = {{\n")
    for i in range(0, len(data), 24):
        out.write("    " + "".join(f"{byte}," for byte in data[i : i + 24]) + "\n")
    out.write("};\n\n")


def write_program(out, stem, files):
    texts = ", ".join(identifier(f) for f in files)
    sizes = ", ".join(f"sizeof {identifier(f)}" for f in files)
    out.write(f"static const char *const texts_of_{stem}[] = {{{texts}}};\n")
    out.write(f"static const size_t sizes_of_{stem}[] = {{{sizes}}};\n\n")


def main(output, inputs):
    files = {path.name: path for path in map(pathlib.Path, inputs)}
    if "args.h" not in files or "parts.txt" not in files:
        fail("args.h and parts.txt must be among the inputs")
    parts = read_parts(files.pop("parts.txt"))
    kernels = sorted(name for name in files if name.endswith(".cl"))
    if sorted(parts) != kernels:
        fail(f"parts.txt names {sorted(parts)}, but the kernel files are {kernels}")
    programs = {name[:-3]: ["args.h", *parts[name], name] for name in kernels}
    used = {name for members in programs.values() for name in members}
    if used != set(files):
        fail(f"named but not given, or given but not named: {sorted(used ^ set(files))}")

    with open(output, "w", encoding="ascii") as out:
        out.write("/* Written by tools/embed_cl.py from the files of kernels/. */\n")
        out.write('#include "cl/source.h"\n\n#include <string.h>\n\n')
        for name in sorted(files):
            declaration = f"static const char {identifier(name)}"
            write_bytes(out, name, files[name].read_bytes(), declaration)
        for stem, members in programs.items():
            write_program(out, stem, members)
        out.write("static const clattn__source programs[] = {\n")
        for stem, members in programs.items():
            out.write(f'    {{"{stem}", {len(members)}, texts_of_{stem}, sizes_of_{stem}}},\n')
        out.write("};\n\n")
        out.write("const clattn__source *clattn__source_find(const char *name)\n{\n")
        out.write("    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)\n")
        out.write("        if (strcmp(programs[i].name, name) == 0)\n")
        out.write("            return &programs[i];\n    return NULL;\n}\n")


def write_text(name, output, path):
    with open(output, "w", encoding="ascii") as out:
        out.write(f"/* Written by tools/embed_cl.py from {path.name}. */\n#include <stddef.h>\n\n")
        out.write(f"extern const char {name}[];\nextern const size_t {name}_bytes;\n\n")
        write_bytes(out, path.name, path.read_bytes(), f"const char {name}")
        out.write(f"const size_t {name}_bytes = sizeof {name};\n")


def write_hash(name, output, paths):
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        # Names and lengths too: moving text from one file to another is a change.
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode("ascii") + data)
    with open(output, "w", encoding="ascii") as out:
        out.write("/* Written by tools/embed_cl.py. */\n")
        out.write(f'#define {name} "{digest.hexdigest()}"\n')


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--text"] and len(arguments) == 4:
        write_text(arguments[1], arguments[2], pathlib.Path(arguments[3]))
    elif arguments[:1] == ["--hash"] and len(arguments) > 3:
        write_hash(arguments[1], arguments[2], [pathlib.Path(path) for path in arguments[3:]])
    elif len(arguments) >= 2 and not arguments[0].startswith("--"):
        main(arguments[0], arguments[1:])
    else:
        fail("usage: embed_cl.py OUTPUT.c FILE..., or with --text or --hash, see the top of this file")
