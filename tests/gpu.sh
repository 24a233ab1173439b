#!/bin/bash
# gpu.sh - is NV1 on this machine's GPU the same, byte for byte, as the scalar reference, and how fast is it?
#
#   tests/gpu.sh                    builds what is not built, tests, measures, prints a table
#   tests/gpu.sh --only A,B         only these parts (below)
#   tests/gpu.sh --build            compiles only, and checks the PTX of every architecture: no GPU needed
#   tests/gpu.sh --list             the parts and the seconds each may take
#
# Programs go to build-gpu/bin. They need nothing but the C library and the driver, so a machine with a GPU can be
# handed that folder: while the sources are those it was built from, nothing is compiled there. Else the machine
# needs nvcc, cmake and a C++ compiler, no other library (tests/gpu/CMakeLists.txt).
#
#   matmul steps attention    the kernels, as the emulated device runs them in every build, and larger shapes
#   device                    whole models: "cuda" beside "scalar", token by token, graphs included
#   bandwidth                 the rate of reading, for the shares below
#   q8_0 q4_k_m               tokens per second of 8B-shaped models, verification
#   kernels                   the matrix kernel of each type by itself
#   exact                     the elementary functions over every fp32
#   memcheck synccheck racecheck      compute-sanitizer over the tests, where it is there
#   file peers                with TM_GPU_MODEL, a GGUF file: the same figures of it; with PEERS besides, a folder with
#                             a folder per engine that holds llama-bench (tests/bench/engine.sh): theirs
#
# A part that fails or takes too long does not stop the others. All together stop after TM_GPU_BUDGET seconds (540).
# Logs are in build-gpu/log. TM_GPU_ARCH: the architecture of the programs (this GPU's, or sm_90); TM_GPU_ARCHES:
# those whose PTX is checked. TM_GPU_PINNED=1: tests without managed memory (emu_silicon.cu). Exit: 0 all is equal, 1
# something failed, 2 no GPU, no programs, or not our words.
set -u
cd "$(dirname "$0")/.."
out=$PWD/build-gpu
bin=$out/bin
log=$out/log
budget=${TM_GPU_BUDGET:-540}
arches=${TM_GPU_ARCHES:-sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120}
started=$SECONDS
failed=0
table=
PATH=$PATH:/usr/local/cuda/bin

parts="matmul steps attention device bandwidth q8_0 q4_k_m kernels exact memcheck synccheck racecheck file peers"
limit_of() { # PART
    case $1 in
        memcheck | racecheck | synccheck) echo 100 ;;
        exact | file | peers) echo 180 ;;
        bandwidth) echo 30 ;;
        *) echo 120 ;;
    esac
}

arch_here() {
    local cap
    cap=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> "$log/nvidia-smi.txt" | head -n 1 | tr -d '. ')
    case $cap in
        [0-9]*) echo "sm_$cap" ;;
        *) echo sm_90 ;;
    esac
}

# --- building -------------------------------------------------------------------------------------------------------

