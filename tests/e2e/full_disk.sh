#!/usr/bin/env bash
# full_disk.sh - a ledger that cannot grow: the node says so, acknowledges nothing that is not on disk, and goes on when there is room.
#
# The requester's ledger lies on a file system of its own that fills up (root only; else like the provider's), the
# provider's meets a limit on the size of files.
. "$(dirname "$0")/common.sh"
cat >"$scratch/topology" <<'T'
node-01 serve=no
node-02 serve=yes
T
up --topology "$scratch/topology"
: >"$scratch/acknowledged"
asked=0
ask() { timeout 30 "$bin/tally" -d "$(state)/node-01" run tally-tales "A story about number $1." --seed "$1" --max-tokens 8 --json >"$scratch/a.json" 2>"$scratch/a.err"; }
acknowledge() { json "'\n'.join(d['usage']['tally']['receipts'])" <"$scratch/a.json" >>"$scratch/acknowledged"; }
next() { asked=$((asked + 1)); ask $asked && acknowledge; }
known() { tally_of node-01 receipts --limit 100000 --json | json "'\n'.join(r['id'] + '\n' + r['terms'] for r in d['receipts'])" >"$scratch/known"; }
lost() { sort -u "$scratch/acknowledged" | grep -vxFf "$scratch/known"; }
settled() { known && [ -z "$(lost)" ]; }
sees_a_provider() { is_up node-01 && is_up node-02 && [ "$(tally_of node-01 models --json 2>/dev/null | json 'len(d["adverts"])' 2>/dev/null)" -ge 1 ] 2>/dev/null; }
works() { sees_a_provider && next; }
stop() { kill "$(node_pid "$1")"; until_true 25 not_running "$1" || fail "$1 did not stop"; }
said() { grep -q "ledger_failed.*$1/ledger: .*disk .*full.*; nothing was promised" "$(state)/$1/log"; }

mounted=""
unmount() { [ -z "$mounted" ] || umount -l "$mounted" 2>/dev/null; }
trap 'rc=$?; for n in node-01 node-02; do node_runs $n && kill -KILL "$(node_pid $n)"; done 2>/dev/null; sleep 0.2; unmount; (exit $rc); cleanup' EXIT
# Puts a node's ledger onto a file system with room for 128 KiB more; false where that is not allowed.
on_small_disk() {
    local ledger kib
    ledger=$(state)/$1/ledger kib=$(du -sk "$(state)/$1/ledger" | cut -f 1)
    [ "$(id -u)" = 0 ] || return 1
    mkdir "$scratch/small" && mount -t tmpfs -o "size=$((kib + 128))k,mode=700" tmpfs "$scratch/small" 2>/dev/null || return 1
    cp -a "$ledger/." "$scratch/small/" && mount --bind "$scratch/small" "$ledger" || return 1
    umount "$scratch/small"
    mounted=$ledger
}
with_room() { mount -o remount,size=64m "$mounted"; }
# Starts a node whose files may not grow by more than 128 KiB beyond the ledger.
restart_limited() {
    local blocks
    blocks=$(($(stat -c %s "$(state)/$1/ledger/ledger.mdb") / 1024 + 128))
    ( ulimit -f $blocks; restart "$1" )
}
# Asks until the node of the full disk has stopped a turn; then nothing that was acknowledged may be missing.
fill() {
    local i
    for ((i = 0; i < 400; i++)); do
        next
        said "$1" && break
    done
    said "$1" || fail "$1 did not say that its disk is full after $i requests"
    echo "full_disk: $1 was full after $i requests"
    for ((i = 0; i < 3; i++)); do next; done           # whatever the node says now has to be true as well
    known && [ -z "$(lost)" ] || fail "$1 is full, and acknowledged but not on disk: $(lost)"
}

for ((i = 0; i < 5; i++)); do next || fail "no answer before anything happened: $(cat "$scratch/a.err")"; done

stop node-01
if on_small_disk node-01; then
    restart node-01
else
    echo "full_disk: no file system of our own here; the requester gets a limit on files as well"
    restart_limited node-01
fi
until_true 20 sees_a_provider || fail "node-01 did not start"
fill node-01
if [ -n "$mounted" ]; then
    with_room                                          # nobody has to restart the node: it tries again by itself
else
    stop node-01
    restart node-01
fi
until_true 40 works || fail "node-01 does not work although there is room again"
until_true 20 settled || fail "node-01: acknowledged and lost: $(lost)"

stop node-02
restart_limited node-02
until_true 20 sees_a_provider || fail "node-02 did not start"
fill node-02
stop node-02
restart node-02
until_true 40 works || fail "node-02 does not work although there is room again"
until_true 20 settled || fail "node-02: acknowledged and lost: $(lost)"

for n in node-01 node-02; do
    tally_of "$n" doctor --json | json 'd["checks"]' | grep -q "sum and chain in it holds" || fail "$n: the ledger does not check"
done
# What the provider has signed and sent, the requester has, but for one half-signed per channel.
tally_of node-02 receipts --limit 100000 --json | json "'\n'.join(r['id'] for r in d['receipts'])" | grep . >"$scratch/theirs"
known
only_theirs=$(grep -vxFf "$scratch/known" "$scratch/theirs" | grep -c .)
[ "$only_theirs" -le 1 ] || fail "node-02 holds $only_theirs receipts that the requester does not know"
echo "full disk: two nodes filled up, $(sort -u "$scratch/acknowledged" | grep -c .) acknowledged receipts, none lost"
