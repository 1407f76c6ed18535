#!/usr/bin/env bash
# The README's C example, and the others, build against an installed clattn through pkg-config alone, and run.
# usage: test_example.sh CC SOURCE_DIR BUILD_DIR
set -euo pipefail
cc=$1
source=$2
build=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2016
awk '/^```c$/ { inside = 1; next } inside && /^```$/ { exit } inside' "$source/README.md" >"$work/readme.c"
diff "$work/readme.c" "$source/examples/smallest.c"

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root"
package=$(find "$work/root" -name clattn.pc)
export PKG_CONFIG_PATH=${package%/*}
export PKG_CONFIG_SYSROOT_DIR=$work/root
read -ra flags <<<"$(pkg-config --cflags --libs clattn)"
# CC may be a compiler with options.
read -ra compiler <<<"$cc"
library=$(find "$work/root" -name 'libclattn.so' -o -name 'libclattn.dylib')
for example in smallest on_device; do
    "${compiler[@]}" -std=c11 -Wall -Wextra -Wpedantic -Werror "$source/examples/$example.c" \
        -o "$work/$example" "${flags[@]}"
    said=$(LD_LIBRARY_PATH=${library%/*} "$work/$example")
    echo "$said"
    [[ $said == *': out[0] = 1.000' ]]
done
