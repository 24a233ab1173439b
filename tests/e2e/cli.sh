#!/usr/bin/env bash
# cli.sh - what a person types at `tally`: which node it means, what it refuses before anything is paid, what it says when it fails.
. "$(dirname "$0")/common.sh"
unset TALLY_DATA_DIR TALLY_API_KEY
export HOME=$scratch/home
mkdir "$HOME"
# says CODE TEXT COMMAND...: the exit code, and a part of what is printed on either stream.
says() {
    local code=$1 text=$2
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    local rc=$?
    [ $rc = "$code" ] || { cat "$scratch/out" "$scratch/err"; fail "$*: exit code $rc, expected $code"; }
    grep -q -- "$text" "$scratch/out" "$scratch/err" || { cat "$scratch/out" "$scratch/err"; fail "$*: not said: $text"; }
}
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes price_output=0.24
T
up --topology "$scratch/topology"
one=$(state)/node-01 tally=$bin/tally
ask() { "$tally" -d "$one" run "$@"; }
asked() { "$tally" -d "$one" status --json | json 'd["jobs"]["requested"]'; }

# ---- which node: one search for both programs, and never another node's money ----
folder=$HOME/.tallymesh
says 3 "not running with $folder: no node lives there" "$tally" status
says 3 "not running with $folder" "$tally" run tally-tales hello
"$tally" init --network cli-test --pow-bits 8 --listen 127.0.0.1:0 >/dev/null || fail "tally init"
says 0 "data in $folder, " "$bin/tallyd" --check
says 0 "data in $scratch/elsewhere .*no node lives" env TALLY_DATA_DIR="$scratch/elsewhere" "$bin/tallyd" --check
says 0 "data in $folder, " env TALLY_DATA_DIR= "$bin/tallyd" --check
for command in status peers models offers "run tally-tales hello"; do
    says 3 "tallyd is not running with $folder" "$tally" $command
    says 3 "tallyd is not running with $folder" "$tally" -d "$folder" $command
    says 3 "tallyd is not running with $folder" env TALLY_DATA_DIR="$folder" "$tally" $command
done
sed 's/"id": "\([0-9a-f]*\)"/"id": "'"$(printf '%064d' 7)"'"/' "$one/run.json" >"$folder/run.json"     # a port that has changed hands
before=$(asked)
for command in status peers models offers "run tally-tales hello"; do
    says 3 "not running with $folder: another node answers" "$tally" $command
done
sed -i 's|"api": "[^"]*"|"api": "http://127.0.0.1:1"|' "$folder/run.json"
says 3 "not running with $folder: nobody answers at http://127.0.0.1:1" "$tally" run tally-tales hello
expect "requests that reached another node" "$(asked)" "$before"
says 0 "node " "$tally" --api "$(run_value node-01 api)/" status
rm "$folder/run.json"
"$bin/tallyd" --set api.port=0 >"$scratch/home.log" 2>&1 &
home_pid=$!
spare_pids+=($home_pid)
is_home_up() { "$tally" status >/dev/null 2>&1; }
until_true 20 is_home_up || { cat "$scratch/home.log"; fail "a plain tallyd does not find the node that a plain tally init made"; }


# ---- what is refused before anything is sent: exit 2, the option and what it wants ----
before=$(asked)
says 2 'the question is empty' ask tally-tales ""
says 2 'the question is empty' ask tally-tales " "
says 2 "usage: tally run MODEL QUESTION" ask --seed 4
says 2 'usage: tally run MODEL QUESTION' ask
says 2 '"" names no model' ask "" hello
says 2 'temperature wants a number from 0 to 2, not "abc"' ask tally-tales hello --temperature abc
says 2 'temperature wants' ask tally-tales hello --temperature=2.1
for seed in -1 99999999999999999999999 18446744073709551615 7x ""; do says 2 '--seed wants a whole number from 0' ask tally-tales hello --seed "$seed"; done
for tokens in 0 -3 100000 1.5; do says 2 'max-tokens wants a whole number from 1 to 65536' ask tally-tales hello --max-tokens "$tokens"; done
for where in Germany de DE, DE,,FR "" D; do says 2 'jurisdiction wants one to eight countries as two capital letters' ask tally-tales hello --jurisdiction "$where"; done
for price in 0 -1 cheap 0.0000001; do says 2 'max-price wants credits per million output tokens' ask tally-tales hello --max-price "$price"; done
says 2 '--stop wants' ask tally-tales hello --stop ""
says 2 'what is "--sede"' ask tally-tales hello --sede 3
says 2 'seed wants a value' ask tally-tales hello --seed
says 2 'not UTF-8' ask tally-tales $'\xff'
for command in status peers models offers doctor "key show" "key bootstrap" "receipts" "receipt 1234" "verify 1234" "balance 1234"; do says 2 'what is "extra"' "$tally" -d "$one" $command extra; done
expect "requests sent by what was refused" "$(asked)" "$before"

