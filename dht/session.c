/* session.c - how links become peers, and peers become nothing (PROTO 3.4, 3.5).
 *
 *     DIAL -> DIALLING -- LINK_UP, HELLO --> GREETING -- HELLO_OK --.
 *                                                                   v
 *     inbound frame -- HELLO ------------------------------------> UP --> LINK_DOWN, silence, GOAWAY, idle, mute
 *                   '- anything else --> STRANGER -- HELLO ---------^
 *
 * Two nodes may dial each other at once. The link dialled by the smaller node id then carries what is said; the other one
 * becomes a SHADOW, on which frames already under way are still accepted, and is hung up soon after by who dialled it. A
 * second link to a peer that has long been up means that the other side has lost the first: the newer link wins.
 */
#include "dht/overlay_state.h"

#include <string.h>

enum { CROSSING_MS = HELLO_TIMEOUT_MS, SHADOW_MS = HELLO_TIMEOUT_MS };
static const struct bucket_rate hello_rate = { HELLOS_PER_S, HELLOS_BURST };

/* ---- saying things ---- */

static void say_goaway(struct overlay *o, struct link link, enum goaway reason)
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

static void say_hello(struct overlay *o, struct peer *peer, enum message_type type)
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

static void say_empty(struct overlay *o, struct peer *peer, enum message_type type, uint64_t request)
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

static void hang_up(struct overlay *o, struct link link)
{
    struct overlay_effect e = { .kind = OVERLAY_HANGUP, .link = link };
    o->counters.hangups++;
    overlay_emit(o, &e);
}

static void notice(struct overlay *o, enum overlay_effect_kind kind, const struct node_id *node)
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
    hang_up(o, peer->link);
    peers_release(&o->peers, peer);
    if (!gone.has_id)
        return;
    routing_failed(&o->routing, o->now, &gone.id);
    if (gone.opened && !peers_find_id(&o->peers, &gone.id))
        notice(o, OVERLAY_PEER_DOWN, &gone.id);
    search_peer_failed(o, &gone.id);
}

/* An UP peer is gone, for whatever reason. */
static void end_peer(struct overlay *o, struct peer *peer)
{
    struct node_id id = peer->id;
    o->counters.peers_down++;
    hang_up(o, peer->link);
    peers_release(&o->peers, peer);
    routing_lost(&o->routing, o->now, &id);
    notice(o, OVERLAY_PEER_DOWN, &id);
    search_peer_failed(o, &id);
    overlay_wake(o, routing_deadline(&o->routing));
    overlay_peer_is_down(o);
}

