#!/usr/bin/env bash
# up.sh - starts a testnet on this machine and returns when every node has joined.
#
# usage: testnet/up.sh [-n N] [--name NAME] [--topology FILE] [--quiet]
#   -n N             nodes (default 5): the first only asks, up to eight others serve the demo model, the rest are members
#   --name NAME      several testnets can run side by side (default: $TALLY_TESTNET or "default")
#   --topology FILE  one line per node instead: NAME [key=value]...   (testnet/topology/ has examples)
#                    keys: serve=yes|no|FILE  price_input price_output slots jurisdiction tier threads backend credit_limit
# Prints per node: name, node id, mesh address, endpoint, model, price. State: testnet/state/NAME (git-ignored).
set -u
. "$(dirname "$0")/common.sh"
count=5 topology="" quiet=""
while [ $# -gt 0 ]; do
    case $1 in
    -n) count=${2:-}; shift 2 || misuse "-n wants a number" ;;
    --name) name=${2:-}; shift 2 || misuse "--name wants a name" ;;
    --topology) topology=${2:-}; shift 2 || misuse "--topology wants a file" ;;
    --quiet) quiet=1; shift ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) misuse "what is \"$1\"?" ;;
    esac
done
[[ $count =~ ^[1-9][0-9]*$ ]] && [ "$count" -le 200 ] || misuse "-n wants a number from 1 to 200"
[[ $name =~ ^[a-zA-Z0-9_-]+$ ]] || misuse "--name wants letters, digits, - and _"
[ -z "$topology" ] || [ -r "$topology" ] || die "$topology: cannot be read"

pow_bits=$(sed -n 's/^#define POW_BITS_TESTNET \([0-9]*\) .*/\1/p' "$root/crypto/bounds.h")
[ -n "$pow_bits" ] || die "crypto/bounds.h does not say how much work a testnet asks for"
need_build
install_missing
[ -n "${TALLY_BIN:-}" ] || { [ -n "$quiet" ] || say "building (a minute or two the first time)"; TALLY_TARGETS="tally tallyd" build "$root/build"; }
[ -x "$daemon" ] || die "$daemon is not there"

# The plan: one line per node, as a topology file has them.
plan() {
    local i prices=(0.20 0.12 0.30 0.16 0.24 0.18 0.28 0.14) laws=(DE FR NL US SE JP CH CA) tiers=(edge edge regional edge edge factory edge regional)
    if [ -n "$topology" ]; then
        grep -vE '^[[:space:]]*(#|$)' "$topology"
        return
    fi
    for ((i = 1; i <= count; i++)); do
        if [ "$i" -eq 1 ] && [ "$count" -gt 1 ]; then
            printf 'node-%02d serve=no\n' "$i"
        elif [ "$i" -le 9 ]; then
            printf 'node-%02d serve=yes price_output=%s jurisdiction=%s tier=%s threads=1\n' "$i" "${prices[$(((i + 6) % 8))]}" "${laws[$(((i + 6) % 8))]}" "${tiers[$(((i + 6) % 8))]}"
        else
            printf 'node-%02d serve=no\n' "$i"
        fi
    done
}

# Every line is checked before the first node starts.
check_plan() {
    local line words pair seen=" "
    for line in "${lines[@]}"; do
        read -r -a words <<<"$line"
        [[ ${words[0]} =~ ^[a-zA-Z0-9_-]+$ ]] || die "\"${words[0]}\" is no name for a node: letters, digits, - and _"
        [[ $seen != *" ${words[0]} "* ]] || die "${words[0]} is there twice"
        seen+="${words[0]} "
        for pair in "${words[@]:1}"; do
            case $pair in
            serve=?*|price_input=?*|price_output=?*|slots=?*|jurisdiction=?*|tier=?*|threads=?*|backend=?*|credit_limit=?*) ;;
            *) die "${words[0]}: \"$pair\" is no topology key with a value (--help)" ;;
            esac
        done
    done
}

