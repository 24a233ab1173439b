#!/usr/bin/env bash
# model_file.sh - a model file that changes under a running node ends that model there: the node says so, runs nothing on
# it and offers it no more; other nodes are not harmed, and a restart serves what is there then.
. "$(dirname "$0")/common.sh"
cp "$model" "$scratch/edited.gguf" || fail "cp"
cat >"$scratch/topology" <<T
node-01 serve=no
node-02 serve=$scratch/edited.gguf price_output=0.10
T
slow_engines
up --topology "$scratch/topology"
two=$(run_value node-02 api)
offers() { tally_of node-01 models --json | json 'len(d["adverts"])'; }
offers_are() { [ "$(offers)" = "$1" ]; }
ask() { tally_of "$1" run tally-tales "Who are you?" --max-tokens 3 --json >"$scratch/out" 2>&1; }
reason() { tally_of node-02 status --json | json 'd["state"] + ": " + d["reason"]'; }
until_true 10 offers_are 1 || fail "node-02 is not offered"
ask node-01 || { cat "$scratch/out"; fail "node-01 is not answered"; }
ask node-02 || { cat "$scratch/out"; fail "node-02 does not answer itself"; }

# Edited in place: noticed at the latest with the next job, and said to whoever asks this node itself. What is running
# on that file ends as well.
tally_of node-02 run tally-tales "Tell me a long story about a fox." --max-tokens 400 >"$scratch/running" 2>&1 &
running=$!
until_true 10 test -s "$scratch/running" || fail "nothing is running"
touch -d '2001-02-03 04:05:06' "$scratch/edited.gguf"
ask node-02 && fail "a job ran on a changed file"
wait "$running" && { cat "$scratch/running"; fail "a job went on with a changed file"; }
grep -q "stored data is damaged" "$scratch/running" || { cat "$scratch/running"; fail "a job's end is not explained"; }
grep -q "its file has changed since it was opened" "$scratch/out" || { cat "$scratch/out"; fail "the reason is not said"; }
expect "/readyz" "$(http_status "$two" /readyz)" 503
[[ $(reason) == "failed: model tally-tales is served no more: its file has changed"* ]] || fail "status says: $(reason)"
expect "complaints in the log" "$(grep -c model_failed "$(state)/node-02/log")" 1
until_true 10 offers_are 0 || fail "node-02 is still offered"
ask node-01 && fail "node-01 was answered from a changed file"

# The next start serves what is there now.
kill_node node-02
restart node-02
until_true 20 is_up node-02 || fail "node-02 did not come back"
ask node-02 || { cat "$scratch/out"; fail "node-02 does not answer after its restart"; }

# Nobody needs to ask: a replaced file is noticed by itself.
cp "$model" "$scratch/new.gguf" && mv "$scratch/new.gguf" "$scratch/edited.gguf"
noticed() { [ "$(http_status "$(run_value node-02 api)" /readyz)" = 503 ]; }
until_true 10 noticed || fail "a replaced file is not noticed"
echo "model_file: noticed before a job and without one, said, and offered no more"
