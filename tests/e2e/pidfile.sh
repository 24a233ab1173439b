#!/usr/bin/env bash
# pidfile.sh - a stale pid file names a stranger's process by now: the scripts leave that process alone.
. "$(dirname "$0")/common.sh"
mkdir -p "$(state)/node-01" && : >"$(state)/node-01/tallyd.conf"
sleep 60 &
stranger=$!
spare_pids+=($stranger)
echo $stranger >"$(state)/node-01/pid"
"$root/testnet/down.sh" --name e2e
kill -0 $stranger 2>/dev/null || fail "down.sh ended a process that is not a node"
echo $stranger >"$(state)/node-01/pid"
kill_node node-01
kill -0 $stranger 2>/dev/null || fail "kill_node ended a process that is not a node"
echo "pid files: strangers are left alone"
