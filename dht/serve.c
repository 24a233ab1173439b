/* serve.c - what we hold and answer for others: FIND, GET, STORE (PROTO 4.3, 4.4). */
#include "dht/overlay_state.h"

/* Encoded records of the contacts closest to a key. */
struct closest {
    size_t count, bytes;
    struct bytes records[CONTACTS_PER_REPLY_MAX];
    uint8_t encoded[CONTACTS_PER_REPLY_MAX][RECORD_BYTES_MAX];
};

static void find_closest(const struct overlay *o, const struct hash *target, const struct node_id *asker, size_t max,
                         struct closest *out)
{
    const struct node_record *contacts[CONTACTS_PER_REPLY_MAX];
    out->count = routing_closest(&o->routing, target, asker, contacts, max);
    out->bytes = 0;
    for (size_t i = 0; i < out->count; i++) {
        out->records[i] = record_encode(contacts[i], out->encoded[i]);
        out->bytes += out->records[i].len;
    }
}

static void write_closest(struct writer *w, const struct closest *c)
{
    write_array(w, (uint32_t)c->count);
    for (size_t i = 0; i < c->count; i++)
        write_raw(w, c->records[i]);
}

static void reply(struct overlay *o, struct peer *peer, enum message_type type, uint64_t request, const struct writer *w)
{
    struct frame f = { .type = type, .request = request };
    enum err e = writer_finish(w, &f.body);
    ENSURE(e == OK);
    overlay_send_frame(o, peer->link, &f);
}

enum err serve_find(struct overlay *o, struct peer *peer, const struct frame *f)
{
    uint8_t body[CONTROL_BODY_BYTES_MAX];
    struct closest closest;
    struct msg_find m;
    struct writer w;
    enum err e = msg_find_decode(f->body, &m);
    if (e != OK)
        return e;
    find_closest(o, &m.target, &peer->id, m.want, &closest);
    writer_init(&w, body, sizeof body);
    write_closest(&w, &closest);
    reply(o, peer, MSG_NODES, f->request, &w);
    return OK;
}

/* ---- GET ---- */

/* One page of the values under a key, as many as fit, after the first `skip`. */
struct page {
    uint32_t total, count;
    size_t bytes;
    struct store_view views[ADVERTS_PER_REPLY_MAX];
};

static void turn_to(const struct overlay *o, const struct msg_get *m, struct page *out)
{
    struct store_view v;
    size_t cursor = 0;
    *out = (struct page){ 0 };
    while (store_each(&o->store, o->now, &m->key, &cursor, &v)) {
        bool fits = out->count < ADVERTS_PER_REPLY_MAX && out->bytes + v.value.len + 8 <= VALUES_BYTES_MAX;
        if (out->total++ < m->skip || !fits)
            continue;
        out->views[out->count++] = v;
        out->bytes += v.value.len + 8;
    }
}

static void write_page(struct writer *w, const struct page *p)
{
    write_uint(w, p->total);
    write_array(w, p->count);
    for (uint32_t i = 0; i < p->count; i++) {
        write_array(w, 2);
        write_uint(w, p->views[i].age_ms);
        write_raw(w, p->views[i].value);
    }
}

enum err serve_get(struct overlay *o, struct peer *peer, const struct frame *f)
{
    uint8_t body[CONTROL_BODY_BYTES_MAX];
    struct closest closest;
    struct msg_get m;
    struct page page;
    struct writer w;
    enum err e = msg_get_decode(f->body, &m);
    if (e != OK)
        return e;
    turn_to(o, &m, &page);
    find_closest(o, &m.key, &peer->id, CONTACTS_PER_REPLY_MAX, &closest);
    while (closest.bytes + page.bytes + 32 > sizeof body)      /* LOOKUP_ALPHA of them always fit: VALUES_BYTES_MAX */
        closest.bytes -= closest.records[--closest.count].len;
    writer_init(&w, body, sizeof body);
    write_array(&w, 3);
    write_page(&w, &page);
    write_closest(&w, &closest);
    reply(o, peer, MSG_VALUES, f->request, &w);
    return OK;
}

/* ---- STORE ---- */

