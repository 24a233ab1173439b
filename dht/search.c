/* search.c - walks through the overlay, each with a purpose (PROTO 4.6). lookup.c knows whom to ask; this file asks. */
#include "dht/overlay_state.h"

#include <string.h>

static bool wants_values(enum search_purpose purpose) { return purpose == SEARCH_NODE || purpose == SEARCH_PROVIDERS; }

size_t search_count(const struct overlay *o, enum search_purpose purpose)
{
    size_t n = 0;
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        n += o->searches[i].active && o->searches[i].purpose == purpose;
    return n;
}

bool search_has_room(const struct overlay *o)
{
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        if (!o->searches[i].active)
            return true;
    return false;
}

struct search *search_find(struct overlay *o, enum search_purpose purpose, const struct hash *subject)
{
    for (size_t i = 0; i < LOOKUPS_MAX; i++) {
        struct search *s = &o->searches[i];
        if (s->active && s->purpose == purpose && hash_equal(&s->subject, subject))
            return s;
    }
    return NULL;
}

/* ---- asking ---- */

static void send_question(struct overlay *o, struct search *s, size_t i, struct peer *peer)
{
    uint8_t body[64];
    struct writer w;
    struct frame f = { .type = wants_values(s->purpose) ? MSG_GET : MSG_FIND, .request = ++o->last_request };
    writer_init(&w, body, sizeof body);
    if (wants_values(s->purpose))
        msg_get_write(&w, &(struct msg_get){ .key = s->walk.target, .skip = s->walk.candidates[i].skip });
    else
        msg_find_write(&w, &(struct msg_find){ .target = s->walk.target, .want = CONTACTS_PER_REPLY_MAX });
    enum err e = writer_finish(&w, &f.body);
    ENSURE(e == OK);
    overlay_send_frame(o, peer->link, &f);
    o->counters.lookup_requests++;
    peer->used = o->now;
    struct mono deadline = mono_add_ms(o->now, LOOKUP_RPC_TIMEOUT_MS);
    lookup_asked(&s->walk, i, f.request, deadline);
    overlay_wake(o, deadline);
}

/* Waits for a link to candidate i; dials if nobody does already. False: it cannot be reached. */
static bool wait_for_link(struct overlay *o, struct search *s, size_t i)
{
    const struct node_record *record = &s->walk.candidates[i].record;
    if (!peers_find_dial(&o->peers, &record->id)) {
        if (overlay_verify(o, record) != OK)
            return false;
        if (!session_dial(o, &record->at, record))
            return false;
    }
    struct mono deadline = mono_add_ms(o->now, 2 * HELLO_TIMEOUT_MS);
    lookup_asked(&s->walk, i, 0, deadline);
    overlay_wake(o, deadline);
    return true;
}

static void ask(struct overlay *o, struct search *s, size_t i)
{
    struct peer *peer = peers_find_id(&o->peers, &s->walk.candidates[i].record.id);
    if (!peer) {
        struct peer *dial = peers_find_dial(&o->peers, &s->walk.candidates[i].record.id);
        peer = dial && dial->state == PEER_GREETING ? dial : NULL;
    }
    if (peer)
        send_question(o, s, i, peer);
    else if (!wait_for_link(o, s, i))
        lookup_failed(&s->walk, i);
}

void search_peer_ready(struct overlay *o, struct peer *peer)
{
    for (size_t k = 0; k < LOOKUPS_MAX; k++) {
        struct search *s = &o->searches[k];
        if (!s->active)
            continue;
        size_t i = lookup_index(&s->walk, &peer->id);
        if (i != LOOKUP_NONE && s->walk.candidates[i].state == CANDIDATE_ASKED && s->walk.candidates[i].request == 0)
            send_question(o, s, i, peer);
    }
}

void search_peer_failed(struct overlay *o, const struct node_id *id)
{
    if (peers_find_id(&o->peers, id))
        return;                                                /* another link to it stands */
    for (size_t k = 0; k < LOOKUPS_MAX; k++) {
        struct search *s = &o->searches[k];
        size_t i = s->active ? lookup_index(&s->walk, id) : LOOKUP_NONE;
        if (i == LOOKUP_NONE || s->walk.candidates[i].state != CANDIDATE_ASKED)
            continue;
        lookup_failed(&s->walk, i);
        overlay_wake(o, o->now);                               /* the tick asks the next one in its place */
    }
}

