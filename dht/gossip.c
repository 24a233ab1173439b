/* gossip.c - what has been said already (PROTO 5.2, PROTO 5.3). */
#include "dht/gossip.h"

#include <string.h>

_Static_assert(PUB_BYTES_MAX <= UINT16_MAX, "lengths are u16");

/* 20 per 10 s with a burst of 20, in tenths of messages so that the rate is a whole number per second. */
enum { ORIGIN_UNITS = 10 };
static const struct bucket_rate origin_rate = { GOSSIP_ORIGIN_PER_10S, GOSSIP_ORIGIN_BURST * ORIGIN_UNITS };

void gossip_init(struct gossip *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    g->seed = seed;
}

/* Keyed mixing of the first 16 bytes: two rounds of a multiply-xorshift finaliser. Never 0, which means free. */
static uint64_t tag_of(const struct gossip *g, const struct hash *id)
{
    uint64_t a, b;
    memcpy(&a, id->b, sizeof a);
    memcpy(&b, id->b + sizeof a, sizeof b);
    uint64_t z = (a ^ g->seed) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 29) ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 32)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return z != 0 ? z : 1;
}

static bool is_fresh(struct mono now, struct mono at, uint64_t ms) { return !mono_reached(now, mono_add_ms(at, ms)); }

bool gossip_is_known(const struct gossip *g, struct mono now, const struct hash *id)
{
    uint64_t tag = tag_of(g, id);
    const struct gossip_mark *set = g->marks[tag % ARRAY_COUNT(g->marks)];
    for (size_t i = 0; i < GOSSIP_WAYS; i++)
        if (set[i].tag == tag && is_fresh(now, set[i].at, GOSSIP_SEEN_MS))
            return true;
    return false;
}

void gossip_mark(struct gossip *g, struct mono now, const struct hash *id)
{
    uint64_t tag = tag_of(g, id);
    struct gossip_mark *set = g->marks[tag % ARRAY_COUNT(g->marks)];
    size_t victim = 0;
    for (size_t i = 0; i < GOSSIP_WAYS; i++) {
        if (set[i].tag == tag || set[i].tag == 0) {
            victim = i;
            break;
        }
        if (set[i].at.us < set[victim].at.us)
            victim = i;
    }
    set[victim] = (struct gossip_mark){ .tag = tag, .at = now };
}

void gossip_keep(struct gossip *g, struct mono now, const struct hash *id, const struct frame *f)
{
    ENSURE(f->body.len <= PUB_BYTES_MAX);
    struct gossip_message *m = &g->cache[g->cache_next++ % GOSSIP_CACHE_MAX];
    m->id = *id;
    m->at = now;
    m->hop = f->hop;
    m->age_ms = f->age_ms;
    m->len = (uint16_t)f->body.len;
    memcpy(m->body, f->body.data, f->body.len);
}

enum err gossip_allow(struct gossip *g, struct mono now, const struct node_id *origin)
{
    uint64_t tag = tag_of(g, &origin->h);
    struct gossip_origin *set = g->origins[tag % ARRAY_COUNT(g->origins)];
    size_t victim = 0;
    for (size_t i = 0; i < GOSSIP_WAYS; i++) {
        if (set[i].tag == tag)
            return bucket_take(&set[i].rate, now, origin_rate, ORIGIN_UNITS) ? OK : ERR_RATE;
        if (set[i].tag == 0 || (set[victim].tag != 0 && set[i].rate.filled.us < set[victim].rate.filled.us))
            victim = i;
    }
    set[victim].tag = tag;
    bucket_init(&set[victim].rate, now, origin_rate);
    return bucket_take(&set[victim].rate, now, origin_rate, ORIGIN_UNITS) ? OK : ERR_RATE;
}

bool gossip_want(struct gossip *g, struct mono now, const struct hash *id)
{
    uint64_t tag = tag_of(g, id);
    if (gossip_is_known(g, now, id))
        return false;
    for (size_t i = 0; i < GOSSIP_WANTS_MAX; i++)
        if (g->wants[i].tag == tag && !mono_reached(now, g->wants[i].until))
            return false;
    g->wants[g->wants_next++ % GOSSIP_WANTS_MAX] = (struct gossip_want){ .tag = tag, .until = mono_add_ms(now, GOSSIP_WANT_MS) };
    return true;
}

const struct gossip_message *gossip_find(const struct gossip *g, struct mono now, const struct hash *id)
{
    for (size_t i = 0; i < GOSSIP_CACHE_MAX; i++) {
        const struct gossip_message *m = &g->cache[i];
        if (m->len > 0 && hash_equal(&m->id, id))
            return m->age_ms + mono_ms_between(m->at, now) <= GOSSIP_AGE_MS_MAX ? m : NULL;
    }
    return NULL;
}
