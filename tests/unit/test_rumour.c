/* test_rumour.c - gossip and stored values as peers see them: what is passed on, what is refused, at whose cost. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dht/hand.h"

static struct frame pub_of(const struct who *origin, uint64_t number, uint8_t *buf)
{
    struct writer w;
    struct frame f = { .type = MSG_PUB };
    writer_init(&w, buf, PUB_BYTES_MAX);
    msg_pub_write(&w, &origin->key, &(struct msg_pub){ .origin = origin->record, .number = number, .bytes = bytes_text("offer") });
    assert_ok(writer_finish(&w, &f.body));
    return f;
}

static struct frame ids_of(enum message_type type, const struct hash *id, uint8_t *buf)
{
    struct writer w;
    struct frame f = { .type = type };
    writer_init(&w, buf, 64);
    msg_ids_write(&w, &(struct msg_ids){ .count = 1, .ids = { *id } });
    assert_ok(writer_finish(&w, &f.body));
    return f;
}

static void test_pub_is_delivered_once_and_pushed_on(void **state)
{
    (void)state;
    uint8_t buf[PUB_BYTES_MAX];
    struct who self, peers[20], origin;
    struct overlay *o = hand_open(&self);
    for (size_t i = 0; i < 20; i++)
        peers[i] = hand_peer(o, &self, i + 1);
    origin = hand_who(100, HAND_POW, &hand_net);
    struct frame f = pub_of(&origin, hand_wall.ms, buf);
    f.hop = 2;
    f.age_ms = 700;
    struct outcome out = hand_say(o, hand_inbound(1), &peers[0].transport, &f);
    assert_int_equal(out.gossip, 1);
    assert_true(node_id_equal(&out.last_gossip.node, &origin.record.id));
    assert_int_equal(out.last_gossip.hop, 2);
    assert_int_equal(out.pub, GOSSIP_FANOUT);
    assert_int_equal(out.ihave, GOSSIP_LAZY);                /* not all nineteen */
    /* Again, from anybody: nothing. */
    out = hand_say(o, hand_inbound(2), &peers[1].transport, &f);
    assert_int_equal(out.gossip + out.pub + out.ihave, 0);
    assert_int_equal(overlay_counters(o)->gossip_duplicates, 1);
    /* Whoever lost it can ask. */
    struct hash id = msg_pub_id(f.body);
    uint8_t ids[64];
    struct frame want = ids_of(MSG_IWANT, &id, ids);
    hand_now = mono_add_ms(hand_now, 1000);
    out = hand_say(o, hand_inbound(3), &peers[2].transport, &want);
    assert_int_equal(out.pub, 1);
    assert_int_equal(out.last_hop, 3);
    assert_int_equal(out.last_age_ms, 1700);
    struct frame have = ids_of(MSG_IHAVE, &id, ids);
    assert_int_equal(hand_say(o, hand_inbound(3), &peers[2].transport, &have).iwant, 0);
    id.b[0] ^= 1;
    have = ids_of(MSG_IHAVE, &id, ids);
    assert_int_equal(hand_say(o, hand_inbound(3), &peers[2].transport, &have).iwant, 1);
    assert_int_equal(hand_say(o, hand_inbound(4), &peers[3].transport, &have).iwant, 0);    /* one is asked at a time */
    free(o);
}

static void test_the_last_hop_is_the_last(void **state)
{
    (void)state;
    uint8_t buf[PUB_BYTES_MAX];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1), origin = hand_who(100, HAND_POW, &hand_net);
    hand_peer(o, &self, 2);
    struct frame f = pub_of(&origin, hand_wall.ms, buf);
    f.hop = GOSSIP_HOPS_MAX;
    struct outcome out = hand_say(o, hand_inbound(1), &a.transport, &f);
    assert_int_equal(out.gossip, 1);
    assert_int_equal(out.pub, 0);
    f = pub_of(&origin, hand_wall.ms + 1, buf);
    f.hop = GOSSIP_HOPS_MAX + 1;
    assert_int_equal(hand_say(o, hand_inbound(1), &a.transport, &f).gossip, 0);
    assert_int_equal(hand_refused(o, ERR_OVERFLOW), 1);
    free(o);
}

