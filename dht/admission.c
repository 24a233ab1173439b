/* admission.c - is this who it says it is, and which of two links to it shall carry the talk? (PROTO 3.4)
 *
 * Two nodes may dial each other at once. The link dialled by the smaller node id then carries what is said; the other one
 * becomes a SHADOW, on which frames already under way are still accepted, and is hung up soon after by who dialled it. A
 * second link to a peer that has long been up means that the other side has lost the first: the newer link wins.
 */
#include "dht/overlay_state.h"

#include <string.h>

enum { CROSSING_MS = HELLO_TIMEOUT_MS, SHADOW_MS = HELLO_TIMEOUT_MS };
static const struct bucket_rate hello_rate = { HELLOS_PER_S, HELLOS_BURST };

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
        session_hang_up(o, loser->link);
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
    return session_our_dial_wins(o, &old->id) != link_is_inbound(fresh->link);
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
        session_notice(o, OVERLAY_PEER_UP, &slot->id);
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
enum err admission_hello(struct overlay *o, const struct overlay_event *ev, const struct frame *f)
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
        session_say_hello(o, peer, MSG_HELLO_OK);
        return OK;
    }
    if (peer)
        peers_release(&o->peers, peer);                        /* a stranger no more */
    if (!peers_find_id(&o->peers, &m.record.id) && !make_room(o)) {
        session_say_goaway(o, ev->link, GOAWAY_FULL);
        return ERR_FULL;
    }
    peer = peers_take(&o->peers, ev->link, PEER_ARRIVING);
    ENSURE(peer != NULL);                                      /* one at a time, and nobody else may have its slot */
    peer->transport = ev->from;
    throttle_init(&peer->throttle, o->now);
    session_say_hello(o, peer, MSG_HELLO_OK);
    become_up(o, peer, &m.record);
    return OK;
}

/* HELLO_OK on a link we dialled (the proof), or on any link that is up (news of a record). */
enum err admission_hello_ok(struct overlay *o, struct peer *peer, const struct frame *f)
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
