/* admission.h - who may connect, and how much may a link say?
 *
 * Three bounded tables - addresses, transport keys, refused keys - and a token bucket. When a table is full the entry that
 * matters least is forgotten (an address without open connections; the refusal that ends first), so an attacker who
 * floods a table can only free strangers, never lock them out.
 *
 * Owns:    the tables, inside the struct; nothing is allocated.
 * Threads: none; call from the thread that owns the struct.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none.
 * Spec:    PROTO 10
 */
#ifndef TALLYMESH_NODE_ADMISSION_H
#define TALLYMESH_NODE_ADMISSION_H

#include "crypto/key.h"

enum { ADMISSION_ADDRESSES_MAX = 2048, ADMISSION_KEYS_MAX = 1024, ADMISSION_MUTES_MAX = 1024 };

/* ---- token bucket: `burst` at once, then `per_s` every second; a rate of per-minute size uses per_s in thousandths ---- */

struct bucket {
    uint64_t level_milli;                                  /* thousandths of a token left */
    struct mono at;                                        /* when level_milli was true */
};
struct rate {
    uint64_t milli_per_s, burst;                           /* burst in whole tokens */
};
void rate_init(struct bucket *b, struct rate r, struct mono now);
/* Takes n tokens, or none and false. More than burst can never be taken. */
bool rate_take(struct bucket *b, struct rate r, struct mono now, uint64_t n);
/* When n tokens will be there; now if they are. n is cut to burst. */
struct mono rate_ready(const struct bucket *b, struct rate r, struct mono now, uint64_t n);

/* ---- addresses ---- */

/* An IPv4 address (as ::ffff:a.b.c.d) or the /64 of an IPv6 address: what one party can hold many of for free is one. */
struct address { uint8_t b[16]; };
struct address address_of_ip(const uint8_t ip[16]);

struct admission_limits {
    uint32_t address_open_max;
    struct rate address_rate, key_rate;
};

struct admission {
    struct admission_limits limits;
    struct { struct address at; uint32_t open; bool used; struct bucket bucket; } addresses[ADMISSION_ADDRESSES_MAX];
    struct { struct seal_key key; bool used; struct bucket bucket; } keys[ADMISSION_KEYS_MAX];
    struct { struct seal_key key; struct mono until; } mutes[ADMISSION_MUTES_MAX];
    uint32_t mute_count;
};

void admission_init(struct admission *a, const struct admission_limits *limits);
/* A connection from `at` was accepted. OK: counted as open until admission_disconnect(). ERR_RATE: too many lately,
 * ERR_QUOTA: too many open, ERR_FULL: every slot holds an address with open connections. Not counted then. */
enum err admission_connect(struct admission *a, struct mono now, const struct address *at) MUST_CHECK;
void admission_disconnect(struct admission *a, const struct address *at);
/* A connection proved `key`. OK, ERR_KEY: muted, ERR_RATE: comes too often. */
enum err admission_key(struct admission *a, struct mono now, const struct seal_key *key) MUST_CHECK;

/* Refuses a key until `until`; an earlier end of the same key's refusal is moved, a later one stays. */
void admission_mute(struct admission *a, struct mono now, const struct seal_key *key, struct mono until);
bool admission_is_muted(const struct admission *a, struct mono now, const struct seal_key *key);
uint32_t admission_muted_count(struct admission *a, struct mono now);

#endif
