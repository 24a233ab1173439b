/* test_record_store.c - held values against a plain list that obeys the same rules the slow way. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "dht/store.h"

static struct hash hash_n(const char *what, uint64_t n) { return hash_of(what, bytes_of(&n, sizeof n)); }

static struct store *fresh(void)
{
    struct store *s = malloc(sizeof *s);
    struct hash self = hash_n("self", 0);
    store_init(s, &self);
    return s;
}

static struct store_put put_of(uint64_t key, uint64_t author, uint64_t seq, const char *text)
{
    return (struct store_put){ .name = { .key = hash_n("key", key), .author = hash_n("author", author) }, .seq = seq,
                               .ttl_ms = 60000, .value = bytes_text(text) };
}

/* ---- the oracle ---- */

enum { ORACLE_MAX = 4096 };
struct oracle_value {
    struct store_name name;
    uint64_t seq, expires_ms;
    size_t len;                                            /* 0: banned */
    uint8_t value[64];
};
struct oracle {
    size_t count;
    struct oracle_value all[ORACLE_MAX];
};

static bool same_name(const struct store_name *a, const struct store_name *b)
{
    return hash_equal(&a->key, &b->key) && hash_equal(&a->author, &b->author) && hash_equal(&a->item, &b->item);
}

static struct oracle_value *oracle_find(struct oracle *o, const struct store_name *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (same_name(&o->all[i].name, name))
            return &o->all[i];
    return NULL;
}

static void oracle_expire(struct oracle *o, uint64_t now_ms)
{
    for (size_t i = o->count; i-- > 0;)
        if (o->all[i].expires_ms <= now_ms)
            o->all[i] = o->all[--o->count];
}

static enum err oracle_put(struct oracle *o, uint64_t now_ms, const struct store_put *p)
{
    size_t of_author = 0;
    if (p->age_ms >= p->ttl_ms)
        return ERR_EXPIRED;
    oracle_expire(o, now_ms);
    struct oracle_value *v = oracle_find(o, &p->name);
    for (size_t i = 0; i < o->count; i++)
        of_author += hash_equal(&o->all[i].name.author, &p->name.author);
    if (!v && of_author >= RECORDS_PER_AUTHOR_MAX)
        return ERR_QUOTA;
    if (!v) {
        v = &o->all[o->count++];
        *v = (struct oracle_value){ .name = p->name };
    } else if (v->len == 0) {
        return ERR_EQUIVOCATION;
    } else if (p->seq < v->seq) {
        return ERR_STALE;
    } else if (p->seq == v->seq && !bytes_equal(p->value, bytes_of(v->value, v->len))) {
        v->len = 0;
        return ERR_EQUIVOCATION;
    }
    uint64_t expires = now_ms + p->ttl_ms - p->age_ms;
    if (p->seq != v->seq || expires > v->expires_ms)
        v->expires_ms = expires;
    v->seq = p->seq;
    v->len = p->value.len;
    memcpy(v->value, p->value.data, p->value.len);
    return OK;
}

static void compare_all(const struct store *s, struct oracle *o, uint64_t now_ms)
{
    struct store_view view;
    size_t living = 0, seen = 0, cursor = 0;
    struct mono now = { now_ms * 1000 };
    for (size_t i = 0; i < o->count; i++) {
        const struct oracle_value *v = &o->all[i];
        bool expected = v->len > 0 && v->expires_ms > now_ms;
        assert_int_equal(store_find(s, now, &v->name, &view), expected);
        if (!expected)
            continue;
        living++;
        assert_int_equal(view.seq, v->seq);
        assert_true(bytes_equal(view.value, bytes_of(v->value, v->len)));
    }
    while (store_all(s, now, &cursor, &view))
        seen++;
    assert_int_equal(seen, living);
}

static void test_random_operations_agree_with_a_list(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct oracle *o = calloc(1, sizeof *o);
    struct rng rng;
    rng_init(&rng, 7);
    uint64_t now_ms = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t value[64];
        size_t len = 1 + (size_t)rng_below(&rng, 60);
        memset(value, (int)rng_below(&rng, 3), len);
        struct store_put p = put_of(rng_below(&rng, 40), rng_below(&rng, 12), 1 + rng_below(&rng, 6), "x");
        p.value = bytes_of(value, len);
        p.name.item = hash_n("item", rng_below(&rng, 3));
        p.ttl_ms = 1 + (uint32_t)rng_below(&rng, 30000);
        p.age_ms = (uint32_t)rng_below(&rng, 2000);
        now_ms += rng_below(&rng, 20);
        assert_err(store_accept(s, (struct mono){ now_ms * 1000 }, &p), oracle_put(o, now_ms, &p));
        if (i % 64 == 0) {
            store_check(s);
            compare_all(s, o, now_ms);
        }
    }
    free(o);
    free(s);
}

static void test_equivocation_keeps_both_out_until_expiry(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct store_put a = put_of(1, 1, 5, "one"), b = put_of(1, 1, 5, "two"), later = put_of(1, 1, 6, "three");
    struct store_view v;
    struct mono now = { 1000 };
    assert_ok(store_accept(s, now, &a));
    assert_err(store_accept(s, now, &b), ERR_EQUIVOCATION);
    assert_false(store_find(s, now, &a.name, &v));
    assert_err(store_accept(s, now, &a), ERR_EQUIVOCATION);
    assert_err(store_accept(s, now, &later), ERR_EQUIVOCATION);
    assert_int_equal(store_count_key(s, now, &a.name.key), 0);
    now = mono_add_ms(now, 60000);
    assert_ok(store_accept(s, now, &later));
    assert_true(store_find(s, now, &a.name, &v));
    free(s);
}

