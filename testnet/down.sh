#!/usr/bin/env bash
# down.sh - stops a testnet: SIGTERM (finish what is open), after 25 s SIGKILL.
#
# usage: testnet/down.sh [--name NAME] [--all] [--forget]
#   --all      every testnet of this folder        --forget   delete keys and ledgers too
set -u
. "$(dirname "$0")/common.sh"
all="" forget=""
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=${2:-}; shift 2 || misuse "--name wants a name" ;;
    --all) all=1; shift ;;
    --forget) forget=1; shift ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) misuse "what is \"$1\"?" ;;
    esac
done
stop_one() {
    local n i left
    [ -d "$(state)" ] || [ -n "$forget" ] || die "there is no testnet \"$name\""
    for n in $(nodes); do node_runs "$n" && kill -TERM "$(node_pid "$n")" 2>/dev/null; done
    for ((i = 0; i < 250; i++)); do
        left=""
        for n in $(nodes); do node_runs "$n" && left=1; done
        [ -n "$left" ] || break
        sleep 0.1
    done
    for n in $(nodes); do
        node_runs "$n" && kill -KILL "$(node_pid "$n")" 2>/dev/null
        rm -f "$(state)/$n/pid"
    done
    [ -z "$forget" ] || { rm -rf "$(state)"; rmdir "$state_root" 2>/dev/null; }
}
if [ -n "$all" ]; then
    for d in "$state_root"/*/; do
        [ -d "$d" ] || continue
        name=$(basename "$d")
        stop_one
    done
else
    stop_one
fi
exit 0
