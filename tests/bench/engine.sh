#!/usr/bin/env bash
# engine.sh - tokens per second of this engine and of others, in turn, on this machine; prints a table for docs/benchmarks.md.
#
# usage: tests/bench/engine.sh [--rounds N] [--threads N] [--only LIST] [--engines LIST] [--keep FILE] [--alone] MODEL.gguf...
#   --rounds N      how often each figure is taken; the table shows medians (default 3)
#   --threads N     threads of each engine (default: as many as there are processors)
#   --only LIST     some of prefill,decode,batch,busy, with commas
#   --engines LIST  some of the engines: tally and the names of the peers
#   --keep FILE     samples are added to FILE, and the table is about all of them: figures taken in several short goes
#   --table         measures nothing; only the table of what FILE holds
#   --alone         at real-time priority, beside a busy process at the highest usual one (needs root); other work waits
# PEERS=FOLDER      one folder per peer, by its name, with the programs llama-bench and llama-batched-bench (or links to them)
#                   and perhaps llama-bench.flags and llama-batched-bench.flags, files with more arguments for them.
#                   Without it only this engine is measured.
# Wants a build (cmake --build build); TALLY_BUILD names another build folder. Uses one Python, no package.
# tests/bench/make_model.py writes models.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${TALLY_BUILD:-$root/build}
die() { printf '%s\n' "$*" >&2; exit 1; }
case ${1:-} in -h|--help|'') sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
command -v python3 >/dev/null || die "python3 is needed"
[ -z "${PEERS:-}" ] || [ -d "$PEERS" ] || die "PEERS=$PEERS: no such folder"
for program in node/tally tests/bench_memory; do
    [ -x "$build/$program" ] || die "$build/$program is not there: cmake -B build -G Ninja && cmake --build build"
done
# A session of its own: the kernel shares the processors between sessions first, and --alone is about all of this one.
exec setsid --wait python3 "$root/tests/bench/engine.py" --build "$build" --peers "${PEERS:-}" "$@"
