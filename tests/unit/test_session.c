/* test_session.c - who becomes a peer, and every way of pretending to be one. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dht/hand.h"
#include "tests/dht/net.h"

/* ---- tests ---- */

static void test_a_proper_hello_makes_a_peer(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    struct overlay_peer p;
    alice = hand_who(1, HAND_POW, &hand_net);
    struct outcome out = hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok, 1);
    assert_int_equal(out.up, 1);
    assert_true(overlay_peer_find(o, &alice.record.id, &p));
    assert_string_equal(p.record->at.host, "who1.test");
    assert_false(p.outbound);
    assert_int_equal(hand_say(o, hand_inbound(1), &alice.transport, &hand_ping).pong, 1);
    struct frame offer = { .type = MSG_OFFER, .request = 3, .body = bytes_text("hello there") };
    assert_int_equal(hand_say(o, hand_inbound(1), &alice.transport, &offer).message, 1);
    /* A second HELLO changes nothing but is answered. */
    out = hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok, 1);
    assert_int_equal(out.up, 0);
    free(o);
}

static void test_hellos_that_are_refused(void **state)
{
    (void)state;
    struct who self, alice, mallory, weak, foreign, old;
    struct overlay *o = hand_open(&self);
    struct net_id other = net_id_of("other");
    struct outcome out;
    alice = hand_who(1, HAND_POW, &hand_net);
    mallory = hand_who(2, HAND_POW, &hand_net);
    /* Replayed: Alice's very bytes on a link that authenticated Mallory's key. */
    out = hand_hello(o, hand_inbound(1), &alice, &mallory.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_MISMATCH), 1);
    /* Relayed: made for somebody else's ear, sent over a link that really is Alice's. */
    out = hand_hello(o, hand_inbound(2), &alice, &alice.transport, &mallory.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_SIGNATURE), 1);
    /* Alice's record under Mallory's signature of the ends: the key that signs must be the record's. */
    struct who mixed = mallory;
    mixed.record = alice.record;
    mixed.transport = alice.transport;
    out = hand_hello(o, hand_inbound(3), &mixed, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_SIGNATURE), 2);
    weak = hand_who(4, 0, &hand_net);
    for (weak.record.pow_nonce = 0; pow_check(&weak.record.key, &hand_net, weak.record.pow_nonce, HAND_POW) == OK;)
        weak.record.pow_nonce++;
    record_sign(&weak.key, &weak.record);
    out = hand_hello(o, hand_inbound(4), &weak, &weak.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_POW), 1);
    foreign = hand_who(5, HAND_POW, &other);
    out = hand_hello(o, hand_inbound(5), &foreign, &foreign.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_NETWORK), 1);
    old = hand_who(6, HAND_POW, &hand_net);
    old.record.issued_at_s -= 4 * 3600;
    record_sign(&old.key, &old.record);
    out = hand_hello(o, hand_inbound(6), &old, &old.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.hello_ok + out.up, 0);
    assert_int_equal(hand_refused(o, ERR_EXPIRED), 1);
    assert_int_equal(overlay_peer_count(o), 0);
    assert_int_equal(overlay_counters(o)->refused_by_type[MSG_HELLO_INDEX], 6);
    free(o);
}

static void test_our_own_hello_comes_back(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = hand_open(&self);
    struct outcome out = hand_hello(o, hand_inbound(1), &self, &self.transport, &self.transport, MSG_HELLO);
    assert_int_equal(out.up + out.hello_ok, 0);
    assert_int_equal(hand_refused(o, ERR_ARG), 1);
    free(o);
}

