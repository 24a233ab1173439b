# common.sh - sourced by the end-to-end tests: a testnet of their own, a scratch folder, and words for expectations.
#
# Every test runs real tallyd processes on loopback with real keys, sockets and ledgers, under tests' own state folder,
# and leaves nothing behind. TALLY_BIN is where the programs are; TALLY_TEST_PYTHON has the OpenAI client.

scratch=$(mktemp -d)
export TALLY_TESTNET_STATE=$scratch/state TALLY_TESTNET=e2e
. "$(dirname "${BASH_SOURCE[0]}")/../../testnet/common.sh"
python=${TALLY_TEST_PYTHON:-$root/build/venv/bin/python}
command -v "$python" >/dev/null || python=python3
spare_pids=()

cleanup() {
    local rc=$? p n
    trap - EXIT
    for p in ${spare_pids[@]+"${spare_pids[@]}"}; do kill -KILL "$p" 2>/dev/null; done
    for n in $(nodes); do
        # a supervisor killed by -9 takes its worker with it; nothing of a test survives it
        node_runs "$n" && kill -KILL "$(node_pid "$n")" 2>/dev/null
    done
    if [ $rc -ne 0 ]; then
        for n in $(nodes); do echo "--- $n"; tail -n 15 "$(state)/$n/log"; done >&2
    fi
    rm -rf "$scratch"
    exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1: got \"$2\", expected \"$3\""; }
# Nodes started after this take 4 ms for every token, so that there is time to disturb an answer.
slow_engines() { daemon=$(dirname "$bin")/tests/slow_tallyd; export TALLY_DAEMON=$daemon; }
up() { "$root/testnet/up.sh" --quiet "$@" || fail "the testnet did not start"; }
# Starts one stopped node again, with the ledger it had.
restart() {
    local dir
    dir=$(state)/$1
    rm -f "$dir/run.json"
    setsid nohup "$daemon" -d "$dir" >>"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
}
until_true() {                                         # until_true SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}
is_up() { [ "$(http_status "$(run_value "$1" api)" /readyz 2>/dev/null)" = 200 ]; }
# kill_node NODE: the worker and its supervisor, as a power cut would.
kill_node() { node_runs "$1" && kill -KILL "$(node_pid "$1")" 2>/dev/null; until_true 5 not_running "$1"; }
not_running() { ! node_runs "$1"; }
# The node that serves us cheapest is the one a request goes to; its name by the id in a JSON advert list.
node_of_key() {
    local n
    for n in $(nodes); do tally_of "$n" key show --json 2>/dev/null | grep -q "$1" && echo "$n"; done
}
json() { "$python" -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1], {"d": d, "len": len, "sum": sum, "int": int, "sorted": sorted}))' "$1"; }
