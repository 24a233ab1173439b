/* routing.h - which nodes do we keep contact with, and who of them is closest to a key?
 *
 * A contact is in one of three states:
 *
 *   CONTACT_HEARD   somebody named it; nothing is proved.     -> LIVE by routing_proved(), gone by routing_failed()
 *   CONTACT_LIVE    it proved its key and is connected now.   -> LOST by routing_lost()
 *   CONTACT_LOST    it was live; the link went away.          -> LIVE by routing_proved(), gone by routing_failed() often
 *
 * LIVE and LOST contacts hold seats. A bucket (contacts that share exactly n leading bits with us) has BUCKET_SLOTS seats,
 * and any number while the whole table holds fewer than full_max: a small mesh keeps links to all, so that everything is
 * one hop away. A live contact is never evicted: old ones are the likeliest to stay, and newcomers cannot push them out.
 * HEARD contacts are spares, BUCKET_SPARES per bucket (any number while small); they are tried when a seat is free.
 *
 * Owns:    ROUTING_CONTACTS_MAX contacts inside the struct.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none; the parent dials what routing_next_dial() names and reports what became of it.
 * Spec:    PROTO 4.5
 */
#ifndef TALLYMESH_DHT_ROUTING_H
#define TALLYMESH_DHT_ROUTING_H

#include "dht/record.h"

enum {
    ROUTING_CONTACTS_MAX = 384,                            /* full_max (<= PEERS_MAX) + 16 in each bucket a mesh fills */
    ROUTING_LOST_TRIES_MAX = 6,                            /* with doubling waits: about a minute */
    ROUTING_RETRY_MS = 1000,
    ROUTING_REFRESH_MS = 10 * 60 * 1000,                   /* a bucket nobody asked about gets a lookup this often */
};

enum contact_state { CONTACT_FREE, CONTACT_HEARD, CONTACT_LIVE, CONTACT_LOST };

struct contact {
    struct node_record record;
    struct mono next_try;
    uint32_t tries;
    bool dialling;                                         /* handed out by routing_next_dial(), verdict outstanding */
};

struct routing {
    struct node_id self;
    uint32_t full_max;
    struct hash ids[ROUTING_CONTACTS_MAX];                 /* apart from the rest: distance scans stay in few cache lines */
    uint8_t state[ROUTING_CONTACTS_MAX];                   /* enum contact_state */
    uint16_t bucket[ROUTING_CONTACTS_MAX];                 /* leading bits shared with self, 0..255 */
    struct contact contacts[ROUTING_CONTACTS_MAX];
    uint16_t seats[BUCKETS], spares[BUCKETS], seats_total;
    struct mono refresh_at[BUCKETS];
    uint8_t part[BUCKETS];                                 /* of a crowded bucket: the part to ask about next */
};

void routing_init(struct routing *r, struct mono now, const struct node_id *self, uint32_t full_max);

/* The node proved itself on a link that is up. OK: it has a seat now. ERR_FULL: no seat. ERR_ARG: ourselves, or not
 * dialable (such nodes are peers, not contacts: nobody could follow our recommendation). */
enum err routing_proved(struct routing *r, const struct node_record *record) MUST_CHECK;
/* Its link is gone. Unknown nodes are ignored. */
void routing_lost(struct routing *r, struct mono now, const struct node_id *id);
/* It could not be reached or proved somebody else. Unknown nodes are ignored. */
void routing_failed(struct routing *r, struct mono now, const struct node_id *id);

/* It misbehaved, or may not be dialled any more: as if never heard of. */
void routing_forget(struct routing *r, const struct node_id *id);

/* Would routing_heard() keep this? Asked first, so that signatures are only verified of records that matter. */
bool routing_wants(const struct routing *r, const struct node_record *record);
/* Somebody named this node; its record has been verified. */
void routing_heard(struct routing *r, struct mono now, const struct node_record *record);

/* A contact worth dialling now, marked as being dialled until proved or failed is reported; NULL if none is due. */
const struct node_record *routing_next_dial(struct routing *r, struct mono now);
struct mono routing_deadline(const struct routing *r);         /* when routing_next_dial() may say something new */

const struct node_record *routing_find(const struct routing *r, const struct node_id *id);     /* any state; NULL */
bool routing_has_seat(const struct routing *r, const struct node_id *id);                      /* LIVE or LOST */
/* Up to `max` LIVE contacts closest to target, closest first; ties cannot happen. `except` may be NULL. */
size_t routing_closest(const struct routing *r, const struct hash *target, const struct node_id *except,
                       const struct node_record **out, size_t max);
size_t routing_count(const struct routing *r, enum contact_state state);

/* A bucket unasked for ROUTING_REFRESH_MS: OK and a random id in it, and the bucket counts as asked. ERR_NOT_FOUND if all
 * are fresh. Only buckets down to one below the deepest with a seat taken: beyond lies nobody. */
enum err routing_refresh_due(struct routing *r, struct mono now, struct rng *rng, struct hash *target) MUST_CHECK;
struct mono routing_refresh_deadline(const struct routing *r);
void routing_refresh_all(struct routing *r, struct mono now);  /* every bucket is due */
bool routing_is_small(const struct routing *r);                /* seats are still given to everybody */
void routing_check(const struct routing *r);

#endif
