/* links_zmq.c - the life of a link: dialled, told, sent on, ended. States and transitions: transport_parts_zmq.h. */
#include "node/transport_parts_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECONNECT_NEVER_MS = 24 * 60 * 60 * 1000 };         /* we close a socket long before; -1 would lose frames already read */

uint32_t wire_bytes(size_t payload)
{
    size_t body = payload + CURVE_OVERHEAD_BYTES;
    return (uint32_t)(body + (body > 255 ? 9 : 2));
}

static bool id_is_inbound(uint64_t id) { return (id & LINK_INBOUND_BIT) != 0; }
bool link_is_outbound(const struct peer_link *l) { return !id_is_inbound(l->id); }

void link_tell_down(struct transport *t, struct peer_link *l)
{
    if (l->tell_down)
        return;
    t->tell_count += !l->tell_up;
    l->tell_up = false;                                    /* up and down within one turn: only down is news */
    l->tell_down = true;
}

void link_end(struct transport *t, struct peer_link *l)
{
    ENSURE(l->state == LINK_OPEN || l->state == LINK_DIALLING);
    t->counters.dials_failed += l->state == LINK_DIALLING;
    t->counters.dials_unconnected += l->state == LINK_DIALLING && !l->tcp.used;
    t->counters.inbound_links -= !link_is_outbound(l);
    l->state = LINK_ENDING;
    l->due = mono_add_ms(t->now, ENDING_MS);
    if (link_is_outbound(l))
        l->readable = true;                                /* one more look, then it is told */
    else
        t->router_readable = true;
}

void tell_forget(struct transport *t, struct peer_link *l)
{
    t->tell_count -= l->tell_up || l->tell_down;
    l->tell_up = l->tell_down = false;
}

void outbound_close(struct transport *t, struct peer_link *l)
{
    tell_forget(t, l);
    if (l->monitor)
        unwatch(t, l->monitor);
    monitor_close(t, l->socket, &l->monitor);
    socket_close(t, &l->socket);
    if (l->tcp.used)
        tcp_release(l->tcp.held);
    *l = (struct peer_link){ .state = LINK_FREE };
    t->counters.outbound_links--;
}

/* Inbound, told or not to be told: remembered for a while. */
static void inbound_bury(struct transport *t, struct peer_link *l)
{
    tell_forget(t, l);
    if (l->state == LINK_OPEN)
        t->counters.inbound_links--;
    if (l->connection != NO_SLOT) {
        connection_cut(&t->connections[l->connection]);
        t->connections[l->connection].slot = NO_SLOT;
        l->connection = NO_SLOT;
    }
    l->state = LINK_DEAD;
    l->due = mono_add_ms(t->now, DEAD_MS);
}

static struct peer_link *link_find(struct transport *t, uint64_t id)
{
    bool in = id_is_inbound(id);
    struct peer_link *table = in ? t->inbound : t->outbound;
    uint32_t count = in ? t->inbound_slots : t->limits.outbound_max;
    for (uint32_t i = 0; i < count; i++)
        if (table[i].state != LINK_FREE && table[i].id == id)
            return &table[i];
    return NULL;
}

void link_drop(struct transport *t, struct peer_link *l)
{
    if (link_is_outbound(l))
        outbound_close(t, l);
    else if (l->state != LINK_DEAD)
        inbound_bury(t, l);
}

/* Ends every link of a key that is refused from now on. */
static void key_links_end(struct transport *t, const struct seal_key *key)
{
    for (uint32_t i = 0; i < t->inbound_slots; i++) {
        struct peer_link *l = &t->inbound[i];
        if (l->state == LINK_OPEN && memcmp(l->peer.b, key->b, sizeof key->b) == 0) {
            link_end(t, l);
            if (l->connection != NO_SLOT)
                connection_cut(&t->connections[l->connection]);
            link_tell_down(t, l);
        }
    }
    for (uint32_t i = 0; i < t->limits.outbound_max; i++) {
        struct peer_link *l = &t->outbound[i];
        if ((l->state == LINK_OPEN || l->state == LINK_DIALLING) && memcmp(l->peer.b, key->b, sizeof key->b) == 0) {
            link_end(t, l);
            link_tell_down(t, l);
        }
    }
}

void offence(struct transport *t, const struct seal_key *key)
{
    struct seal_key k = *key;                              /* often points into a link that ends here */
    admission_mute(&t->admission, t->now, &k, mono_add_ms(t->now, t->limits.mute_ms));
    key_links_end(t, &k);
}

/* ---- the caller's verbs ---- */

static struct peer_link *outbound_slot(struct transport *t)
{
    for (uint32_t i = 0; i < t->limits.outbound_max; i++)
        if (t->outbound[i].state == LINK_FREE)
            return &t->outbound[i];
    return NULL;
}

