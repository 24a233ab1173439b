#!/usr/bin/env bash
# status.sh - what the nodes of a testnet are doing.
#
# usage: testnet/status.sh [--name NAME] [--json]
#   --json  an array: per node name, id, address, api, data_dir, models, prices, state
set -u
. "$(dirname "$0")/common.sh"
json=""
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=${2:-}; shift 2 || misuse "--name wants a name" ;;
    --json) json=1; shift ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) misuse "what is \"$1\"?" ;;
    esac
done
[ -d "$(state)" ] || die "there is no testnet \"$name\"; testnet/up.sh --name $name starts one"
# The configuration is ours, one key per line.
conf() { sed -n "s/^ *$2 = \"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$(state)/$1/tallyd.conf" | head -n 1; }
models_of() { sed -n 's/^model "\([^"]*\)".*/\1/p' "$(state)/$1/tallyd.conf" | head -n 1; }
state_of() {
    if ! node_runs "$1"; then echo stopped
    elif [ "$(http_status "$(run_value "$1" api)" /readyz 2>/dev/null)" = 200 ]; then echo ready
    else echo starting; fi
}
or_dash() { printf '%s' "${1:--}"; }
address_of() { local p; p=$(run_value "$1" port); or_dash "${p:+$(run_value "$1" host):$p}"; }
first=1
[ -z "$json" ] || printf '['
[ -n "$json" ] || printf '%-10s %-12s %-21s %-24s %-14s %-10s %s\n' NAME NODE ADDRESS ENDPOINT MODEL PRICE_OUT STATE
for n in $(nodes); do
    m=$(models_of "$n")
    if [ -n "$json" ]; then
        [ -n "$first" ] || printf ','
        prices="{}"
        [ -z "$m" ] || prices="{\"$m\":{\"input\":\"$(conf "$n" price_input)\",\"output\":\"$(conf "$n" price_output)\"}}"
        printf '\n{"name":"%s","id":"%s","address":"%s:%s","api":"%s","data_dir":"%s","models":[%s],"prices":%s,"state":"%s"}' "$n" "$(run_value "$n" id)" \
            "$(run_value "$n" host)" "$(run_value "$n" port)" "$(run_value "$n" api)" "$(state)/$n" "${m:+\"$m\"}" "$prices" "$(state_of "$n")"
        first=""
    else
        printf '%-10s %-12.12s %-21s %-24s %-14s %-10s %s\n' "$n" "$(or_dash "$(run_value "$n" id)")" "$(address_of "$n")" "$(or_dash "$(run_value "$n" api)")" \
            "${m:--}" "$([ -n "$m" ] && conf "$n" price_output || echo -)" "$(state_of "$n")"
    fi
done
[ -z "$json" ] || printf '\n]\n'
