/* publish.c - what we say about ourselves: our node record and our adverts, signed, spread, renewed (PROTO 4.7).
 *
 * Each statement goes to the STORE_REPLICAS nodes closest to its key. A young mesh changes fast, so after signing it is
 * spread at once and again after 10 and 30 seconds; then it rests until it is signed anew.
 */
#include "dht/overlay_state.h"

enum { CERT_MARGIN_S = 60 };

static const struct hash zero_hash;

static void begin(struct overlay *o, struct publication *p)
{
    p->due = o->now;
    p->rounds = 0;
    overlay_wake(o, o->now);
}

/* Peers take a certificate that has run out for a malformed message: a minute before, for clocks that are ahead, this node goes on
 * without it, in its record and in its adverts. */
static void drop_certificate(struct overlay *o)
{
    uint64_t ends_s = o->own.cert.not_after_s, wall_s = overlay_wall(o).ms / 1000;
    if (o->own.has_cert && ends_s < wall_s + CERT_MARGIN_S) {
        o->own.has_cert = false;
        for (size_t i = 0; i < OWN_ADVERTS_MAX; i++)
            if (o->adverts[i].used && o->adverts[i].advert.slots > 0)
                o->adverts[i].resign_at = o->now;
    }
    if (o->own.has_cert && ends_s - wall_s - CERT_MARGIN_S < RECORD_REFRESH_MS / 1000)
        o->resign_at = mono_min(o->resign_at, mono_add_ms(o->now, (ends_s - wall_s - CERT_MARGIN_S + 1) * 1000));
}

void publish_sign_record(struct overlay *o)
{
    o->resign_at = mono_add_ms(o->now, RECORD_REFRESH_MS);
    drop_certificate(o);
    o->own.seq = overlay_next_seq(o);
    o->own.issued_at_s = overlay_wall(o).ms / 1000;
    record_sign(o->key, &o->own);
    o->own_signed_at = o->now;
    begin(o, &o->own_spread);
}

/* ---- own adverts ---- */

static struct own_advert *find_own(struct overlay *o, const struct hash *model)
{
    for (size_t i = 0; i < OWN_ADVERTS_MAX; i++)
        if (o->adverts[i].used && hash_equal(&o->adverts[i].advert.model, model))
            return &o->adverts[i];
    return NULL;
}

static void hold_own(struct overlay *o, const struct advert *a, const struct hash *key)
{
    uint8_t buf[ADVERT_BYTES_MAX];
    struct store_put put = { .name = { .key = *key, .author = o->own.id.h, .item = a->model }, .seq = a->seq,
                             .ttl_ms = a->ttl_ms, .kept = true, .value = advert_encode(a, buf) };
    enum err e = store_accept(&o->store, o->now, &put);
    if (e != OK)
        overlay_refuse(o, MSG_STORE, e);                       /* ours is found with others then */
    overlay_wake(o, store_deadline(&o->store));
}

static enum err sign_own(struct overlay *o, struct own_advert *own, const struct advert *a)
{
    struct advert signed_one = *a;
    struct hash by_model = advert_key(&a->model), directory = advert_key(&zero_hash);
    signed_one.node = o->own;
    signed_one.seq = overlay_next_seq(o);
    signed_one.ttl_ms = a->slots > 0 ? ADVERT_TTL_MS : WITHDRAWN_TTL_MS;
    enum err e = advert_sign(o->key, &signed_one);
    if (e != OK)
        return e;
    own->used = true;
    own->advert = signed_one;
    own->signed_at = o->now;
    own->resign_at = mono_add_ms(o->now, a->slots > 0 ? ADVERT_REFRESH_MS : WITHDRAWN_TTL_MS);
    hold_own(o, &signed_one, &by_model);
    hold_own(o, &signed_one, &directory);
    begin(o, &own->by_model);
    begin(o, &own->by_directory);
    return OK;
}

/* Would others be able to read it? Signing does not look at the texts; reading does. */
static enum err check_fields(const struct overlay *o, const struct advert *a)
{
    uint8_t buf[ADVERT_BYTES_MAX];
    struct advert probe = *a, back;
    struct writer w;
    struct bytes encoded;
    probe.node = o->own;
    probe.ttl_ms = ADVERT_TTL_MS;
    writer_init(&w, buf, sizeof buf);
    advert_write(&w, &probe);
    if (writer_finish(&w, &encoded) != OK || advert_decode(encoded, &back) != OK)
        return ERR_ARG;
    return OK;
}

enum err overlay_advertise(struct overlay *o, struct mono now, struct wall wall, const struct advert *a)
{
    overlay_begin(o, now, &wall);
    struct own_advert *own = find_own(o, &a->model);
    for (size_t i = 0; i < OWN_ADVERTS_MAX && !own; i++)
        if (!o->adverts[i].used)
            own = &o->adverts[i];
    if (!own)
        return ERR_FULL;
    enum err e = a->slots > 0 ? check_fields(o, a) : ERR_ARG;
    return e == OK ? sign_own(o, own, a) : e;
}

enum err overlay_withdraw(struct overlay *o, struct mono now, struct wall wall, const struct hash *model)
{
    overlay_begin(o, now, &wall);
    struct own_advert *own = find_own(o, model);
    if (!own || own->advert.slots == 0)
        return ERR_NOT_FOUND;
    struct advert gone = own->advert;
    gone.slots = 0;
    return sign_own(o, own, &gone);
}

/* ---- spreading ---- */

