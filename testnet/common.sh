# common.sh - sourced by up.sh, down.sh, status.sh, demo.sh: where a testnet lives and how to reach its nodes.
#
#   testnet/state/NAME/          one testnet; several can run side by side
#   testnet/state/NAME/node-01/  data folder of a node: keys, ledger, tallyd.conf, run.json while it runs, log

. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

bin=${TALLY_BIN:-$root/build/node}
daemon=${TALLY_DAEMON:-$bin/tallyd}
name=${TALLY_TESTNET:-default}
state_root=${TALLY_TESTNET_STATE:-$root/testnet/state}
model=${TALLY_DEMO_MODEL:-$root/testnet/model/tally-tales-q8_0.gguf}

state() { printf '%s/%s' "$state_root" "$name"; }
nodes() { local d; for d in "$(state)"/*/; do [ -f "$d/tallyd.conf" ] && basename "$d"; done; }
node_pid() { cat "$(state)/$1/pid" 2>/dev/null; }
# Ours only if its arguments name this very data folder: a pid may have been given to a stranger since the file was written.
node_runs() {
    local p
    p=$(node_pid "$1")
    [[ $p =~ ^[0-9]+$ ]] && tr '\0' '\n' 2>/dev/null <"/proc/$p/cmdline" | grep -qxF -- "$(state)/$1"
}
# One value of run.json, without a JSON tool: the file is ours, one key per line.
run_value() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$(state)/$1/run.json" 2>/dev/null; }
tally_of() { local n=$1; shift; "$bin/tally" -d "$(state)/$n" "$@"; }
# holds NODE RECEIPT: the provider's half, which is signed a moment after the requester has the whole answer.
holds() {
    local i
    for ((i = 0; i < 20; i++)); do
        tally_of "$1" receipt "$2" >/dev/null 2>&1 && return
        sleep 0.1
    done
    return 1
}
# HTTP status of a path at a node's endpoint, by bash alone.
http_status() {
    local api=$1 path=$2 host port line
    host=${api#http://}; port=${host##*:}; host=${host%:*}; host=${host#[}; host=${host%]}
    exec 3<>"/dev/tcp/$host/$port" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$path" >&3
    read -r -t 5 line <&3
    exec 3<&- 3>&-
    line=${line#* }
    printf '%s' "${line%% *}"
}