/* Ends a slot in whatever way its state asks for. */
static void end_slot(struct overlay *o, struct peer *peer)
{
    switch (peer->state) {
    case PEER_DIALLING:
    case PEER_GREETING: fail_dial(o, peer); return;
    case PEER_UP: end_peer(o, peer); return;
    case PEER_SHADOW:
        hang_up(o, peer->link);
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
    say_goaway(o, peer->link, reason);
    end_slot(o, peer);
}

static void mute(struct overlay *o, struct peer *peer)
{
    struct overlay_effect e = { .kind = OVERLAY_MUTE, .link = peer->link, .key = peer->transport, .mute_ms = MUTE_MS };
    struct node_id id = peer->id;
    o->counters.mutes++;
    overlay_emit(o, &e);
    end_slot(o, peer);
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
static bool our_dial_wins(const struct overlay *o, const struct node_id *other) { return hash_compare(&o->own.id.h, &other->h) < 0; }

void session_link_up(struct overlay *o, struct link link)
{
    struct peer *peer = peers_find_link(&o->peers, link);
    if (!peer || peer->state != PEER_DIALLING) {
        if (!peer && !link_is_inbound(link))
            hang_up(o, link);                                  /* we gave it up while it was being made */
        return;
    }
    peers_set_state(&o->peers, peer, PEER_GREETING);
    peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS / 2);
    overlay_wake(o, peer->deadline);
    if (peer->has_id && peers_find_id(&o->peers, &peer->id) && !our_dial_wins(o, &peer->id)) {
        o->counters.duplicate_links++;                         /* the other side came first, and its link is the better one */
        hang_up(o, peer->link);
        peers_release(&o->peers, peer);
        return;
    }
    say_hello(o, peer, MSG_HELLO);
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
    hang_up(o, peer->link);
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
        end_slot(o, peer);
}

/* ---- admission ---- */

/* Is there a peer whom nobody would miss? Not in the table, and silent for LINK_IDLE_MS; the longest silent first. */
static struct peer *find_dispensable(struct overlay *o)
{
    struct peer *best = NULL;
    size_t cursor = 0;
    for (struct peer *p; (p = peers_each(&o->peers, PEER_UP, &cursor));)
        if (!routing_has_seat(&o->routing, &p->id) && mono_reached(o->now, mono_add_ms(p->used, LINK_IDLE_MS)) &&
            (!best || p->used.us < best->used.us))
            best = p;
    return best;
}

static bool make_room(struct overlay *o)
{
    if (peers_has_room(&o->peers, PEER_UP))
        return true;
    struct peer *dispensable = find_dispensable(o);
    if (dispensable)
        session_drop(o, dispensable, GOAWAY_IDLE);
    return dispensable != NULL;
}

/* `loser` stays as a shadow if there is room for one: frames on it may be under way. */
static void make_shadow(struct overlay *o, struct peer *loser)
{
    o->counters.duplicate_links++;
    if (!peers_has_room(&o->peers, PEER_SHADOW)) {
        hang_up(o, loser->link);
        peers_release(&o->peers, loser);
        return;
    }
    peers_set_state(&o->peers, loser, PEER_SHADOW);
    loser->deadline = mono_add_ms(o->now, SHADOW_MS);
    overlay_wake(o, loser->deadline);
}

/* Another link of a node that is up already has proved itself. True if the new one takes over. */
static bool newer_link_wins(const struct overlay *o, const struct peer *old, const struct peer *fresh)
{
    bool crossing = link_is_inbound(old->link) != link_is_inbound(fresh->link) &&
                    !mono_reached(o->now, mono_add_ms(old->since, CROSSING_MS));
    if (!crossing)
        return true;
    return our_dial_wins(o, &old->id) != link_is_inbound(fresh->link);
}

/* The new link inherits what the peer was; nobody outside notices. */
static void take_over(struct overlay *o, struct peer *old, struct peer *fresh)
{
    fresh->since = old->since;
    fresh->used = old->used;
    fresh->throttle = old->throttle;
    fresh->liveness = old->liveness;
    make_shadow(o, old);
    peers_set_state(&o->peers, fresh, PEER_UP);
    o->counters.peers_up++;
    o->counters.peers_down++;
}

/* `slot` has proved itself as the author of `record`. */
static void become_up(struct overlay *o, struct peer *slot, const struct node_record *record)
{
    struct peer *old = peers_find_id(&o->peers, &record->id);
    slot->has_id = true;
    slot->id = record->id;
    slot->record = *record;
    slot->since = slot->used = o->now;
    if (old && newer_link_wins(o, old, slot)) {
        take_over(o, old, slot);
    } else if (old) {
        make_shadow(o, slot);
        return;
    } else {
        peers_set_state(&o->peers, slot, PEER_UP);
        liveness_init(&slot->liveness, o->now);
        o->counters.peers_up++;
        notice(o, OVERLAY_PEER_UP, &slot->id);
    }
    overlay_peer_is_up(o, slot);
}

/* Everything a HELLO must be before its author is believed. Cheap checks first; strangers' signatures are rationed. */
static enum err check_hello(struct overlay *o, const struct msg_hello *m, const struct seal_key *from)
{
    if (memcmp(m->record.at.transport.b, from->b, SEAL_KEY_BYTES) != 0)
        return ERR_MISMATCH;
    if (node_id_equal(&m->record.id, &o->own.id))
        return ERR_ARG;
    enum err e = record_check_cheap(&m->record, &o->net, o->pow_bits, overlay_wall(o));
    if (e != OK)
        return e;
    if (!bucket_take(&o->hellos, o->now, hello_rate, 1))
        return ERR_RATE;
    e = overlay_verify(o, &m->record);
    if (e != OK)
        return e;
    return msg_hello_verify(m, (struct hello_ends){ .speaker = from, .listener = &o->own.at.transport });
}

/* A newer record of a peer that is up. */
static void renew_record(struct overlay *o, struct peer *peer, const struct node_record *record)
{
    if (record->seq <= peer->record.seq)
        return;
    peer->record = *record;
    if (routing_has_seat(&o->routing, &peer->id) && record_is_dialable(record)) {
        enum err e = routing_proved(&o->routing, record);
        ENSURE(e == OK);
    } else if (!record_is_dialable(record)) {
        routing_forget(&o->routing, &peer->id);
    }
}

/* A HELLO on an inbound link, from a stranger or from somebody who is up. */
static enum err hello_in(struct overlay *o, const struct overlay_event *ev, const struct frame *f)
{
    struct msg_hello m;
    enum err e = msg_hello_decode(f->body, &m);
    if (e == OK)
        e = check_hello(o, &m, &ev->from);
    if (e != OK)
        return e;
    struct peer *peer = peers_find_link(&o->peers, ev->link);
    if (peer && (peer->state == PEER_UP || peer->state == PEER_SHADOW)) {
        if (!node_id_equal(&peer->id, &m.record.id))
            return ERR_MISMATCH;                               /* one link, one node */
        renew_record(o, peer, &m.record);
        say_hello(o, peer, MSG_HELLO_OK);
        return OK;
    }
    if (peer)
        peers_release(&o->peers, peer);                        /* a stranger no more */
    if (!peers_find_id(&o->peers, &m.record.id) && !make_room(o)) {
        say_goaway(o, ev->link, GOAWAY_FULL);
        return ERR_FULL;
    }
    peer = peers_take(&o->peers, ev->link, PEER_ARRIVING);
    ENSURE(peer != NULL);                                      /* one at a time, and nobody else may have its slot */
    peer->transport = ev->from;
    throttle_init(&peer->throttle, o->now);
    say_hello(o, peer, MSG_HELLO_OK);
    become_up(o, peer, &m.record);
    return OK;
}

/* HELLO_OK on a link we dialled (the proof), or on any link that is up (news of a record). */
static enum err hello_ok_in(struct overlay *o, struct peer *peer, const struct frame *f)
{
    struct msg_hello m;
    enum err e = msg_hello_decode(f->body, &m);
    if (e == OK)
        e = check_hello(o, &m, &peer->transport);
    if (e != OK)
        return e;
    if (peer->has_id && !node_id_equal(&peer->id, &m.record.id))
        return ERR_MISMATCH;
    if (peer->state != PEER_GREETING) {
        renew_record(o, peer, &m.record);
        return OK;
    }
    if (!peers_find_id(&o->peers, &m.record.id) && !make_room(o))
        return ERR_FULL;
    become_up(o, peer, &m.record);
    return OK;
}

/* ---- frames ---- */

/* What an unproved inbound link may say: HELLO. Everything else is held against its key, if there is room to remember. */
static void stranger_frame(struct overlay *o, const struct overlay_event *ev, const struct frame *f, enum err e)
{
    uint32_t type = e == OK || e == ERR_TYPE ? f->type : 0;
    if (e == OK)
        e = f->type == MSG_HELLO ? hello_in(o, ev, f) : ERR_STATE;
    if (e == OK)
        return;
    struct peer *peer = peers_find_link(&o->peers, ev->link);
    if (peer && peer->state != PEER_STRANGER) {
        overlay_refuse(o, type, e);
        return;
    }
    if (e == ERR_STATE && !peer && type != MSG_GOAWAY)
        say_goaway(o, ev->link, GOAWAY_NO_SESSION);            /* once: we may have restarted under a peer's open link */
    if (e == ERR_ARG)
        say_goaway(o, ev->link, GOAWAY_REFUSED);               /* we dialled ourselves */
    if (!peer) {
        peer = peers_take(&o->peers, ev->link, PEER_STRANGER);
        if (!peer) {
            overlay_refuse(o, type, e);
            return;
        }
        peer->transport = ev->from;
        peer->since = o->now;
        peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS);
        throttle_init(&peer->throttle, o->now);
        overlay_wake(o, peer->deadline);
    }
    (void)session_offence(o, peer, type, e);
}

