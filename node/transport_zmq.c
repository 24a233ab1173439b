/* transport_zmq.c - sockets and their options, the loop's turn, dialling, sending, ending links. */
#define _GNU_SOURCE                                        /* EPOLL_CLOEXEC */
#include "node/transport_parts_zmq.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "crypto/random_os.h"

enum {
    SOCKET_BUFFER_BYTES = 256 * 1024,                      /* kernel, per connection and direction; TCP's own tuning goes to 6 MiB */
    RECONNECT_NEVER_MS = 24 * 60 * 60 * 1000,              /* we close a socket long before; -1 would lose frames already read */
    BACKLOG = 64,
};

/* What an epoll wake-up is about: TAG + slot. */
enum { TAG_ROUTER, TAG_ROUTER_MONITOR, TAG_ZAP, TAG_LINK = 1 << 16, TAG_MONITOR = 2 << 16 };

void transport_limits_default(struct transport_limits *out)
{
    *out = (struct transport_limits){
        .inbound_max = PEERS_MAX + PEERS_PENDING_MAX,
        .connections_max = 2 * PEERS_MAX,
        .outbound_max = PEERS_MAX,
        .ip_connections_max = PEERS_MAX / 2, .ip_per_s = 32, .ip_burst = PEERS_MAX / 2,
        .key_per_min = 12, .key_burst = 12,
        .bytes_per_s = PEER_BYTES_PER_S, .bytes_burst = PEER_BYTES_BURST,
        .msgs_per_s = PEER_MSGS_PER_S, .msgs_burst = PEER_MSGS_BURST,
        .rate_drops_max = 2 * PEER_MSGS_BURST,
        .send_queue_max = 256, .recv_queue_max = 64,
        .undelivered_bytes_max = 64 * (FRAME_BYTES_MAX + 64) + 4 * SOCKET_BUFFER_BYTES,
        .handshake_ms = 4000, .dial_ms = HELLO_TIMEOUT_MS, .silent_ms = 4000 + HELLO_TIMEOUT_MS,
        .heartbeat_ms = 15 * 1000, .heartbeat_timeout_ms = 10 * 1000, .heartbeat_ttl_ms = 40 * 1000,
        .mute_ms = MUTE_MS,
        .frames_per_turn = 64,
    };
}

/* ---- opening ---- */

static bool limits_are_sane(const struct transport_limits *l)
{
    return l->inbound_max > 0 && l->outbound_max > 0 && l->outbound_max <= 1 << 12 && l->inbound_max <= 1 << 12 &&
           l->connections_max > 0 && l->connections_max <= ADMISSION_ADDRESSES_MAX && l->ip_connections_max > 0 &&
           l->ip_per_s > 0 && l->ip_burst > 0 && l->key_per_min > 0 && l->key_burst > 0 && l->bytes_per_s > 0 &&
           l->bytes_burst >= FRAME_BYTES_MAX && l->msgs_per_s > 0 && l->msgs_burst > 0 && l->send_queue_max > 0 &&
           l->recv_queue_max > 0 && l->undelivered_bytes_max >= FRAME_BYTES_MAX && l->handshake_ms > 0 && l->dial_ms > 0 &&
           l->silent_ms > 0 && l->heartbeat_ms > 0 && l->heartbeat_timeout_ms > 0 && l->heartbeat_ttl_ms > 0 &&
           l->frames_per_turn > 0;
}

static struct rate rate_per_s(uint32_t per_s, uint32_t burst)
{
    return (struct rate){ .milli_per_s = (uint64_t)per_s * 1000, .burst = burst };
}

static bool set_int(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value) == 0; }

