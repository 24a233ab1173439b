/* rumour.c - gossip between peers: PUB pushed to a few, IHAVE to a few more, IWANT for what a loss has swallowed (PROTO 5). */
#include "dht/overlay_state.h"

struct hash gossip_topic(const struct hash *model) { return hash_of("topic", bytes_of(model->b, HASH_BYTES)); }

/* ---- passing on ---- */

/* Slots of all peers but one, the first `n` of them a random choice. */
struct audience {
    size_t count;
    struct peer *peers[PEERS_MAX];
};

static void gather(struct overlay *o, const struct peer *except, size_t n, struct audience *out)
{
    size_t cursor = 0;
    out->count = 0;
    for (struct peer *p; (p = peers_each(&o->peers, PEER_UP, &cursor));)
        if (p != except)
            out->peers[out->count++] = p;
    for (size_t i = 0; i < n && i + 1 < out->count; i++) {
        size_t k = i + (size_t)rng_below(&o->rng, out->count - i);
        struct peer *swap = out->peers[i];
        out->peers[i] = out->peers[k];
        out->peers[k] = swap;
    }
}

static void spread(struct overlay *o, const struct peer *except, const struct hash *id, const struct frame *pub)
{
    uint8_t body[8 + HASH_BYTES];
    struct audience a;
    struct writer w;
    struct frame ihave = { .type = MSG_IHAVE };
    gather(o, except, GOSSIP_FANOUT + GOSSIP_LAZY, &a);
    if (a.count == 0)
        return;
    struct bytes pushed = overlay_frame(o, pub), announced = { 0 };
    if (a.count > GOSSIP_FANOUT) {
        writer_init(&w, body, sizeof body);
        msg_ids_write(&w, &(struct msg_ids){ .count = 1, .ids = { *id } });
        enum err e = writer_finish(&w, &ihave.body);
        ENSURE(e == OK);
        announced = overlay_frame(o, &ihave);
    }
    for (size_t i = 0; i < a.count && i < GOSSIP_FANOUT + GOSSIP_LAZY; i++) {
        bool push = i < GOSSIP_FANOUT;
        overlay_send_bytes(o, a.peers[i]->link, push ? MSG_PUB : MSG_IHAVE, push ? pushed : announced);
    }
    o->counters.gossip_forwarded++;
}

/* ---- receiving ---- */

/* The origin's clock, as a bound on how long an old message can be dug up again. */
static enum err check_number(const struct overlay *o, uint64_t number)
{
    uint64_t now_ms = overlay_wall(o).ms;
    if (number > now_ms + CLOCK_SKEW_MS_MAX)
        return ERR_STALE;
    return number + GOSSIP_AGE_MS_MAX + CLOCK_SKEW_MS_MAX < now_ms ? ERR_EXPIRED : OK;
}

static enum err check_pub(const struct overlay *o, const struct frame *f, struct msg_pub *out)
{
    if (f->hop > GOSSIP_HOPS_MAX)
        return ERR_OVERFLOW;
    if (f->age_ms > GOSSIP_AGE_MS_MAX)
        return ERR_EXPIRED;
    enum err e = msg_pub_decode(f->body, out);
    if (e == OK)
        e = record_check_cheap(&out->origin, &o->net, o->pow_bits, overlay_wall(o));
    if (e == OK)
        e = check_number(o, out->number);
    return e == OK ? msg_pub_verify(out, &o->net) : e;
}

static void deliver(struct overlay *o, const struct frame *f, const struct msg_pub *m)
{
    struct node_record *origin = outbox_alloc(&o->out, sizeof *origin);
    *origin = m->origin;
    o->counters.gossip_delivered++;
    overlay_emit(o, &(struct overlay_effect){ .kind = OVERLAY_GOSSIP, .node = m->origin.id, .hash = m->topic, .bytes = m->bytes,
                                              .record = origin, .hop = f->hop, .age_ms = f->age_ms });
}

