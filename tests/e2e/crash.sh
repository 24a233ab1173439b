#!/usr/bin/env bash
# crash.sh [ROUNDS] - kill -9 of either side at random moments, restart, ask on: no acknowledged receipt is lost, the two books agree.
. "$(dirname "$0")/common.sh"
rounds=${1:-8}
RANDOM=20261121
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.10
node-03 serve=yes price_output=0.20
T
slow_engines
up --topology "$scratch/topology"
: >"$scratch/acknowledged"
ask() { timeout 20 "$bin/tally" -d "$(state)/node-01" run tally-tales "A story about number $1." --seed "$1" --max-tokens 64 --json >"$scratch/a.json" 2>/dev/null; }
acknowledge() { json "'\n'.join(d['usage']['tally']['receipts'])" <"$scratch/a.json" >>"$scratch/acknowledged"; }
sees_a_provider() { is_up node-01 && [ "$(tally_of node-01 models --json 2>/dev/null | json 'len(d["adverts"])' 2>/dev/null)" -ge 1 ] 2>/dev/null; }
for ((i = 1; i <= rounds; i++)); do
    ask $((10 * i)) && acknowledge
    ask $((10 * i + 1)) &
    pause=$!
    sleep "0.0$((RANDOM % 10))"
    victim=node-0$((1 + RANDOM % 2))
    kill_node "$victim"
    wait $pause && acknowledge
    restart "$victim"
    until_true 20 is_up "$victim" || fail "$victim did not come back after kill -9 number $i"
    until_true 20 sees_a_provider || fail "no provider is seen after kill -9 number $i"
done
ask 999 && acknowledge
count=$(sort -u "$scratch/acknowledged" | grep -c .)
[ "$count" -ge "$rounds" ] || fail "only $count receipts were acknowledged in $rounds rounds"
# What the client was told is a receipt id, or the terms of a job whose receipt came later; both must be known.
known() {
    tally_of node-01 receipts --limit 1000 --json | json "'\n'.join(r['id'] + '\n' + r['terms'] for r in d['receipts'])"
}
settled() { known >"$scratch/known"; [ -z "$(sort -u "$scratch/acknowledged" | grep -vxFf "$scratch/known")" ]; }
until_true 20 settled || fail "acknowledged and lost: $(sort -u "$scratch/acknowledged" | grep -vxFf "$scratch/known")"
for n in node-01 node-02 node-03; do
    tally_of "$n" doctor --json | json 'd["checks"]' | grep -q "sum and chain in it holds" || fail "$n: the ledger does not check"
done
# Every receipt of a provider is known, byte for byte, to the requester, but for one half-signed per channel.
for n in node-02 node-03; do
    tally_of "$n" receipts --limit 1000 --json | json "'\n'.join(sorted(r['id'] for r in d['receipts']))" | grep . >"$scratch/theirs"
    only_theirs=$(grep -vxFf <(tally_of node-01 receipts --limit 1000 --json | json "'\n'.join(r['id'] for r in d['receipts'])") "$scratch/theirs" | grep -c .)
    [ "$only_theirs" -le 1 ] || fail "$n holds $only_theirs receipts that the requester does not know"
done
echo "crash: $rounds kills, $count acknowledged receipts, none lost"
