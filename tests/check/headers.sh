#!/bin/bash
# headers.sh - does each header stand alone? Compiles every one as if it were a program.
#
#   headers.sh ROOT [COMPILER FLAGS...]    e.g. headers.sh . cc -isystem /opt/include
#   headers.sh --self-test                 (default compiler: cc)
. "$(dirname "$0")/lib.sh"

self_test() {
    self_test_begin
    plant crypto/a.h <<< $'#include <stdint.h>\nuint8_t f(void);'
    must_pass
    plant dht/b.h <<< 'uint8_t g(void);'
    must_find 'dht/b.h'
    plant dht/b.h <<< 'struct known; void g(const struct unknown *p);'
    must_find 'dht/b.h'
    rm dht/b.h
    plant kernels/c_neon.h <<< '#include <arm_neon.h>'
    must_pass
    self_test_end headers
}

[ "${1:-}" = --self-test ] && self_test
cd "${1:-$root}" || exit 1
shift
[ $# -gt 0 ] || set -- cc
# kernels/cuda/*_parts.h and prim*.h are CUDA C++: every .cu file compiles them.
mapfile -t headers < <(code_files $code_folders | grep '\.h$' | grep -vE '^kernels/cuda/(prim.*|.*_parts)\.h$')
# What a header's vectors need: the instructions its name says. NEON is for another machine, where the same check runs.
flags_of() {
    case $1 in
    *_avx2.h) echo -mavx2 -mfma -mf16c ;;
    *_avx512.h|*_amx.h) echo -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni ;;
    esac
}
machine=$(uname -m)
for header in "${headers[@]}"; do
    case $machine:$header in
    x86_64:*_neon.h|aarch64:*_avx*.h|aarch64:*_amx.h) continue ;;
    esac
    # shellcheck disable=SC2046
    if ! said=$("$@" $(flags_of "$header") -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only -include "$header" -x c /dev/null 2>&1); then
        complain "$header" "does not stand alone"
        head -n 5 <<< "$said"
    fi
done
finish headers "${#headers[@]} headers"
