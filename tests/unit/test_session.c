/* test_session.c - who becomes a peer, and every way of pretending to be one. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dht/overlay_state.h"
#include "tests/dht/net.h"

enum { POW = 6 };

/* ---- one overlay under test, and identities that talk to it by hand ---- */

struct who {
    struct secret_key key;
    struct seal_key transport;
    struct node_record record;
};

static struct net_id net;
static struct mono now;
static const struct wall wall = { UINT64_C(1767225600000) };

static struct who make_who(size_t i, unsigned pow_bits, const struct net_id *id)
{
    struct who w;
    struct key_seed signing = net_seed(5, i, "who-key"), sealing = net_seed(5, i, "who-seal");
    struct seal_secret secret;
    memset(&w, 0, sizeof w);
    key_from_seed(&signing, &w.key, &w.record.key);
    seal_key_from_seed(&sealing, &secret, &w.transport);
    assert_ok(pow_search(&w.record.key, id, pow_bits, UINT64_MAX, &w.record.pow_nonce));
    w.record.net = *id;
    w.record.seq = wall.ms;
    w.record.issued_at_s = wall.ms / 1000;
    w.record.flags = RECORD_DIALABLE;
    w.record.at.transport = w.transport;
    w.record.at.port = 7400;
    snprintf(w.record.at.host, sizeof w.record.at.host, "who%zu.test", i);
    record_sign(&w.key, &w.record);
    return w;
}

static struct overlay *open_overlay(struct who *self)
{
    struct overlay *o = malloc(overlay_bytes());
    struct overlay_effect e;
    now = (struct mono){ 1000000 };
    net = net_id_of("test");
    *self = make_who(0, POW, &net);
    struct overlay_config cfg = { .net = net, .pow_bits = POW, .key = &self->key, .pow_nonce = self->record.pow_nonce,
                                  .at = self->record.at, .dialable = true, .rng_seed = 1 };
    assert_ok(overlay_init(o, now, wall, &cfg));
    while (overlay_next(o, &e))
        ;
    return o;
}

/* What came out of the last event. */
struct outcome {
    size_t hello_ok, goaway, mute, hangup, up, down, message, pong, dial;
    struct link dialled;
};

static struct outcome drain(struct overlay *o)
{
    struct outcome out = { 0 };
    struct overlay_effect e;
    struct frame f;
    while (overlay_next(o, &e)) {
        if (e.kind == OVERLAY_SEND) {
            assert_ok(frame_decode(e.bytes, &f));
            out.hello_ok += f.type == MSG_HELLO_OK;
            out.goaway += f.type == MSG_GOAWAY;
            out.pong += f.type == MSG_PONG;
        }
        out.mute += e.kind == OVERLAY_MUTE;
        out.hangup += e.kind == OVERLAY_HANGUP;
        out.up += e.kind == OVERLAY_PEER_UP;
        out.down += e.kind == OVERLAY_PEER_DOWN;
        out.message += e.kind == OVERLAY_MESSAGE;
        if (e.kind == OVERLAY_DIAL) {
            out.dial++;
            out.dialled = e.link;
        }
    }
    overlay_check(o);
    return out;
}

static struct outcome say_bytes(struct overlay *o, struct link link, const struct seal_key *from, struct bytes frame)
{
    overlay_handle(o, now, wall, &(struct overlay_event){ .kind = OVERLAY_FRAME, .link = link, .from = *from, .frame = frame });
    return drain(o);
}

static struct outcome say(struct overlay *o, struct link link, const struct seal_key *from, const struct frame *f)
{
    static uint8_t buf[FRAME_BYTES_MAX];
    struct bytes encoded;
    assert_ok(frame_encode(f, buf, sizeof buf, &encoded));
    return say_bytes(o, link, from, encoded);
}

static struct outcome say_hello(struct overlay *o, struct link link, const struct who *author, const struct seal_key *from,
                                const struct seal_key *listener, enum message_type type)
{
    uint8_t body[1024];
    struct writer w;
    struct frame f = { .type = type };
    writer_init(&w, body, sizeof body);
    msg_hello_write(&w, &author->key, &author->record, (struct hello_ends){ &author->transport, listener });
    assert_ok(writer_finish(&w, &f.body));
    return say(o, link, from, &f);
}

