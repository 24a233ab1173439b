#!/bin/bash
# purity.sh - do the portable libraries reach for nothing?
#
# Asks nm which symbols each object needs. They must be defined in the library itself, in a library its layer may stand on,
# or in purity.allow. So a core that opens a file, reads a clock, or calls a sibling layer is found even if it declares
# the function by hand.
#
#   purity.sh LAYER=LIBRARY...   e.g. base=libtm_base.a crypto=libtm_crypto.a dht=libtm_dht.a
#   purity.sh --self-test        needs a C compiler (CC, default cc)
. "$(dirname "$0")/lib.sh"

layers_below() { # LAYER
    case $1 in
        base) ;;
        crypto|kernels) echo base ;;
        dht|ledger) echo base crypto ;;
        agent) echo base crypto dht ledger ;;
        *) echo "purity: unknown layer $1" >&2; exit 2 ;;
    esac
}

# One pass over three lists: what purity.allow says, what our own libraries define, what each object needs. Names are compared
# as the C library's headers write them, behind its fortified and dated variants (__memcpy_chk, __isoc99_strtoul).
judge() { # LAYER ALLOWED DEFINED NEEDED, prints "OBJECT SYMBOL"
    awk -v layer="$1" '
        FNR == 1 { list++ }
        list == 1 {
            sub(/#.*/, "")
            if ($1 == layer || $1 == "all") for (i = 3; i <= NF; i++) allowed[$2, $i] = 1
        }
        list == 2 && NF == 3 && $2 ~ /[A-Z]/ { ours[$3] = 1 }
        list == 3 && /:$/ { object = $1; sub(/^.*\(/, "", object); sub(/\..*/, "", object) }
        list == 3 && $1 == "U" {
            symbol = $2
            if (symbol in ours) next
            if (symbol ~ /^__(asan|ubsan|tsan|sanitizer|sancov|gcov|llvm|stack_chk)_/) next          # sanitizers, coverage, hardening
            if (symbol ~ /^(_GLOBAL_OFFSET_TABLE_|__u?(div|mod|divmod)[dt]i[34]|__popcountdi2|__cpu_model|__cpu_features2|__cpu_indicator_init)$/) next
            sub(/^__isoc[0-9]+_/, "", symbol)
            if (symbol ~ /^__.*_chk$/) { sub(/^__/, "", symbol); sub(/_chk$/, "", symbol) }
            if (!((object, symbol) in allowed) && !(("*", symbol) in allowed)) print object, $2
        }' "$2" "$3" "$4"
}

declare -A library
check_layer() { # LAYER
    local layer=$1 name object symbol below=()
    for name in "$layer" $(layers_below "$layer"); do
        [ -z "${library[$name]:-}" ] || below+=("${library[$name]}")
    done
    while read -r object symbol; do
        case $(dependency_of "$object.c") in
            ''|avx2|avx512|neon|sse2) complain "tm_$layer: $object" "calls $symbol" ;;
        esac
    done < <(judge "$layer" "$here/purity.allow" <(nm --defined-only "${below[@]}") <(nm -u "${library[$layer]}"))
}

self_test() {
    local cc=${CC:-cc} name
    self_test_begin
    build() { # LIBRARY OBJECT, C on standard input
        "$cc" -O1 -w -x c -c - -o "$2.c.o" && rm -f "$1" && ar rcs "$1" "$2.c.o"
    }
    run_self() { bash "$self" "$@" 2>&1; }
    build base.a base <<< 'void abort(void); int bytes_x; void ensure_failed(void) { abort(); }'
    build crypto.a hash <<< 'unsigned long strlen(const char *); void ensure_failed(void); unsigned long hash_x(const char *s) { ensure_failed(); return strlen(s); }'
    build ledger.a ledger <<< 'void ledger_x(void) {}'
    run_self base=base.a crypto=crypto.a ledger=ledger.a || { echo "self-test: good libraries are refused"; exit 1; }
    try() { # C COMPLAINT [OBJECT]
        local said
        build dht.a "${3:-overlay}" <<< "$1"
        if said=$(run_self base=base.a crypto=crypto.a ledger=ledger.a dht=dht.a); then
            [ "$2" = fine ] || { echo "self-test: not found: $2"; exit 1; }
        else
            grep -qF -- "$2" <<< "$said" || { echo "self-test: expected \"$2\", got:"; echo "$said"; exit 1; }
        fi
        planted=$((planted + 1))
    }
    for name in open read write socket time clock_gettime rand random getenv pthread_create malloc free qsort printf fopen; do
        try "void $name(void); void f(void) { $name(); }" "tm_dht: overlay: calls $name"
    done
    try 'void ledger_x(void); void f(void) { ledger_x(); }' 'tm_dht: overlay: calls ledger_x'
    try 'void fprintf(void); void f(void) { fprintf(); }' 'tm_dht: overlay: calls fprintf'
    try 'void sodium_init(void); void f(void) { sodium_init(); }' 'calls sodium_init'
    try 'void __fprintf_chk(void); void f(void) { __fprintf_chk(); }' 'calls __fprintf_chk'
    try 'void hash_x(void); void f(void) { hash_x(); }' fine
    try 'void __memcpy_chk(void); void f(void) { __memcpy_chk(); }' fine
    try 'void open(void); void f(void) { open(); }' fine disk_posix
    self_test_end purity
}

[ "${1:-}" = --self-test ] && self_test
for pair in "$@"; do
    library[${pair%%=*}]=${pair#*=}
    [ -f "${pair#*=}" ] || { echo "purity: no library ${pair#*=}"; exit 2; }
done
for layer in "${!library[@]}"; do
    check_layer "$layer"
done
finish purity "${!library[*]}"
