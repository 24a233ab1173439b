/* net.c - links as the transport gives them (node/transport_zmq.h).
 *
 * A dial costs 5.6 round trips (TCP, CURVE, ZMTP), then LINK_UP; or LINK_DOWN. A link keeps order and loses nothing while it
 * lives, as TCP does: what a lossy network does to TCP is delay, and now and then a break. When it breaks, each direction
 * loses what would have arrived after some moment, and each side hears of it when it has heard everything before it. The
 * listener knows a link from its first frame on.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { DIAL_MS = HELLO_TIMEOUT_MS, DEAD_AIR_MS = 10 * 1000, DEAD_AIR_SPREAD_MS = 15 * 1000, RETRANSMIT_US = 200 * 1000 };

/* ---- distance ---- */

static uint32_t square_root(uint32_t v)
{
    uint32_t r = 0;
    while ((r + 1) * (r + 1) <= v)
        r++;
    return r;
}

/* One way: 5 to 120 ms by distance, and each direction up to 15 % off, because routes are not symmetric. */
static uint64_t base_us(const struct sim *s, size_t from, size_t to)
{
    const struct sim_node *a = &s->nodes[from], *b = &s->nodes[to];
    uint32_t dx = a->x > b->x ? a->x - b->x : b->x - a->x, dy = a->y > b->y ? a->y - b->y : b->y - a->y;
    uint64_t us = 5000 + (uint64_t)square_root(dx * dx + dy * dy) * 100000 / 1415;
    uint64_t skew = (from * 7919 + to * 104729 + s->options.seed) % 31;
    return us * (85 + skew) / 100;
}

static uint64_t delay_us(struct sim *s, struct sim_node *from, size_t to)
{
    struct rng *r = &from->rng[STREAM_NET];
    uint64_t us = base_us(s, from->idx, to) + sim_exponential(r, s->climate.jitter_us);
    for (uint64_t wait = RETRANSMIT_US; s->faults_on && wait <= 4 * RETRANSMIT_US && rng_below(r, 1000000) < s->climate.delay_ppm; wait *= 2)
        us += wait;
    return us;
}

static bool is_parted(const struct sim *s, size_t a, size_t b) { return s->now < s->partition_until && s->side[a] != s->side[b]; }

/* ---- finding ---- */

/* Link ids count up from 1 on both sides, so they index a table per node and side. */
static void map_link(struct sim_node *n, struct link link, size_t wire)
{
    struct link_map *m = &n->links[link_is_inbound(link)];
    size_t at = (size_t)(link.id & ~LINK_INBOUND_BIT);
    if (at >= m->room) {
        size_t room = 2 * at + 64;
        m->wire = realloc(m->wire, room * sizeof *m->wire);
        ENSURE(m->wire != NULL);
        for (size_t i = m->room; i < room; i++)
            m->wire[i] = SIM_NO_WIRE;
        m->room = room;
    }
    m->wire[at] = wire;
}

/* The wire of a link that this side still knows; *end is this side's. */
static struct wire *find_wire(struct sim *s, const struct sim_node *n, struct link link, int *end)
{
    const struct link_map *m = &n->links[link_is_inbound(link)];
    size_t at = (size_t)(link.id & ~LINK_INBOUND_BIT);
    if (at >= m->room || m->wire[at] == SIM_NO_WIRE)
        return NULL;
    struct wire *w = &s->wires[m->wire[at]];
    *end = link_is_inbound(link) ? 1 : 0;
    return w->end[*end].open && w->end[*end].life == n->life ? w : NULL;
}

size_t net_other(struct sim *s, const struct sim_node *n, struct link link)
{
    int end;
    const struct wire *w = find_wire(s, n, link, &end);
    return w ? w->end[!end].node : SIZE_MAX;
}

static size_t index_of(const struct sim *s, const struct wire *w) { return (size_t)(w - s->wires); }

static bool is_muted(const struct sim *s, const struct sim_node *by, const struct seal_key *key)
{
    for (size_t i = 0; i < by->muted_count; i++)
        if (s->now < by->muted[i].until_us && memcmp(by->muted[i].key.b, key->b, sizeof key->b) == 0)
            return true;
    return false;
}

/* The pick-th live link of n, counting round and round. */
bool net_pick(struct sim *s, struct sim_node *n, uint64_t pick, struct link *out)
{
    size_t live = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t left = live ? pick % live : 0;
        for (int side = 0; side < 2; side++)
            for (size_t i = 0; i < n->links[side].room; i++) {
                size_t at = n->links[side].wire[i];
                if (at == SIM_NO_WIRE || !s->wires[at].up || !s->wires[at].end[side].open)
                    continue;
                *out = s->wires[at].end[side].link;
                if (pass == 1 && left-- == 0)
                    return true;
                live += pass == 0;
            }
    }
    return false;
}

/* ---- making ---- */