static struct link inbound(uint64_t n) { return (struct link){ LINK_INBOUND_BIT | n }; }
static uint64_t refused(const struct overlay *o, enum err e) { return overlay_counters(o)->refused[e]; }

static const struct frame ping = { .type = MSG_PING, .request = 9, .body = { (const uint8_t *)"\x90", 1 } };

/* ---- tests ---- */

static void test_a_proper_hello_makes_a_peer(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    struct overlay_peer p;
    alice = make_who(1, POW, &net);
    struct outcome out = say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok, 1);
    assert_int_equal(out.up, 1);
    assert_true(overlay_peer_find(o, &alice.record.id, &p));
    assert_string_equal(p.record->at.host, "who1.test");
    assert_false(p.outbound);
    assert_int_equal(say(o, inbound(1), &alice.transport, &ping).pong, 1);
    struct frame offer = { .type = MSG_OFFER, .request = 3, .body = bytes_text("hello there") };
    assert_int_equal(say(o, inbound(1), &alice.transport, &offer).message, 1);
    /* A second HELLO changes nothing but is answered. */
    out = say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok, 1);
    assert_int_equal(out.up, 0);
    free(o);
}

static void test_hellos_that_are_refused(void **state)
{
    (void)state;
    struct who self, alice, mallory, weak, foreign, old;
    struct overlay *o = open_overlay(&self);
    struct net_id other = net_id_of("other");
    struct outcome out;
    alice = make_who(1, POW, &net);
    mallory = make_who(2, POW, &net);
    /* Replayed: Alice's very bytes on a link that authenticated Mallory's key. */
    out = say_hello(o, inbound(1), &alice, &mallory.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_MISMATCH), 1);
    /* Relayed: made for somebody else's ear, sent over a link that really is Alice's. */
    out = say_hello(o, inbound(2), &alice, &alice.transport, &mallory.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_SIGNATURE), 1);
    /* Alice's record under Mallory's signature of the ends: the key that signs must be the record's. */
    struct who mixed = mallory;
    mixed.record = alice.record;
    mixed.transport = alice.transport;
    out = say_hello(o, inbound(3), &mixed, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_SIGNATURE), 2);
    weak = make_who(4, 0, &net);
    for (weak.record.pow_nonce = 0; pow_check(&weak.record.key, &net, weak.record.pow_nonce, POW) == OK;)
        weak.record.pow_nonce++;
    record_sign(&weak.key, &weak.record);
    out = say_hello(o, inbound(4), &weak, &weak.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_POW), 1);
    foreign = make_who(5, POW, &other);
    out = say_hello(o, inbound(5), &foreign, &foreign.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_NETWORK), 1);
    old = make_who(6, POW, &net);
    old.record.issued_at_s -= 4 * 3600;
    record_sign(&old.key, &old.record);
    out = say_hello(o, inbound(6), &old, &old.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(refused(o, ERR_EXPIRED), 1);
    assert_int_equal(overlay_peer_count(o), 0);
    assert_int_equal(overlay_counters(o)->refused_by_type[MSG_HELLO_INDEX], 6);
    free(o);
}

static void test_our_own_hello_comes_back(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = open_overlay(&self);
    struct outcome out = say_hello(o, inbound(1), &self, &self.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.up + out.hello_ok, 0);
    assert_int_equal(refused(o, ERR_ARG), 1);
    free(o);
}

static void test_before_hello_little_is_borne(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    alice = make_who(1, POW, &net);
    struct outcome out = say(o, inbound(1), &alice.transport, &ping);
    assert_int_equal(out.goaway, 1);                                   /* a hint for peers of an earlier life of ours */
    assert_int_equal(out.pong, 0);
    int n = 1;
    while (out.mute == 0 && n < 100) {
        out = say(o, inbound(1), &alice.transport, &ping);
        assert_int_equal(out.goaway, 0);
        n++;
    }
    assert_in_range(n, 2, 16);
    assert_int_equal(refused(o, ERR_STATE), (uint64_t)n);
    /* A stranger that thinks better of it in time is welcome. */
    struct who bob = make_who(2, POW, &net);
    say(o, inbound(2), &bob.transport, &ping);
    assert_int_equal(say_hello(o, inbound(2), &bob, &bob.transport, &self.transport, MSG_HELLO).up, 1);
    free(o);
}