static bool is_held(const struct overlay *o, const struct store_name *name, struct bytes value)
{
    struct store_view v;
    return store_find(&o->store, o->now, name, &v) && bytes_equal(v.value, value);
}

/* Reads an advert that claims to belong under `key` and fills in how it is to be stored. Its signature is only checked
 * when the very same bytes are not held already. */
static enum err take_advert(const struct overlay *o, const struct hash *key, struct bytes value, struct store_put *out)
{
    static const struct hash zero;
    struct advert a;
    enum err e = advert_decode(value, &a);
    if (e != OK)
        return e;
    struct hash by_model = advert_key(&a.model), directory = advert_key(&zero);
    if (!hash_equal(key, &by_model) && !hash_equal(key, &directory))
        return ERR_MISMATCH;
    *out = (struct store_put){ .name = { .key = *key, .author = a.node.id.h, .item = a.model }, .seq = a.seq,
                               .ttl_ms = a.ttl_ms, .value = value };
    return is_held(o, &out->name, value) ? OK : advert_verify(&a, &o->net, o->pow_bits, overlay_wall(o));
}

static enum err take_record(struct overlay *o, const struct hash *key, struct bytes value, struct store_put *out)
{
    struct node_record r;
    enum err e = record_decode(value, &r);
    if (e != OK)
        return e;
    if (!hash_equal(key, &r.id.h))
        return ERR_MISMATCH;
    *out = (struct store_put){ .name = { .key = *key, .author = r.id.h }, .seq = r.seq, .ttl_ms = RECORD_TTL_MS, .value = value };
    return is_held(o, &out->name, value) ? OK : overlay_verify(o, &r);
}

static uint32_t add_ages(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

static enum stored result_of(enum err e)
{
    if (e == OK)
        return STORED_OK;
    if (e == ERR_STALE)
        return STORED_STALE;
    if (e == ERR_EQUIVOCATION)
        return STORED_CONFLICT;
    return e == ERR_FULL || e == ERR_QUOTA ? STORED_FULL : STORED_INVALID;
}

static enum err try_store(struct overlay *o, struct peer *peer, const struct msg_store *m, uint32_t way_ms, struct store_put *put)
{
    enum err e = m->kind == VALUE_ADVERT ? take_advert(o, &m->key, m->value, put) : take_record(o, &m->key, m->value, put);
    if (e != OK)
        return e;
    if (!hash_equal(&put->name.author, &peer->id.h))
        return ERR_MISMATCH;                                   /* authors speak for themselves: no replay by others */
    put->age_ms = add_ages(m->age_ms, way_ms);
    return store_accept(&o->store, o->now, put);
}

enum err serve_store(struct overlay *o, struct peer *peer, const struct frame *f)
{
    uint8_t body[16];
    struct msg_store m;
    struct store_put put = { 0 };
    struct writer w;
    enum err e = msg_store_decode(f->body, &m);
    if (e != OK)
        return e;
    e = try_store(o, peer, &m, f->age_ms, &put);
    writer_init(&w, body, sizeof body);
    msg_stored_write(&w, &(struct msg_stored){ .result = result_of(e), .seq = store_seq(&o->store, &put.name) });
    reply(o, peer, MSG_STORED, f->request, &w);
    if (e == OK) {
        o->counters.records_stored++;
        overlay_wake(o, store_deadline(&o->store));
    }
    if (e == ERR_STALE || e == ERR_EXPIRED || e == ERR_FULL) {
        overlay_refuse(o, f->type, e);                         /* can happen to anybody */
        return OK;
    }
    return e;
}

enum err serve_accept_advert(struct overlay *o, const struct hash *key, const struct aged_value *v)
{
    struct store_put put;
    enum err e = take_advert(o, key, v->value, &put);
    if (e != OK)
        return e;
    if (hash_equal(&put.name.author, &o->own.id.h))
        return OK;                                             /* what we say about ourselves we know best */
    put.age_ms = v->age_ms;
    put.kept = o->store.kept < CACHE_RECORDS_MAX;
    e = store_accept(&o->store, o->now, &put);
    overlay_wake(o, store_deadline(&o->store));
    return e;
}
