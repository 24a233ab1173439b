#!/bin/bash
# check_ptx.sh - is what nvcc makes of the kernels what was asked for?
#
#   tests/gpu/check_ptx.sh OUT [sm_90 ...]
#
# OUT: a folder for what is compiled; unchanged sources are not compiled again. As many at a time as there are
# processors, or JOBS.
#
# Compiled with contraction allowed and forbidden: both must give the same PTX, since every operation names its
# rounding. Refused besides: flushing, approximations, operations without rounding, float atomics, spilled
# registers; matrix kernels without the integer matrix units; .nc loads but those of weights, and kernels that touch
# other memory before they wait for the launch before them (prim.h: LAUNCH_EARLY). Exit: 0 fine, 1 not, 77 no nvcc.
set -u
cd "$(dirname "$0")/../.."
out=$1
shift
[ $# -gt 0 ] || set -- sm_90
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null) || { echo "no nvcc"; exit 77; }
flags="-std=c++17 -O3 -ftz=false -prec-div=true -prec-sqrt=true -I."
mkdir -p "$out"
failed=0

complain() { echo "$1: $2"; failed=1; }

check_ptx() { # NAME PTX CONTRACTED
    local bad
    cmp -s "$2" "$3" ||
        complain "$1" "an operation that -fmad may fuse: $(diff "$2" "$3" | grep -m 2 '^[<>]' | tr '\n' ' ')"
    bad=$(grep -nE '\.(ftz|approx)\b' "$2" | head -n 3)
    [ -z "$bad" ] || complain "$1" "flushes or approximates: $bad"
    bad=$(grep -nE '\b(add|sub|mul|mad|fma|div|sqrt|rcp|rsqrt)(\.sat)?\.f(16|32|64)\b' "$2" | head -n 3)
    [ -z "$bad" ] || complain "$1" "an operation that does not name its rounding: $bad"
    bad=$(grep -nE '\b(atom|red)\.[a-z.]*f(16|32|64)' "$2" | head -n 3)
    [ -z "$bad" ] || complain "$1" "a float atomic: $bad"
    check_early "$1" "$2"
    case $1 in
        *matvec.cu|*matmul.cu)
            local units='mma\.sync\.aligned\.m16n8k(32|16)\.row\.col\.s32\.s8\.s8\.s32'
            [[ $1 == sm_75* ]] && units='mma\.sync\.aligned\.m8n8k16\.row\.col\.s32\.s8\.s8\.s32'
            grep -qE "$units" "$2" || complain "$1" "does not use the integer matrix units" ;;
    esac
}

# From sm_90 on each kernel but those launched plainly waits; between its entry and that, global memory is read as
# weights are (.nc, .cs, cp.async) and not written; and .nc is for weights alone. Before sm_90 nothing of it may appear.
check_early() { # NAME PTX
    local bad arch=${1%% *}
    if [ "${arch//[^0-9]/}" -lt 90 ]; then
        ! grep -q griddepcontrol "$2" || complain "$1" "begins early on a device that cannot"
        return
    fi
    bad=$(grep -nE '\bld\.global\.nc' "$2" | grep -v 'L1::no_allocate' | head -n 3)
    [ -z "$bad" ] || complain "$1" "a load that a launch before it may not have written yet: $bad"
    bad=$(awk '/\.entry/ { name = $0; waits = 0; plain = name ~ /sample_|embed/ }
               /griddepcontrol\.wait/ { waits++ }
               !plain && !waits && /[ \t](ld|st|atom|red)\.global/ && !/\.nc\.|\.cs\./ { print name ": " $0 }
               /^}/ && !plain && !waits { print name ": never waits" }' "$2" | head -n 3)
    [ -z "$bad" ] || complain "$1" "early: $bad"
}

# The compiler's own account of each kernel: "N bytes stack frame, N bytes spill stores, N bytes spill loads".
check_spills() { # NAME LOG
    local bad
    grep -q 'bytes spill stores' "$2" || complain "$1" "the compiler does not say what it spilled"
    bad=$(grep -B 2 -E '[1-9][0-9]* bytes spill' "$2" | grep -oE "properties for .*|[0-9]+ bytes spill stores" |
        head -n 4 | tr '\n' ' ')
    [ -z "$bad" ] || complain "$1" "spills: $bad"
}

# A stamp of everything that goes into the result.
sum_of() { # SOURCE
    cat "$1" kernels/cuda/*.h tests/gpu/check_ptx.sh | sha256sum - | cut -d' ' -f1
}

check_kernels() { # SOURCE ARCH
    local name="$2 ${1#kernels/cuda/}" base=$out/$2-$(basename "$1" .cu) sum
    sum=$(sum_of "$1")
    [ "$(cat "$base.sum" 2>/dev/null)" = "$sum" ] && return
    if ! $nvcc $flags -arch="$2" -fmad=true -ptx -o "$base.fused.ptx" "$1" > "$base.log" 2>&1 ||
        ! $nvcc $flags -arch="$2" -fmad=false -Werror all-warnings -ptx -o "$base.ptx" "$1" > "$base.log" 2>&1 ||
        ! $nvcc -arch="$2" -cubin -Xptxas -v -o "$base.cubin" "$base.ptx" > "$base.log" 2>&1; then
        complain "$name" "does not compile:"
        grep -E 'error|warning' "$base.log" | head -n 5
        return
    fi
    local before=$failed
    failed=0
    check_ptx "$name" "$base.ptx" "$base.fused.ptx"
    check_spills "$name" "$base.log"
    [ $failed -eq 0 ] && echo "$sum" > "$base.sum"
    failed=$((failed | before))
}

# Each in a process of its own, the longest first; a process that complains leaves a file.
rm -f "$out"/*.failed
for source in $(ls -S kernels/cuda/*.cu); do
    for arch in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done
        { check_kernels "$source" "$arch"; [ $failed -eq 0 ] || touch "$out/$arch-$(basename "$source").failed"; } &
    done
done
wait
if ls "$out"/*.failed > /dev/null 2>&1; then
    exit 1
fi
echo "PTX of $*: fine"
