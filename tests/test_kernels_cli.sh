#!/usr/bin/env bash
# clattn kernels names every program of kernels/, and writes each form to a file that is complete in itself.
# usage: test_kernels_cli.sh CLATTN KERNELS
set -euo pipefail
clattn=$1
kernels=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "$*" >&2
    exit 1
}

"$clattn" kernels >"$work/list"
mkdir "$work/out"
"$clattn" kernels -o "$work/out" | cmp - "$work/list" || fail 'the list with -o differs from the one without'

[[ $(cut -d' ' -f1 "$work/list" | sort -u | wc -l) == $(wc -l <"$work/list") ]] || fail 'two forms have one name'
for file in "$kernels"/*.cl; do
    program=${file##*/}
    grep -q "^${program%.cl}[- ]" "$work/list" || fail "no form of $program is listed"
done

while read -r name shape work_group names options; do
    file=$work/out/$name.cl
    [[ $shape == tile || $shape == wide || $shape == any ]] || fail "$name: shape $shape"
    [[ $work_group =~ ^[0-9]+$ ]] || fail "$name: work-group $work_group"
    [[ $options == '-cl-std=CL1.2 -cl-mad-enable'* ]] || fail "$name: options $options"
    grep -qF " * options     $options" "$file" || fail "$name: the file does not say its options"
    for option in $options; do
        [[ $option != -D* ]] && continue
        option=${option#-D}
        grep -qx "#define ${option%%=*} ${option#*=}" "$file" || fail "$name: $option is not defined in the file"
    done
    for kernel in ${names//,/ }; do
        grep -q "\b$kernel(" "$file" || fail "$name: no kernel $kernel in the file"
    done
    ! grep -q '^ *# *include "' "$file" || fail "$name: the file needs another"
done <"$work/list"

# Refusals: a folder that is not there, an operand.
! "$clattn" kernels -o "$work/none" >"$work/text" 2>"$work/error" || fail 'a missing folder is accepted'
grep -q 'cannot be written: No such file' "$work/error" || fail "a missing folder: $(cat "$work/error")"
! "$clattn" kernels more >"$work/text" 2>&1 || fail 'an operand is accepted'
