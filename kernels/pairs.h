/* pairs.h - a hash table from two u32 to two u32, filled once and then read; private to the tokenizer.
 *
 * Open addressing at half load. A model file decides the keys, so the length of a probe is bounded: a file whose keys
 * collide on purpose is refused (ERR_FORMAT from pairs_put) instead of making every lookup slow.
 */
#ifndef TALLYMESH_KERNELS_PAIRS_H
#define TALLYMESH_KERNELS_PAIRS_H

#include "crypto/base.h"

enum { PAIRS_PROBE_MAX = 1024 };   /* random keys at half load stay under 100 with a million entries */

struct pair_slot {
    uint32_t key_a, key_b;
    uint32_t x, y;
    bool used;
};

struct pairs {
    struct pair_slot *slots;
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
