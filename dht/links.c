/* links.c - links made, lost and given up; what is said on them in the overlay's own name; and time (PROTO 3.4 to 3.6). */
#include "dht/overlay_state.h"

/* ---- saying things ---- */

void session_say_goaway(struct overlay *o, struct link link, enum goaway reason)
{
    uint8_t body[8];
    struct writer w;
    struct frame f = { .type = MSG_GOAWAY };
    writer_init(&w, body, sizeof body);
    msg_goaway_write(&w, reason);
    enum err e = writer_finish(&w, &f.body);
    ENSURE(e == OK);
    overlay_send_frame(o, link, &f);
}

void session_say_hello(struct overlay *o, struct peer *peer, enum message_type type)
{
    uint8_t body[RECORD_BYTES_MAX + 2 + 2 + SIG_BYTES];
    struct writer w;
    struct frame f = { .type = type };
    writer_init(&w, body, sizeof body);
    msg_hello_write(&w, o->key, &o->own, (struct hello_ends){ .speaker = &o->own.at.transport, .listener = &peer->transport });
    enum err e = writer_finish(&w, &f.body);
    ENSURE(e == OK);
    overlay_send_frame(o, peer->link, &f);
    peer->told_seq = o->own.seq;
}

void session_say_empty(struct overlay *o, struct peer *peer, enum message_type type, uint64_t request)
{
    uint8_t body[4];
    struct writer w;
    struct frame f = { .type = type, .request = request };
    writer_init(&w, body, sizeof body);
    msg_empty_write(&w);
    enum err e = writer_finish(&w, &f.body);
    ENSURE(e == OK);
    overlay_send_frame(o, peer->link, &f);
}

void session_hang_up(struct overlay *o, struct link link)
{
    struct overlay_effect e = { .kind = OVERLAY_HANGUP, .link = link };
    o->counters.hangups++;
    overlay_emit(o, &e);
}

void session_notice(struct overlay *o, enum overlay_effect_kind kind, const struct node_id *node)
{
    struct overlay_effect e = { .kind = kind, .node = *node };
    overlay_emit(o, &e);
}

/* ---- endings ---- */

/* A dial that came to nothing. */
static void fail_dial(struct overlay *o, struct peer *peer)
{
    struct peer gone = *peer;
    o->counters.dials_failed++;
    session_hang_up(o, peer->link);
    peers_release(&o->peers, peer);
    if (!gone.has_id)
        return;
    routing_failed(&o->routing, o->now, &gone.id);
    if (gone.opened && !peers_find_id(&o->peers, &gone.id))
        session_notice(o, OVERLAY_PEER_DOWN, &gone.id);
    search_peer_failed(o, &gone.id);
}

/* An UP peer is gone, for whatever reason. */
static void end_peer(struct overlay *o, struct peer *peer)
{
    struct node_id id = peer->id;
    o->counters.peers_down++;
    session_hang_up(o, peer->link);
    peers_release(&o->peers, peer);
    routing_lost(&o->routing, o->now, &id);
    session_notice(o, OVERLAY_PEER_DOWN, &id);
    search_peer_failed(o, &id);
    overlay_wake(o, routing_deadline(&o->routing));
    upkeep_hurry_bootstrap(o);
}

/* Ends a slot in whatever way its state asks for. */
void session_end(struct overlay *o, struct peer *peer)
{
    switch (peer->state) {
    case PEER_DIALLING:
    case PEER_GREETING: fail_dial(o, peer); return;
    case PEER_UP: end_peer(o, peer); return;
    case PEER_SHADOW:
        session_hang_up(o, peer->link);
        peers_release(&o->peers, peer);
        return;
    case PEER_STRANGER: peers_release(&o->peers, peer); return;
    case PEER_ARRIVING:
    case PEER_FREE:
    case PEER_STATE_COUNT: break;
    }
    ENSURE(false);                                         /* a slot in use is in one of the states above */
}

void session_drop(struct overlay *o, struct peer *peer, enum goaway reason)
{
    session_say_goaway(o, peer->link, reason);
    session_end(o, peer);
}

static void mute(struct overlay *o, struct peer *peer)
{
    struct overlay_effect e = { .kind = OVERLAY_MUTE, .link = peer->link, .key = peer->transport, .mute_ms = MUTE_MS };
    struct node_id id = peer->id;
    o->counters.mutes++;
    overlay_emit(o, &e);
    session_end(o, peer);
    routing_forget(&o->routing, &id);
}

bool session_offence(struct overlay *o, struct peer *peer, uint32_t type, enum err what)
{
    overlay_refuse(o, type, what);
    if (what == ERR_TYPE || !throttle_offence(&peer->throttle, o->now, what))
        return false;                                          /* unknown types: a newer version talks like that */
    mute(o, peer);
    return true;
}

/* ---- dialling ---- */

static void expect(struct peer *peer, const struct node_record *record)
{
    peer->has_id = true;
    peer->id = record->id;
    peer->record = *record;
}

/* That transport key is being dialled already: the wishes join, unless two node ids claim the one key. */
static struct peer *join_dial(struct peer *peer, const struct node_record *record)
{
    if (record && !peer->has_id)
        expect(peer, record);
    return !record || node_id_equal(&peer->id, &record->id) ? peer : NULL;
}

