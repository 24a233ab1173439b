/* net.c - the mini network. One heap of events ordered by (time, sequence); links are pairs of ends. */
#include "tests/dht/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct end {
    size_t node;
    struct link link;
};
struct wire_link {
    struct end dialler, listener;
    struct seal_key dialler_key, listener_key;
    bool up;
    uint64_t last_us[2];                                       /* TCP keeps order in each direction */
};
enum what { WHAT_TICK, WHAT_LINK_UP, WHAT_LINK_DOWN, WHAT_FRAME };
struct item {
    uint64_t us, seq;
    enum what what;
    size_t node, wire;
    uint64_t generation;
    struct link link;
    uint8_t *bytes;
    size_t len;
};

struct link_map {
    size_t *wire, cap;
};

enum { START_WALL_S = 1767225600 };

struct net {
    struct net_config cfg;
    struct net_id id;
    struct net_node *nodes;
    uint64_t *generation, *tick_at;
    struct link_map (*maps)[2];
    struct wire_link *wires;
    size_t wires_count, wires_cap;
    struct item *heap;
    size_t heap_count, heap_cap;
    uint64_t now_us, seq, events;
    size_t split;
    struct rng rng;
    struct hasher trace;
};

static void *must(void *p)
{
    ENSURE(p != NULL);
    return p;
}

/* ---- heap ---- */

static bool before(const struct item *a, const struct item *b) { return a->us != b->us ? a->us < b->us : a->seq < b->seq; }

static void push(struct net *n, struct item it)
{
    if (n->heap_count == n->heap_cap) {
        n->heap_cap = n->heap_cap ? 2 * n->heap_cap : 1024;
        n->heap = must(realloc(n->heap, n->heap_cap * sizeof *n->heap));
    }
    it.seq = ++n->seq;
    size_t i = n->heap_count++;
    while (i > 0 && before(&it, &n->heap[(i - 1) / 2])) {
        n->heap[i] = n->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    n->heap[i] = it;
}

static struct item pop(struct net *n)
{
    struct item top = n->heap[0], last = n->heap[--n->heap_count];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= n->heap_count)
            break;
        if (c + 1 < n->heap_count && before(&n->heap[c + 1], &n->heap[c]))
            c++;
        if (!before(&n->heap[c], &last))
            break;
        n->heap[i] = n->heap[c];
        i = c;
    }
    n->heap[i] = last;
    return top;
}

/* ---- wires ---- */

static uint64_t delay_us(struct net *n)
{
    uint64_t span = (uint64_t)(n->cfg.delay_ms_max - n->cfg.delay_ms_min) * 1000;
    return (uint64_t)n->cfg.delay_ms_min * 1000 + (span ? rng_below(&n->rng, span) : 0);
}

/* Link ids count up from 1 on both sides, so they index a table per node and side. */
static void map_link(struct net *n, size_t node, struct link link, size_t wire)
{
    struct link_map *m = &n->maps[node][link_is_inbound(link)];
    size_t at = (size_t)(link.id & ~LINK_INBOUND_BIT);
    if (at >= m->cap) {
        size_t cap = 2 * at + 64;
        m->wire = must(realloc(m->wire, cap * sizeof *m->wire));
        for (size_t i = m->cap; i < cap; i++)
            m->wire[i] = SIZE_MAX;
        m->cap = cap;
    }
    m->wire[at] = wire;
}

static size_t find_wire(const struct net *n, size_t node, struct link link)
{
    const struct link_map *m = &n->maps[node][link_is_inbound(link)];
    size_t at = (size_t)(link.id & ~LINK_INBOUND_BIT);
    return at < m->cap ? m->wire[at] : SIZE_MAX;
}

static size_t node_by_transport(const struct net *n, const struct seal_key *key)
{
    for (size_t i = 0; i < n->cfg.nodes; i++)
        if (memcmp(n->nodes[i].transport.b, key->b, SEAL_KEY_BYTES) == 0)
            return i;
    return SIZE_MAX;
}

static bool is_split(const struct net *n, size_t a, size_t b) { return n->split > 0 && (a < n->split) != (b < n->split); }
void net_partition(struct net *n, size_t split) { n->split = split; }

