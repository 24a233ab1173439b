/* store.h - what do we hold for others (and keep for ourselves)? Signed values under keys, in memory, until they expire.
 *
 * A value has an identity (key, author, item): item tells several adverts of one author under the directory key apart and
 * is zero otherwise. Per identity seq only grows:
 *
 *   lower seq                      ERR_STALE
 *   equal seq, equal bytes         OK: the expiry is renewed
 *   equal seq, different bytes     ERR_EQUIVOCATION: both are kept out, and the identity is banned until it would have expired
 *   higher seq                     OK: replaces
 *
 * Values are already verified by the caller. Expiry counts on our own clock from a relative age. Bounds: RECORDS_MAX values,
 * STORE_ARENA_BYTES of bytes, RECORDS_PER_AUTHOR_MAX per author (kept ones aside). When full, the value whose key is farthest
 * from us goes first (ties: largest author); kept values never go.
 *
 * Layout: values lie one after another in the arena, each behind its slot number and length; holes are closed when it is full.
 *
 * Owns:    everything inside the struct.
 * Lent:    struct bytes from here are valid until the next store_accept(), store_drop() or store_expire().
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none.
 * Spec:    PROTO 4.3
 */
#ifndef TALLYMESH_DHT_STORE_H
#define TALLYMESH_DHT_STORE_H

#include "crypto/bounds.h"
#include "crypto/hash.h"

enum {
    STORE_ARENA_BYTES = 512 * 1024,                        /* about a thousand adverts of the usual 400 to 600 bytes */
    STORE_VALUE_BYTES_MAX = ADVERT_BYTES_MAX,
};

struct store_name {
    struct hash key, author, item;
};

struct store_slot {
    struct store_name name;
    uint64_t seq;
    struct mono put_at;                                    /* when it was signed, by our clock: now - age */
    struct mono expires;
    uint32_t offset;                                       /* of the value in the arena */
    uint16_t len;                                          /* 0: banned after equivocation */
    bool used, kept;
};

struct store {
    struct hash self;
    uint32_t count, kept;
    uint32_t arena_used, arena_dead;
    uint64_t evicted, expired;
    struct mono next_expiry;                               /* no later than the first expiry */
    uint16_t order[RECORDS_MAX];                           /* slot numbers sorted by name; `count` of them */
    struct store_slot slots[RECORDS_MAX];
    uint8_t arena[STORE_ARENA_BYTES];
};

struct store_put {
    struct store_name name;
    uint64_t seq;
    uint32_t age_ms, ttl_ms;
    bool kept;                                             /* ours, or cached for our own use: not evicted, not under quota */
    struct bytes value;
};

struct store_view {
    const struct store_name *name;
    uint64_t seq;
    uint32_t age_ms;
    struct bytes value;
};

void store_init(struct store *s, const struct hash *self);
/* ERR_EXPIRED (older than its ttl), ERR_STALE, ERR_EQUIVOCATION, ERR_QUOTA, ERR_FULL, ERR_TOO_LARGE. */
enum err store_accept(struct store *s, struct mono now, const struct store_put *p) MUST_CHECK;
void store_drop(struct store *s, const struct store_name *name);       /* nothing if absent */
/* True and a view if a value of exactly this name is held (not banned, not expired). */
bool store_find(const struct store *s, struct mono now, const struct store_name *name, struct store_view *out);
/* seq held under this name, also of banned ones; 0 if none. */
uint64_t store_seq(const struct store *s, const struct store_name *name);
/* Walks the values of one key in order of author, item; *cursor starts at 0. */
bool store_each(const struct store *s, struct mono now, const struct hash *key, size_t *cursor, struct store_view *out);
/* Walks everything, in order of key, author, item. */
bool store_all(const struct store *s, struct mono now, size_t *cursor, struct store_view *out);
size_t store_count_key(const struct store *s, struct mono now, const struct hash *key);
void store_expire(struct store *s, struct mono now);
struct mono store_deadline(const struct store *s);
void store_check(const struct store *s);

#endif
