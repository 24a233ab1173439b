/* peers.h - which links are there, and who is behind each?
 *
 *   state      known                                      entered by, left by
 *   FREE       nothing
 *   STRANGER   inbound, transport key; no HELLO yet       first bad frame; admitted, or released at `deadline`
 *   DIALLING   outbound, transport key, perhaps the id    DIAL; LINK_UP, or failed at `deadline`
 *   GREETING   the same, and our HELLO is on its way      LINK_UP; HELLO_OK, or failed at `deadline`
 *   ARRIVING   inbound, HELLO proved just now             only inside the call that makes it UP or SHADOW
 *   UP         record verified, id proved on this link    HELLO or HELLO_OK; LINK_DOWN, silence, GOAWAY, idleness
 *   SHADOW     as UP, but another link of the same id     two dials crossed; released at `deadline`
 *              carries what we say
 *
 * Invariants (peers_check): ids of UP peers differ; link ids differ; FREE slots are zero in both indexes.
 *
 * Owns:    PEER_SLOTS slots inside the struct. Pointers stay valid until peers_release() of the slot.
 * Threads: none.
 * Time:    none of its own.
 * Effects: none.
 * Spec:    PROTO 3.4
 */
#ifndef TALLYMESH_DHT_PEERS_H
#define TALLYMESH_DHT_PEERS_H

#include "dht/liveness.h"
#include "dht/overlay.h"
#include "dht/throttle.h"

enum {
    STRANGERS_MAX = PEERS_PENDING_MAX / 4,
    SHADOWS_MAX = PEERS_PENDING_MAX / 4,
    DIALS_MAX = PEERS_PENDING_MAX - STRANGERS_MAX - SHADOWS_MAX,   /* DIALLING and GREETING */
    PEER_SLOTS = PEERS_MAX + PEERS_PENDING_MAX + 1,        /* 1: ARRIVING */
};

enum peer_state { PEER_FREE, PEER_STRANGER, PEER_DIALLING, PEER_GREETING, PEER_ARRIVING, PEER_UP, PEER_SHADOW, PEER_STATE_COUNT };

struct peer {
    enum peer_state state;
    struct link link;
    struct seal_key transport;
    bool has_id;                                           /* dialled by record: this id must answer */
    bool opened;                                           /* the parent waits for PEER_UP or PEER_DOWN */
    bool greeted_twice;                                    /* HELLO was sent again */
    struct node_id id;
    struct node_record record;                             /* UP, SHADOW: verified. DIALLING, GREETING with has_id: why we dial */
    struct mono since, deadline;                           /* entered this state; when to give up on it */
    struct mono used;                                      /* last message that was more than keeping alive */
    uint64_t told_seq;                                     /* the seq of our record that this peer knows */
    struct throttle throttle;
    struct liveness liveness;
};

struct peers {
    uint32_t counts[PEER_STATE_COUNT];
    uint64_t links[PEER_SLOTS];                            /* link id, 0 if free */
    uint64_t tags[PEER_SLOTS];                             /* first bytes of the id of UP peers, else 0 */
    struct peer slots[PEER_SLOTS];
};

void peers_init(struct peers *p);
struct peer *peers_find_link(struct peers *p, struct link link);           /* NULL */
struct peer *peers_find_id(struct peers *p, const struct node_id *id);     /* the UP one; NULL */
const struct peer *peers_find_id_const(const struct peers *p, const struct node_id *id);
/* A slot in state DIALLING or GREETING that expects this id; NULL. */
struct peer *peers_find_dial(struct peers *p, const struct node_id *id);
/* Any slot whose link leads to this transport key, strangers aside; NULL. */
struct peer *peers_find_transport(struct peers *p, const struct seal_key *transport);
/* A free slot, put into `state`; NULL if that state has its full number. */
struct peer *peers_take(struct peers *p, struct link link, enum peer_state state);
bool peers_has_room(const struct peers *p, enum peer_state state);
void peers_set_state(struct peers *p, struct peer *peer, enum peer_state state);
void peers_release(struct peers *p, struct peer *peer);
/* Walks the slots in one state in order of slot; *cursor starts at 0. NULL at the end. */
struct peer *peers_each(struct peers *p, enum peer_state state, size_t *cursor);
static inline bool peers_has_any(const struct peers *p) { return p->counts[PEER_UP] > 0; }
void peers_check_link(const struct peers *p, struct link link);     /* what of it is about one link */
void peers_check(const struct peers *p);

#endif