static void test_before_hello_little_is_borne(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    alice = hand_who(1, HAND_POW, &hand_net);
    struct outcome out = hand_say(o, hand_inbound(1), &alice.transport, &hand_ping);
    assert_int_equal(out.goaway, 1);                                   /* a hint for peers of an earlier life of ours */
    assert_int_equal(out.pong, 0);
    int n = 1;
    while (out.mute == 0 && n < 100) {
        out = hand_say(o, hand_inbound(1), &alice.transport, &hand_ping);
        assert_int_equal(out.goaway, 0);
        n++;
    }
    assert_in_range(n, 2, 16);
    assert_int_equal(hand_refused(o, ERR_STATE), (uint64_t)n);
    /* A stranger that thinks better of it in time is welcome. */
    struct who bob = hand_who(2, HAND_POW, &hand_net);
    hand_say(o, hand_inbound(2), &bob.transport, &hand_ping);
    assert_int_equal(hand_hello(o, hand_inbound(2), &bob, &bob.transport, &self.transport, MSG_HELLO).up, 1);
    free(o);
}

static void test_strangers_cannot_crowd_out_a_hello(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    struct overlay_gauges g;
    for (uint64_t i = 1; i <= 1000; i++) {
        struct seal_key key = { { (uint8_t)i, (uint8_t)(i >> 8) } };
        hand_say(o, hand_inbound(i), &key, &hand_ping);
    }
    overlay_gauges(o, &g);
    assert_in_range(g.pending, 1, PEERS_PENDING_MAX);
    alice = hand_who(1, HAND_POW, &hand_net);
    assert_int_equal(hand_hello(o, hand_inbound(2000), &alice, &alice.transport, &self.transport, MSG_HELLO).up, 1);
    hand_now = mono_add_ms(hand_now, HELLO_TIMEOUT_MS + 1);
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
    hand_drain(o);
    overlay_gauges(o, &g);
    assert_int_equal(g.pending, 0);
    free(o);
}

static void test_bad_frames_of_a_peer_are_priced(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    struct outcome out = { 0 };
    alice = hand_who(1, HAND_POW, &hand_net);
    hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    /* Unknown types: a newer version. Counted, never muted. */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(hand_say_bytes(o, hand_inbound(1), &alice.transport, bytes_of("\x96\x01\x63\x07\x00\x00\xc4\x01\x90", 9)).mute, 0);
    assert_int_equal(hand_refused(o, ERR_TYPE), 1000);
    int n = 0;
    while (out.mute == 0 && n < 100) {
        out = hand_say_bytes(o, hand_inbound(1), &alice.transport, bytes_of("rubbish", 7));
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
    struct overlay *o = hand_open(&self);
    alice = hand_who(1, HAND_POW, &hand_net);
    hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    hand_say_bytes(o, hand_inbound(1), &alice.transport, bytes_of(big, sizeof big));
    assert_int_equal(hand_refused(o, ERR_TOO_LARGE), 1);
    free(o);
}

static void test_a_flood_is_cut(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    size_t pongs = 0, mutes = 0;
    alice = hand_who(1, HAND_POW, &hand_net);
    hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    for (int i = 0; i < 2 * PEER_MSGS_BURST && mutes == 0; i++) {
        struct outcome out = hand_say(o, hand_inbound(1), &alice.transport, &hand_ping);
        pongs += out.pong;
        mutes += out.mute;
    }
    assert_in_range(pongs, PEER_MSGS_BURST - 2, PEER_MSGS_BURST);
    assert_int_equal(mutes, 1);
    assert_true(hand_refused(o, ERR_RATE) > 0);
    free(o);
}

static void test_another_connection_cannot_speak_on_a_link(void **state)
{
    (void)state;
    struct who self, alice, mallory;
    struct overlay *o = hand_open(&self);
    alice = hand_who(1, HAND_POW, &hand_net);
    mallory = hand_who(2, HAND_POW, &hand_net);
    hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_int_equal(hand_say(o, hand_inbound(1), &mallory.transport, &hand_ping).pong, 0);
    assert_int_equal(hand_refused(o, ERR_MISMATCH), 1);
    assert_int_equal(overlay_peer_count(o), 1);
    free(o);
}

static struct link dial(struct overlay *o, const struct who *to)
{
    assert_ok(overlay_open(o, hand_now, hand_wall, &to->record));
    struct outcome out = hand_drain(o);
    assert_int_equal(out.dial, 1);
    assert_false(link_is_inbound(out.dialled));
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_LINK_UP, .link = out.dialled });
    hand_drain(o);
    return out.dialled;
}

