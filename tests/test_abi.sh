#!/usr/bin/env bash
# The shared library exports what tests/abi.txt lists, and nothing else. usage: test_abi.sh LIBRARY ABI
set -euo pipefail
library=$1
abi=$2

if ! command -v nm >/dev/null; then
    echo "nm is missing: skipped"
    exit 77
fi
exported=$(nm -D --defined-only "$library" | awk '{ print $3 }' | grep -v '^_' | sort)
if ! diff <(sort "$abi") <(printf '%s\n' "$exported"); then
    echo "exported names (right) differ from $abi (left): an API change edits both, and CHANGELOG.md"
    exit 1
fi
