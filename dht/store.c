/* store.c - soft-state values under keys (PROTO 4.3). */
#include "dht/store.h"

#include <string.h>

enum { NONE = RECORDS_MAX };

/* In front of every value in the arena. A hole keeps its head, so that the compaction can step over it. */
struct arena_head {
    uint16_t slot, len;
};

void store_init(struct store *s, const struct hash *self)
{
    memset(s, 0, sizeof *s);
    s->self = *self;
    s->next_expiry = MONO_NEVER;
}

static int name_compare(const struct store_name *a, const struct store_name *b)
{
    int c = hash_compare(&a->key, &b->key);
    if (c == 0)
        c = hash_compare(&a->author, &b->author);
    return c != 0 ? c : hash_compare(&a->item, &b->item);
}

/* Position in `order` of the first name not below `name`. */
static size_t lower_bound(const struct store *s, const struct store_name *name)
{
    size_t lo = 0, hi = s->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (name_compare(&s->slots[s->order[mid]].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Position in `order`, or NONE. */
static size_t position(const struct store *s, const struct store_name *name)
{
    size_t at = lower_bound(s, name);
    return at < s->count && name_compare(&s->slots[s->order[at]].name, name) == 0 ? at : NONE;
}

/* ---- arena ---- */

static uint32_t footprint(uint32_t len) { return (uint32_t)sizeof(struct arena_head) + len; }

static void arena_release(struct store *s, struct store_slot *slot)
{
    if (slot->len > 0)
        s->arena_dead += footprint(slot->len);
    slot->len = 0;
    slot->offset = 0;                                          /* no value starts at 0: a head does */
}

/* Slides the living values down over the holes, in their order in the arena. */
static void arena_compact(struct store *s)
{
    uint32_t from = 0, to = 0;
    while (from < s->arena_used) {
        struct arena_head head;
        memcpy(&head, s->arena + from, sizeof head);
        ENSURE(head.slot < RECORDS_MAX);
        struct store_slot *slot = &s->slots[head.slot];
        uint32_t size = footprint(head.len);
        if (slot->used && slot->offset == from + sizeof head) {
            ENSURE(slot->len == head.len);
            memmove(s->arena + to, s->arena + from, size);
            slot->offset = to + (uint32_t)sizeof head;
            to += size;
        }
        from += size;
    }
    ENSURE(from == s->arena_used);
    ENSURE(to == s->arena_used - s->arena_dead);
    s->arena_used = to;
    s->arena_dead = 0;
}

static bool arena_has_room(const struct store *s, size_t len)
{
    return s->arena_used - s->arena_dead + footprint((uint32_t)len) <= STORE_ARENA_BYTES;
}

static void arena_put(struct store *s, uint16_t slot_no, struct bytes value)
{
    struct store_slot *slot = &s->slots[slot_no];
    struct arena_head head = { .slot = slot_no, .len = (uint16_t)value.len };
    arena_release(s, slot);
    ENSURE(arena_has_room(s, value.len));
    if (s->arena_used + footprint((uint32_t)value.len) > STORE_ARENA_BYTES)
        arena_compact(s);
    memcpy(s->arena + s->arena_used, &head, sizeof head);
    slot->offset = s->arena_used + (uint32_t)sizeof head;
    slot->len = head.len;
    memcpy(s->arena + slot->offset, value.data, value.len);
    s->arena_used += footprint((uint32_t)value.len);
}

/* ---- slots ---- */

static void remove_at(struct store *s, size_t at)
{
    struct store_slot *slot = &s->slots[s->order[at]];
    arena_release(s, slot);
    s->kept -= slot->kept;
    memset(slot, 0, sizeof *slot);
    s->count--;
    memmove(&s->order[at], &s->order[at + 1], (s->count - at) * sizeof s->order[0]);
}

static struct store_slot *insert(struct store *s, const struct store_name *name)
{
    ENSURE(s->count < RECORDS_MAX);
    size_t at = lower_bound(s, name);
    uint16_t slot_no = 0;
    while (s->slots[slot_no].used)
        slot_no++;
    memmove(&s->order[at + 1], &s->order[at], (s->count - at) * sizeof s->order[0]);
    s->order[at] = slot_no;
    s->count++;
    s->slots[slot_no] = (struct store_slot){ .name = *name, .used = true };
    return &s->slots[slot_no];
}

/* Is `a` a worse thing to hold than `b`? Farther from us; among equals the larger author, then the larger item. */
static bool is_worse(const struct store *s, const struct store_name *a, const struct store_name *b)
{
    int c = hash_distance_compare(&s->self, &a->key, &b->key);
    return c != 0 ? c > 0 : name_compare(a, b) > 0;
}

static bool evict_worse_than(struct store *s, const struct store_name *newcomer, bool kept)
{
    size_t worst = NONE;
    for (size_t i = 0; i < s->count; i++) {
        const struct store_slot *slot = &s->slots[s->order[i]];
        if (slot->kept)
            continue;
        if (worst == NONE || is_worse(s, &slot->name, &s->slots[s->order[worst]].name))
            worst = i;
    }
    if (worst == NONE || (!kept && !is_worse(s, &s->slots[s->order[worst]].name, newcomer)))
        return false;
    s->evicted++;
    remove_at(s, worst);
    return true;
}

static size_t count_author(const struct store *s, const struct hash *author)
{
    size_t n = 0;
    for (size_t i = 0; i < RECORDS_MAX; i++)
        n += s->slots[i].used && !s->slots[i].kept && hash_equal(&s->slots[i].name.author, author);
    return n;
}

/* ---- verbs ---- */

static void keep(struct store *s, struct store_slot *slot, bool kept)
{
    s->kept += kept && !slot->kept;
    slot->kept = slot->kept || kept;
}

/* What a second statement under a known name means. OK: it replaces. ERR_REPLAY: the very same, renew it. */
static enum err judge(const struct store *s, const struct store_slot *slot, const struct store_put *p)
{
    struct bytes held = bytes_of(s->arena + slot->offset, slot->len);
    if (slot->len == 0)
        return ERR_EQUIVOCATION;
    if (p->seq != slot->seq)
        return p->seq < slot->seq ? ERR_STALE : OK;
    return bytes_equal(held, p->value) ? ERR_REPLAY : ERR_EQUIVOCATION;
}

static void set_times(struct store *s, struct mono now, struct store_slot *slot, const struct store_put *p)
{
    uint64_t age_us = (uint64_t)p->age_ms * 1000;
    slot->put_at = (struct mono){ now.us > age_us ? now.us - age_us : 0 };
    slot->expires = mono_add_ms(now, p->ttl_ms - p->age_ms);
    s->next_expiry = mono_min(s->next_expiry, slot->expires);
}

static enum err put_again(struct store *s, struct mono now, struct store_slot *slot, const struct store_put *p)
{
    enum err e = judge(s, slot, p);
    if (e == ERR_EQUIVOCATION)
        arena_release(s, slot);                                /* banned until `expires`, which stays */
    if (e != OK && e != ERR_REPLAY)
        return e;
    if (e == OK) {
        uint32_t own = slot->len > 0 ? footprint(slot->len) : 0;
        if (s->arena_used - s->arena_dead - own + footprint((uint32_t)p->value.len) > STORE_ARENA_BYTES)
            return ERR_FULL;
        arena_put(s, (uint16_t)(slot - s->slots), p->value);
        slot->seq = p->seq;
        set_times(s, now, slot, p);
    } else if (mono_add_ms(now, p->ttl_ms - p->age_ms).us > slot->expires.us) {
        set_times(s, now, slot, p);                            /* somebody's older copy never shortens a life */
    }
    keep(s, slot, p->kept);
    return OK;
}

enum err store_accept(struct store *s, struct mono now, const struct store_put *p)
{
    if (p->value.len == 0 || p->value.len > STORE_VALUE_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (p->age_ms >= p->ttl_ms)
        return ERR_EXPIRED;
    store_expire(s, now);
    size_t at = position(s, &p->name);
    if (at != NONE)
        return put_again(s, now, &s->slots[s->order[at]], p);
    if (!p->kept && count_author(s, &p->name.author) >= RECORDS_PER_AUTHOR_MAX)
        return ERR_QUOTA;
    while (s->count == RECORDS_MAX || !arena_has_room(s, p->value.len))
        if (!evict_worse_than(s, &p->name, p->kept))
            return ERR_FULL;
    struct store_slot *slot = insert(s, &p->name);
    slot->seq = p->seq;
    keep(s, slot, p->kept);
    arena_put(s, (uint16_t)(slot - s->slots), p->value);
    set_times(s, now, slot, p);
    return OK;
}

void store_drop(struct store *s, const struct store_name *name)
{
    size_t at = position(s, name);
    if (at != NONE)
        remove_at(s, at);
}

static bool view(const struct store *s, struct mono now, const struct store_slot *slot, struct store_view *out)
{
    if (slot->len == 0 || mono_reached(now, slot->expires))
        return false;
    uint64_t age_ms = mono_ms_between(slot->put_at, now);
    *out = (struct store_view){ .name = &slot->name, .seq = slot->seq, .age_ms = (uint32_t)age_ms,
                                .value = bytes_of(s->arena + slot->offset, slot->len) };
    return true;
}

bool store_find(const struct store *s, struct mono now, const struct store_name *name, struct store_view *out)
{
    size_t at = position(s, name);
    return at != NONE && view(s, now, &s->slots[s->order[at]], out);
}

uint64_t store_seq(const struct store *s, const struct store_name *name)
{
    size_t at = position(s, name);
    return at == NONE ? 0 : s->slots[s->order[at]].seq;
}

/* *cursor counts from the first name of the key, so that it survives changes under other keys. */
bool store_each(const struct store *s, struct mono now, const struct hash *key, size_t *cursor, struct store_view *out)
{
    struct store_name first = { .key = *key };
    size_t base = lower_bound(s, &first);
    while (base + *cursor < s->count) {
        const struct store_slot *slot = &s->slots[s->order[base + *cursor]];
        if (!hash_equal(&slot->name.key, key))
            return false;
        (*cursor)++;
        if (view(s, now, slot, out))
            return true;
    }
    return false;
}

bool store_all(const struct store *s, struct mono now, size_t *cursor, struct store_view *out)
{
    while (*cursor < s->count)
        if (view(s, now, &s->slots[s->order[(*cursor)++]], out))
            return true;
    return false;
}

size_t store_count_key(const struct store *s, struct mono now, const struct hash *key)
{
    struct store_view v;
    size_t n = 0, cursor = 0;
    while (store_each(s, now, key, &cursor, &v))
        n++;
    return n;
}

void store_expire(struct store *s, struct mono now)
{
    if (!mono_reached(now, s->next_expiry))
        return;
    s->next_expiry = MONO_NEVER;
    for (size_t i = s->count; i-- > 0;) {
        const struct store_slot *slot = &s->slots[s->order[i]];
        if (mono_reached(now, slot->expires)) {
            s->expired++;
            remove_at(s, i);
        } else {
            s->next_expiry = mono_min(s->next_expiry, slot->expires);
        }
    }
}

struct mono store_deadline(const struct store *s) { return s->next_expiry; }

void store_check(const struct store *s)
{
    uint32_t live = 0, kept = 0;
    ENSURE(s->count <= RECORDS_MAX);
    ENSURE(s->arena_used <= STORE_ARENA_BYTES);
    for (size_t i = 0; i < s->count; i++) {
        const struct store_slot *slot = &s->slots[s->order[i]];
        ENSURE(slot->used);
        ENSURE(slot->offset + slot->len <= s->arena_used);
        ENSURE(slot->expires.us >= s->next_expiry.us);
        if (i > 0)
            ENSURE(name_compare(&s->slots[s->order[i - 1]].name, &slot->name) < 0);
        kept += slot->kept;
        live += slot->len > 0 ? footprint(slot->len) : 0;
    }
    ENSURE(live == s->arena_used - s->arena_dead);
    ENSURE(kept == s->kept);
}
