#!/usr/bin/env bash
# No kernel for GPUs spills registers or takes more local memory than the smallest GPU has, on any architecture and in any variant.
# Skips (77) where neither AMD's nor Intel's compiler is installed.
# usage: test_gpu_code.sh LADDER BUILD
set -euo pipefail

rungs=()
if command -v clang-15 && [[ -e /usr/lib/x86_64-linux-gnu/amdgcn/bitcode/ockl.bc ]]; then
    rungs+=(amd)
fi
if command -v ocloc; then
    rungs+=(intel)
fi
((${#rungs[@]})) || exit 77
exec "$1" --full --build "$2" "${rungs[@]}"
