#!/usr/bin/env bash
# What tests/abi.txt lists is what there is: the names that the shared library exports, and the structs, fields and enumerators of the
# public headers as struct NAME SIZE, field STRUCT.NAME OFFSET SIZE, enum NAME VALUE. usage: test_abi.sh LIBRARY LAYOUT ABI
# LAYOUT prints them (abi_layout.py made it); without it, for pointers of another width, names alone are compared.
set -euo pipefail
export LC_ALL=C
library=$1
layout=$2
abi=$3

if ! command -v nm >/dev/null; then
    echo "nm is missing: skipped"
    exit 77
fi
names() { nm -D --defined-only "$library" | awk '{ print $3 }' | grep -v '^_'; }
if [ -n "$layout" ]; then
    there=$({ names && "$layout"; } | sort)
    listed=$(sort "$abi")
else
    there=$(names | sort)
    listed=$(grep -v ' ' "$abi" | sort)
fi
if ! diff <(printf '%s\n' "$listed") <(printf '%s\n' "$there"); then
    echo "what there is (right) differs from $abi (left): a change of the interface edits both, and CHANGELOG.md"
    exit 1
fi
if odd=$(printf '%s\n' "$there" | grep -v ' ' | grep -v '^clattn_[a-z]'); then
    echo "exported without the library's prefix: $odd"
    exit 1
fi
