#!/usr/bin/env bash
# mesh.sh - measures a mesh of real nodes on this machine and prints the table of docs/benchmarks.md.
#
# usage: tests/bench/mesh.sh [--alone] [--quick] [--disk DIR] [--memory DIR] [join|overhead|wire|failover|verify|idle|parts]...
#   nothing named: all of them, about five minutes
#   --disk DIR    where ledgers lie for the rows "on disk" (default: build/bench-state)
#   --memory DIR  where they lie for the rows "in memory" (default: /dev/shm/tally-bench)
#   --alone       first of all: at real-time priority (needs root), but for join and idle; other work on the machine waits meanwhile
#   --quick       fewer rounds; for trying the script, not for figures
# Wants a build (testnet/demo.sh or cmake --build build); TALLY_BUILD names another build folder. Uses one Python, no package.
set -u
. "$(dirname "$0")/../../testnet/prepare.sh"
build=${TALLY_BUILD:-$root/build}
case ${1:-} in -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
command -v python3 >/dev/null || die "python3 is needed"
[ -x "$build/node/tallyd" ] || die "$build/node/tallyd is not there: cmake -B build -G Ninja && cmake --build build"
first=()
if [ "${1:-}" = --alone ]; then
    shift
    chrt -r 10 true 2>/dev/null || die "--alone needs root and chrt"
    first=(chrt -r 10)
fi
TALLY_BIN=$build/node exec ${first[@]+"${first[@]}"} python3 "$root/tests/bench/mesh.py" --root "$root" --build "$build" "$@"
