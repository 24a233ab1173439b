#!/usr/bin/env bash
# systemd.sh - what a service manager hears: READY once, the watchdog as often as it asked and not more, also over a crash.
. "$(dirname "$0")/common.sh"
"$python" "$(dirname "$0")/notify_socket.py" "$scratch/ear" "$scratch/heard" &
spare_pids+=($!)
until_true 5 test -s "$scratch/heard" || fail "no notification socket"
heard() { grep -cx "$1" "$scratch/heard"; }
up -n 1
node=node-01 dir=$(state)/node-01
stop() { kill "$(node_pid $node)"; until_true 25 not_running $node || fail "the node did not stop"; }
# A node that is kept busy: many turns of its loop.
busy() {
    local end=$((SECONDS + $1))
    while [ $SECONDS -lt $end ]; do
        http_status "$(run_value $node api)" /readyz >/dev/null
    done
}
stop

# Without a watchdog: READY and STOPPING, nothing else.
NOTIFY_SOCKET=$scratch/ear restart $node
until_true 20 is_up $node || fail "the node did not start"
busy 2
expect "READY=1 without a watchdog" "$(heard READY=1)" 1
expect "WATCHDOG=1 without a watchdog" "$(heard WATCHDOG=1)" 0
stop
expect "STOPPING=1" "$(heard STOPPING=1)" 1

# Every third of three seconds, however many turns the loop takes.
: >"$scratch/heard"
NOTIFY_SOCKET=$scratch/ear WATCHDOG_USEC=3000000 restart $node
until_true 20 is_up $node || fail "the node did not start"
before=$(heard WATCHDOG=1)
busy 4
times=$(($(heard WATCHDOG=1) - before))
[ "$times" -ge 3 ] && [ "$times" -le 6 ] || fail "WATCHDOG=1 came $times times in four busy seconds, wanted once a second"
before=$(heard WATCHDOG=1)
sleep 4
times=$(($(heard WATCHDOG=1) - before))
[ "$times" -ge 3 ] && [ "$times" -le 6 ] || fail "WATCHDOG=1 came $times times in four quiet seconds, wanted once a second"

# The worker dies: the supervisor says that it lives, and the next worker says that it is ready.
kill -KILL "$(pgrep -P "$(node_pid $node)")"
ready_again() { [ "$(heard READY=1)" = 2 ]; }
until_true 20 ready_again || fail "READY=1 did not come again after the worker died"

# The unit is one that systemd understands; it runs none of it.
if command -v systemd-analyze >/dev/null; then
    sed 's|@CMAKE_INSTALL_FULL_BINDIR@/tallyd|/bin/true|' "$root/node/tallyd.service.in" >"$scratch/tallyd.service"
    systemd-analyze verify --man=no "$scratch/tallyd.service" >"$scratch/verify" 2>&1
    ! grep -F tallyd.service "$scratch/verify" | grep -v "User\|user" || fail "systemd does not like the unit"
fi
! grep -q '^Documentation=http' "$root/node/tallyd.service.in" || fail "the unit names an address that is not ours"
echo "systemd: ready once per start, the watchdog once per third of its time"
