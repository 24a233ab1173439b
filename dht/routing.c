/* routing.c - the contact table (PROTO 4.5).
 *
 * One pool, scanned: a few hundred contacts are few, and a scan has no order to get wrong.
 */
#include "dht/routing.h"

#include <string.h>

enum { NONE = ROUTING_CONTACTS_MAX };

void routing_init(struct routing *r, struct mono now, const struct node_id *self, uint32_t full_max)
{
    ENSURE(full_max <= PEERS_MAX);
    memset(r, 0, sizeof *r);
    r->self = *self;
    r->full_max = full_max;
    for (size_t i = 0; i < BUCKETS; i++)
        r->refresh_at[i] = mono_add_ms(now, ROUTING_REFRESH_MS);
}

static size_t find(const struct routing *r, const struct node_id *id)
{
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++)
        if (r->state[i] != CONTACT_FREE && hash_equal(&r->ids[i], &id->h))
            return i;
    return NONE;
}

static unsigned bucket_of(const struct routing *r, const struct node_id *id) { return hash_common_bits(&r->self.h, &id->h); }
static bool is_seated(const struct routing *r, size_t i) { return r->state[i] == CONTACT_LIVE || r->state[i] == CONTACT_LOST; }

/* The only place where a state changes, so that the counts cannot drift. */
static void set_state(struct routing *r, size_t i, enum contact_state to)
{
    unsigned b = r->bucket[i];
    if (is_seated(r, i))
        r->seats[b]--, r->seats_total--;
    else if (r->state[i] == CONTACT_HEARD)
        r->spares[b]--;
    r->state[i] = (uint8_t)to;
    if (is_seated(r, i))
        r->seats[b]++, r->seats_total++;
    else if (to == CONTACT_HEARD)
        r->spares[b]++;
}

size_t routing_count(const struct routing *r, enum contact_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++)
        n += r->state[i] == state;
    return n;
}

static bool has_free_seat(const struct routing *r, unsigned bucket)
{
    return routing_is_small(r) || r->seats[bucket] < BUCKET_SLOTS;
}

/* A slot for a newcomer with a seat: a free one, else the spare least like us (ties: smaller id). */
static size_t slot_for_seat(const struct routing *r)
{
    size_t best = NONE;
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++) {
        if (r->state[i] == CONTACT_FREE)
            return i;
        if (r->state[i] != CONTACT_HEARD || r->contacts[i].dialling)
            continue;
        if (best == NONE || hash_distance_compare(&r->self.h, &r->ids[i], &r->ids[best]) > 0)
            best = i;
    }
    return best;
}

static size_t slot_free(const struct routing *r)
{
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++)
        if (r->state[i] == CONTACT_FREE)
            return i;
    return NONE;
}

static void fill(struct routing *r, size_t i, const struct node_record *record, enum contact_state state)
{
    set_state(r, i, CONTACT_FREE);                             /* whoever sat here counts in its own bucket */
    r->ids[i] = record->id.h;
    r->bucket[i] = (uint16_t)bucket_of(r, &record->id);
    set_state(r, i, state);
    r->contacts[i] = (struct contact){ .record = *record };
}

static void empty(struct routing *r, size_t i)
{
    set_state(r, i, CONTACT_FREE);
    memset(&r->ids[i], 0, sizeof r->ids[i]);
    r->bucket[i] = 0;
    memset(&r->contacts[i], 0, sizeof r->contacts[i]);
}

enum err routing_proved(struct routing *r, const struct node_record *record)
{
    if (node_id_equal(&record->id, &r->self) || !record_is_dialable(record))
        return ERR_ARG;
    size_t i = find(r, &record->id);
    bool seated = i != NONE && is_seated(r, i);
    if (!seated && !has_free_seat(r, bucket_of(r, &record->id))) {
        if (i != NONE)
            r->contacts[i].dialling = false;
        return ERR_FULL;
    }
    if (i == NONE)
        i = slot_for_seat(r);
    if (i == NONE)
        return ERR_FULL;
    fill(r, i, record, CONTACT_LIVE);
    return OK;
}

/* Doubling waits from ROUTING_RETRY_MS; who was dialled before is asked again later each time. */
static struct mono retry_at(struct mono now, uint32_t tries)
{
    return mono_add_ms(now, (uint64_t)ROUTING_RETRY_MS << (tries < 6 ? tries : 6));
}