# ---- what is sent ----
says 0 "tokens in .* s (.* tokens/s), first after" ask tally-tales Tell me a story --seed 5 --max-tokens 12 --temperature 0.5
cp "$scratch/out" "$scratch/words"
says 0 "" ask --seed=5 --max-tokens=12 --temperature=0.5 tally-tales "Tell me a story"
cmp -s "$scratch/out" "$scratch/words" || fail "words of a question are not joined by spaces"
says 0 "" ask --max-tokens 4 tally-tales -- --json -d what

# The same answer twice: whoever compares the two receipts is told why their commitments differ.
receipt() { "$tally" -d "$one" receipt "$(ask tally-tales hello --seed 3 --max-tokens 6 --json | json 'd["usage"]["tally"]["receipts"][0]')"; }
until_true 5 receipt >"$scratch/first" 2>/dev/null && until_true 5 receipt >"$scratch/second" 2>/dev/null || fail "no receipts"
answer() { sed -n "s/^answer *\([0-9a-f]*\) *(commitment to the token ids, salted with this job's terms)$/\1/p" "$1"; }
[ -n "$(answer "$scratch/first")" ] || { cat "$scratch/first"; fail "the answer's commitment is not called so"; }
[ "$(answer "$scratch/first")" != "$(answer "$scratch/second")" ] || fail "the commitment is not salted"
ask tally-tales hello --max-tokens 8 --json >"$scratch/out" 2>&1 || fail "tally run --json"
expect "the time of an answer" "$(json '0 < d["first_token_seconds"] <= d["seconds"] < 60' <"$scratch/out")" True
! grep -qE '[0-9]\.[0-9]{10,}' "$scratch/out" || { cat "$scratch/out"; fail "a number nobody can read"; }

# ---- what the mesh refuses: which name, what there is, in credits per million tokens ----
says 6 "limit 0.01, would be 0.24 credits per million tokens" ask tally-tales hello --max-price 0.01
says 0 "IN and OUT: credits per million tokens" "$tally" -d "$one" models
is_grown() { [ "$("$tally" -d "$one" status --json | json 'd["uptime_ms"] > 10100')" = True ]; }
until_true 20 is_grown || fail "node-01 does not grow old"
says 4 'no node in reach offers "nosuch"; offered: tally-tales (model_not_found)' ask nosuch hello
began=$(date +%s%N)
says 4 'no node in reach offers "nosuch"' ask nosuch hello
[ $((($(date +%s%N) - began) / 1000000)) -lt 1000 ] || fail "an unknown name takes longer than a second"

