#!/usr/bin/env bash
# operator.sh - what whoever runs a node relies on: pages, metrics, logs, documents, addresses, flags, clients that leave.
. "$(dirname "$0")/common.sh"
look() { "$python" "$(dirname "$0")/operator_checks.py" "$@" || fail "$1"; }
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes slots=1
T
slow_engines
up --topology "$scratch/topology"
one=$(run_value node-01 api) two=$(run_value node-02 api)
look queued_client_goes_away "$one"
look metrics "$one" "$two" "$root/docs/api.md"

# Every command speaks JSON, and nothing else, when asked to.
tally_of node-01 run tally-tales "Who are you?" --max-tokens 8 --seed 3 --json >"$scratch/run" 2>"$scratch/err" || { cat "$scratch/err"; fail "tally run"; }
receipt=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/run")
known() { tally_of node-01 receipt "$receipt" >/dev/null 2>&1; }
until_true 5 known || fail "the receipt is not in the wallet"
tally_of node-01 receipt "$receipt" --bundle "$scratch/bundle" >/dev/null || fail "tally receipt --bundle"
for command in status peers models offers balance receipts "receipts --jobs" "receipts --limit 0" "receipt $receipt" "verify $receipt" \
    "verify $scratch/bundle" key "key show" "key bootstrap" doctor "init --network testnet-e2e --pow-bits 8"; do
    tally_of node-01 $command --json >"$scratch/out" 2>"$scratch/err" || { cat "$scratch/out" "$scratch/err"; fail "tally $command --json"; }
    json 'len(d)' <"$scratch/out" >/dev/null 2>&1 || { cat "$scratch/out"; fail "tally $command --json is not one JSON document"; }
    tally_of node-01 $command >"$scratch/out" 2>&1 || fail "tally $command"
    ! grep -q $'\033' "$scratch/out" || fail "tally $command writes escape codes into a file"
done
tally_of node-01 run tally-tales "Who are you?" --max-tokens 8 >"$scratch/out" 2>&1 || fail "tally run"
! grep -q $'\033' "$scratch/out" || fail "tally run writes escape codes into a file"
look colours "$bin/tally" -d "$(state)/node-01" status
look colours "$bin/tally" -d "$(state)/node-01" run tally-tales "Who are you?" --max-tokens 4

# A node that cannot join yet says so, in text and by status; its log is JSON from the first line to the last.
dir=$scratch/alone log=$scratch/alone.log
alone=("$bin/tallyd" -d "$dir" --set api.port=0 --set listen.port=0 --set log.format=json --set log.level=debug)
"$bin/tally" -d "$dir" init --network testnet-e2e --pow-bits 8 --listen 127.0.0.1:0 \
    --bootstrap "$(run_value node-02 bootstrap | sed 's/:[0-9][0-9]*\//:1\//')" >/dev/null || fail "tally init"
api_of() { sed -n 's/^ *"api": "\([^"]*\)".*/\1/p' "$dir/run.json" 2>/dev/null; }
has_api() { [ -n "$(api_of)" ]; }
start_alone() { "${alone[@]}" "$@" >"$scratch/stdout" 2>"$log" & alone_pid=$!; spare_pids+=($alone_pid); until_true 20 has_api || { cat "$log"; fail "no address"; }; }
stop_alone() { kill "$alone_pid"; wait "$alone_pid"; expect "exit code" $? 0; }
start_alone
expect "/healthz before joining" "$(http_status "$(api_of)" /healthz)" 200
expect "/readyz before joining" "$(http_status "$(api_of)" /readyz)" 503
stop_alone
[ ! -s "$scratch/stdout" ] || fail "tallyd writes to standard output"
look log_is_json "$log"

# A stopped node is stopped, whoever may listen at the usual port.
"$bin/tally" -d "$dir" status >"$scratch/out" 2>&1
expect "exit code of a stopped node's status" $? 3
grep -q "not running with $dir" "$scratch/out" || { cat "$scratch/out"; fail "a stopped node's status"; }

# A model by flags alone, on IPv6 alone, under a total of memory that it fits into.
if "$python" -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null; then
    start_alone --set bootstrap= --set listen.host=::1 --set api.host=::1 --set "model.flag-1.0.path=$model" --set model.flag-1.0.slots=2 --set limits.memory_mb=2000
    [[ $(api_of) == http://\[::1\]:* ]] || fail "the address $(api_of) is no URL"
    ready() { [ "$(http_status "$(api_of)" /readyz)" = 200 ]; }
    until_true 20 ready || { cat "$log"; fail "a node on IPv6 is not ready"; }
    "$bin/tally" -d "$dir" run flag-1.0 "Who are you?" --max-tokens 4 >/dev/null 2>&1 || fail "tally run over IPv6"
    expect "slots set by flag" "$("$bin/tally" -d "$dir" status --json | json 'd["models"][0]["slots"]')" 2
    "$bin/tally" -d "$dir" status | grep -q 'address *\[::1\]:' || fail "the mesh address has no brackets"
    "$bin/tally" -d "$dir" key bootstrap | grep -q '^tally://\[::1\]:' || fail "the bootstrap string has no brackets"
    stop_alone
else
    echo "operator: no IPv6 here, left out"
fi

# What cannot work is refused with a sentence.
refused() { local want=$1; shift; timeout 20 "${alone[@]}" "$@" >"$scratch/out" 2>&1; expect "exit code: $want" $? 78; grep -q -- "$want" "$scratch/out" || { cat "$scratch/out"; fail "not said: $want"; }; }
refused "limits.memory_mb allows 66" --set "model.m.path=$model" --set limits.memory_mb=66
refused "a node needs 64 MiB" --set limits.memory_mb=20
refused 'model \\"m\\": path is missing\|model "m": path is missing' --set model.m.slots=2
refused 'set model.m.slots: model.slots: "many" is not' --set model.m.slots=many
for listen in 7600 localhost ::1:7600 "[::1]" "[::1]:x" "[127.0.0.1]:7600" 127.0.0.1:70000; do
    "$bin/tally" -d "$scratch/none" init --listen "$listen" >/dev/null 2>&1
    expect "exit code of init --listen $listen" $? 2
done
echo "operator: pages, metrics, logs, documents, addresses, flags"
