# prepare.sh - sourced by the scripts: installs what is missing to build (and test), says what and why, then builds.
#
# It looks for commands and headers, not for packages, so whatever provides them is fine. A second run finds everything
# and does nothing. Needs apt (Debian 12, Ubuntu 24.04) only when something is missing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
missing=()
reasons=()

say() { printf '==> %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
misuse() { printf '%s: %s (--help)\n' "$(basename "$0")" "$*" >&2; exit 2; }

# quietly LOG COMMAND...: its words go to LOG; here it is said how far it is: on a terminal every second, else now and then.
quietly() {
    local log=$1 seconds=0 far job
    shift
    "$@" >"$log" 2>&1 </dev/null &
    job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.25
        seconds=$((seconds + 1))
        far=$(tail -c 4096 "$log" | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -n 1)
        if [ -t 1 ]; then
            [ $((seconds % 4)) -ne 0 ] || printf '\r      %s %d s ' "$far" $((seconds / 4))
        elif [ $((seconds % 60)) -eq 0 ]; then
            printf '      %s %d s\n' "$far" $((seconds / 4))
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
    wait "$job"
}

# want PACKAGE[|ALTERNATIVE] "why": remembers a package to install.
want() { missing+=("$1"); reasons+=("$2"); }
need_command() { command -v "$1" >/dev/null 2>&1 || want "$2" "$1: $3"; }
need_header() {
    local dir
    for dir in /usr/include /usr/local/include "/usr/include/$(uname -m)-linux-gnu"; do
        [ -e "$dir/$1" ] && return
    done
    want "$2" "$1: $3"
}

need_build() {
    need_command cc gcc "the C compiler"
    need_command cmake cmake "describes the build"
    need_command ninja ninja-build "runs the build"
    need_command pkg-config "pkgconf|pkg-config" "finds the libraries"
    need_header zmq.h libzmq3-dev "transport between nodes"
    need_header sodium.h libsodium-dev "keys, hashes, sealing"
    need_header lmdb.h liblmdb-dev "the ledger on disk"
    need_header msgpack.h "libmsgpack-dev|libmsgpack-c-dev" "encoding of messages and records"
    need_header microhttpd.h libmicrohttpd-dev "the OpenAI-compatible endpoint"
    need_header jansson.h libjansson-dev "JSON at the endpoint"
    need_header confuse.h libconfuse-dev "the configuration file"
    need_header pcre2.h libpcre2-dev "patterns of tokenizers"
    need_header curl/curl.h "libcurl4-openssl-dev|libcurl4-gnutls-dev" "the command line talks to the node"
}

# Installs what was found missing; one sentence and exit 1 if that cannot be done.
install_missing() {
    [ ${#missing[@]} -eq 0 ] && return
    local as=() packages=() i name pick log
    say "missing on this machine:"
    printf '      %s\n' "${reasons[@]}"
    command -v apt-get >/dev/null 2>&1 || die "there is no apt-get here; please install by hand: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || die "installing needs root: run as root, or install sudo, or install by hand: ${missing[*]}"
        as=(sudo)
    fi
    say "fetching the package list"
    log=$(mktemp)
    quietly "$log" ${as[@]+"${as[@]}"} apt-get update -qq || { tail -n 5 "$log" >&2; rm -f "$log"; die "apt-get update failed; is the network reachable?"; }
    for i in "${missing[@]}"; do
        pick=""
        for name in ${i//|/ }; do
            if [ -z "$pick" ] && apt-cache show "$name" >/dev/null 2>&1; then pick=$name; fi
        done
        [ -n "$pick" ] || die "none of the packages $i is known to this system"
        packages+=("$pick")
    done
    say "installing ${packages[*]}"
    quietly "$log" ${as[@]+"${as[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
        { tail -n 5 "$log" >&2; rm -f "$log"; die "apt-get could not install ${packages[*]}"; }
    rm -f "$log"
    missing=()
    reasons=()
}

# build FOLDER [cmake options]: configures when needed, builds (only $TALLY_TARGETS if set), shows the compiler's words
# only if it fails.
build() {
    local folder=$1 log
    shift
    log=$(mktemp)
    quietly "$log" cmake -S "$root" -B "$folder" -G Ninja "$@" || { cat "$log" >&2; rm -f "$log"; die "the build could not be configured"; }
    quietly "$log" cmake --build "$folder" ${TALLY_TARGETS:+--target $TALLY_TARGETS} || { grep -E 'error|FAILED|undefined' "$log" | head -n 30 >&2; rm -f "$log"; die "the build failed"; }
    rm -f "$log"
}