static bool outbound_open(struct transport *t, struct peer_link *l, const char *host, uint16_t port)
{
    char endpoint[ENDPOINT_CHARS], name[48];
    uint64_t slot = (uint64_t)(l - t->outbound), name_thread = NAME_THREAD;
    snprintf(name, sizeof name, "inproc://monitor-%llx", (unsigned long long)l->id);
    l->socket = zmq_socket(t->context, ZMQ_DEALER);
    return l->socket && endpoint_format(host, port, endpoint) && set_options(t, l->socket) &&
           zmq_setsockopt(l->socket, ZMQ_CURVE_SERVERKEY, l->peer.b, sizeof l->peer.b) == 0 &&
           set_int(l->socket, ZMQ_RECONNECT_IVL, RECONNECT_NEVER_MS) &&
           set_int(l->socket, ZMQ_CONNECT_TIMEOUT, (int)t->limits.dial_ms) &&
           set_int(l->socket, ZMQ_IPV6, strchr(host, ':') != NULL) &&
           (host_is_numeric(host) || zmq_setsockopt(l->socket, ZMQ_AFFINITY, &name_thread, sizeof name_thread) == 0) &&
           monitor_open(t, l->socket, name,
                        ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
                        &l->monitor) &&
           watch(t, l->socket, TAG_LINK + slot) && watch(t, l->monitor, TAG_MONITOR + slot) &&
           zmq_connect(l->socket, endpoint) == 0;
}

enum err transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port,
                        const struct seal_key *server)
{
    if (id_is_inbound(link) || link == 0 || port == 0 || !host_is_valid(host))
        return ERR_ARG;
    if (link_find(t, link))
        return ERR_EXISTS;
    if (admission_is_muted(&t->admission, now, server))
        return ERR_KEY;
    struct peer_link *l = outbound_slot(t);
    if (!l)
        return ERR_FULL;
    t->now = now;
    *l = (struct peer_link){ .state = LINK_DIALLING, .id = link, .peer = *server, .port = port, .connection = NO_SLOT };
    l->due = mono_add_ms(now, t->limits.dial_ms);
    l->monitor_readable = l->readable = true;
    rate_init(&l->bytes, t->bytes_rate, now);
    rate_init(&l->msgs, t->msgs_rate, now);
    t->counters.outbound_links++;
    t->counters.dials++;
    if (outbound_open(t, l, host, port))
        return OK;
    outbound_close(t, l);
    return ERR_FULL;                                       /* of sockets or descriptors; the endpoint itself is well-formed */
}

/* OK, or what libzmq's refusal means. */
static enum err sent(struct transport *t, struct peer_link *l, int rc, size_t len)
{
    if (rc >= 0) {
        t->counters.frames_out++;
        t->counters.bytes_out += len;
        return OK;
    }
    if (errno == EAGAIN) {
        t->counters.send_full++;
        return ERR_FULL;
    }
    if (l->state == LINK_OPEN)
        link_end(t, l);                                    /* EHOSTUNREACH: the connection went before the monitor said so */
    t->counters.send_gone++;
    return ERR_PEER_GONE;
}

static enum err inbound_send(struct transport *t, struct peer_link *l, struct bytes frame)
{
    int rc = zmq_send(t->router, l->routing_id, ROUTING_ID_BYTES, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (rc >= 0)
        rc = zmq_send(t->router, frame.data, frame.len, ZMQ_DONTWAIT);
    enum err e = sent(t, l, rc, frame.len);
    t->router_readable = t->router_readable || has_input(t->router);
    return e;
}

enum err transport_send(struct transport *t, uint64_t link, struct bytes frame)
{
    if (frame.len == 0)
        return ERR_ARG;
    if (frame.len > FRAME_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct peer_link *l = link_find(t, link);
    if (!l || (l->state != LINK_OPEN && l->state != LINK_DIALLING)) {
        t->counters.send_gone++;
        return ERR_PEER_GONE;
    }
    if (!link_is_outbound(l))
        return inbound_send(t, l, frame);
    enum err e = sent(t, l, zmq_send(l->socket, frame.data, frame.len, ZMQ_DONTWAIT), frame.len);
    l->readable = l->readable || has_input(l->socket);
    return e;
}

void transport_hangup(struct transport *t, uint64_t link)
{
    struct peer_link *l = link_find(t, link);
    if (l)
        link_drop(t, l);
}

void transport_mute(struct transport *t, uint64_t link, const struct seal_key *peer, struct mono until)
{
    struct seal_key key = *peer;
    transport_hangup(t, link);
    admission_mute(&t->admission, t->now, &key, until);
    key_links_end(t, &key);
}
