#!/usr/bin/env bash
# zmq_rules.sh - what no test at run time can see: where libzmq may be included, and which of its options are never used.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
complain() { printf '%s\n' "$1"; bad=1; }

while read -r file; do
    case $file in
    node/*_zmq.[ch] | tests/*) ;;
    *) complain "$file includes zmq.h; only node/*_zmq.c may" ;;
    esac
done < <(grep -rlE '^#include <zmq' --include='*.[ch]' --include='*.cu' node dht crypto ledger kernels tests)

# A peer who picks the id we are about to name makes libzmq 4.3.4 abort; asking for this event leaves a connection deaf.
for word in ZMQ_CONNECT_ROUTING_ID ZMQ_CONNECT_RID ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ZMQ_EVENT_ALL; do
    grep -rnE "^[^*]*\b$word\b" --include='*.[ch]' node | grep -v '^[^:]*:[0-9]*: \* ' && complain "$word must not be used (docs/threat-model.md, T5, T9)"
done
for need in ZMQ_CURVE_SERVER ZMQ_ROUTER_MANDATORY ZMQ_ROUTER_HANDOVER ZMQ_MAXMSGSIZE ZMQ_HANDSHAKE_IVL ZMQ_HEARTBEAT_IVL ZMQ_HEARTBEAT_TIMEOUT \
    ZMQ_HEARTBEAT_TTL ZMQ_LINGER ZMQ_SNDHWM ZMQ_RCVHWM ZMQ_MAX_SOCKETS 'srand\('; do
    grep -qE "$need" node/sockets_zmq.c || complain "node/sockets_zmq.c no longer sets $need"
done
exit $bad
