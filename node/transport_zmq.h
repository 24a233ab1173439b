/* transport_zmq.h - moves whole frames between this node and its peers, and tells which links live.
 *
 * One ROUTER is bound, one DEALER dialled per outbound peer, CURVE on everything. A frame arrives here together with the
 * transport key that CURVE proved for it; nothing a peer claims about itself (routing id, address) is ever trusted.
 *
 * A link is one connection. Outbound link ids are the caller's (top bit clear), inbound ids are chosen here (top bit set);
 * no id is used twice in a process.
 *
 *   outbound:  transport_dial -> LINK_UP when the CURVE handshake succeeded -> FRAMEs -> LINK_DOWN
 *                            \-> LINK_DOWN when it did not (refused, wrong key, no answer within dial_ms)
 *   inbound:   first FRAME -> FRAMEs -> LINK_DOWN         (a connection that says nothing is no link; it is cut)
 *
 * The loop, one turn per wake-up:
 *
 *     poll(transport_fd(t) for POLLIN, until transport_deadline(t));
 *     transport_turn(t, now);
 *     while (transport_next(t, now, &e)) ...;            // at most frames_per_turn frames, then false: others get a turn
 *
 * Owns:    its ZeroMQ context, sockets and I/O threads, a bounded set of links. Nothing grows with traffic or time.
 * Threads: one: every call from the thread that opened it. libzmq's own threads never touch our memory.
 * Time:    every call that needs it gets `now`; it may repeat but never goes back.
 * Effects: sockets; raises RLIMIT_NOFILE to its hard limit; seeds libc's rand() (see docs/threat-model.md, routing ids).
 * Spec:    PROTO 10
 */
#ifndef TALLYMESH_NODE_TRANSPORT_ZMQ_H
#define TALLYMESH_NODE_TRANSPORT_ZMQ_H

#include "crypto/bootstrap.h"
#include "crypto/bounds.h"

#ifndef LINK_INBOUND_BIT
#define LINK_INBOUND_BIT (UINT64_C(1) << 63)                /* as dht/overlay.h has it */
#endif

/* Every bound in one place; transport_limits_default() has the values for the open Internet, tests shrink them. */
struct transport_limits {
    uint32_t inbound_max;                 /* inbound links (peers that have sent a frame) */
    uint32_t connections_max;             /* open inbound connections, silent and unauthenticated ones included */
    uint32_t outbound_max;
    uint32_t ip_connections_max;          /* open at once from one IPv4 address or IPv6 /64 */
    uint32_t ip_per_s, ip_burst;          /* new connections from one address */
    uint32_t key_per_min, key_burst;      /* new connections of one transport key */
    uint32_t bytes_per_s, bytes_burst;    /* per link, before the core sees the frame. Outbound: read later, so that TCP */
    uint32_t msgs_per_s, msgs_burst;      /* slows the sender. Inbound: ROUTER cannot wait for one peer, so the link ends:
                                             links deliver in order or end. key_per_min limits how often that pays. */
    uint32_t send_queue_max;              /* frames waiting per link; over it transport_send says ERR_FULL */
    uint32_t recv_queue_max;
    uint32_t undelivered_bytes_max;       /* received on one connection without a whole message coming out: the answer to
                                             messages that never end */
    uint32_t handshake_ms, dial_ms;
    uint32_t silent_ms;                   /* an inbound connection without a first frame is cut */
    uint32_t heartbeat_ms, heartbeat_timeout_ms, heartbeat_ttl_ms;
    uint32_t mute_ms;                     /* how long an offender's key is refused */
    uint32_t frames_per_turn;
};
void transport_limits_default(struct transport_limits *out);

struct transport_config {
    const char *host;                     /* numeric address to bind: "0.0.0.0", "127.0.0.1", "::" */
    uint16_t port;                        /* 0: any free one, see transport_port() */
    struct seal_key transport;            /* own X25519 key pair */
    const struct seal_secret *secret;     /* borrowed during transport_open() only */
    struct transport_limits limits;
};

enum transport_event_kind { TRANSPORT_LINK_UP, TRANSPORT_LINK_DOWN, TRANSPORT_FRAME };

