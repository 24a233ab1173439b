/* pairs.c - two u32 to two u32. */
#include "kernels/pairs.h"

#include <stdlib.h>

#include "kernels/salt.h"

enum err pairs_init(struct pairs *p, size_t cap)
{
    size_t slots = 16;
    while (slots < 2 * cap)
        slots *= 2;
    *p = (struct pairs){ .slots = calloc(slots, sizeof *p->slots), .mask = slots - 1, .cap = cap };
    p->salt = salt_of(p->slots);
    return p->slots ? OK : ERR_MEMORY;
}

void pairs_fini(struct pairs *p)
{
    free(p->slots);
    *p = (struct pairs){ 0 };
}

/* The slot that holds the key, or the free one where it belongs; NULL after too many collisions. */
static struct pair_slot *locate(const struct pairs *p, uint32_t key_a, uint32_t key_b)
{
    size_t at = salt_hash_pair(p->salt, key_a, key_b);
    for (size_t probe = 0; probe < SALT_PROBE_MAX; probe++) {
        struct pair_slot *s = &p->slots[(at + probe) & p->mask];
        if (!s->used || (s->key_a == key_a && s->key_b == key_b))
            return s;
    }
    return NULL;
}

enum err pairs_put(struct pairs *p, uint32_t key_a, uint32_t key_b, uint32_t x, uint32_t y)
{
    struct pair_slot *s = locate(p, key_a, key_b);
    if (!s)
        return ERR_FORMAT;
    if (s->used)
        return ERR_EXISTS;
    if (p->count == p->cap)
        return ERR_FULL;
    *s = (struct pair_slot){ .key_a = key_a, .key_b = key_b, .x = x, .y = y, .used = true };
    p->count++;
    return OK;
}

const struct pair_slot *pairs_find(const struct pairs *p, uint32_t key_a, uint32_t key_b)
{
    const struct pair_slot *s = locate(p, key_a, key_b);
    return s && s->used ? s : NULL;
}
