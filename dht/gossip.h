/* gossip.h - has this message been here before, may its origin say more, and who could still need it?
 *
 * Owns:    inside the struct: GOSSIP_SEEN_MAX marks of seen messages, GOSSIP_ORIGINS_MAX rate buckets, the last
 *          GOSSIP_CACHE_MAX messages in full (to answer IWANT), GOSSIP_WANTS_MAX outstanding IWANTs.
 * Full:    marks and buckets live in sets of four; the oldest of a set makes room. Which set is keyed by a secret seed, so
 *          nobody can aim at one. A mark that went too early costs one repeated delivery.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none.
 * Spec:    PROTO 5.2, PROTO 5.3
 */
#ifndef TALLYMESH_DHT_GOSSIP_H
#define TALLYMESH_DHT_GOSSIP_H

#include "dht/message.h"
#include "dht/throttle.h"

enum {
    GOSSIP_WAYS = 4,
    GOSSIP_CACHE_MAX = 32,
    GOSSIP_WANTS_MAX = 64,
    GOSSIP_WANT_MS = 2000,                                 /* then somebody else may be asked */
};

struct gossip_mark {
    uint64_t tag;                                          /* 0: free */
    struct mono at;
};
struct gossip_origin {
    uint64_t tag;                                          /* 0: free */
    struct bucket rate;
};
struct gossip_message {
    struct hash id;
    struct mono at;
    uint32_t hop, age_ms;                                  /* as received */
    uint16_t len;                                          /* 0: free */
    uint8_t body[PUB_BYTES_MAX];
};
struct gossip_want {
    uint64_t tag;
    struct mono until;
};

struct gossip {
    uint64_t seed;
    uint32_t cache_next, wants_next;
    struct gossip_mark marks[GOSSIP_SEEN_MAX / GOSSIP_WAYS][GOSSIP_WAYS];
    struct gossip_origin origins[GOSSIP_ORIGINS_MAX / GOSSIP_WAYS][GOSSIP_WAYS];
    struct gossip_message cache[GOSSIP_CACHE_MAX];
    struct gossip_want wants[GOSSIP_WANTS_MAX];
};

void gossip_init(struct gossip *g, uint64_t seed);
bool gossip_is_known(const struct gossip *g, struct mono now, const struct hash *id);
/* Notes that the message was here. */
void gossip_mark(struct gossip *g, struct mono now, const struct hash *id);
/* Keeps the whole body so that others can ask for it. */
void gossip_keep(struct gossip *g, struct mono now, const struct hash *id, const struct frame *f);
/* One more message of this origin: OK or ERR_RATE (GOSSIP_ORIGIN_PER_10S, GOSSIP_ORIGIN_BURST). */
enum err gossip_allow(struct gossip *g, struct mono now, const struct node_id *origin) MUST_CHECK;
/* Should we ask for this? True once per GOSSIP_WANT_MS and unknown message. */
bool gossip_want(struct gossip *g, struct mono now, const struct hash *id);
/* A kept message that is still young enough to pass on; NULL otherwise. */
const struct gossip_message *gossip_find(const struct gossip *g, struct mono now, const struct hash *id);

#endif