static void push_link(struct sim *s, uint64_t us, enum item_kind kind, const struct wire *w, int end)
{
    const struct wire_end *e = &w->end[end];
    queue_push(&s->queue, (struct queue_item){ .us = us, .kind = kind, .node = e->node, .life = e->life, .idx = index_of(s, w), .end = end });
}

void net_dial(struct sim *s, struct sim_node *from, struct link link, const struct endpoint *to)
{
    size_t peer = to->port - 1u;
    ENSURE(peer < s->count);
    s->wires = sim_grow(s->wires, &s->wires_room, s->wires_count, sizeof *s->wires);
    struct wire *w = &s->wires[s->wires_count++];
    *w = (struct wire){ .end = { { .node = from->idx, .link = link, .life = from->life, .open = true }, { .node = peer } },
                        .dead_us = { SIM_NEVER, SIM_NEVER } };
    map_link(from, link, index_of(s, w));
    s->counts.dials++;
    struct rng *r = &from->rng[STREAM_NET];
    uint64_t round_trip = base_us(s, from->idx, peer) + base_us(s, peer, from->idx);
    bool unlucky = s->faults_on && rng_below(r, 1000000) < s->climate.dial_fail_ppm;
    bool wrong_key = memcmp(to->transport.b, s->nodes[peer].transport.b, sizeof to->transport.b) != 0;
    if (is_parted(s, from->idx, peer) || unlucky)
        push_link(s, s->now + sim_ms(DIAL_MS), ITEM_LINK_DOWN, w, 0);
    else if (!s->nodes[peer].alive || wrong_key)
        push_link(s, s->now + round_trip, ITEM_LINK_DOWN, w, 0);       /* nobody listens: refused at once */
    else
        push_link(s, s->now + round_trip * 28 / 5 + sim_exponential(r, s->climate.jitter_us), ITEM_LINK_UP, w, 0);
}

void net_send(struct sim *s, struct sim_node *from, struct link link, struct bytes frame)
{
    int end = 0;
    struct wire *w = find_wire(s, from, link, &end);
    if (!w || !w->up)
        return;
    struct wire_end *to = &w->end[!end];
    uint64_t us = s->now + delay_us(s, from, to->node);
    if (w->stalled_us > s->now && us < w->stalled_us)
        us = w->stalled_us + us - s->now;
    if (us <= w->last_us[end])
        us = w->last_us[end] + 1;
    w->last_us[end] = us;
    uint8_t *copy = malloc(frame.len);
    ENSURE(copy != NULL);
    memcpy(copy, frame.data, frame.len);
    queue_push(&s->queue, (struct queue_item){ .us = us, .kind = ITEM_FRAME, .node = to->node, .life = to->life, .idx = index_of(s, w),
                                               .end = !end, .bytes = copy, .len = frame.len });
    s->counts.frames++;
    struct frame f;
    s->counts.sent[frame_decode(frame, &f) == OK ? message_index(f.type) : MESSAGE_TYPE_COUNT]++;
    if (s->faults_on && rng_below(&from->rng[STREAM_NET], 1000000) < s->climate.break_ppm)
        net_break(s, index_of(s, w));
}

/* ---- ending ---- */

/* Both directions end at some moment from now on; each side hears of it `notice_us` later at the latest. */
static void cut(struct sim *s, struct wire *w, uint64_t notice_us)
{
    if (!w->up)
        return;
    w->up = false;
    s->counts.breaks++;
    for (int end = 0; end < 2; end++) {
        int toward = !end;                                 /* the direction whose frames arrive at `end` */
        uint64_t dead = s->now + rng_below(&s->rng, 60000);
        w->dead_us[toward] = dead;
        uint64_t notice = s->now + notice_us > dead ? s->now + notice_us : dead + 1;
        if (w->end[end].open)
            push_link(s, notice, ITEM_LINK_DOWN, w, end);
    }
}

void net_break(struct sim *s, size_t wire) { cut(s, &s->wires[wire], rng_below(&s->rng, 100000)); }

/* This side forgets the link at once. What it sent mostly still arrives; what waited unsent in its socket does not. */
static void leave(struct sim *s, struct sim_node *n, struct wire *w, int end)
{
    w->end[end].open = false;
    if (!w->up)
        return;
    w->up = false;
    if (rng_below(&n->rng[STREAM_NET], 8) == 0)
        w->dead_us[end] = s->now;
    if (!w->end[!end].open)
        return;
    uint64_t us = s->now + delay_us(s, n, w->end[!end].node);
    push_link(s, us > w->last_us[end] ? us : w->last_us[end] + 1, ITEM_LINK_DOWN, w, !end);
}

void net_hangup(struct sim *s, struct sim_node *from, struct link link)
{
    int end = 0;
    struct wire *w = find_wire(s, from, link, &end);
    if (w)
        leave(s, from, w, end);
}

