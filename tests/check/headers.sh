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
    self_test_end headers
}

[ "${1:-}" = --self-test ] && self_test
cd "${1:-$root}" || exit 1
shift
[ $# -gt 0 ] || set -- cc
# kernels/cuda/*_parts.h and prim*.h are CUDA C++: every .cu file compiles them.
mapfile -t headers < <(code_files $code_folders | grep '\.h$' | grep -vE '^kernels/cuda/(prim.*|.*_parts)\.h$')
for header in "${headers[@]}"; do
    if ! said=$("$@" -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only -include "$header" -x c /dev/null 2>&1); then
        complain "$header" "does not stand alone"
        head -n 5 <<< "$said"
    fi
done
finish headers "${#headers[@]} headers"
