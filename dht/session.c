/* session.c - who may say what on a link (PROTO 3.4 to 3.6).
 *
 *     DIAL -> DIALLING -- LINK_UP, HELLO --> GREETING -- HELLO_OK --.
 *                                                                   v
 *     inbound frame -- HELLO ------------------------------------> UP --> LINK_DOWN, silence, GOAWAY, idle, mute
 *                   '- anything else --> STRANGER -- HELLO ---------^
 *
 * links.c moves links into and out of DIALLING and GREETING, admission.c into UP and SHADOW; this file reads frames.
 */
#include "dht/overlay_state.h"

#include <string.h>

/* What an unproved inbound link may say: HELLO. Everything else is held against its key, if there is room to remember. */
static void stranger_frame(struct overlay *o, const struct overlay_event *ev, const struct frame *f, enum err e)
{
    uint32_t type = e == OK || e == ERR_TYPE ? f->type : 0;
    if (e == OK)
        e = f->type == MSG_HELLO ? admission_hello(o, ev, f) : ERR_STATE;
    if (e == OK)
        return;
    struct peer *peer = peers_find_link(&o->peers, ev->link);
    if (peer && peer->state != PEER_STRANGER) {
        overlay_refuse(o, type, e);
        return;
    }
    if (e == ERR_STATE && !peer && type != MSG_GOAWAY)
        session_say_goaway(o, ev->link, GOAWAY_NO_SESSION);            /* once: we may have restarted under a peer's open link */
    if (e == ERR_ARG)
        session_say_goaway(o, ev->link, GOAWAY_REFUSED);               /* we dialled ourselves */
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
    session_end(o, peer);                                         /* whatever the reason, the other side is done with this link */
}

/* A frame on a link whose dial we started and whose HELLO_OK is outstanding. */
static void greeting_frame(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum err e = f->type == MSG_HELLO_OK ? admission_hello_ok(o, peer, f) : ERR_STATE;
    if (e == OK)
        return;
    if (f->type == MSG_GOAWAY) {
        goaway_in(o, peer, f);
        return;
    }
    overlay_refuse(o, f->type, e);
    if (f->type == MSG_HELLO_OK)
        session_end(o, peer);                                     /* not who we wanted: no second chance on this link */
}

/* Session messages of a proved peer; false if the message is not one. */
static bool session_message(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum err e = OK;
    if (f->type == MSG_PING) {
        e = msg_empty_decode(f->body);
        if (e == OK)
            session_say_empty(o, peer, MSG_PONG, f->request);
    } else if (f->type == MSG_PONG) {
        e = msg_empty_decode(f->body);
        if (e == OK && liveness_answered(&peer->liveness, o->now, f->request) != OK)
            return true;                                       /* late: normal */
    } else if (f->type == MSG_HELLO_OK) {
        e = admission_hello_ok(o, peer, f);
    } else if (f->type == MSG_HELLO) {
        struct overlay_event ev = { .kind = OVERLAY_FRAME, .link = peer->link, .from = peer->transport };
        e = link_is_inbound(peer->link) ? admission_hello(o, &ev, f) : ERR_STATE;
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
