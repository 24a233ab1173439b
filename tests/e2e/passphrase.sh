#!/usr/bin/env bash
# passphrase.sh - keys under a passphrase: from a descriptor, a systemd credential or the terminal; kept over a restart.
. "$(dirname "$0")/common.sh"
dir=$scratch/locked
tally() { "$bin/tally" -d "$dir" "$@"; }
daemon=("$bin/tallyd" -d "$dir" --set listen.host=127.0.0.1 --set listen.port=0 --set api.port=0)
tally init --network locked --pow-bits 8 --passphrase-fd 3 3<<<"open sesame" >/dev/null || fail "tally init"
is_ready() { "$bin/tally" -d "$dir" status --json 2>/dev/null | grep -q '"state":"ready"'; }
# started WHAT: the node answers; then it is asked to end.
started() { until_true 20 is_ready || { cat "$scratch/log"; fail "$1: not ready"; }; }
ended() { kill -TERM "$1"; wait "$1"; expect "$2: exit code" $? 0; }

"${daemon[@]}" >"$scratch/log" 2>&1 </dev/null
expect "exit code without the passphrase" $? 78
grep -q "passphrase is needed" "$scratch/log" || { cat "$scratch/log"; fail "the cause is not named"; }
"${daemon[@]}" --passphrase-fd 3 >"$scratch/log" 2>&1 3<<<"open barley"
expect "exit code with a wrong passphrase" $? 78
grep -q "wrong passphrase" "$scratch/log" || { cat "$scratch/log"; fail "the cause is not named"; }
"${daemon[@]}" --passphrase-fd 9 >"$scratch/log" 2>&1
expect "exit code of a descriptor that is not open" $? 2
"${daemon[@]}" --passphrase-fd x >"$scratch/log" 2>&1
expect "exit code of a descriptor that is none" $? 2

"${daemon[@]}" --passphrase-fd 3 >"$scratch/log" 2>&1 3<<<"open sesame" &
p=$!; spare_pids+=($p)
started "from a descriptor"
# A worker that died is started again, with the passphrase it had.
worker=$(sed -n 's/^ *"pid": \([0-9]*\).*/\1/p' "$dir/run.json")
[ "$worker" != "$p" ] || fail "the worker is its own supervisor"
kill -KILL "$worker"
restarted() { is_ready && [ "$("$bin/tally" -d "$dir" status --json | json 'd["restarts"]')" = 1 ]; }
until_true 20 restarted || { cat "$scratch/log"; fail "the restarted worker has no passphrase"; }
ended $p "from a descriptor"

mkdir "$scratch/credentials"
echo "open sesame" >"$scratch/credentials/passphrase"
CREDENTIALS_DIRECTORY=$scratch/credentials "${daemon[@]}" >"$scratch/log" 2>&1 </dev/null &
p=$!; spare_pids+=($p)
started "from a credential"
ended $p "from a credential"

# Typed at a terminal, which does not show it.
"$python" - "$bin" "$dir" <<'P' || fail "typed at a terminal"
import os, pty, select, sys, time
def talk(argv, typed):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    shown = b""
    for prompt, line in typed:
        end = time.time() + 10
        while prompt not in shown and time.time() < end:
            if select.select([fd], [], [], 0.1)[0]: shown += os.read(fd, 4096)
        assert prompt in shown, shown
        shown = shown[shown.index(prompt) + len(prompt):]
        os.write(fd, line + b"\n")
    try:
        while True: shown += os.read(fd, 4096)
    except OSError: pass
    assert b"sesame" not in shown and b"barley" not in shown, shown
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown
tally, dir = sys.argv[1] + "/tally", sys.argv[2]
assert talk([tally, "-d", dir, "key", "passwd"], [(b"present", b"open sesame"), (b"new pass", b"open barley"), (b"once more", b"open barley")])[0] == 0
assert talk([tally, "-d", dir, "key", "passwd"], [(b"present", b"open sesame")])[0] == 7       # refused before a new one is asked for
code, shown = talk([sys.argv[1] + "/tallyd", "-d", dir, "--set", "listen.port=0", "--set", "listen.host=127.0.0.1", "--set", "api.port=0"], [(b"passphrase", b"open sesame")])
assert code == 78 and b"wrong passphrase" in shown, (code, shown)
P
tally key passwd --passphrase-fd 3 --new-passphrase-fd 4 3<<<"open barley" 4<<<"once upon" >"$scratch/out" || fail "tally key passwd from descriptors"
grep -q "^passphrase changed" "$scratch/out" || { cat "$scratch/out"; fail "a change is not confirmed"; }
tally key passwd --passphrase-fd 3 --new-passphrase-fd 4 3<<<"open barley" 4<<<"once upon" >"$scratch/out" 2>&1
expect "exit code of a wrong present passphrase, although the new one is the current" $? 7
grep -q "not the present passphrase" "$scratch/out" || { cat "$scratch/out"; fail "the cause is not named"; }
"${daemon[@]}" --passphrase-fd 3 >"$scratch/log" 2>&1 3<<<"once upon" &
p=$!; spare_pids+=($p)
started "after a change"
ended $p "after a change"

# The wallet asks for it only where there is no certificate to tell whose ledger it is.
tally balance >/dev/null </dev/null || fail "the wallet wants a passphrase although the certificate names the node"
mv "$dir/owner.cert" "$scratch/owner.cert"
tally balance >/dev/null 2>&1 </dev/null
expect "exit code of the wallet without certificate and passphrase" $? 7
for command in balance receipts "key show" doctor; do
    tally $command --passphrase-fd 3 >"$scratch/out" 2>&1 </dev/null 3<<<"once upon" || { cat "$scratch/out"; fail "tally $command without a certificate"; }
done
tally balance --passphrase-fd 3 >/dev/null 2>&1 </dev/null 3<<<"open barley"
expect "exit code of the wallet with a wrong passphrase" $? 7
mv "$scratch/owner.cert" "$dir/owner.cert"

# A change that was cut short is finished by running it again.
cp "$dir/owner.key" "$scratch/owner.key"
tally key passwd --passphrase-fd 3 --new-passphrase-fd 4 3<<<"once upon" 4<<<"a time" >/dev/null || fail "tally key passwd"
cp "$scratch/owner.key" "$dir/owner.key"
tally key passwd --passphrase-fd 3 --new-passphrase-fd 4 3<<<"once upon" 4<<<"a time" >/dev/null || fail "a change that was cut short cannot be finished"
tally key passwd --remove --passphrase-fd 3 >/dev/null 2>&1 3<<<"once upon"
expect "exit code of a removal with the old passphrase" $? 7
tally key passwd --remove --passphrase-fd 3 3<<<"a time" | grep -q "^passphrase removed" || fail "a passphrase cannot be removed by descriptor"
tally key passwd --new-passphrase-fd 4 4<<<"again" | grep -q "^passphrase set" || fail "a passphrase cannot be set"
echo "passphrase: descriptor, credential, terminal, restart and change"
