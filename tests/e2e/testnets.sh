#!/usr/bin/env bash
# testnets.sh - two testnets side by side that do not see each other; a testnet of fifty nodes on this machine.
. "$(dirname "$0")/common.sh"
up -n 3 --name one
up -n 3 --name two
for t in one two; do
    name=$t
    expect "$t: peers of its first node" "$(tally_of node-01 peers --json | json 'len(d["peers"])')" 2
    tally_of node-01 run tally-tales "Hello." --max-tokens 8 >/dev/null 2>&1 || fail "$t does not answer"
    "$root/testnet/status.sh" --name "$t" --json | json 'd[2]["state"] + d[2]["models"][0]' >"$scratch/s"
    expect "$t: status" "$(cat "$scratch/s")" readytally-tales
done
"$root/testnet/down.sh" --name one
name=one
expect "one is stopped" "$("$root/testnet/status.sh" --name one --json | json 'd[0]["state"]')" stopped
name=two
expect "two still runs" "$("$root/testnet/status.sh" --name two --json | json 'd[0]["state"]')" ready
"$root/testnet/down.sh" --name two
name=fifty
begin=$(date +%s%N)
up -n 50 --name fifty
printf 'fifty nodes joined after %d ms\n' $((($(date +%s%N) - begin) / 1000000))
sees_all() { [ "$(tally_of node-50 models --json | json 'len(d["adverts"])')" = 8 ]; }
# Soon, as a rule; on a busy machine at the second look after the last provider has told anybody: 10 and 30 s (PROTO 4.7).
until_true 90 sees_all || fail "the fiftieth node does not see all eight providers"
tally_of node-50 run tally-tales "Hello." --max-tokens 8 >/dev/null || fail "fifty nodes do not answer"
"$root/testnet/down.sh" --name fifty
