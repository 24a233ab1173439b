/* frames_zmq.c - reads frames, finds out whose they are, and decides whether they may pass.
 *
 * A frame from the ROUTER passes if: it is the whole message; its size is within the limit; its connection's User-Id is a
 * key we admitted and have not refused since; its routing id is one that this ROUTER gave out; and the link's rate allows
 * it. The first such frame of a connection makes the link.
 *
 * libzmq's ROUTER takes turns among its peers message by message, and what we take per turn is bounded, so one flooder
 * can slow nobody but himself. The ROUTER and the dialled sockets take turns here.
 */
#include "node/transport_parts_zmq.h"

#include <stdlib.h>
#include <string.h>

enum { ROUTER_STREAK = 8, SKIP_PARTS = 4096 };

void frame_release(struct transport *t)
{
    if (t->lent_open)
        zmq_msg_close(&t->lent);
    t->lent_open = false;
}

static bool part_read(void *socket, zmq_msg_t *m)
{
    zmq_msg_init(m);
    if (zmq_msg_recv(m, socket, ZMQ_DONTWAIT) >= 0)
        return true;
    zmq_msg_close(m);
    return false;
}

/* Throws away parts of a message that should not have more; false when some are left for next time. */
static bool skip_rest(void *socket)
{
    zmq_msg_t m;
    for (int i = 0; i < SKIP_PARTS && part_read(socket, &m); i++) {
        bool more = zmq_msg_more(&m);
        zmq_msg_close(&m);
        if (!more)
            return true;
    }
    return false;
}

/* ---- whose is it? ---- */

struct sender {
    uint8_t routing_id[255];
    size_t routing_id_len;
    const char *user_id;                   /* lent from the message */
    struct seal_key key;
    int fd;
    const char *address;
};

