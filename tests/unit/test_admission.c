/* test_admission.c - buckets, addresses, keys and refusals; full tables forget strangers, never friends. */
#include "node/admission.h"

#include <string.h>

#include "tests/test.h"

static struct mono at_ms(uint64_t ms) { return (struct mono){ 1000000 + ms * 1000 }; }

static struct address address_at(uint32_t n)
{
    uint8_t ip[16] = { [10] = 0xff, [11] = 0xff };
    memcpy(ip + 12, &n, 4);
    return address_of_ip(ip);
}
static struct seal_key key_at(uint32_t n)
{
    struct seal_key k = { { 0 } };
    memcpy(k.b, &n, 4);
    return k;
}

static void a_bucket_fills_exactly(void **state)
{
    (void)state;
    struct rate r = { .milli_per_s = 2500, .burst = 3 };
    struct bucket b;
    rate_init(&b, r, at_ms(0));
    assert_true(rate_take(&b, r, at_ms(0), 3));
    assert_false(rate_take(&b, r, at_ms(0), 1));
    assert_false(rate_take(&b, r, at_ms(399), 1));       /* refused tries do not restart the clock */
    assert_true(rate_take(&b, r, at_ms(400), 1));
    assert_int_equal(rate_ready(&b, r, at_ms(400), 2).us, at_ms(1200).us + 1);
    assert_false(rate_take(&b, r, at_ms(1199), 2));
    assert_true(rate_take(&b, r, at_ms(1200), 2));
    assert_true(rate_take(&b, r, at_ms(1000000), 3));    /* never more than burst */
    assert_false(rate_take(&b, r, at_ms(1000000), 1));
    assert_false(rate_take(&b, r, at_ms(9000000), 4));
}

/* Random takes against the slowest possible bucket: one that remembers every take. */
static void a_bucket_never_gives_more_than_its_rate(void **state)
{
    (void)state;
    struct rate r = { .milli_per_s = 7300, .burst = 11 };
    struct bucket b;
    struct rng rng;
    rng_init(&rng, 1);
    rate_init(&b, r, at_ms(0));
    uint64_t taken = 0, now = 0;
    for (int i = 0; i < 20000; i++) {
        now += rng_below(&rng, 200);
        uint64_t n = 1 + rng_below(&rng, 3);
        taken += rate_take(&b, r, at_ms(now), n) ? n : 0;
        assert_true(taken * 1000 <= r.burst * 1000 + now * r.milli_per_s / 1000);
    }
    assert_true(taken * 1000 >= now * r.milli_per_s / 1000 * 9 / 10);
}

static const struct admission_limits limits = { .address_open_max = 3, .address_rate = { 1000, 5 }, .key_rate = { 1000, 2 } };

static void addresses_are_counted(void **state)
{
    (void)state;
    static struct admission a;
    struct address x = address_at(1), y = address_at(2);
    admission_init(&a, &limits);
    for (int i = 0; i < 3; i++)
        assert_ok(admission_connect(&a, at_ms(0), &x));
    assert_err(admission_connect(&a, at_ms(0), &x), ERR_QUOTA);
    assert_ok(admission_connect(&a, at_ms(0), &y));
    admission_disconnect(&a, &x);
    assert_ok(admission_connect(&a, at_ms(0), &x));
    admission_disconnect(&a, &x);
    assert_err(admission_connect(&a, at_ms(0), &x), ERR_RATE);     /* five in no time */
    assert_ok(admission_connect(&a, at_ms(1000), &x));
}

static void one_home_is_one_address(void **state)
{
    (void)state;
    uint8_t p[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9 }, q[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 7 }, o[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 2 };
    struct address a = address_of_ip(p), b = address_of_ip(q), c = address_of_ip(o);
    assert_memory_equal(a.b, b.b, 16);                     /* same /64 */
    assert_memory_not_equal(a.b, c.b, 16);
    assert_memory_not_equal(address_at(1).b, address_at(2).b, 16);
}

static void a_full_address_table_keeps_who_is_connected(void **state)
{
    (void)state;
    static struct admission a;
    struct address friend = address_at(1);
    admission_init(&a, &limits);
    assert_ok(admission_connect(&a, at_ms(0), &friend));
    for (uint32_t i = 0; i < 3 * ADMISSION_ADDRESSES_MAX; i++) {
        struct address stranger = address_at(100 + i);
        assert_ok(admission_connect(&a, at_ms(i), &stranger));
        admission_disconnect(&a, &stranger);
    }
    admission_disconnect(&a, &friend);                     /* ENSUREs that it is still there, open once */
    for (uint32_t i = 0; i < ADMISSION_ADDRESSES_MAX; i++) {
        struct address holder = address_at(100000 + i);
        assert_ok(admission_connect(&a, at_ms(10000), &holder));
    }
    assert_err(admission_connect(&a, at_ms(10000), &friend), ERR_FULL);
}

static void keys_have_a_rate(void **state)
{
    (void)state;
    static struct admission a;
    struct seal_key k = key_at(1), other = key_at(2);
    admission_init(&a, &limits);
    assert_ok(admission_key(&a, at_ms(0), &k));
    assert_ok(admission_key(&a, at_ms(0), &k));
    assert_err(admission_key(&a, at_ms(0), &k), ERR_RATE);
    assert_ok(admission_key(&a, at_ms(0), &other));
    assert_ok(admission_key(&a, at_ms(1000), &k));
    for (uint32_t i = 0; i < 3 * ADMISSION_KEYS_MAX; i++) {
        struct seal_key stranger = key_at(100 + i);
        assert_ok(admission_key(&a, at_ms(1000), &stranger));      /* a full table shuts nobody out */
    }
}

static void refusals_end_and_the_soonest_gives_way(void **state)
{
    (void)state;
    static struct admission a;
    struct seal_key k = key_at(1);
    admission_init(&a, &limits);
    admission_mute(&a, at_ms(0), &k, at_ms(100));
    admission_mute(&a, at_ms(0), &k, at_ms(50));           /* does not shorten it */
    assert_err(admission_key(&a, at_ms(99), &k), ERR_KEY);
    assert_false(admission_is_muted(&a, at_ms(100), &k));
    assert_int_equal(admission_muted_count(&a, at_ms(100)), 0);

    admission_mute(&a, at_ms(200), &k, at_ms(100000));
    for (uint32_t i = 0; i < 2 * ADMISSION_MUTES_MAX; i++) {
        struct seal_key stranger = key_at(100 + i);
        admission_mute(&a, at_ms(200), &stranger, at_ms(5000 + i));
    }
    assert_true(admission_is_muted(&a, at_ms(200), &k));
    assert_int_equal(admission_muted_count(&a, at_ms(200)), ADMISSION_MUTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_fills_exactly),
        cmocka_unit_test(a_bucket_never_gives_more_than_its_rate),
        cmocka_unit_test(addresses_are_counted),
        cmocka_unit_test(one_home_is_one_address),
        cmocka_unit_test(a_full_address_table_keeps_who_is_connected),
        cmocka_unit_test(keys_have_a_rate),
        cmocka_unit_test(refusals_end_and_the_soonest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
