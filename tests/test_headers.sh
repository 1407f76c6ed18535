#!/usr/bin/env bash
# Each public header compiles alone, as C11 and as C++17. usage: test_headers.sh CC CXX INCLUDE_DIR
set -euo pipefail
cc=$1
cxx=$2
include=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for header in "$include"/clattn/*.h; do
    name=clattn/$(basename "$header")
    printf '#include "%s"\n#include "%s"\n' "$name" "$name" | tee "$work/one.c" >"$work/one.cpp"
    $cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only "$work/one.c"
    if [ -n "$cxx" ]; then
        $cxx -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only "$work/one.cpp"
    fi
done