static void test_what_is_too_old_is_dropped_without_blame(void **state)
{
    (void)state;
    uint8_t buf[PUB_BYTES_MAX];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1), origin = hand_who(100, HAND_POW, &hand_net);
    for (uint64_t i = 0; i < 500; i++) {
        struct frame f = pub_of(&origin, hand_wall.ms + i, buf);
        f.age_ms = GOSSIP_AGE_MS_MAX + 1;
        struct outcome out = hand_say(o, hand_inbound(1), &a.transport, &f);
        assert_int_equal(out.gossip + out.mute, 0);
    }
    /* An old message dug up with its age wound back: its number, the origin's clock, gives it away. */
    struct frame f = pub_of(&origin, hand_wall.ms - 3600 * 1000, buf);
    assert_int_equal(hand_say(o, hand_inbound(1), &a.transport, &f).gossip, 0);
    assert_int_equal(hand_refused(o, ERR_EXPIRED), 501);
    f = pub_of(&origin, hand_wall.ms + 3600 * 1000, buf);
    assert_int_equal(hand_say(o, hand_inbound(1), &a.transport, &f).gossip, 0);
    assert_int_equal(hand_refused(o, ERR_STALE), 1);
    free(o);
}

static void test_an_origin_that_talks_too_much_is_cut_at_every_hop(void **state)
{
    (void)state;
    uint8_t buf[PUB_BYTES_MAX];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1), noisy = hand_who(100, HAND_POW, &hand_net), calm = hand_who(101, HAND_POW, &hand_net);
    hand_peer(o, &self, 2);
    size_t delivered = 0, passed = 0;
    for (uint64_t i = 0; i < 200; i++) {
        struct frame f = pub_of(&noisy, hand_wall.ms + i, buf);
        struct outcome out = hand_say(o, hand_inbound(1), &a.transport, &f);
        delivered += out.gossip;
        passed += out.pub;
        assert_int_equal(out.mute, 0);                                 /* the messenger is not blamed */
    }
    assert_int_equal(delivered, GOSSIP_ORIGIN_BURST);
    assert_int_equal(passed, GOSSIP_ORIGIN_BURST);
    struct frame f = pub_of(&calm, hand_wall.ms, buf);
    assert_int_equal(hand_say(o, hand_inbound(1), &a.transport, &f).gossip, 1);
    free(o);
}

static void test_a_forged_pub_costs_its_messenger(void **state)
{
    (void)state;
    uint8_t buf[PUB_BYTES_MAX];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1), origin = hand_who(100, HAND_POW, &hand_net);
    size_t mutes = 0, n = 0;
    while (mutes == 0 && n < 20) {
        struct frame f = pub_of(&origin, hand_wall.ms + n, buf);
        buf[f.body.len - 1] ^= 1;
        struct outcome out = hand_say(o, hand_inbound(1), &a.transport, &f);
        assert_int_equal(out.gossip, 0);
        mutes = out.mute;
        n++;
    }
    assert_in_range(n, 2, 5);
    assert_int_equal(hand_refused(o, ERR_SIGNATURE), n);
    free(o);
}

static void test_own_gossip_has_the_same_rate(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = hand_open(&self);
    struct hash topic = { { 1 } };
    hand_peer(o, &self, 1);
    uint8_t big[GOSSIP_BYTES_MAX + 1] = { 0 };
    assert_err(overlay_publish(o, hand_now, &topic, bytes_of(big, sizeof big)), ERR_TOO_LARGE);
    for (int i = 0; i < GOSSIP_ORIGIN_BURST; i++) {
        assert_ok(overlay_publish(o, hand_now, &topic, bytes_of(big, sizeof big - 1)));
        assert_int_equal(hand_drain(o).pub, 1);
    }
    assert_err(overlay_publish(o, hand_now, &topic, bytes_text("x")), ERR_RATE);
    free(o);
}

/* ---- stored values ---- */

