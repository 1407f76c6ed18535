#!/usr/bin/env python3
"""Writes a C program that prints the size of every public struct and the offset and size of each of its fields, and the value of
every enumerator. usage: abi_layout.py OUTPUT HEADER..."""
import re
import sys

STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\n\} \1;", re.S)
ENUM = re.compile(r"typedef enum (\w+) \{(.*?)\} \1;", re.S)
FUNCTION_POINTER = re.compile(r"\(\*(\w+)\)\(.*\)$", re.S)


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def names_of(declaration):
    """"int64_t height, width" has two; so has "char name[128]" one, and a pointer to a function."""
    pointer = FUNCTION_POINTER.search(declaration)
    if pointer:
        return [pointer.group(1)]
    return [re.search(r"(\w+)\s*(\[\w+\])*$", part.strip()).group(1) for part in declaration.split(",")]


def structs(text):
    for name, body in STRUCT.findall(text):
        fields = [d.strip() for d in body.split(";") if d.strip()]
        yield name, [field for d in fields for field in names_of(d)]


def enumerators(text):
    for name, body in ENUM.findall(text):
        if name == "clattn_status":  # from its list
            yield from re.findall(r"X\((CLATTN_\w+), -?\d+,", text)
        else:
            yield from re.findall(r"\bCLATTN_\w+", re.sub(r"=[^,]*", "", body))


def main():
    output, headers = sys.argv[1], sys.argv[2:]
    lines = []
    for header in headers:
        with open(header, encoding="utf-8") as file:
            text = without_comments(file.read())
        for name, fields in structs(text):
            lines.append(f'    printf("struct {name} %zu\\n", sizeof({name}));')
            for field in fields:
                where = f"offsetof({name}, {field}), sizeof((({name} *)0)->{field})"
                lines.append(f'    printf("field {name}.{field} %zu %zu\\n", {where});')
        for name in enumerators(text):
            lines.append(f'    printf("enum {name} %d\\n", (int){name});')
    with open(output, "w", encoding="utf-8") as file:
        file.write("#include <stddef.h>\n#include <stdio.h>\n\n#include \"clattn/clattn.h\"\n\n")
        file.write("int main(void)\n{\n" + "\n".join(lines) + "\n    return 0;\n}\n")


main()
