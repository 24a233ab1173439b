#!/usr/bin/env bash
# pins.sh - a name goes on meaning the model that it meant when it was first used, however many offer another one under it.
. "$(dirname "$0")/common.sh"
"$TALLY_BUILD/tests/make_tiny_gguf" "$scratch/other.gguf" || fail "make_tiny_gguf"
cat >"$scratch/topology" <<T
node-01 serve=no
node-02 serve=yes
node-03 serve=$scratch/other.gguf
node-04 serve=$scratch/other.gguf
T
up --topology "$scratch/topology"
tally() { tally_of node-01 "$@"; }
# says CODE TEXT COMMAND...: the exit code, and a part of what is printed on either stream.
says() {
    local code=$1 text=$2
    shift 2
    "$@" >"$scratch/out" 2>&1 </dev/null
    local rc=$?
    [ $rc = "$code" ] || { cat "$scratch/out"; fail "$*: exit code $rc, expected $code"; }
    grep -qF -- "$text" "$scratch/out" || { cat "$scratch/out"; fail "$*: not said: $text"; }
}
ask() { tally run "$@" --max-tokens 3 --json; }
pinned() { tally pins --json | json '[(p["name"], p["model_id"]) for p in d["pins"]]'; }
id_of() { tally_of "$1" status --json | json 'd["models"][0]["id"]'; }
tales=$(id_of node-02) other=$(id_of node-03)

# Nothing is pinned by looking, nor by a request that says itself which model it means.
says 0 "no name is pinned" tally pins
says 0 "" ask "tally-tales@${tales:0:8}" "Hello"
says 0 "" ask "$tales" "Hello"
expect "pins of explicit requests" "$(pinned)" "[]"

# only NODES...: the mesh begins again with these; adverts of the dead would be listed for a quarter of an hour otherwise.
only() {
    local n
    for n in $(nodes); do node_runs "$n" && kill_node "$n"; done
    for n in "$@"; do restart "$n"; done
    for n in "$@"; do until_true 20 is_up "$n" || fail "$n did not come back"; done
}

# Two of three offer the other model; while they are away the name is used for the first time.
only node-01 node-02
alone() { [ "$(tally models --json | json 'len([a for a in d["adverts"] if a["model"] == "tally-tales"])')" = 1 ]; }
until_true 30 alone || fail "dead nodes are still listed: $(tally models)"
says 0 "" ask tally-tales "Hello"
expect "the pin" "$(pinned)" "[('tally-tales', '$tales')]"
says 0 "tally-tales               ${tales:0:12}" tally pins

# The majority shifts: the name still means what it meant.
restart node-03; restart node-04
everybody() { [ "$(tally models --json | json 'len([a for a in d["adverts"] if a["model"] == "tally-tales"])')" = 3 ]; }
until_true 30 everybody || fail "not everybody is listed: $(tally models)"
ask tally-tales "Hello" >"$scratch/run" || fail "a request for a pinned name"
expect "the model asked for" "$(tally receipts --jobs --json | json 'd["jobs"][0]["model"]')" "$tales"

# Nobody offers it any more: that is said, also to HTTP clients, and after a restart.
only node-01 node-03 node-04
others() { [ "$(tally models --json | json 'sorted([a["model_id"] == "'"$other"'" for a in d["adverts"]])')" = "[True, True]" ]; }
until_true 30 others || fail "the others are not listed: $(tally models)"
says 4 "\"tally-tales\" means model ${tales:0:12} here since its first use, and in reach is only ${other:0:12}: ask for tally-tales@${other:0:12}" ask tally-tales "Hello"
says 4 "(model_changed)" ask tally-tales "Hello"
"$python" - "$(run_value node-01 api)" <<'P' || fail "GET /v1/models of a pinned name"
import json, sys, urllib.request, urllib.error
try:
    urllib.request.urlopen(sys.argv[1] + "/v1/models/tally-tales")
    raise SystemExit("found?")
except urllib.error.HTTPError as e:
    body = json.load(e)
    assert e.code == 404 and body["error"]["code"] == "model_changed", body
P
says 0 "" tally run "tally-tales@${other:0:8}" "Hello" --max-tokens 3 --json
expect "the pin after that" "$(pinned)" "[('tally-tales', '$tales')]"

# Somebody decides.
says 4 "no such name is pinned" tally pins --forget nothing/of%20that
says 0 "forgotten: \"tally-tales\" meant model ${tales:0:12}" tally pins --forget tally-tales
says 4 "no such name is pinned" tally pins --forget tally-tales
says 0 "" ask tally-tales "Hello"
expect "the new pin" "$(pinned)" "[('tally-tales', '$other')]"
says 0 "every signature, sum and chain in it holds" tally doctor
echo "pins: a name means what it meant"