static void test_strangers_cannot_crowd_out_a_hello(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    struct overlay_gauges g;
    for (uint64_t i = 1; i <= 1000; i++) {
        struct seal_key key = { { (uint8_t)i, (uint8_t)(i >> 8) } };
        say(o, inbound(i), &key, &ping);
    }
    overlay_gauges(o, &g);
    assert_in_range(g.pending, 1, PEERS_PENDING_MAX);
    alice = make_who(1, POW, &net);
    assert_int_equal(say_hello(o, inbound(2000), &alice, &alice.transport, &self.transport, MSG_HELLO).up, 1);
    now = mono_add_ms(now, HELLO_TIMEOUT_MS + 1);
    overlay_handle(o, now, wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
    drain(o);
    overlay_gauges(o, &g);
    assert_int_equal(g.pending, 0);
    free(o);
}

static void test_bad_frames_of_a_peer_are_priced(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    struct outcome out = { 0 };
    alice = make_who(1, POW, &net);
    say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    /* Unknown types: a newer version. Counted, never muted. */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(say_bytes(o, inbound(1), &alice.transport, bytes_of("\x96\x01\x63\x07\x00\x00\xc4\x01\x90", 9)).mute, 0);
    assert_int_equal(refused(o, ERR_TYPE), 1000);
    int n = 0;
    while (out.mute == 0 && n < 100) {
        out = say_bytes(o, inbound(1), &alice.transport, bytes_of("rubbish", 7));
        n++;
    }
    assert_in_range(n, 2, 10);
    assert_int_equal(out.down, 1);
    assert_int_equal(out.hangup, 1);
    assert_int_equal(overlay_peer_count(o), 0);
    assert_null(routing_find(&o->routing, &alice.record.id));          /* and we do not dial it again */
    free(o);
}

static void test_oversize_is_refused(void **state)
{
    (void)state;
    static uint8_t big[FRAME_BYTES_MAX + 1];
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    alice = make_who(1, POW, &net);
    say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    say_bytes(o, inbound(1), &alice.transport, bytes_of(big, sizeof big));
    assert_int_equal(refused(o, ERR_TOO_LARGE), 1);
    free(o);
}

static void test_a_flood_is_cut(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    size_t pongs = 0, mutes = 0;
    alice = make_who(1, POW, &net);
    say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    for (int i = 0; i < 2 * PEER_MSGS_BURST && mutes == 0; i++) {
        struct outcome out = say(o, inbound(1), &alice.transport, &ping);
        pongs += out.pong;
        mutes += out.mute;
    }
    assert_in_range(pongs, PEER_MSGS_BURST - 2, PEER_MSGS_BURST);
    assert_int_equal(mutes, 1);
    assert_true(refused(o, ERR_RATE) > 0);
    free(o);
}

static void test_another_connection_cannot_speak_on_a_link(void **state)
{
    (void)state;
    struct who self, alice, mallory;
    struct overlay *o = open_overlay(&self);
    alice = make_who(1, POW, &net);
    mallory = make_who(2, POW, &net);
    say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(say(o, inbound(1), &mallory.transport, &ping).pong, 0);
    assert_int_equal(refused(o, ERR_MISMATCH), 1);
    assert_int_equal(overlay_peer_count(o), 1);
    free(o);
}

static struct link dial(struct overlay *o, const struct who *to)
{
    assert_ok(overlay_open(o, now, wall, &to->record));
    struct outcome out = drain(o);
    assert_int_equal(out.dial, 1);
    assert_false(link_is_inbound(out.dialled));
    overlay_handle(o, now, wall, &(struct overlay_event){ .kind = OVERLAY_LINK_UP, .link = out.dialled });
    drain(o);
    return out.dialled;
}

static void test_whom_we_dial_must_be_who_answers(void **state)
{
    (void)state;
    struct who self, alice, mallory;
    struct overlay *o = open_overlay(&self);
    alice = make_who(1, POW, &net);
    mallory = make_who(2, POW, &net);
    struct link l = dial(o, &alice);
    /* Mallory sits behind Alice's transport key (she was given a false record): her record does not name that key. */
    struct outcome out = say_hello(o, l, &mallory, &alice.transport, &self.transport, MSG_HELLO_OK);
    assert_int_equal(out.up, 0);
    assert_int_equal(out.hangup, 1);
    assert_int_equal(out.down, 1);                                     /* the open failed, and the parent hears of it */
    /* Even if her record did name it, it is not the node we asked for. */
    l = dial(o, &alice);
    struct who thief = mallory;
    thief.transport = thief.record.at.transport = alice.transport;
    record_sign(&thief.key, &thief.record);
    out = say_hello(o, l, &thief, &alice.transport, &self.transport, MSG_HELLO_OK);
    assert_int_equal(out.up, 0);
    assert_int_equal(out.down, 1);
    l = dial(o, &alice);
    assert_int_equal(say_hello(o, l, &alice, &alice.transport, &self.transport, MSG_HELLO_OK).up, 1);
    assert_err(overlay_open(o, now, wall, &alice.record), ERR_EXISTS);
    assert_err(overlay_open(o, now, wall, &self.record), ERR_ARG);
    struct who forged = mallory;
    forged.record.at.port++;
    assert_err(overlay_open(o, now, wall, &forged.record), ERR_SIGNATURE);
    free(o);
}

static void test_dials_that_come_to_nothing(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    alice = make_who(1, POW, &net);
    assert_ok(overlay_open(o, now, wall, &alice.record));
    struct outcome out = drain(o);
    overlay_handle(o, now, wall, &(struct overlay_event){ .kind = OVERLAY_LINK_DOWN, .link = out.dialled });
    out = drain(o);
    assert_int_equal(out.down, 1);
    assert_int_equal(out.hangup, 1);
    /* Connected, but nobody answers the HELLO: asked twice, then given up. */
    dial(o, &alice);
    size_t down = 0;
    for (int i = 0; i < 3; i++) {
        now = overlay_deadline(o);
        overlay_handle(o, now, wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
        down += drain(o).down;
    }
    assert_int_equal(down, 1);
    assert_int_equal(overlay_counters(o)->out_by_type[MSG_HELLO_INDEX], 2);
    free(o);
}

static void test_crossing_dials_leave_one_link_on_both_sides(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct net *n = net_open(&(struct net_config){ .nodes = 2, .seed = seed, .delay_ms_min = 20, .delay_ms_max = 40 });
        struct overlay_peer a, b;
        net_start(n, 0, 1);
        net_start(n, 1, 0);
        net_run(n, 20000);
        struct overlay *x = net_node(n, 0)->overlay, *y = net_node(n, 1)->overlay;
        assert_true(overlay_peer_find(x, overlay_self(y), &a));
        assert_true(overlay_peer_find(y, overlay_self(x), &b));
        assert_int_not_equal(a.outbound, b.outbound);                  /* one link, seen from both ends */
        assert_int_equal(net_node(n, 0)->peers_up, 1);
        assert_int_equal(net_node(n, 0)->peers_down, 0);
        assert_int_equal(net_node(n, 1)->peers_up, 1);
        assert_true(a.rtt_us >= 40000 && a.rtt_us <= 80000);
        struct overlay_gauges g;
        overlay_gauges(x, &g);
        assert_int_equal(g.pending, 0);
        net_close(n);
    }
}

static void test_a_restarted_peer_is_taken_back(void **state)
{
    (void)state;
    struct net *n = net_open(&(struct net_config){ .nodes = 2, .seed = 3, .delay_ms_min = 5, .delay_ms_max = 10 });
    struct overlay_peer p;
    net_start(n, 0, SIZE_MAX);
    net_start(n, 1, 0);
    net_run(n, 10000);
    net_crash(n, 1);                                                   /* node 0 has an inbound link: nothing tells it */
    net_start(n, 1, 0);
    net_run(n, 3000);
    assert_true(overlay_peer_find(net_node(n, 0)->overlay, overlay_self(net_node(n, 1)->overlay), &p));
    assert_true(overlay_joined(net_node(n, 1)->overlay));
    assert_ok(overlay_send(net_node(n, 0)->overlay, net_now(n), overlay_self(net_node(n, 1)->overlay), MSG_OFFER, 1, bytes_text("hi")));
    net_drain(n, 0);
    net_run(n, 100);
    assert_int_equal(net_node(n, 1)->messages, 1);
    net_close(n);
}

static void test_silence_is_noticed(void **state)
{
    (void)state;
    struct net *n = net_open(&(struct net_config){ .nodes = 2, .seed = 3, .delay_ms_min = 5, .delay_ms_max = 10 });
    net_start(n, 0, SIZE_MAX);
    net_start(n, 1, 0);
    net_run(n, 10000);
    assert_int_equal(overlay_peer_count(net_node(n, 0)->overlay), 1);
    net_crash(n, 1);
    net_run(n, PING_INTERVAL_MS + (PING_MISSES_MAX + 1) * 5000);
    assert_int_equal(overlay_peer_count(net_node(n, 0)->overlay), 0);
    assert_int_equal(net_node(n, 0)->peers_down, 1);
    assert_false(overlay_joined(net_node(n, 0)->overlay));
    net_close(n);
}

static void test_sending(void **state)
{
    (void)state;
    static uint8_t big[DATA_BODY_BYTES_MAX];
    struct who self, alice;
    struct overlay *o = open_overlay(&self);
    struct overlay_effect e;
    struct frame f;
    alice = make_who(1, POW, &net);
    assert_err(overlay_send(o, now, &alice.record.id, MSG_BID, 1, bytes_text("x")), ERR_NOT_FOUND);
    say_hello(o, inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_err(overlay_send(o, now, &alice.record.id, MSG_STORE, 1, bytes_text("x")), ERR_TYPE);
    assert_err(overlay_send(o, now, &alice.record.id, MSG_BID, 1, bytes_of(big, CONTROL_BODY_BYTES_MAX + 1)), ERR_TOO_LARGE);
    int n = 0;
    while (overlay_send(o, now, &alice.record.id, MSG_TERMS, 7, bytes_of(big, sizeof big)) == OK)
        n++;
    assert_in_range(n, 2, 16);                                         /* ERR_FULL, not more memory */
    while (overlay_next(o, &e)) {
        assert_int_equal(e.kind, OVERLAY_SEND);
        assert_ok(frame_decode(e.bytes, &f));
        assert_int_equal(f.request, 7);
        assert_int_equal(f.body.len, sizeof big);
    }
    assert_ok(overlay_send(o, now, &alice.record.id, MSG_TERMS, 7, bytes_of(big, sizeof big)));
    drain(o);
    overlay_stop(o, now);
    struct outcome out = drain(o);
    assert_int_equal(out.goaway, 1);
    assert_int_equal(out.down, 1);
    assert_int_equal(say(o, inbound(1), &alice.transport, &ping).pong, 0);
    free(o);
}

static void test_who_may_not_start(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = open_overlay(&self);
    struct overlay_config cfg = { .net = net, .pow_bits = 40, .key = &self.key, .pow_nonce = self.record.pow_nonce, .at = self.record.at };
    assert_err(overlay_init(o, now, wall, &cfg), ERR_POW);
    cfg.pow_bits = POW;
    strcpy(cfg.at.host, "no host");
    assert_err(overlay_init(o, now, wall, &cfg), ERR_FORMAT);
    struct who other = make_who(1, POW, &net);
    struct cert cert;
    cfg.at = self.record.at;
    cert_issue(&other.key, &net, &other.record.key, 2000000000, &cert);
    cfg.cert = &cert;
    assert_err(overlay_init(o, now, wall, &cfg), ERR_CERT);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proper_hello_makes_a_peer), cmocka_unit_test(test_hellos_that_are_refused),
        cmocka_unit_test(test_our_own_hello_comes_back), cmocka_unit_test(test_before_hello_little_is_borne),
        cmocka_unit_test(test_strangers_cannot_crowd_out_a_hello), cmocka_unit_test(test_bad_frames_of_a_peer_are_priced),
        cmocka_unit_test(test_oversize_is_refused), cmocka_unit_test(test_a_flood_is_cut),
        cmocka_unit_test(test_another_connection_cannot_speak_on_a_link), cmocka_unit_test(test_whom_we_dial_must_be_who_answers),
        cmocka_unit_test(test_dials_that_come_to_nothing), cmocka_unit_test(test_crossing_dials_leave_one_link_on_both_sides),
        cmocka_unit_test(test_a_restarted_peer_is_taken_back), cmocka_unit_test(test_silence_is_noticed),
        cmocka_unit_test(test_sending), cmocka_unit_test(test_who_may_not_start),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
