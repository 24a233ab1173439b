#!/usr/bin/env bash
# certificates.sh - one owner, two nodes; a certificate that ends soon is warned about, renewed, and given to another node.
. "$(dirname "$0")/common.sh"
tally=$bin/tally
says() {                                               # says CODE TEXT COMMAND...
    local code=$1 text=$2
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    local rc=$?
    [ $rc = "$code" ] || { cat "$scratch/out" "$scratch/err"; fail "$*: exit code $rc, expected $code"; }
    grep -q -- "$text" "$scratch/out" "$scratch/err" || { cat "$scratch/out" "$scratch/err"; fail "$*: not said: $text"; }
}
for n in a b c; do "$tally" -d "$scratch/$n" init --network certs --pow-bits 8 --listen 127.0.0.1:0 >/dev/null || fail "init $n"; done
a=$scratch/a b=$scratch/b
key() { "$tally" -d "$1" key show --json | json "d['$2']"; }
start() {                                              # start FOLDER: the daemon's log is FOLDER.log
    "$bin/tallyd" -d "$1" --set api.port=0 >"$1.log" 2>&1 &
    daemon=$!
    spare_pids+=($daemon)
    up_is() { "$tally" -d "$1" status >/dev/null 2>&1; }
    until_true 20 up_is "$1" || { cat "$1.log"; fail "tallyd does not start with $1"; }
}
stop() { kill "$daemon" && wait "$daemon"; }

# ---- renewed, and warned about before it ends ----
says 0 "the owner's certificate holds until" "$tally" -d "$a" doctor
says 2 '--days wants a whole number from 1 to 3650, not "0"' "$tally" -d "$a" key renew --days 0
says 2 'what is "--out"' "$tally" -d "$a" key renew --out x
owner=$(key "$a" owner_key)
says 0 "valid until" "$tally" -d "$a" key renew --days 10
says 0 "runs out in \(9\|10\) days" "$tally" -d "$a" doctor
start "$a"
until_true 5 grep -q "certificate.ends .* in \(9\|10\) days" "$a.log" || { cat "$a.log"; fail "the daemon does not warn"; }
expect "owner of the running node" "$("$tally" -d "$a" status --json | json 'd["owner"]')" "$owner"
stop
says 0 "restart tallyd" "$tally" -d "$a" key renew
says 0 "the owner's certificate holds until" "$tally" -d "$a" doctor
start "$a"
! grep -q "certificate.ends" "$a.log" || fail "the daemon warns of a certificate that was just renewed"
stop

# ---- the owner key elsewhere; another owner's ----
mv "$a/owner.key" "$scratch/safe.key"
says 0 "node " "$tally" -d "$a" init --network certs --pow-bits 8 --listen 127.0.0.1:0
[ ! -e "$a/owner.key" ] || fail "tally init made a second owner for a node that has one"
says 4 "owner.key is not there; --owner-key FILE" "$tally" -d "$a" key renew
says 1 "not the owner key that certified the node" "$tally" -d "$a" key renew --owner-key "$b/owner.key"
says 0 "$owner" "$tally" -d "$a" key renew --owner-key "$scratch/safe.key"

# ---- a second node of the same owner ----
says 2 "certify which node" "$tally" -d "$a" key certify
says 2 "is no node key" "$tally" -d "$a" key certify abcd --owner-key "$scratch/safe.key"
node=$(key "$b" node_key)
cd "$scratch" || fail "cd"
says 0 "${node:0:12}.cert" "$tally" -d "$a" key certify "$node" --owner-key "$scratch/safe.key"
says 1 "is there already" "$tally" -d "$a" key certify "$node" --owner-key "$scratch/safe.key"
expect "mode of the certificate" "$(stat -c %a "$scratch/${node:0:12}.cert")" 600
[ "$(key "$b" owner_key)" != "$owner" ] || fail "node b has that owner already"
cp "$scratch/${node:0:12}.cert" "$b/owner.cert"
expect "owner of node b" "$(key "$b" owner_key)" "$owner"
start "$b"
expect "owner of the running node b" "$("$tally" -d "$b" status --json | json 'd["owner"]')" "$owner"
stop
cp "$scratch/${node:0:12}.cert" "$scratch/c/owner.cert"    # of another node: tallyd says so
says 78 "owner.cert: a certificate for another node key" "$bin/tallyd" -d "$scratch/c" --set api.port=0 --set limits.supervise=false
says 1 "owner.cert: a certificate for another node key" "$tally" -d "$scratch/c" key show
echo "certificates: renewed, warned about, given to a second node"
