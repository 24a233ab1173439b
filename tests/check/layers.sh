#!/bin/bash
# layers.sh - who may include whom?
#
#   crypto/                    itself                                  (libsodium; msgpack.h in codec.c alone)
#   dht/, ledger/              crypto/
#   kernels/                   itself, crypto/base.h
#   node/ portable             crypto/ dht/ ledger/, no shell headers
#   node/ shell                everything but tests/
#
# A file whose name admits no dependency includes the portable part of the C library and nothing of the system. Each
# library with a header of its own is included where its name stands (zmq.h in *_zmq.[ch]). Paths are written from the
# root. A .c file includes its own header first, or the private header of its module (headers.sh compiles each alone).
. "$(dirname "$0")/lib.sh"

portable_headers=" stdint.h stddef.h stdbool.h stdarg.h string.h limits.h inttypes.h stdio.h stdlib.h "
kernel_headers=" math.h float.h fenv.h stdatomic.h cpuid.h utf8proc.h "

may_include_ours() { # FILE DEPENDENCY INCLUDED
    local folder=${1%%/*} target=${3%%/*} target_dependency
    dependency_of "$3"
    target_dependency=$REPLY
    # A portable file does not include a shell's header. Inside kernels/ it may: the engine chooses among its backends and
    # its thread pool; purity.sh still sees to it that the portable objects call nothing of the system themselves.
    if [ -z "$2" ] && [ -n "$target_dependency" ] && [ "$folder:$target" != kernels:kernels ]; then
        return 1
    fi
    case $folder:$target in
        crypto:crypto|dht:dht|dht:crypto|ledger:ledger|ledger:crypto|kernels:kernels) return 0 ;;
        kernels:crypto) [ "$3" = crypto/base.h ] ;;
        node:kernels) [ -n "$2" ] ;;
        node:node|node:crypto|node:dht|node:ledger) return 0 ;;
        *) return 1 ;;
    esac
}

may_include_system() { # FILE DEPENDENCY INCLUDED
    local folder=${1%%/*}
    case $3 in
        msgpack.h) [ "$1" = crypto/codec.c ]; return ;;
        lmdb.h) [ "$1" = ledger/store_lmdb.c ]; return ;;
        zmq.h) [ "$folder:$2" = node:zmq ]; return ;;
        microhttpd.h) [ "$folder:$2" = node:http ]; return ;;
        confuse.h) [ "$folder:$2" = node:confuse ]; return ;;
        jansson.h) [ "$folder" = node ] && [ -n "$2" ]; return ;;
        sodium.h|sodium/*) [ "$folder" = crypto ] || { [ "$folder" = node ] && [ -n "$2" ]; }; return ;;
        *intrin.h|arm_neon.h) case $2 in amx|avx2|avx512|neon|sse2) return 0 ;; esac; return 1 ;;
        pcre2.h) [ "$folder:$2" = kernels:pcre2 ]; return ;;
        curl/*) [ "$folder:$2" = node:curl ]; return ;;
        cuda*) [ "$2" = cuda ]; return ;;
    esac
    [[ $portable_headers == *" $3 "* ]] && return 0
    [ "$folder" = kernels ] && [[ $kernel_headers == *" $3 "* ]] && return 0
    case $2 in
        ''|amx|avx2|avx512|neon|sse2) return 1 ;;
        *) return 0 ;;                             # the shell includes what the system offers
    esac
}

# The header that a module's parts share includes the module's own, and comes first in its place.
is_private_header() { # INCLUDED OWN
    [ "${1%/*}" = "${2%/*}" ] && [ -f "$1" ] && grep -q "^#include \"$2\"" "$1"
}

check_include() { # FILE LINE INCLUDE
    local file=$1 where=$1:$2 include=$3 dependency own=${1%.*}.h
    dependency_of "$file"
    dependency=$REPLY
    case $include in
        \"*)
            include=${include//\"/}
            if [[ $include != */* ]]; then         # that it exists is the compiler's business
                complain "$where" "\"$include\" is not a path from the root"
            elif ! may_include_ours "$file" "$dependency" "$include"; then
                complain "$where" "may not include \"$include\""
            fi ;;
        \<*)
            include=${include//[<>]/}
            may_include_system "$file" "$dependency" "$include" || complain "$where" "may not include <$include>" ;;
    esac
    if [[ $file != "$last_file" && $file != *.h && -f $own && $include != "$own" ]] && ! is_private_header "$include" "$own"; then
        complain "$where" "its own header comes first"
    fi
    last_file=$file
}