enum err rumour_pub(struct overlay *o, struct peer *peer, const struct frame *f)
{
    struct msg_pub m;
    struct frame aged = *f;
    struct hash id = msg_pub_id(f->body);
    if (gossip_is_known(&o->gossip, o->now, &id)) {
        o->counters.gossip_duplicates++;
        return OK;
    }
    enum err e = check_pub(o, f, &m);
    if (e == ERR_EXPIRED || e == ERR_STALE) {
        overlay_refuse(o, f->type, e);                         /* slow ways and wrong clocks are nobody's malice */
        return OK;
    }
    if (e != OK)
        return e;
    gossip_mark(&o->gossip, o->now, &id);
    if (gossip_allow(&o->gossip, o->now, &m.origin.id) != OK) {
        overlay_refuse(o, f->type, ERR_RATE);                  /* the origin's fault, not the messenger's; it ends here */
        return OK;
    }
    aged.age_ms += peer->liveness.rtt_us / 2000;               /* the way here */
    gossip_keep(&o->gossip, o->now, &id, &aged);
    deliver(o, &aged, &m);
    if (f->hop >= GOSSIP_HOPS_MAX)
        return OK;
    aged.hop++;
    aged.request = 0;
    spread(o, peer, &id, &aged);
    return OK;
}

enum err rumour_ihave(struct overlay *o, struct peer *peer, const struct frame *f)
{
    uint8_t body[8 + GOSSIP_IDS_MAX * (2 + HASH_BYTES)];
    struct msg_ids have, want = { 0 };
    struct writer w;
    struct frame iwant = { .type = MSG_IWANT };
    enum err e = msg_ids_decode(f->body, &have);
    if (e != OK)
        return e;
    for (uint32_t i = 0; i < have.count; i++)
        if (gossip_want(&o->gossip, o->now, &have.ids[i]))
            want.ids[want.count++] = have.ids[i];
    if (want.count == 0)
        return OK;
    writer_init(&w, body, sizeof body);
    msg_ids_write(&w, &want);
    e = writer_finish(&w, &iwant.body);
    ENSURE(e == OK);
    overlay_send_frame(o, peer->link, &iwant);
    return OK;
}

enum err rumour_iwant(struct overlay *o, struct peer *peer, const struct frame *f)
{
    struct msg_ids want;
    enum err e = msg_ids_decode(f->body, &want);
    if (e != OK)
        return e;
    for (uint32_t i = 0; i < want.count; i++) {
        const struct gossip_message *m = gossip_find(&o->gossip, o->now, &want.ids[i]);
        if (!m || m->hop >= GOSSIP_HOPS_MAX)
            continue;
        struct frame pub = { .type = MSG_PUB, .hop = m->hop + 1, .body = bytes_of(m->body, m->len),
                             .age_ms = m->age_ms + (uint32_t)mono_ms_between(m->at, o->now) };
        overlay_send_frame(o, peer->link, &pub);
    }
    return OK;
}

/* ---- our own ---- */

enum err overlay_publish(struct overlay *o, struct mono now, const struct hash *topic, struct bytes body)
{
    uint8_t buf[PUB_BYTES_MAX];
    struct writer w;
    struct frame pub = { .type = MSG_PUB };
    overlay_begin(o, now, NULL);
    if (body.len > GOSSIP_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (!outbox_has_room(&o->out, PEERS_MAX, 2 * PUB_BYTES_MAX))
        return ERR_FULL;
    if (gossip_allow(&o->gossip, now, &o->own.id) != OK)
        return ERR_RATE;                                       /* others would drop it */
    uint64_t wall_ms = overlay_wall(o).ms;
    o->last_number = wall_ms > o->last_number ? wall_ms : o->last_number + 1;
    writer_init(&w, buf, sizeof buf);
    msg_pub_write(&w, o->key, &(struct msg_pub){ .topic = *topic, .origin = o->own, .number = o->last_number, .bytes = body });
    enum err e = writer_finish(&w, &pub.body);
    ENSURE(e == OK);
    struct hash id = msg_pub_id(pub.body);
    gossip_mark(&o->gossip, now, &id);
    gossip_keep(&o->gossip, now, &id, &pub);
    o->counters.gossip_published++;
    spread(o, NULL, &id, &pub);
    return OK;
}