static void goaway_in(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum goaway reason;
    enum err e = msg_goaway_decode(f->body, &reason);
    if (e != OK) {
        (void)session_offence(o, peer, f->type, e);
        return;
    }
    end_slot(o, peer);                                         /* whatever the reason, the other side is done with this link */
}

/* A frame on a link whose dial we started and whose HELLO_OK is outstanding. */
static void greeting_frame(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum err e = f->type == MSG_HELLO_OK ? hello_ok_in(o, peer, f) : ERR_STATE;
    if (e == OK)
        return;
    if (f->type == MSG_GOAWAY) {
        goaway_in(o, peer, f);
        return;
    }
    overlay_refuse(o, f->type, e);
    if (f->type == MSG_HELLO_OK)
        end_slot(o, peer);                                     /* not who we wanted: no second chance on this link */
}

/* Session messages of a proved peer; false if the message is not one. */
static bool session_message(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum err e = OK;
    if (f->type == MSG_PING) {
        e = msg_empty_decode(f->body);
        if (e == OK)
            say_empty(o, peer, MSG_PONG, f->request);
    } else if (f->type == MSG_PONG) {
        e = msg_empty_decode(f->body);
        if (e == OK && liveness_answered(&peer->liveness, o->now, f->request) != OK)
            return true;                                       /* late: normal */
    } else if (f->type == MSG_HELLO_OK) {
        e = hello_ok_in(o, peer, f);
    } else if (f->type == MSG_HELLO) {
        struct overlay_event ev = { .kind = OVERLAY_FRAME, .link = peer->link, .from = peer->transport };
        e = link_is_inbound(peer->link) ? hello_in(o, &ev, f) : ERR_STATE;
    } else if (f->type == MSG_GOAWAY) {
        goaway_in(o, peer, f);
        return true;
    } else {
        return false;
    }
    if (e != OK)
        (void)session_offence(o, peer, f->type, e);
    return true;
}