static void dial(struct net *n, size_t from, const struct overlay_effect *e)
{
    size_t to = node_by_transport(n, &e->at->transport);
    if (n->wires_count == n->wires_cap) {
        n->wires_cap = n->wires_cap ? 2 * n->wires_cap : 256;
        n->wires = must(realloc(n->wires, n->wires_cap * sizeof *n->wires));
    }
    size_t w = n->wires_count++;
    n->wires[w] = (struct wire_link){ .dialler = { from, e->link }, .listener = { SIZE_MAX, { 0 } },
                                      .dialler_key = n->nodes[from].transport, .listener_key = e->at->transport };
    bool reachable = to != SIZE_MAX && n->nodes[to].alive && !is_split(n, from, to);
    if (reachable) {
        n->wires[w].up = true;
        n->wires[w].listener = (struct end){ to, { LINK_INBOUND_BIT | ++n->nodes[to].inbound_last } };
        map_link(n, to, n->wires[w].listener.link, w);
    }
    map_link(n, from, e->link, w);
    push(n, (struct item){ .us = n->now_us + 3 * delay_us(n), .what = reachable ? WHAT_LINK_UP : WHAT_LINK_DOWN, .node = from,
                           .generation = n->generation[from], .wire = w, .link = e->link });
}

static void transmit(struct net *n, size_t from, const struct overlay_effect *e)
{
    size_t i = find_wire(n, from, e->link);
    if (i == SIZE_MAX || !n->wires[i].up)
        return;
    struct wire_link *w = &n->wires[i];
    bool outward = w->dialler.node == from;
    struct end to = outward ? w->listener : w->dialler;
    if (is_split(n, from, to.node))
        return;
    if (n->cfg.loss_ppm && rng_below(&n->rng, 1000000) < n->cfg.loss_ppm)
        return;
    uint64_t at = n->now_us + delay_us(n);
    if (at <= w->last_us[outward])
        at = w->last_us[outward] + 1;
    w->last_us[outward] = at;
    uint8_t *copy = must(malloc(e->bytes.len));
    memcpy(copy, e->bytes.data, e->bytes.len);
    push(n, (struct item){ .us = at, .what = WHAT_FRAME, .node = to.node, .generation = n->generation[to.node], .wire = i,
                           .link = to.link, .bytes = copy, .len = e->bytes.len });
}

/* The listener's ROUTER does not tell when a dialler goes; the dialler's monitor does. */
static void cut(struct net *n, size_t i)
{
    struct wire_link *w = &n->wires[i];
    if (!w->up)
        return;
    w->up = false;
    push(n, (struct item){ .us = n->now_us + delay_us(n), .what = WHAT_LINK_DOWN, .node = w->dialler.node,
                           .generation = n->generation[w->dialler.node], .wire = i, .link = w->dialler.link });
}

static void hang_up(struct net *n, size_t from, struct link link)
{
    size_t i = find_wire(n, from, link);
    if (i != SIZE_MAX && n->wires[i].dialler.node == from)
        n->wires[i].up = false;                                /* an inbound link is only forgotten */
}

/* ---- effects ---- */

static void notice(struct net *n, size_t i, const struct overlay_effect *e)
{
    struct net_node *node = &n->nodes[i];
    switch (e->kind) {
    case OVERLAY_PEER_UP: node->peers_up++; break;
    case OVERLAY_PEER_DOWN: node->peers_down++; break;
    case OVERLAY_MESSAGE:
        node->messages++;
        node->last_message = *e;
        memcpy(node->last_body, e->bytes.data, e->bytes.len < sizeof node->last_body ? e->bytes.len : sizeof node->last_body);
        break;
    case OVERLAY_GOSSIP:
        node->gossip++;
        node->last_gossip = *e;
        break;
    case OVERLAY_PROVIDERS: node->providers++; break;
    case OVERLAY_NODE_FOUND:
        node->found += e->record != NULL;
        node->last_found = *e;
        break;
    case OVERLAY_JOINED:
        node->joined = true;
        node->joined_at = (struct mono){ n->now_us };
        break;
    case OVERLAY_DIAL:
    case OVERLAY_HANGUP:
    case OVERLAY_SEND:
    case OVERLAY_MUTE: break;
    }
}