void routing_lost(struct routing *r, struct mono now, const struct node_id *id)
{
    size_t i = find(r, id);
    if (i == NONE || r->state[i] != CONTACT_LIVE)
        return;
    set_state(r, i, CONTACT_LOST);
    r->contacts[i].tries = 0;
    r->contacts[i].dialling = false;
    r->contacts[i].next_try = retry_at(now, 0);
}

void routing_failed(struct routing *r, struct mono now, const struct node_id *id)
{
    size_t i = find(r, id);
    if (i == NONE || r->state[i] == CONTACT_LIVE)
        return;
    struct contact *c = &r->contacts[i];
    c->dialling = false;
    c->tries++;
    if (r->state[i] == CONTACT_HEARD || c->tries >= ROUTING_LOST_TRIES_MAX)
        empty(r, i);
    else
        c->next_try = retry_at(now, c->tries);
}

void routing_forget(struct routing *r, const struct node_id *id)
{
    size_t i = find(r, id);
    if (i != NONE)
        empty(r, i);
}

bool routing_wants(const struct routing *r, const struct node_record *record)
{
    if (node_id_equal(&record->id, &r->self) || !record_is_dialable(record))
        return false;
    size_t i = find(r, &record->id);
    if (i != NONE)
        return r->state[i] != CONTACT_LIVE && record->seq > r->contacts[i].record.seq;
    unsigned bucket = bucket_of(r, &record->id);
    if (slot_free(r) == NONE)
        return false;
    return routing_is_small(r) || r->spares[bucket] < BUCKET_SPARES;
}

void routing_heard(struct routing *r, struct mono now, const struct node_record *record)
{
    if (!routing_wants(r, record))
        return;
    size_t i = find(r, &record->id);
    if (i == NONE) {
        i = slot_free(r);
        fill(r, i, record, CONTACT_HEARD);
    } else {
        r->contacts[i].record = *record;                       /* it moved: try the new address soon */
    }
    if (!r->contacts[i].dialling)
        r->contacts[i].next_try = now;
}

static bool is_dial_due(const struct routing *r, size_t i, struct mono now)
{
    if (r->contacts[i].dialling || !mono_reached(now, r->contacts[i].next_try))
        return false;
    if (r->state[i] == CONTACT_LOST)
        return true;
    return r->state[i] == CONTACT_HEARD && has_free_seat(r, r->bucket[i]);
}

const struct node_record *routing_next_dial(struct routing *r, struct mono now)
{
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++) {
        if (r->state[i] == CONTACT_FREE || r->state[i] == CONTACT_LIVE || !is_dial_due(r, i, now))
            continue;
        r->contacts[i].dialling = true;
        return &r->contacts[i].record;
    }
    return NULL;
}

struct mono routing_deadline(const struct routing *r)
{
    struct mono deadline = MONO_NEVER;
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++) {
        if (r->state[i] == CONTACT_FREE || r->state[i] == CONTACT_LIVE)
            continue;                                          /* the small array first: most contacts are one of these */
        bool may_dial = r->state[i] == CONTACT_LOST || has_free_seat(r, r->bucket[i]);
        if (may_dial && !r->contacts[i].dialling)
            deadline = mono_min(deadline, r->contacts[i].next_try);
    }
    return deadline;
}

const struct node_record *routing_find(const struct routing *r, const struct node_id *id)
{
    size_t i = find(r, id);
    return i == NONE ? NULL : &r->contacts[i].record;
}

bool routing_has_seat(const struct routing *r, const struct node_id *id)
{
    size_t i = find(r, id);
    return i != NONE && is_seated(r, i);
}

/* Insertion into a short sorted list: `max` is at most a few dozen. */
size_t routing_closest(const struct routing *r, const struct hash *target, const struct node_id *except,
                       const struct node_record **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++) {
        if (r->state[i] != CONTACT_LIVE)
            continue;
        if (except && hash_equal(&r->ids[i], &except->h))
            continue;
        size_t at = n;
        while (at > 0 && hash_distance_compare(target, &r->ids[i], &out[at - 1]->id.h) < 0)
            at--;
        if (at == max)
            continue;
        size_t tail = n < max ? n - at : max - 1 - at;
        memmove(&out[at + 1], &out[at], tail * sizeof out[0]);
        out[at] = &r->contacts[i].record;
        n += n < max;
    }
    return n;
}

