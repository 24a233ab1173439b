/* transport_parts_zmq.h - what the files of the transport share; nobody else includes it.
 *
 *   sockets_zmq.c     options, binding, opening and closing everything
 *   transport_zmq.c   the loop's turn
 *   links_zmq.c       dial, send, hang up, mute: the life of a link
 *   frames_zmq.c      reads frames and decides whether they may pass
 *   monitor_zmq.c     learns of connections from libzmq's socket monitors
 *   zap_zmq.c         answers libzmq's question whether a client key may come in
 *
 * A link's states, and what is known in each:
 *
 *   FREE     no link.
 *   DIALLING outbound; libzmq is connecting or shaking hands. -> OPEN (monitor: handshake), ENDING (monitor, dial_ms)
 *   OPEN     CURVE has proved the peer. -> ENDING (connection gone), FREE (hangup, outbound), DEAD (hangup, inbound)
 *   ENDING   the connection is gone; frames read before that may still wait in libzmq. -> FREE/DEAD with LINK_DOWN, once
 *            the socket is drained or ENDING_MS have passed
 *   DEAD     inbound only: its routing id is remembered for DEAD_MS so that a straggler does not look like a new link.
 *            -> FREE
 *
 * DOWN and UP are told by flags, not states: `tell_up`, `tell_down` wait for transport_next().
 */
#ifndef TALLYMESH_NODE_TRANSPORT_PARTS_ZMQ_H
#define TALLYMESH_NODE_TRANSPORT_PARTS_ZMQ_H

#include <zmq.h>

#include "node/admission.h"
#include "node/tcp_linux.h"
#include "node/transport_zmq.h"

enum {
    ROUTING_ID_BYTES = 5,                  /* libzmq's own form: 0, then a 32-bit number, big endian */
    USER_ID_CHARS = 2 * SEAL_KEY_BYTES,    /* the client key in hex, as our ZAP reply names it */
    CURVE_OVERHEAD_BYTES = 33,             /* "\7MESSAGE", nonce 8, tag 16, flags 1: libzmq's size limit counts them */
    OVERSIZE_SEEN_BYTES = 4096,            /* so far over the limit we still see the frame, hence the sender's key; beyond
                                              it libzmq cuts the connection before it allocates */
    LINK_THREAD = 1 << 0, NAME_THREAD = 1 << 1,            /* libzmq's I/O threads, as ZMQ_AFFINITY names them */
    ENDING_MS = 200, DEAD_MS = 2000,
    CUT_TALKING_MS = 2000,                 /* libzmq ended a connection that spoke so recently: not a timeout, an offence */
    SWEEP_MS = 200,                        /* how often connections are looked over */
    GATE_MS = 250,                         /* at least so long shut */
    FD_SHARE_PERCENT = 80,                 /* of the descriptor limit: beyond it nothing new is accepted */
    ENDPOINT_CHARS = HOST_CHARS_MAX + 24,
    MONITOR_EVENTS_PER_TURN = 256, ZAP_REQUESTS_PER_TURN = 64, WAKES_PER_TURN = 64,
    UNDELIVERED_LEAK_BYTES_PER_S = 64,     /* heartbeats and their answers are received, but never delivered: 8 B/s */
};

/* What an epoll wake-up is about: a tag, plus the slot of an outbound link. */
enum { TAG_ROUTER, TAG_ROUTER_MONITOR, TAG_ZAP, TAG_LINK = 1 << 16, TAG_MONITOR = 2 << 16 };

/* One TCP connection that libzmq owns. */
struct connection {
    bool used;
    int fd;                                /* libzmq's number for it, as the monitor and ZMQ_SRCFD say */
    int held;                              /* ours; -1: none */
    struct mono since;
    struct address from;
    char host[HOST_TEXT_BYTES];
    bool counted;                          /* in admission, until it ends */
    bool cut;                              /* by us */
    bool spoke;                            /* at least one frame has come */
    uint32_t slot;                         /* inbound: its link, or NO_SLOT */
    uint64_t received, delivered, debt;    /* wire bytes; debt: received and never seen as a whole message */
};
#define NO_SLOT UINT32_MAX