static void schedule(struct net *n, size_t i)
{
    uint64_t at = overlay_deadline(n->nodes[i].overlay).us;
    if (at == UINT64_MAX || at >= n->tick_at[i])
        return;
    n->tick_at[i] = at;
    push(n, (struct item){ .us = at > n->now_us ? at : n->now_us, .what = WHAT_TICK, .node = i, .generation = n->generation[i] });
}

void net_drain(struct net *n, size_t i)
{
    struct overlay_effect e;
    while (overlay_next(n->nodes[i].overlay, &e)) {
        hasher_add_u64(&n->trace, (uint64_t)e.kind << 32 | i);
        switch (e.kind) {
        case OVERLAY_DIAL: dial(n, i, &e); break;
        case OVERLAY_HANGUP: hang_up(n, i, e.link); break;
        case OVERLAY_SEND:
            hasher_add(&n->trace, e.bytes);
            transmit(n, i, &e);
            break;
        case OVERLAY_MUTE: break;
        case OVERLAY_PEER_UP:
        case OVERLAY_PEER_DOWN:
        case OVERLAY_MESSAGE:
        case OVERLAY_GOSSIP:
        case OVERLAY_PROVIDERS:
        case OVERLAY_NODE_FOUND:
        case OVERLAY_JOINED: notice(n, i, &e); break;
        }
    }
    schedule(n, i);
}

static void handle(struct net *n, const struct item *it)
{
    struct net_node *node = &n->nodes[it->node];
    struct overlay_event ev = { .kind = OVERLAY_TICK, .link = it->link };
    const struct wire_link *w = it->what == WHAT_TICK ? NULL : &n->wires[it->wire];
    if (it->what == WHAT_FRAME) {
        bool outward = w->listener.node == it->node && w->listener.link.id == it->link.id;
        ev.kind = OVERLAY_FRAME;
        ev.from = outward ? w->dialler_key : w->listener_key;
        ev.frame = bytes_of(it->bytes, it->len);
    } else if (it->what == WHAT_LINK_UP) {
        ev.kind = OVERLAY_LINK_UP;
    } else if (it->what == WHAT_LINK_DOWN) {
        ev.kind = OVERLAY_LINK_DOWN;
    } else {
        if (it->us != n->tick_at[it->node] && n->tick_at[it->node] != UINT64_MAX && it->us < n->tick_at[it->node])
            return;
        n->tick_at[it->node] = UINT64_MAX;
    }
    n->events++;
    hasher_add_u64(&n->trace, it->us);
    overlay_handle(node->overlay, (struct mono){ n->now_us }, net_wall(n), &ev);
    net_drain(n, it->node);
    if (n->cfg.check_every_step)
        overlay_check(node->overlay);
}

void net_run(struct net *n, uint64_t ms)
{
    uint64_t until = n->now_us + ms * 1000;
    while (n->heap_count > 0 && n->heap[0].us <= until) {
        struct item it = pop(n);
        if (it.us > n->now_us)
            n->now_us = it.us;
        if (n->nodes[it.node].alive && it.generation == n->generation[it.node])
            handle(n, &it);
        free(it.bytes);
    }
    n->now_us = until;
}

/* ---- life ---- */

struct key_seed net_seed(uint64_t seed, size_t i, const char *what)
{
    struct hasher h;
    struct hash out;
    struct key_seed s;
    hasher_init(&h, what);
    hasher_add_u64(&h, seed);
    hasher_add_u64(&h, i);
    hasher_finish(&h, &out);
    memcpy(s.b, out.b, sizeof s.b);
    return s;
}