/* ---- ending ---- */

static void end_node_search(struct overlay *o, struct search *s, const struct node_record *found)
{
    struct overlay_effect e = { .kind = OVERLAY_NODE_FOUND, .node = { s->walk.target } };
    if (found) {
        struct node_record *copy = outbox_alloc(&o->out, sizeof *copy);
        *copy = *found;
        e.record = copy;
    }
    if (s->notify)
        overlay_emit(o, &e);
    s->active = false;
}

static void end_search(struct overlay *o, struct search *s)
{
    s->active = false;                                         /* first: what follows may start the next walk */
    switch (s->purpose) {
    case SEARCH_SELF:
        if (peers_has_any(&o->peers))
            o->self_found = true;
        overlay_wake(o, o->now);
        return;
    case SEARCH_REFRESH: overlay_wake(o, o->now); return;
    case SEARCH_NODE: end_node_search(o, s, NULL); return;
    case SEARCH_PROVIDERS:
        if (s->notify)
            overlay_emit(o, &(struct overlay_effect){ .kind = OVERLAY_PROVIDERS, .hash = s->subject });
        return;
    case SEARCH_PUBLISH: publish_spread(o, s); return;
    }
}

/* What one step may append: LOOKUP_ALPHA questions or dials, or the end of the walk, which is at most its stores. */
static bool has_room_for_step(const struct overlay *o)
{
    return outbox_has_room(&o->out, STORE_REPLICAS + 4, (STORE_REPLICAS + 1) * (ADVERT_BYTES_MAX + 128));
}

void search_step(struct overlay *o, struct search *s)
{
    size_t i;
    if (!has_room_for_step(o)) {
        o->counters.outbox_deferred++;
        overlay_wake(o, o->now);
        return;
    }
    while ((i = lookup_pick(&s->walk)) != LOOKUP_NONE)
        ask(o, s, i);
    if (lookup_is_done(&s->walk, o->now))
        end_search(o, s);
}

struct search *search_start(struct overlay *o, enum search_purpose purpose, const struct hash *target, const struct hash *subject)
{
    struct search *s = NULL;
    for (size_t i = 0; i < LOOKUPS_MAX && !s; i++)
        if (!o->searches[i].active)
            s = &o->searches[i];
    if (!s)
        return NULL;
    s->active = true;
    s->notify = s->directory = false;
    s->purpose = purpose;
    s->subject = *subject;
    s->pages = 0;
    lookup_init(&s->walk, o->now, target);
    size_t cursor = 0;
    for (struct peer *p; (p = peers_each(&o->peers, PEER_UP, &cursor));)
        if (record_is_dialable(&p->record))
            lookup_add(&s->walk, &p->record);
    o->counters.lookups++;
    overlay_wake(o, o->now);                                   /* the caller may still set flags; the next tick, or it, steps */
    return s;
}

/* ---- answers ---- */

/* Takes up the nodes that somebody named. True if the walk's own target was among them (and it has ended). */
static bool take_nodes(struct overlay *o, struct search *s, const struct msg_nodes *nodes, enum err *e)
{
    struct node_record r;
    for (uint32_t i = 0; i < nodes->count; i++) {
        *e = record_decode(nodes->records[i], &r);
        if (*e == OK)
            *e = record_check_cheap(&r, &o->net, o->pow_bits, overlay_wall(o));
        if (*e == ERR_EXPIRED || *e == ERR_STALE)
            continue;                                          /* clocks differ; the one who passed it on need not know */
        if (*e != OK)
            return false;
        if (node_id_equal(&r.id, &o->own.id) || !record_is_dialable(&r))
            continue;
        lookup_add(&s->walk, &r);
        bool is_target = s->purpose == SEARCH_NODE && hash_equal(&r.id.h, &s->walk.target);
        if (!is_target && !routing_wants(&o->routing, &r))
            continue;
        *e = overlay_verify(o, &r);
        if (*e == ERR_EXPIRED)
            continue;                                          /* its owner's certificate ran out since */
        if (*e != OK)
            return false;
        routing_heard(&o->routing, o->now, &r);
        overlay_wake(o, o->now);
        if (is_target) {
            end_node_search(o, s, &r);
            return true;
        }
    }
    *e = OK;
    return false;
}