# ---- --json: a failure is a document too ----
failed() {                                             # failed EXIT TEXT ARGUMENTS...
    local code=$1 text=$2
    shift 2
    "$tally" "$@" --json >"$scratch/out" 2>"$scratch/err" </dev/null
    expect "exit code of $*" $? "$code"
    expect "the document of $*" "$(json "d['error']['exit'] == $code and '$text' in d['error']['message'] and len(d)" <"$scratch/out")" 1
    grep -q -- "$text" "$scratch/err" || fail "$*: the sentence is not on standard error"
}
failed 3 "not running with" -d "$scratch/nowhere" status
failed 3 "not running with" -d "$scratch/nowhere" run m hello
failed 2 "--seed wants" -d "$one" run m hello --seed x
failed 2 "--limit wants" -d "$one" receipts --limit
failed 2 "there is no command" frobnicate
failed 2 "no command"
failed 3 "" -d "$scratch/nowhere" balance
failed 4 "no such" -d "$one" receipt ffffffff
# bench needs no node and no folder; what it prints is arithmetic over what it measured
"$tally" -d "$scratch/nowhere" bench "$model" --prompt 64 --batch 1,4 --threads 2 --json >"$scratch/out" 2>&1 || fail "bench: $(cat "$scratch/out")"
python3 - "$scratch/out" <<'END' || fail "bench measured nonsense: $(cat "$scratch/out")"
import json, sys
b = json.load(open(sys.argv[1]))
assert b["weights_in_cache"] in (True, False) and [d["batch"] for d in b["decode"]] == [1, 4] and b["prefill_tokens_s"] > 0 and b["prompt"] == 64
for d in b["decode"]:
    share = d["tokens_s"] / d["batch"] * b["weight_bytes"] / d["read_bytes_s"]
    assert d["tokens_s"] > 0 and abs(share - d["share_of_limit"]) < 1e-3 * share
END
says 2 "such as 1,8,32" "$tally" bench "$model" --batch 1,0
says 4 "neither a file" "$tally" -d "$one" bench no-such-model
"$tally" -d "$scratch/nowhere" doctor --json >"$scratch/out" 2>/dev/null
expect "documents of a failing doctor" "$(json 'd["bad"] > 0' <"$scratch/out")" True

# ---- the HTTP document: its examples run, its codes are all that there are ----
if command -v curl >/dev/null; then
    while read -r line; do
        bash -c "${line//http:\/\/127.0.0.1:8600/$(run_value node-01 api)}" >"$scratch/out" || fail "$line"
        grep -q '"usage"' "$scratch/out" || { cat "$scratch/out"; fail "no answer: $line"; }
    done < <(grep '^    curl ' "$root/docs/api.md")
else
    echo "cli: no curl here, the examples of docs/api.md were left out"
fi
codes=$(sed -nE 's/.*\(struct kind\)\{ [45][0-9]+, [a-z]+, "([a-z_]+)" \}.*/\1/p; s/.*exchange_refuse\(e, [0-9]+, "[a-z_]+", "([a-z_]+)".*/\1/p; s/.*\.code = "([a-z_]+)".*/\1/p' \
    "$root"/node/{api_jansson,*_http}.c | sort -u)
[ "$(wc -w <<<"$codes")" -gt 12 ] || fail "the codes of the endpoint are not found: $codes"
for code in $codes; do grep -q "^| [45][0-9]* |.*\`$code\`" "$root/docs/api.md" || fail "docs/api.md does not list the code $code"; done

# ---- a node with a key says how to go on, and its own user need not ----
kill "$home_pid"
wait "$home_pid"
printf 'open sesame\n' >"$scratch/key"
"$bin/tallyd" --set api.port=0 --set "api.key_file=$scratch/key" >"$scratch/home.log" 2>&1 &
home_pid=$!
spare_pids+=($home_pid)
has_run() { [ -f "$folder/run.json" ]; }
until_true 20 has_run || { cat "$scratch/home.log"; fail "tallyd with a key did not start"; }
says 1 "set TALLY_API_KEY to what the node's api.key_file holds" "$tally" status
says 1 "has another API key than the one it was sent" env TALLY_API_KEY=wrong "$tally" run m hello
says 0 "node " env TALLY_API_KEY="open sesame" "$tally" status
expect "/metrics without the key" "$(http_status "$(sed -n 's/^ *"api": "\([^"]*\)".*/\1/p' "$folder/run.json")" /metrics)" 401
printf 'api {\n    key_file = "%s"\n}\n' "$scratch/key" >>"$folder/tallyd.conf"
says 0 "node " "$tally" status
says 0 TALLY_API_KEY "$tally" --help
kill "$home_pid"
wait "$home_pid"
echo "cli: every word is understood or refused"
