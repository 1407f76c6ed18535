#!/bin/sh
# Where the program keeps compiled kernels: as --cache says, else in the user's cache directory (on PoCL nowhere), else nowhere;
# and no harm where that cannot be. usage: test_cache_cli.sh CLATTN CASE
set -u

program=$1
recorded=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
unset XDG_CACHE_HOME
export HOME="$folder/home"
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-$folder/pocl}"
mkdir "$HOME" "$POCL_CACHE_DIR" 2>/dev/null
touch "$folder/file" # no directory can be made below it

failed=0
complain() {
    echo "$*"
    failed=1
}
# check WHERE ARGUMENTS...: the case passes without a word of the program on stderr (drivers have their own), and WHERE has entries ("": there are none anywhere).
check() {
    where=$1
    shift
    echo "== clattn check $*"
    "$program" check "$@" "$recorded" 2>"$folder/errors" || complain "it failed"
    grep '^clattn' "$folder/errors" && complain "said on stderr"
    if [ -n "$where" ]; then
        ls "$where"/*.clattn >/dev/null 2>&1 || complain "no entry in $where"
    else
        find "$folder" -name '*.clattn' | grep . && complain "an entry"
    fi
}

if ! "$program" devices | grep -q '^[* ] 0 '; then
    echo "no OpenCL device"
    [ "${CLATTN_TEST_REQUIRE:-}" = 1 ] && exit 1
    exit 77
fi
check "" --cache none --device 0
check "" --device cpu

# The first device whose platform has no cache of its own uses the user's directory, unless told otherwise.
other=$("$program" devices | awk '
    /^[* ] +[0-9]+ / { index_ = $1 == "*" ? $2 : $1 }
    /^ +platform / && !/Portable Computing Language/ { print index_; exit }')
if [ -n "$other" ]; then
    XDG_CACHE_HOME="$folder/file" check "" --device "$other"
    check "$HOME/.cache/clattn" --device "$other"
    rm -r "$HOME/.cache"
    export XDG_CACHE_HOME="$folder/user"
    check "$folder/user/clattn" --device "$other"
    rm -r "$folder/user"
else
    echo "no device but PoCL's: the user's directory is not tried"
fi
if "$program" devices | grep -q 'platform *Portable Computing Language'; then
    check "" --device pthread
fi
check "$folder/named/place" --device 0 --cache "$folder/named/place"
[ -e "$folder/user/clattn" ] && complain "the user's directory was made beside the named one"

echo "== a directory that cannot be"
"$program" check --device 0 --cache "$folder/file/none" "$recorded" 2>"$folder/errors" ||
    complain "it failed"
grep -q "cannot be made.*going on without it" "$folder/errors" || complain "no word about it"
exit $failed