static void make_node(struct net *n, size_t i)
{
    struct net_node *node = &n->nodes[i];
    struct key_seed signing = net_seed(n->cfg.seed, i, "test-key"), sealing = net_seed(n->cfg.seed, i, "test-seal");
    struct pubkey pub;
    struct seal_secret secret;
    key_from_seed(&signing, &node->key, &pub);
    seal_key_from_seed(&sealing, &secret, &node->transport);
    node->config = (struct overlay_config){ .net = n->id, .pow_bits = n->cfg.pow_bits, .key = &node->key, .dialable = true,
                                            .full_mesh_max = n->cfg.full_mesh_max };
    snprintf(node->config.at.host, sizeof node->config.at.host, "node%zu.test", i);
    node->config.at.port = 7400;
    node->config.at.transport = node->transport;
    enum err e = pow_search(&pub, &n->id, n->cfg.pow_bits, UINT64_MAX, &node->config.pow_nonce);
    ENSURE(e == OK);
}

struct net *net_open(const struct net_config *cfg)
{
    struct net *n = must(calloc(1, sizeof *n));
    n->cfg = *cfg;
    n->id = net_id_of("test");
    n->now_us = 1000000;
    n->nodes = must(calloc(cfg->nodes, sizeof *n->nodes));
    n->generation = must(calloc(cfg->nodes, sizeof *n->generation));
    n->tick_at = must(calloc(cfg->nodes, sizeof *n->tick_at));
    n->maps = must(calloc(cfg->nodes, sizeof *n->maps));
    rng_init(&n->rng, cfg->seed);
    hasher_init(&n->trace, "trace");
    for (size_t i = 0; i < cfg->nodes; i++)
        make_node(n, i);
    return n;
}

void net_start(struct net *n, size_t i, size_t bootstrap)
{
    struct net_node *node = &n->nodes[i];
    ENSURE(!node->alive);
    node->overlay = must(malloc(overlay_bytes()));
    node->alive = true;
    n->generation[i]++;
    n->tick_at[i] = UINT64_MAX;
    node->config.rng_seed = rng_next(&n->rng);
    enum err e = overlay_init(node->overlay, net_now(n), net_wall(n), &node->config);
    ENSURE(e == OK);
    if (bootstrap != SIZE_MAX) {
        struct bootstrap b = net_bootstrap(n, bootstrap);
        e = overlay_bootstrap(node->overlay, net_now(n), &b);
        ENSURE(e == OK);
    }
    net_drain(n, i);
}

void net_crash(struct net *n, size_t i)
{
    n->nodes[i].alive = false;
    n->nodes[i].joined = false;
    n->generation[i]++;
    for (size_t w = 0; w < n->wires_count; w++)
        if (n->wires[w].up && (n->wires[w].listener.node == i || n->wires[w].dialler.node == i))
            cut(n, w);
    free(n->nodes[i].overlay);
    n->nodes[i].overlay = NULL;
}

void net_close(struct net *n)
{
    while (n->heap_count > 0)
        free(pop(n).bytes);
    for (size_t i = 0; i < n->cfg.nodes; i++)
        free(n->nodes[i].overlay), free(n->maps[i][0].wire), free(n->maps[i][1].wire);
    free(n->maps);
    free(n->heap);
    free(n->wires);
    free(n->nodes);
    free(n->generation);
    free(n->tick_at);
    free(n);
}

struct net_node *net_node(struct net *n, size_t i) { return &n->nodes[i]; }
struct mono net_now(const struct net *n) { return (struct mono){ n->now_us }; }
struct wall net_wall(const struct net *n) { return (struct wall){ (uint64_t)START_WALL_S * 1000 + n->now_us / 1000 }; }
uint64_t net_events(const struct net *n) { return n->events; }

size_t net_index(const struct net *n, const struct node_id *id)
{
    for (size_t i = 0; i < n->cfg.nodes; i++)
        if (n->nodes[i].overlay && node_id_equal(overlay_self(n->nodes[i].overlay), id))
            return i;
    return SIZE_MAX;
}

struct hash net_trace(const struct net *n)
{
    struct hasher copy = n->trace;
    struct hash h;
    hasher_finish(&copy, &h);
    return h;
}

struct bootstrap net_bootstrap(struct net *n, size_t i)
{
    struct bootstrap b = { .port = n->nodes[i].config.at.port, .transport = n->nodes[i].transport, .net = n->id };
    snprintf(b.host, sizeof b.host, "node%zu.test", i);
    return b;
}