static void test_an_old_copy_never_shortens_a_life(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct store_put p = put_of(1, 1, 5, "one"), old = p;
    struct store_view v;
    struct mono now = { 1000 };
    old.age_ms = 59000;
    assert_ok(store_accept(s, now, &p));
    assert_ok(store_accept(s, now, &old));
    assert_true(store_find(s, mono_add_ms(now, 59999), &p.name, &v));
    assert_int_equal(v.age_ms, 59999);
    assert_false(store_find(s, mono_add_ms(now, 60000), &p.name, &v));
    free(s);
}

static void test_author_quota(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct mono now = { 1000 };
    for (uint64_t k = 0; k < RECORDS_PER_AUTHOR_MAX; k++) {
        struct store_put p = put_of(k, 1, 1, "v");
        assert_ok(store_accept(s, now, &p));
    }
    struct store_put more = put_of(1000, 1, 1, "v"), other = put_of(1000, 2, 1, "v"), again = put_of(3, 1, 2, "w");
    assert_err(store_accept(s, now, &more), ERR_QUOTA);
    assert_ok(store_accept(s, now, &other));
    assert_ok(store_accept(s, now, &again));
    more.kept = true;
    assert_ok(store_accept(s, now, &more));                            /* for our own use: not their quota */
    free(s);
}

static void test_when_full_the_farthest_goes_and_kept_stay(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct mono now = { 1000 };
    struct store_put kept = put_of(999999, 999999, 1, "mine");
    kept.kept = true;
    assert_ok(store_accept(s, now, &kept));
    size_t refused = 0;
    for (uint64_t n = 0; n < 3 * RECORDS_MAX; n++) {
        struct store_put p = put_of(n, n, 1, "value");
        enum err e = store_accept(s, now, &p);
        assert_true(e == OK || e == ERR_FULL);
        refused += e == ERR_FULL;
    }
    store_check(s);
    assert_int_equal(s->count, RECORDS_MAX);
    assert_true(refused > 0);
    assert_true(s->evicted > 0);
    /* Who is held is closer than who is not. */
    struct store_view v;
    assert_true(store_find(s, now, &kept.name, &v));
    struct hash worst_held = s->self;
    for (uint64_t n = 0; n < 3 * RECORDS_MAX; n++) {
        struct store_put p = put_of(n, n, 1, "value");
        if (store_find(s, now, &p.name, &v) && hash_distance_compare(&s->self, &p.name.key, &worst_held) > 0)
            worst_held = p.name.key;
    }
    for (uint64_t n = 0; n < 3 * RECORDS_MAX; n++) {
        struct store_put p = put_of(n, n, 1, "value");
        if (!store_find(s, now, &p.name, &v))
            assert_true(hash_distance_compare(&s->self, &p.name.key, &worst_held) > 0);
    }
    free(s);
}

static void test_the_arena_bounds_bytes_and_closes_holes(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct mono now = { 1000 };
    uint8_t value[STORE_VALUE_BYTES_MAX];
    struct rng rng;
    rng_init(&rng, 3);
    for (uint64_t n = 0; n < 4000; n++) {
        struct store_put p = put_of(rng_below(&rng, 1500), rng_below(&rng, 100), n + 1, "");
        memset(value, (int)n, sizeof value);
        p.value = bytes_of(value, 1 + (size_t)rng_below(&rng, sizeof value));
        enum err e = store_accept(s, now, &p);
        assert_true(e == OK || e == ERR_FULL || e == ERR_QUOTA);
        struct store_view v;
        if (e == OK) {
            assert_true(store_find(s, now, &p.name, &v));
            assert_true(bytes_equal(v.value, p.value));
        }
        if (n % 100 == 0)
            store_check(s);
    }
    struct store_put p = put_of(1, 1, UINT64_MAX, "");
    p.value = bytes_of(value, 0);
    assert_err(store_accept(s, now, &p), ERR_TOO_LARGE);
    free(s);
}

static void test_walking_one_key_is_in_order(void **state)
{
    (void)state;
    struct store *s = fresh();
    struct mono now = { 1000 };
    for (uint64_t a = 0; a < 30; a++) {
        struct store_put p = put_of(a % 2, a, 1, "v");
        assert_ok(store_accept(s, now, &p));
    }
    struct hash key = hash_n("key", 1), last = { { 0 } };
    struct store_view v;
    size_t cursor = 0, n = 0;
    while (store_each(s, now, &key, &cursor, &v)) {
        assert_true(n == 0 || hash_compare(&last, &v.name->author) < 0);
        last = v.name->author;
        n++;
    }
    assert_int_equal(n, 15);
    struct store_name name = { .key = key, .author = last };
    store_drop(s, &name);
    assert_int_equal(store_count_key(s, now, &key), 14);
    store_expire(s, mono_add_ms(now, 60000));
    assert_int_equal(s->count, 0);
    assert_int_equal(store_deadline(s).us, MONO_NEVER.us);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_a_list),
        cmocka_unit_test(test_equivocation_keeps_both_out_until_expiry), cmocka_unit_test(test_an_old_copy_never_shortens_a_life),
        cmocka_unit_test(test_author_quota), cmocka_unit_test(test_when_full_the_farthest_goes_and_kept_stay),
        cmocka_unit_test(test_the_arena_bounds_bytes_and_closes_holes), cmocka_unit_test(test_walking_one_key_is_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
