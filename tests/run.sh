#!/usr/bin/env bash
# run.sh - installs what is missing, builds, runs every test. The last line is the sum over all builds.
#
# usage: tests/run.sh [--quick] [--fuzz SECONDS] [-R REGEX]
#   --quick         the plain build only: no sanitizers, no second compiler, no fuzzing
#   --fuzz SECONDS  libFuzzer's time per target (default 5)
#   -R REGEX        only tests of that name, in the plain build
#
# Builds: build (gcc, everything), build-asan (gcc, address and undefined sanitizers: unit tests and fuzz corpora),
# build-tsan (gcc, thread sanitizer: what has threads), build-clang (clang, warnings as errors, and libFuzzer).
set -u
. "$(dirname "$0")/../testnet/prepare.sh"
quick="" fuzz_s=5 only=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1; shift ;;
    --fuzz) fuzz_s=${2:-}; shift 2 || die "--fuzz wants seconds" ;;
    -R) only=${2:-}; shift 2 || die "-R wants a pattern" ;;
    -h|--help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "what is \"$1\"? (--help)" ;;
    esac
done

need_build
need_header cmocka.h libcmocka-dev "unit tests"
need_command python3 python3 "end-to-end tests drive the real OpenAI client"
python3 -c 'import ensurepip' 2>/dev/null || want python3-venv "python3 venv: a place for the OpenAI client"
need_command curl curl "end-to-end tests speak HTTP by hand"
if [ "$(uname -m)" != aarch64 ]; then
    need_command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu "the kernels are built for ARM as well"
    [ -e /usr/aarch64-linux-gnu/lib/libc.a ] || want libc6-dev-arm64-cross "the C library for ARM"
    need_command qemu-aarch64 qemu-user "and tested in emulation"
fi
[ -n "$quick" ] || need_command clang clang "the second compiler, and fuzzing"
[ -n "$quick" ] || ls /usr/lib/llvm*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a >/dev/null 2>&1 ||
    want "libclang-rt-14-dev|libclang-rt-18-dev|libclang-rt-dev" "libclang_rt: sanitizer and fuzzer runtimes of clang"
install_missing

venv=$root/build/venv
if ! "$venv/bin/python" -c 'import openai, numpy, gguf' 2>/dev/null; then
    say "installing the OpenAI client for the tests"
    python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check --root-user-action=ignore openai numpy gguf || die "the OpenAI client could not be installed from PyPI"
fi
export TALLY_TEST_PYTHON=$venv/bin/python

passed=0 failed=0 broken=()
# run_tests FOLDER TITLE ctest-options: adds to the sums; shows a failing test's own words.
run_tests() {
    local folder=$1 title=$2 log sum
    shift 2
    log=$(mktemp)
    say "testing: $title"
    (cd "$folder" && ctest --output-on-failure --no-tests=error "$@") >"$log" 2>&1
    sum=$(grep -E '^[0-9]+% tests passed' "$log")
    if [ -z "$sum" ]; then
        tail -n 20 "$log"
        failed=$((failed + 1)) broken+=("$title: no test ran")
    else
        local f t
        f=$(sed -E 's/.*, ([0-9]+) tests? failed out of ([0-9]+).*/\1/' <<<"$sum")
        t=$(sed -E 's/.*, ([0-9]+) tests? failed out of ([0-9]+).*/\2/' <<<"$sum")
        [ "$f" -eq 0 ] || { cat "$log"; mapfile -t -O "${#broken[@]}" broken < <(sed -nE "s/^[[:space:]]+[0-9]+ - ([^ ]+) .*/$title: \1/p" "$log"); }
        passed=$((passed + t - f)) failed=$((failed + f))
        say "$title: $((t - f)) passed, $f failed"
    fi
    rm -f "$log"
}

export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-2}
say "building (gcc)"
build "$root/build" -DCMAKE_C_COMPILER=gcc
if [ -n "$only" ]; then
    run_tests "$root/build" "gcc" -R "$only"
else
    run_tests "$root/build" "gcc"
fi

if [ -z "$quick" ] && [ -z "$only" ]; then
    say "building (gcc, address and undefined sanitizers)"
    build "$root/build-asan" -DCMAKE_C_COMPILER=gcc -DTM_SANITIZE=address,undefined
    ASAN_OPTIONS=detect_leaks=1 run_tests "$root/build-asan" "address and undefined sanitizers" -L unit
    say "building (gcc, thread sanitizer)"
    build "$root/build-tsan" -DCMAKE_C_COMPILER=gcc -DTM_SANITIZE=thread
    TSAN_OPTIONS="suppressions=$root/tests/tsan.supp halt_on_error=1" run_tests "$root/build-tsan" "thread sanitizer" -L shell
    say "building (clang)"
    build "$root/build-clang" -DCMAKE_C_COMPILER=clang -DTM_SANITIZE=address,undefined -DTM_FUZZ=ON
    say "fuzzing, $fuzz_s s per decoder"
    for target in "$root"/build-clang/tests/fuzz_*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        decoder=$(basename "$target" | sed 's/^fuzz_//')
        scratch=$(mktemp -d)
        if "$target" -max_total_time="$fuzz_s" -print_final_stats=0 -verbosity=0 -artifact_prefix="$scratch/" "$scratch" "$root/tests/fuzz/corpus/$decoder" >"$scratch.log" 2>&1; then
            passed=$((passed + 1))
        else
            tail -n 30 "$scratch.log"
            failed=$((failed + 1)) broken+=("fuzz_$decoder (input kept in $scratch)")
            continue
        fi
        rm -rf "$scratch" "$scratch.log"
    done
fi

for t in ${broken[@]+"${broken[@]}"}; do printf 'FAILED %s\n' "$t"; done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