sum_of_sources() {
    { echo "$arch"; cat kernels/*.[ch] kernels/cuda/* crypto/base.[ch] tests/*.[ch] tests/kernels/*.h tests/emulated/* \
        tests/gpu/*.[ch]* tests/gpu/CMakeLists.txt; } | sha256sum | cut -d' ' -f1
}

build() {
    local sum
    sum=$(sum_of_sources)
    [ "$(cat "$bin/sources" 2> /dev/null)" = "$sum" ] && return 0
    if ! command -v nvcc > /dev/null; then
        echo "no CUDA compiler (nvcc), and nothing built elsewhere from these sources"
        return 1
    fi
    rm -rf "$bin"
    command -v ninja > /dev/null && export CMAKE_GENERATOR=Ninja
    cmake -S tests/gpu -B "$out/make" -DCMAKE_BUILD_TYPE=Release -DTM_CUDA_ARCHS="${arch#sm_}" &&
        cmake --build "$out/make" -j "$(nproc)" && cp -r "$out/make/bin" "$bin" && echo "$sum" > "$bin/sources"
}

# --- running --------------------------------------------------------------------------------------------------------

note() { # PART OUTCOME SECONDS
    table+=$(printf '%-12s %6s s   %s' "$1" "$3" "$2")$'\n'
}

# Runs a part within its limit and what is left of the budget; its output goes to the log. Returns its exit status.
timed() { # PART COMMAND...
    local part=$1 left limit
    shift
    left=$((budget - SECONDS + started))
    limit=$(limit_of "$part")
    [ "$limit" -le "$left" ] || limit=$left
    timeout -k 5 "$limit" "$@" >> "$log/$part.txt" 2>&1
}

# Programs of tests say what is fine and what is not; 124 and 137 are timeout's.
run_test() { # PART PROGRAM
    local from=$SECONDS status
    TM_GPU_LARGE=1 timed "$1" "$bin/$2"
    status=$?
    case $status in
        0) note "$1" equal $((SECONDS - from)) ;;
        124 | 137) note "$1" "NOT DONE: took too long" $((SECONDS - from)) ;;
        *) note "$1" "FAILED (status $status)" $((SECONDS - from)) ;;
    esac
    [ $status -eq 0 ] && return
    failed=1
    tail -n 15 "$log/$1.txt"
}

# Each of the tests under one tool of compute-sanitizer, which says at the end how many errors it saw.
run_sanitizer() { # TOOL
    local from=$SECONDS program status outcome="nothing found"
    if ! command -v compute-sanitizer > /dev/null; then
        note "$1" "not run: no compute-sanitizer" 0
        return
    fi
    for program in test_cuda_steps test_cuda_attention gpu_device test_cuda_matmul; do
        echo "--- $program" >> "$log/$1.txt"
        timed "$1" compute-sanitizer --tool "$1" --error-exitcode 99 "$bin/$program"
        status=$?
        case $status in
            0) ;;
            124 | 137) outcome="nothing found, $program not to its end" ;;
            99) outcome="FAILED: $program"; failed=1; break ;;
            *)  grep -qi 'not supported' "$log/$1.txt" && outcome="not run: the tool does not know this machine" ||
                    { outcome="FAILED: $program (status $status)"; failed=1; }
                break ;;
        esac
    done
    note "$1" "$outcome" $((SECONDS - from))
    case $outcome in FAILED*) grep -E '=====|FAILED|:[0-9]+: ' "$log/$1.txt" | grep -v ': 0 ' | head -n 15 ;; esac
}

# Programs that measure print what they found.
run_bench() { # PART COMMAND...
    local from=$SECONDS status part=$1
    shift
    timed "$part" "$@"
    status=$?
    cat "$log/$part.txt"
    if [ $status -eq 0 ]; then
        note "$part" measured $((SECONDS - from))
    else
        note "$part" "FAILED (status $status)" $((SECONDS - from))
        failed=1
    fi
}

# GB/s, measured in this run, or earlier, or (with a word about it) the data sheet's of an H100.
read_rate() {
    local rate
    [ -s "$log/bandwidth.txt" ] || timed bandwidth "$bin/bench_bandwidth"
    rate=$(sed -n 's/^read \([0-9]*\) .*/\1/p' "$log/bandwidth.txt" 2> /dev/null | head -n 1)
    [ -n "$rate" ] || echo "the rate of reading could not be measured: shares are of 3350 GB/s" >&2
    echo "${rate:-3350}"
}

run_peers() {
    local peer
    [ -n "${PEERS:-}" ] || return 0
    for peer in "$PEERS"/*/; do
        [ -x "$peer/llama-bench" ] && run_bench peers "$peer/llama-bench" -m "$TM_GPU_MODEL" -ngl 99 -p 512,2048 -n 128
    done
}

run_part() { # PART
    rm -f "$log/$1.txt"
    if [ $((SECONDS - started)) -ge "$budget" ]; then
        note "$1" "NOT DONE: no time left" 0
        failed=1
        return
    fi
    case $1 in
        matmul | steps | attention | exact) run_test "$1" "test_cuda_$1" ;;
        device) run_test "$1" gpu_device ;;
        memcheck | synccheck | racecheck) run_sanitizer "$1" ;;
        bandwidth) run_bench "$1" "$bin/bench_bandwidth" ;;
        q8_0 | q4_k_m | kernels) run_bench "$1" "$bin/bench_gpu" "$(read_rate)" "$1" ;;
        file) [ -z "${TM_GPU_MODEL:-}" ] || run_bench "$1" "$bin/bench_gpu" "$(read_rate)" "$TM_GPU_MODEL" ;;
        peers) [ -z "${TM_GPU_MODEL:-}" ] || run_peers ;;
    esac
}

# --- what is asked --------------------------------------------------------------------------------------------------

wanted=$parts
only_build=false
case ${1:-} in
    '') ;;
    --build) only_build=true ;;
    --list)
        for part in $parts; do echo "$part $(limit_of "$part")"; done
        exit 0 ;;
    --only)
        wanted=$(echo "${2:-}" | tr ',' ' ')
        for part in $wanted; do
            case " $parts " in *" $part "*) ;; *) echo "no part \"$part\"; parts: $parts" >&2; exit 2 ;; esac
        done
        [ -n "$wanted" ] || { echo "--only what? parts: $parts" >&2; exit 2; } ;;
    -h | --help) sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

[ -n "${TM_GPU_MODEL:-}" ] || wanted=$(echo " $wanted " | sed 's/ file / /; s/ peers / /')
mkdir -p "$log"
arch=${TM_GPU_ARCH:-$(arch_here)}
if ! build > "$log/build.txt" 2>&1; then
    tail -n 20 "$log/build.txt" >&2
    exit 2
fi
echo "programs for $arch: $((SECONDS - started)) s"
if $only_build; then
    exec tests/gpu/check_ptx.sh "$out/ptx" $arches
fi
if ! "$bin/bench_bandwidth" > "$log/bandwidth.txt" 2>&1; then
    cat "$log/bandwidth.txt" >&2
    exit 2
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem --format=csv,noheader || true
for part in $wanted; do
    run_part "$part"
done
echo
printf '%s' "$table"
echo "$((SECONDS - started)) s of $budget"
[ $failed -eq 0 ] && echo "all is equal" || echo "SOMETHING FAILED"
exit $failed