enum link_state { LINK_FREE, LINK_DIALLING, LINK_OPEN, LINK_ENDING, LINK_DEAD };

struct peer_link {
    enum link_state state;
    uint64_t id;
    struct seal_key peer;
    bool tell_up, tell_down;
    struct mono due;                       /* DIALLING: give up; ENDING: tell anyway; DEAD: forget */
    struct bucket bytes, msgs;
    /* inbound */
    uint8_t routing_id[ROUTING_ID_BYTES];
    char user_id[USER_ID_CHARS + 1];
    uint32_t connection;                   /* index, or NO_SLOT */
    /* outbound */
    void *socket, *monitor;
    uint16_t port;
    bool readable, monitor_readable;
    struct mono paused_until;              /* over its rate: read later */
    struct connection tcp;
};

struct transport {
    struct transport_limits limits;
    struct rate bytes_rate, msgs_rate;
    struct seal_key transport;
    struct seal_secret secret;             /* wiped on close */
    struct mono now, swept, gate_until;
    void *context, *router, *router_monitor, *zap;
    int epoll, listening;
    uint16_t port;
    uint64_t fd_limit;
    bool router_readable, router_monitor_readable, zap_readable, gate_shut, woken_more;
    bool skipping;                         /* reading the rest of a multipart message on the ROUTER */
    uint32_t routing_id_base, accepted;    /* the first id this ROUTER gave out; how many it can have given since */
    uint64_t inbound_next;
    uint32_t frames_left, turn_cursor;     /* of this turn; whose turn it is among the outbound links */
    uint32_t router_streak;
    uint32_t tell_count;                   /* links with tell_up or tell_down */
    bool lent_open;
    zmq_msg_t lent;                        /* the frame given out by transport_next() */
    struct connection *connections;        /* [limits.connections_max] */
    struct peer_link *inbound;             /* [inbound_slots] */
    struct peer_link *outbound;            /* [limits.outbound_max] */
    uint32_t inbound_slots;
    struct admission admission;
    struct transport_counters counters;
};

/* sockets_zmq.c */
bool set_int(void *socket, int option, int value);
bool set_options(struct transport *t, void *socket);               /* those that all sockets share */
bool endpoint_format(const char *host, uint16_t port, char out[ENDPOINT_CHARS]);
bool watch(struct transport *t, void *socket, uint64_t tag);       /* adds the socket's descriptor to the epoll set */
void unwatch(struct transport *t, void *socket);
bool has_input(void *socket);                                      /* ZMQ_EVENTS: the only way to know after any call */
void socket_close(struct transport *t, void **socket);

/* links_zmq.c */
bool link_is_outbound(const struct peer_link *l);
void link_end(struct transport *t, struct peer_link *l);           /* DIALLING, OPEN -> ENDING */
void link_tell_down(struct transport *t, struct peer_link *l);     /* told at the next transport_next() */
void tell_forget(struct transport *t, struct peer_link *l);
void link_drop(struct transport *t, struct peer_link *l);          /* -> FREE (outbound), DEAD (inbound) */
void outbound_close(struct transport *t, struct peer_link *l);     /* -> FREE */
void offence(struct transport *t, const struct seal_key *key);     /* refuses the key and ends its links */
uint32_t wire_bytes(size_t payload);                               /* of one message under CURVE */

/* frames_zmq.c */
bool frames_next(struct transport *t, struct transport_event *out);
void frame_release(struct transport *t);

/* monitor_zmq.c */
bool monitor_open(struct transport *t, void *socket, const char *name, int events, void **out);
void monitor_close(struct transport *t, void *socket, void **monitor);
void monitor_inbound(struct transport *t);
void monitor_outbound(struct transport *t, struct peer_link *l);
struct connection *connection_find(struct transport *t, int fd);
void connection_cut(struct connection *c);
void connection_delivered(struct connection *c, size_t payload);
void connections_sweep(struct transport *t);                       /* silent and never-ending ones; the gate */

/* zap_zmq.c */
bool zap_open(struct transport *t);
void zap_serve(struct transport *t);

#endif