struct peer *session_dial(struct overlay *o, const struct endpoint *at, const struct node_record *record)
{
    struct peer *peer = peers_find_transport(&o->peers, &at->transport);
    if (peer && (peer->state == PEER_DIALLING || peer->state == PEER_GREETING))
        return join_dial(peer, record);
    if (!outbox_has_room(&o->out, 8, 2 * sizeof *at))
        return NULL;
    peer = peers_take(&o->peers, (struct link){ o->last_link + 1 }, PEER_DIALLING);
    if (!peer)
        return NULL;
    o->last_link++;
    ENSURE(!link_is_inbound(peer->link));
    peer->transport = at->transport;
    peer->since = o->now;
    peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS);
    throttle_init(&peer->throttle, o->now);
    if (record)
        expect(peer, record);
    struct endpoint *copy = outbox_alloc(&o->out, sizeof *copy);
    *copy = *at;
    struct overlay_effect e = { .kind = OVERLAY_DIAL, .link = peer->link, .at = copy };
    o->counters.dials++;
    overlay_emit(o, &e);
    overlay_wake(o, peer->deadline);
    return peer;
}

/* Whose dial carries the talk when both have dialled: the smaller id's. */
bool session_our_dial_wins(const struct overlay *o, const struct node_id *other)
{
    return hash_compare(&o->own.id.h, &other->h) < 0;
}

void session_link_up(struct overlay *o, struct link link)
{
    struct peer *peer = peers_find_link(&o->peers, link);
    if (!peer || peer->state != PEER_DIALLING) {
        if (!peer && !link_is_inbound(link))
            session_hang_up(o, link);                                  /* we gave it up while it was being made */
        return;
    }
    peers_set_state(&o->peers, peer, PEER_GREETING);
    peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS / 2);
    overlay_wake(o, peer->deadline);
    if (peer->has_id && peers_find_id(&o->peers, &peer->id) && !session_our_dial_wins(o, &peer->id)) {
        o->counters.duplicate_links++;                         /* the other side came first, and its link is the better one */
        session_hang_up(o, peer->link);
        peers_release(&o->peers, peer);
        return;
    }
    session_say_hello(o, peer, MSG_HELLO);
    if (peer->has_id)
        search_peer_ready(o, peer);                            /* first questions follow in the same breath */
}

static struct peer *find_shadow(struct overlay *o, const struct node_id *id)
{
    size_t cursor = 0;
    for (struct peer *p; (p = peers_each(&o->peers, PEER_SHADOW, &cursor));)
        if (node_id_equal(&p->id, id))
            return p;
    return NULL;
}

/* The link that won a crossing has broken, but the other one still stands: it steps in. */
static void step_in(struct overlay *o, struct peer *peer, struct peer *shadow)
{
    shadow->since = o->now;
    shadow->used = peer->used;
    shadow->liveness = peer->liveness;
    shadow->opened = false;
    session_hang_up(o, peer->link);
    peers_release(&o->peers, peer);
    peers_set_state(&o->peers, shadow, PEER_UP);
    search_peer_ready(o, shadow);
}

void session_link_down(struct overlay *o, struct link link)
{
    struct peer *peer = peers_find_link(&o->peers, link);
    if (!peer)
        return;
    struct peer *shadow = peer->state == PEER_UP ? find_shadow(o, &peer->id) : NULL;
    if (shadow)
        step_in(o, peer, shadow);
    else
        session_end(o, peer);
}

/* ---- time ---- */

static void tick_dial(struct overlay *o, struct peer *peer)
{
    if (!mono_reached(o->now, peer->deadline))
        return;
    if (peer->state == PEER_GREETING && !peer->greeted_twice) {
        peer->greeted_twice = true;                            /* a lost HELLO is not a dead node */
        peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS / 2);
        session_say_hello(o, peer, MSG_HELLO);
        return;
    }
    session_end(o, peer);
}

static bool is_idle(const struct overlay *o, const struct peer *peer)
{
    return !link_is_inbound(peer->link) && mono_reached(o->now, mono_add_ms(peer->used, LINK_IDLE_MS)) &&
           !routing_has_seat(&o->routing, &peer->id);
}

static void tick_up(struct overlay *o, struct peer *peer)
{
    switch (liveness_due(&peer->liveness, o->now)) {
    case LIVENESS_DEAD: session_drop(o, peer, GOAWAY_LEAVING); return;
    case LIVENESS_PING:
        if (is_idle(o, peer)) {                                /* asked at every ping: no timer of its own */
            session_drop(o, peer, GOAWAY_IDLE);
            return;
        }
        session_say_empty(o, peer, MSG_PING, ++o->last_request);
        liveness_asked(&peer->liveness, o->now, o->last_request);
        break;
    case LIVENESS_WAIT: break;
    }
    if (peer->told_seq < o->own.seq)
        session_say_hello(o, peer, MSG_HELLO_OK);
}

void session_tick(struct overlay *o)
{
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        if (o->peers.links[i] == 0)                            /* a small array: most slots are free */
            continue;
        struct peer *peer = &o->peers.slots[i];
        if (!outbox_has_room(&o->out, 8, 2 * 1024)) {
            o->counters.outbox_deferred++;
            overlay_wake(o, o->now);
            return;
        }
        if (peer->state == PEER_DIALLING || peer->state == PEER_GREETING)
            tick_dial(o, peer);
        else if (peer->state == PEER_UP)
            tick_up(o, peer);
        else if (mono_reached(o->now, peer->deadline))
            session_end(o, peer);
    }
}

struct mono session_deadline(const struct overlay *o)
{
    struct mono deadline = MONO_NEVER;
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        if (o->peers.links[i] == 0)
            continue;
        const struct peer *peer = &o->peers.slots[i];
        if (peer->state == PEER_UP)
            deadline = mono_min(deadline, peer->told_seq < o->own.seq ? o->now : liveness_deadline(&peer->liveness));
        else
            deadline = mono_min(deadline, peer->deadline);
    }
    return deadline;
}
