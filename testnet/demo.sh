#!/usr/bin/env bash
# demo.sh - from nothing to a verified token receipt: builds, starts five nodes, asks, shows both halves, checks, stops.
#
# usage: testnet/demo.sh ["QUESTION"]
set -u
. "$(dirname "$0")/common.sh"
name=demo-$$
case ${1:-} in
-h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
-*) misuse "what is \"$1\"?" ;;
esac
[ $# -le 1 ] || misuse "the question is one word in quotes"
question=${1:-What is a tally stick?}
finish() { [ ! -d "$(state)" ] || "$root/testnet/down.sh" --name "$name" --forget; }
trap finish EXIT
trap 'exit 130' INT TERM

need_build
install_missing
say "building (a minute or two the first time)"
[ -n "${TALLY_BIN:-}" ] || TALLY_TARGETS="tally tallyd" build "$root/build"
say "starting a mesh of five nodes"
"$root/testnet/up.sh" -n 5 --name "$name" --quiet || exit 1
"$root/testnet/status.sh" --name "$name"

say "asking through the mesh: $question"
summary=$(state)/summary
tally_of node-01 run tally-tales "$question" --seed 42 2>"$summary" || die "the question was not answered: $(tail -n 1 "$summary")"
cat "$summary"
receipt=$(sed -n 's/.*receipt \([0-9a-f]\{12\}\).*/\1/p' "$summary")
[ -n "$receipt" ] || die "the answer came without a receipt"

say "the receipt as the requester holds it (node-01)"
tally_of node-01 receipt "$receipt" || die "the requester does not hold the receipt"
seller=$(tally_of node-01 receipt "$receipt" | sed -n 's/^provider \([0-9a-f]*\).*/\1/p') provider=""
for n in $(nodes); do
    [ "$(run_value "$n" id)" != "$seller" ] || provider=$n
done
[ -n "$provider" ] && holds "$provider" "$receipt" || die "no provider holds the other half"
say "the receipt as the provider holds it ($provider)"
tally_of "$provider" receipt "$receipt"

say "checking signatures, chain and arithmetic, then computing the answer again"
tally_of node-01 verify "$receipt" --reexecute --model "$model" || die "the receipt was not verified"
say "stopping the mesh"
trap - EXIT
finish
say "done"