self_test() {
    self_test_begin
    plant crypto/base.h <<< '#include <stdint.h>'
    plant crypto/key.h <<< '#include "crypto/base.h"'
    plant dht/overlay.h <<< '#include "crypto/key.h"'
    plant ledger/store.h <<< '#include "crypto/key.h"'
    plant ledger/store_lmdb.h <<< '#include "ledger/store.h"'
    plant ledger/store_lmdb.c <<< $'#include "ledger/store_lmdb.h"\n#include <lmdb.h>\n#include <unistd.h>'
    plant kernels/engine.h <<< '#include "crypto/base.h"'
    plant kernels/ops_avx2.c <<< $'#include "kernels/engine.h"\n#include <immintrin.h>'
    plant node/agent.h <<< $'#include "dht/overlay.h"\n#include "ledger/store.h"'
    plant node/loop_posix.h <<< $'#include "node/agent.h"\n#include "kernels/engine.h"'
    plant node/loop_posix.c <<< $'#define _GNU_SOURCE\n#include "node/loop_posix.h"\n#include <poll.h>'
    plant node/transport_zmq.c <<< '#include <zmq.h>'
    must_pass
    local faults=()
    try() { # FOLDER/a[_SUFFIX].c INCLUDE COMPLAINT; each in a file of its own
        local file=${1/\/a/\/a${#faults[@]}}
        plant "$file" <<< "#include $2"
        faults+=("$file:1: $3")
    }
    try crypto/a.c '"dht/overlay.h"' 'may not include "dht/overlay.h"'
    try crypto/a.c '<unistd.h>' 'may not include <unistd.h>'
    try crypto/a.c '<msgpack.h>' 'may not include <msgpack.h>'
    try dht/a.c '"ledger/store.h"' 'may not include "ledger/store.h"'
    try dht/a.c '"node/agent.h"' 'may not include "node/agent.h"'
    try dht/a.c '<time.h>' 'may not include <time.h>'
    try dht/a.c '<sodium.h>' 'may not include <sodium.h>'
    try dht/a.c '<pthread.h>' 'may not include <pthread.h>'
    try ledger/a.c '"dht/overlay.h"' 'may not include "dht/overlay.h"'
    try ledger/a.c '"ledger/store_lmdb.h"' 'may not include "ledger/store_lmdb.h"'
    try ledger/a.c '<lmdb.h>' 'may not include <lmdb.h>'
    try ledger/a_lmdb.c '<lmdb.h>' 'may not include <lmdb.h>'
    try kernels/a.c '"crypto/key.h"' 'may not include "crypto/key.h"'
    try kernels/a.c '"ledger/store.h"' 'may not include "ledger/store.h"'
    try kernels/a.c '<immintrin.h>' 'may not include <immintrin.h>'
    try kernels/a_avx2.c '<pthread.h>' 'may not include <pthread.h>'
    try node/a.c '"kernels/engine.h"' 'may not include "kernels/engine.h"'
    try node/a.c '"node/loop_posix.h"' 'may not include "node/loop_posix.h"'
    try node/a.c '<jansson.h>' 'may not include <jansson.h>'
    try node/a_posix.c '<zmq.h>' 'may not include <zmq.h>'
    try kernels/a.c '<pcre2.h>' 'may not include <pcre2.h>'
    try node/a_posix.c '<curl/curl.h>' 'may not include <curl/curl.h>'
    try node/a_posix.c '<microhttpd.h>' 'may not include <microhttpd.h>'
    try node/a_posix.c '"tests/test.h"' 'may not include "tests/test.h"'
    try node/a.c '"agent.h"' '"agent.h" is not a path from the root'
    plant node/agent.c <<< $'#include <string.h>\n#include "node/agent.h"'
    must_find "${faults[@]}" 'node/agent.c:1: its own header comes first'
    rm */a[0-9]*.c
    plant node/agent_state.h <<< '#include "node/agent.h"'
    plant node/agent.c <<< '#include "node/agent_state.h"'
    must_pass
    self_test_end layers
}

[ "${1:-}" = --self-test ] && self_test
cd "${1:-$root}" || exit 1
mapfile -t files < <(code_files $code_folders)
last_file=
while IFS=: read -r file number include; do
    check_include "$file" "$number" "$include"
done < <(grep -HnE '^[[:space:]]*#[[:space:]]*include' "${files[@]}" | sed -E 's/^([^:]+:[0-9]+:)[^"<]*(["<][^">]*[">]).*/\1\2/')
finish layers "${#files[@]} files"
