/* promises.c - a hash table keyed by hashes. */
#include "tests/sim/promises.h"

#include <stdlib.h>
#include <string.h>

void promises_free(struct promises *p) { free(p->slots); }

struct hash promise_name(const char *what, struct bytes a, uint64_t b, uint64_t c)
{
    struct hasher h;
    struct hash out;
    hasher_init(&h, what);
    hasher_add(&h, a);
    hasher_add_u64(&h, b);
    hasher_add_u64(&h, c);
    hasher_finish(&h, &out);
    return out;
}

static struct promise *slot_of(const struct promises *p, const struct hash *name)
{
    uint64_t at;
    memcpy(&at, name->b, sizeof at);
    for (;; at++) {
        struct promise *s = &p->slots[at & (p->room - 1)];
        if (hash_is_zero(&s->name) || hash_equal(&s->name, name))
            return s;
    }
}

static void make_room(struct promises *p)
{
    if (p->room && p->count < p->room / 2)
        return;
    struct promises bigger = { .room = p->room ? 2 * p->room : 4096, .count = p->count };
    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    ENSURE(bigger.slots != NULL);
    for (size_t i = 0; i < p->room; i++)
        if (!hash_is_zero(&p->slots[i].name))
            *slot_of(&bigger, &p->slots[i].name) = p->slots[i];
    free(p->slots);
    *p = bigger;
}

bool promises_keep(struct promises *p, const struct hash *name, const struct hash *said)
{
    make_room(p);
    struct promise *s = slot_of(p, name);
    if (hash_equal(&s->name, name))
        return hash_equal(&s->said, said);
    *s = (struct promise){ *name, *said };
    p->count++;
    return true;
}

const struct hash *promises_find(const struct promises *p, const struct hash *name)
{
    if (!p->room)
        return NULL;
    const struct promise *s = slot_of(p, name);
    return hash_is_zero(&s->name) ? NULL : &s->said;
}
