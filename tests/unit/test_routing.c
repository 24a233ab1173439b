/* test_routing.c - the contact table against the stupidest possible version of it. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "dht/routing.h"

static struct node_record record_of(uint64_t n)
{
    struct node_record r = { .flags = RECORD_DIALABLE, .seq = 1, .at = { .host = "h", .port = 1 } };
    r.id.h = hash_of("test-id", bytes_of(&n, sizeof n));
    return r;
}

static struct node_id self_id(void) { return (struct node_id){ hash_of("self", bytes_of("x", 1)) }; }

/* ---- the oracle: a list of who should be in which state ---- */

struct oracle {
    struct node_id self;
    size_t count;
    struct {
        struct hash id;
        enum contact_state state;
    } all[ROUTING_CONTACTS_MAX];
};

static size_t oracle_find(const struct oracle *o, const struct hash *id)
{
    for (size_t i = 0; i < o->count; i++)
        if (hash_equal(&o->all[i].id, id))
            return i;
    return SIZE_MAX;
}

static void oracle_set(struct oracle *o, const struct hash *id, enum contact_state state)
{
    size_t i = oracle_find(o, id);
    if (i == SIZE_MAX) {
        i = o->count++;
        o->all[i].id = *id;
    }
    o->all[i].state = state;
    if (state == CONTACT_FREE)
        o->all[i] = o->all[--o->count];
}

static size_t oracle_seats(const struct oracle *o, unsigned bucket)
{
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        if (o->all[i].state != CONTACT_HEARD && (bucket == BUCKETS || hash_common_bits(&o->self.h, &o->all[i].id) == bucket))
            n++;
    return n;
}

static struct hash sort_target;
static int by_distance(const void *a, const void *b) { return hash_distance_compare(&sort_target, a, b); }

static void compare_closest(const struct routing *r, const struct oracle *o, uint64_t n)
{
    struct hash live[ROUTING_CONTACTS_MAX];
    const struct node_record *got[LOOKUP_WIDTH];
    size_t count = 0;
    sort_target = hash_of("target", bytes_of(&n, sizeof n));
    for (size_t i = 0; i < o->count; i++)
        if (o->all[i].state == CONTACT_LIVE)
            live[count++] = o->all[i].id;
    qsort(live, count, sizeof live[0], by_distance);
    size_t found = routing_closest(r, &sort_target, NULL, got, LOOKUP_WIDTH);
    assert_int_equal(found, count < LOOKUP_WIDTH ? count : LOOKUP_WIDTH);
    for (size_t i = 0; i < found; i++)
        assert_true(hash_equal(&got[i]->id.h, &live[i]));
}

static void step(struct routing *r, struct oracle *o, struct mono now, uint64_t op, uint64_t n)
{
    struct node_record rec = record_of(n);
    const struct hash *id = &rec.id.h;
    size_t at = oracle_find(o, id);
    enum contact_state had = at == SIZE_MAX ? CONTACT_FREE : o->all[at].state;
    if (op < 5) {
        bool seated = had == CONTACT_LIVE || had == CONTACT_LOST;
        bool room = oracle_seats(o, BUCKETS) < r->full_max || oracle_seats(o, hash_common_bits(&o->self.h, id)) < BUCKET_SLOTS;
        enum err e = routing_proved(r, &rec);
        assert_err(e, seated || room ? OK : ERR_FULL);
        if (e == OK)
            oracle_set(o, id, CONTACT_LIVE);
    } else if (op < 7) {
        routing_lost(r, now, &rec.id);
        if (had == CONTACT_LIVE)
            oracle_set(o, id, CONTACT_LOST);
    } else if (op < 8) {
        routing_failed(r, now, &rec.id);
        if (had == CONTACT_HEARD)
            oracle_set(o, id, CONTACT_FREE);
        if (had == CONTACT_LOST && !routing_find(r, &rec.id))          /* after enough tries: counted in the next test */
            oracle_set(o, id, CONTACT_FREE);
    } else {
        bool wanted = routing_wants(r, &rec);
        if (had == CONTACT_LIVE)
            assert_false(wanted);
        routing_heard(r, now, &rec);
        assert_int_equal(routing_find(r, &rec.id) != NULL, had != CONTACT_FREE || wanted);
        if (had == CONTACT_FREE && wanted)
            oracle_set(o, id, CONTACT_HEARD);
    }
}

static void test_random_operations_agree_with_a_list(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct oracle *o = calloc(1, sizeof *o);
    struct rng rng;
    struct node_id self = o->self = self_id();
    rng_init(&rng, 42);
    routing_init(r, (struct mono){ 0 }, &self, 40);
    for (uint64_t i = 0; i < 6000; i++) {
        step(r, o, (struct mono){ i * 1000 }, rng_below(&rng, 10), rng_below(&rng, 220));
        assert_int_equal(routing_count(r, CONTACT_LIVE) + routing_count(r, CONTACT_LOST), oracle_seats(o, BUCKETS));
        if (i % 16 == 0) {
            routing_check(r);
            compare_closest(r, o, i);
        }
    }
    free(o);
    free(r);
}

