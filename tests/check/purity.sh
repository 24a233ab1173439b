#!/bin/bash
# purity.sh - do the portable libraries reach for nothing?
#
# Asks nm which symbols each object needs. They must be defined in the library itself, in a library its layer may stand on,
# or in purity.allow. So a core that opens a file, reads a clock, or calls a sibling layer is found even if it declares
# the function by hand. Objects whose name admits a dependency would answer for anything, so these libraries hold none but
# those that purity.allow names after "holds".
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

# Files with a suffix that a layer's library may hold.
check_members() { # LAYER
    local member held
    held=" $(awk -v layer="$1" '{ sub(/#.*/, "") } $1 == layer && $2 == "holds" { for (i = 3; i <= NF; i++) print $i }' "$here/purity.allow" | tr '\n' ' ')"
    while read -r member; do
        member=${member%%.*}
        dependency_of "$member.c"
        [ -z "$REPLY" ] || [[ $held == *" $member "* ]] || complain "tm_$1: $member" "may not be in it: its name admits $REPLY"
    done < <(ar t "${library[$1]}")
}

declare -A library
check_layer() { # LAYER
    local layer=$1 name object symbol below=()
    check_members "$layer"
    for name in "$layer" $(layers_below "$layer"); do
        [ -z "${library[$name]:-}" ] || below+=("${library[$name]}")
    done
    while read -r object symbol; do
        dependency_of "$object.c"
        case $REPLY in
            ''|amx|avx2|avx512|neon|sse2) complain "tm_$layer: $object" "calls $symbol" ;;
        esac
    done < <(judge "$layer" "$here/purity.allow" <(nm --defined-only "${below[@]}") <(nm -u "${library[$layer]}"))
}

self_test() {
    local cc=${CC:-cc} name said faults=()
    self_test_begin
    plant base.c <<< 'void abort(void); int bytes_x; void ensure_failed(void) { abort(); }'
    plant hash.c <<< 'unsigned long strlen(const char *); void ensure_failed(void); unsigned long hash_x(const char *s) { ensure_failed(); return strlen(s); }'
    plant ledger.c <<< 'void ledger_x(void) {}'
    # What each of these calls is not for the overlay: the system, a sibling, another layer's permission.
    for name in open read write socket time clock_gettime rand random getenv pthread_create malloc free qsort printf fopen \
        syscall times clock stat fstatat getrandom getentropy lseek mmap dlsym environ_x ledger_x fprintf sodium_init __fprintf_chk; do
        plant "bad_$name.c" <<< "void $name(void); void f_$name(void) { $name(); }"
        faults+=("tm_dht: bad_$name: calls $name")
    done
    for name in hash_x __memcpy_chk; do
        plant "good_$name.c" <<< "void $name(void); void f_$name(void) { $name(); }"
    done
    plant pool_posix.c <<< 'void open(void); void f_pool(void) { open(); }'
    # The way around: a neighbour in the same library does it, and its name permits it.
    plant entropy_posix.c <<< 'long syscall(long, ...); long times(void *); long dht_entropy(void) { return syscall(1) + times(0); }'
    plant bad_store.c <<< 'long dht_entropy(void); long f_store(void) { return dht_entropy(); }'
    faults+=("tm_dht: entropy_posix: may not be in it: its name admits posix")
    "$cc" -O1 -w -c ./*.c || exit 1
    for name in *.o; do
        mv "$name" "${name%.o}.c.o"                # as CMake names them
    done
    ar rcs base.a base.c.o && ar rcs crypto.a hash.c.o && ar rcs ledger.a ledger.c.o
    ar rcs good.a good_*.c.o && ar rcs kernels.a pool_posix.c.o && ar rcs bad.a bad_*.c.o entropy_posix.c.o
    bash "$self" base=base.a crypto=crypto.a ledger=ledger.a kernels=kernels.a dht=good.a || { echo "self-test: good libraries are refused"; exit 1; }
    said=$(bash "$self" base=base.a crypto=crypto.a ledger=ledger.a dht=bad.a) && { echo "self-test: nothing found"; exit 1; }
    for name in "${faults[@]}"; do
        [[ $said == *"$name"* ]] || { echo "self-test: not found: $name"; exit 1; }
        planted=$((planted + 1))
    done
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