static struct outcome store_value(struct overlay *o, size_t link, const struct who *from, const struct hash *key, enum value_kind kind,
                                  struct bytes value, uint32_t age_ms)
{
    static uint8_t buf[2048];
    struct writer w;
    struct frame f = { .type = MSG_STORE, .request = 5 };
    writer_init(&w, buf, sizeof buf);
    msg_store_write(&w, &(struct msg_store){ .key = *key, .kind = kind, .age_ms = age_ms, .value = value });
    assert_ok(writer_finish(&w, &f.body));
    return hand_say(o, hand_inbound(link), &from->transport, &f);
}

static struct advert advert_by(const struct who *w, uint64_t seq, uint32_t slots)
{
    struct advert a = { .node = w->record, .seq = seq, .ttl_ms = ADVERT_TTL_MS, .model = { { 7 } }, .model_name = "m", .numerics = 1,
                        .slots = slots };
    assert_ok(advert_sign(&w->key, &a));
    return a;
}

static struct outcome store_advert(struct overlay *o, size_t link, const struct who *from, const struct advert *a, uint32_t age_ms)
{
    uint8_t buf[ADVERT_BYTES_MAX];
    struct hash key = advert_key(&a->model);
    return store_value(o, link, from, &key, VALUE_ADVERT, advert_encode(a, buf), age_ms);
}

static void test_adverts_are_stored_for_their_author_alone(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1), b = hand_peer(o, &self, 2);
    struct advert first = advert_by(&a, hand_wall.ms, 1), out[4];
    struct outcome r = store_advert(o, 1, &a, &first, 0);
    assert_int_equal(r.last_stored.result, STORED_OK);
    assert_int_equal(overlay_providers(o, hand_now, &first.model, out, 4), 1);
    hand_drain(o);
    /* B repeats A's advert: nobody speaks for others. */
    r = store_advert(o, 2, &b, &first, 0);
    assert_int_equal(r.last_stored.result, STORED_INVALID);
    assert_int_equal(hand_refused(o, ERR_MISMATCH), 1);
    /* Older than what is held; expired on the way; newer; the same again; another under the same seq. */
    struct advert older = advert_by(&a, hand_wall.ms - 1, 2), newer = advert_by(&a, hand_wall.ms + 1, 3), twin = advert_by(&a, hand_wall.ms + 1, 4);
    r = store_advert(o, 1, &a, &older, 0);
    assert_int_equal(r.last_stored.result, STORED_STALE);
    assert_true(r.last_stored.seq == hand_wall.ms);
    r = store_advert(o, 1, &a, &newer, ADVERT_TTL_MS);
    assert_int_equal(r.last_stored.result, STORED_INVALID);
    assert_int_equal(hand_refused(o, ERR_EXPIRED), 1);
    assert_int_equal(store_advert(o, 1, &a, &newer, 0).last_stored.result, STORED_OK);
    assert_int_equal(store_advert(o, 1, &a, &newer, 0).last_stored.result, STORED_OK);
    assert_int_equal(overlay_providers(o, hand_now, &first.model, out, 4), 1);
    assert_int_equal(out[0].slots, 3);
    hand_drain(o);
    r = store_advert(o, 1, &a, &twin, 0);
    assert_int_equal(r.last_stored.result, STORED_CONFLICT);
    assert_int_equal(hand_refused(o, ERR_EQUIVOCATION), 1);
    assert_int_equal(overlay_providers(o, hand_now, &first.model, out, 4), 0);
    free(o);
}

