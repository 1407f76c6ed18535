#!/usr/bin/env bash
# clattn doctor: the report of a sound device, and a program that shows a problem without clattn: it passes as it is, and reports a
# fault that is planted into its kernel. Then devices that are not well: a platform that crashes, a compiler that is wrong.
# usage: test_doctor.sh CLATTN CC CRASHING_ICD [WRONG_COMPILER]
set -euo pipefail
clattn=$(realpath "$1")
cc=$2
crashing_icd=$(realpath "$3")
wrong_compiler=${4:+$(realpath "$4")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-$work/pocl}
mkdir -p "$POCL_CACHE_DIR"

fail()
{
    echo "$*" >&2
    exit 1
}

if [[ $("$clattn" devices --json) == *'"devices":	[]'* ]]; then
    echo "no OpenCL device: skipped"
    exit $((${CLATTN_TEST_REQUIRE:-0} ? 1 : 77))
fi

"$clattn" doctor -o "$work/report" --cache none --reproducer "$work/programs" --case agent_pool_merge ||
    fail "a device is not well: $(cat "$work/report")"
grep -q '^clattn .*, commit .*, kernels [0-9a-f]' "$work/report" || fail 'no versions in the report'
for word in platform driver limits 'self-test CLATTN_OK' 'passed .* agent_pool' 'times .* ms'; do
    grep -q "$word" "$work/report" || fail "no '$word' in the report"
done
! grep -q 'wrong\|stray\|refused' "$work/report" || fail 'sound kernels are called wrong'

# One program per form of the arguments; the widest there is.
program=$(find "$work/programs" -mindepth 1 -maxdepth 1 | sort | head -1)
[[ -n $program ]] || fail 'no program was written'
cd "$program"
make -s CC="$cc" || fail 'the program does not compile'
./reproduce >out || fail "sound kernels fail: $(cat out)"
grep -q '^PASS' out || fail "the program does not say PASS: $(cat out)"
! grep -q 'include.*clattn' reproduce.c kernel.cl problem.h || fail 'the program needs clattn'

# A merge that loses its right half.
sed -i 's/step \*= 2)/step *= 4)/' kernel.cl
rc=0
./reproduce >out || rc=$?
[[ $rc == 1 ]] || fail "a planted fault ends with $rc: $(cat out)"
grep -q '^FAIL' out || fail "a planted fault is not reported: $(cat out)"
grep -q '^wrong .* it should be' out || fail 'no element is named'

# A row of the bench, with every kernel that it runs; then with a fault in the last of them.
"$clattn" doctor -o "$work/report" --cache none --reproducer "$work/rows" --case bench:agent_attention/pvt-s4-b1 ||
    fail "the row is not well: $(cat "$work/report")"
grep -q 'programs *1 written' "$work/report" || fail "no program of the row: $(cat "$work/report")"
cd "$work/rows/bench-agent_attention-pvt-s4-b1"
make -s CC="$cc" || fail 'the program of the row does not compile'
./reproduce >out || fail "the row fails: $(cat out)"
grep -q '^PASS .* 25088 elements' out || fail "the row is not all of it: $(cat out)"
last=$(ls kernel*.cl | sort | tail -1)
[[ $last != kernel.cl ]] || fail 'the row has one kernel only'
sed -i 's/^#define MAD(a, b, c).*/#define MAD(a, b, c) ((a) * (b) + 1.01f * (c))/' "$last"
rc=0
./reproduce >out || rc=$?
[[ $rc == 1 ]] && grep -q '^FAIL' out || fail "a fault planted into the row ends with $rc: $(cat out)"
rc=0
"$clattn" doctor --cache none --reproducer "$work/rows" --case bench:agent_attention/hires-512 -o "$work/report" || rc=$?
[[ $rc == 1 ]] && grep -q '1 not: .*MiB, are more than' "$work/report" || fail 'too large a row is not refused'
for name in bench:agent_attention bench:nothing/hires-512 bench:agent_attention/nothing bench:smooth/hires-512; do
    rc=0
    "$clattn" doctor --reproducer "$work/rows" --case $name 2>"$work/error" || rc=$?
    [[ $rc == 2 ]] && grep -q -- '--case' "$work/error" && ! grep -q -- '--ops\|--shapes' "$work/error" ||
        fail "$name ends with $rc: $(cat "$work/error")"
    [[ $name != */nothing && $name != *:nothing/* ]] || grep -q 'known are .*\(dwc\|hires-64\)' "$work/error" ||
        fail "$name: what there is is not named: $(cat "$work/error")"
done
grep -q 'smooth does not run on hires-512' "$work/error" || fail 'a row that is none is not refused in words'

# What is asked for wrongly.
rc=0
"$clattn" doctor --case x 2>"$work/error" || rc=$?
[[ $rc == 2 ]] || fail "--case alone ends with $rc"
rc=0
"$clattn" doctor --device nowhere --json -o "$work/json" || rc=$?
[[ $rc == 1 ]] || fail "a device that is not there ends with $rc"
grep -q '"problem":.*nowhere' "$work/json" || fail 'the report does not name what is not there'

# A platform that ends whoever asks it hides no other.
pocl=/etc/OpenCL/vendors/pocl.icd
if [[ -e $pocl && ${OCL_ICD_VENDORS:-$pocl} == "$pocl" ]]; then
    mkdir "$work/vendors"
    echo "$crashing_icd" >"$work/vendors/a_crashing.icd"
    cp "$pocl" "$work/vendors/pocl.icd"
    rc=0
    OCL_ICD_VENDORS=$work/vendors "$clattn" doctor --cache none -o "$work/report" || rc=$?
    [[ $rc == 1 ]] || fail "a platform that crashes ends with $rc: $(cat "$work/report")"
    grep -A1 'platform of .*a_crashing.icd' "$work/report" | grep -q 'lost .*signal 6' ||
        fail "the platform that crashes is not named: $(cat "$work/report")"
    grep -q 'vendor .*pocl.icd' "$work/report" || fail 'no device of the other platform'
    grep -q 'self-test CLATTN_OK' "$work/report" || fail "it hides another: $(cat "$work/report")"
fi

# A wrong compiler: the report names kernel, form and element, and what takes its place; the program that it writes shows the fault with
# that compiler and none with another.
[[ -n $wrong_compiler ]] || exit 0
rc=0
LD_PRELOAD=$wrong_compiler "$clattn" doctor --cache none -o "$work/report" --reproducer "$work/wrong" || rc=$?
[[ $rc == 1 ]] || fail "a wrong compiler ends with $rc: $(cat "$work/report")"
grep -q 'self-test CLATTN_E_WRONG: .* of .* kernels passed' "$work/report" ||
    fail "the self-test hides a kernel that failed: $(cat "$work/report")"
grep -A1 'wrong .* dwc, work-group' "$work/report" | grep -q 'element .* the CPU path has' ||
    fail "the fault is not explained: $(cat "$work/report")"
grep -q 'takes its place' "$work/report" || fail 'what takes its place is not said'
grep -q 'programs .* written' "$work/report" || fail 'no program is announced'
program=$(find "$work/wrong" -mindepth 1 -maxdepth 1 -name 'dwc*windows' | sort | head -1)
[[ -n $program ]] || fail 'no program of the fault was written'
cd "$program"
make -s CC="$cc" || fail 'the program of the fault does not compile'
./reproduce >out || fail "the program fails with a compiler that is right: $(cat out)"
rc=0
LD_PRELOAD=$wrong_compiler ./reproduce >out || rc=$?
[[ $rc == 1 ]] && grep -q '^FAIL' out || fail "the program does not show the fault: $(cat out)"