static void set_bit(struct hash *h, unsigned i, bool one)
{
    uint8_t mask = (uint8_t)(0x80u >> (i % 8));
    h->b[i / 8] = (uint8_t)(one ? h->b[i / 8] | mask : h->b[i / 8] & ~mask);
}

static bool get_bit(const struct hash *h, unsigned i) { return (h->b[i / 8] >> (7 - i % 8) & 1) != 0; }

/* A walk shows LOOKUP_WIDTH nodes. A bucket with more is asked about in parts, so that together they show all of it. */
static unsigned part_bits(const struct routing *r, unsigned bucket)
{
    unsigned bits = 0;
    while (r->seats[bucket] >> bits > LOOKUP_WIDTH / 2)
        bits++;
    return bits;
}

/* A random id that shares exactly `bucket` leading bits with self and continues with the bits of the part's number. */
static struct hash random_in_part(const struct routing *r, unsigned bucket, unsigned bits, struct rng *rng)
{
    struct hash h;
    rng_bytes(rng, h.b, HASH_BYTES);
    for (unsigned i = 0; i < bucket; i++)
        set_bit(&h, i, get_bit(&r->self.h, i));
    set_bit(&h, bucket, !get_bit(&r->self.h, bucket));
    for (unsigned i = 0; i < bits && bucket + 1 + i < 256; i++)
        set_bit(&h, bucket + 1 + i, (r->part[bucket] >> i & 1) != 0);
    return h;
}

/* The buckets worth asking about: down to one below the deepest that anybody sits in. */
static unsigned deepest(const struct routing *r)
{
    unsigned b = BUCKETS - 1;
    while (b > 0 && r->seats[b] == 0)
        b--;
    return b < BUCKETS - 1 ? b + 1 : b;
}

void routing_refresh_all(struct routing *r, struct mono now)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        r->refresh_at[i] = now;
        r->part[i] = 0;
    }
}

bool routing_is_small(const struct routing *r) { return r->seats_total < r->full_max; }

enum err routing_refresh_due(struct routing *r, struct mono now, struct rng *rng, struct hash *target)
{
    unsigned last = deepest(r);
    for (unsigned b = 0; b <= last; b++) {
        if (!mono_reached(now, r->refresh_at[b]))
            continue;
        unsigned bits = part_bits(r, b);
        *target = random_in_part(r, b, bits, rng);
        r->part[b] = (uint8_t)(r->part[b] + 1);
        if (r->part[b] >> bits) {                              /* that was the last part */
            r->part[b] = 0;
            r->refresh_at[b] = mono_add_ms(now, ROUTING_REFRESH_MS);
        }
        return OK;
    }
    return ERR_NOT_FOUND;
}

struct mono routing_refresh_deadline(const struct routing *r)
{
    struct mono deadline = MONO_NEVER;
    unsigned last = deepest(r);
    for (unsigned b = 0; b <= last; b++)
        deadline = mono_min(deadline, r->refresh_at[b]);
    return deadline;
}

void routing_check(const struct routing *r)
{
    size_t seats[BUCKETS] = { 0 }, spares[BUCKETS] = { 0 }, total = 0;
    for (size_t i = 0; i < ROUTING_CONTACTS_MAX; i++) {
        if (r->state[i] == CONTACT_FREE)
            continue;
        ENSURE(hash_equal(&r->ids[i], &r->contacts[i].record.id.h));
        ENSURE(!hash_equal(&r->ids[i], &r->self.h));
        ENSURE(r->bucket[i] == hash_common_bits(&r->self.h, &r->ids[i]));
        ENSURE(r->state[i] != CONTACT_LIVE || !r->contacts[i].dialling);
        ENSURE(record_is_dialable(&r->contacts[i].record));
        (is_seated(r, i) ? seats : spares)[r->bucket[i]]++;
        total += is_seated(r, i);
    }
    ENSURE(total == r->seats_total);
    ENSURE(total <= r->full_max + (size_t)BUCKETS * BUCKET_SLOTS);
    for (size_t b = 0; b < BUCKETS; b++) {
        ENSURE(seats[b] == r->seats[b]);
        ENSURE(spares[b] == r->spares[b]);
    }
}
