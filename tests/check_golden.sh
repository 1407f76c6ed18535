#!/bin/sh
# Runs the recorded cases on the default device and on the CPU path.
#
#     check_golden.sh CLATTN [FOLDER]
#
# CLATTN is the program; the cases are those of CLATTN_GOLDEN_DIR where that is set, else of FOLDER (default: golden beside
# this script). Fails when a case fails or cannot be read, or when none ran.
set -u

program=$1
folder=${CLATTN_GOLDEN_DIR:-${2:-$(dirname "$0")/golden}}
echo "recorded cases: $folder"

failed=0
check() {
    echo "== clattn check $*"
    report=$("$program" check "$@" "$folder") || failed=1
    echo "$report"
    case $report in
    *" passed, "*) ;;
    *) failed=1 ;;
    esac
    case $report in
    "0 passed"* | *"
0 passed"*)
        echo "no case passed"
        failed=1
        ;;
    esac
}

check
check --device cpu
check --type f16
check --device cpu --type f16
exit $failed
