/* overlay.c - the overlay as one core: events come in, each is handed to the part whose question it is, effects go out. */
#include "dht/overlay_state.h"

#include <string.h>

static const struct hash zero_hash;

/* ---- what all parts need ---- */

void overlay_begin(struct overlay *o, struct mono now, const struct wall *wall)
{
    ENSURE(now.us >= o->now.us);
    outbox_recycle(&o->out);
    o->now = now;
    if (wall) {
        o->wall = *wall;
        o->wall_at = now;
    }
}

void overlay_wake(struct overlay *o, struct mono at) { o->deadline = mono_min(o->deadline, at); }

struct wall overlay_wall(const struct overlay *o)
{
    return (struct wall){ o->wall.ms + mono_ms_between(o->wall_at, o->now) };
}

uint64_t overlay_next_seq(struct overlay *o)
{
    uint64_t wall_ms = overlay_wall(o).ms;
    o->last_seq = wall_ms > o->last_seq ? wall_ms : o->last_seq + 1;
    return o->last_seq;
}

enum err overlay_verify(struct overlay *o, const struct node_record *r)
{
    uint8_t buf[RECORD_BYTES_MAX];
    struct hash h = hash_of("verified", record_encode(r, buf));
    struct hash *place = &o->verified[(h.b[0] | (unsigned)h.b[1] << 8) % VERIFIED_MAX];
    if (hash_equal(place, &h)) {                               /* what changes with time is asked every time */
        if (r->has_cert && r->cert.not_after_s < overlay_wall(o).ms / 1000)
            return ERR_EXPIRED;
        return record_check_cheap(r, &o->net, o->pow_bits, overlay_wall(o));
    }
    enum err e = record_verify(r, &o->net, o->pow_bits, overlay_wall(o));
    if (e == OK)
        *place = h;
    return e;
}

void overlay_refuse(struct overlay *o, uint32_t type, enum err why)
{
    ENSURE(why != OK);
    o->counters.refused[why]++;
    o->counters.refused_by_type[message_index(type)]++;
}

void overlay_emit(struct overlay *o, const struct overlay_effect *e) { outbox_push(&o->out, e); }

struct bytes overlay_frame(struct overlay *o, const struct frame *f)
{
    size_t cap = f->body.len + FRAME_OVERHEAD_BYTES_MAX;
    struct bytes encoded;
    enum err e = frame_encode(f, outbox_alloc(&o->out, cap), cap, &encoded);
    ENSURE(e == OK);
    return encoded;
}

void overlay_send_bytes(struct overlay *o, struct link link, uint32_t type, struct bytes frame)
{
    o->counters.frames_out++;
    o->counters.bytes_out += frame.len;
    o->counters.out_by_type[message_index(type)]++;
    overlay_emit(o, &(struct overlay_effect){ .kind = OVERLAY_SEND, .link = link, .bytes = frame });
}

void overlay_send_frame(struct overlay *o, struct link link, const struct frame *f)
{
    overlay_send_bytes(o, link, f->type, overlay_frame(o, f));
}

/* ---- life ---- */

size_t overlay_bytes(void) { return sizeof(struct overlay); }

static enum err check_config(const struct overlay_config *cfg, const struct pubkey *key, struct wall wall)
{
    if (!host_is_valid(cfg->at.host) || (cfg->dialable && cfg->at.port == 0))
        return ERR_FORMAT;
    enum err e = pow_check(key, &cfg->net, cfg->pow_nonce, cfg->pow_bits);
    if (e == OK && cfg->cert)
        e = cert_verify(cfg->cert, &cfg->net, key, wall);
    return e;
}

static void set_own_record(struct overlay *o, const struct overlay_config *cfg, const struct pubkey *key)
{
    o->own = (struct node_record){ .net = cfg->net, .key = *key, .id = node_id_of(key), .pow_nonce = cfg->pow_nonce,
                                   .at = cfg->at, .flags = cfg->dialable ? RECORD_DIALABLE : 0 };
    if (cfg->cert) {
        o->own.has_cert = true;
        o->own.cert = *cfg->cert;
    }
}

enum err overlay_init(struct overlay *o, struct mono now, struct wall wall, const struct overlay_config *cfg)
{
    struct pubkey key;
    key_public(cfg->key, &key);
    enum err e = check_config(cfg, &key, wall);
    if (e != OK)
        return e;
    memset(o, 0, sizeof *o);
    o->net = cfg->net;
    o->pow_bits = cfg->pow_bits;
    o->key = cfg->key;
    o->now = o->wall_at = now;
    o->wall = wall;
    o->deadline = now;
    set_own_record(o, cfg, &key);
    rng_init(&o->rng, cfg->rng_seed);
    o->last_request = rng_next(&o->rng) >> 16;                 /* far from 0, far from wrapping, hard to guess */
    bucket_init(&o->hellos, now, (struct bucket_rate){ HELLOS_PER_S, HELLOS_BURST });
    outbox_init(&o->out);
    peers_init(&o->peers);
    routing_init(&o->routing, now, &o->own.id, cfg->full_mesh_max ? cfg->full_mesh_max : PEERS_MAX / 2);
    store_init(&o->store, &o->own.id.h);
    gossip_init(&o->gossip, rng_next(&o->rng));
    o->kept[0] = (struct kept_model){ .used = true, .for_ever = true, .refresh_at = now };     /* the directory */
    publish_sign_record(o);
    return OK;
}

void overlay_stop(struct overlay *o, struct mono now)
{
    overlay_begin(o, now, NULL);
    o->stopped = true;
    o->deadline = MONO_NEVER;
    for (size_t i = 0; i < PEER_SLOTS && outbox_has_room(&o->out, 8, 1024); i++) {
        struct peer *peer = &o->peers.slots[i];
        if (peer->state == PEER_UP)
            session_drop(o, peer, GOAWAY_LEAVING);
    }
    o->deadline = MONO_NEVER;
}

