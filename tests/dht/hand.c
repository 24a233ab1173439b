/* hand.c - identities that talk to one overlay by hand. */
#include "tests/dht/hand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dht/net.h"

struct net_id hand_net;
struct mono hand_now;
const struct wall hand_wall = { UINT64_C(1767225600000) };
const struct frame hand_ping = { .type = MSG_PING, .request = 9, .body = { (const uint8_t *)"\x90", 1 } };

struct link hand_inbound(uint64_t n) { return (struct link){ LINK_INBOUND_BIT | n }; }
uint64_t hand_refused(const struct overlay *o, enum err e) { return overlay_counters(o)->refused[e]; }

struct who hand_who(size_t i, unsigned pow_bits, const struct net_id *id)
{
    struct who w;
    struct key_seed signing = net_seed(5, i, "who-key"), sealing = net_seed(5, i, "who-seal");
    struct seal_secret secret;
    memset(&w, 0, sizeof w);
    key_from_seed(&signing, &w.key, &w.record.key);
    seal_key_from_seed(&sealing, &secret, &w.transport);
    assert_ok(pow_search(&w.record.key, id, pow_bits, UINT64_MAX, &w.record.pow_nonce));
    w.record.net = *id;
    w.record.seq = hand_wall.ms;
    w.record.issued_at_s = hand_wall.ms / 1000;
    w.record.flags = RECORD_DIALABLE;
    w.record.at.transport = w.transport;
    w.record.at.port = 7400;
    snprintf(w.record.at.host, sizeof w.record.at.host, "who%zu.test", i);
    record_sign(&w.key, &w.record);
    return w;
}

struct overlay *hand_open(struct who *self)
{
    struct overlay *o = malloc(overlay_bytes());
    struct overlay_effect e;
    hand_now = (struct mono){ 1000000 };
    hand_net = net_id_of("test");
    *self = hand_who(0, HAND_POW, &hand_net);
    struct overlay_config cfg = { .net = hand_net, .pow_bits = HAND_POW, .key = &self->key, .pow_nonce = self->record.pow_nonce,
                                  .at = self->record.at, .dialable = true, .rng_seed = 1 };
    assert_ok(overlay_init(o, hand_now, hand_wall, &cfg));
    while (overlay_next(o, &e))
        ;
    return o;
}

static void note_sent(struct outcome *out, const struct overlay_effect *e)
{
    struct frame f;
    struct msg_values values;
    struct msg_nodes nodes;
    assert_ok(frame_decode(e->bytes, &f));
    out->hello_ok += f.type == MSG_HELLO_OK;
    out->goaway += f.type == MSG_GOAWAY;
    out->pong += f.type == MSG_PONG;
    out->pub += f.type == MSG_PUB;
    out->ihave += f.type == MSG_IHAVE;
    out->iwant += f.type == MSG_IWANT;
    out->last_hop = f.hop;
    out->last_age_ms = f.age_ms;
    if (f.type == MSG_STORED) {
        out->stored++;
        assert_ok(msg_stored_decode(f.body, &out->last_stored));
    } else if (f.type == MSG_VALUES) {
        out->values++;
        assert_ok(msg_values_decode(f.body, &values));
        out->values_total = values.total;
        out->nodes_count = values.nodes.count;
    } else if (f.type == MSG_NODES) {
        out->nodes++;
        assert_ok(msg_nodes_decode(f.body, &nodes));
        out->nodes_count = nodes.count;
    }
}

struct outcome hand_drain(struct overlay *o)
{
    struct outcome out = { 0 };
    struct overlay_effect e;
    while (overlay_next(o, &e)) {
        if (e.kind == OVERLAY_SEND)
            note_sent(&out, &e);
        out.mute += e.kind == OVERLAY_MUTE;
        out.hangup += e.kind == OVERLAY_HANGUP;
        out.up += e.kind == OVERLAY_PEER_UP;
        out.down += e.kind == OVERLAY_PEER_DOWN;
        out.message += e.kind == OVERLAY_MESSAGE;
        if (e.kind == OVERLAY_GOSSIP) {
            out.gossip++;
            out.last_gossip = e;
        }
        if (e.kind == OVERLAY_DIAL) {
            out.dial++;
            out.dialled = e.link;
        }
    }
    overlay_check(o);
    return out;
}

struct outcome hand_say_bytes(struct overlay *o, struct link link, const struct seal_key *from, struct bytes frame)
{
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_FRAME, .link = link, .from = *from, .frame = frame });
    return hand_drain(o);
}

struct outcome hand_say(struct overlay *o, struct link link, const struct seal_key *from, const struct frame *f)
{
    static uint8_t buf[FRAME_BYTES_MAX];
    struct bytes encoded;
    assert_ok(frame_encode(f, buf, sizeof buf, &encoded));
    return hand_say_bytes(o, link, from, encoded);
}

struct outcome hand_hello(struct overlay *o, struct link link, const struct who *author, const struct seal_key *from,
                          const struct seal_key *listener, enum message_type type)
{
    uint8_t body[1024];
    struct writer w;
    struct frame f = { .type = type };
    writer_init(&w, body, sizeof body);
    msg_hello_write(&w, &author->key, &author->record, (struct hello_ends){ &author->transport, listener });
    assert_ok(writer_finish(&w, &f.body));
    return hand_say(o, link, from, &f);
}

struct outcome hand_tick(struct overlay *o, uint64_t after_ms)
{
    hand_now = mono_add_ms(hand_now, after_ms);
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
    return hand_drain(o);
}

struct who hand_peer(struct overlay *o, const struct who *self, size_t n)
{
    struct who w = hand_who(n, HAND_POW, &hand_net);
    assert_int_equal(hand_hello(o, hand_inbound(n), &w, &w.transport, &self->transport, MSG_HELLO).up, 1);
    return w;
}