void net_mute(struct sim *s, struct sim_node *by, struct link link, const struct seal_key *key, uint64_t ms)
{
    net_hangup(s, by, link);
    by->muted = sim_grow(by->muted, &by->muted_room, by->muted_count, sizeof *by->muted);
    by->muted[by->muted_count++] = (struct muting){ *key, s->now + sim_ms(ms) };
    for (size_t i = 0; i < s->wires_count; i++)
        for (int end = 0; end < 2; end++) {
            struct wire *w = &s->wires[i];
            const struct sim_node *peer = &s->nodes[w->end[!end].node];
            if (!w->up || w->end[end].node != by->idx || !w->end[end].open || memcmp(peer->transport.b, key->b, sizeof key->b) != 0)
                continue;
            push_link(s, s->now + 1, ITEM_LINK_DOWN, w, end);
            w->up = false;
            if (w->end[!end].open)
                push_link(s, w->last_us[end] + 1 > s->now ? w->last_us[end] + 1 : s->now + 1, ITEM_LINK_DOWN, w, !end);
        }
}

void net_crashed(struct sim *s, struct sim_node *n)
{
    for (size_t i = 0; i < s->wires_count; i++)
        for (int end = 0; end < 2; end++) {
            struct wire *w = &s->wires[i];
            if (w->end[end].node != n->idx || !w->end[end].open)
                continue;
            w->end[end].open = false;
            cut(s, w, 0);
        }
    for (int side = 0; side < 2; side++) {
        free(n->links[side].wire);
        n->links[side] = (struct link_map){ 0 };
    }
    n->muted_count = 0;
    n->inbound_last = 0;
}

void net_partition(struct sim *s, uint64_t until_us)
{
    s->partition_until = until_us;
    bool brief = until_us - s->now < sim_ms(DEAD_AIR_MS);
    for (size_t i = 0; i < s->wires_count; i++) {
        struct wire *w = &s->wires[i];
        if (!w->up || s->side[w->end[0].node] == s->side[w->end[1].node])
            continue;
        if (brief)
            w->stalled_us = until_us;                      /* TCP sits it out */
        else
            cut(s, w, sim_ms(DEAD_AIR_MS) + rng_below(&s->rng, sim_ms(DEAD_AIR_SPREAD_MS)));
    }
}

void net_free(struct sim *s)
{
    free(s->wires);
    for (size_t i = 0; i < s->count; i++) {
        free(s->nodes[i].links[0].wire);
        free(s->nodes[i].links[1].wire);
        free(s->nodes[i].muted);
    }
}

/* ---- what arrives ---- */

static void tell(struct sim *s, struct sim_node *n, enum overlay_event_kind kind, struct link link, const struct seal_key *from, struct bytes frame)
{
    struct agent_event e = { .kind = AGENT_OVERLAY };
    e.u.overlay.kind = kind;
    e.u.overlay.link = link;
    e.u.overlay.frame = frame;
    if (from)
        e.u.overlay.from = *from;
    sim_event(s, n, &e);
}

static void link_up(struct sim *s, struct wire *w)
{
    struct sim_node *n = &s->nodes[w->end[0].node], *peer = &s->nodes[w->end[1].node];
    if (!w->end[0].open)
        return;
    if (!peer->alive || is_parted(s, n->idx, peer->idx) || is_muted(s, peer, &n->transport) || is_muted(s, n, &peer->transport)) {
        w->end[0].open = false;
        s->counts.dials_failed++;
        tell(s, n, OVERLAY_LINK_DOWN, w->end[0].link, NULL, bytes_of(NULL, 0));
        return;
    }
    struct link inbound = { LINK_INBOUND_BIT | ++peer->inbound_last };
    w->end[1] = (struct wire_end){ .node = peer->idx, .link = inbound, .life = peer->life, .open = true };
    map_link(peer, inbound, index_of(s, w));
    w->up = true;
    tell(s, n, OVERLAY_LINK_UP, w->end[0].link, NULL, bytes_of(NULL, 0));
}

static void link_down(struct sim *s, struct wire *w, int end)
{
    struct wire_end *e = &w->end[end];
    if (!e->open)
        return;
    e->open = false;
    if (end == 0 || e->heard)
        tell(s, &s->nodes[e->node], OVERLAY_LINK_DOWN, e->link, NULL, bytes_of(NULL, 0));
}

static void frame_in(struct sim *s, const struct queue_item *it)
{
    struct wire *w = &s->wires[it->idx];
    struct wire_end *e = &w->end[it->end];
    if (!e->open || it->us > w->dead_us[!it->end])
        return;
    e->heard = true;
    struct sim_node *n = &s->nodes[e->node], *from = &s->nodes[w->end[!it->end].node];
    struct bytes frame = bytes_of(it->bytes, it->len);
    s->touched_count = 0;
    check_touched(s, from->idx);
    tell(s, n, OVERLAY_FRAME, e->link, &from->transport, frame);
    if (n->alive)
        check_heard(s, n, from, frame);
}

void net_item(struct sim *s, const struct queue_item *it)
{
    if (it->kind == ITEM_FRAME)
        frame_in(s, it);
    else if (it->kind == ITEM_LINK_UP)
        link_up(s, &s->wires[it->idx]);
    else
        link_down(s, &s->wires[it->idx], it->end);
}