/* Values of a GET. Stale or expired ones are ordinary: holders differ in what they have heard. */
static enum err take_values(struct overlay *o, struct search *s, const struct msg_values *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        enum err e = OK;
        struct node_record r;
        if (s->purpose == SEARCH_PROVIDERS) {
            e = serve_accept_advert(o, &s->walk.target, &m->values[i]);
        } else {
            e = record_decode(m->values[i].value, &r);
            if (e == OK && !hash_equal(&r.id.h, &s->walk.target))
                e = ERR_MISMATCH;
            if (e == OK)
                e = overlay_verify(o, &r);
            if (e == OK) {
                end_node_search(o, s, &r);
                return OK;
            }
        }
        if (e != OK && e != ERR_EXPIRED && e != ERR_STALE && e != ERR_FULL && e != ERR_QUOTA && e != ERR_EQUIVOCATION)
            return e;
    }
    return OK;
}

/* Another page from the same holder, if it has more than we know and the walk may still turn pages. */
static bool turn_page(struct overlay *o, struct search *s, size_t i, struct peer *peer, const struct msg_values *m)
{
    struct candidate *c = &s->walk.candidates[i];
    if (m->count == 0 || s->pages >= SEARCH_PAGES_MAX || c->skip + m->count >= m->total)
        return false;
    if (store_count_key(&o->store, o->now, &s->walk.target) >= m->total)
        return false;
    s->pages++;
    c->skip += m->count;
    c->tries = 0;
    send_question(o, s, i, peer);
    return true;
}

static enum err answer(struct overlay *o, struct search *s, size_t i, struct peer *peer, const struct frame *f)
{
    struct msg_values m = { 0 };
    bool ended = false;
    enum err e = f->type == MSG_VALUES ? msg_values_decode(f->body, &m) : msg_nodes_decode(f->body, &m.nodes);
    if (e == OK && (f->type == MSG_VALUES) != wants_values(s->purpose))
        e = ERR_STATE;
    if (e == OK)
        e = take_values(o, s, &m);
    if (e == OK && s->active)
        ended = take_nodes(o, s, &m.nodes, &e);
    if (!s->active || ended)
        return e;
    i = lookup_index(&s->walk, &peer->id);                     /* nearer candidates may have moved it, or pushed it out */
    if (i == LOOKUP_NONE)
        return e;
    if (e != OK)
        lookup_failed(&s->walk, i);
    else if (!turn_page(o, s, i, peer, &m))
        lookup_answered(&s->walk, i);
    return e;
}

enum err search_answer(struct overlay *o, struct peer *peer, const struct frame *f)
{
    for (size_t k = 0; k < LOOKUPS_MAX; k++) {
        struct search *s = &o->searches[k];
        size_t i = s->active ? lookup_match(&s->walk, f->request, &peer->id) : LOOKUP_NONE;
        if (i == LOOKUP_NONE)
            continue;
        enum err e = answer(o, s, i, peer, f);
        if (s->active)
            search_step(o, s);
        return e;
    }
    return OK;                                                 /* late: the walk has gone on without it */
}

/* ---- time ---- */

static void expire(struct overlay *o, struct search *s)
{
    size_t i;
    while (lookup_late(&s->walk, o->now, &i)) {
        struct candidate *c = &s->walk.candidates[i];
        struct peer *peer = peers_find_id(&o->peers, &c->record.id);
        o->counters.lookup_timeouts++;
        if (peer && c->tries < LOOKUP_TRIES_MAX)
            send_question(o, s, i, peer);
        else
            lookup_failed(&s->walk, i);
    }
}

void search_tick(struct overlay *o)
{
    for (size_t k = 0; k < LOOKUPS_MAX; k++) {
        struct search *s = &o->searches[k];
        if (!s->active)
            continue;
        if (has_room_for_step(o))
            expire(o, s);
        search_step(o, s);
    }
}

struct mono search_deadline(const struct overlay *o)
{
    struct mono deadline = MONO_NEVER;
    for (size_t k = 0; k < LOOKUPS_MAX; k++)
        if (o->searches[k].active)
            deadline = mono_min(deadline, lookup_deadline(&o->searches[k].walk));
    return deadline;
}
