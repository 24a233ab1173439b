# lib.sh - what the check scripts share: complaints, the list of our files, what a file name says, self-tests.
#
# A check is called as  CHECK.sh [ROOT]       complains about the tree at ROOT (default: this one), exit 1 if it did
#                       CHECK.sh --self-test  plants one fault after the other in a small tree and sees each of them found
set -u
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
self=$here/$(basename "$0")
code_folders="crypto dht ledger kernels node"
complaints=0
notes=0

# A blemish: counted and, with TM_CHECK_STRICT=1, a complaint.
note() { # WHERE WHAT
    if [ "${TM_CHECK_STRICT:-0}" = 1 ]; then
        complain "$1" "$2"
    else
        notes=$((notes + 1))
    fi
}

complain() { # WHERE WHAT
    echo "$1: $2"
    complaints=$((complaints + 1))
}

finish() { # NAME WHAT_WAS_LOOKED_AT
    if [ "$complaints" -gt 0 ]; then
        echo "$1: $complaints complaints"
        exit 1
    fi
    echo "$1: fine ($2$([ "$notes" -eq 0 ] || echo "; $notes blemishes, named with TM_CHECK_STRICT=1"))"
}

# Our code files below the folders given, relative to the current folder.
code_files() {
    local folder
    for folder in "$@"; do
        [ -d "$folder" ] && find "$folder" -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh'
    done | sort
}

# Sets REPLY (a subshell per question would be most of the time) to the dependency a file's name admits to, "posix" for
# keyfile_posix.c, or to nothing for a portable file without effects.
dependency_of() {
    local path=${1%.*} stem
    stem=${path##*/}
    REPLY=
    case $path in
        node/answer_text) REPLY=shell; return ;;   # text from token ids: effectless, but only the shell may know tokenizers
        node/cli) REPLY=shell; return ;;           # what the parts of the command line share
        kernels/cuda/prim*) REPLY=cuda; return ;;  # the words the kernels of that folder are written in
    esac
    case $stem in
        *_posix|*_linux|*_os|*_thread|*_main|*_zmq|*_lmdb|*_http|*_confuse|*_jansson|*_curl|*_pcre2|*_upnp|*_natpmp|*_nvml) REPLY=${stem##*_} ;;
        *_amx|*_avx2|*_avx512|*_neon|*_sse2|*_cuda) REPLY=${stem##*_} ;;
    esac
}

# C without comments and without the insides of strings, as FILE:LINE:TEXT.
without_comments() { # FILES
    awk '
    {
        if (FNR == 1) in_comment = 0
        line = $0; out = ""
        while (length(line) > 0) {
            if (in_comment) {
                i = index(line, "*/")
                if (i == 0) { line = ""; break }
                line = substr(line, i + 2); in_comment = 0
            } else if (match(line, /\/\*|\/\/|"|\047/)) {
                out = out substr(line, 1, RSTART - 1)
                token = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
                if (token == "/*") in_comment = 1
                else if (token == "//") line = ""
                else {
                    out = out token
                    while (length(line) > 0) {
                        c = substr(line, 1, 1); line = substr(line, 2)
                        if (c == "\\") line = substr(line, 2)
                        else if (c == token) { out = out token; break }
                    }
                }
            } else { out = out line; line = "" }
        }
        if (out != "") print FILENAME ":" FNR ":" out
    }' "$@"
}

# ---- self-tests ----

planted=0
plant() { # FILE, contents on standard input; in the small tree that is the current folder
    mkdir -p "$(dirname "$1")"
    cat > "$1"
}

# The check must complain, and say each of these.
must_find() { # WHAT_IT_SHOULD_SAY...
    local said what
    if said=$(bash "$self" "$PWD" 2>&1); then
        echo "self-test: not found: $*"
        exit 1
    fi
    for what in "$@"; do
        if [[ $said != *"$what"* ]]; then
            echo "self-test: expected \"$what\", got:"
            echo "$said"
            exit 1
        fi
        planted=$((planted + 1))
    done
}

must_pass() {
    local said
    if ! said=$(bash "$self" "$PWD" 2>&1); then
        echo "self-test: a good tree is refused:"
        echo "$said"
        exit 1
    fi
}

self_test_begin() {
    sample=$(mktemp -d)
    trap 'rm -rf "$sample"' EXIT
    cd "$sample" || exit 1
}

self_test_end() {
    echo "$1: found all $planted planted faults"
    exit 0
}