static bool set_options(struct transport *t, void *socket)
{
    const struct transport_limits *l = &t->limits;
    int64_t size_max = FRAME_BYTES_MAX + CURVE_OVERHEAD_BYTES + OVERSIZE_SEEN_BYTES;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0 && set_int(socket, ZMQ_LINGER, 0) &&
           set_int(socket, ZMQ_SNDHWM, (int)l->send_queue_max) && set_int(socket, ZMQ_RCVHWM, (int)l->recv_queue_max) &&
           set_int(socket, ZMQ_SNDBUF, SOCKET_BUFFER_BYTES) && set_int(socket, ZMQ_RCVBUF, SOCKET_BUFFER_BYTES) &&
           set_int(socket, ZMQ_HANDSHAKE_IVL, (int)l->handshake_ms) && set_int(socket, ZMQ_HEARTBEAT_IVL, (int)l->heartbeat_ms) &&
           set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, (int)l->heartbeat_timeout_ms) &&
           set_int(socket, ZMQ_HEARTBEAT_TTL, (int)l->heartbeat_ttl_ms) &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, t->transport.b, sizeof t->transport.b) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, t->secret.b, sizeof t->secret.b) == 0;
}

/* "tcp://HOST:PORT"; an IPv6 literal gets its brackets. */
static bool endpoint_format(const char *host, uint16_t port, char out[ENDPOINT_CHARS])
{
    bool v6 = strchr(host, ':') != NULL;
    char text[8] = "*";
    if (port != 0)
        snprintf(text, sizeof text, "%u", port);
    int n = snprintf(out, ENDPOINT_CHARS, "tcp://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", text);
    return n > 0 && n < ENDPOINT_CHARS;
}

bool watch(struct transport *t, void *socket, uint64_t tag)
{
    int fd;
    size_t size = sizeof fd;
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag };
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 && epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static void unwatch(struct transport *t, void *socket)
{
    int fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0)
        epoll_ctl(t->epoll, EPOLL_CTL_DEL, fd, NULL);
}

bool has_input(void *socket)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

/* Learns where this ROUTER's own numbering starts by being its first peer, over inproc. */
static bool routing_ids_learn(struct transport *t)
{
    void *probe = zmq_socket(t->context, ZMQ_DEALER);
    uint8_t id[ROUTING_ID_BYTES + 1], byte = 0;
    bool ok = probe && set_int(probe, ZMQ_LINGER, 0) && zmq_bind(t->router, "inproc://own-numbering") == 0 &&
              zmq_connect(probe, "inproc://own-numbering") == 0 && zmq_send(probe, &byte, 1, 0) == 1 &&
              zmq_recv(t->router, id, sizeof id, 0) == ROUTING_ID_BYTES && id[0] == 0 &&
              zmq_recv(t->router, &byte, 1, 0) == 1 && zmq_unbind(t->router, "inproc://own-numbering") == 0;
    if (probe)
        zmq_close(probe);
    if (ok) {
        t->routing_id_base = (uint32_t)id[1] << 24 | (uint32_t)id[2] << 16 | (uint32_t)id[3] << 8 | id[4];
        t->accepted = 1;
    }
    return ok;
}

