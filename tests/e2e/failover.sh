#!/usr/bin/env bash
# failover.sh - kill -9 of the provider in the middle of an answer: the client sees the very same text, two receipts add up,
# and the dead provider's half enters its channel when it comes back.
. "$(dirname "$0")/common.sh"
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.10 backend=scalar
node-03 serve=yes price_output=0.20 backend=avx2
node-04 serve=yes price_output=0.30 backend=auto
T
slow_engines
up --topology "$scratch/topology"
ask() { tally_of node-01 run tally-tales "Tell me a long story about a bridge." --seed 11 --temperature 1.3 --max-tokens 300 --json; }

ask >"$scratch/quiet.json" || fail "the undisturbed request failed"
ask >"$scratch/broken.json" &
asking=$!
serving() { [ "$(tally_of node-02 status --json | json 'd["jobs"]["open_provider"]')" != 0 ] && [ "$(tally_of node-02 status --json | json 'int(d["jobs"]["tokens_out"])')" -gt "$1" ]; }
before=$(tally_of node-02 status --json | json 'int(d["jobs"]["tokens_out"])')
until_true 10 serving $((before + 40)) || fail "the cheapest provider was not the one serving"
kill_node node-02
wait $asking || fail "the answer did not survive its provider"

expect "the same answer as without the loss" "$(json 'd["answer"]' <"$scratch/broken.json")" "$(json 'd["answer"]' <"$scratch/quiet.json")"
expect "tokens out" "$(json 'd["usage"]["completion_tokens"]' <"$scratch/broken.json")" "$(json 'd["usage"]["completion_tokens"]' <"$scratch/quiet.json")"
expect "two records for one answer" "$(json 'len(d["usage"]["tally"]["receipts"])' <"$scratch/broken.json")" 2

job=$(json 'd["job"]' <"$scratch/broken.json")
jobs() { tally_of node-01 receipts --jobs --json | json "sorted([j for j in d['jobs'] if j['job'] == '$job'], key=lambda j: int(j['output_offset']))"; }
states() { tally_of node-01 receipts --jobs --json | json "[j['state'] for j in sorted([j for j in d['jobs'] if j['job'] == '$job'], key=lambda j: int(j['output_offset']))]"; }
expect "states" "$(states)" "['partial', 'complete']"

restart node-02
until_true 20 is_up node-02 || fail "node-02 did not come back"
both_closed() { [ "$(tally_of node-01 receipts --jobs --json | json "len([j for j in d['jobs'] if j['job'] == '$job' and j['stage'] == 'closed' and j['receipt'].strip('0')])")" = 2 ]; }
until_true 20 both_closed || fail "the partial receipt did not enter the channel after the restart: $(jobs)"

tally_of node-01 receipts --jobs --json | "$python" -c '
import json, sys
job, total = sys.argv[1], int(sys.argv[2])
first, second = sorted((j for j in json.load(sys.stdin)["jobs"] if j["job"] == job), key=lambda j: int(j["output_offset"]))
offset = int(second["output_offset"])
assert int(first["output_offset"]) == 0 and second["parent"] == first["terms"], (first, second)
assert int(first["tokens_out"]) % 32 == 0 and 0 < int(first["tokens_out"]) <= offset, (first, offset)
assert offset - int(first["tokens_out"]) <= 96, "the dead provider lost more than the window"
assert offset + int(second["tokens_out"]) == total, (offset, second, total)
assert int(second["tokens_in"]) == int(first["tokens_in"]) + offset, "the continuation pays for its prefill"
' "$job" "$(json 'd["usage"]["completion_tokens"]' <"$scratch/broken.json")" || fail "the two receipts do not add up"

for id in $(tally_of node-01 receipts --json | json "' '.join(r['id'] for r in d['receipts'])"); do
    tally_of node-01 verify "$id" --reexecute --model "$model" >"$scratch/verify" || { cat "$scratch/verify"; fail "receipt $id does not verify"; }
done
for n in node-01 node-02 node-03; do
    tally_of "$n" doctor --json | json 'd["checks"]' | grep -q "sum and chain in it holds" || fail "$n: the ledger does not check"
done
echo "failover: same text, two receipts, the books agree"