/* The peer that this link's frames count for: a shadow speaks for the link that took over. */
static struct peer *speaker(struct overlay *o, struct peer *peer)
{
    if (peer->state != PEER_SHADOW)
        return peer;
    struct peer *primary = peers_find_id(&o->peers, &peer->id);
    return primary ? primary : peer;
}

void session_frame(struct overlay *o, const struct overlay_event *ev)
{
    struct frame f = { 0 };
    struct peer *peer = peers_find_link(&o->peers, ev->link);
    enum err e = frame_decode(ev->frame, &f);
    o->counters.frames_in++;
    o->counters.bytes_in += ev->frame.len;
    o->counters.in_by_type[message_index(e == OK ? f.type : 0)]++;
    if (!peer && !link_is_inbound(ev->link)) {
        overlay_refuse(o, f.type, ERR_NOT_FOUND);              /* a link we have hung up */
        return;
    }
    if (!peer || peer->state == PEER_STRANGER) {
        stranger_frame(o, ev, &f, e);
        return;
    }
    if (memcmp(peer->transport.b, ev->from.b, SEAL_KEY_BYTES) != 0) {
        overlay_refuse(o, f.type, ERR_MISMATCH);               /* not the connection that proved itself: nobody to blame */
        return;
    }
    if (e == OK)
        e = throttle_charge(&peer->throttle, o->now, ev->frame.len);
    if (e != OK) {
        (void)session_offence(o, peer, f.type, e);
        return;
    }
    if (peer->state == PEER_DIALLING || peer->state == PEER_GREETING) {
        greeting_frame(o, peer, &f);
        return;
    }
    struct peer *who = speaker(o, peer);
    liveness_heard(&who->liveness, o->now);
    if (!session_message(o, peer, &f))
        overlay_message(o, who, &f);
}

/* ---- time ---- */

static void tick_dial(struct overlay *o, struct peer *peer)
{
    if (!mono_reached(o->now, peer->deadline))
        return;
    if (peer->state == PEER_GREETING && !peer->greeted_twice) {
        peer->greeted_twice = true;                            /* a lost HELLO is not a dead node */
        peer->deadline = mono_add_ms(o->now, HELLO_TIMEOUT_MS / 2);
        say_hello(o, peer, MSG_HELLO);
        return;
    }
    end_slot(o, peer);
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
        say_empty(o, peer, MSG_PING, ++o->last_request);
        liveness_asked(&peer->liveness, o->now, o->last_request);
        break;
    case LIVENESS_WAIT: break;
    }
    if (peer->told_seq < o->own.seq)
        say_hello(o, peer, MSG_HELLO_OK);
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
            end_slot(o, peer);
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
