/* test_throttle.c - what a peer may send, and whether it still answers. */
#include "tests/test.h"

#include "dht/liveness.h"
#include "dht/throttle.h"

static struct mono at_ms(uint64_t ms) { return (struct mono){ ms * 1000 }; }

static void test_messages_are_limited_and_come_back(void **state)
{
    (void)state;
    struct throttle t;
    throttle_init(&t, at_ms(0));
    for (int i = 0; i < PEER_MSGS_BURST; i++)
        assert_ok(throttle_charge(&t, at_ms(0), 10));
    assert_err(throttle_charge(&t, at_ms(0), 10), ERR_RATE);
    const uint64_t one_us = 1000000 / PEER_MSGS_PER_S;                 /* the time one message takes to come back */
    assert_err(throttle_charge(&t, (struct mono){ one_us - 1 }, 10), ERR_RATE);
    assert_ok(throttle_charge(&t, (struct mono){ one_us }, 10));
    assert_err(throttle_charge(&t, (struct mono){ one_us }, 10), ERR_RATE);
    assert_ok(throttle_charge(&t, (struct mono){ UINT64_MAX }, 10));   /* a very long pause overflows nothing */
}

static void test_bytes_are_limited(void **state)
{
    (void)state;
    struct throttle t;
    throttle_init(&t, at_ms(0));
    for (int i = 0; i < PEER_BYTES_BURST / FRAME_BYTES_MAX; i++)
        assert_ok(throttle_charge(&t, at_ms(0), FRAME_BYTES_MAX));
    assert_err(throttle_charge(&t, at_ms(0), FRAME_BYTES_MAX), ERR_RATE);
    assert_ok(throttle_charge(&t, at_ms(1000), PEER_BYTES_PER_S));
}

static void test_patience(void **state)
{
    (void)state;
    struct throttle t;
    throttle_init(&t, at_ms(0));
    assert_false(throttle_offence(&t, at_ms(0), ERR_SIGNATURE));
    assert_false(throttle_offence(&t, at_ms(0), ERR_SIGNATURE));
    assert_true(throttle_offence(&t, at_ms(0), ERR_SIGNATURE));        /* two forgeries are one too many for a third */
    throttle_init(&t, at_ms(0));
    for (uint64_t s = 0; s < 1000; s++)
        assert_false(throttle_offence(&t, at_ms(s * 1000), ERR_NOT_FOUND));    /* small ones at leisure are borne */
    for (int i = 0; i < 100; i++)
        assert_false(throttle_offence(&t, at_ms(1200 * 1000), ERR_NOT_FOUND));
    assert_true(throttle_offence(&t, at_ms(1200 * 1000), ERR_NOT_FOUND));
}

static void test_liveness_measures_and_gives_up(void **state)
{
    (void)state;
    struct liveness l;
    liveness_init(&l, at_ms(100));
    assert_int_equal(liveness_due(&l, at_ms(100)), LIVENESS_PING);
    liveness_asked(&l, at_ms(100), 1);
    assert_err(liveness_answered(&l, at_ms(110), 2), ERR_NOT_FOUND);
    assert_ok(liveness_answered(&l, at_ms(120), 1));
    assert_int_equal(l.rtt_us, 20000);
    assert_err(liveness_answered(&l, at_ms(130), 1), ERR_NOT_FOUND);   /* once */
    assert_int_equal(liveness_due(&l, at_ms(130)), LIVENESS_WAIT);
    assert_int_equal(liveness_deadline(&l).us, at_ms(100 + PING_INTERVAL_MS).us);
    uint64_t now = 100 + PING_INTERVAL_MS;
    for (uint64_t i = 0; i < PING_MISSES_MAX; i++) {
        assert_int_equal(liveness_due(&l, at_ms(now)), LIVENESS_PING);
        liveness_asked(&l, at_ms(now), 10 + i);
        assert_int_equal(liveness_due(&l, at_ms(now + PONG_TIMEOUT_MS - 1)), LIVENESS_WAIT);
        now += PONG_TIMEOUT_MS;
    }
    assert_int_equal(liveness_due(&l, at_ms(now)), LIVENESS_DEAD);
}

static void test_a_busy_peer_is_alive_without_pongs(void **state)
{
    (void)state;
    struct liveness l;
    liveness_init(&l, at_ms(0));
    for (uint64_t now = 0; now < 200 * 1000; now += 100) {
        enum liveness_verdict v = liveness_due(&l, at_ms(now));
        assert_int_not_equal(v, LIVENESS_DEAD);
        if (v == LIVENESS_PING)
            liveness_asked(&l, at_ms(now), now + 1);
        liveness_heard(&l, at_ms(now + 1));
    }
}

static void test_rtt_is_smoothed(void **state)
{
    (void)state;
    struct liveness l;
    liveness_init(&l, at_ms(0));
    liveness_asked(&l, at_ms(0), 1);
    assert_ok(liveness_answered(&l, at_ms(80), 1));
    liveness_asked(&l, at_ms(1000), 2);
    assert_ok(liveness_answered(&l, at_ms(1000), 2));                  /* a sample of zero counts as one microsecond */
    assert_int_equal(l.rtt_us, (7 * 80000 + 1) / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_limited_and_come_back), cmocka_unit_test(test_bytes_are_limited),
        cmocka_unit_test(test_patience), cmocka_unit_test(test_liveness_measures_and_gives_up),
        cmocka_unit_test(test_a_busy_peer_is_alive_without_pongs), cmocka_unit_test(test_rtt_is_smoothed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
