/* overlay.h - who is out there, who of them is connected, and what has been said: the overlay as one core.
 *
 * Three calls: overlay_handle(now, wall, event), overlay_next(&effect) until false, overlay_deadline(). Between events the
 * parent may use the verbs below; they append to the same outbox, so drain it after them too.
 *
 * Owns:    everything is inside struct overlay (complete type in dht/overlay_state.h: embed it, or allocate
 *          overlay_bytes()); nothing is allocated after overlay_init(). The secret key is borrowed and outlives it.
 * Lent:    bytes, records and endpoints in an effect are valid until the next overlay_ call other than overlay_next(),
 *          overlay_deadline() and the const queries: perform an effect, or copy it, before saying anything new. The bytes of
 *          a FRAME event must stay until the outbox is drained, because MESSAGE and GOSSIP lend from them.
 * Threads: none; call from the thread that owns the struct.
 * Time:    every call gets `now`; it may repeat but never goes back. Call handle(TICK) when overlay_deadline() is reached.
 * Effects: only those in the outbox, in order. Its bound: outbox.h.
 * Spec:    PROTO 3, 4, 5
 *
 * Links are the transport's. An outbound link's id is chosen here in DIAL: top bit clear, never used again. An inbound
 * link's id is chosen by the transport: top bit set, never used again either, and it names one authenticated connection.
 * A link says nothing about who is behind it until a HELLO has proved it.
 */
#ifndef TALLYMESH_DHT_OVERLAY_H
#define TALLYMESH_DHT_OVERLAY_H

#include "dht/advert.h"
#include "dht/wire.h"

struct link {
    uint64_t id;
};
#define LINK_INBOUND_BIT (UINT64_C(1) << 63)
static inline bool link_is_inbound(struct link l) { return (l.id & LINK_INBOUND_BIT) != 0; }

struct overlay;

enum {
    OWN_ADVERTS_MAX = 16,                                  /* models one node offers */
    LINK_IDLE_MS = 60 * 1000,
    MODEL_KEPT_MS = 30 * 60 * 1000,
};

/* ---- life ---- */

struct overlay_config {
    struct net_id net;
    unsigned pow_bits;                                     /* what this network asks of an identity */
    const struct secret_key *key;                          /* the node key; borrowed */
    uint64_t pow_nonce;
    struct endpoint at;                                    /* own advertised address and own transport key */
    bool dialable;                                         /* others may dial `at`; false behind a closed router */
    const struct cert *cert;                               /* owner's certificate or NULL; copied */
    uint64_t rng_seed;
    uint32_t full_mesh_max;                                /* keep links to all while so few nodes are known; 0: PEERS_MAX / 2 */
};

size_t overlay_bytes(void);                                /* sizeof(struct overlay) */
/* ERR_POW (own nonce), ERR_CERT/ERR_EXPIRED/ERR_SIGNATURE (own certificate), ERR_FORMAT (own host). */
enum err overlay_init(struct overlay *o, struct mono now, struct wall wall, const struct overlay_config *cfg) MUST_CHECK;
/* Says GOAWAY to everybody and hangs up; drain once more, then forget the struct. */
void overlay_stop(struct overlay *o, struct mono now);

/* Somebody to start from; kept and retried with backoff while there are too few peers. ERR_FULL after 16, ERR_NETWORK,
 * ERR_EXISTS; our own address is quietly ignored. */
enum err overlay_bootstrap(struct overlay *o, struct mono now, const struct bootstrap *b) MUST_CHECK;
/* At least one authenticated peer, and the lookup of ourselves has finished. */
bool overlay_joined(const struct overlay *o);

/* ---- events in ---- */

enum overlay_event_kind {
    OVERLAY_LINK_UP,                                       /* outbound only: connected and CURVE-handshaken */
    OVERLAY_LINK_DOWN,                                     /* either kind; the id is dead */
    OVERLAY_FRAME,                                         /* one whole frame */
    OVERLAY_TICK,
};
struct overlay_event {
    enum overlay_event_kind kind;
    struct link link;
    struct seal_key from;                                  /* FRAME: the key CURVE authenticated (inbound) or we dialled */
    struct bytes frame;
};
void overlay_handle(struct overlay *o, struct mono now, struct wall wall, const struct overlay_event *e);