static void test_forged_and_misplaced_values(void **state)
{
    (void)state;
    uint8_t buf[ADVERT_BYTES_MAX];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who a = hand_peer(o, &self, 1);
    struct advert forged = advert_by(&a, hand_wall.ms, 1);
    forged.prices.output = 1;
    assert_int_equal(store_advert(o, 1, &a, &forged, 0).last_stored.result, STORED_INVALID);
    assert_int_equal(hand_refused(o, ERR_SIGNATURE), 1);
    struct advert good = advert_by(&a, hand_wall.ms, 1);
    struct hash elsewhere = { { 9 } };
    struct outcome r = store_value(o, 1, &a, &elsewhere, VALUE_ADVERT, advert_encode(&good, buf), 0);
    assert_int_equal(r.last_stored.result, STORED_INVALID);
    r = store_value(o, 1, &a, &a.record.id.h, VALUE_RECORD, record_encode(&a.record, buf), 0);
    assert_int_equal(r.last_stored.result, STORED_OK);
    r = store_value(o, 1, &a, &elsewhere, VALUE_RECORD, record_encode(&a.record, buf), 0);
    assert_int_equal(r.last_stored.result, STORED_INVALID);
    free(o);
}

static void test_get_pages_through_many(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct who self;
    struct overlay *o = hand_open(&self);
    struct who asker = hand_peer(o, &self, 1);
    struct advert a = { 0 };
    for (size_t i = 2; i < 22; i++) {
        struct who w = hand_peer(o, &self, i);
        a = advert_by(&w, hand_wall.ms, 1);
        assert_int_equal(store_advert(o, i, &w, &a, 0).last_stored.result, STORED_OK);
    }
    for (uint32_t skip = 0; skip < 25; skip += 5) {
        struct writer w;
        struct frame f = { .type = MSG_GET, .request = 5 };
        writer_init(&w, buf, sizeof buf);
        msg_get_write(&w, &(struct msg_get){ .key = advert_key(&a.model), .skip = skip });
        assert_ok(writer_finish(&w, &f.body));
        struct outcome out = hand_say(o, hand_inbound(1), &asker.transport, &f);
        assert_int_equal(out.values, 1);
        assert_int_equal(out.values_total, 20);
        assert_in_range(out.nodes_count, LOOKUP_ALPHA, CONTACTS_PER_REPLY_MAX);
    }
    free(o);
}

static void test_own_adverts_live_until_withdrawn(void **state)
{
    (void)state;
    struct who self;
    struct overlay *o = hand_open(&self);
    struct advert a = { .model = { { 7 } }, .model_name = "m", .numerics = 1, .slots = 2 }, out[2];
    size_t cursor = 0;
    assert_ok(overlay_advertise(o, hand_now, hand_wall, &a));
    hand_drain(o);
    for (int i = 0; i < 100; i++) {                                    /* far beyond one advert's life */
        hand_tick(o, 30 * 1000);
        assert_int_equal(overlay_providers(o, hand_now, &a.model, out, 2), 1);
        hand_drain(o);
    }
    assert_true(overlay_advert_each(o, hand_now, &cursor, &out[0]));
    assert_false(overlay_advert_each(o, hand_now, &cursor, &out[0]));  /* under two keys, listed once */
    strcpy(a.jurisdiction, "d");
    assert_err(overlay_advertise(o, hand_now, hand_wall, &a), ERR_ARG);
    assert_ok(overlay_withdraw(o, hand_now, hand_wall, &a.model));
    assert_err(overlay_withdraw(o, hand_now, hand_wall, &a.model), ERR_NOT_FOUND);
    assert_int_equal(overlay_providers(o, hand_now, &a.model, out, 2), 0);
    hand_drain(o);
    hand_tick(o, WITHDRAWN_TTL_MS + 1);
    struct overlay_gauges g;
    overlay_gauges(o, &g);
    assert_int_equal(g.adverts_own, 0);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pub_is_delivered_once_and_pushed_on), cmocka_unit_test(test_the_last_hop_is_the_last),
        cmocka_unit_test(test_what_is_too_old_is_dropped_without_blame),
        cmocka_unit_test(test_an_origin_that_talks_too_much_is_cut_at_every_hop),
        cmocka_unit_test(test_a_forged_pub_costs_its_messenger), cmocka_unit_test(test_own_gossip_has_the_same_rate),
        cmocka_unit_test(test_adverts_are_stored_for_their_author_alone), cmocka_unit_test(test_forged_and_misplaced_values),
        cmocka_unit_test(test_get_pages_through_many), cmocka_unit_test(test_own_adverts_live_until_withdrawn),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
