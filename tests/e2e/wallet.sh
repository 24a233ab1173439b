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
wrong 'backend: there is no "cuda" on this machine (there is: auto' 'engine {' ' backend = "cuda"' '}'
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
sed 's/pow_bits = 8/pow_bits = 1/' "$scratch/good.conf" >"$dir/tallyd.conf"
rm "$dir/node.pow"
tally init >/dev/null || fail "tally init again"
start --set "bootstrap=$(cat "$scratch/strict.boot")"
until_true 10 logged 'overlay.waiting .*does not take this node in: pow_bits' || { cat "$log"; fail "the log does not say why the node waits"; }
stop
cp "$scratch/good.conf" "$dir/tallyd.conf"
tally init >/dev/null || fail "tally init does not prove more"

# A node whose model cannot be started says so.
daemon_program=$(dirname "$bin")/tests/broken_tallyd start
is_failed() { [ "$(tally status --json | json 'd["state"]')" = failed ]; }
until_true 10 is_failed || fail "a node without an engine: $(tally status --json)"
says "doctor about a node without an engine" 1 "node *BAD *failed, 0 peers: model tales could not be started" tally doctor
expect "the model's error" "$(tally status --json | json 'len(d["models"][0]["error"]) > 0')" True
stop

# A second tallyd on one folder is told who is there.
start
says "a second tallyd" 78 "another tallyd (pid $(sed -n 's/^ *"pid": \([0-9]*\).*/\1/p' "$dir/run.json")) uses this folder: $dir" timeout 20 "$bin/tallyd" -d "$dir" --set api.port=0
tally key bootstrap >"$scratch/boot" 2>"$scratch/out" || fail "tally key bootstrap"
also "a bootstrap string on loopback" "works on this machine only"
expect "that, in JSON" "$(tally key bootstrap --json | json 'd["this_machine_only"]')" True
grep -q '^tally://' "$scratch/boot" || fail "the string is not alone on standard output"
stop
expect "expiry of the certificate" "$(tally key --json | json 'd["certificate_until_ms"] > 1700000000000')" True

# ---- init: what it does not take over is said; what was cut short is finished ----
says "init again, the same" 0 "kept as it was" tally init --network wallet-test --pow-bits 8 --model "tales=$model"
says "init again, another model" 1 "not applied, because $dir/tallyd.conf was there already" tally init --model "new=$model" --listen 0.0.0.0:7700 --pow-bits 9
also "init again" '--model new=.*write: model "new" { path ='
also "init again" '--listen 0.0.0.0 port 7700 (it says listen { host = "127.0.0.1" port = 0 })'
also "init again" '--pow-bits 9 (it says pow_bits = 8)'
says "init again, another network" 1 '--network other (it says network = "wallet-test"' tally init --network other
expect "that, in JSON" "$(tally init --network other --json 2>/dev/null | json 'len(d["not_applied"])')" 1
says "doctor after that" 0 "network *ok *wallet-test" tally doctor
says "init with a missing model" 0 'warning: model "x": /missing.gguf' "$bin/tally" -d "$scratch/new" init --pow-bits 1 --model x=/missing.gguf
says "init with a foreign bootstrap string" 2 'is of another network than "other"' "$bin/tally" -d "$scratch/foreign" init --network other --bootstrap "$boot"
[ ! -e "$scratch/foreign" ] || fail "a refused init left something behind"
says "init --listen with a name" 2 "wants ADDRESS:PORT" "$bin/tally" -d "$scratch/foreign" init --listen foo:7600
"$bin/tally" -d "$scratch/cut" init --network cut-test --pow-bits 40 >/dev/null 2>&1 &
cut=$!; spare_pids+=($cut)
until_true 10 test -f "$scratch/cut/transport.key" || fail "no keys"
kill -KILL $cut
says "the start after an init that was cut short" 78 'node.pow is missing: run `tally init` again to finish' timeout 20 "$bin/tallyd" -d "$scratch/cut" --set api.port=0 --set listen.port=0
says "--check after it" 78 'run `tally init` again to finish' "$bin/tallyd" -d "$scratch/cut" --check
sed -i 's/pow_bits = 40/pow_bits = 4/' "$scratch/cut/tallyd.conf"
says "init again" 0 "^network  cut-test" "$bin/tally" -d "$scratch/cut" init
for command in receipts "receipt 1234" balance "verify 1234" key "key bootstrap" "key passwd" status peers doctor; do
    "$bin/tally" -d "$scratch/nowhere" $command >"$scratch/out" 2>&1
    grep -q "no node lives \(in $scratch/nowhere\|there\)" "$scratch/out" || { cat "$scratch/out"; fail "tally $command in a wrong folder"; }
done