static void test_whom_we_dial_must_be_who_answers(void **state)
{
    (void)state;
    struct who self, alice, mallory;
    struct overlay *o = hand_open(&self);
    alice = hand_who(1, HAND_POW, &hand_net);
    mallory = hand_who(2, HAND_POW, &hand_net);
    struct link l = dial(o, &alice);
    /* Mallory sits behind Alice's transport key (she was given a false record): her record does not name that key. */
    struct outcome out = hand_hello(o, l, &mallory, &alice.transport, &self.transport, MSG_HELLO_OK);
    assert_int_equal(out.up, 0);
    assert_int_equal(out.hangup, 1);
    assert_int_equal(out.down, 1);                                     /* the open failed, and the parent hears of it */
    /* Even if her record did name it, it is not the node we asked for. */
    l = dial(o, &alice);
    struct who thief = mallory;
    thief.transport = thief.record.at.transport = alice.transport;
    record_sign(&thief.key, &thief.record);
    out = hand_hello(o, l, &thief, &alice.transport, &self.transport, MSG_HELLO_OK);
    assert_int_equal(out.up, 0);
    assert_int_equal(out.down, 1);
    l = dial(o, &alice);
    assert_int_equal(hand_hello(o, l, &alice, &alice.transport, &self.transport, MSG_HELLO_OK).up, 1);
    assert_err(overlay_open(o, hand_now, hand_wall, &alice.record), ERR_EXISTS);
    assert_err(overlay_open(o, hand_now, hand_wall, &self.record), ERR_ARG);
    struct who forged = mallory;
    forged.record.at.port++;
    assert_err(overlay_open(o, hand_now, hand_wall, &forged.record), ERR_SIGNATURE);
    free(o);
}

/* The frame that is sent next on this link; false if nothing more is said. Frames on others are passed over. */
static bool next_said(struct overlay *o, struct link on, struct frame *out)
{
    struct overlay_effect e;
    while (overlay_next(o, &e))
        if (e.kind == OVERLAY_SEND && e.link.id == on.id) {
            assert_ok(frame_decode(e.bytes, out));
            return true;
        }
    return false;
}

/* PROTO 3.4: the question that a link was dialled for goes out behind the HELLO, not a round trip later. */
static void test_the_first_question_follows_the_hello_at_once(void **state)
{
    (void)state;
    struct who self, bob;
    struct overlay *o = hand_open(&self);
    struct frame f;
    hand_peer(o, &self, 1);
    bob = hand_who(2, HAND_POW, &hand_net);
    struct node_id wanted = { { { 0x77 } } };
    hand_tick(o, 0);
    assert_ok(overlay_find_node(o, hand_now, &wanted));
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
    assert_true(next_said(o, hand_inbound(1), &f));
    assert_int_equal(f.type, MSG_GET);
    struct who alice = hand_who(1, HAND_POW, &hand_net);
    struct frame answer = { .type = MSG_VALUES, .request = f.request };
    uint8_t body[1024];
    struct writer w;
    writer_init(&w, body, sizeof body);
    write_array(&w, 3);
    write_uint(&w, 0);
    write_array(&w, 0);
    write_array(&w, 1);
    record_write(&w, &bob.record);
    assert_ok(writer_finish(&w, &answer.body));
    struct outcome out = hand_say(o, hand_inbound(1), &alice.transport, &answer);
    out = out.dial ? out : hand_tick(o, 0);
    assert_int_equal(out.dial, 1);
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_LINK_UP, .link = out.dialled });
    assert_true(next_said(o, out.dialled, &f));
    assert_int_equal(f.type, MSG_HELLO);
    assert_true(next_said(o, out.dialled, &f));
    assert_int_equal(f.type, MSG_GET);
    free(o);
}

