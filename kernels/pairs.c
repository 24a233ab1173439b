/* pairs.c - two u32 to two u32. */
#include "kernels/pairs.h"

#include <stdlib.h>

static size_t hash(uint32_t a, uint32_t b)
{
    uint64_t z = ((uint64_t)a << 32 | b) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)(z ^ (z >> 31));
}

enum err pairs_init(struct pairs *p, size_t cap)
{
    size_t slots = 16;
    while (slots < 2 * cap)
        slots *= 2;
    *p = (struct pairs){ .slots = calloc(slots, sizeof *p->slots), .mask = slots - 1, .cap = cap };
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
    size_t at = hash(key_a, key_b) & p->mask;
    for (int probe = 0; probe < PAIRS_PROBE_MAX; probe++) {
        struct pair_slot *s = &p->slots[(at + (size_t)probe) & p->mask];
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