write_config() {                                       # write_config NODE BOOTSTRAP key=value...
    local node=$1 boot=$2 serve=no price_input=0.05 price_output=0.20 slots=4 jurisdiction=ZZ tier=edge threads=1 backend=auto credit_limit=1 pair
    shift 2
    for pair in "$@"; do
        printf -v "${pair%%=*}" '%s' "${pair#*=}"      # one of the locals above: check_plan
    done
    [ "$serve" != yes ] || serve=$model
    {
        printf 'network = "testnet-%s"\npow_bits = %s\ndata_dir = "%s"\nbootstrap = {%s}\n' "$name" "$pow_bits" "$(state)/$node" "${boot:+\"$boot\"}"
        printf 'listen {\n host = "127.0.0.1"\n port = 0\n}\napi {\n port = 0\n}\n'
        printf 'provider {\n enabled = %s\n jurisdiction = "%s"\n tier = "%s"\n credit_limit = %s\n}\n' \
            "$([ "$serve" = no ] && echo false || echo true)" "$jurisdiction" "$tier" "$credit_limit"
        printf 'engine {\n threads = %s\n backend = "%s"\n}\nlog {\n level = "%s"\n}\n' "$threads" "$backend" "${TALLY_LOG_LEVEL:-info}"
        [ "$serve" = no ] || printf 'model "%s" {\n path = "%s"\n price_input = %s\n price_output = %s\n slots = %s\n}\n' \
            "${TALLY_MODEL_NAME:-tally-tales}" "$serve" "$price_input" "$price_output" "$slots"
    } >"$(state)/$node/tallyd.conf"
}

start() {                                              # start NODE BOOTSTRAP key=value...
    local dir
    dir=$(state)/$1
    node_runs "$1" && return
    mkdir -p "$dir" && chmod 700 "$dir"
    rm -f "$dir/run.json"
    [ ! -e "$dir/log" ] || mv "$dir/log" "$dir/log.old"
    write_config "$@"
    "$bin/tally" -d "$dir" init --network "testnet-$name" --pow-bits "$pow_bits" >"$dir/init.log" 2>&1 || die "$1: $(tail -n 1 "$dir/init.log")"
    setsid nohup "$daemon" -d "$dir" >>"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
}

wait_for() {                                           # wait_for NODE WHAT COMMAND...: at most 60 s
    local node=$1 what=$2 i
    shift 2
    for ((i = 0; i < 1200; i++)); do
        "$@" && return
        node_runs "$node" || { sleep 0.3; node_runs "$node"; } || die "$node ended while starting: $(tail -n 1 "$(state)/$node/log")"
        ! grep -q 'model_failed' "$(state)/$node/log" || die "$node: $(grep -m 1 'model_failed' "$(state)/$node/log" | cut -d ' ' -f 3-)"
        sleep 0.05
    done
    die "$node: $what took more than 60 seconds; see $(state)/$node/log"
}
has_address() { [ -n "$(run_value "$1" api)" ]; }
is_ready() { [ "$(http_status "$(run_value "$1" api)" /readyz 2>/dev/null)" = 200 ]; }

mapfile -t lines < <(plan)
[ ${#lines[@]} -gt 0 ] || die "the topology names no node"
check_plan
mkdir -p "$(state)" || die "$(state): cannot be created"
[ -n "$quiet" ] || say "starting ${#lines[@]} nodes"
boot="" starting=()
for line in "${lines[@]}"; do
    read -r -a words <<<"$line"
    if [ -z "$boot" ]; then                            # the first node is the one the others join through
        start "${words[0]}" "" "${words[@]:1}"
        wait_for "${words[0]}" "opening its sockets" has_address "${words[0]}"
        boot=$(run_value "${words[0]}" bootstrap)
    else
        start "${words[0]}" "$boot" "${words[@]:1}" &  # a new identity waits for the disk: all of them at once
        starting+=($!)
    fi
done
for job in ${starting[@]+"${starting[@]}"}; do wait "$job" || exit 1; done
for line in "${lines[@]}"; do
    read -r -a words <<<"$line"
    wait_for "${words[0]}" "opening its sockets" has_address "${words[0]}"
    wait_for "${words[0]}" "joining" is_ready "${words[0]}"
done
[ -n "$quiet" ] || "$root/testnet/status.sh" --name "$name"
