#!/usr/bin/env bash
# The program where nothing can be written: a full disk, a folder that is none. Every command ends with 1 and one sentence that names
# what could not be written. (Of clattn smooth: test_smooth_faults.c.)
# usage: test_full_disk.sh CLATTN
set -euo pipefail
clattn=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bench=(bench --device cpu --ops dwc --shapes pvt-s4-b1 --seconds 0.2)
doctor=(doctor --device cpu)
export CLATTN_BENCH_CACHE=8000000 # no gigabytes for the roofs

if [[ ! -c /dev/full ]]; then
    echo "there is no /dev/full: skipped"
    exit 77
fi

# expect OUTPUT WORD ARGUMENT...: printing to OUTPUT, these arguments fail with a sentence that has the word.
expect()
{
    local output=$1 word=$2 rc=0
    shift 2
    "$clattn" "$@" >"$output" 2>"$work/error" || rc=$?
    if [[ $rc != 1 ]] || [[ $(grep -c '^clattn' "$work/error") != 1 ]] || ! grep -q "$word" "$work/error"; then
        echo "clattn $*, printing to $output, ends with $rc: $(cat "$work/error")" >&2
        exit 1
    fi
}

# What is printed.
for arguments in --help --version 'devices' 'devices --json' 'kernels' 'kernels --help'; do
    # shellcheck disable=SC2086 # words
    expect /dev/full 'cannot be written' $arguments
done
expect /dev/full 'cannot be written' "${bench[@]}"
expect /dev/full 'cannot be written' "${doctor[@]}"

# Files: on a full disk; below what is no folder.
expect /dev/null '/dev/full' "${bench[@]}" --json /dev/full
expect /dev/null '/dev/full' "${doctor[@]}" -o /dev/full
expect /dev/null '/dev/null/x' "${bench[@]}" --tuning /dev/null/x
expect /dev/null '/dev/null/x' kernels -o /dev/null/x
mkdir "$work/kernels"
(
    trap '' XFSZ
    ulimit -f 1
    expect /dev/null "$work/kernels" kernels -o "$work/kernels"
)