enum err overlay_bootstrap(struct overlay *o, struct mono now, const struct bootstrap *b)
{
    overlay_begin(o, now, NULL);
    struct boot *slot = NULL;
    if (!net_id_equal(&b->net, &o->net))
        return ERR_NETWORK;
    if (memcmp(b->transport.b, o->own.at.transport.b, SEAL_KEY_BYTES) == 0)
        return OK;
    for (size_t i = BOOTSTRAPS_MAX; i-- > 0;) {
        if (!o->boots[i].used)
            slot = &o->boots[i];
        else if (memcmp(o->boots[i].at.transport.b, b->transport.b, SEAL_KEY_BYTES) == 0)
            return ERR_EXISTS;
    }
    if (!slot)
        return ERR_FULL;
    *slot = (struct boot){ .used = true, .at = { .port = b->port, .transport = b->transport }, .next_try = now };
    memcpy(slot->at.host, b->host, sizeof slot->at.host);
    overlay_wake(o, now);
    return OK;
}

bool overlay_joined(const struct overlay *o) { return o->self_found && peers_has_any(&o->peers); }

/* ---- events ---- */

void overlay_peer_is_up(struct overlay *o, struct peer *peer)
{
    enum err e = routing_proved(&o->routing, &peer->record);
    ENSURE(e == OK || e == ERR_FULL || e == ERR_ARG);
    search_peer_ready(o, peer);
    if (!o->self_found && !search_find(o, SEARCH_SELF, &zero_hash))
        search_start(o, SEARCH_SELF, &o->own.id.h, &zero_hash);
    upkeep_expect_more(o);
    overlay_wake(o, o->now);                                   /* its first ping, and whatever waited for company */
}

static void pass_on(struct overlay *o, struct peer *peer, const struct frame *f)
{
    overlay_emit(o, &(struct overlay_effect){ .kind = OVERLAY_MESSAGE, .link = peer->link, .node = peer->id, .type = f->type,
                                              .request = f->request, .bytes = f->body, .hop = f->hop, .age_ms = f->age_ms });
}

void overlay_message(struct overlay *o, struct peer *peer, const struct frame *f)
{
    enum err e = OK;
    peer->used = o->now;
    switch ((enum message_type)f->type) {
    case MSG_FIND: e = serve_find(o, peer, f); break;
    case MSG_GET: e = serve_get(o, peer, f); break;
    case MSG_STORE: e = serve_store(o, peer, f); break;
    case MSG_NODES:
    case MSG_VALUES: e = search_answer(o, peer, f); break;
    case MSG_STORED: e = publish_stored(o, f); break;
    case MSG_PUB: e = rumour_pub(o, peer, f); break;
    case MSG_IHAVE: e = rumour_ihave(o, peer, f); break;
    case MSG_IWANT: e = rumour_iwant(o, peer, f); break;
    case MSG_HELLO:
    case MSG_HELLO_OK:
    case MSG_PING:
    case MSG_PONG:
    case MSG_GOAWAY: ENSURE(false); break;                     /* session.c has dealt with it */
    case MSG_OFFER:
    case MSG_BID:
    case MSG_DECLINE:
    case MSG_TERMS:
    case MSG_TERMS_OK:
    case MSG_REFUSE:
    case MSG_CHUNK:
    case MSG_CLAIM:
    case MSG_CLAIM_OK:
    case MSG_CLAIM_KEPT:
    case MSG_CANCEL:
    case MSG_RECEIPT:
    case MSG_RECEIPT_OK:
    case MSG_RESYNC:
    case MSG_RESYNC_OK:
    case MSG_HEADER_GET:
    case MSG_HEADER_PART: pass_on(o, peer, f); break;
    }
    if (e != OK)
        (void)session_offence(o, peer, f->type, e);
}

/* ---- time ---- */

static void announce_joined(struct overlay *o)
{
    if (o->was_joined || !overlay_joined(o))
        return;
    o->was_joined = true;
    o->refresh_again = o->now;
    overlay_emit(o, &(struct overlay_effect){ .kind = OVERLAY_JOINED });
}

static void tick(struct overlay *o)
{
    o->deadline = MONO_NEVER;                                  /* whoever puts work off wakes us again */
    store_expire(&o->store, o->now);
    session_tick(o);
    publish_tick(o);
    upkeep_tick(o);
    search_tick(o);                                            /* last: it takes up the walks that the others have started */
    overlay_wake(o, session_deadline(o));
    overlay_wake(o, publish_deadline(o));
    overlay_wake(o, upkeep_deadline(o));
    overlay_wake(o, search_deadline(o));
    overlay_wake(o, store_deadline(&o->store));
}

void overlay_handle(struct overlay *o, struct mono now, struct wall wall, const struct overlay_event *e)
{
    ENSURE(outbox_is_drained(&o->out));                        /* the worst case per event counts from an empty outbox */
    overlay_begin(o, now, &wall);
    if (o->stopped)
        return;
    switch (e->kind) {
    case OVERLAY_LINK_UP: session_link_up(o, e->link); break;
    case OVERLAY_LINK_DOWN: session_link_down(o, e->link); break;
    case OVERLAY_FRAME: session_frame(o, e); break;
    case OVERLAY_TICK: tick(o); break;
    }
    announce_joined(o);
}

bool overlay_next(struct overlay *o, struct overlay_effect *out) { return outbox_take(&o->out, out); }
struct mono overlay_deadline(const struct overlay *o) { return o->deadline; }
