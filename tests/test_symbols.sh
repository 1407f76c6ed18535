#!/usr/bin/env bash
# The shared library ends no process, prints nothing, asks nothing of the environment, and keeps no state of its own.
# usage: test_symbols.sh LIBRARY
set -euo pipefail
library=$1

for tool in nm readelf; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is missing: skipped"
        exit 77
    fi
done
wanted=$(nm -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $2); print $2 }')
if grep -qE '^__(asan|tsan|ubsan|msan|llvm_profile)' <<<"$wanted"; then
    echo "a build with sanitizers has symbols of theirs: skipped"
    exit 77
fi

failed=0

# What ends or prints, for the whole process; what is global to it; and what another thread may be using.
forbidden='abort exit _exit _Exit quick_exit raise kill signal sigaction longjmp _longjmp system fork execve
    __assert __assert_fail __assert_rtn
    printf vprintf puts putchar fprintf vfprintf fputs fputc putc perror psignal dprintf vdprintf syslog
    __printf_chk __vprintf_chk __fprintf_chk __vfprintf_chk __dprintf_chk stdin stdout stderr
    getenv secure_getenv setenv putenv unsetenv setlocale chdir umask atexit
    rand srand random strtok localtime gmtime asctime ctime'
for symbol in $forbidden; do
    if grep -qx -- "$symbol" <<<"$wanted"; then
        echo "the library uses $symbol"
        failed=1
    fi
done

# Hooks that tests alone set; what compilers add for loading a library; what they find out of the processor, once.
allowed='clattn__alloc_hook clattn__live_hook clattn__cl_api_hook clattn__source_hook clattn__files_hook
    completed __dso_handle __TMC_END__ __cpu_model __cpu_features2'
sections=$(readelf -SW "$library" | sed -n 's/^ *\[ *\([0-9]*\)\] \(\.data\|\.bss\|\.tdata\|\.tbss\|\.data\.[a-qs-z].*\|\.bss\..*\) .*/\1/p')
for section in $sections; do
    for symbol in $(readelf -sW "$library" | awk -v s="$section" '($4 == "OBJECT" || $4 == "TLS") && $7 == s { print $8 }'); do
        if ! grep -qw -- "${symbol%%.*}" <<<"$allowed"; then
            echo "$symbol is writable and global: contexts would share it"
            failed=1
        fi
    done
done
exit "$failed"