# ---- receipts: one name for a node, prefixes, what is said when there is nothing to show ----
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.10
node-03 serve=yes price_output=0.20
T
slow_engines
export TALLY_SLOW_MS=10
up --topology "$scratch/topology"
buyer() { tally_of node-01 "$@"; }
seller() { tally_of node-02 "$@"; }
buyer run tally-tales "Who are you?" --max-tokens 40 --seed 3 --json >"$scratch/run" || fail "tally run"
receipt=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/run")
both_have() { buyer receipt "$receipt" >/dev/null 2>&1 && seller receipt "$receipt" >/dev/null 2>&1; }
until_true 10 both_have || fail "the receipt is not in both wallets"
terms=$(buyer receipt "$receipt" --json | json 'd["terms"]')
one=$(run_value node-01 id) two=$(run_value node-02 id)
two_key=$(seller key --json | json 'd["node_key"]')

says "receipt" 0 "^provider $two" buyer receipt "$receipt"
says "the provider's half" 0 "^payer *$one" seller receipt "$receipt"
says "receipts" 0 "^RECEIPT  *WHEN  *WE  *NODE" buyer receipts
also "receipts" "^${receipt:0:12} .* spent *${two:0:12} .* tally-tales"
says "jobs" 0 "^TERMS  *BEGAN" buyer receipts --jobs
also "jobs" "^${terms:0:12} .* requester *${two:0:12} .* ${receipt:0:12} "
says "balance" 0 "^NODE  *OWES YOU" buyer balance
also "balance" "^${two:0:12} "
says "offers" 0 "^ *AGO  *MODEL  *REQUESTER" seller offers
also "offers" "  ${one:0:12}  "
expect "node id and key in JSON" "$(buyer receipts --json | json 'd["receipts"][0]["peer_id"] + d["receipts"][0]["peer"]')" "$two$two_key"
expect "node id and key in JSON" "$(buyer balance --json | json 'd["peers"][0]["peer_id"] + d["peers"][0]["peer"]')" "$two$two_key"
for digits in "${two:0:4}" "$two" "${two_key:0:6}" "$two_key"; do
    says "balance of one node" 0 "^${two:0:12} " buyer balance "$digits"
    says "receipts of one node" 0 "^${receipt:0:12} " buyer receipts --peer "$digits"
done
says "balance of a stranger" 4 "no business was done" buyer balance ffffffff
says "balance of too few digits" 2 "at least 4 digits" buyer balance "${two:0:3}"
for digits in "${receipt:0:4}" "${terms:0:4}" "$receipt" "$terms" "${terms^^}"; do
    says "receipt by $digits" 0 "^receipt *$receipt" buyer receipt "$digits"
    says "verify by $digits" 0 "^verified" buyer verify "$digits"
done
says "too few digits" 2 "give at least 4 digits" buyer receipt "${terms:0:3}"
says "an unknown receipt" 4 "no such receipt or job here" buyer receipt 0123456789
says "an unknown file" 4 "there is no such file" buyer verify nothing.tally
says "an unknown receipt or file" 4 "no such receipt or job or file here" buyer verify nothing

# What is verified is verified, also where nothing can be computed again.
not_again() {                                          # not_again WHAT REASON COMMAND...
    local what=$1 reason=$2
    shift 2
    says "$what" 8 "^signatures verified; not computed again: .*$reason" "$@"
    never "$what" "NOT verified"
    expect "$what: lines about it" "$(grep -c "computed again\|^tally:" "$scratch/out")" 1
    expect "$what, in JSON" "$("$@" --json 2>/dev/null | json '[d["verified"], d["reexecuted"], len(d["reason"]) > 9]')" "[True, False, True]"
}
not_again "no model" "no model file with id" buyer verify "$receipt" --reexecute
not_again "a bad model path" "/missing.gguf" buyer verify "$receipt" --reexecute --model /missing.gguf
not_again "the provider's half" "the requester's to keep" seller verify "$receipt" --reexecute
buyer receipt "$receipt" --bundle "$scratch/plain.tally" >/dev/null || fail "no bundle"
not_again "a bundle without an opening" "made without --open" buyer verify "$scratch/plain.tally" --reexecute --model "$model"
says "an unknown backend" 2 'there is no "cuda" on this machine' buyer verify "$receipt" --reexecute --backend cuda --model "$model"
expect "computed again, in JSON" "$(buyer verify "$receipt" --reexecute --model "$model" --json | json '[d["verified"], d["reexecuted"]]')" "[True, True]"
says "an option that is none" 2 "what is" buyer verify "$receipt" --modell x

