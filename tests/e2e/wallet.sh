#!/usr/bin/env bash
# wallet.sh - what a person who walks the README meets when something is wrong: each mistake is named, with what mends it.
. "$(dirname "$0")/common.sh"
dir=$scratch/one log=$scratch/log
tally() { "$bin/tally" -d "$dir" "$@"; }
# says WHAT CODE TEXT COMMAND...: the exit code and a part of what is printed.
says() {
    local what=$1 code=$2 text=$3
    shift 3
    "$@" >"$scratch/out" 2>&1 </dev/null
    local rc=$?
    [ $rc = "$code" ] || { cat "$scratch/out"; fail "$what: exit code $rc, expected $code"; }
    grep -q -- "$text" "$scratch/out" || { cat "$scratch/out"; fail "$what: not said: $text"; }
}
also() { grep -q -- "$2" "$scratch/out" || { cat "$scratch/out"; fail "$1: not said: $2"; }; }
never() { ! grep -q -- "$2" "$scratch/out" || { cat "$scratch/out"; fail "$1: said: $2"; }; }
api_of() { sed -n 's/^ *"api": "\([^"]*\)".*/\1/p' "$dir/run.json" 2>/dev/null; }
has_api() { [ -n "$(api_of)" ]; }
start() {
    rm -f "$dir/run.json"
    "${daemon_program:-$bin/tallyd}" -d "$dir" --set api.port=0 --set listen.port=0 --set listen.host=127.0.0.1 "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    spare_pids+=($pid)
    until_true 20 has_api || { cat "$log"; fail "tallyd did not start"; }
}
stop() { kill "$pid"; wait "$pid"; }
logged() { grep -q -- "$1" "$log"; }

# ---- a set-up that cannot work is named by --check, by the start and by doctor ----
tally init --network wallet-test --pow-bits 8 --listen 127.0.0.1:0 --model "tales=$model" >/dev/null || fail "tally init"
wrong() {                                              # wrong TEXT LINES...: in tallyd.conf, instead of nothing
    local text=$1
    shift
    cp "$dir/tallyd.conf" "$scratch/good.conf"
    printf '%s\n' "$@" >>"$dir/tallyd.conf"
    says "tallyd --check" 78 "$text" "$bin/tallyd" -d "$dir" --check
    says "start" 78 "$text" timeout 20 "$bin/tallyd" -d "$dir" --set api.port=0
    says "doctor" 1 "BAD.*$text" tally doctor
    cp "$scratch/good.conf" "$dir/tallyd.conf"
}
says "a good set-up" 0 "configuration is valid" "$bin/tallyd" -d "$dir" --check
says "doctor on a good set-up" 0 "node *ok *not running" tally doctor
never "doctor on a good set-up" BAD
wrong 'there is no "cuda" on this machine (there is: auto' 'engine {' ' backend = "cuda"' '}'
wrong 'pow_bits = 35, but .*node.pow proves' 'pow_bits = 35'
wrong 'made for another network than "other"' 'network = "other"'
wrong 'of another network than "wallet-test"' "bootstrap = {\"tally://127.0.0.1:1/$(printf '%064d' 9)?net=0000000000000001\"}"
wrong 'listen.host: "foo" is not an IPv4 or IPv6 address' 'listen {' ' host = "foo"' '}'
wrong '192.0.2.1' 'listen {' ' host = "192.0.2.1"' '}'
wrong 'ends inside "limits {": a closing brace is missing' 'limits {'
wrong 'model "x": path is missing' 'model "x" { }'
wrong 'model.*/missing.gguf' 'model "x" {' ' path = "/missing.gguf"' '}'

# ---- a node that waits says for what ----
net=$(tally key show --json | json 'd["network_id"]')
boot="tally://127.0.0.1:1/$(tally key show --json | json 'd["node_key"]')?net=$net"
start --set "bootstrap=$boot"
until_true 10 logged 'overlay.waiting bootstrap 127.0.0.1:1: no connection' || { cat "$log"; fail "the log does not say why the node waits"; }
says "doctor about a waiting node" 1 "node *BAD *joining, 0 peers: not joined through bootstrap 127.0.0.1:1: no connection" tally doctor
expect "state of a waiting node" "$(tally status --json | json 'd["state"] + " " + d["reason"][:20]')" "joining not joined through b"
says "status of a waiting node" 0 "why *not joined through bootstrap" tally status
"$python" - "$(api_of)" <<'P' || fail "/readyz of a waiting node"
import sys, urllib.request, urllib.error
try:
    urllib.request.urlopen(sys.argv[1] + "/readyz")
    raise SystemExit("ready?")
except urllib.error.HTTPError as e:
    body = e.read().decode()
    assert e.code == 503 and "127.0.0.1:1: no connection" in body, body
P
stop
printf 'bootstrap = {"%s"}\n' "$boot" >>"$dir/tallyd.conf"
says "doctor of a stopped node" 1 "bootstrap *BAD *127.0.0.1:1 cannot be reached: Connection refused" tally doctor
cp "$scratch/good.conf" "$dir/tallyd.conf"

# Somebody who asks for more work does not take us in.
"$bin/tally" -d "$scratch/strict" init --network wallet-test --pow-bits 16 --listen 127.0.0.1:0 >/dev/null || fail "tally init"
"$bin/tallyd" -d "$scratch/strict" --set api.port=0 >"$scratch/strict.log" 2>&1 </dev/null &
spare_pids+=($!)
is_strict_up() { "$bin/tally" -d "$scratch/strict" key bootstrap >"$scratch/strict.boot" 2>/dev/null; }
until_true 20 is_strict_up || fail "no second node"
rm "$dir/node.pow"
tally init --network wallet-test --pow-bits 1 >/dev/null
start --set "bootstrap=$(cat "$scratch/strict.boot")" --set pow_bits=1
until_true 10 logged 'overlay.waiting .*does not take this node in: pow_bits' || { cat "$log"; fail "the log does not say why the node waits"; }
stop
rm "$dir/node.pow"
tally init --network wallet-test --pow-bits 8 >/dev/null

# A node whose model cannot be started says so.
daemon_program=$(dirname "$bin")/tests/broken_tallyd start
is_failed() { [ "$(tally status --json | json 'd["state"]')" = failed ]; }
until_true 10 is_failed || fail "a node without an engine: $(tally status --json)"
says "doctor about a node without an engine" 1 "node *BAD *failed, 0 peers: model tales could not be started" tally doctor
expect "the model's error" "$(tally status --json | json 'len(d["models"][0]["error"]) > 0')" True
stop
echo "wallet: every mistake is named"
