#!/bin/bash
# within.sh SECONDS COMMAND... - runs it with so many seconds of processor time, its children included one by one, and says so if
# they were not enough. --self-test: a program that never ends is ended, one that ends keeps its exit status.
set -u

within() { # SECONDS COMMAND...
    local seconds=$1 status
    shift
    (ulimit -t "$seconds" && exec "$@")
    status=$?
    # SIGXCPU, or SIGKILL where somebody ignores that one
    if [ $status -eq 152 ] || [ $status -eq 137 ]; then
        echo "within: killed after $seconds s of processor time: $*" >&2
    fi
    return $status
}

if [ "${1:-}" = --self-test ]; then
    said=$(within 1 bash -c 'while :; do :; done' 2>&1)
    [[ $? -ne 0 && $said == *"killed after 1 s"* ]] || { echo "within: a loop without end was not ended: $said"; exit 1; }
    within 1 bash -c 'exit 7'
    [ $? -eq 7 ] || { echo "within: an exit status was lost"; exit 1; }
    within 1 sleep 2 || { echo "within: waiting is not working"; exit 1; }
    echo "within: ends what works too long, and only that"
    exit 0
fi
within "$@"