static struct publication *publication_of(struct overlay *o, const struct search *s, struct own_advert **own)
{
    *own = NULL;
    if (hash_is_zero(&s->subject))
        return &o->own_spread;
    *own = find_own(o, &s->subject);
    if (!*own)
        return NULL;                                           /* withdrawn and forgotten while we walked */
    return s->directory ? &(*own)->by_directory : &(*own)->by_model;
}

/* When to spread the same statement again after this round. */
static struct mono next_round(const struct overlay *o, const struct publication *p, bool reached_anybody)
{
    if (!reached_anybody)
        return mono_add_ms(o->now, 2000);
    if (p->rounds == 1)
        return mono_add_ms(o->now, 10 * 1000);
    if (p->rounds == 2)
        return mono_add_ms(o->now, 30 * 1000);
    return MONO_NEVER;                                         /* until signed anew */
}

static bool store_at(struct overlay *o, const struct node_id *node, struct bytes body)
{
    struct peer *peer = peers_find_id(&o->peers, node);
    if (!peer)
        return false;
    overlay_send_frame(o, peer->link, &(struct frame){ .type = MSG_STORE, .request = ++o->last_request, .body = body });
    peer->used = o->now;
    return true;
}

void publish_spread(struct overlay *o, struct search *s)
{
    uint8_t value[ADVERT_BYTES_MAX], body[ADVERT_BYTES_MAX + 64];
    struct own_advert *own;
    struct publication *p = publication_of(o, s, &own);
    struct msg_store m = { .key = s->walk.target };
    struct writer w;
    struct bytes encoded;
    bool reached = false;
    if (!p)
        return;
    m.kind = own ? VALUE_ADVERT : VALUE_RECORD;
    m.value = own ? advert_encode(&own->advert, value) : record_encode(&o->own, value);
    m.age_ms = own ? (uint32_t)mono_ms_between(own->signed_at, o->now) : (uint32_t)mono_ms_between(o->own_signed_at, o->now);
    writer_init(&w, body, sizeof body);
    msg_store_write(&w, &m);
    enum err e = writer_finish(&w, &encoded);
    ENSURE(e == OK);
    for (size_t i = 0; i < s->walk.count && i < STORE_REPLICAS; i++)
        if (s->walk.candidates[i].state == CANDIDATE_ANSWERED)
            reached |= store_at(o, &s->walk.candidates[i].record.id, encoded);
    p->running = false;
    p->rounds += reached;
    p->due = next_round(o, p, reached);
    overlay_wake(o, p->due);
}

enum err publish_stored(struct overlay *o, const struct frame *f)
{
    struct msg_stored m;
    enum err e = msg_stored_decode(f->body, &m);
    if (e != OK || m.result != STORED_STALE)
        return e;
    /* Somebody holds a later statement of ours: our wall clock has gone back over a restart. Count on from there, within
     * what others would believe; the next signing uses it. */
    uint64_t believable = overlay_wall(o).ms + CLOCK_SKEW_MS_MAX / 2;
    if (m.seq >= o->last_seq && m.seq < believable)
        o->last_seq = m.seq;
    return OK;
}

static void start(struct overlay *o, struct publication *p, const struct hash *target, const struct own_advert *own,
                  bool directory)
{
    if (p->running || !mono_reached(o->now, p->due) || search_count(o, SEARCH_PUBLISH) >= PUBLISH_SEARCHES_MAX)
        return;
    struct search *s = search_start(o, SEARCH_PUBLISH, target, own ? &own->advert.model : &zero_hash);
    if (!s)
        return;
    s->directory = directory;
    p->running = true;
}

static void start_due(struct overlay *o)
{
    start(o, &o->own_spread, &o->own.id.h, NULL, false);
    for (size_t i = 0; i < OWN_ADVERTS_MAX; i++) {
        struct own_advert *own = &o->adverts[i];
        if (!own->used)
            continue;
        struct hash by_model = advert_key(&own->advert.model), directory = advert_key(&zero_hash);
        start(o, &own->by_model, &by_model, own, false);
        start(o, &own->by_directory, &directory, own, true);
    }
}

void publish_tick(struct overlay *o)
{
    if (mono_reached(o->now, o->resign_at))
        publish_sign_record(o);
    for (size_t i = 0; i < OWN_ADVERTS_MAX; i++) {
        struct own_advert *own = &o->adverts[i];
        if (!own->used || !mono_reached(o->now, own->resign_at))
            continue;
        enum err e = own->advert.slots > 0 ? sign_own(o, own, &own->advert) : ERR_EXPIRED;
        if (e != OK)
            own->used = false;                                 /* its withdrawal has had its time */
    }
    if (o->self_found)
        start_due(o);                                          /* before that we know nobody worth telling */
}

static struct mono due_of(const struct overlay *o, const struct publication *p)
{
    bool can_start = o->self_found && !p->running && search_has_room(o) && search_count(o, SEARCH_PUBLISH) < PUBLISH_SEARCHES_MAX;
    return can_start ? p->due : MONO_NEVER;                    /* the end of a walk wakes us for the next */
}

struct mono publish_deadline(const struct overlay *o)
{
    struct mono deadline = mono_min(o->resign_at, due_of(o, &o->own_spread));
    for (size_t i = 0; i < OWN_ADVERTS_MAX; i++) {
        const struct own_advert *own = &o->adverts[i];
        if (!own->used)
            continue;
        deadline = mono_min(deadline, own->resign_at);
        deadline = mono_min(deadline, due_of(o, &own->by_model));
        deadline = mono_min(deadline, due_of(o, &own->by_directory));
    }
    return deadline;
}
