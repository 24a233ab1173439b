/* test_gossip.c - what was said before, who may say more, and what can be asked for. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "dht/gossip.h"

static struct hash id_of(uint64_t n) { return hash_of("gossip", bytes_of(&n, sizeof n)); }

static struct gossip *fresh(void)
{
    struct gossip *g = malloc(sizeof *g);
    gossip_init(g, 12345);
    return g;
}

static void test_marks_last_their_time(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct hash a = id_of(1), b = id_of(2);
    struct mono now = { 1000000 };
    assert_false(gossip_is_known(g, now, &a));
    gossip_mark(g, now, &a);
    assert_true(gossip_is_known(g, now, &a));
    assert_false(gossip_is_known(g, now, &b));
    assert_true(gossip_is_known(g, mono_add_ms(now, GOSSIP_SEEN_MS - 1), &a));
    assert_false(gossip_is_known(g, mono_add_ms(now, GOSSIP_SEEN_MS), &a));
    free(g);
}

static void test_marks_of_half_the_table_all_fit(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct mono now = { 1000000 };
    size_t known = 0, n = GOSSIP_SEEN_MAX / 4;
    for (uint64_t i = 0; i < n; i++) {
        struct hash id = id_of(i);
        gossip_mark(g, now, &id);
    }
    for (uint64_t i = 0; i < n; i++) {
        struct hash id = id_of(i);
        known += gossip_is_known(g, now, &id);
    }
    assert_true(known > n - n / 100);                                  /* sets of four: very few are pushed out */
    for (uint64_t i = 0; i < 4 * GOSSIP_SEEN_MAX; i++) {
        struct hash id = id_of(i);
        gossip_mark(g, now, &id);
    }
    free(g);
}

static void test_each_origin_has_its_rate(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct node_id one = { id_of(1) }, two = { id_of(2) };
    struct mono now = { 1000000 };
    for (int i = 0; i < GOSSIP_ORIGIN_BURST; i++)
        assert_ok(gossip_allow(g, now, &one));
    assert_err(gossip_allow(g, now, &one), ERR_RATE);
    assert_ok(gossip_allow(g, now, &two));
    assert_err(gossip_allow(g, mono_add_ms(now, 499), &one), ERR_RATE);
    assert_ok(gossip_allow(g, mono_add_ms(now, 500), &one));           /* 20 in 10 s */
    assert_err(gossip_allow(g, mono_add_ms(now, 500), &one), ERR_RATE);
    free(g);
}

static void test_many_origins_are_bounded(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct mono now = { 1000000 };
    for (uint64_t i = 0; i < 10 * GOSSIP_ORIGINS_MAX; i++) {
        struct node_id origin = { id_of(i) };
        assert_ok(gossip_allow(g, mono_add_ms(now, i), &origin));
    }
    free(g);
}

static void test_a_message_is_wanted_once_at_a_time(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct hash a = id_of(1);
    struct mono now = { 1000000 };
    assert_true(gossip_want(g, now, &a));
    assert_false(gossip_want(g, now, &a));
    assert_true(gossip_want(g, mono_add_ms(now, GOSSIP_WANT_MS), &a)); /* the first who announced it did not deliver */
    gossip_mark(g, now, &a);
    assert_false(gossip_want(g, mono_add_ms(now, 2 * GOSSIP_WANT_MS), &a));
    free(g);
}

static void test_kept_messages_age_out_and_are_pushed_out(void **state)
{
    (void)state;
    struct gossip *g = fresh();
    struct hash first = id_of(0);
    struct mono now = { 1000000 };
    struct frame f = { .type = MSG_PUB, .hop = 3, .age_ms = 10000, .body = bytes_text("body") };
    gossip_keep(g, now, &first, &f);
    const struct gossip_message *m = gossip_find(g, now, &first);
    assert_non_null(m);
    assert_int_equal(m->hop, 3);
    assert_memory_equal(m->body, "body", 4);
    assert_non_null(gossip_find(g, mono_add_ms(now, GOSSIP_AGE_MS_MAX - 10000), &first));
    assert_null(gossip_find(g, mono_add_ms(now, GOSSIP_AGE_MS_MAX - 10000 + 1), &first));
    for (uint64_t i = 1; i <= GOSSIP_CACHE_MAX; i++) {
        struct hash id = id_of(i);
        gossip_keep(g, now, &id, &f);
    }
    assert_null(gossip_find(g, now, &first));
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_last_their_time), cmocka_unit_test(test_marks_of_half_the_table_all_fit),
        cmocka_unit_test(test_each_origin_has_its_rate), cmocka_unit_test(test_many_origins_are_bounded),
        cmocka_unit_test(test_a_message_is_wanted_once_at_a_time),
        cmocka_unit_test(test_kept_messages_age_out_and_are_pushed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
