/* hash.h - content hashes: BLAKE2b-256 with a domain in front, so that a hash of one thing is never a hash of another.
 *
 * Owns:    struct hasher is the caller's; nothing else.
 * Threads: pure; any thread.
 * Effects: none. sodium_init() is not needed for hashing.
 * Spec:    PROTO 2.2: H(domain, x) = BLAKE2b-256(ASCII domain || 0x00 || x). RFC 7693.
 */
#ifndef TALLYMESH_CRYPTO_HASH_H
#define TALLYMESH_CRYPTO_HASH_H

#include <sodium/crypto_generichash.h>

#include "crypto/base.h"

enum { HASH_BYTES = 32, HASH_HEX_CHARS = 64 };

struct hash {
    uint8_t b[HASH_BYTES];
};

struct hasher {
    crypto_generichash_state state;
};

void hasher_init(struct hasher *h, const char *domain);
void hasher_add(struct hasher *h, struct bytes b);         /* appended as they are: frame variable lengths yourself */
void hasher_add_u64(struct hasher *h, uint64_t v);         /* 8 bytes, little endian */
void hasher_add_hash(struct hasher *h, const struct hash *v);
void hasher_finish(struct hasher *h, struct hash *out);    /* h must be initialised again before the next use */

/* H(domain, b). */
struct hash hash_of(const char *domain, struct bytes b);

bool hash_equal(const struct hash *a, const struct hash *b);
int hash_compare(const struct hash *a, const struct hash *b);   /* byte order; for sorting */
bool hash_is_zero(const struct hash *a);
/* Kademlia distance: <0 if a is closer to target than b (XOR metric), 0 if equal, >0 otherwise. */
int hash_distance_compare(const struct hash *target, const struct hash *a, const struct hash *b);
/* Number of leading bits a and b share, 0..256. */
unsigned hash_common_bits(const struct hash *a, const struct hash *b);

void hash_format(const struct hash *a, char out[HASH_HEX_CHARS + 1]);     /* lower-case hex, NUL-terminated */
/* Exactly 64 hex digits, either case. ERR_FORMAT otherwise; out untouched. */
enum err hash_parse(const char *text, struct hash *out) MUST_CHECK;

#endif