static bool port_learn(struct transport *t)
{
    char endpoint[ENDPOINT_CHARS];
    size_t size = sizeof endpoint;
    if (zmq_getsockopt(t->router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        return false;
    const char *colon = strrchr(endpoint, ':');
    t->port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
    return t->port != 0;
}

static enum err router_open(struct transport *t, const struct transport_config *c)
{
    char endpoint[ENDPOINT_CHARS];
    t->router = zmq_socket(t->context, ZMQ_ROUTER);
    if (!t->router)
        return ERR_MEMORY;
    if (!endpoint_format(c->host, c->port, endpoint))
        return ERR_CONFIG;
    if (!set_options(t, t->router) || !set_int(t->router, ZMQ_CURVE_SERVER, 1) || !set_int(t->router, ZMQ_ROUTER_MANDATORY, 1) ||
        !set_int(t->router, ZMQ_ROUTER_HANDOVER, 0) || !set_int(t->router, ZMQ_BACKLOG, BACKLOG) ||
        !set_int(t->router, ZMQ_IPV6, strchr(c->host, ':') != NULL) ||
        zmq_setsockopt(t->router, ZMQ_ZAP_DOMAIN, "tallymesh", 9) != 0 || !routing_ids_learn(t))
        return ERR_UNAVAILABLE;
    int events = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
    if (!monitor_open(t, t->router, "inproc://monitor", events, &t->router_monitor))
        return ERR_MEMORY;
    if (zmq_bind(t->router, endpoint) != 0 || !port_learn(t))
        return ERR_IO;
    return watch(t, t->router, TAG_ROUTER) && watch(t, t->router_monitor, TAG_ROUTER_MONITOR) ? OK : ERR_IO;
}

/* libzmq draws the numbers of its routing ids from rand(): seeded by nobody they are the same in every process, and a
 * stranger who claims the next one makes libzmq abort. */
static void rand_seed(void)
{
    unsigned seed;
    random_os(&seed, sizeof seed);
    srand(seed);
}

static enum err start(struct transport *t, const struct transport_config *c)
{
    int sockets = (int)(3 * t->limits.outbound_max + 16);
    rand_seed();
    t->context = zmq_ctx_new();
    if (!t->context)
        return ERR_MEMORY;
    /* Two threads: a DNS name blocks its thread while it is looked up, so names are dialled from the second. */
    if (!zmq_has("curve") || zmq_ctx_set(t->context, ZMQ_IO_THREADS, 2) != 0 ||
        zmq_ctx_set(t->context, ZMQ_MAX_SOCKETS, sockets) != 0)
        return ERR_UNAVAILABLE;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll < 0)
        return ERR_IO;
    if (!zap_open(t) || !watch(t, t->zap, TAG_ZAP))        /* before anything is bound: without a handler all may come in */
        return ERR_MEMORY;
    return router_open(t, c);
}

static struct transport *transport_alloc(const struct transport_config *c, struct mono now)
{
    struct transport *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->limits = c->limits;
    t->transport = c->transport;
    t->secret = *c->secret;
    t->now = t->swept = now;
    t->epoll = t->listening = -1;
    t->inbound_next = 1;
    t->inbound_slots = 2 * c->limits.inbound_max;          /* the dead need room too */
    t->connections = calloc(c->limits.connections_max, sizeof *t->connections);
    t->inbound = calloc(t->inbound_slots, sizeof *t->inbound);
    t->outbound = calloc(c->limits.outbound_max, sizeof *t->outbound);
    if (t->connections && t->inbound && t->outbound)
        return t;
    transport_close(t);
    return NULL;
}

enum err transport_open(const struct transport_config *c, struct mono now, struct transport **out)
{
    if (!c->host || !host_is_numeric(c->host) || !limits_are_sane(&c->limits))
        return ERR_CONFIG;
    struct transport *t = transport_alloc(c, now);
    if (!t)
        return ERR_MEMORY;
    const struct transport_limits *l = &t->limits;
    t->bytes_rate = rate_per_s(l->bytes_per_s, l->bytes_burst);
    t->msgs_rate = rate_per_s(l->msgs_per_s, l->msgs_burst);
    admission_init(&t->admission, &(struct admission_limits){
        .address_open_max = l->ip_connections_max, .address_rate = rate_per_s(l->ip_per_s, l->ip_burst),
        .key_rate = { .milli_per_s = (uint64_t)l->key_per_min * 1000 / 60, .burst = l->key_burst } });
    t->fd_limit = fd_limit_raise();
    enum err e = start(t, c);
    if (e != OK) {
        int why = errno;
        transport_close(t);
        errno = why;
        return e;
    }
    t->router_readable = t->router_monitor_readable = t->zap_readable = true;
    monitor_inbound(t);                                    /* LISTENING: which descriptor the gate belongs on */
    *out = t;
    return OK;
}

static void socket_close(struct transport *t, void **socket)
{
    if (!*socket)
        return;
    unwatch(t, *socket);
    zmq_close(*socket);
    *socket = NULL;
}

void transport_close(struct transport *t)
{
    frame_release(t);
    for (uint32_t i = 0; t->outbound && i < t->limits.outbound_max; i++)
        if (t->outbound[i].state != LINK_FREE)
            outbound_close(t, &t->outbound[i]);
    if (t->router)
        monitor_close(t, t->router, &t->router_monitor);
    socket_close(t, &t->router);
    socket_close(t, &t->zap);
    if (t->context)
        zmq_ctx_term(t->context);
    for (uint32_t i = 0; t->connections && i < t->limits.connections_max; i++)
        if (t->connections[i].used)
            tcp_release(t->connections[i].held);
    if (t->epoll >= 0)
        close(t->epoll);
    seal_fini(&t->secret);
    free(t->outbound);
    free(t->inbound);
    free(t->connections);
    free(t);
}

/* ---- links ---- */

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
    t->counters.inbound_links -= !link_is_outbound(l);
    l->state = LINK_ENDING;
    l->due = mono_add_ms(t->now, ENDING_MS);
    if (link_is_outbound(l))
        l->readable = true;                                /* one more look, then it is told */
    else
        t->router_readable = true;
}

