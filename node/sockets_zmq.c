/* sockets_zmq.c - how are the sockets made? Options, limits, binding, and the order of opening and closing. */
#define _GNU_SOURCE                                        /* EPOLL_CLOEXEC */
#include "node/transport_parts_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "crypto/random_os.h"

enum {
    SOCKET_BUFFER_BYTES = 256 * 1024,                      /* kernel, per connection and direction; TCP's own tuning goes to 6 MiB */
    BACKLOG = 64,
};

void transport_limits_default(struct transport_limits *out)
{
    *out = (struct transport_limits){
        .inbound_max = PEERS_MAX + PEERS_PENDING_MAX,
        .connections_max = 2 * PEERS_MAX,
        .outbound_max = PEERS_MAX,
        .ip_connections_max = PEERS_MAX / 2, .ip_per_s = 32, .ip_burst = PEERS_MAX / 2,
        .key_per_min = 20, .key_burst = 30,
        /* A model header that we asked for comes as fast as the line allows, and may come on a link that we did not dial. */
        .bytes_per_s = PEER_BYTES_PER_S, .bytes_burst = PEER_BYTES_BURST + HEADER_BYTES_MAX,
        .msgs_per_s = PEER_MSGS_PER_S, .msgs_burst = PEER_MSGS_BURST,
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

bool set_int(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value) == 0; }

bool set_options(struct transport *t, void *socket)
{
    const struct transport_limits *l = &t->limits;
    uint64_t link_thread = LINK_THREAD;
    int64_t size_max = FRAME_BYTES_MAX + CURVE_OVERHEAD_BYTES + OVERSIZE_SEEN_BYTES;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0 && set_int(socket, ZMQ_LINGER, 0) &&
           zmq_setsockopt(socket, ZMQ_AFFINITY, &link_thread, sizeof link_thread) == 0 &&
           set_int(socket, ZMQ_SNDHWM, (int)l->send_queue_max) && set_int(socket, ZMQ_RCVHWM, (int)l->recv_queue_max) &&
           set_int(socket, ZMQ_SNDBUF, SOCKET_BUFFER_BYTES) && set_int(socket, ZMQ_RCVBUF, SOCKET_BUFFER_BYTES) &&
           set_int(socket, ZMQ_HANDSHAKE_IVL, (int)l->handshake_ms) && set_int(socket, ZMQ_HEARTBEAT_IVL, (int)l->heartbeat_ms) &&
           set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, (int)l->heartbeat_timeout_ms) &&
           set_int(socket, ZMQ_HEARTBEAT_TTL, (int)l->heartbeat_ttl_ms) &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, t->transport.b, sizeof t->transport.b) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, t->secret.b, sizeof t->secret.b) == 0;
}

/* "tcp://HOST:PORT"; an IPv6 literal gets its brackets. */
bool endpoint_format(const char *host, uint16_t port, char out[ENDPOINT_CHARS])
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

void unwatch(struct transport *t, void *socket)
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
    /* Two threads: a DNS name blocks its thread and all connections in it while it is looked up. So names are dialled from
     * one of their own, and nothing else is given to it: libzmq left to choose spreads connections over both. */
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

void socket_close(struct transport *t, void **socket)
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