static void test_a_live_contact_is_never_evicted(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct node_id self = self_id();
    routing_init(r, (struct mono){ 0 }, &self, 0);
    size_t kept = 0;
    for (uint64_t n = 0; n < 200; n++) {
        struct node_record rec = record_of(n);
        if (routing_proved(r, &rec) == OK)
            kept++;
    }
    assert_true(kept >= 4 * BUCKET_SLOTS);
    assert_true(kept < 200);
    size_t still = 0;
    for (uint64_t n = 0; n < 200; n++) {
        struct node_record rec = record_of(n);
        still += routing_has_seat(r, &rec.id);
    }
    assert_int_equal(still, kept);
    free(r);
}

static void test_lost_contacts_are_tried_with_growing_waits_then_dropped(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct node_id self = self_id();
    struct node_record rec = record_of(1);
    struct mono now = { 0 };
    routing_init(r, now, &self, 10);
    assert_ok(routing_proved(r, &rec));
    assert_int_equal(routing_deadline(r).us, MONO_NEVER.us);
    routing_lost(r, now, &rec.id);
    uint64_t last_wait = 0;
    for (int tries = 0; tries < ROUTING_LOST_TRIES_MAX; tries++) {
        struct mono due = routing_deadline(r);
        assert_true(due.us - now.us > last_wait);
        last_wait = due.us - now.us;
        assert_null(routing_next_dial(r, (struct mono){ due.us - 1 }));
        now = due;
        assert_non_null(routing_next_dial(r, now));
        assert_null(routing_next_dial(r, now));                        /* while the verdict is out */
        routing_failed(r, now, &rec.id);
    }
    assert_null(routing_find(r, &rec.id));
    free(r);
}

static void test_spares_wait_for_a_seat(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct node_id self = self_id();
    struct node_record spare = { 0 };
    routing_init(r, (struct mono){ 0 }, &self, 0);
    size_t seated = 0;
    for (uint64_t n = 0; seated < BUCKET_SLOTS || spare.seq == 0; n++) {
        struct node_record rec = record_of(n);
        if (hash_common_bits(&self.h, &rec.id.h) != 0)
            continue;
        if (seated < BUCKET_SLOTS)
            seated += routing_proved(r, &rec) == OK;
        else
            spare = rec;
    }
    routing_heard(r, (struct mono){ 0 }, &spare);
    assert_null(routing_next_dial(r, (struct mono){ 1 }));
    const struct node_record *first[1];
    assert_int_equal(routing_closest(r, &spare.id.h, NULL, first, 1), 1);
    struct node_id gone = first[0]->id;
    routing_lost(r, (struct mono){ 2 }, &gone);
    routing_forget(r, &gone);
    const struct node_record *next = routing_next_dial(r, (struct mono){ 3 });
    assert_non_null(next);
    assert_true(node_id_equal(&next->id, &spare.id));
    assert_ok(routing_proved(r, &spare));
    routing_check(r);
    free(r);
}

static void test_who_is_not_taken(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct node_id self = self_id();
    struct node_record rec = record_of(1);
    routing_init(r, (struct mono){ 0 }, &self, 10);
    rec.flags = 0;
    assert_err(routing_proved(r, &rec), ERR_ARG);
    assert_false(routing_wants(r, &rec));
    rec.flags = RECORD_DIALABLE;
    rec.id = self;
    assert_err(routing_proved(r, &rec), ERR_ARG);
    assert_false(routing_wants(r, &rec));
    free(r);
}

static void test_refresh_covers_each_bucket_once(void **state)
{
    (void)state;
    struct routing *r = malloc(sizeof *r);
    struct node_id self = self_id();
    struct rng rng;
    struct hash target;
    struct mono now = { 5000 };
    rng_init(&rng, 1);
    routing_init(r, now, &self, 100);
    for (uint64_t n = 0; n < 50; n++) {
        struct node_record rec = record_of(n);
        assert_ok(routing_proved(r, &rec));
    }
    assert_err(routing_refresh_due(r, now, &rng, &target), ERR_NOT_FOUND);
    routing_refresh_all(r, now);
    /* About 25 of 50 sit in bucket 0, so it is asked about in four parts that differ in the two bits that follow. */
    unsigned asked[BUCKETS] = { 0 }, parts_seen = 0, deepest = 0;
    while (routing_refresh_due(r, now, &rng, &target) == OK) {
        unsigned bucket = hash_common_bits(&self.h, &target);
        assert_true(bucket >= deepest);
        deepest = bucket;
        if (bucket == 0)
            parts_seen |= 1u << (target.b[0] >> 5 & 3);
        asked[bucket]++;
    }
    assert_int_equal(asked[0], 4);
    assert_int_equal(parts_seen, 15);
    assert_in_range(deepest, 5, 12);
    for (unsigned b = 0; b <= deepest; b++)
        assert_true(asked[b] >= 1);
    assert_int_equal(routing_refresh_deadline(r).us, mono_add_ms(now, ROUTING_REFRESH_MS).us);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_a_list), cmocka_unit_test(test_a_live_contact_is_never_evicted),
        cmocka_unit_test(test_lost_contacts_are_tried_with_growing_waits_then_dropped),
        cmocka_unit_test(test_spares_wait_for_a_seat), cmocka_unit_test(test_who_is_not_taken),
        cmocka_unit_test(test_refresh_covers_each_bucket_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
