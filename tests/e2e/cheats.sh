#!/usr/bin/env bash
# cheats.sh - a provider that swaps the model, the quantisation, one token or one price digit, or ends early, is caught; and
# nobody is accused by a bundle that he did not sign.
#
# The cheats are programs of tests/cheats: tallyd's own code with one function replaced at link time.
. "$(dirname "$0")/common.sh"
cheats=$(dirname "$bin")/tests
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.10
node-03 serve=yes price_output=0.20
T
up --topology "$scratch/topology"
ask() { tally_of node-01 run tally-tales "Tell me a story about $1." --seed 5 --temperature 0.9 --max-tokens "${2:-70}" --json; }  # ask WHAT [TOKENS]
verify() { tally_of node-01 verify "$@" --model "$model" >"$scratch/verify" 2>&1; }
# become PROGRAM [ENV=VALUE]: node-02 turns into a cheat, keeping its keys, address book and price.
become() {
    local dir=$scratch/state/e2e/node-02
    kill_node node-02
    rm -f "$dir/run.json"
    env "${@:2}" setsid nohup "$cheats/$1" -d "$dir" >>"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    disown                                             # its end is no news for the shell
    until_true 20 is_up node-02 || fail "$1 did not start"
    until_true 10 sees_both || fail "node-01 does not see both providers"
}
sees_both() { [ "$(tally_of node-01 models --json | json 'len(d["adverts"])')" = 2 ] && [ "$(tally_of node-01 peers --json | json 'len(d["peers"])')" = 2 ]; }
until_true 10 sees_both || fail "node-01 does not see both providers"

ask honesty >"$scratch/a.json" || fail "the honest request failed"
receipt=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/a.json")
verify "$receipt" --reexecute || { cat "$scratch/verify"; fail "an honest receipt does not verify"; }
ask "a hasty man" >"$scratch/whole.json" || fail "the honest request failed"

# An honest provider's bundle before a stranger: whole it verifies, with both owners; what is not signed is no proof against it.
tally_of node-01 receipt "$receipt" --open --bundle "$scratch/honest.tally" >/dev/null || fail "no bundle"
stranger() { tally_of node-03 verify "$@" --model "$model" >"$scratch/verify" 2>&1; }
stranger "$scratch/honest.tally" --reexecute || { cat "$scratch/verify"; fail "an honest bundle does not verify"; }
grep -q "requester's certificate .*ok" "$scratch/verify" && grep -q "provider's certificate .*ok" "$scratch/verify" || fail "a bundle without certificates"
for what in bare frame unsigned; do
    "$python" "$root/tests/e2e/strip.py" "$scratch/honest.tally" "$scratch/$what.tally" "$what" || fail "$what: not made"
    stranger "$scratch/$what.tally"
    expect "$what bundle: exit code of verify" $? 5
    stranger "$scratch/$what.tally" --reexecute
    expect "$what bundle: exit code of verify --reexecute" $? 5
    ! grep -q DIFFERENT "$scratch/verify" || { cat "$scratch/verify"; fail "$what: a forged proof against an honest provider"; }
done

"$python" "$root/tests/e2e/variant.py" "$model" "$scratch/other.gguf" weights || fail "no variant"
"$python" "$root/tests/e2e/variant.py" "$model" "$scratch/f16.gguf" f16 || fail "no variant"

caught_by_reexecution() {                              # caught_by_reexecution WHAT [TOKENS]
    ask "$@" >"$scratch/a.json" || fail "$1: the request failed"
    receipt=$(json 'd["usage"]["tally"]["receipts"][0]' <"$scratch/a.json")
    holds node-02 "$receipt" || fail "$1: it was not the cheat that answered"
    verify "$receipt" || { cat "$scratch/verify"; fail "$1: signatures and sums should be in order"; }
    verify "$receipt" --reexecute
    expect "$1: exit code of verify --reexecute" $? 5
    expect "$1: verified, in JSON" "$(tally_of node-01 verify "$receipt" --reexecute --model "$model" --json | json 'd["verified"]')" False
    grep -q DIFFERENT "$scratch/verify" || { cat "$scratch/verify"; fail "$1: not named"; }
    # The same bytes convict it before a stranger who holds the bundle and the model.
    rm -f "$scratch/proof.tally"
    tally_of node-01 receipt "$receipt" --open --bundle "$scratch/proof.tally" >/dev/null || fail "$1: no bundle"
    tally_of node-03 verify "$scratch/proof.tally" --reexecute --model "$model" >/dev/null
    expect "$1: exit code before a stranger" $? 5
}
become cheat_token
caught_by_reexecution "one changed token"
become cheat_token CHEAT_AT=6
caught_by_reexecution "the last token changed" 6       # no head follows from it: only its own number shows
become cheat_model CHEAT_MODEL="$scratch/other.gguf"
caught_by_reexecution "another model"
become cheat_model CHEAT_MODEL="$scratch/f16.gguf"
caught_by_reexecution "another quantisation"

become cheat_stop
ask "a hasty man" >"$scratch/a.json" || fail "ends early: the honest provider did not take over"
expect "ends early: the answer" "$(json 'd["answer"]' <"$scratch/a.json")" "$(json 'd["answer"]' <"$scratch/whole.json")"
expect "ends early: receipts" "$(json 'len(d["usage"]["tally"]["receipts"])' <"$scratch/a.json")" 2
last=$(json 'd["usage"]["tally"]["receipts"][-1]' <"$scratch/a.json")
holds node-03 "$last" || fail "ends early: the honest provider holds no receipt"
verify "$last" --reexecute || { cat "$scratch/verify"; fail "ends early: the honest part does not verify"; }
partial() { tally_of node-01 receipts --json | json '[r["fault"] for r in d["receipts"] if r["state"] == "partial"]'; }
has_partial() { [ "$(partial)" != "[]" ]; }
until_true 15 has_partial || fail "ends early: no receipt for its part"
expect "ends early: whose fault the receipt names" "$(partial)" "['provider']"

become cheat_price
ask "one price digit" >"$scratch/a.json" || fail "one price digit: the honest provider did not take over"
expect "one price digit: the cheat holds no receipt for it" "$(tally_of node-02 receipts --json | json "len([r for r in d['receipts'] if r['id'] in $(json 'd["usage"]["tally"]["receipts"]' <"$scratch/a.json")])")" 0
last=$(json 'd["usage"]["tally"]["receipts"][-1]' <"$scratch/a.json")
holds node-03 "$last" || fail "one price digit: the honest provider holds no receipt"
verify "$last" --reexecute || { cat "$scratch/verify"; fail "one price digit: the honest part does not verify"; }
# What people are shown of all this.
TALLY_BIN=$bin "$root/testnet/cheat.sh" >"$scratch/shown" 2>&1 || { cat "$scratch/shown"; fail "testnet/cheat.sh"; }
expect "cheat.sh: how often the bytes differ" "$(grep -c DIFFERENT "$scratch/shown")" 2
echo "cheats: token, early end, model, quantisation and price are caught; a bundle proves what is signed"
