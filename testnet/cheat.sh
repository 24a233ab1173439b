#!/usr/bin/env bash
# cheat.sh - a provider that sells an answer with one token changed, and how it is caught: builds, starts three nodes, of which
# the cheapest provider is the cheat (tests/cheats/cheat_token.c), asks, checks the receipt twice, shows the proof to a stranger.
#
# usage: testnet/cheat.sh ["QUESTION"]
set -u
. "$(dirname "$0")/common.sh"
name=cheat-$$
case ${1:-} in
-h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
-*) misuse "what is \"$1\"?" ;;
esac
[ $# -le 1 ] || misuse "the question is one word in quotes"
question=${1:-Tell me a story about a lighthouse.}
scratch=$(mktemp -d)
finish() { [ ! -d "$(state)" ] || "$root/testnet/down.sh" --name "$name" --forget; rm -rf "$scratch"; }
trap finish EXIT
trap 'exit 130' INT TERM

need_build
install_missing
say "building (a minute or two the first time)"
[ -n "${TALLY_BIN:-}" ] || TALLY_TARGETS="tally tallyd cheat_token" build "$root/build" -DTM_TESTS=ON
cheat=$(dirname "$bin")/tests/cheat_token
[ -x "$cheat" ] || die "$cheat is not there: that build has no tests"

say "starting a mesh of three nodes: one asks, one is honest, the cheapest cheats"
printf 'node-01 serve=no\nnode-02 serve=yes price_output=0.20\n' >"$scratch/honest"
printf 'node-01 serve=no\nnode-02 serve=yes price_output=0.20\nnode-03 serve=yes price_output=0.10\n' >"$scratch/all"
"$root/testnet/up.sh" --topology "$scratch/honest" --name "$name" --quiet || exit 1
TALLY_DAEMON=$cheat "$root/testnet/up.sh" --topology "$scratch/all" --name "$name" --quiet || exit 1
"$root/testnet/status.sh" --name "$name"
for ((i = 0; i < 100; i++)); do
    [ "$(tally_of node-01 models | grep -c '^tally-tales')" = 2 ] && break
    sleep 0.1
done

say "asking: $question"
summary=$scratch/summary
tally_of node-01 run tally-tales "$question" --seed 42 2>"$summary" || die "the question was not answered: $(tail -n 1 "$summary")"
cat "$summary"
receipt=$(sed -n 's/.*receipt \([0-9a-f]\{12\}\).*/\1/p' "$summary")
holds node-03 "$receipt" || die "it was not the cheat that answered; try once more"

say "signatures and sums of the receipt: both sides counted the same tokens, so all is in order"
tally_of node-01 verify "$receipt" | tail -n 4
say "computing the answer again"
tally_of node-01 verify "$receipt" --reexecute --model "$model" | tail -n 6
[ "${PIPESTATUS[0]}" -eq 5 ] || die "the cheat was not caught"
say "the same before a stranger, who has the bundle and the model and no node"
tally_of node-01 receipt "$receipt" --open --bundle "$scratch/proof.tally" >/dev/null || die "no bundle could be written"
"$bin/tally" -d "$scratch" verify "$scratch/proof.tally" --reexecute --model "$model" | tail -n 6
[ "${PIPESTATUS[0]}" -eq 5 ] || die "the stranger was not convinced"
say "done: whoever holds that bundle can show that the provider signed for tokens that the model does not give"