static void tell_forget(struct transport *t, struct peer_link *l)
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

static void link_drop(struct transport *t, struct peer_link *l)
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

/* ---- the turn ---- */

static void wakes_collect(struct transport *t)
{
    struct epoll_event wakes[WAKES_PER_TURN];
    int n = epoll_wait(t->epoll, wakes, WAKES_PER_TURN, 0);
    for (int i = 0; i < n; i++) {
        uint64_t tag = wakes[i].data.u64, slot = tag & 0xffff;
        if (tag == TAG_ROUTER)
            t->router_readable = true;
        else if (tag == TAG_ROUTER_MONITOR)
            t->router_monitor_readable = true;
        else if (tag == TAG_ZAP)
            t->zap_readable = true;
        else if (tag & TAG_LINK)
            t->outbound[slot].readable = true;
        else
            t->outbound[slot].monitor_readable = true;
    }
}

static void outbound_turn_start(struct transport *t, struct peer_link *l)
{
    if (l->state == LINK_FREE)
        return;
    if (l->monitor_readable)
        monitor_outbound(t, l);
    if (l->state == LINK_DIALLING && mono_reached(t->now, l->due))
        link_end(t, l);
    else if (l->state == LINK_ENDING && mono_reached(t->now, l->due))
        link_tell_down(t, l);
}

void transport_turn(struct transport *t, struct mono now)
{
    frame_release(t);
    t->now = now;
    t->frames_left = t->limits.frames_per_turn;
    wakes_collect(t);
    monitor_inbound(t);
    zap_serve(t);
    for (uint32_t i = 0; i < t->limits.outbound_max; i++)
        outbound_turn_start(t, &t->outbound[i]);
    for (uint32_t i = 0; i < t->inbound_slots; i++) {
        struct peer_link *l = &t->inbound[i];
        if (l->state == LINK_ENDING && mono_reached(now, l->due))
            link_tell_down(t, l);
        else if (l->state == LINK_DEAD && mono_reached(now, l->due))
            l->state = LINK_FREE;
    }
    connections_sweep(t);
    t->counters.muted_keys = t->admission.mute_count;
}

/* Tells one link's news. */
static void tell(struct transport *t, struct peer_link *l, struct transport_event *out)
{
    *out = (struct transport_event){ .kind = l->tell_up ? TRANSPORT_LINK_UP : TRANSPORT_LINK_DOWN, .link = l->id, .peer = l->peer };
    if (l->tell_up) {
        tell_forget(t, l);
        t->counters.links_up++;
        return;
    }
    t->counters.links_down++;
    link_drop(t, l);
}