static int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* False if it carries no User-Id of ours: not from the network. */
static bool sender_of(zmq_msg_t *id, zmq_msg_t *m, struct sender *out)
{
    out->routing_id_len = zmq_msg_size(id) <= sizeof out->routing_id ? zmq_msg_size(id) : 0;
    memcpy(out->routing_id, zmq_msg_data(id), out->routing_id_len);
    out->fd = zmq_msg_get(m, ZMQ_SRCFD);
    out->address = zmq_msg_gets(m, "Peer-Address");
    out->user_id = zmq_msg_gets(m, "User-Id");
    if (!out->user_id || strlen(out->user_id) != USER_ID_CHARS)
        return false;
    for (size_t i = 0; i < sizeof out->key.b; i++) {
        int high = nibble(out->user_id[2 * i]), low = nibble(out->user_id[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->key.b[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

/* libzmq numbers the ids it gives out upwards from a random start, which we know and a stranger does not. */
static bool is_own_form(struct transport *t, const struct sender *s)
{
    if (s->routing_id_len != ROUTING_ID_BYTES || s->routing_id[0] != 0)
        return false;
    const uint8_t *b = s->routing_id + 1;
    uint32_t number = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    if (number - t->routing_id_base < t->accepted)
        return true;
    t->router_monitor_readable = true;                     /* its ACCEPTED may still wait to be read */
    monitor_inbound(t);
    return number - t->routing_id_base < t->accepted;
}

static struct peer_link *inbound_find(struct transport *t, const struct sender *s)
{
    for (uint32_t i = 0; i < t->inbound_slots; i++)
        if (t->inbound[i].state != LINK_FREE && memcmp(t->inbound[i].routing_id, s->routing_id, ROUTING_ID_BYTES) == 0)
            return &t->inbound[i];
    return NULL;
}

static struct connection *sender_connection(struct transport *t, const struct sender *s)
{
    struct connection *c = connection_find(t, s->fd);
    if (!c) {
        t->router_monitor_readable = true;
        monitor_inbound(t);
        c = connection_find(t, s->fd);
    }
    const char *address = s->address ? s->address : "";
    if (strncmp(address, "::ffff:", 7) == 0)
        address += 7;
    return c && strcmp(c->host, address) == 0 ? c : NULL;  /* else the number already names another connection */
}

/* A free slot; else the link that has been dead longest; else NULL. */
static struct peer_link *inbound_slot(struct transport *t)
{
    struct peer_link *oldest = NULL;
    for (uint32_t i = 0; i < t->inbound_slots; i++) {
        struct peer_link *l = &t->inbound[i];
        if (l->state == LINK_FREE)
            return l;
        if (l->state == LINK_DEAD && (!oldest || l->due.us < oldest->due.us))
            oldest = l;
    }
    return oldest;
}

static void connection_leave(struct transport *t, struct peer_link *l)
{
    l->connection = NO_SLOT;
    link_end(t, l);
}

static struct peer_link *inbound_make(struct transport *t, const struct sender *s)
{
    struct connection *c = sender_connection(t, s);
    if (!c || c->cut) {
        t->counters.dropped_late++;
        return NULL;
    }
    struct peer_link *l = t->counters.inbound_links < t->limits.inbound_max ? inbound_slot(t) : NULL;
    if (!l) {
        t->counters.refused_full++;
        connection_cut(c);
        return NULL;
    }
    if (c->slot != NO_SLOT && t->inbound[c->slot].state == LINK_OPEN)
        connection_leave(t, &t->inbound[c->slot]);         /* one connection, one link */
    *l = (struct peer_link){ .state = LINK_OPEN, .id = LINK_INBOUND_BIT | t->inbound_next++, .peer = s->key };
    memcpy(l->routing_id, s->routing_id, ROUTING_ID_BYTES);
    memcpy(l->user_id, s->user_id, USER_ID_CHARS);
    l->connection = (uint32_t)(c - t->connections);
    c->slot = (uint32_t)(l - t->inbound);
    c->spoke = true;
    rate_init(&l->bytes, t->bytes_rate, t->now);
    rate_init(&l->msgs, t->msgs_rate, t->now);
    t->counters.inbound_links++;
    t->counters.links_up++;
    return l;
}

/* ---- may it pass? ---- */

static void refuse_sender(struct transport *t, const struct sender *s, uint64_t *counter)
{
    (*counter)++;
    struct connection *c = sender_connection(t, s);
    if (c)
        connection_cut(c);
    offence(t, &s->key);
}

/* The link of a well-behaved sender, or NULL: dropped, and priced. */
static struct peer_link *link_of(struct transport *t, const struct sender *s)
{
    struct peer_link *l = inbound_find(t, s);
    if (l && memcmp(l->user_id, s->user_id, USER_ID_CHARS) != 0) {
        t->counters.offence_key_change++;                  /* a new owner of an old id: the old link is over */
        if (l->state == LINK_OPEN)
            link_end(t, l);
        l->routing_id[0] = 1;                              /* no id of ours looks so: it is found no more */
        l = NULL;
    }
    if (!l && admission_is_muted(&t->admission, t->now, &s->key)) {
        struct connection *c = sender_connection(t, s);
        if (c)
            connection_cut(c);
        t->counters.dropped_muted++;
        return NULL;
    }
    return l ? l : inbound_make(t, s);
}

static bool within_rate(struct transport *t, struct peer_link *l, size_t bytes)
{
    if (rate_take(&l->msgs, t->msgs_rate, t->now, 1) && rate_take(&l->bytes, t->bytes_rate, t->now, bytes))
        return true;
    if (l->state == LINK_OPEN) {
        t->counters.cut_rate++;
        link_end(t, l);
        if (l->connection != NO_SLOT)
            connection_cut(&t->connections[l->connection]);
        link_tell_down(t, l);
    }
    return false;
}

static struct peer_link *admit(struct transport *t, const struct sender *s, size_t bytes, bool more)
{
    if (!is_own_form(t, s)) {
        refuse_sender(t, s, &t->counters.offence_routing_id);
        return NULL;
    }
    if (more) {
        refuse_sender(t, s, &t->counters.offence_multipart);
        return NULL;
    }
    if (bytes > FRAME_BYTES_MAX) {
        refuse_sender(t, s, &t->counters.offence_oversize);
        return NULL;
    }
    struct peer_link *l = link_of(t, s);
    if (!l)
        return NULL;
    if (l->connection != NO_SLOT)
        connection_delivered(&t->connections[l->connection], bytes);
    if (l->state == LINK_DEAD || (l->state == LINK_ENDING && (l->tell_down || admission_is_muted(&t->admission, t->now, &l->peer)))) {
        t->counters.dropped_late++;
        return NULL;
    }
    return within_rate(t, l, bytes) ? l : NULL;
}

/* Takes the message over. */
static void lend(struct transport *t, struct peer_link *l, zmq_msg_t *m, struct transport_event *out)
{
    zmq_msg_init(&t->lent);
    zmq_msg_move(&t->lent, m);
    t->lent_open = true;
    *out = (struct transport_event){ .kind = TRANSPORT_FRAME, .link = l->id, .peer = l->peer };
    out->frame = bytes_of(zmq_msg_data(&t->lent), zmq_msg_size(&t->lent));
    if (!link_is_outbound(l) && l->connection != NO_SLOT)
        memcpy(out->host, t->connections[l->connection].host, sizeof out->host);
    t->counters.frames_in++;
    t->counters.bytes_in += out->frame.len;
}

/* ---- reading ---- */

/* Nothing is left of connections that are gone: now their end can be told. */
static void router_drained(struct transport *t)
{
    t->router_readable = false;
    for (uint32_t i = 0; i < t->inbound_slots; i++)
        if (t->inbound[i].state == LINK_ENDING)
            link_tell_down(t, &t->inbound[i]);
}

static bool router_read(struct transport *t, struct transport_event *out)
{
    if (t->skipping) {
        t->skipping = !skip_rest(t->router);
        return false;
    }
    zmq_msg_t id, m;
    if (!part_read(t->router, &id)) {
        router_drained(t);
        return false;
    }
    bool passed = false;
    if (zmq_msg_more(&id) && part_read(t->router, &m)) {
        struct sender s;
        bool more = zmq_msg_more(&m);
        t->skipping = more;
        struct peer_link *l = sender_of(&id, &m, &s) ? admit(t, &s, zmq_msg_size(&m), more) : NULL;
        if (l)
            lend(t, l, &m, out);
        passed = l != NULL;
        zmq_msg_close(&m);
    }
    zmq_msg_close(&id);
    return passed;
}

static bool outbound_read(struct transport *t, struct peer_link *l, struct transport_event *out)
{
    zmq_msg_t m;
    if (!part_read(l->socket, &m)) {
        l->readable = false;
        if (l->state == LINK_ENDING)
            link_tell_down(t, l);
        return false;
    }
    size_t bytes = zmq_msg_size(&m);
    bool passed = !zmq_msg_more(&m) && bytes <= FRAME_BYTES_MAX;
    connection_delivered(&l->tcp, bytes);
    if (passed) {
        (void)rate_take(&l->bytes, t->bytes_rate, t->now, bytes);   /* may_read() saw that there is room; an ENDING link */
        (void)rate_take(&l->msgs, t->msgs_rate, t->now, 1);         /* is read out whatever it costs */
        lend(t, l, &m, out);
    } else {
        *(zmq_msg_more(&m) ? &t->counters.offence_multipart : &t->counters.offence_oversize) += 1;
        offence(t, &l->peer);
        link_tell_down(t, l);
    }
    zmq_msg_close(&m);
    return passed;
}

/* A dialled link is read only while its rate has room for the largest frame; until then it waits in TCP. */
static bool may_read(struct transport *t, struct peer_link *l)
{
    if (!l->readable || l->tell_down || (l->state != LINK_OPEN && l->state != LINK_ENDING))
        return false;
    if (l->state == LINK_ENDING || !l->socket)
        return true;
    struct mono bytes = rate_ready(&l->bytes, t->bytes_rate, t->now, FRAME_BYTES_MAX);
    struct mono msgs = rate_ready(&l->msgs, t->msgs_rate, t->now, 1);
    struct mono ready = bytes.us > msgs.us ? bytes : msgs;
    if (mono_reached(t->now, ready))
        return true;
    t->counters.paused_outbound += l->paused_until.us <= t->now.us;
    l->paused_until = ready;
    return false;
}

static struct peer_link *outbound_turn(struct transport *t)
{
    for (uint32_t n = 0; n < t->limits.outbound_max; n++) {
        struct peer_link *l = &t->outbound[t->turn_cursor];
        t->turn_cursor = (t->turn_cursor + 1) % t->limits.outbound_max;
        if (may_read(t, l))
            return l;
    }
    return NULL;
}

bool frames_next(struct transport *t, struct transport_event *out)
{
    while (t->frames_left > 0) {
        if (t->router_readable && t->router_streak < ROUTER_STREAK) {
            t->router_streak++;
            t->frames_left--;
            if (router_read(t, out))
                return true;
            continue;
        }
        t->router_streak = 0;
        struct peer_link *l = outbound_turn(t);
        if (l) {
            t->frames_left--;
            if (outbound_read(t, l, out))
                return true;
        } else if (!t->router_readable)
            return false;
    }
    return false;
}