# Question and answer, while they are kept.
answer=$(json 'd["answer"]' <"$scratch/run")
says "receipt --open" 0 "Who are you?" buyer receipt "$receipt" --open
grep -qF -- "$(head -n 1 <<<"$answer")" "$scratch/out" || { cat "$scratch/out"; fail "receipt --open does not show the answer"; }
expect "receipt --open, in JSON" "$(buyer receipt "$receipt" --open --json | json 'd["opening"]["answer"]')" "$answer"
says "the provider's receipt --open" 0 "^opening .*the requester's to keep" seller receipt "$receipt" --open
mv "$(state)/node-01/cache" "$scratch/cache"
says "receipt --open without a header" 0 "^opening .* tokens of prompt, 40 of answer; no text" buyer receipt "$receipt" --open
says "receipt --open --model" 0 "Who are you?" buyer receipt "$receipt" --open --model "$model"
mv "$scratch/cache" "$(state)/node-01/cache"
says "an opened bundle of the provider" 4 "no opened bundle was made" seller receipt "$receipt" --open --bundle "$scratch/none.tally"
[ ! -e "$scratch/none.tally" ] || fail "an unopened bundle was left behind"
says "a bundle into a missing folder" 1 "/missing/x.tally: No such file or directory" buyer receipt "$receipt" --bundle "$scratch/missing/x.tally"
expect "lines of that" "$(wc -l <"$scratch/out")" 1
says "a bundle that is there" 1 "exists already" buyer receipt "$receipt" --bundle "$scratch/plain.tally"
expect "the bundle in JSON" "$(buyer receipt "$receipt" --json --open --bundle "$scratch/open.tally" | json 'd["bundle"]["path"], d["bundle"]["opened"]')" "('$scratch/open.tally', True)"
says "an opened bundle" 0 "^verified" seller verify "$scratch/open.tally" --reexecute --model "$model"

# Gossiped work has a model's name.
buyer run tally-tales "Hello." --max-tokens 4 --batch --json >"$scratch/batch" || fail "tally run --batch"
batch=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/batch")
expect "the model of gossiped work" "$(buyer receipts --jobs --json | json '[j["model_label"] for j in d["jobs"]][0]')" tally-tales

# A part whose receipt is still to come is found by its terms; both sides call it the same afterwards.
tokens_out() { seller status --json | sed -n 's/.*"tokens_out":"\([0-9]*\)".*/\1/p'; }     # no python: it would come too late
story() { buyer run tally-tales "Tell me a long story." --max-tokens 200 --temperature 1 --seed "$1" --json; }
seed=1                                                 # one whose story is long enough to be disturbed, whatever the model is
until [ "$(story $seed | json 'd["usage"]["completion_tokens"]')" -gt 120 ]; do seed=$((seed + 1)); [ $seed -lt 20 ] || fail "no long story"; done
before=$(tokens_out)
story $seed >"$scratch/long" 2>/dev/null &
asking=$!
serving() { [ "$(tokens_out)" -gt $((before + 40)) ]; }
until_true 15 serving || fail "the cheapest provider was not the one serving"
kill_node node-02
wait $asking || fail "the answer did not survive its provider"
first=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/long")
says "a receipt to come" 0 "^receipt  none yet: it is signed when both nodes are connected again" buyer receipt "${first:0:12}"
also "a receipt to come" "^state    partial"
says "verify what is signed so far" 0 "^verified" buyer verify "${first:0:16}"
expect "why there is no receipt, in JSON" "$(buyer receipt "$first" --json | json 'd["no_receipt"][:8]')" "none yet"
restart node-02
until_true 20 is_up node-02 || fail "node-02 did not come back"
came() { seller receipt "${first:0:12}" 2>/dev/null | grep -q '^receipt  [0-9a-f]' && buyer receipt "${first:0:12}" | grep -q '^receipt  [0-9a-f]'; }
until_true 20 came || fail "the receipt did not come"
expect "the state on both sides" "$(seller receipt "$first" --json | json 'd["state"]') $(buyer receipt "$first" --json | json 'd["state"]')" "partial partial"
says "what the other side noted" 0 "^peer     says: partial (the process was restarted)" buyer receipt "$first"
# ---- a peer that kept two books is shown, with both receipts ----
never_frozen=$(buyer balance --json | json '[p["frozen"] for p in d["peers"] if p["peer_id"] == "'"$two"'"][0]')
expect "a channel without conflict" "$never_frozen" False
kill_node node-01
"$TALLY_BUILD/tests/freeze_channel" "$(state)/node-01" "$(state)/node-02" || fail "freeze_channel"
says "balance with a frozen channel" 0 "^${two:0:12} .*  frozen$" buyer balance
says "balance of a frozen node" 0 "^frozen: two receipts under one number" buyer balance "$two"
also "its evidence" "^  receipt [0-9]*, we the requester: ours [0-9a-f]\{12\}, its [0-9a-f]\{12\}, with its signature"
expect "the evidence in JSON" "$(buyer balance "$two" --json | json 'd["frozen"], [(e["ours"]["id"] != e["theirs"]["id"], len(e["ours"]["provider_signature"]), len(e["theirs"]["provider_signature"]), e["theirs"]["requester_signature"]) for e in d["evidence"]]')" "(True, [(True, 128, 128, None)])"
restart node-01
until_true 20 is_up node-01 || fail "node-01 did not come back"
says "doctor with a frozen channel" 0 "channels *warning *1 frozen: a node kept two books" buyer doctor
balance=$(buyer balance "$two" --json | json 'd["spent_pico"]')
buyer run tally-tales "Hello." --max-tokens 4 >/dev/null || fail "with the others business goes on"
expect "what is spent with a frozen node" "$(buyer balance "$two" --json | json 'd["spent_pico"]')" "$balance"
echo "wallet: every mistake is named"