static void test_dials_that_come_to_nothing(void **state)
{
    (void)state;
    struct who self, alice;
    struct overlay *o = hand_open(&self);
    alice = hand_who(1, HAND_POW, &hand_net);
    assert_ok(overlay_open(o, hand_now, hand_wall, &alice.record));
    struct outcome out = hand_drain(o);
    overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_LINK_DOWN, .link = out.dialled });
    out = hand_drain(o);
    assert_int_equal(out.down, 1);
    assert_int_equal(out.hangup, 1);
    /* Connected, but nobody answers the HELLO: asked twice, then given up. */
    dial(o, &alice);
    size_t down = 0;
    for (int i = 0; i < 3; i++) {
        hand_now = overlay_deadline(o);
        overlay_handle(o, hand_now, hand_wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
        down += hand_drain(o).down;
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
    struct overlay *o = hand_open(&self);
    struct overlay_effect e;
    struct frame f;
    alice = hand_who(1, HAND_POW, &hand_net);
    assert_err(overlay_send(o, hand_now, &alice.record.id, MSG_BID, 1, bytes_text("x")), ERR_NOT_FOUND);
    hand_hello(o, hand_inbound(1), &alice, &alice.transport, &self.transport, MSG_HELLO);
    assert_err(overlay_send(o, hand_now, &alice.record.id, MSG_STORE, 1, bytes_text("x")), ERR_TYPE);
    assert_err(overlay_send(o, hand_now, &alice.record.id, MSG_BID, 1, bytes_of(big, CONTROL_BODY_BYTES_MAX + 1)), ERR_TOO_LARGE);
    int n = 0;
    while (overlay_send(o, hand_now, &alice.record.id, MSG_TERMS, 7, bytes_of(big, sizeof big)) == OK)
        n++;
    assert_in_range(n, 2, 16);                                         /* ERR_FULL, not more memory */
    while (overlay_next(o, &e)) {
        assert_int_equal(e.kind, OVERLAY_SEND);
        assert_ok(frame_decode(e.bytes, &f));
        assert_int_equal(f.request, 7);
        assert_int_equal(f.body.len, sizeof big);
    }
    assert_ok(overlay_send(o, hand_now, &alice.record.id, MSG_TERMS, 7, bytes_of(big, sizeof big)));
    hand_drain(o);
    overlay_stop(o, hand_now);
    struct outcome out = hand_drain(o);
    assert_int_equal(out.goaway, 1);
    assert_int_equal(out.down, 1);
    assert_int_equal(hand_say(o, hand_inbound(1), &alice.transport, &hand_ping).pong, 0);
    free(o);
}

static void test_who_may_not_start(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = hand_open(&self);
    struct overlay_config cfg = { .net = hand_net, .pow_bits = 40, .key = &self.key, .pow_nonce = self.record.pow_nonce, .at = self.record.at };
    assert_err(overlay_init(o, hand_now, hand_wall, &cfg), ERR_POW);
    cfg.pow_bits = HAND_POW;
    strcpy(cfg.at.host, "no host");
    assert_err(overlay_init(o, hand_now, hand_wall, &cfg), ERR_FORMAT);
    struct who other = hand_who(1, HAND_POW, &hand_net);
    struct cert cert;
    cfg.at = self.record.at;
    cert_issue(&other.key, &hand_net, &other.record.key, 2000000000, &cert);
    cfg.cert = &cert;
    assert_err(overlay_init(o, hand_now, hand_wall, &cfg), ERR_CERT);
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
        cmocka_unit_test(test_the_first_question_follows_the_hello_at_once),
        cmocka_unit_test(test_dials_that_come_to_nothing), cmocka_unit_test(test_crossing_dials_leave_one_link_on_both_sides),
        cmocka_unit_test(test_a_restarted_peer_is_taken_back), cmocka_unit_test(test_silence_is_noticed),
        cmocka_unit_test(test_sending), cmocka_unit_test(test_who_may_not_start),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