/* ---- effects out ---- */

enum overlay_effect_kind {
    OVERLAY_DIAL,                                          /* to the transport: connect link to *at */
    OVERLAY_HANGUP,                                        /* close link (inbound: forget it) */
    OVERLAY_SEND,                                          /* bytes on link */
    OVERLAY_MUTE,                                          /* refuse this transport key for mute_ms, in ZAP too */
    OVERLAY_PEER_UP,                                       /* to the parent: node is connected and proved */
    OVERLAY_PEER_DOWN,                                     /* node is gone, or an overlay_open() failed */
    OVERLAY_MESSAGE,                                       /* an authenticated message of a type the overlay does not own */
    OVERLAY_GOSSIP,                                        /* somebody published; delivered once per message */
    OVERLAY_PROVIDERS,                                     /* overlay_find_providers(hash) has finished; 0 results is an answer */
    OVERLAY_NODE_FOUND,                                    /* overlay_find_node(node) has finished; record NULL: not found */
    OVERLAY_JOINED,                                        /* overlay_joined() became true; once */
};
struct overlay_effect {
    enum overlay_effect_kind kind;
    struct link link;                                      /* DIAL, HANGUP, SEND */
    const struct endpoint *at;                             /* DIAL */
    struct bytes bytes;                                    /* SEND: whole frame. MESSAGE, GOSSIP: body */
    struct seal_key key;                                   /* MUTE */
    uint64_t mute_ms;                                      /* MUTE */
    struct node_id node;                                   /* PEER_UP, PEER_DOWN, MESSAGE, NODE_FOUND; GOSSIP: the origin */
    uint32_t type;                                         /* MESSAGE: enum message_type */
    uint64_t request;                                      /* MESSAGE */
    struct hash hash;                                      /* GOSSIP: topic. PROVIDERS: model */
    const struct node_record *record;                      /* GOSSIP: the origin's record (fit for overlay_open). NODE_FOUND */
    uint32_t hop, age_ms;                                  /* MESSAGE, GOSSIP */
};
/* False when the outbox is empty. */
bool overlay_next(struct overlay *o, struct overlay_effect *out);
/* When handle(TICK) is due; MONO_NEVER if nothing is. */
struct mono overlay_deadline(const struct overlay *o);

/* ---- peers ---- */

struct overlay_peer {
    const struct node_record *record;                      /* record->cert.owner if record->has_cert, verified */
    uint32_t rtt_us;                                       /* smoothed, own measurement; 0: none yet */
    struct mono up_since;
    struct link link;
    bool outbound;                                         /* we dialled: LINK_DOWN is seen at once */
};
const struct node_id *overlay_self(const struct overlay *o);
const struct node_record *overlay_own_record(const struct overlay *o);     /* current, signed; seq grows when renewed */
/* True and *out, lent until the next non-const call; false if not connected. */
bool overlay_peer_find(const struct overlay *o, const struct node_id *node, struct overlay_peer *out);
/* Walks all connected peers: *cursor starts at 0. Order is stable between non-const calls. */
bool overlay_peer_each(const struct overlay *o, size_t *cursor, struct overlay_peer *out);
size_t overlay_peer_count(const struct overlay *o);

/* Queues a message of a parent-owned type (48 and up) to a connected peer; body is copied. ERR_NOT_FOUND (not connected),
 * ERR_TYPE, ERR_TOO_LARGE, ERR_FULL (drain the outbox first). */
enum err overlay_send(struct overlay *o, struct mono now, const struct node_id *node, enum message_type type,
                      uint64_t request, struct bytes body) MUST_CHECK;
/* Sees to it that there is a link: PEER_UP follows, or PEER_DOWN if it fails. ERR_EXISTS if connected already (no notice
 * follows), ERR_ARG (ourselves, or not dialable), ERR_FULL, or what record_verify() says. A link that carries no parent
 * message for LINK_IDLE_MS may be hung up unless the routing table wants it. */
