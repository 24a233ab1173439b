/* monitor_zmq.c - which TCP connections are there, which are through their handshake, which are gone?
 *
 * libzmq reports through a PAIR socket per monitored socket. The number in ACCEPTED, CONNECTED and DISCONNECTED is the
 * connection's descriptor, and ZMQ_SRCFD names the same on every message: that ties a frame to a connection, and a
 * connection to our held descriptor (tcp_linux.h) by which it can be looked at and cut.
 *
 * ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL is not among the events we ask for: in 4.3.4 telling it overwrites errno on the way
 * out of a failed decryption, and the connection then hangs, open and deaf, instead of being closed.
 *
 * libzmq emits DISCONNECTED before it closes the descriptor and we read events in order, so a number is never taken for
 * its next owner.
 */
#include "node/transport_parts_zmq.h"

#include <string.h>

bool monitor_open(struct transport *t, void *socket, const char *name, int events, void **out)
{
    if (zmq_socket_monitor(socket, name, events) != 0)
        return false;
    int zero = 0;
    void *m = zmq_socket(t->context, ZMQ_PAIR);
    /* No high-water mark: libzmq's I/O thread would wait for us when it is reached. What can pile up while the loop is
     * away is bounded by what accept(2) yields in that time. */
    if (m && zmq_setsockopt(m, ZMQ_RCVHWM, &zero, sizeof zero) == 0 && zmq_setsockopt(m, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
        zmq_connect(m, name) == 0) {
        *out = m;
        return true;
    }
    zmq_socket_monitor(socket, NULL, 0);
    if (m)
        zmq_close(m);
    return false;
}

void monitor_close(struct transport *t, void *socket, void **monitor)
{
    (void)t;
    if (!*monitor)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    zmq_close(*monitor);
    *monitor = NULL;
}

/* False when no event waits. The second part, an endpoint, says nothing the number does not. */
static bool event_read(void *monitor, uint16_t *event, uint32_t *value)
{
    uint8_t head[6];
    if (zmq_recv(monitor, head, sizeof head, ZMQ_DONTWAIT) != (int)sizeof head)
        return false;
    memcpy(event, head, sizeof *event);
    memcpy(value, head + 2, sizeof *value);
    (void)zmq_recv(monitor, head, sizeof head, ZMQ_DONTWAIT);
    return true;
}

/* ---- connections ---- */

struct connection *connection_find(struct transport *t, int fd)
{
    for (uint32_t i = 0; i < t->limits.connections_max; i++)
        if (t->connections[i].used && t->connections[i].fd == fd)
            return &t->connections[i];
    return NULL;
}

void connection_cut(struct connection *c)
{
    if (c->held >= 0 && !c->cut)
        tcp_cut(c->held);
    c->cut = true;
}

void connection_delivered(struct connection *c, size_t payload) { c->delivered += wire_bytes(payload); }

static void gate_shut(struct transport *t)
{
    t->gate_until = mono_add_ms(t->now, GATE_MS);
    if (t->gate_shut)
        return;
    t->gate_shut = tcp_gate_shut(t->listening);
    t->counters.gate_closed++;
}

static bool fds_are_scarce(const struct transport *t, int fd)
{
    return fd < 0 || (uint64_t)fd * 100 >= t->fd_limit * FD_SHARE_PERCENT;
}

static struct connection *connection_slot(struct transport *t)
{
    for (uint32_t i = 0; i < t->limits.connections_max; i++)
        if (!t->connections[i].used)
            return &t->connections[i];
    return NULL;
}

/* OK and the slot to use, or why the connection must go at once. */
static enum err accept_check(struct transport *t, int fd, int held, struct connection **slot, struct tcp_peer *peer,
                             struct address *from)
{
    *slot = connection_slot(t);
    if (!*slot || fds_are_scarce(t, fd)) {
        t->counters.refused_connections++;
        gate_shut(t);
        return ERR_FULL;
    }
    enum err e = tcp_peer_of(held, peer);
    if (e != OK)
        return e;
    *from = address_of_ip(peer->ip);
    e = admission_connect(&t->admission, t->now, from);
    t->counters.refused_ip_rate += e == ERR_RATE;
    t->counters.refused_ip_count += e == ERR_QUOTA;
    t->counters.refused_connections += e == ERR_FULL;
    return e;
}

static void on_accepted(struct transport *t, int fd)
{
    int held;
    t->counters.accepted++;
    t->accepted++;
    enum err e = tcp_hold_accepted(fd, t->port, &held);
    if (e == ERR_FULL)
        gate_shut(t);
    if (e != OK)
        return;                                            /* already gone; its DISCONNECTED finds nothing */
    struct connection *c;
    struct tcp_peer peer;
    struct address from;
    if (accept_check(t, fd, held, &c, &peer, &from) != OK) {
        tcp_cut(held);                                     /* before the handshake: half a millisecond of CPU saved */
        tcp_release(held);
        return;
    }
    *c = (struct connection){ .used = true, .fd = fd, .held = held, .since = t->now, .from = from, .counted = true,
                              .slot = NO_SLOT };
    memcpy(c->host, peer.text, sizeof c->host);
    t->counters.inbound_connections++;
}

static void connection_end(struct transport *t, struct connection *c)
{
    if (c->counted)
        admission_disconnect(&t->admission, &c->from);
    tcp_release(c->held);
    c->used = false;
    t->counters.inbound_connections--;
}

static void on_inbound_gone(struct transport *t, int fd)
{
    struct connection *c = connection_find(t, fd);
    if (!c)
        return;
    struct peer_link *l = c->slot == NO_SLOT ? NULL : &t->inbound[c->slot];
    bool offended = l && !c->cut && tcp_was_talking(c->held, CUT_TALKING_MS);
    t->counters.handshakes_failed += !c->cut && !c->spoke;
    connection_end(t, c);
    if (!l)
        return;
    l->connection = NO_SLOT;
    if (l->state == LINK_OPEN)
        link_end(t, l);
    if (offended) {
        t->counters.offence_protocol++;
        offence(t, &l->peer);
    }
}

void monitor_inbound(struct transport *t)
{
    uint16_t event;
    uint32_t value;
    for (int i = 0; t->router_monitor_readable && i < MONITOR_EVENTS_PER_TURN; i++) {
        if (!event_read(t->router_monitor, &event, &value)) {
            t->router_monitor_readable = false;
            return;
        }
        if (event == ZMQ_EVENT_LISTENING)
            t->listening = (int)value;
        else if (event == ZMQ_EVENT_ACCEPTED)
            on_accepted(t, (int)value);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            on_inbound_gone(t, (int)value);
    }
}

/* ---- looking them over ---- */

/* Bytes received that never became a message: a message that never ends grows inside libzmq, where no limit counts it. */
static bool is_hoarding(struct transport *t, struct connection *c, uint64_t leak)
{
    uint64_t received = tcp_received(c->held), came = received - c->received;
    uint64_t debt = c->debt + came, paid = c->delivered + leak;
    c->received = received;
    c->delivered = 0;
    c->debt = debt > paid ? debt - paid : 0;
    return c->debt > t->limits.undelivered_bytes_max;
}

static void inbound_look(struct transport *t, struct connection *c, uint64_t leak)
{
    if (c->cut)
        return;
    if (c->slot == NO_SLOT && mono_ms_between(c->since, t->now) >= t->limits.silent_ms) {
        t->counters.cut_silent++;
        connection_cut(c);
    } else if (is_hoarding(t, c, leak)) {
        t->counters.cut_undelivered++;
        connection_cut(c);
        if (c->slot != NO_SLOT)
            offence(t, &t->inbound[c->slot].peer);
    }
}

void connections_sweep(struct transport *t)
{
    uint64_t ms = mono_ms_between(t->swept, t->now);
    if (ms < SWEEP_MS)
        return;
    t->swept = t->now;
    uint64_t leak = ms * UNDELIVERED_LEAK_BYTES_PER_S / 1000;
    for (uint32_t i = 0; i < t->limits.connections_max; i++)
        if (t->connections[i].used)
            inbound_look(t, &t->connections[i], leak);
    for (uint32_t i = 0; i < t->limits.outbound_max; i++) {
        struct peer_link *l = &t->outbound[i];
        if (l->state != LINK_FREE && l->tcp.used && !l->tcp.cut && is_hoarding(t, &l->tcp, leak)) {
            t->counters.cut_undelivered++;
            offence(t, &l->peer);
        }
    }
    if (t->gate_shut && mono_reached(t->now, t->gate_until) && t->counters.inbound_connections < t->limits.connections_max &&
        !fds_are_scarce(t, fd_next())) {
        tcp_gate_open(t->listening);
        t->gate_shut = false;
    }
}

/* ---- outbound ---- */

static void on_connected(struct peer_link *l, int fd)
{
    int held;
    if (tcp_hold_dialled(fd, l->port, &held) == OK)
        l->tcp = (struct connection){ .used = true, .fd = fd, .held = held, .slot = NO_SLOT };
}

void monitor_outbound(struct transport *t, struct peer_link *l)
{
    uint16_t event;
    uint32_t value;
    while (l->state != LINK_FREE && event_read(l->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_CONNECTED)
            on_connected(l, (int)value);
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && l->state == LINK_DIALLING) {
            l->state = LINK_OPEN;
            l->tell_up = true;
            t->tell_count++;
        } else if (event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED && (l->state == LINK_DIALLING || l->state == LINK_OPEN))
            link_end(t, l);                                /* closed, disconnected, refused: no second try here */
    }
    l->monitor_readable = false;
}