struct transport_event {
    enum transport_event_kind kind;
    uint64_t link;
    struct seal_key peer;                 /* proved by CURVE: the peer's transport key */
    char host[46];                        /* inbound: the peer's numeric address as TCP saw it; outbound: empty */
    struct bytes frame;                   /* FRAME only; at most FRAME_BYTES_MAX; lent until the next transport_next or transport_turn */
};

/* What was seen and refused; only ever grows, except the gauges at the end. */
#define TRANSPORT_COUNTERS(X)                                                                                          \
    X(frames_in) X(bytes_in) X(frames_out) X(bytes_out)                                                                \
    X(links_up) X(links_down) X(dials) X(dials_failed)                                                                 \
    X(dials_unconnected)       /* of those that failed: not even TCP connected */                                      \
    X(accepted)                /* inbound TCP connections */                                                           \
    X(refused_ip_rate) X(refused_ip_count) X(refused_connections)   /* cut before the handshake */                     \
    X(refused_muted) X(refused_key_rate) X(refused_full) X(refused_malformed)   /* by ZAP */                           \
    X(handshakes_failed)                                                                                               \
    X(cut_silent) X(cut_undelivered) X(cut_rate)                                                                                 \
    X(offence_multipart) X(offence_oversize) X(offence_routing_id) X(offence_key_change)                             \
    X(offence_protocol)        /* libzmq cut a connection in mid-sentence: malformed, or beyond its size limit */      \
    X(dropped_muted) X(dropped_late)                                                                 \
    X(send_full) X(send_gone) X(gate_closed) X(paused_outbound)

struct transport_counters {
#define X(name) uint64_t name;
    TRANSPORT_COUNTERS(X)
#undef X
    uint32_t inbound_links, outbound_links, inbound_connections, muted_keys;   /* gauges */
};

struct transport;

/* Binds and starts. ERR_CONFIG for a host that is not numeric or limits that are zero, ERR_IO if the address cannot be
 * bound (errno tells), ERR_MEMORY, ERR_UNAVAILABLE if this libzmq has no CURVE. */
enum err transport_open(const struct transport_config *c, struct mono now, struct transport **out) MUST_CHECK;
/* Cuts every link without lingering; no events. */
void transport_close(struct transport *t);

uint16_t transport_port(const struct transport *t);
/* Readable when a turn may be worth taking. One descriptor for all links, for poll(2) or epoll(7); never read from it. */
int transport_fd(const struct transport *t);
/* When to take a turn even if the descriptor is quiet. In the past while work is left over from this turn. */
struct mono transport_deadline(const struct transport *t);

/* Takes a turn: collects what happened, serves handshakes, enforces the rules. Never blocks. */
void transport_turn(struct transport *t, struct mono now);
/* The next event of this turn; false when there is none or the turn's share of frames is used up. */
bool transport_next(struct transport *t, struct mono now, struct transport_event *out);
/* For tests and small programs: waits on transport_fd() for at most timeout_ms or until the deadline. */
void transport_wait(const struct transport *t, struct mono now, uint32_t timeout_ms);

/* Dials; the answer is LINK_UP or LINK_DOWN. A link may be sent to at once: what is sent before LINK_UP waits in the
 * queue. ERR_ARG for an id with the top bit or a host that is none, ERR_EXISTS for an id in use, ERR_KEY for a refused
 * server key, ERR_FULL at outbound_max or out of descriptors. No event follows an error. */
enum err transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port,
                        const struct seal_key *server) MUST_CHECK;
/* Queues one frame. ERR_FULL if the link's queue is full, ERR_PEER_GONE if there is no such link any more,
 * ERR_TOO_LARGE over FRAME_BYTES_MAX, ERR_ARG if empty. Never blocks. */
enum err transport_send(struct transport *t, uint64_t link, struct bytes frame) MUST_CHECK;
/* Ends a link at once, without an event; unsent frames are lost. Nothing if there is no such link. */
void transport_hangup(struct transport *t, uint64_t link);
/* Refuses this transport key until `until` and ends every link of it, with a LINK_DOWN for each but `link`, which is
 * ended like a hangup. link may be 0: none. */
void transport_mute(struct transport *t, uint64_t link, const struct seal_key *peer, struct mono until);

const struct transport_counters *transport_counters(const struct transport *t);
/* "frames_in" and its value, in table order, for metrics; false past the last. */
bool transport_counter_at(const struct transport *t, size_t idx, const char **name, uint64_t *value);

#endif