enum err overlay_open(struct overlay *o, struct mono now, struct wall wall, const struct node_record *record) MUST_CHECK;
/* A protocol offence the parent found in a MESSAGE or GOSSIP of this peer: counted and priced like our own. */
void overlay_offence(struct overlay *o, struct mono now, const struct node_id *node, enum message_type type, enum err what);

/* Looks a node up; NODE_FOUND follows. ERR_FULL (LOOKUPS_MAX under way). */
enum err overlay_find_node(struct overlay *o, struct mono now, const struct node_id *node) MUST_CHECK;

/* ---- adverts ---- */

/* Publishes what we serve: node, seq, ttl_ms and sig are filled in here. Kept alive until withdrawn; calling again for the
 * same model replaces it. ERR_FULL after OWN_ADVERTS_MAX models, ERR_ARG (a text field is not printable). */
enum err overlay_advertise(struct overlay *o, struct mono now, struct wall wall, const struct advert *a) MUST_CHECK;
/* Spreads a withdrawal (slots = 0) and stops refreshing. ERR_NOT_FOUND. */
enum err overlay_withdraw(struct overlay *o, struct mono now, struct wall wall, const struct hash *model) MUST_CHECK;
/* Looks the providers of a model up (zero hash: all models of the mesh); PROVIDERS follows exactly once per call that
 * returned OK, except that calls during one lookup share its notice. Keeps the model's adverts fresh from now on for
 * MODEL_KEPT_MS after the last call of this or overlay_providers(). ERR_FULL. */
enum err overlay_find_providers(struct overlay *o, struct mono now, const struct hash *model) MUST_CHECK;
/* Verified, unexpired, not withdrawn adverts of a model from what is known now, ours included, in order of node id.
 * Returns how many were written. */
size_t overlay_providers(struct overlay *o, struct mono now, const struct hash *model, struct advert *out, size_t max);
/* Walks every such advert of every model, each once, in a stable order; *cursor starts at 0. The directory of all models
 * is kept fresh by itself, so this lists the mesh (of a large mesh: a part of it). */
bool overlay_advert_each(const struct overlay *o, struct mono now, size_t *cursor, struct advert *out);

/* ---- gossip ---- */

struct hash gossip_topic(const struct hash *model);        /* H("topic", model id) */
/* Signs and spreads. Not delivered back to us. ERR_TOO_LARGE (GOSSIP_BYTES_MAX), ERR_RATE (own rate), ERR_FULL. */
enum err overlay_publish(struct overlay *o, struct mono now, const struct hash *topic, struct bytes body) MUST_CHECK;

/* ---- what happened ---- */

struct overlay_counters {
    uint64_t frames_in, bytes_in, frames_out, bytes_out;
    uint64_t in_by_type[MESSAGE_TYPE_COUNT + 1], out_by_type[MESSAGE_TYPE_COUNT + 1];  /* index: message_index() */
    uint64_t refused[ERR_COUNT];                           /* why */
    uint64_t refused_by_type[MESSAGE_TYPE_COUNT + 1];      /* of what */
    uint64_t dials, dials_failed, hangups, mutes;
    uint64_t peers_up, peers_down, duplicate_links;
    uint64_t lookups, lookup_requests, lookup_timeouts;
    uint64_t records_stored, records_evicted, records_expired;
    uint64_t gossip_published, gossip_delivered, gossip_duplicates, gossip_forwarded;
    uint64_t outbox_deferred;                              /* work put off because the outbox was full */
};
const struct overlay_counters *overlay_counters(const struct overlay *o);

struct overlay_gauges {
    uint32_t peers, pending, contacts, candidates, lookups, records, adverts_own;
    uint32_t outbox_peak;                                  /* most effects ever queued at once */
    uint32_t outbox_bytes_peak;
};
void overlay_gauges(const struct overlay *o, struct overlay_gauges *out);

/* Our invariants: aborts with the one that does not hold. Cheap enough for every step of a simulation. */
void overlay_check(const struct overlay *o);
/* The part that an event on this link can have broken, and the bounds; cheap enough for every step. */
void overlay_check_link(const struct overlay *o, struct link link);

#endif
