/* pairs.h - a hash table from two u32 to two u32, filled once and then read; private to the tokenizer.
 *
 * Open addressing at half load. A model file decides the keys, so the hash is salted (salt.h) and the length of a probe
 * is bounded: keys that collide all the same are refused (ERR_FORMAT from pairs_put) and make no lookup slow.
 */
#ifndef TALLYMESH_KERNELS_PAIRS_H
#define TALLYMESH_KERNELS_PAIRS_H

#include "crypto/base.h"

struct pair_slot {
    uint32_t key_a, key_b;
    uint32_t x, y;
    bool used;
};

struct pairs {
    struct pair_slot *slots;
    uint64_t salt;
    size_t mask;
    size_t count, cap;
};

/* Room for `cap` entries. ERR_MEMORY. */
enum err pairs_init(struct pairs *p, size_t cap) MUST_CHECK;
void pairs_fini(struct pairs *p);
/* OK; ERR_EXISTS: the key is there already and keeps its value; ERR_FULL; ERR_FORMAT: too many collisions. */
enum err pairs_put(struct pairs *p, uint32_t key_a, uint32_t key_b, uint32_t x, uint32_t y) MUST_CHECK;
/* Borrowed, or NULL. */
const struct pair_slot *pairs_find(const struct pairs *p, uint32_t key_a, uint32_t key_b);

#endif