static bool tell_next(struct transport *t, struct transport_event *out)
{
    struct peer_link *found = NULL;
    for (uint32_t i = 0; !found && i < t->limits.outbound_max; i++)
        if (t->outbound[i].tell_up || t->outbound[i].tell_down)
            found = &t->outbound[i];
    for (uint32_t i = 0; !found && i < t->inbound_slots; i++)
        if (t->inbound[i].tell_down)
            found = &t->inbound[i];
    ENSURE(found);
    tell(t, found, out);
    return true;
}

bool transport_next(struct transport *t, struct mono now, struct transport_event *out)
{
    frame_release(t);
    t->now = now;
    if (t->tell_count > 0)
        return tell_next(t, out);
    if (frames_next(t, out))
        return true;
    return t->tell_count > 0 && tell_next(t, out);         /* found out while reading */
}

uint16_t transport_port(const struct transport *t) { return t->port; }
int transport_fd(const struct transport *t) { return t->epoll; }

struct mono transport_deadline(const struct transport *t)
{
    struct mono due = t->counters.inbound_connections > 0 || t->counters.outbound_links > 0 || t->gate_shut ? mono_add_ms(t->swept, SWEEP_MS) : MONO_NEVER;
    if (t->router_readable || t->router_monitor_readable || t->zap_readable || t->tell_count > 0)
        return t->now;
    for (uint32_t i = 0; i < t->limits.outbound_max; i++) {
        const struct peer_link *l = &t->outbound[i];
        if (l->state == LINK_FREE)
            continue;
        if (l->monitor_readable || (l->readable && l->state != LINK_DIALLING && mono_reached(t->now, l->paused_until)))
            return t->now;
        if (l->readable && l->state == LINK_OPEN)
            due = mono_min(due, l->paused_until);
        if (l->state == LINK_DIALLING || l->state == LINK_ENDING)
            due = mono_min(due, l->due);
    }
    return due;                                            /* an inbound ENDING keeps router_readable until it is told */
}

void transport_wait(const struct transport *t, struct mono now, uint32_t timeout_ms)
{
    struct pollfd p = { .fd = t->epoll, .events = POLLIN };
    uint64_t ms = mono_reached(now, transport_deadline(t)) ? 0 : mono_ms_between(now, transport_deadline(t)) + 1;
    poll(&p, 1, (int)(ms < timeout_ms ? ms : timeout_ms));
}

/* ---- verbs ---- */

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
    uint64_t slot = (uint64_t)(l - t->outbound), second_thread = 2;
    snprintf(name, sizeof name, "inproc://monitor-%llx", (unsigned long long)l->id);
    l->socket = zmq_socket(t->context, ZMQ_DEALER);
    return l->socket && endpoint_format(host, port, endpoint) && set_options(t, l->socket) &&
           zmq_setsockopt(l->socket, ZMQ_CURVE_SERVERKEY, l->peer.b, sizeof l->peer.b) == 0 &&
           set_int(l->socket, ZMQ_RECONNECT_IVL, RECONNECT_NEVER_MS) &&
           set_int(l->socket, ZMQ_CONNECT_TIMEOUT, (int)t->limits.dial_ms) &&
           set_int(l->socket, ZMQ_IPV6, strchr(host, ':') != NULL) &&
           (host_is_numeric(host) || zmq_setsockopt(l->socket, ZMQ_AFFINITY, &second_thread, sizeof second_thread) == 0) &&
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

/* ---- counters ---- */

static const struct {
    const char *name;
    size_t offset;
} counter_table[] = {
#define X(field) { #field, offsetof(struct transport_counters, field) },
    TRANSPORT_COUNTERS(X)
#undef X
};

const struct transport_counters *transport_counters(const struct transport *t) { return &t->counters; }

bool transport_counter_at(const struct transport *t, size_t idx, const char **name, uint64_t *value)
{
    if (idx >= ARRAY_COUNT(counter_table))
        return false;
    *name = counter_table[idx].name;
    memcpy(value, (const char *)&t->counters + counter_table[idx].offset, sizeof *value);
    return true;
}
