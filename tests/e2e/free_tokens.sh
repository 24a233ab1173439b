#!/usr/bin/env bash
# free_tokens.sh - a requester that never signs gets its credit's worth of tokens, then a refusal that names the limit.
. "$(dirname "$0")/common.sh"
limit_pico=30000000
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.10 credit_limit=0.00003
T
up --topology "$scratch/topology"
dir=$scratch/state/e2e/node-01
kill_node node-01
rm -f "$dir/run.json"
setsid nohup "$(dirname "$bin")/tests/cheat_free" -d "$dir" --set requester.token_deadline_ms=1000 >>"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"
until_true 20 is_up node-01 || fail "the cheat did not start"
sees_provider() { [ "$(tally_of node-01 models --json | json 'len(d["adverts"])')" = 1 ] && [ "$(tally_of node-01 peers --json | json 'len(d["peers"])')" = 1 ]; }
until_true 15 sees_provider || fail "node-01 does not see node-02"
steal() { tally_of node-01 run tally-tales "Tell me a long story about a bridge." --seed "$1" --temperature 1.2 --max-tokens 90 --json >"$scratch/a.json" 2>"$scratch/err"; }
field() { tally_of node-02 status --json | json "$1"; }
idle() { [ "$(field 'd["jobs"]["open_provider"]')" = 0 ]; }

refused() { grep -q "credit limit for this requester" "$scratch/err" "$scratch/a.json"; }

for ask in 1 2 3 4 5 6; do
    steal "$ask" || true
    until_true 20 idle || fail "a job of the cheat stays open"
    lent=$(field 'int(d["ledger"]["earned_pending_pico"]) + int(d["ledger"]["earned_pico"])')
    [ "$lent" -le $limit_pico ] || fail "$lent pico-credits were lent, the limit is $limit_pico"
    ! refused || break
done
refused || { cat "$scratch/err"; fail "no refusal that names the limit"; }
tokens=$(field 'd["jobs"]["tokens_out"]')
[ "$tokens" -gt 0 ] || fail "the cheat got nothing at all, so nothing was tested"
[ "$((tokens * 100000))" -le $limit_pico ] || fail "$tokens tokens were had for nothing"
expect "what the provider notes" "$(tally_of node-02 receipts --jobs --json | json 'sorted({(j["fault"], j["reason"]) for j in d["jobs"]})')" \
       "[('requester', 'claims were not co-signed in time')]"

kill_node node-02
restart node-02
until_true 20 is_up node-02 || fail "node-02 did not start again"
expect "lent after a crash" "$(field 'd["ledger"]["earned_pending_pico"]')" "$lent"
tally_of node-02 doctor >"$scratch/doctor" 2>&1 || { cat "$scratch/doctor"; fail "doctor finds something in the ledger"; }
echo "free tokens: $tokens, worth no more than the limit"
